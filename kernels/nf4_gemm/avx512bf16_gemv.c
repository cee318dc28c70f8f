/*
 * NF4 gemm for M = 1 to 8 with AVX512_BF16: weights go from memory to the dot unit in registers.
 *
 * What it changes: 64 packed bytes become four vectors of 32 bf16 weights by three shifts and four vpermw, in
 * the order that VDPBF16PS wants them (dpbf16.h), and are never stored. With the scale per block (c16_sblk)
 * the table is a constant and a chunk of 128 weights costs one permute and, per row of X, one fma more; with
 * the scale per weight a table is built for each block. Why it should be fast: at M = 1, 13 vector
 * instructions per 64 bytes, 7 to 9 cycles, less than memory needs. W is read in storage order, and
 * prefetched into L2 only: lines on their way from memory then do not occupy the few miss buffers of L1, and
 * X stays there.
 */
#include "kernels/cpu/dpbf16.h"

enum {
    ROWS_MAX = 4,          /* rows of W side by side */
    COLUMNS_MAX = 8,       /* rows of X side by side */
    GROUP = 4,             /* chunks in a step of the loop */
    PREFETCH_BYTES = 8192, /* ahead in W: latency times bandwidth of a core, twice over */
};

/* A row of W on its way through memory. */
struct gemv_row {
    const uint8_t *packed;
    struct dp_scales scales;
};

/* `rows` rows of W from row n against `columns` rows of X from row m. */
struct gemv_job {
    const struct gemm_args *a;
    const uint16_t *x;
    size_t n, m, rows, columns;
    struct gemv_row row[ROWS_MAX];
};

/* Chunk c of one row of W against rows of X; only `lanes` lanes exist. */
INLINE void gemv_chunk(enum scaling scaling, __m512i table, const struct gemv_row *row, size_t c, int span,
                       __m512 scale, const uint16_t *x, size_t x_stride, int columns, size_t lanes,
                       __m512 *acc)
{
    const uint8_t *packed = row->packed + c * (DP_CHUNK / 2);
    const bool whole = lanes == 16;
    __mmask16 mask = (__mmask16)((1u << lanes) - 1);
    __m512i bytes = whole ? _mm512_loadu_si512(packed) : _mm512_maskz_loadu_epi32(mask, packed);
    __m512bh w[4];
    if (scaling == PER_BLOCK)
        dp_lookup(bytes, table, w);
    else
        dp_scaled_weights(bytes, row->scales, c, span, lanes, w);
    for (int m = 0; m < columns; m++) {
        const uint16_t *xm = x + (size_t)m * x_stride + c * DP_CHUNK;
        __m512 t = scaling == PER_BLOCK ? _mm512_setzero_ps() : acc[m];
        for (int p = 0; p < 4; p++)
            t = _mm512_dpbf16_ps(t, w[p], dp_bf16(_mm512_load_si512(xm + 32 * p)));
        if (scaling == PER_BLOCK)
            acc[m] =
                whole ? _mm512_fmadd_ps(t, scale, acc[m]) : _mm512_mask3_fmadd_ps(t, scale, acc[m], mask);
        else
            acc[m] = whole ? t : _mm512_mask_mov_ps(acc[m], mask, t);
    }
}

/* A job, computed as `rows` x `columns` whatever part of that it wants: the rest is there but not stored. */
INLINE void gemv(const struct gemv_job *job, enum scaling scaling, int span, int rows, int columns)
{
    const struct gemm_args *a = job->a;
    const size_t chunks = a->k / DP_CHUNK, grouped = chunks / GROUP * GROUP, stride = dp_stride(a->k);
    const uint16_t *x = job->x + job->m * stride;
    const __m512i table = scaling == PER_BLOCK ? dp_codebook() : _mm512_setzero_si512();
    __m512 loaded[ROWS_MAX], acc[ROWS_MAX][COLUMNS_MAX];
    for (int r = 0; r < rows; r++)
        for (int m = 0; m < columns; m++)
            acc[r][m] = _mm512_setzero_ps();
    for (size_t c = 0; c < grouped; c += GROUP) {
        for (int r = 0; r < rows; r++)
            loaded[r] = dp_load_scales(job->row[r].scales, c, a->k, span);
#pragma GCC unroll 4
        for (int j = 0; j < GROUP; j++)
            for (int r = 0; r < rows; r++) {
                const struct gemv_row *row = &job->row[r];
                _mm_prefetch((const char *)row->packed + (c + (size_t)j) * 64 + PREFETCH_BYTES, _MM_HINT_T1);
                gemv_chunk(scaling, table, row, c + (size_t)j, span,
                           dp_lane_scales(row->scales, loaded[r], c, j, span), x, stride, columns, 16,
                           acc[r]);
            }
    }
    /* What is left: whole chunks, then a part of one. */
    const size_t left = stride / DP_CHUNK - grouped;
    for (int r = 0; r < rows && left; r++) {
        const struct gemv_row *row = &job->row[r];
        loaded[r] = dp_load_scales(row->scales, grouped, a->k, span);
        for (size_t j = 0; j < left; j++) {
            __m512 scale = dp_lane_scales(row->scales, loaded[r], grouped, (int)j, span);
            size_t c = grouped + j, lanes = min_size(16, (a->k - c * DP_CHUNK) / 8);
            gemv_chunk(scaling, table, row, c, span, scale, x, stride, columns, lanes, acc[r]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int m = 0; m < columns; m++)
            if ((size_t)r < job->rows && (size_t)m < job->columns)
                gemm_store(a, ELEMENT_BF16, job->m + (size_t)m, job->n + (size_t)r,
                           v16_tree((v16){acc[r][m]}));
}

/*
 * One function for each scaling, span and shape, and the shape that fits the rows of X. With the scale per
 * block the dots of a chunk wait for nothing, and one row of W at a time is best for memory; with the scale
 * per weight they are one chain, and rows of W side by side fill it. With several rows of X, two rows of W
 * halve its loads.
 */
#define GEMV_FN(scaling, rows, columns, span)                                                                \
    static void gemv_##scaling##_##rows##x##columns##_##span(const struct gemv_job *job)                     \
    {                                                                                                        \
        gemv(job, scaling, span, rows, columns);                                                             \
    }
#define GEMV_SHAPE(scaling, rows, columns)                                                                   \
    GEMV_FN(scaling, rows, columns, 32)                                                                      \
    GEMV_FN(scaling, rows, columns, 64)                                                                      \
    GEMV_FN(scaling, rows, columns, 128)                                                                     \
    static void gemv_##scaling##_##columns(const struct gemv_job *job)                                       \
    {                                                                                                        \
        int span = dp_span(job->a);                                                                          \
        if (span == 32)                                                                                      \
            gemv_##scaling##_##rows##x##columns##_32(job);                                                   \
        else if (span == 64)                                                                                 \
            gemv_##scaling##_##rows##x##columns##_64(job);                                                   \
        else                                                                                                 \
            gemv_##scaling##_##rows##x##columns##_128(job);                                                  \
    }
#define GEMV_SCALING(scaling, rows_of_gemv)                                                                  \
    GEMV_SHAPE(scaling, rows_of_gemv, 1)                                                                     \
    GEMV_SHAPE(scaling, 2, 2)                                                                                \
    GEMV_SHAPE(scaling, 2, 4)                                                                                \
    GEMV_SHAPE(scaling, 2, 8)                                                                                \
    static void gemv_##scaling(const struct gemv_job *job)                                                   \
    {                                                                                                        \
        if (job->a->m == 1)                                                                                  \
            gemv_##scaling##_1(job);                                                                         \
        else if (job->columns <= 2)                                                                          \
            gemv_##scaling##_2(job);                                                                         \
        else if (job->columns <= 4)                                                                          \
            gemv_##scaling##_4(job);                                                                         \
        else                                                                                                 \
            gemv_##scaling##_8(job);                                                                         \
    }
GEMV_SCALING(PER_WEIGHT, 4)
GEMV_SCALING(PER_BLOCK, 1)

INLINE void gemm_share(const struct gemm_args *a, enum scaling scaling, enum recovery nested)
{
    /* Rows of X up to the shape's are read: at most twice as many as there are, for which there is room. */
    const uint16_t *x = dp_activations(a, a->m == 1 ? 1
                                                    : round_up(a->m, a->m % 8 > 4   ? 8
                                                                     : a->m % 8 > 2 ? 4
                                                                                    : 2));
    const struct range mine = thread_range(a->n);
    if (!dp_is_fast(a)) {
        for (size_t n = mine.begin; n < mine.end; n++)
            dp_general_row(a, scaling, nested, x, n);
        return;
    }
    const size_t rows = a->m > 1 ? 2 : scaling == PER_WEIGHT ? 4 : 1;
    float *scratch = gemm_scratch(a);
    for (size_t n = mine.begin; n < mine.end; n += rows) {
        struct gemv_job job = {.a = a, .x = x, .n = n, .rows = min_size(rows, mine.end - n)};
        for (size_t r = 0; r < rows; r++) {
            size_t row = min_size(n + r, mine.end - 1); /* past the end: the last row again */
            job.row[r].packed = a->w.packed + row * (a->k / 2);
            job.row[r].scales = dp_row_scales(a, nested, row, scratch + r * dp_scales_size(a->k));
        }
        for (job.m = 0; job.m < a->m; job.m += COLUMNS_MAX) {
            job.columns = min_size(COLUMNS_MAX, a->m - job.m);
            if (scaling == PER_WEIGHT)
                gemv_PER_WEIGHT(&job);
            else
                gemv_PER_BLOCK(&job);
        }
    }
}

#define GEMM(name, scaling, nested)                                                                          \
    void name(const struct gemm_args *a)                                                                     \
    {                                                                                                        \
        _Pragma("omp parallel num_threads(gemm_threads())") gemm_share(a, scaling, nested);                  \
    }

GEMM(nf4_gemm_bf16_dpbf16_ftz__avx512bf16_gemv, PER_WEIGHT, ABSMAX_PLAIN)
GEMM(nf4_gemm_bf16_dpbf16_fused_ftz__avx512bf16_gemv, PER_WEIGHT, ABSMAX_FUSED)
GEMM(nf4_gemm_bf16_c16_sblk_dpbf16_ftz__avx512bf16_gemv, PER_BLOCK, ABSMAX_PLAIN)
GEMM(nf4_gemm_bf16_c16_sblk_dpbf16_fused_ftz__avx512bf16_gemv, PER_BLOCK, ABSMAX_FUSED)
