/*
 * int4_gemm/avx512_columns.c: int4 gemm for M = 1 and a few more on the layouts of GPTQ and AWQ, with
 * AVX-512 in fp32 arithmetic.
 *
 * Run: nf4bench verify suites/smoke.yaml -v 'int4_gemm_*__avx512_[ag]*'
 * Ladder (kernels/README.md): before this nf4_gemm/avx512bf16_tile.c, after this none.
 *
 * Changes over the products by rows: nothing is transposed. Lanes are columns: each output is one chain over
 * k (acc1), x is one number for a whole vector, and there is no tree. A value costs an or and a subtraction
 * (int4_columns.h). A thread owns a stripe of columns and takes a panel of k of all of it before the next,
 * so that W is read in long pieces of few pages; the sums wait in its scratch. Why it should be fast: at M =
 * 1, 25 instructions for 64 bytes of codes.
 */
#include "kernels/cpu/gemm.h"

#include "kernels/cpu/int4_columns.h"

enum {
    VECTORS_MAX = 8, /* of sums in a unit: GPTQ 4 of 16 columns, AWQ 8, of 128 columns */
    GPTQ_VECTORS = 4,
    GPTQ_PANEL = 128, /* k */
    AWQ_PANEL = 32,
    M_MAX = 64,              /* rows of X whose sums are kept */
    TILE_MAX = 4,            /* rows of X in registers */
    SUMS_BYTES = 128 * 1024, /* of a thread */
    AHEAD_BYTES = 8192,      /* of codes, between what is prefetched and what is used */
};

/* Sums of a unit and one row of X: of the group, and of the groups before it. */
struct sums {
    float group[VECTORS_MAX][16], all[VECTORS_MAX][16];
};

INLINE bool is_gptq(enum cpu_layout layout)
{
    return layout != AWQ;
}

INLINE size_t unit_columns(enum cpu_layout layout)
{
    return is_gptq(layout) ? 16 * GPTQ_VECTORS : 128;
}

/* What one panel of k of one unit is. */
struct column_panel {
    const struct matrix *w;
    const float *x; /* the first row of X of the tile, at the first k */
    size_t k, depth, column;
    struct sums *sums; /* of the first row of the tile */
    bool begin, end;   /* of the group */
};

INLINE void columns_gptq(const struct column_panel *p, enum cpu_layout layout, int rows)
{
    const struct matrix *w = p->w;
    const size_t g = p->k / w->w->blocksize, n = w->n;
    const uint32_t *codes = matrix_words(w, 0) + p->k / 8 * n + p->column;
    float offset[GPTQ_VECTORS][PLACES][16] __attribute__((aligned(64)));
    __mmask16 mask[GPTQ_VECTORS];
    __m512 t[TILE_MAX][GPTQ_VECTORS];
    for (int v = 0; v < GPTQ_VECTORS; v++) {
        const size_t c = p->column + 16 * (size_t)v;
        mask[v] = column_mask(n, c);
        gptq_offsets(gptq_zeros(w, layout, g, c, mask[v]), offset[v]);
        for (int m = 0; m < rows; m++)
            t[m][v] = p->begin ? _mm512_setzero_ps() : _mm512_load_ps(p->sums[m].group[v]);
    }
    for (size_t k = 0; k < p->depth; k += 8, codes += n) {
        struct words words[GPTQ_VECTORS];
        for (int v = 0; v < GPTQ_VECTORS; v++)
            words[v] = words_of(_mm512_maskz_loadu_epi32(mask[v], codes + 16 * v));
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            for (int v = 0; v < GPTQ_VECTORS; v++) {
                __m512 value =
                    _mm512_sub_ps(nibble_over_power(words[v], i), _mm512_load_ps(offset[v][nibble_place(i)]));
                for (int m = 0; m < rows; m++)
                    t[m][v] = _mm512_fmadd_ps(_mm512_set1_ps(p->x[(size_t)m * w->k + k + (size_t)i]), value,
                                              t[m][v]);
            }
    }
    for (int v = 0; v < GPTQ_VECTORS; v++) {
        const __m512 scale = column_scales(w, g, p->column + 16 * (size_t)v, mask[v]);
        for (int m = 0; m < rows; m++) {
            float *all = p->sums[m].all[v];
            if (p->end)
                _mm512_store_ps(all, _mm512_fmadd_ps(t[m][v], scale, _mm512_load_ps(all)));
            else
                _mm512_store_ps(p->sums[m].group[v], t[m][v]);
        }
    }
}

/* The scale per weight, with the group of each k: act-order or not. */
INLINE void columns_gptq_weights(const struct column_panel *p, enum element t, enum cpu_layout layout,
                                 int rows)
{
    const struct matrix *w = p->w;
    const size_t n = w->n;
    const uint32_t *codes = matrix_words(w, 0) + p->k / 8 * n + p->column;
    size_t group = group_of(w, layout, p->k);
    __m512i zero[GPTQ_VECTORS];
    __mmask16 mask[GPTQ_VECTORS];
    __m512 sum[TILE_MAX][GPTQ_VECTORS], scale[GPTQ_VECTORS];
    for (int v = 0; v < GPTQ_VECTORS; v++) {
        const size_t c = p->column + 16 * (size_t)v;
        mask[v] = column_mask(n, c);
        zero[v] = gptq_zeros(w, layout, group, c, mask[v]);
        scale[v] = column_scales(w, group, c, mask[v]);
        for (int m = 0; m < rows; m++)
            sum[m][v] = _mm512_load_ps(p->sums[m].all[v]);
    }
    for (size_t k = 0; k < p->depth; k += 8, codes += n)
        for (unsigned i = 0; i < 8; i++) {
            const size_t g = group_of(w, layout, p->k + k + i);
            for (int v = 0; v < GPTQ_VECTORS; v++) {
                if (g != group) {
                    zero[v] = gptq_zeros(w, layout, g, p->column + 16 * (size_t)v, mask[v]);
                    scale[v] = column_scales(w, g, p->column + 16 * (size_t)v, mask[v]);
                }
                __m512i q = _mm512_and_si512(
                    _mm512_srli_epi32(_mm512_maskz_loadu_epi32(mask[v], codes + 16 * v), 4 * i),
                    _mm512_set1_epi32(15));
                __m512 weight =
                    rounded_512(t, _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(q, zero[v])), scale[v]));
                for (int m = 0; m < rows; m++)
                    sum[m][v] =
                        _mm512_fmadd_ps(_mm512_set1_ps(p->x[(size_t)m * w->k + k + i]), weight, sum[m][v]);
            }
            group = g;
        }
    for (int v = 0; v < GPTQ_VECTORS; v++)
        for (int m = 0; m < rows; m++)
            _mm512_store_ps(p->sums[m].all[v], sum[m][v]);
}

INLINE void columns_awq(const struct column_panel *p, int rows)
{
    const struct matrix *w = p->w;
    const size_t g = p->k / w->w->blocksize;
    const uint32_t *codes = matrix_words(w, 0) + (p->k * w->n + p->column) / 8;
    const __mmask16 mask = awq_words(w->n, p->column);
    float offset[8][16] __attribute__((aligned(64)));
    __m512 t[TILE_MAX][8];
    awq_offsets(w, g, p->column, offset);
    for (int i = 0; i < 8; i++)
        for (int m = 0; m < rows; m++)
            t[m][i] = p->begin ? _mm512_setzero_ps() : _mm512_load_ps(p->sums[m].group[i]);
    for (size_t k = 0; k < p->depth; k++, codes += w->n / 8) {
        const struct words words = words_of(_mm512_maskz_loadu_epi32(mask, codes));
        __m512 x[TILE_MAX];
        for (int m = 0; m < rows; m++)
            x[m] = _mm512_set1_ps(p->x[(size_t)m * w->k + k]);
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) {
            __m512 value = _mm512_sub_ps(nibble_over_power(words, i), _mm512_load_ps(offset[i]));
            for (int m = 0; m < rows; m++)
                t[m][i] = _mm512_fmadd_ps(x[m], value, t[m][i]);
        }
    }
    __m512 scale[8];
    if (p->end)
        awq_scales(w, g, p->column, scale);
    for (int i = 0; i < 8; i++)
        for (int m = 0; m < rows; m++) {
            float *all = p->sums[m].all[i];
            if (p->end)
                _mm512_store_ps(all, _mm512_fmadd_ps(t[m][i], scale[i], _mm512_load_ps(all)));
            else
                _mm512_store_ps(p->sums[m].group[i], t[m][i]);
        }
}

INLINE void columns_tile(const struct column_panel *p, enum element t, enum cpu_layout layout,
                         enum scaling scaling, int rows)
{
    if (!is_gptq(layout))
        columns_awq(p, rows);
    else if (scaling == PER_BLOCK)
        columns_gptq(p, layout, rows);
    else
        columns_gptq_weights(p, t, layout, rows);
}

/* All rows of X, as many at a time as have room in registers. */
INLINE void columns_panel(struct column_panel p, enum element t, enum cpu_layout layout, enum scaling scaling,
                          size_t rows)
{
    enum { AWQ_TILE = 2 };
    for (size_t m = 0, tile; m < rows; m += tile) {
        const size_t left = rows - m;
        tile = is_gptq(layout) && left >= TILE_MAX ? TILE_MAX : left >= AWQ_TILE ? AWQ_TILE : 1;
        if (tile == TILE_MAX)
            columns_tile(&p, t, layout, scaling, TILE_MAX);
        else if (tile == AWQ_TILE)
            columns_tile(&p, t, layout, scaling, AWQ_TILE);
        else
            columns_tile(&p, t, layout, scaling, 1);
        p.x += tile * p.w->k;
        p.sums += tile;
    }
}

/* The codes of one panel of a unit, into the second cache. */
INLINE void columns_prefetch(const struct matrix *w, enum cpu_layout layout, size_t k, size_t depth,
                             size_t column)
{
    const size_t stride = is_gptq(layout) ? 4 * w->n : w->n / 2,
                 width = is_gptq(layout) ? 64 * GPTQ_VECTORS : 64;
    const size_t first = is_gptq(layout) ? k / 8 * stride + 4 * column : k * stride + column / 2;
    for (size_t r = 0; r < (is_gptq(layout) ? depth / 8 : depth); r++)
        for (size_t line = 0; line < width; line += 64)
            _mm_prefetch((const char *)w->prepared + first + r * stride + line, _MM_HINT_T1);
}

/* X in fp32 in the workspace. Every thread of the region calls this; it ends in a barrier. */
INLINE const float *columns_activations(const struct gemm_args *a, enum element t)
{
    float *out = a->workspace;
    const size_t count = a->m * a->k, whole = count / 16;
    const struct range mine = thread_range(whole);
    for (size_t i = mine.begin; i < mine.end; i++)
        v16_store(out + 16 * i, v16_load_element(t, (const char *)a->x + 16 * i * element_size(t)));
#pragma omp single
    for (size_t i = whole * 16; i < count; i++)
        out[i] = load_element(t, a->x, i);
    return out;
}

/* Columns [begin, end), a stripe, against `rows` <= M_MAX rows of X from row m. */
INLINE void columns_stripe(const struct gemm_args *a, const struct matrix *w, enum element t,
                           enum cpu_layout layout, enum scaling scaling, const float *x, size_t begin,
                           size_t end, size_t m, size_t rows, struct sums *sums)
{
    const size_t width = unit_columns(layout), units = (end - begin + width - 1) / width;
    const size_t most = is_gptq(layout) ? GPTQ_PANEL : AWQ_PANEL, ahead = AHEAD_BYTES / (most * width / 2);
    memset(sums, 0, units * rows * sizeof *sums);
    for (size_t k = 0, depth; k < a->k; k += depth) {
        const size_t group_end = scaling == PER_BLOCK ? (k / a->w.blocksize + 1) * a->w.blocksize : a->k;
        depth = min_size(most, group_end - k);
        for (size_t u = 0; u < units; u++) {
            if (u + ahead < units)
                columns_prefetch(w, layout, k, depth, begin + (u + ahead) * width);
            else if (k + depth < a->k)
                columns_prefetch(w, layout, k + depth, min_size(depth, a->k - k - depth),
                                 begin + min_size(u + ahead - units, units - 1) * width);
            columns_panel((struct column_panel){w, x + m * a->k + k, k, depth, begin + u * width,
                                                sums + u * rows, k % a->w.blocksize == 0,
                                                k + depth == group_end},
                          t, layout, scaling, rows);
        }
    }
    for (size_t u = 0; u < units; u++)
        for (size_t r = 0; r < rows; r++)
            for (size_t j = 0; j < width && begin + u * width + j < end; j++) {
                const float(*all)[16] = (const float(*)[16])sums[u * rows + r].all;
                gemm_store(a, t, m + r, begin + u * width + j,
                           is_gptq(layout) ? all[j / 16][j % 16] : all[awq_place(j)][j / 8]);
            }
}

INLINE void columns_share(const struct gemm_args *a, enum element t, enum cpu_layout layout,
                          enum scaling scaling)
{
    const struct matrix w = matrix_of(&a->w, a->prepared, a->n, a->k, layout);
    const float *x = columns_activations(a, t);
    const size_t width = unit_columns(layout);
    const struct range mine = thread_range((a->n + width - 1) / width);
    const size_t end = min_size(a->n, mine.end * width);
    for (size_t m = 0; m < a->m; m += M_MAX) {
        const size_t rows = min_size(M_MAX, a->m - m),
                     stripe = SUMS_BYTES / sizeof(struct sums) / rows * width;
        for (size_t c = mine.begin * width; c < end; c += stripe)
            columns_stripe(a, &w, t, layout, scaling, x, c, min_size(end, c + stripe), m, rows,
                           gemm_scratch(a));
    }
}

#define GEMM_TYPE(type, element)                                                                             \
    GEMM(int4_gemm_##type##_acc1__avx512_gptq, columns_share, element, GPTQ, PER_WEIGHT)                     \
    GEMM(int4_gemm_##type##_acc1__avx512_gptqv2, columns_share, element, GPTQV2, PER_WEIGHT)                 \
    GEMM(int4_gemm_##type##_sblk_acc1__avx512_gptq, columns_share, element, GPTQ, PER_BLOCK)                 \
    GEMM(int4_gemm_##type##_sblk_acc1__avx512_gptqv2, columns_share, element, GPTQV2, PER_BLOCK)             \
    GEMM(int4_gemm_##type##_sblk_acc1__avx512_awq, columns_share, element, AWQ, PER_BLOCK)
FOR_ELEMENTS(GEMM_TYPE)
