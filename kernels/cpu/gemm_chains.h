/*
 * gemm_chains.h: the products of the acc16 contracts, written once for every 16-lane vector.
 *
 * A source includes nf4_avx2.h or nf4_avx512.h first: they define v16. Chain l of 16 adds the k with
 * k mod 16 == l, so a chain is a lane of a vector of consecutive k.
 *
 * Two paths:
 *     chains_rows     decodes a panel, four rows of W by up to 1,024 k, to fp32 in scratch, and multiplies it
 *     by
 *                     up to 64 rows of X. A tile of sums stays in registers.
 *     chains_direct   decodes into registers, for at most four rows of X, which would not pay for the panel.
 * chains_row_general takes the rows that begin inside a block, where the scale is per block.
 */
#ifndef NF4BENCH_KERNELS_CPU_GEMM_CHAINS_H
#define NF4BENCH_KERNELS_CPU_GEMM_CHAINS_H

#include "kernels/cpu/gemm.h"

enum {
    CHAINS = 16,
    CHAINS_ROWS = 4,     /* of W, decoded together */
    CHAINS_COLUMNS = 64, /* of X, per decode of W */
    CHAINS_K = 1024,     /* of W, decoded at a time: 16 KiB */
    CHAINS_K_MAX = 4096, /* or one block, with the scale per block */
    CHAINS_SLACK = 16,   /* decode_span() may write so many floats past its end */
    DIRECT_COLUMNS = 2,  /* rows of X that chains_direct() takes at once */
    DIRECT_M_MAX = 4,    /* rows of X up to which chains_direct() is faster */
    DIRECT_PREFETCH = 8192,
    DIRECT_LINE = 64, /* bytes of W for each prefetch */
};

/* A thread's scratch. */
struct chains_scratch {
    float w[CHAINS_ROWS][CHAINS_K_MAX + CHAINS_SLACK];
    float scale[CHAINS_ROWS][CHAINS_K_MAX / 32]; /* scale per block: of each block of the panel */
    float acc[CHAINS_COLUMNS][CHAINS_ROWS][CHAINS];
    float blocks[CHAINS_COLUMNS][CHAINS_ROWS][CHAINS]; /* sums of the blocks so far, where blocks are long */
    float sum[CHAINS_COLUMNS][CHAINS_ROWS];            /* sums of the splits so far */
};
_Static_assert(sizeof(struct chains_scratch) <= GEMM_SCRATCH_BYTES, "scratch");

/* Decodes elements k to k + count - 1 of row n of W to fp32; `out` has any alignment. With PER_WEIGHT the
 * values are scaled and rounded to T. */
INLINE void decode_span(const struct gemm_args *a, enum element t, enum scaling scaling,
                        enum cpu_format format, size_t n, size_t k, size_t count, float *out)
{
    const struct weights *w = &a->w;
    /* Blocks run through NF4's rows; other rows begin with one. */
    const unsigned shift = is_nf4(format) ? nf4_block_shift(w) : row_block_shift(w, a->k);
    const size_t before = is_nf4(format) ? 0 : n * row_block_count(w, a->k);
    const bool same = format == DENSE || (is_nf4(format) && scaling == PER_BLOCK);
    while (count) {
        size_t i = n * a->k + k, run = count;
        struct block b = {1, 0};
        if (!same) {
            size_t at = is_nf4(format) ? i : k;
            run = min_size(count, w->blocksize - (at - (at >> shift << shift)));
            b = block_at(w, format, before + (at >> shift));
        }
        v16 decoder = decoder_v16(format, t, scaling, b);
        size_t j = 0;
        if (is_nibbles(format) && i % 2) { /* vectors start with a whole byte */
            float values[16];
            v16_store(values, decoder);
            out[j++] = values[nf4_code(w->packed, i)];
        }
        const uint8_t *codes = w->packed + code_bytes(format, t, i + j);
        for (; j + 16 <= run; j += 16, codes += code_bytes(format, t, 16))
            v16_store(out + j, decode_v16(format, t, scaling, decoder, codes));
        if (j < run) {
            uint8_t last[64] = {0};
            memcpy(last, codes, code_bytes(format, t, run - j + is_nibbles(format)));
            v16_store(out + j, decode_v16(format, t, scaling, decoder, last));
        }
        k += run;
        out += run;
        count -= run;
    }
}

/* Copies X as fp32 into the workspace. Rows are chains_stride() apart and end in zeros. Every thread of the
 * parallel region calls this function; it ends in a barrier. */
INLINE size_t chains_stride(const struct gemm_args *a)
{
    return round_up(a->k, CHAINS);
}
INLINE const float *chains_activations(const struct gemm_args *a, enum element t)
{
    float *out = a->workspace;
    const size_t steps = chains_stride(a) / CHAINS;
    const struct range mine = thread_range(a->m * steps);
    for (size_t i = mine.begin; i < mine.end; i++) {
        size_t row = i / steps, k = i % steps * CHAINS;
        if (a->k - k >= CHAINS)
            v16_store(out + i * CHAINS,
                      v16_load_element(t, (const char *)a->x + (row * a->k + k) * element_size(t)));
        else
            for (size_t j = 0; j < CHAINS; j++)
                out[i * CHAINS + j] = k + j < a->k ? load_element(t, a->x, row * a->k + k + j) : 0.0f;
    }
#pragma omp barrier
    return out;
}

/* Adds `count` k to the sums of `rows` x `columns`. run: how many k share a scale. With the scale per block,
 * run is a multiple of 16, and count is a multiple of run. */
INLINE void chains_tile(struct chains_scratch *s, enum scaling scaling, const float *x, size_t x_stride,
                        size_t m, size_t r0, size_t count, size_t run, int rows, int columns)
{
    v16 acc[CHAINS_ROWS][CHAINS_ROWS];
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++)
            acc[r][c] = v16_load(s->acc[m + (size_t)c][r0 + (size_t)r]);
    const float *w = s->w[r0];
    const size_t w_stride = sizeof s->w[0] / sizeof *w;
    for (size_t begin = 0; begin < count; begin += run) {
        v16 t[CHAINS_ROWS][CHAINS_ROWS];
        for (int r = 0; r < rows; r++)
            for (int c = 0; c < columns; c++)
                t[r][c] = scaling == PER_BLOCK ? v16_zero() : acc[r][c];
        for (size_t k = begin; k + CHAINS <= min_size(count, begin + run); k += CHAINS) {
            v16 xv[CHAINS_ROWS];
            for (int c = 0; c < columns; c++)
                xv[c] = v16_load(x + (size_t)c * x_stride + k);
            for (int r = 0; r < rows; r++) {
                v16 wv = v16_load(w + (size_t)r * w_stride + k);
                for (int c = 0; c < columns; c++)
                    t[r][c] = v16_fma(xv[c], wv, t[r][c]);
            }
        }
        for (int r = 0; r < rows; r++)
            for (int c = 0; c < columns; c++)
                acc[r][c] = scaling == PER_BLOCK
                                ? v16_fma(t[r][c], v16_set1(s->scale[r0 + (size_t)r][begin / run]), acc[r][c])
                                : t[r][c];
    }
    const unsigned lanes = (unsigned)(count % CHAINS);
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++) {
            if (lanes) {
                size_t k = count - lanes;
                v16 next = v16_fma(v16_load(x + (size_t)c * x_stride + k),
                                   v16_load(w + (size_t)r * w_stride + k), acc[r][c]);
                acc[r][c] = v16_select((1u << lanes) - 1, next, acc[r][c]);
            }
            v16_store(s->acc[m + (size_t)c][r0 + (size_t)r], acc[r][c]);
        }
}

/* The tiles of a panel. One of these for each scaling is enough for all types. */
INLINE void chains_panel(struct chains_scratch *s, enum scaling scaling, const float *x, size_t x_stride,
                         size_t rows, size_t columns, size_t count, size_t run)
{
    size_t r = 0;
    for (; r + V16_ROWS <= rows; r += V16_ROWS) {
        size_t m = 0;
        for (; m + V16_COLUMNS <= columns; m += V16_COLUMNS)
            chains_tile(s, scaling, x + m * x_stride, x_stride, m, r, count, run, V16_ROWS, V16_COLUMNS);
        for (; m < columns; m++)
            chains_tile(s, scaling, x + m * x_stride, x_stride, m, r, count, run, V16_ROWS, 1);
    }
    for (; r < rows; r++)
        for (size_t m = 0; m < columns; m++)
            chains_tile(s, scaling, x + m * x_stride, x_stride, m, r, count, run, 1, 1);
}
static __attribute__((noinline)) void chains_panel_per_weight(struct chains_scratch *s, const float *x,
                                                              size_t x_stride, size_t rows, size_t columns,
                                                              size_t count, size_t run)
{
    chains_panel(s, PER_WEIGHT, x, x_stride, rows, columns, count, run);
}
static __attribute__((noinline)) void chains_panel_per_block(struct chains_scratch *s, const float *x,
                                                             size_t x_stride, size_t rows, size_t columns,
                                                             size_t count, size_t run)
{
    chains_panel(s, PER_BLOCK, x, x_stride, rows, columns, count, run);
}

/* Ends a split: the trees of its chains, added to the splits before it. */
INLINE void chains_end_split(struct chains_scratch *s, size_t split, size_t rows, size_t columns)
{
    for (size_t m = 0; m < columns; m++)
        for (size_t r = 0; r < rows; r++) {
            float partial = v16_tree(v16_load(s->acc[m][r]));
            s->sum[m][r] = split ? s->sum[m][r] + partial : partial;
        }
}

/* Ends a block longer than a panel: the sums of its chains, of which those with k < count have elements, are
 * scaled and added to the blocks before it. */
INLINE void chains_end_block(struct chains_scratch *s, const struct weights *w, enum cpu_format format,
                             size_t block, size_t row_blocks, size_t rows, size_t columns, size_t count)
{
    const unsigned used = count < CHAINS ? (1u << count) - 1 : 0xffff;
    for (size_t r = 0; r < rows; r++) {
        const v16 scale = v16_set1(block_at(w, format, block + r * row_blocks).scale);
        for (size_t m = 0; m < columns; m++) {
            v16 before = v16_load(s->blocks[m][r]);
            v16_store(s->blocks[m][r],
                      v16_select(used, v16_fma(v16_load(s->acc[m][r]), scale, before), before));
            v16_store(s->acc[m][r], v16_zero());
        }
    }
}

/* `rows` rows of W from row n against `columns` rows of X. Rows begin with a block, or the scale is per
 * weight. */
INLINE void chains_rows(const struct gemm_args *a, enum element t, enum scaling scaling,
                        enum cpu_format format, size_t splits, struct chains_scratch *s, const float *x,
                        size_t n, size_t rows, size_t columns)
{
    const size_t blocksize = a->w.blocksize, row_blocks = row_block_count(&a->w, a->k);
    const bool long_blocks = scaling == PER_BLOCK && (blocksize > CHAINS_K_MAX || blocksize == a->k),
               blocks = scaling == PER_BLOCK && !long_blocks;
    const size_t run = blocks ? blocksize : CHAINS_K, panel = run > CHAINS_K ? run : CHAINS_K;
    const size_t length = round_up((a->k + splits - 1) / splits, CHAINS), stride = chains_stride(a);
    for (size_t split = 0; split < splits; split++) {
        size_t end = min_size(a->k, (split + 1) * length);
        memset(s->acc, 0, columns * sizeof s->acc[0]);
        if (long_blocks)
            memset(s->blocks, 0, columns * sizeof s->blocks[0]);
        for (size_t k = split * length; k < end; k += panel) {
            size_t count = min_size(panel, end - k);
            for (size_t r = 0; r < rows; r++) {
                decode_span(a, t, scaling, format, n + r, k, count, s->w[r]);
                for (size_t i = 0; blocks && i < count; i += run)
                    s->scale[r][i / run] = block_at(&a->w, format, ((n + r) * a->k + k + i) / run).scale;
            }
            if (blocks)
                chains_panel_per_block(s, x + k, stride, rows, columns, count, run);
            else
                chains_panel_per_weight(s, x + k, stride, rows, columns, count, run);
            if (long_blocks && (k + count == end || (k + count) % blocksize == 0))
                chains_end_block(s, &a->w, format, n * row_blocks + k / blocksize, row_blocks, rows, columns,
                                 blocksize);
        }
        if (long_blocks)
            memcpy(s->acc, s->blocks, columns * sizeof s->acc[0]);
        chains_end_split(s, split, rows, columns);
    }
}

/* One row of W with the scale per block. The row may begin inside a block and end inside a vector. It is
 * taken run by run: a run is what shares a block. Chains without an element in the run keep their sums. */
INLINE void chains_row_general(const struct gemm_args *a, enum element t, enum cpu_format format,
                               struct chains_scratch *s, const float *x, size_t n, size_t columns)
{
    const size_t stride = chains_stride(a), blocksize = a->w.blocksize;
    memset(s->acc, 0, columns * sizeof s->acc[0]);
    for (size_t k = 0, next; k < a->k; k = next) {
        size_t first = n * a->k + k;
        next = min_size(a->k, k + blocksize - first % blocksize);
        v16 scale = v16_set1(nf4_absmax(&a->w, first / blocksize, format));
        /* Lane 0 of the first vector is k rounded down; what lies before k or after next is masked. */
        size_t skip = k % CHAINS, lanes = min_size(next - k, CHAINS);
        float *w = s->w[0] + CHAINS;
        decode_span(a, t, PER_BLOCK, format, n, k, next - k, w);
        unsigned used = ((1u << lanes) - 1) << skip;
        used = (used | used >> CHAINS) & 0xffff;
        for (size_t m = 0; m < columns; m++) {
            v16 sum = v16_zero(), acc = v16_load(s->acc[m][0]);
            for (size_t v = k - skip; v < next; v += CHAINS) {
                unsigned mask = 0xffff;
                if (v < k)
                    mask &= 0xffffu << skip;
                if (next - v < CHAINS)
                    mask &= (1u << (next - v)) - 1;
                v16 added = v16_fma(v16_load(x + m * stride + v), v16_load(w + (ptrdiff_t)(v - k)), sum);
                sum = v16_select(mask, added, sum);
            }
            v16_store(s->acc[m][0], v16_select(used, v16_fma(sum, scale, acc), acc));
        }
    }
    chains_end_split(s, 0, 1, columns);
}

/*
 * `rows` rows of W from row n on, by `columns` rows of X from row m on, without the panel: weights go from
 * the lookup into the fma. Rows of W begin with a block and are whole vectors.
 */
INLINE void chains_direct(const struct gemm_args *a, enum element t, enum scaling scaling,
                          enum cpu_format format, size_t splits, const float *x, size_t n, int rows, size_t m,
                          int columns)
{
    const unsigned shift = row_block_shift(&a->w, a->k);
    const size_t length = round_up((a->k + splits - 1) / splits, CHAINS), stride = chains_stride(a);
    const size_t row_bytes = code_bytes(format, t, a->k), row_blocks = row_block_count(&a->w, a->k);
    const size_t line = DIRECT_LINE * 16 / code_bytes(format, t, 16);
    const uint8_t *codes = a->w.packed + n * row_bytes;
    float sum[CHAINS_ROWS][DIRECT_COLUMNS];
    x += m * stride;
    for (size_t split = 0; split < splits; split++) {
        v16 acc[CHAINS_ROWS][DIRECT_COLUMNS], into[CHAINS_ROWS][DIRECT_COLUMNS];
        for (int r = 0; r < rows; r++)
            for (int c = 0; c < columns; c++)
                acc[r][c] = v16_zero();
        const size_t end = min_size(a->k, (split + 1) * length);
        for (size_t k = split * length, next; k < end; k = next) {
            next = min_size(end, ((k >> shift) + 1) << shift);
            struct block block[CHAINS_ROWS];
            v16 decoder[CHAINS_ROWS];
            for (int r = 0; r < rows; r++) {
                block[r] = block_at(&a->w, format, (n + (size_t)r) * row_blocks + (k >> shift));
                decoder[r] = decoder_v16(format, t, scaling, block[r]);
                for (int c = 0; c < columns; c++)
                    into[r][c] = scaling == PER_BLOCK ? v16_zero() : acc[r][c];
            }
            for (size_t i = k, stop; i < next; i = stop) {
                stop = is_nf4(format) ? next : min_size(next, i + line); /* NF4's blocks are short */
                for (int r = 0; r < rows; r++)
                    _mm_prefetch((const char *)codes + (size_t)r * row_bytes + code_bytes(format, t, i) +
                                     DIRECT_PREFETCH,
                                 _MM_HINT_T1);
                for (size_t j = i; j < stop; j += CHAINS) {
                    v16 xv[DIRECT_COLUMNS];
                    for (int c = 0; c < columns; c++)
                        xv[c] = v16_load(x + (size_t)c * stride + j);
                    for (int r = 0; r < rows; r++) {
                        v16 w = decode_v16(format, t, scaling, decoder[r],
                                           codes + (size_t)r * row_bytes + code_bytes(format, t, j));
                        for (int c = 0; c < columns; c++)
                            into[r][c] = v16_fma(xv[c], w, into[r][c]);
                    }
                }
            }
            for (int r = 0; r < rows; r++)
                for (int c = 0; c < columns; c++)
                    acc[r][c] = scaling == PER_BLOCK
                                    ? v16_fma(into[r][c], v16_set1(block[r].scale), acc[r][c])
                                    : into[r][c];
        }
        for (int r = 0; r < rows; r++)
            for (int c = 0; c < columns; c++) {
                float partial = v16_tree(acc[r][c]);
                sum[r][c] = split ? sum[r][c] + partial : partial;
            }
    }
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++)
            gemm_store(a, t, m + (size_t)c, n + (size_t)r, sum[r][c]);
}

INLINE void chains_direct_share(const struct gemm_args *a, enum element t, enum scaling scaling,
                                enum cpu_format format, size_t splits, const float *x)
{
    const struct range mine = thread_range(a->n);
    size_t n = mine.begin;
    for (; n + V16_DIRECT_ROWS <= mine.end; n += V16_DIRECT_ROWS) {
        size_t m = 0;
        for (; m + 2 <= a->m; m += 2)
            chains_direct(a, t, scaling, format, splits, x, n, V16_DIRECT_ROWS, m, 2);
        if (m < a->m)
            chains_direct(a, t, scaling, format, splits, x, n, V16_DIRECT_ROWS, m, 1);
    }
    for (; n < mine.end; n++)
        for (size_t m = 0; m < a->m; m++)
            chains_direct(a, t, scaling, format, splits, x, n, 1, m, 1);
}

/* The calling thread's part of Y. */
INLINE void chains_share(const struct gemm_args *a, enum element t, enum scaling scaling,
                         enum cpu_format format, size_t splits)
{
    const float *x = chains_activations(a, t);
    if (a->m <= DIRECT_M_MAX && a->k % a->w.blocksize == 0 && a->k % CHAINS == 0) {
        chains_direct_share(a, t, scaling, format, splits, x);
        return;
    }
    struct chains_scratch *s = gemm_scratch(a);
    const bool general = scaling == PER_BLOCK && a->k % a->w.blocksize != 0;
    const size_t step = general ? 1 : CHAINS_ROWS;
    const struct range mine = thread_range((a->n + step - 1) / step);
    for (size_t n = mine.begin * step; n < min_size(a->n, mine.end * step); n += step) {
        size_t rows = min_size(step, a->n - n);
        for (size_t m0 = 0; m0 < a->m; m0 += CHAINS_COLUMNS) {
            size_t columns = min_size(CHAINS_COLUMNS, a->m - m0);
            const float *xm = x + m0 * chains_stride(a);
            if (general)
                chains_row_general(a, t, format, s, xm, n, columns);
            else
                chains_rows(a, t, scaling, format, splits, s, xm, n, rows, columns);
            for (size_t m = 0; m < columns; m++)
                for (size_t r = 0; r < rows; r++)
                    gemm_store(a, t, m0 + m, n + r, s->sum[m][r]);
        }
    }
}

/* The variants of four bits. */
#define CHAINS_NIBBLES(type, arch, element)                                                                  \
    GEMM(nf4_gemm_##type##_acc16__##arch, chains_share, element, PER_WEIGHT, NF4, 1)                         \
    GEMM(nf4_gemm_##type##_acc16_fused__##arch, chains_share, element, PER_WEIGHT, NF4_FUSED, 1)             \
    GEMM(nf4_gemm_##type##_sblk_acc16__##arch, chains_share, element, PER_BLOCK, NF4, 1)                     \
    GEMM(nf4_gemm_##type##_sblk_acc16_fused__##arch, chains_share, element, PER_BLOCK, NF4_FUSED, 1)         \
    GEMM(int4_gemm_##type##_acc16__##arch, chains_share, element, PER_WEIGHT, INT4, 1)                       \
    GEMM(int4_gemm_##type##_sblk_acc16__##arch, chains_share, element, PER_BLOCK, INT4, 1)

#endif
