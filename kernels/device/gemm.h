/*
 * gemm.h: how the CUDA products finish an output.
 */
#ifndef NF4BENCH_KERNELS_DEVICE_GEMM_H
#define NF4BENCH_KERNELS_DEVICE_GEMM_H

#include "kernels/device/nf4.h"

/* y[row, column] = RN_T(sum + bias[column]). */
DEVICE void gemm_store(const struct gemm_args *a, enum device_element t, size_t row, size_t column, float sum)
{
    if (a->bias)
        sum = __fadd_rn(sum, load_element(t, a->bias, column));
    store_element(t, a->y, row * a->n + column, sum);
}

#endif
