/*
 * nf4_gemmdx/scalar.c: NF4 gemm backward in portable C: the definition.
 *
 * Run: nf4bench verify suites/smoke.yaml -v 'nf4_gemmdx_*__scalar'
 * Ladder (kernels/README.md): before this none, after this avx2.c.
 *
 * dX[m,k] = sum_n dY[m,n] W[n,k] with one ascending chain of fma for each output, in the order of memory: a
 * thread owns stripes of 64 columns; for each n it decodes the weights of the stripe once and adds them,
 * times dY[m,n], to the sums of all rows m, which stay in its scratch. A loop over outputs would decode a
 * weight for every product and step by k in its inner loop; this one decodes once for m products and takes
 * neighbours in memory.
 */
#include "kernels/cpu/gemm.h"

enum { STRIPE = 64, ROWS = 512 }; /* sums of a stripe: 128 KiB */

/* Columns column .. column + width of dX, rows m .. m + rows. */
INLINE void stripe(const struct gemm_args *a, enum element t, enum cpu_format format, size_t m, size_t rows,
                   size_t column, size_t width)
{
    float *sums = gemm_scratch(a), weights[STRIPE];
    memset(sums, 0, rows * STRIPE * sizeof *sums);
    for (size_t n = 0; n < a->n; n++) {
        for (size_t c = 0; c < width; c++)
            weights[c] = nf4_element(&a->w, n * a->k + column + c, t, format);
        for (size_t r = 0; r < rows; r++) {
            float dy = load_element(t, a->x, (m + r) * a->n + n);
            for (size_t c = 0; c < width; c++)
                sums[r * STRIPE + c] = fmaf(dy, weights[c], sums[r * STRIPE + c]);
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < width; c++)
            store_element(t, a->y, (m + r) * a->k + column + c, sums[r * STRIPE + c]);
}

INLINE void gemmdx_share(const struct gemm_args *a, enum element t, enum cpu_format format)
{
    struct range mine = thread_range((a->k + STRIPE - 1) / STRIPE);
    for (size_t m = 0; m < a->m; m += ROWS)
        for (size_t s = mine.begin; s < mine.end; s++)
            stripe(a, t, format, m, min_size(ROWS, a->m - m), s * STRIPE,
                   min_size(STRIPE, a->k - s * STRIPE));
}

#define GEMMDX_TYPE(type, element)                                                                           \
    GEMM_CLONES(nf4_gemmdx_##type##_acc1__scalar, gemmdx_share, element, NF4)                                \
    GEMM_CLONES(nf4_gemmdx_##type##_acc1_fused__scalar, gemmdx_share, element, NF4_FUSED)
FOR_ELEMENTS(GEMMDX_TYPE)
