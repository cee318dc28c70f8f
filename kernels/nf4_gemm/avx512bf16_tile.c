/*
 * nf4_gemm/avx512bf16_tile.c: gemm of every format for M = 4 to 64 and more with AVX512_BF16: 8 rows of W
 * are decoded 1024 columns at a time into L1.
 *
 * Run: nf4bench verify suites/smoke.yaml -v '*__avx512bf16_tile8x3'
 * Ladder (kernels/README.md): before this avx512bf16_gemv.c, after this int4_gemm/avx512_columns.c.
 *
 * Changes over avx512bf16_gemv.c: a weight is looked up once for up to 64 rows of X, not for 4. Weights lie
 * in L1 in the order that VDPBF16PS wants (dpbf16.h), and a block of 8 x 3 sums stays in registers: a load
 * of W serves 3 dot instructions and a load of X serves 8, so that the dot unit, one vector a cycle, limits.
 * With the scale per block each sum also needs a register for the part of the block: 4 x 3 sums. Why it
 * should be fast: at M = 32 the decode is 7 % of the dot instructions, X (512 KiB at k = 8192) streams from
 * L2 at one line in 8 cycles, and the packed weights of the next rows are prefetched meanwhile.
 */
#include "kernels/cpu/dpbf16.h"

enum {
    ROWS = 8,         /* of W, decoded together */
    COLUMNS = 3,      /* of X, in registers */
    COLUMNS_MAX = 64, /* of X, per decode of W */
    PANEL_CHUNKS = 8, /* 1024 columns of W: 16 KiB decoded */
};

/* Per thread: what 8 rows of W are on their way. All are in order of use. */
struct panel {
    uint16_t w[PANEL_CHUNKS * 4][ROWS][32]; /* step (chunk and p), row */
    float scale[PANEL_CHUNKS][ROWS][16];    /* scale per block: of each lane */
    float acc[COLUMNS_MAX][ROWS][16];
    float absmax[]; /* ROWS * dp_scales_size(k) */
};

/* Decodes chunks [begin, end) of rows [first, first + rows); rows up to ROWS are zero. `next` bytes ahead lie
 * the rows that come after. */
INLINE void decode_panel(const struct gemm_args *a, enum cpu_format format, enum scaling scaling, int span,
                         const struct dp_scales *scales, size_t first, size_t rows, size_t begin, size_t end,
                         struct panel *panel)
{
    const size_t row_bytes = code_bytes(format, ELEMENT_BF16, a->k), chunk_bytes = dp_chunk_bytes(format);
    for (size_t r = 0; r < ROWS; r++) {
        const uint8_t *packed = a->w.packed + (first + r) * row_bytes;
        __m512 loaded = _mm512_setzero_ps();
        for (size_t c = begin; c < end; c++) {
            size_t lanes = min_size(16, a->k / 8 - c * 16), j = c - begin;
            if (r >= rows) {
                for (int p = 0; p < 4; p++)
                    _mm512_store_si512(panel->w[4 * j + (size_t)p][r], _mm512_setzero_si512());
                continue;
            }
            const uint8_t *chunk = packed + c * chunk_bytes;
            struct dp_codes codes = lanes == 16 ? dp_load(format, chunk, 16) : dp_load(format, chunk, lanes);
            for (size_t line = 0; line < chunk_bytes; line += 64)
                _mm_prefetch((const char *)chunk + ROWS * row_bytes + line, _MM_HINT_T1);
            struct dp_tables tables = dp_chunk_tables(format, scaling, &scales[r], c, span, lanes);
            if (scaling == PER_BLOCK) {
                if (j % 4 == 0)
                    loaded = dp_load_scales(scales[r], c, a->k, span);
                _mm512_store_ps(panel->scale[j][r],
                                dp_lane_scales(scales[r], loaded, c / 4 * 4, (int)(c % 4), span));
            }
            for (int p = 0; p < 4; p++)
                _mm512_store_si512(
                    panel->w[4 * j + (size_t)p][r],
                    (__m512i)dp_weights(format, codes, tables, dp_table_span(format, scaling, span), p));
        }
    }
}

/* Adds one chunk to `rows` x `columns` sums; only the lanes of the mask exist. */
INLINE void tile_chunk(enum scaling scaling, uint16_t (*w)[ROWS][32], float (*scale)[16], const uint16_t *x,
                       size_t x_stride, int rows, int columns, bool whole, __mmask16 mask,
                       __m512 acc[][COLUMNS])
{
    __m512 t[ROWS][COLUMNS];
    for (int r = 0; r < rows; r++)
        for (int m = 0; m < columns; m++)
            t[r][m] = scaling == PER_BLOCK ? _mm512_setzero_ps() : acc[r][m];
    for (int p = 0; p < 4; p++) {
        __m512bh xv[COLUMNS];
        for (int m = 0; m < columns; m++)
            xv[m] = (__m512bh)_mm512_load_si512(x + (size_t)m * x_stride + 32 * p);
        for (int r = 0; r < rows; r++) {
            __m512bh wv = (__m512bh)_mm512_load_si512(w[p][r]);
            for (int m = 0; m < columns; m++)
                t[r][m] = _mm512_dpbf16_ps(t[r][m], wv, xv[m]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int m = 0; m < columns; m++) {
            if (scaling == PER_WEIGHT) /* gcc 12's masked dpbf16 intrinsic drops half of its mask */
                acc[r][m] = whole ? t[r][m] : _mm512_mask_mov_ps(acc[r][m], mask, t[r][m]);
            else if (whole)
                acc[r][m] = _mm512_fmadd_ps(t[r][m], _mm512_load_ps(scale[r]), acc[r][m]);
            else
                acc[r][m] = _mm512_mask3_fmadd_ps(t[r][m], _mm512_load_ps(scale[r]), acc[r][m], mask);
        }
}

/* Adds chunks [begin, end) to the sums of rows [r0, r0 + rows) and `columns` rows of X. */
INLINE void tile(const struct gemm_args *a, enum scaling scaling, struct panel *panel, size_t begin,
                 size_t end, const uint16_t *x, float (*sums)[ROWS][16], int r0, int rows, int columns)
{
    const size_t stride = dp_stride(a->k), whole = min_size(end, a->k / DP_CHUNK) - begin;
    __m512 acc[ROWS][COLUMNS];
    for (int r = 0; r < rows; r++)
        for (int m = 0; m < columns; m++)
            acc[r][m] = begin ? _mm512_load_ps(sums[m][r0 + r]) : _mm512_setzero_ps();
    x += begin * DP_CHUNK;
    for (size_t j = 0; j < whole; j++)
        tile_chunk(scaling, (uint16_t(*)[ROWS][32])panel->w[4 * j][r0], panel->scale[j] + r0,
                   x + j * DP_CHUNK, stride, rows, columns, true, 0xffff, acc);
    if (begin + whole < end) {
        __mmask16 mask = (__mmask16)((1u << (a->k / 8 % 16)) - 1);
        tile_chunk(scaling, (uint16_t(*)[ROWS][32])panel->w[4 * whole][r0], panel->scale[whole] + r0,
                   x + whole * DP_CHUNK, stride, rows, columns, false, mask, acc);
    }
    for (int r = 0; r < rows; r++)
        for (int m = 0; m < columns; m++)
            _mm512_store_ps(sums[m][r0 + r], acc[r][m]);
}

INLINE void tile_rows(const struct gemm_args *a, enum scaling scaling, struct panel *panel, size_t begin,
                      size_t end, const uint16_t *x, float (*sums)[ROWS][16], int columns)
{
    if (scaling == PER_WEIGHT) {
        tile(a, scaling, panel, begin, end, x, sums, 0, ROWS, columns);
    } else {
        tile(a, scaling, panel, begin, end, x, sums, 0, ROWS / 2, columns);
        tile(a, scaling, panel, begin, end, x, sums, ROWS / 2, ROWS / 2, columns);
    }
}

/* 8 rows of W (fewer at the end) against `columns` <= COLUMNS_MAX rows of X from row m0. */
INLINE void gemm_block(const struct gemm_args *a, enum cpu_format format, enum scaling scaling, int span,
                       const struct dp_scales *scales, size_t first, size_t rows, const uint16_t *x,
                       size_t m0, size_t columns, struct panel *panel)
{
    const size_t stride = dp_stride(a->k), chunks = dp_chunks(a->k);
    for (size_t begin = 0; begin < chunks; begin += PANEL_CHUNKS) {
        size_t end = min_size(chunks, begin + PANEL_CHUNKS);
        decode_panel(a, format, scaling, span, scales, first, rows, begin, end, panel);
        for (size_t m = 0; m < columns;) {
            size_t left = columns - m;
            const uint16_t *xm = x + (m0 + m) * stride;
            if (left == 1)
                tile_rows(a, scaling, panel, begin, end, xm, panel->acc + m, 1);
            else if (left == 2 || left == 4)
                tile_rows(a, scaling, panel, begin, end, xm, panel->acc + m, 2);
            else
                tile_rows(a, scaling, panel, begin, end, xm, panel->acc + m, 3);
            m += left == 4 ? 2 : min_size(left, 3);
        }
    }
    for (size_t m = 0; m < columns; m++)
        for (size_t r = 0; r < rows; r++)
            gemm_store(a, ELEMENT_BF16, m0 + m, first + r, v16_tree(v16_load(panel->acc[m][r])));
}

INLINE void gemm_rows(const struct gemm_args *a, enum scaling scaling, enum cpu_format format, int span,
                      const uint16_t *x)
{
    struct panel *panel = gemm_scratch(a);
    struct range mine = thread_range((a->n + ROWS - 1) / ROWS);
    for (size_t n = mine.begin * ROWS; n < min_size(a->n, mine.end * ROWS); n += ROWS) {
        size_t rows = min_size(ROWS, a->n - n);
        struct dp_scales scales[ROWS];
        for (size_t r = 0; r < rows; r++)
            scales[r] = dp_row_scales(a, format, n + r, panel->absmax + r * dp_scales_size(a->k));
        for (size_t m = 0; m < a->m; m += COLUMNS_MAX)
            gemm_block(a, format, scaling, span, scales, n, rows, x, m, min_size(COLUMNS_MAX, a->m - m),
                       panel);
    }
}

INLINE void gemm_share(const struct gemm_args *a, enum scaling scaling, enum cpu_format format)
{
    const uint16_t *x = dp_activations(a, a->m);
    if (!dp_is_fast(a)) {
        struct range mine = thread_range(a->n);
        for (size_t n = mine.begin; n < mine.end; n++)
            dp_general_row(a, scaling, format, x, n);
        return;
    }
    switch (format == DENSE ? 128 : dp_span(a)) {
    case 32:
        gemm_rows(a, scaling, format, 32, x);
        break;
    case 64:
        gemm_rows(a, scaling, format, 64, x);
        break;
    default:
        gemm_rows(a, scaling, format, 128, x);
    }
}

DP_VARIANTS(tile8x3)
