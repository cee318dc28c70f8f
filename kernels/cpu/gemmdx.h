/*
 * gemmdx.h: the frame of the backward product, dX[m,k] = sum_n dY[m,n] W[n,k], which AVX2 and AVX-512 share.
 *
 * Every output is one chain over n. Lanes lie along k, and their order among the columns is free: a chunk of
 * 64 columns is decoded in the cheapest order, accumulated in that order, and put in order when it is stored.
 * A thread owns a stripe of chunks. For a panel of n, a chunk of W is decoded once, into the first cache, and
 * all rows of dY take it from there, a tile of rows at a time in registers; between panels the sums wait in
 * the thread's scratch. dY is brought into the tiles' order, as fp32, once per call.
 */
#ifndef NF4BENCH_KERNELS_CPU_GEMMDX_H
#define NF4BENCH_KERNELS_CPU_GEMMDX_H

#include <immintrin.h>

#include "kernels/cpu/gemm.h"

enum {
    DX_CHUNK = 64,
    DX_DEPTH = 64,           /* n of a panel: 16 KiB of weights */
    DX_TILE = 6,             /* rows of dY in registers */
    DX_ROWS = 40 * DX_TILE,  /* rows of dY for which W is decoded once */
    DX_SUMS = 128 * DX_ROWS, /* of a thread: 120 KiB */
};

_Static_assert((DX_DEPTH * DX_CHUNK + DX_SUMS) * sizeof(float) <= GEMM_SCRATCH_BYTES, "scratch holds them");

/* What an instruction set does. Element e of a chunk lies at dx_position(e) of panel and sums. */
struct dx_backend {
    /* Rows n .. n + depth of the chunk at `column` to panel[depth][64]. Elements past k are not meant. */
    void (*decode)(const struct gemm_args *a, size_t n, size_t depth, size_t column, float *panel);
    /* sums[r][] = fma(dy[d][r], panel[d][], sums[r][]) for d in 0 .. depth, rows <= DX_TILE. */
    void (*tile)(size_t rows, size_t depth, const float *dy, const float *panel, float *sums);
    /* `count` <= 64 columns to y, in order, from its element i. */
    void (*store)(enum element t, const float *sums, void *y, size_t i, size_t count);
};

/* With vectors of `lanes` lanes, a lane takes 64 / lanes consecutive elements, one in each vector; low
 * nibbles, which are odd elements, come before high ones. */
INLINE size_t dx_position(size_t e, size_t lanes)
{
    size_t each = DX_CHUNK / lanes;
    return (e % each ^ 1) * lanes + e / each;
}

/* dx_backend.tile of a number of rows that is a constant. */
typedef void dx_rows_fn(int rows, size_t depth, const float *dy, const float *panel, float *sums);

INLINE void dx_tile(size_t rows, size_t depth, const float *dy, const float *panel, float *sums,
                    dx_rows_fn *tile_of)
{
    switch (rows) {
    case 1:
        tile_of(1, depth, dy, panel, sums);
        break;
    case 2:
        tile_of(2, depth, dy, panel, sums);
        break;
    case 3:
        tile_of(3, depth, dy, panel, sums);
        break;
    case 4:
        tile_of(4, depth, dy, panel, sums);
        break;
    case 5:
        tile_of(5, depth, dy, panel, sums);
        break;
    default:
        tile_of(DX_TILE, depth, dy, panel, sums);
    }
}

/* dY as fp32: tile after tile, [n][rows of the tile]. Every thread of the region calls this; it ends in a
 * barrier. */
INLINE const float *dx_activations(const struct gemm_args *a, enum element t)
{
    float *out = a->workspace;
    struct range mine = thread_range(a->n);
    for (size_t m = 0; m < a->m; m += DX_TILE) {
        size_t rows = min_size(DX_TILE, a->m - m);
        for (size_t r = 0; r < rows; r++)
            for (size_t n = mine.begin; n < mine.end; n++)
                out[m * a->n + n * rows + r] = load_element(t, a->x, (m + r) * a->n + n);
    }
#pragma omp barrier
    return out;
}

INLINE void dx_share(const struct gemm_args *a, enum element t, const struct dx_backend *backend)
{
    const float *dy = dx_activations(a, t);
    float *panel = gemm_scratch(a), *sums = panel + DX_DEPTH * DX_CHUNK;
    struct range mine = thread_range((a->k + DX_CHUNK - 1) / DX_CHUNK);
    for (size_t m0 = 0; m0 < a->m; m0 += DX_ROWS) {
        size_t rows = min_size(DX_ROWS, a->m - m0), size = rows * DX_CHUNK, stripe = DX_SUMS / size;
        for (size_t begin = mine.begin; begin < mine.end; begin += stripe) {
            size_t end = min_size(mine.end, begin + stripe);
            memset(sums, 0, (end - begin) * size * sizeof *sums);
            for (size_t n = 0; n < a->n; n += DX_DEPTH)
                for (size_t c = begin; c < end; c++) {
                    size_t depth = min_size(DX_DEPTH, a->n - n);
                    backend->decode(a, n, depth, c * DX_CHUNK, panel);
                    for (size_t m = 0; m < rows; m += DX_TILE) {
                        size_t tile = min_size(DX_TILE, rows - m);
                        backend->tile(tile, depth, dy + (m0 + m) * a->n + n * tile, panel,
                                      sums + (c - begin) * size + m * DX_CHUNK);
                    }
                }
            for (size_t c = begin; c < end; c++)
                for (size_t m = 0; m < rows; m++)
                    backend->store(t, sums + (c - begin) * size + m * DX_CHUNK, a->y,
                                   (m0 + m) * a->k + c * DX_CHUNK, min_size(DX_CHUNK, a->k - c * DX_CHUNK));
        }
    }
}

/* A chunk of a row that begins anywhere. */
INLINE void dx_decode_any(const struct gemm_args *a, enum element t, enum cpu_format format, size_t n,
                          size_t column, size_t lanes, float *out)
{
    size_t first = n * a->k + column, end = first + min_size(DX_CHUNK, a->k - column);
    memset(out, 0, DX_CHUNK * sizeof *out);
    for (size_t i = first; i < end;) {
        size_t block = i / a->w.blocksize, stop = min_size(end, (block + 1) * a->w.blocksize);
        struct block b = block_at(&a->w, format, block);
        for (; i < stop; i++)
            out[dx_position(i - first, lanes)] = weight_at(&a->w, format, t, i, b);
    }
}

/* The chunk whose codes these are, if rows are one of `span` = 64 or 32 elements that lie in one block: all
 * in `first`, or the others in `second`. `half`: only the first 32 columns exist. */
typedef void dx_chunk_fn(const uint8_t *packed, enum element t, enum cpu_format format, int span,
                         struct block first, struct block second, bool half, float *out);

INLINE void dx_decode_span(const struct gemm_args *a, enum element t, enum cpu_format format, int span,
                           size_t n, size_t depth, size_t column, float *panel, dx_chunk_fn *decode_chunk)
{
    /* Blocks run through NF4's rows; other rows begin with one. */
    const unsigned shift = is_nf4(format) ? nf4_block_shift(&a->w) : row_block_shift(&a->w, a->k);
    const bool half = span == 32 && a->k - column < DX_CHUNK;
    for (size_t d = 0; d < depth; d++) {
        size_t row = (n + d) * a->k, i = row + column, at = is_nf4(format) ? i : column;
        size_t before = is_nf4(format) ? 0 : (n + d) * row_block_count(&a->w, a->k);
        /* The next panel of this chunk: the stride is too long for the hardware to see. */
        _mm_prefetch((const char *)a->w.packed + (i + DX_DEPTH * a->k) / 2, _MM_HINT_T1);
        struct block first = block_at(&a->w, format, before + (at >> shift)), second = first;
        if (span == 32 && !half)
            second = block_at(&a->w, format, before + ((at + 32) >> shift));
        decode_chunk(a->w.packed + i / 2, t, format, span, first, second, half, panel + d * DX_CHUNK);
    }
}

INLINE void dx_decode(const struct gemm_args *a, enum element t, enum cpu_format format, size_t n,
                      size_t depth, size_t column, float *panel, size_t lanes, dx_chunk_fn *decode_chunk)
{
    if (a->k % 64 == 0 && a->w.blocksize >= 64)
        dx_decode_span(a, t, format, 64, n, depth, column, panel, decode_chunk);
    else if (a->k % 32 == 0)
        dx_decode_span(a, t, format, 32, n, depth, column, panel, decode_chunk);
    else
        for (size_t d = 0; d < depth; d++)
            dx_decode_any(a, t, format, n + d, column, lanes, panel + d * DX_CHUNK);
}

/* The variants of a source that defines LANES, decode_chunk(), tile_of() and store(). */
#define DX_VARIANT(word, contract, arch, element, format)                                                    \
    static void decode_##word##_##contract(const struct gemm_args *a, size_t n, size_t depth, size_t column, \
                                           float *panel)                                                     \
    {                                                                                                        \
        dx_decode(a, element, format, n, depth, column, panel, LANES, decode_chunk);                         \
    }                                                                                                        \
    void word##_gemmdx_##contract##__##arch(const struct gemm_args *a)                                       \
    {                                                                                                        \
        static const struct dx_backend backend = {decode_##word##_##contract, tile, store};                  \
        _Pragma("omp parallel num_threads(gemm_threads())") dx_share(a, element, &backend);                  \
    }
#define DX_TYPE(type, arch, element)                                                                         \
    DX_VARIANT(nf4, type##_acc1, arch, element, NF4)                                                         \
    DX_VARIANT(nf4, type##_acc1_fused, arch, element, NF4_FUSED)                                             \
    DX_VARIANT(int4, type##_acc1, arch, element, INT4)
#define DX_VARIANTS(arch)                                                                                    \
    static void tile(size_t rows, size_t depth, const float *dy, const float *panel, float *sums)            \
    {                                                                                                        \
        dx_tile(rows, depth, dy, panel, sums, tile_of);                                                      \
    }                                                                                                        \
    DX_TYPE(f32, arch, ELEMENT_F32)                                                                          \
    DX_TYPE(f16, arch, ELEMENT_F16)                                                                          \
    DX_TYPE(bf16, arch, ELEMENT_BF16)

#endif
