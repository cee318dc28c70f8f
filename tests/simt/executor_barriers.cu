/* Barriers, right and wrong. */
#include "kernels/device/cuda.h"
#include "tests/simt/executor_kernels.h"

/* Inclusive sum over a block, ten barriers deep. */
ENTRY(executor_scan, probe, 1024, probe_launch)
{
    SHARED(uint32_t, sum, [2][1024]);
    uint32_t t = threadIdx.x;
    int from = 0;
    sum[0][t] = a.in[global_thread()];
    __syncthreads();
    for (uint32_t step = 1; step < blockDim.x; step *= 2) {
        uint32_t v = sum[from][t];
        if (t >= step)
            v += sum[from][t - step];
        sum[!from][t] = v;
        from = !from;
        __syncthreads();
    }
    a.out[global_thread()] = sum[from][t];
}

/* Blocks of three dimensions: each thread writes what it takes itself for. */
ENTRY(executor_positions, probe, 1024, probe_launch)
{
    uint32_t block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    uint32_t i = block * blockDim.x + threadIdx.x;
    if (a.mode)
        __syncthreads();
    a.out[i] = i + 1 + (threadIdx.y + threadIdx.z + blockDim.y + blockDim.z - 2);
}

ENTRY(executor_divergent_barrier, probe, 1024, probe_launch)
{
    if (threadIdx.x < 7)
        __syncthreads(); // @low
    else
        __syncthreads(); // @high
    a.out[global_thread()] = 1;
}

ENTRY(executor_early_return, probe, 1024, probe_launch)
{
    if (global_thread() >= a.count)
        return;
    __syncthreads(); // @rest
    a.out[global_thread()] = 1;
}

ENTRY(executor_barrier_or_shuffle, probe, 1024, probe_launch)
{
    uint32_t v = threadIdx.x;
    if (threadIdx.x == 3)
        v = __shfl_sync(0xffffffffu, v, 0); // @shuffle
    else
        __syncthreads(); // @barrier
    a.out[global_thread()] = v;
}
