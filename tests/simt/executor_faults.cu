/* What a launch must outlive. */
#include <stdlib.h>
#include <unistd.h>

#include "kernels/device/cuda.h"
#include "tests/simt/executor_kernels.h"

/* Not inlined and not a tail call, or there would be no stack to overflow. */
static __attribute__((noinline)) uint32_t recurse(volatile uint32_t *depth, uint32_t n)
{
    volatile uint32_t frame[16];
    frame[n % 16] = n;
    *depth = n;
    return n ? recurse(depth, n - 1) + frame[n % 16] : 0;
}

ENTRY(executor_faults, probe, 64, probe_launch)
{
    volatile uint32_t *out = a.out;
    if (a.mode == 1 && threadIdx.x == 33 && blockIdx.x == 2)
        for (;; out[1] = out[1] + 1) // @endless
            ;
    if (a.mode == 2 && threadIdx.x < 32)
        for (uint32_t v = 0;;)
            v += __shfl_xor_sync(0xffffffffu, v + 1, 1); // @endless_shuffles
    if (a.mode == 3 && threadIdx.x == 17)
        *(volatile uint32_t *)(uintptr_t)(16 * (a.count + 1)) = 1; // @null
    if (a.mode == 4 && threadIdx.x == 5)
        out[2] = recurse(&out[3], 1u << 30);
    if (a.mode == 5 && threadIdx.x == 6)
        out[2] = 7u / (uint32_t)a.count; // @division
    if (a.mode == 6 && threadIdx.x == 1)
        exit(9);
    if (a.mode == 7 && threadIdx.x == 1)
        abort();
    if (a.mode == 8 && threadIdx.x == 2)
        out[2] = load_stream64(a.in + 1).x; // @misaligned
    if (a.mode == 9)
        __builtin_trap();
    if (a.mode == 10 && threadIdx.x == 8)
        out[2] = atomicAdd((uint32_t *)(uintptr_t)(4 * (a.count + 1)), 1u); // @atomic
    if (a.mode == 11 && threadIdx.x == 9)
        out[2] = a.in[a.count]; // @beyond
    __syncthreads();            // @barrier
    if (threadIdx.x == 0)
        out[4 + blockIdx.x] = 1;
}

/* 40 KiB, with mode 1 another 16 KiB, and the dynamic array of the launch. */
ENTRY(executor_shared_limits, probe, 1024, probe_launch)
{
    SHARED(uint32_t, large, [10 * 1024]);
    large[threadIdx.x] = 1;
    if (a.mode == 1) {
        SHARED(uint32_t, more, [4 * 1024]); // @more
        more[threadIdx.x] = 2;
    }
    DYNAMIC_SHARED(dynamic);
    if (a.launch.shared)
        dynamic[a.launch.shared - 1 - threadIdx.x] = 3;
    a.out[global_thread()] = large[threadIdx.x];
}

/* Writes at byte `count` of the array that mode names. */
ENTRY(executor_guards, probe, 1024, probe_launch)
{
    SHARED(unsigned char, first, [52]);
    SHARED(unsigned char, second, [64]);
    DYNAMIC_SHARED(dynamic);
    volatile unsigned char *p = a.mode == 0 ? first : a.mode == 1 ? second : dynamic;
    if (blockIdx.x == 1 && threadIdx.x == 0)
        p[(ptrdiff_t)a.count] = 1;
    a.out[global_thread()] = 1;
}

/* Tells its process; mode 1 is a fault, mode 2 a race. Reads out[1]. */
ENTRY(executor_process, probe, 64, probe_launch)
{
    if (threadIdx.x == 0) {
        a.out[0] = (uint32_t)getpid();
        a.out[2] = a.out[1] + 1;
    }
    if (a.mode == 1)
        __builtin_trap();
    if (a.mode == 2)
        a.out[3] = threadIdx.x;
}

/* What shared memory holds before anybody wrote to it. */
ENTRY(executor_poison, probe, 1024, probe_launch)
{
    SHARED(uint32_t, tile, [33]);
    DYNAMIC_SHARED(dynamic);
    volatile uint32_t *p = a.mode ? (volatile uint32_t *)dynamic : tile;
    a.out[global_thread()] = p[threadIdx.x];
    __syncthreads();
    p[threadIdx.x] = 5; /* must not be there in the next block */
}
