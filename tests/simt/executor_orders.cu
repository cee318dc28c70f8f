/* Order, atomics, and the speed of threads that hardly wait. */
#include "kernels/device/cuda.h"
#include "tests/simt/executor_kernels.h"

/* out[0]: a counter; then for each thread its place in line, before and after a barrier. */
ENTRY(executor_order, probe, 1024, probe_launch)
{
    a.out[1 + 2 * global_thread()] = atomicAdd(&a.out[0], 1u);
    __syncthreads();
    a.out[2 + 2 * global_thread()] = atomicAdd(&a.out[0], 1u);
}

/* A sum of floats in the order in which the threads come. */
ENTRY(executor_float_order, probe, 1024, probe_launch)
{
    atomicAdd((float *)a.out, __uint_as_float(a.in[global_thread()]));
}

ENTRY(executor_atomics, probe, 1024, probe_launch)
{
    for (int i = 0; i < 32; i++)
        atomicAdd(&a.out[0], 3u);
    atomicAdd((float *)&a.out[1], 1.0f);
    uint32_t seen = a.in[0];
    for (;;) { /* a counter by compare and swap */
        uint32_t old = atomicCAS(&a.out[2], seen, seen + 1);
        if (old == seen)
            break;
        seen = old;
    }
    if (global_thread() == 0)
        atomicExch(&a.out[3], 77u);
}

/* 4 bytes in, 16 out, as a kernel that writes 16-bit weights; mode: number of barriers. */
ENTRY(executor_expand, probe, 256, probe_launch)
{
    SHARED(uint16_t, table, [16]);
    if (a.mode) {
        if (threadIdx.x < 16)
            table[threadIdx.x] = (uint16_t)(threadIdx.x * 0x101 + 0x3c00);
        __syncthreads();
    }
    size_t i = global_thread();
    if (i >= a.count)
        return;
    uint32_t codes = a.in[i], r[4];
    for (int k = 0; k < 4; k++) {
        uint32_t low = codes >> (8 * k + 4) & 15, high = codes >> 8 * k & 15;
        r[k] = a.mode ? table[low] | (uint32_t)table[high] << 16
                      : (low * 0x101 + 0x3c00) | (high * 0x101 + 0x3c00) << 16;
    }
    store_stream128(a.out + 4 * i, make_uint4(r[0], r[1], r[2], r[3]));
}
