/*
 * checker_program.cu: runs lists of accesses and synchronisations that tests/device/simt_checker.c makes up.
 */
#include "kernels/device/cuda.h"
#include "tests/simt/checker_args.h"

static struct launch shape(const struct program_args *a)
{
    return launch_1d(a->blocks, a->threads);
}

ENTRY(checker_program, program, 96, shape)
{
    SHARED(uint4, words, [PROGRAM_BYTES / 16]);
    const struct program_step *steps = a.steps + global_thread() * a.length;
    uint8_t *shared = (uint8_t *)words, *global = a.memory + (size_t)blockIdx.x * PROGRAM_BYTES;
    for (unsigned i = 0; i < a.length; i++) {
        struct program_step s = steps[i];
        uint8_t *p = (s.global ? global : shared) + s.offset;
        switch (s.operation) {
        case PROGRAM_READ: {
            volatile uint32_t sink;
            if (s.size == 1)
                sink = *p;
            else if (s.size == 2)
                sink = *(const uint16_t *)p;
            else if (s.size == 4)
                sink = *(const uint32_t *)p;
            else {
                uint4 v = *(const uint4 *)p;
                sink = v.x ^ v.y ^ v.z ^ v.w;
            }
            (void)sink;
            break;
        }
        case PROGRAM_WRITE:
            if (s.size == 1)
                *p = (uint8_t)s.value;
            else if (s.size == 2)
                *(uint16_t *)p = (uint16_t)s.value;
            else if (s.size == 4)
                *(uint32_t *)p = s.value;
            else
                *(uint4 *)p = make_uint4(s.value, 1, 2, 3);
            break;
        case PROGRAM_ATOMIC:
            atomicAdd((uint32_t *)p, s.value);
            break;
        case PROGRAM_BARRIER:
            __syncthreads();
            break;
        case PROGRAM_SYNCWARP:
            __syncwarp(s.value);
            break;
        }
    }
}
