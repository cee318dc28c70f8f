/*
 * checker_async.cu: kernels for tests/device/simt_checker.c that use cp.async, right and wrong.
 */
#include "kernels/device/cuda.h"
#include "tests/simt/checker_args.h"

static struct launch shape(const struct checker_args *a)
{
    return launch_1d(a->blocks, a->threads);
}

enum { STAGES = 3, STEPS = 8 };

/* A pipeline: STAGES - 1 copies are under way while one stage is read. 1: no wait; 2: a wait for one group
 * too few; 3: the barrier comes before the wait; 4: the next copy goes to the stage that is still read; 5: no
 * barrier at all; 6: a copy reads past the input's end. */
ENTRY(checker_pipeline, checker, 64, shape)
{
    SHARED(float4, stage, [STAGES][64]);
    unsigned i = threadIdx.x, n = blockDim.x;
    const float4 *in = (const float4 *)a.in;
    size_t limit = a.count / 4;
    float sum = 0;
    for (unsigned s = 0; s < STAGES - 1; s++) {
        cp_async16(&stage[s][i], in + s * n + i, 16);
        cp_async_commit();
    }
    for (unsigned step = 0; step < STEPS; step++) {
        if (a.wrong == 3)
            __syncthreads();
        if (a.wrong == 2)
            cp_async_wait<STAGES - 1>();
        else if (a.wrong != 1)
            cp_async_wait<STAGES - 2>();
        if (a.wrong != 3 && a.wrong != 5)
            __syncthreads();
        unsigned next = step + STAGES - 1, slot = next % STAGES;
        if (a.wrong == 4)
            slot = step % STAGES;
        if (next < STEPS) {
            size_t from = next * n + i;
            bool past = a.wrong == 6 && next == STEPS - 1 && i == n - 1;
            cp_async16(&stage[slot][i], in + (past ? limit : from), 16); /* pipeline: copy */
        }
        cp_async_commit();
        float4 v = stage[step % STAGES][(i + 5) % n]; /* pipeline: read */
        sum = __fadd_rn(sum, __fadd_rn(v.x, v.w));
    }
    a.out[global_thread()] = sum;
}

/* A copy whose end is filled with zeros, from an input whose end it does not cross; of its own thread only.
 * 1: the destination is written meanwhile. 2: it is copied to twice. 3: another thread's copy is read; the
 * barrier comes before its wait. */
ENTRY(checker_copy, checker, 64, shape)
{
    SHARED(float, tile, [64 * 4]);
    unsigned i = threadIdx.x;
    float *mine = tile + 4 * i;
    bool last = i == blockDim.x - 1;
    size_t from = last ? a.count / 4 * 4 : 4 * i;
    cp_async16(mine, a.in + from, last ? (int)(a.count % 4) * 4 : 16); /* copy: first */
    if (a.wrong == 1)
        mine[1] = 3.0f; /* copy: write */
    if (a.wrong == 2)
        cp_async16(mine, a.in, 16); /* copy: again */
    cp_async_commit();
    __syncthreads();
    cp_async_wait<0>();
    if (a.wrong == 3 && i)
        mine -= 4;
    a.out[global_thread()] = __fadd_rn(mine[0], mine[3]); /* copy: read */
}
