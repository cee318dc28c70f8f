/* lora.c: the low-rank addition in fp64; see matmul.h. */
#include "reference/matmul.h"

#include "reference/arith.h"

void lora_fp64(enum dtype t, size_t m, size_t n, size_t k, size_t rank, double s, const void *x,
               const void *a, const void *b, double *y)
{
#pragma omp parallel for schedule(static) if (m * rank * (n + k) >= ARITH_PARALLEL_FROM)
    for (size_t row = 0; row < m; ++row) {
        for (size_t r = 0; r < rank; ++r) {
            double low = 0; /* (X A^T)[row, r] */
            for (size_t i = 0; i < k; ++i)
                low += (double)dtype_load(t, x, row * k + i) * (double)dtype_load(t, a, r * k + i);
            for (size_t col = 0; col < n; ++col)
                y[row * n + col] += s * low * (double)dtype_load(t, b, col * rank + r);
        }
    }
}
