/*
 * nf4_gemm/scalar.c: NF4 gemm in portable C: the plainest form of each chain contract.
 *
 * Run: nf4bench verify suites/smoke.yaml -v 'nf4_gemm_*__scalar'
 * Ladder (kernels/README.md): before this none, after this formats_gemm/scalar.c.
 *
 * One row of W at a time is decoded, block by block, and used for up to 64 rows of X. acc1 is the textbook
 * loop; acc16 keeps 16 chains, which vectors can use; acc16x4 adds the split of k; sblk applies the absmax
 * of a block to the sum of its products and not to each weight. It should not be fast: every other variant
 * is measured against it.
 */
#include "kernels/cpu/gemm.h"

enum { CHAINS_MAX = 16, COLUMNS = 64, RUN_MAX = 4096 };

struct scratch {
    float w[RUN_MAX];
    float acc[COLUMNS][CHAINS_MAX];
    float sum[COLUMNS];
};

/* Adds elements [k, k + count) of one block to the chains of one row of X; chain 0 has k = base. */
INLINE void add_run(const struct gemm_args *a, enum element t, enum scaling scaling, size_t chains,
                    float *acc, const float *w, float absmax, size_t row, size_t base, size_t k, size_t count)
{
    float partial[CHAINS_MAX] = {0};
    float *into = scaling == PER_BLOCK ? partial : acc;
    for (size_t i = 0; i < count; i++) {
        size_t l = (k + i - base) % chains;
        into[l] = fmaf(load_element(t, a->x, row * a->k + k + i), w[i], into[l]);
    }
    if (scaling == PER_BLOCK)
        for (size_t i = 0; i < min_size(chains, count); i++) {
            size_t l = (k + i - base) % chains;
            acc[l] = fmaf(partial[l], absmax, acc[l]);
        }
}

/* Row n of W against `columns` rows of X from row m: s->sum. */
INLINE void gemm_row(const struct gemm_args *a, enum element t, enum scaling scaling, size_t chains,
                     size_t splits, enum cpu_format format, struct scratch *s, size_t n, size_t m,
                     size_t columns)
{
    size_t length = round_up((a->k + splits - 1) / splits, chains);
    for (size_t split = 0; split < splits; split++) {
        size_t base = split * length, end = min_size(a->k, base + length);
        memset(s->acc, 0, sizeof s->acc);
        for (size_t k = base, count; k < end; k += count) {
            size_t first = n * a->k + k, b = first / a->w.blocksize;
            float absmax = nf4_absmax(&a->w, b, format);
            count = min_size(end - k, (b + 1) * a->w.blocksize - first);
            for (size_t i = 0; i < count; i++) {
                float value = nf4_codebook[nf4_code(a->w.packed, first + i)];
                s->w[i] = scaling == PER_BLOCK ? value : round_element(t, value * absmax);
            }
            for (size_t c = 0; c < columns; c++)
                add_run(a, t, scaling, chains, s->acc[c], s->w, absmax, m + c, base, k, count);
        }
        for (size_t c = 0; c < columns; c++) {
            for (size_t h = chains / 2; h; h /= 2)
                for (size_t l = 0; l < h; l++)
                    s->acc[c][l] = s->acc[c][l] + s->acc[c][l + h];
            s->sum[c] = split ? s->sum[c] + s->acc[c][0] : s->acc[c][0];
        }
    }
}

INLINE void gemm_share(const struct gemm_args *a, enum element t, enum scaling scaling, size_t chains,
                       size_t splits, enum cpu_format format)
{
    struct scratch *s = gemm_scratch(a);
    struct range mine = thread_range(a->n);
    for (size_t n = mine.begin; n < mine.end; n++)
        for (size_t m = 0; m < a->m; m += COLUMNS) {
            size_t columns = min_size(COLUMNS, a->m - m);
            gemm_row(a, t, scaling, chains, splits, format, s, n, m, columns);
            for (size_t c = 0; c < columns; c++)
                gemm_store(a, t, m + c, n, s->sum[c]);
        }
}

#define GEMM_TYPE(type, element)                                                                             \
    GEMM_CLONES(nf4_gemm_##type##_acc1__scalar, gemm_share, element, PER_WEIGHT, 1, 1, NF4)                  \
    GEMM_CLONES(nf4_gemm_##type##_acc1_fused__scalar, gemm_share, element, PER_WEIGHT, 1, 1, NF4_FUSED)      \
    GEMM_CLONES(nf4_gemm_##type##_acc16__scalar, gemm_share, element, PER_WEIGHT, 16, 1, NF4)                \
    GEMM_CLONES(nf4_gemm_##type##_acc16_fused__scalar, gemm_share, element, PER_WEIGHT, 16, 1, NF4_FUSED)    \
    GEMM_CLONES(nf4_gemm_##type##_acc16x4__scalar, gemm_share, element, PER_WEIGHT, 16, 4, NF4)              \
    GEMM_CLONES(nf4_gemm_##type##_sblk_acc16__scalar, gemm_share, element, PER_BLOCK, 16, 1, NF4)            \
    GEMM_CLONES(nf4_gemm_##type##_sblk_acc16_fused__scalar, gemm_share, element, PER_BLOCK, 16, 1, NF4_FUSED)
FOR_ELEMENTS(GEMM_TYPE)
GEMM_CLONES(nf4_gemm_bf16_acc16_twostep__scalar, gemm_share, ELEMENT_BF16, PER_WEIGHT, 16, 1, NF4_TWOSTEP)
