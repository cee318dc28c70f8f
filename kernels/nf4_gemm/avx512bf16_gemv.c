/*
 * nf4_gemm/avx512bf16_gemv.c: gemm of every format for M = 1 to 16 with AVX512_BF16: weights go from memory
 * to the dot unit in registers.
 *
 * Run: nf4bench verify suites/smoke.yaml -v '*__avx512bf16_gemv'
 * Ladder (kernels/README.md): before this avx512_words.c, after this avx512bf16_tile.c.
 *
 * Changes over avx512.c: three shifts and four vpermw make 64 packed bytes four vectors of 32 bf16 weights,
 * in the order that VDPBF16PS wants (dpbf16.h). They are never stored. With the scale per block (c16_sblk)
 * the table is a constant, and a chunk of 128 weights costs one permute and, for each row of X, one fma
 * more. With the scale per weight a table is built for each block, and a row of X costs the dots alone.
 *
 * Why it should be fast: at M = 1, 13 vector instructions for 64 bytes, about 8 cycles, less than memory
 * needs. W is read in storage order and prefetched into L2 only, so that lines under way from memory do not
 * occupy the few miss buffers of L1. From M = 4 on the dot unit, one vector a cycle, limits; everything else
 * runs beside it, and as much of X as fits L1 is used for 8 rows of W before the next.
 *
 * int4 costs what NF4 costs; with zero points its table is a load for each chunk. Codes of eight bits take
 * 30 and 40 instructions for 128 bytes, dense weights 16 for 256.
 */
#include "kernels/cpu/dpbf16.h"

enum {
    ROWS = 2,              /* rows of W side by side */
    PAIRS = 4,             /* pairs of rows that use a part of X before the next part */
    COLUMNS_MAX = 8,       /* rows of X side by side */
    M_MAX = 64,            /* rows of X whose sums are kept */
    GROUP = 4,             /* chunks in a step of the loop */
    X_CHUNKS = 64,         /* chunks of X, over its rows side by side, that stay in L1: 16 KiB */
    PREFETCH_BYTES = 8192, /* ahead in W: latency times bandwidth of a core, twice over */
};

/* A row of W, which gives column n of Y. */
struct gemv_row {
    const uint8_t *packed;
    struct dp_scales scales;
    size_t n;
};

typedef float gemv_sums[ROWS][M_MAX][16];

/* Chunks [begin, end) of a pair of rows of W, against rows of X from m of the sums. */
struct gemv_job {
    const struct gemv_row *row;
    size_t k, begin, end, m;
    const uint16_t *x; /* the first of these rows of X */
    gemv_sums *sums;   /* of the pair; they begin at zero where `begin` is 0 */
    size_t ahead;      /* how far to prefetch in W, in bytes */
};

/* A thread's scratch. */
struct gemv_scratch {
    gemv_sums sums[PAIRS];
    float absmax[]; /* PAIRS * ROWS * dp_scales_size(k) */
};

/*
 * `chunks` chunks from c of `rows` rows of W against `columns` rows of X; of the last chunk only `lanes`
 * lanes exist.
 *
 * The dots of a chunk are a chain of four with 6 cycles each. Chunks and rows are therefore taken in turn for
 * each p: the scheduler then holds instructions that can start, not ones that wait. A load of X serves all
 * rows.
 */
INLINE void gemv_chunks(enum cpu_format format, enum scaling scaling, int span, const struct gemv_row *row,
                        size_t c, int chunks, const __m512 scale[][GROUP], const uint16_t *x, size_t x_stride,
                        int columns, size_t lanes, __m512 acc[][COLUMNS_MAX])
{
    const bool whole = lanes == 16;
    const __mmask16 mask = (__mmask16)((1u << lanes) - 1);
    const int table_span = dp_table_span(format, scaling, span);
    struct dp_codes codes[ROWS][GROUP];
    struct dp_tables tables[ROWS][GROUP];
    __m512 t[ROWS][GROUP][COLUMNS_MAX];
    for (int r = 0; r < ROWS; r++)
        for (int j = 0; j < chunks; j++) {
            const uint8_t *packed = row[r].packed + (c + (size_t)j) * dp_chunk_bytes(format);
            codes[r][j] = dp_load(format, packed, whole ? 16 : lanes);
            tables[r][j] = dp_chunk_tables(format, scaling, &row[r].scales, c + (size_t)j, span, lanes);
            for (int m = 0; m < columns; m++)
                t[r][j][m] = scaling == PER_BLOCK ? _mm512_setzero_ps() : acc[r][m];
        }
    for (int p = 0; p < 4; p++)
        for (int j = 0; j < chunks; j++) {
            const uint16_t *xp = x + (c + (size_t)j) * DP_CHUNK + 32 * p;
            __m512bh w[ROWS];
            for (int r = 0; r < ROWS; r++)
                w[r] = dp_weights(format, codes[r][j], tables[r][j], table_span, p);
            for (int m = 0; m < columns; m++) {
                __m512bh xv = (__m512bh)_mm512_load_si512(xp + (size_t)m * x_stride);
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
 * The same for one whole chunk and so many rows of X that their dots need not be taken in turn: X's rows one
 * after the other, with all weights of the chunk in registers.
 */
INLINE void gemv_chunk_wide(enum cpu_format format, enum scaling scaling, int span,
                            const struct gemv_row *row, size_t c, const __m512 scale[][GROUP],
                            const uint16_t *x, size_t x_stride, int columns, __m512 acc[][COLUMNS_MAX])
{
    __m512bh w[ROWS][4];
    for (int r = 0; r < ROWS; r++) {
        struct dp_codes codes = dp_load(format, row[r].packed + c * dp_chunk_bytes(format), 16);
        struct dp_tables tables = dp_chunk_tables(format, scaling, &row[r].scales, c, span, 16);
        for (int p = 0; p < 4; p++)
            w[r][p] = dp_weights(format, codes, tables, dp_table_span(format, scaling, span), p);
    }
    for (int m = 0; m < columns; m++) {
        const uint16_t *xm = x + (size_t)m * x_stride + c * DP_CHUNK;
        __m512 t[ROWS];
        for (int r = 0; r < ROWS; r++)
            t[r] = scaling == PER_BLOCK ? _mm512_setzero_ps() : acc[r][m];
        for (int p = 0; p < 4; p++) {
            __m512bh xv = (__m512bh)_mm512_load_si512(xm + 32 * p);
            for (int r = 0; r < ROWS; r++)
                t[r] = _mm512_dpbf16_ps(t[r], w[r][p], xv);
        }
        for (int r = 0; r < ROWS; r++)
            acc[r][m] = scaling == PER_BLOCK ? _mm512_fmadd_ps(t[r], scale[r][0], acc[r][m]) : t[r];
    }
}

/* A job for `columns` rows of X, of which some may be padding. `turn` chunks are taken in turn; one with the
 * scale per weight, where they are one chain. */
INLINE void gemv(const struct gemv_job *job, enum cpu_format format, enum scaling scaling, int span,
                 int columns, int turn)
{
    const struct gemv_row *row = job->row;
    const size_t stride = dp_stride(job->k), whole = min_size(job->end, job->k / DP_CHUNK);
    __m512 acc[ROWS][COLUMNS_MAX], scale[ROWS][GROUP], loaded[ROWS];
    for (int r = 0; r < ROWS; r++)
        for (int m = 0; m < columns; m++)
            acc[r][m] =
                job->begin ? _mm512_load_ps((*job->sums)[r][job->m + (size_t)m]) : _mm512_setzero_ps();
    size_t c = job->begin;
    for (; c + GROUP <= whole; c += GROUP) {
        for (int r = 0; r < ROWS; r++)
            loaded[r] = dp_load_scales(row[r].scales, c, job->k, span);
#pragma GCC unroll 4
        for (int j = 0; j < GROUP; j += turn) {
            for (int r = 0; r < ROWS; r++)
                for (int i = 0; i < turn; i++) {
                    size_t ahead = (c + (size_t)(j + i)) * dp_chunk_bytes(format) + job->ahead;
                    for (size_t line = 0; line < dp_chunk_bytes(format); line += 64)
                        _mm_prefetch((const char *)row[r].packed + ahead + line, _MM_HINT_T1);
                    scale[r][i] = dp_lane_scales(row[r].scales, loaded[r], c, j + i, span);
                }
            if (columns >= 4)
                gemv_chunk_wide(format, scaling, span, row, c + (size_t)j, scale, job->x, stride, columns,
                                acc);
            else
                gemv_chunks(format, scaling, span, row, c + (size_t)j, turn, scale, job->x, stride, columns,
                            16, acc);
        }
    }
    /* What is left: whole chunks, then a part of one. */
    for (size_t first = c; c < job->end; c++) {
        size_t lanes = min_size(16, (job->k - c * DP_CHUNK) / 8);
        for (int r = 0; r < ROWS; r++) {
            loaded[r] = dp_load_scales(row[r].scales, first, job->k, span);
            scale[r][0] = dp_lane_scales(row[r].scales, loaded[r], first, (int)(c - first), span);
        }
        gemv_chunks(format, scaling, span, row, c, 1, scale, job->x, stride, columns, lanes, acc);
    }
    for (int r = 0; r < ROWS; r++)
        for (int m = 0; m < columns; m++)
            _mm512_store_ps((*job->sums)[r][job->m + (size_t)m], acc[r][m]);
}

/* One function for each format, scaling, span and number of rows of X. */
#define GEMV_FN(format, scaling, columns, turn, span)                                                        \
    static void gemv_##format##_##scaling##_##columns##_##span(const struct gemv_job *job)                   \
    {                                                                                                        \
        gemv(job, format, scaling, span, columns, turn);                                                     \
    }
#define GEMV_SPAN(format, scaling, turn, span)                                                               \
    GEMV_FN(format, scaling, 1, turn, span)                                                                  \
    GEMV_FN(format, scaling, 2, 1, span)                                                                     \
    GEMV_FN(format, scaling, 4, 1, span)                                                                     \
    GEMV_FN(format, scaling, 8, 1, span)                                                                     \
    static void gemv_##format##_##scaling##_##span(const struct gemv_job *job, size_t columns)               \
    {                                                                                                        \
        if (columns == 1)                                                                                    \
            gemv_##format##_##scaling##_1_##span(job);                                                       \
        else if (columns == 2)                                                                               \
            gemv_##format##_##scaling##_2_##span(job);                                                       \
        else if (columns <= 4)                                                                               \
            gemv_##format##_##scaling##_4_##span(job);                                                       \
        else                                                                                                 \
            gemv_##format##_##scaling##_8_##span(job);                                                       \
    }
#define GEMV_FORMAT(format, scaling, turn)                                                                   \
    GEMV_SPAN(format, scaling, turn, 32)                                                                     \
    GEMV_SPAN(format, scaling, turn, 64)                                                                     \
    GEMV_SPAN(format, scaling, turn, 128)                                                                    \
    static void gemv_##format##_##scaling(const struct gemv_job *job, int span, size_t columns)              \
    {                                                                                                        \
        (span == 32   ? gemv_##format##_##scaling##_32                                                       \
         : span == 64 ? gemv_##format##_##scaling##_64                                                       \
                      : gemv_##format##_##scaling##_128)(job, columns);                                      \
    }
GEMV_FORMAT(NF4, PER_WEIGHT, 1)
GEMV_FORMAT(NF4, PER_BLOCK, 2)
GEMV_FORMAT(INT4, PER_WEIGHT, 1)
GEMV_FORMAT(INT4, PER_BLOCK, 2)
GEMV_FORMAT(INT4_SYMMETRIC, PER_BLOCK, 2)
GEMV_FORMAT(INT8, PER_BLOCK, 2)
GEMV_FORMAT(FP8, PER_BLOCK, 2)
GEMV_SPAN(DENSE, PER_WEIGHT, 1, 128)

/* By format and scaling as constants. NF4's scales are found already. */
INLINE void gemv_run(const struct gemv_job *job, enum cpu_format format, enum scaling scaling, bool symmetric,
                     int span, size_t columns)
{
    if (format == INT4 && scaling == PER_BLOCK)
        (symmetric ? gemv_INT4_SYMMETRIC_PER_BLOCK : gemv_INT4_PER_BLOCK)(job, span, columns);
    else if (format == INT4)
        gemv_INT4_PER_WEIGHT(job, span, columns);
    else if (format == INT8)
        gemv_INT8_PER_BLOCK(job, span, columns);
    else if (format == FP8)
        gemv_FP8_PER_BLOCK(job, span, columns);
    else if (format == DENSE)
        gemv_DENSE_PER_WEIGHT_128(job, columns);
    else
        (scaling == PER_WEIGHT ? gemv_NF4_PER_WEIGHT : gemv_NF4_PER_BLOCK)(job, span, columns);
}

/* `pairs` pairs of rows of W against `columns` <= M_MAX rows of X. */
INLINE void gemv_pairs(const struct gemm_args *a, enum cpu_format format, enum scaling scaling,
                       const struct gemv_row (*row)[ROWS], size_t pairs, const uint16_t *x, size_t columns,
                       gemv_sums *sums)
{
    const size_t chunks = dp_chunks(a->k), chunk_bytes = dp_chunk_bytes(format);
    const size_t row_bytes = code_bytes(format, ELEMENT_BF16, a->k);
    const size_t part = min_size(chunks, X_CHUNKS / min_size(columns, COLUMNS_MAX));
    struct gemv_job job = {.k = a->k};
    for (; job.begin < chunks; job.begin = job.end) {
        job.end = min_size(chunks, job.begin + part);
        /* Next are these rows from `end` on, or the rows after these. */
        job.ahead = part == chunks ? PREFETCH_BYTES
                                   : (job.end < chunks ? part : 0) * chunk_bytes +
                                         (job.end < chunks ? 0 : pairs * row_bytes - job.begin * chunk_bytes);
        for (job.m = 0; job.m < columns; job.m += COLUMNS_MAX)
            for (size_t i = 0; i < pairs; i++) {
                job.row = row[i];
                job.x = x + job.m * dp_stride(a->k);
                job.sums = &sums[i];
                gemv_run(&job, format, scaling, !a->w.zero, dp_span(a),
                         min_size(COLUMNS_MAX, columns - job.m));
            }
    }
}

INLINE void gemm_share(const struct gemm_args *a, enum scaling scaling, enum cpu_format format)
{
    /* Rows of X past m are read where 3, 5, 6 or 7 are left: at most 1.6 times as many as there are. */
    const size_t left = a->m % COLUMNS_MAX;
    const uint16_t *x = dp_activations(a, left > 4 ? round_up(a->m, 8) : left == 3 ? a->m + 1 : a->m);
    const struct range mine = thread_range(a->n);
    if (!dp_is_fast(a)) {
        for (size_t n = mine.begin; n < mine.end; n++)
            dp_general_row(a, scaling, format, x, n);
        return;
    }
    /* The two rows of a pair come from two halves of the thread's range, each read in storage order. */
    const size_t half = (mine.end - mine.begin + 1) / 2, side_by_side = min_size(a->m, COLUMNS_MAX);
    const size_t pairs_max = dp_chunks(a->k) * side_by_side <= X_CHUNKS ? 1 : PAIRS;
    struct gemv_scratch *scratch = gemm_scratch(a);
    for (size_t first = 0, pairs; first < half; first += pairs) {
        struct gemv_row row[PAIRS][ROWS];
        pairs = min_size(pairs_max, half - first);
        for (size_t i = 0; i < pairs * ROWS; i++) {
            size_t n = min_size(mine.begin + i % ROWS * half + first + i / ROWS, mine.end - 1);
            struct gemv_row *at = &row[i / ROWS][i % ROWS];
            at->packed = a->w.packed + n * code_bytes(format, ELEMENT_BF16, a->k);
            at->scales = dp_row_scales(a, format, n, scratch->absmax + i * dp_scales_size(a->k));
            at->n = n;
        }
        for (size_t m0 = 0; m0 < a->m; m0 += M_MAX) {
            size_t columns = min_size(M_MAX, a->m - m0);
            gemv_pairs(a, format, scaling, row, pairs, x + m0 * dp_stride(a->k), columns, scratch->sums);
            for (size_t i = 0; i < pairs * ROWS; i++)
                for (size_t m = 0; m < columns; m++)
                    gemm_store(a, ELEMENT_BF16, m0 + m, row[i / ROWS][i % ROWS].n,
                               v16_tree(v16_load(scratch->sums[i / ROWS][i % ROWS][m])));
        }
    }
}

DP_VARIANTS(gemv)
