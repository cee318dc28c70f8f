/*
 * call_then.cu: variants of two launches, for tests/device/call.c: Y[0, t] = t + 1 of 32 threads, by way of the
 * workspace.
 */
#include "kernels/device/nf4.h"

static struct launch one_warp(const struct gemm_args *a)
{
    (void)a;
    return launch_1d(1, 32);
}

static struct launch refused(const struct gemm_args *a)
{
    (void)a;
    return launch_1d(0, 32);
}

DEVICE void begin(const struct gemm_args *a)
{
    ((float *)a->workspace)[threadIdx.x] = (float)threadIdx.x;
}

DEVICE void finish(const struct gemm_args *a)
{
    store_element(ELEMENT_F32, a->y, threadIdx.x,
                  __fadd_rn(((const float *)a->workspace)[threadIdx.x], 1.0f));
}

ENTRY(call_alone, gemm, 32, one_warp)
{
    begin(&a);
}

ENTRY(call_both, gemm, 32, one_warp)
{
    begin(&a);
}
ENTRY_THEN(call_both, gemm, 32, one_warp)
{
    finish(&a);
}

ENTRY(call_first_refused, gemm, 32, refused)
{
    begin(&a);
}
ENTRY_THEN(call_first_refused, gemm, 32, one_warp)
{
    finish(&a);
}

ENTRY(call_second_refused, gemm, 32, one_warp)
{
    begin(&a);
}
ENTRY_THEN(call_second_refused, gemm, 32, refused)
{
    finish(&a);
}
