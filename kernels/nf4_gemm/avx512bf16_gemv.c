/*
 * NF4 gemm for M = 1 to 8 with AVX512_BF16: weights go from memory to the dot unit in registers.
 *
 * What it changes: 64 packed bytes become four vectors of 32 bf16 weights by three shifts and four vpermw, in
 * the order that VDPBF16PS wants them (dpbf16.h), and are never stored. With the scale per block (c16_sblk)
 * the table is a constant and a chunk of 128 weights costs one permute and, per row of X, one fma more; with
 * the scale per weight a table is built for each block.
 * Why it should be fast: at M = 1, 13 vector
 * instructions per 64 bytes, 7 to 9 cycles, less than memory needs. W is read in storage order, and
 * prefetched into L2 only: lines on their way from memory then do not occupy the few miss buffers of L1, and
 * X stays there.
 */
#include "kernels/cpu/dpbf16.h"

enum {
    ROWS = 2,              /* rows of W side by side */
    COLUMNS_MAX = 8,       /* rows of X side by side */
    GROUP = 4,             /* chunks in a step of the loop */
    PREFETCH_BYTES = 8192, /* ahead in W: latency times bandwidth of a core, twice over */
};

/* A row of W, which gives column n of Y. */
struct gemv_row {
    const uint8_t *packed;
    struct dp_scales scales;
    size_t n;
};

/* Rows of W against `columns` rows of X from row m. */
struct gemv_job {
    const struct gemm_args *a;
    const uint16_t *x;
    size_t m, columns;
    struct gemv_row row[ROWS];
    size_t rows; /* of these; the others are to be read, but not to be stored */
};

/*
 * `chunks` chunks from c of `rows` rows of W against `columns` rows of X; of the last chunk only `lanes`
 * lanes exist.
 *
 * The dots of a chunk are a chain of four with 6 cycles each. Chunks and rows are therefore taken in turn for
 * each p: the scheduler then holds instructions that can start, not ones that wait. A load of X serves all
 * rows.
 */
INLINE void gemv_chunks(enum scaling scaling, int span, const struct gemv_row *row, size_t c, int chunks,
                        const __m512 scale[][GROUP], const uint16_t *x, size_t x_stride, int columns,
                        size_t lanes, __m512 acc[][COLUMNS_MAX])
{
    const bool whole = lanes == 16;
    const __mmask16 mask = (__mmask16)((1u << lanes) - 1);
    __m512i bytes[ROWS][GROUP];
    struct dp_tables tables[ROWS][GROUP];
    __m512 t[ROWS][GROUP][COLUMNS_MAX];
    for (int r = 0; r < ROWS; r++)
        for (int j = 0; j < chunks; j++) {
            const uint8_t *packed = row[r].packed + (c + (size_t)j) * (DP_CHUNK / 2);
            bytes[r][j] = whole ? _mm512_loadu_si512(packed) : _mm512_maskz_loadu_epi32(mask, packed);
            __asm__("" : "+v"(bytes[r][j])); /* or it is loaded again for each p: loads are what is scarce */
            tables[r][j] = scaling == PER_BLOCK ? dp_codebook_tables()
                                                : dp_scaled_tables(row[r].scales, c + (size_t)j, span, lanes);
            for (int m = 0; m < columns; m++)
                t[r][j][m] = scaling == PER_BLOCK ? _mm512_setzero_ps() : acc[r][m];
        }
    for (int p = 0; p < 4; p++)
        for (int j = 0; j < chunks; j++) {
            const uint16_t *xp = x + (c + (size_t)j) * DP_CHUNK + 32 * p;
            __m512bh w[ROWS];
            for (int r = 0; r < ROWS; r++)
                w[r] = dp_lookup(bytes[r][j], tables[r][j], scaling == PER_BLOCK ? 128 : span, p);
            for (int m = 0; m < columns; m++) {
                __m512bh xv = dp_bf16(_mm512_load_si512(xp + (size_t)m * x_stride));
                for (int r = 0; r < ROWS; r++)
                    t[r][j][m] = _mm512_dpbf16_ps(t[r][j][m], w[r], xv);
            }
        }
    for (int r = 0; r < ROWS; r++)
        for (int j = 0; j < chunks; j++)
            for (int m = 0; m < columns; m++) {
                if (scaling == PER_BLOCK)
                    acc[r][m] = whole ? _mm512_fmadd_ps(t[r][j][m], scale[r][j], acc[r][m])
                                      : _mm512_mask3_fmadd_ps(t[r][j][m], scale[r][j], acc[r][m], mask);
                else
                    acc[r][m] = whole ? t[r][j][m] : _mm512_mask_mov_ps(acc[r][m], mask, t[r][j][m]);
            }
}

/*
 * The same for one chunk, scale per block, and so many rows of X that their dots need not be kept side by
 * side: X's rows one after the other, with all weights of the chunk in registers.
 */
INLINE void gemv_chunk_wide(int span, const struct gemv_row *row, size_t c, const __m512 scale[][GROUP],
                            const uint16_t *x, size_t x_stride, int columns, __m512 acc[][COLUMNS_MAX])
{
    __m512bh w[ROWS][4];
    for (int r = 0; r < ROWS; r++) {
        __m512i bytes = _mm512_loadu_si512(row[r].packed + c * (DP_CHUNK / 2));
        for (int p = 0; p < 4; p++)
            w[r][p] = dp_lookup(bytes, dp_codebook_tables(), span, p);
    }
    for (int m = 0; m < columns; m++) {
        const uint16_t *xm = x + (size_t)m * x_stride + c * DP_CHUNK;
        __m512 t[ROWS];
        for (int r = 0; r < ROWS; r++)
            t[r] = _mm512_setzero_ps();
        for (int p = 0; p < 4; p++) {
            __m512bh xv = dp_bf16(_mm512_load_si512(xm + 32 * p));
            for (int r = 0; r < ROWS; r++)
                t[r] = _mm512_dpbf16_ps(t[r], w[r][p], xv);
        }
        for (int r = 0; r < ROWS; r++)
            acc[r][m] = _mm512_fmadd_ps(t[r], scale[r][0], acc[r][m]);
    }
}

/* A job, computed as `rows` x `columns` whatever part of that it wants: the rest is there but not stored.
 * `turn` chunks are taken in turn; one with the scale per weight, where they are one chain. */
INLINE void gemv(const struct gemv_job *job, enum scaling scaling, int span, int columns, int turn)
{
    const struct gemm_args *a = job->a;
    const size_t chunks = a->k / DP_CHUNK, grouped = chunks / GROUP * GROUP, stride = dp_stride(a->k);
    const uint16_t *x = job->x + job->m * stride;
    __m512 acc[ROWS][COLUMNS_MAX], scale[ROWS][GROUP];
    for (int r = 0; r < ROWS; r++)
        for (int m = 0; m < columns; m++)
            acc[r][m] = _mm512_setzero_ps();
    for (size_t c = 0; c < grouped; c += GROUP) {
        __m512 loaded[ROWS];
        for (int r = 0; r < ROWS; r++)
            loaded[r] = dp_load_scales(job->row[r].scales, c, a->k, span);
#pragma GCC unroll 4
        for (int j = 0; j < GROUP; j += turn) {
            for (int r = 0; r < ROWS; r++)
                for (int i = 0; i < turn; i++) {
                    size_t ahead = (c + (size_t)(j + i)) * (DP_CHUNK / 2) + PREFETCH_BYTES;
                    _mm_prefetch((const char *)job->row[r].packed + ahead, _MM_HINT_T1);
                    scale[r][i] = dp_lane_scales(job->row[r].scales, loaded[r], c, j + i, span);
                }
            if (scaling == PER_BLOCK && columns > 4)
                gemv_chunk_wide(128, job->row, c + (size_t)j, scale, x, stride, columns, acc);
            else
                gemv_chunks(scaling, span, job->row, c + (size_t)j, turn, scale, x, stride, columns, 16, acc);
        }
    }
    /* What is left: whole chunks, then a part of one. */
    for (size_t c = grouped; c < dp_chunks(a->k); c++) {
        size_t lanes = min_size(16, (a->k - c * DP_CHUNK) / 8);
        for (int r = 0; r < ROWS; r++) {
            __m512 loaded = dp_load_scales(job->row[r].scales, grouped, a->k, span);
            scale[r][0] = dp_lane_scales(job->row[r].scales, loaded, grouped, (int)(c - grouped), span);
        }
        gemv_chunks(scaling, span, job->row, c, 1, scale, x, stride, columns, lanes, acc);
    }
    for (int r = 0; r < ROWS; r++)
        for (int m = 0; m < columns; m++)
            if ((size_t)r < job->rows && (size_t)m < job->columns)
                gemm_store(a, ELEMENT_BF16, job->m + (size_t)m, job->row[r].n, v16_tree((v16){acc[r][m]}));
}

/*
 * One function for each scaling, span and number of rows of X.
 */
#define GEMV_FN(scaling, columns, turn, span)                                                                \
    static void gemv_##scaling##_##columns##_##span(const struct gemv_job *job)                              \
    {                                                                                                        \
        gemv(job, scaling, span, columns, turn);                                                             \
    }
#define GEMV_COLUMNS(scaling, columns, turn)                                                                 \
    GEMV_FN(scaling, columns, turn, 32)                                                                      \
    GEMV_FN(scaling, columns, turn, 64)                                                                      \
    GEMV_FN(scaling, columns, turn, 128)                                                                     \
    static void gemv_##scaling##_##columns(const struct gemv_job *job)                                       \
    {                                                                                                        \
        int span = dp_span(job->a);                                                                          \
        if (span == 32)                                                                                      \
            gemv_##scaling##_##columns##_32(job);                                                            \
        else if (span == 64)                                                                                 \
            gemv_##scaling##_##columns##_64(job);                                                            \
        else                                                                                                 \
            gemv_##scaling##_##columns##_128(job);                                                           \
    }
#define GEMV_SCALING(scaling, turn)                                                                          \
    GEMV_COLUMNS(scaling, 1, turn)                                                                           \
    GEMV_COLUMNS(scaling, 2, 1)                                                                              \
    GEMV_COLUMNS(scaling, 4, 1)                                                                              \
    GEMV_COLUMNS(scaling, 8, 1)                                                                              \
    static void gemv_##scaling(const struct gemv_job *job)                                                   \
    {                                                                                                        \
        if (job->columns == 1)                                                                               \
            gemv_##scaling##_1(job);                                                                         \
        else if (job->columns == 2)                                                                          \
            gemv_##scaling##_2(job);                                                                         \
        else if (job->columns <= 4)                                                                          \
            gemv_##scaling##_4(job);                                                                         \
        else                                                                                                 \
            gemv_##scaling##_8(job);                                                                         \
    }
GEMV_SCALING(PER_WEIGHT, 1)
GEMV_SCALING(PER_BLOCK, 2)

INLINE void gemm_share(const struct gemm_args *a, enum scaling scaling, enum recovery nested)
{
    /* Rows of X past m are read where 3, 5, 6 or 7 are left: at most 1.6 times as many as there are. */
    const size_t left = a->m % COLUMNS_MAX;
    const uint16_t *x = dp_activations(a, left > 4 ? round_up(a->m, 8) : left == 3 ? a->m + 1 : a->m);
    const struct range mine = thread_range(a->n);
    if (!dp_is_fast(a)) {
        for (size_t n = mine.begin; n < mine.end; n++)
            dp_general_row(a, scaling, nested, x, n);
        return;
    }
    /* The rows side by side come from parts of the thread's range, each read in storage order. */
    const size_t part = (mine.end - mine.begin + ROWS - 1) / ROWS;
    float *scratch = gemm_scratch(a);
    for (size_t i = 0; i < part; i++) {
        struct gemv_job job = {.a = a, .x = x};
        for (size_t r = 0; r < ROWS; r++) {
            size_t n = mine.begin + r * part + i;
            job.rows += n < mine.end;
            n = min_size(n, mine.end - 1);
            job.row[r].n = n;
            job.row[r].packed = a->w.packed + n * (a->k / 2);
            job.row[r].scales = dp_row_scales(a, nested, n, scratch + r * dp_scales_size(a->k));
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
