/*
 * formats_gemm/scalar.c: int4, int8, fp8 and dense gemm and gemmdx in portable C: the plainest form of each
 * chain contract, in every layout.
 *
 * Run: nf4bench verify suites/smoke.yaml -v 'int4_gemm*__scalar*'
 * Ladder (kernels/README.md): before this nf4_gemm/scalar.c, after this nf4_gemm/avx2.c.
 *
 * A weight is found anew for each product. It should not be fast: every other variant is measured against
 * it.
 */
#include "kernels/cpu/gemm.h"

#include "kernels/cpu/formats.h"

enum { CHAINS_MAX = 16 };

INLINE float tree(float *acc, size_t chains)
{
    for (size_t h = chains / 2; h; h /= 2)
        for (size_t l = 0; l < h; l++)
            acc[l] = acc[l] + acc[l + h];
    return acc[0];
}

/* One output of the forward product. */
INLINE float output(const struct gemm_args *a, const struct matrix *w, enum element t, enum cpu_format format,
                    enum cpu_layout layout, enum scaling scaling, size_t chains, size_t m, size_t n)
{
    float acc[CHAINS_MAX] = {0};
    if (scaling == PER_WEIGHT) {
        for (size_t k = 0; k < a->k; k++)
            acc[k % chains] = fmaf(load_element(t, a->x, m * a->k + k),
                                   matrix_weight(w, format, layout, t, n, k), acc[k % chains]);
        return tree(acc, chains);
    }
    for (size_t g = 0; g < w->groups; g++) {
        const unsigned zero = format == INT4 ? int4_zero(w, layout, n, g) : 0;
        const float scale = matrix_scale(w, format, layout, n, g);
        const size_t begin = g * a->w.blocksize, end = begin + a->w.blocksize;
        float sum[CHAINS_MAX] = {0};
        for (size_t k = begin; k < end; k++)
            sum[k % chains] = fmaf(load_element(t, a->x, m * a->k + k),
                                   matrix_value(w, format, layout, t, n, k, zero), sum[k % chains]);
        for (size_t k = begin; k < min_size(begin + chains, end); k++)
            acc[k % chains] = fmaf(sum[k % chains], scale, acc[k % chains]);
    }
    return tree(acc, chains);
}

INLINE void gemm_share(const struct gemm_args *a, enum element t, enum cpu_format format,
                       enum cpu_layout layout, enum scaling scaling, size_t chains)
{
    const struct matrix w = matrix_of(&a->w, a->prepared, a->n, a->k, layout);
    const struct range mine = thread_range(a->n);
    for (size_t n = mine.begin; n < mine.end; n++)
        for (size_t m = 0; m < a->m; m++)
            gemm_store(a, t, m, n, output(a, &w, t, format, layout, scaling, chains, m, n));
}

INLINE void gemmdx_share(const struct gemm_args *a, enum element t, enum cpu_format format,
                         enum cpu_layout layout)
{
    const struct matrix w = matrix_of(&a->w, a->prepared, a->n, a->k, layout);
    const struct range mine = thread_range(a->k);
    for (size_t k = mine.begin; k < mine.end; k++)
        for (size_t m = 0; m < a->m; m++) {
            float sum = 0;
            for (size_t n = 0; n < a->n; n++)
                sum = fmaf(load_element(t, a->x, m * a->n + n), matrix_weight(&w, format, layout, t, n, k),
                           sum);
            store_element(t, a->y, m * a->k + k, sum);
        }
}

#define PRODUCTS(format, FORMAT, type, element, knob, layout)                                                \
    GEMM_CLONES(format##_gemm_##type##_acc1__scalar##knob, gemm_share, element, FORMAT, layout, PER_WEIGHT,  \
                1)                                                                                           \
    GEMM_CLONES(format##_gemm_##type##_sblk_acc16__scalar##knob, gemm_share, element, FORMAT, layout,        \
                PER_BLOCK, 16)                                                                               \
    GEMM_CLONES(format##_gemmdx_##type##_acc1__scalar##knob, gemmdx_share, element, FORMAT, layout)
#define PRODUCTS_TYPE(type, element)                                                                         \
    PRODUCTS(int4, INT4, type, element, , BY_ROWS)                                                           \
    PRODUCTS(int8, INT8, type, element, , BY_ROWS)                                                           \
    PRODUCTS(fp8, FP8, type, element, , BY_ROWS)                                                             \
    GEMM_CLONES(dense_gemm_##type##_acc1__scalar, gemm_share, element, DENSE, BY_ROWS, PER_WEIGHT, 1)        \
    GEMM_CLONES(dense_gemm_##type##_acc16__scalar, gemm_share, element, DENSE, BY_ROWS, PER_WEIGHT, 16)      \
    GEMM_CLONES(dense_gemmdx_##type##_acc1__scalar, gemmdx_share, element, DENSE, BY_ROWS)
FOR_ELEMENTS(PRODUCTS_TYPE)

PRODUCTS(int4, INT4, bf16, ELEMENT_BF16, _gptq, GPTQ)
PRODUCTS(int4, INT4, bf16, ELEMENT_BF16, _gptqv2, GPTQV2)
PRODUCTS(int4, INT4, bf16, ELEMENT_BF16, _awq, AWQ)
PRODUCTS(int4, INT4, bf16, ELEMENT_BF16, _awqgemv, AWQGEMV)
PRODUCTS(int4, INT4, bf16, ELEMENT_BF16, _marlin, MARLIN)
