/* cp.async. */
#include "kernels/device/cuda.h"
#include "tests/simt/executor_kernels.h"

/* Two stages. mode 0: right; 1: waits for one group too few. */
ENTRY(executor_staged, probe, 1024, probe_launch)
{
    SHARED(uint4, stage, [2][128]);
    uint32_t t = threadIdx.x, sum = 0;
    const uint4 *in = (const uint4 *)a.in + blockIdx.x * a.count * blockDim.x;
    cp_async16(&stage[0][t], in + t, 16);
    cp_async_commit();
    for (uint32_t i = 0; i < a.count; i++) {
        if (i + 1 < a.count)
            cp_async16(&stage[(i + 1) % 2][t], in + (i + 1) * blockDim.x + t, 16);
        cp_async_commit(); /* an empty group in the last round, so that the wait counts right */
        if (a.mode == 1)
            cp_async_wait<2>();
        else
            cp_async_wait<1>();
        __syncthreads();
        uint4 v = stage[i % 2][(t + 1) % blockDim.x];
        sum = sum * 31 + v.x + v.y + v.z + v.w;
        __syncthreads();
    }
    a.out[global_thread()] = sum;
}

/* The stage is filled again before it was read: right only if the copy happens to come late. With mode 1 the
 * first wait leaves two groups under way, of one. */
ENTRY(executor_stage_reused, probe, 1024, probe_launch)
{
    SHARED(uint4, stage, [32]);
    uint32_t t = threadIdx.x;
    const uint4 *in = (const uint4 *)a.in;
    cp_async16(&stage[t], in + t, 16);
    cp_async_commit();
    if (a.mode == 1)
        cp_async_wait<2>();
    else
        cp_async_wait<0>();
    cp_async16(&stage[t], in + blockDim.x + t, 16);
    cp_async_commit();
    a.out[global_thread()] = stage[t].x;
    cp_async_wait<0>();
}

/* source_bytes = lane % 17; what lies after them in the source must not come. */
ENTRY(executor_zero_fill, probe, 1024, probe_launch)
{
    SHARED(uint4, tile, [32]);
    uint32_t t = threadIdx.x;
    cp_async16(&tile[t], (const uint4 *)a.in + t, (int)(t % 17));
    cp_async_commit();
    cp_async_wait<0>();
    ((uint4 *)a.out)[t] = tile[t];
}

/* The others return without a wait; the last thread of the order sees what that did. */
ENTRY(executor_copies_left, probe, 1024, probe_launch)
{
    SHARED(uint4, tile, [32]);
    uint32_t t = threadIdx.x;
    if (t < 31) {
        cp_async16(&tile[t], (const uint4 *)a.in + t, 16);
        return;
    }
    for (uint32_t i = 0; i < 31; i++)
        a.out[32 * blockIdx.x + i] = tile[i].y;
}

ENTRY(executor_copy_faults, probe, 1024, probe_launch)
{
    SHARED(uint4, tile, [32]);
    uint32_t t = threadIdx.x;
    unsigned char *to = (unsigned char *)&tile[t];
    const unsigned char *from = (const unsigned char *)a.in + 16 * t;
    switch (a.mode) {
    case 0:
        to += 8;
        break;
    case 1:
        from += 4;
        break;
    case 2: /* past the array */
        to += t == 31 ? 16 : 0;
        break;
    case 3: /* global memory */
        to = (unsigned char *)a.out + 16 * t;
        break;
    }
    cp_async16(to, from, 16); // @copy
    cp_async_commit();
    cp_async_wait<0>();
    a.out[t] = tile[t].x;
}
