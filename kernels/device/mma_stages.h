/*
 * mma_stages.h: gemm for up to 64 rows on the tensor cores, from a checkpoint's bytes or from repacked
 * weights, with X and W four stages ahead; k whole, or in S ranges whose sums are added in order.
 *
 * A block makes up to 64 rows of 8 or 16 columns for each of its warps. A stage is 128 k: of X as much as
 * there are rows, of W 64 bytes a column (of codes of 4 bits), both by cp.async; three stages are under way
 * while one is worked on, with one barrier a stage. Rows are padded in shared memory by 16 bytes, so that the
 * 8 rows that ldmatrix, or a warp's reads of W, touch at once lie in different banks. The four lanes that
 * share a column load the absmax of 32 k each, two stages ahead, and pass them on by shuffle.
 *
 * Few rows leave an SM few warps, which wait for each branch and address. The loop has neither: the number of tiles
 * of 16 rows (1 for up to 16, else 4), the copies of a thread and the alignment are constants, rows that X does not
 * have are cleared once, and stages come in pairs, in registers with names. On an H200 that took 4096 x 4096 from 53
 * to 23 us at one row, and from 95 to 37 at 64.
 *
 * What is particular to a format or a layout is in a class Weights, of which a lane has one:
 *   TILES        of 8 columns of a warp: a lane has column lane / 4 of each; n below is that of the first
 *   local(warp, i)
 *                which column of the block is column i of a warp's first tile; another tile's is 8 further
 *   WARP_BYTES   of a warp in a stage
 *   stage<WARPS>(to, args, aligned, k, end)
 *                has its part of W copied there: k .. k + DEPTH of the block's columns. All threads
 *   stored       of a piece of 32 k: stored_load(args, n, k)
 *   ready        what its decoding takes: ready_of(args, stored)
 *   enter(ready, lane)
 *                the next piece is the one whose `ready` is lane's. All lanes
 *   held         what a lane keeps of a stage: hold(stage, local), local its first column in the block
 *   piece(b, args, held, p, pair, n, k)
 *                the fragments of both steps of piece p, which begins at k. All lanes
 *   pair_at(args, held, step, half, n, k, end)
 *                where nothing is aligned: weights k and k + 1 of row n, which are b[half] of a step; 0 where
 *                there are none
 *
 * A weight of NF4 is looked up in planes of RN_T(RN32(c * absmax)), which a lane builds when its column
 * enters a block (nf4_dequant/prmt_scaled.cu). Of the 8 bytes of a step (16 k) a lane picks two: k = 2 pair,
 * +1 and k = 2 pair + 8, +9, the pairs of a B fragment.
 *
 * Of repacked weights (layouts.h) a stage is a tile for each warp, of which a lane copies and reads its own 16
 * bytes: no padding, and no other lane's copies to wait for. A step's two bytes are what the lookup takes as
 * they are.
 *
 * If K or a range of k is not a multiple of 32, blocks and bytes may start anywhere in a step: weights are found one
 * by one, and stages do not overlap. If K is not a multiple of 8, X is copied element by element. Both are slow, and
 * right.
 *
 * S ranges are S blocks along y, whose sums wait in the workspace for a second launch.
 */
#ifndef NF4BENCH_KERNELS_DEVICE_MMA_STAGES_H
#define NF4BENCH_KERNELS_DEVICE_MMA_STAGES_H

#include "kernels/device/mma.h"

enum {
    ROWS = 64,
    COLUMNS = 8, /* of a tile */
    DEPTH = 128, /* k of a stage */
    PIECE = 32,  /* k with one absmax, 16 bytes of W */
    PIECES = DEPTH / PIECE,
    STAGES = 4,
    REPACKED_STEP_BITS = 16,  /* of a lane: four codes */
    X_PITCH = DEPTH + 8,      /* elements */
    W_PITCH = DEPTH / 2 + 16, /* bytes */
};

#define STAGE_ROWS(m)               ((m) <= 16 ? 16 : ROWS)
#define STAGE_BYTES(m, warps, each) (STAGE_ROWS(m) * X_PITCH * 2 + (warps) * (each))

template <class Weights, int WARPS, int SPLITS>
static inline struct launch launch_stages(const struct gemm_args *a)
{
    struct launch l = launch_cover(a->n, WARPS * COLUMNS * Weights::TILES, WARPS * 32);
    l.grid[1] = SPLITS;
    l.shared = STAGES * STAGE_BYTES(a->m, WARPS, +Weights::WARP_BYTES);
    return l;
}

/* Rows of W to a stage: `pieces` of 16 bytes of each of the block's columns, which are k .. k + DEPTH; zero
 * from `end` on. PITCH: bytes from row to row there. */
template <int WARPS, unsigned BITS, unsigned PITCH>
DEVICE void stage_rows(uint8_t *to, const struct gemm_args *a, size_t k, size_t end)
{
    constexpr unsigned pieces = BITS * DEPTH / 128, codes = 128 / BITS; /* of a row; of a piece */
    UNROLL
    for (unsigned j = 0; j < COLUMNS * pieces / 32; j++) {
        const unsigned i = threadIdx.x + j * WARPS * 32;
        const size_t n = (size_t)blockIdx.x * WARPS * COLUMNS + i / pieces, piece = k + i % pieces * codes;
        const bool inside = n < a->n && piece < end;
        cp_async16(to + i / pieces * PITCH + i % pieces * 16, a->w.packed + (n * a->k + piece) * BITS / 8,
                   inside ? 16 : 0);
    }
}

/* ---- NF4 ---- */

/* What its two layouts share. */
template <enum device_element T> struct nf4_pieces {
    enum { TILES = 1 };
    typedef struct nf4_stored stored;
    typedef float ready;
    enum recovery nested;
    const float *codebook;
    nf4_planes<2> planes;
    uint32_t scaled_by;

    METHOD nf4_pieces(enum recovery nested_, const float *codebook_)
        : nested(nested_), codebook(codebook_), planes(nf4_scaled_planes_16(T, 0.0f)), scaled_by(0)
    {
    }
    METHOD static unsigned local(unsigned warp, unsigned i)
    {
        return warp * COLUMNS + i;
    }
    METHOD struct nf4_stored stored_load(const struct gemm_args *a, size_t n, size_t k) const
    {
        return nf4_stored_load(&a->w, (n * a->k + k) >> nf4_block_shift(&a->w), nested);
    }
    METHOD float ready_of(const struct gemm_args *a, struct nf4_stored s) const
    {
        return nf4_stored_absmax(&a->w, s, nested);
    }
    METHOD void enter(float absmax, int lane)
    {
        const float scale = __shfl_sync(0xffffffffu, absmax, lane);
        if (__float_as_uint(scale) != scaled_by) {
            planes = nf4_scaled_planes_16(T, scale);
            scaled_by = __float_as_uint(scale);
        }
    }
    METHOD void fragments(uint32_t (&b)[2][1][2], uint32_t step, uint32_t next) const
    {
        const uint2 first = nf4_lookup4(planes, step), second = nf4_lookup4(planes, next);
        b[0][0][0] = first.x, b[0][0][1] = first.y;
        b[1][0][0] = second.x, b[1][0][1] = second.y;
    }
};

template <enum device_element T> struct nf4_rows : nf4_pieces<T> {
    enum { WARP_BYTES = COLUMNS * W_PITCH };
    typedef const uint8_t *held;
    using nf4_pieces<T>::nf4_pieces;

    template <int WARPS>
    METHOD void stage(uint8_t *to, const struct gemm_args *a, bool aligned, size_t k, size_t end) const
    {
        if (aligned)
            stage_rows<WARPS, 4, W_PITCH>(to, a, k, end);
    }
    METHOD const uint8_t *hold(const uint8_t *stage, unsigned local) const
    {
        return stage + local * W_PITCH;
    }
    METHOD void piece(uint32_t (&b)[2][1][2], const struct gemm_args *, const uint8_t *w, unsigned p,
                      unsigned pair, size_t, size_t) const
    {
        const uint4 codes = load128(w + p * 16);
        const unsigned pick = pair | (pair + 4) << 4;
        this->fragments(b, prmt(codes.x, codes.y, pick), prmt(codes.z, codes.w, pick));
    }
    METHOD uint32_t pair_at(const struct gemm_args *a, const uint8_t *, unsigned, unsigned, size_t n,
                            size_t k, size_t end) const
    {
        return gather_pair(a, T, this->nested, this->codebook, n, k, end);
    }
};

/* This lane's 16 bytes of the tile that holds k of the warp's columns, which are the `across`th eight. */
DEVICE const uint8_t *repacked_lane(const struct gemm_args *a, size_t across, size_t k)
{
    const size_t tile = across * ((a->k + REPACKED_DEPTH - 1) / REPACKED_DEPTH) + k / REPACKED_DEPTH;
    return (const uint8_t *)a->prepared + tile * REPACKED_TILE_BYTES + threadIdx.x % 32 * REPACKED_LANE_BYTES;
}

template <enum device_element T> struct nf4_repacked : nf4_pieces<T> {
    static_assert(+COLUMNS == +REPACKED_ROWS && +DEPTH == +REPACKED_DEPTH,
                  "a repacked tile is a warp's part of a stage");
    enum { WARP_BYTES = REPACKED_TILE_BYTES };
    struct held {
        const uint8_t *at;
        uint32_t word[PIECES];
    };
    using nf4_pieces<T>::nf4_pieces;

    template <int WARPS>
    METHOD void stage(uint8_t *to, const struct gemm_args *a, bool, size_t k, size_t end) const
    {
        const size_t across = (size_t)blockIdx.x * WARPS + threadIdx.x / 32;
        const bool inside = across * COLUMNS < a->n && k < end;
        cp_async16(to + threadIdx.x * REPACKED_LANE_BYTES, repacked_lane(a, across, k), inside ? 16 : 0);
    }
    METHOD struct held hold(const uint8_t *stage, unsigned) const
    {
        const uint8_t *at = stage + threadIdx.x * REPACKED_LANE_BYTES;
        const uint4 tile = load128(at);
        return {at, {tile.x, tile.y, tile.z, tile.w}};
    }
    METHOD void piece(uint32_t (&b)[2][1][2], const struct gemm_args *, const struct held &w, unsigned p,
                      unsigned, size_t, size_t) const
    {
        this->fragments(b, w.word[p], w.word[p] >> REPACKED_STEP_BITS);
    }
    /* The codes are the nibbles of a byte, the first the high one. */
    METHOD uint32_t pair_at(const struct gemm_args *a, const struct held &held, unsigned step, unsigned half,
                            size_t n, size_t k, size_t end) const
    {
        const uint32_t codes = (uint32_t)((const uint16_t *)held.at)[step] >> 8 * half;
        const unsigned shift = nf4_block_shift(&a->w);
        float w[2] = {0.0f, 0.0f};
        UNROLL
        for (unsigned j = 0; j < 2; j++)
            if (n < a->n && k + j < end)
                w[j] = __fmul_rn(this->codebook[codes >> 4 * (j ^ 1) & 15],
                                 nf4_absmax(&a->w, (n * a->k + k + j) >> shift, this->nested));
        return pair_of_f32(T, w[0], w[1]);
    }
};

/* ---- the skeleton ---- */

/* X of k .. k + DEPTH to a stage: rows that there are, zero from `end` on. K is a multiple of 8. All threads.
 */
template <int WARPS, int TALL>
DEVICE void stage_x(uint16_t *x, const struct gemm_args *a, size_t k, size_t end)
{
    enum { ACROSS = DEPTH / 8, APART = WARPS * 32 / ACROSS };
    const unsigned row = threadIdx.x / ACROSS, column = threadIdx.x % ACROSS * 8;
    const uint16_t *from = (const uint16_t *)a->x + row * a->k + k + column;
    UNROLL
    for (unsigned j = 0; j < TALL * 16 / APART; j++)
        if (row + j * APART < a->m)
            cp_async16(x + (row + j * APART) * X_PITCH + column, from + j * APART * a->k,
                       k + column < end ? 16 : 0);
}

/* The rows of X that there are not, zero in all stages. All threads; they are there after a barrier. */
template <int WARPS, int TALL>
DEVICE void stages_clear(unsigned char *memory, const struct gemm_args *a, unsigned bytes)
{
    enum { ACROSS = X_PITCH / 8 };
    const unsigned pieces = (TALL * 16 - (unsigned)a->m) * ACROSS;
    NO_UNROLL
    for (unsigned i = threadIdx.x; i < STAGES * pieces; i += WARPS * 32) {
        uint16_t *x = (uint16_t *)(memory + i / pieces * bytes) + a->m * X_PITCH;
        *(uint4 *)(x + i % pieces * 8) = make_uint4(0, 0, 0, 0);
    }
}

/* d += the 16 rows of each tile of X * b, for the step that starts at element `x` of a stage's first row. */
template <enum device_element T, int TALL, int TILES>
DEVICE void step_mma(float (&d)[TALL][TILES][4], const uint16_t *x, const uint32_t (&b)[TILES][2])
{
    const unsigned lane = threadIdx.x % 32;
    UNROLL
    for (unsigned tile = 0; tile < TALL; tile++) {
        uint32_t fragment[4];
        ldmatrix_x4(fragment, x + (tile * 16 + lane % 16) * X_PITCH + lane / 16 * 8);
        UNROLL
        for (unsigned i = 0; i < TILES; i++)
            mma(T, d[tile][i], fragment, b[i]);
    }
}

/* sum = X[:, begin .. end) * W[n, begin .. end) for the warp's columns, TALL tiles of 16 rows; K, begin and
 * end are multiples of PIECE. memory: the stages. All threads. */
template <enum device_element T, int WARPS, int TALL, class Weights>
DEVICE void range_sum(float (&sum)[TALL][Weights::TILES][4], const struct gemm_args *a, Weights &weights,
                      unsigned char *memory, size_t begin, size_t end)
{
    enum { TILES = Weights::TILES, X_BYTES = TALL * 16 * X_PITCH * 2 };
    const unsigned bytes = X_BYTES + WARPS * Weights::WARP_BYTES;
    const unsigned lane = threadIdx.x % 32, group = lane / 4, pair = lane % 4;
    const unsigned warp = threadIdx.x / 32, local = Weights::local(warp, group);
    const size_t first = (size_t)blockIdx.x * WARPS * COLUMNS * TILES;
    const size_t n = first + local; /* this lane's first row of W */
    /* Else all of the warp's columns lie past N: it helps to load X. */
    const bool busy = first + warp * COLUMNS * TILES < a->n;
    stages_clear<WARPS, TALL>(memory, a, bytes);
    UNROLL
    for (unsigned s = 0; s < STAGES - 1; s++) {
        stage_x<WARPS, TALL>((uint16_t *)(memory + s * bytes), a, begin + s * DEPTH, end);
        weights.template stage<WARPS>(memory + s * bytes + X_BYTES, a, true, begin + s * DEPTH, end);
        cp_async_commit();
    }

    /* This lane's piece of the present stage, and what is stored of those of the next two: stored[t % 2] of
     * stage t, so that no move waits for a load. */
    const size_t mine = n < a->n ? pair * PIECE : end;
    typename Weights::stored stored[2] = {};
    typename Weights::ready ready = {};
    if (begin + mine < end)
        ready = weights.ready_of(a, weights.stored_load(a, n, begin + mine));
    if (begin + DEPTH + mine < end)
        stored[1] = weights.stored_load(a, n, begin + DEPTH + mine);

    unsigned slot = 0;
    size_t k = begin;
    const auto piece = [&](const uint16_t *x, const typename Weights::held &held, unsigned p) {
        weights.enter(ready, (int)(group * 4 + p));
        uint32_t b[2][TILES][2];
        weights.piece(b, a, held, p, pair, n, k + p * PIECE);
        step_mma<T>(sum, x + p * PIECE, b[0]);
        step_mma<T>(sum, x + p * PIECE + STEP, b[1]);
    };
    const auto stage = [&](unsigned t) {
        cp_async_wait<STAGES - 2>();
        __syncthreads(); /* stage `slot` is there, and no warp reads the one before any more */
        unsigned char *next = memory + (slot + STAGES - 1) % STAGES * bytes;
        stage_x<WARPS, TALL>((uint16_t *)next, a, k + (STAGES - 1) * DEPTH, end);
        weights.template stage<WARPS>(next + X_BYTES, a, true, k + (STAGES - 1) * DEPTH, end);
        cp_async_commit();
        if (k + 2 * DEPTH + mine < end)
            stored[t] = weights.stored_load(a, n, k + 2 * DEPTH + mine);
        if (busy) {
            const uint16_t *x = (const uint16_t *)(memory + slot * bytes);
            const typename Weights::held held = weights.hold((const uint8_t *)x + X_BYTES, local);
            if (k + DEPTH <= end) {
                UNROLL
                for (unsigned p = 0; p < PIECES; p++)
                    piece(x, held, p);
            } else { /* the end of the range: whole pieces, of which the last is not there */
                UNROLL
                for (unsigned p = 0; p < PIECES - 1; p++)
                    if (k + p * PIECE < end)
                        piece(x, held, p);
            }
        }
        ready = {};
        if (k + DEPTH + mine < end)
            ready = weights.ready_of(a, stored[1 - t]);
        slot = (slot + 1) % STAGES;
        k += DEPTH;
    };
    while (k < end) {
        stage(0);
        if (k < end)
            stage(1);
    }
}

/* The same where nothing is aligned. */
template <enum device_element T, int WARPS, int TALL, class Weights>
DEVICE void range_sum_anywhere(float (&sum)[TALL][Weights::TILES][4], const struct gemm_args *a,
                               Weights &weights, unsigned char *memory, size_t begin, size_t end)
{
    enum { TILES = Weights::TILES };
    const unsigned lane = threadIdx.x % 32, pair = lane % 4, warp = threadIdx.x / 32;
    const unsigned local = Weights::local(warp, lane / 4);
    const size_t first = (size_t)blockIdx.x * WARPS * COLUMNS * TILES, n = first + local;
    const bool busy = first + warp * COLUMNS * TILES < a->n;
    uint16_t *x = (uint16_t *)memory;
    uint8_t *stage_w = memory + TALL * 16 * X_PITCH * 2;
    NO_UNROLL
    for (size_t k = begin; k < end; k += DEPTH) {
        NO_UNROLL
        for (unsigned i = threadIdx.x; i < TALL * 16 * (DEPTH / 8); i += WARPS * 32) {
            const unsigned row = i / (DEPTH / 8), column = i % (DEPTH / 8) * 8;
            stage_x8(x + row * X_PITCH + column, a, a->k, row, k + column, end);
        }
        weights.template stage<WARPS>(stage_w, a, false, k, end);
        cp_async_commit();
        cp_async_wait<0>();
        __syncthreads();
        const typename Weights::held held = weights.hold(stage_w, local);
        NO_UNROLL
        for (unsigned s = 0; busy && s < DEPTH && k + s < end; s += STEP) {
            const size_t at = k + s + 2 * pair;
            uint32_t b[TILES][2];
            UNROLL
            for (unsigned i = 0; i < TILES; i++) {
                b[i][0] = weights.pair_at(a, held, s / STEP, 0, n + i * COLUMNS, at, end);
                b[i][1] = weights.pair_at(a, held, s / STEP, 1, n + i * COLUMNS, at + 8, end);
            }
            step_mma<T>(sum, x + s, b);
        }
        __syncthreads(); /* no warp reads it any more */
    }
}

/* The block's outputs, of TALL tiles of rows. */
template <enum device_element T, int WARPS, int SPLITS, int TALL, class Weights>
DEVICE void gemm_tall(const struct gemm_args *a, Weights &weights, unsigned char *memory)
{
    enum { TILES = Weights::TILES };
    const size_t length = ((a->k + SPLITS - 1) / SPLITS + STEP - 1) / STEP * STEP;
    const size_t begin = blockIdx.y * length, end = begin + length < a->k ? begin + length : a->k;
    float sum[TALL][TILES][4];
    UNROLL
    for (unsigned i = 0; i < TALL * TILES * 4; i++)
        sum[i / 4 / TILES][i / 4 % TILES][i % 4] = 0.0f;
    if (a->k % PIECE == 0 && (SPLITS == 1 || length % PIECE == 0))
        range_sum<T, WARPS, TALL>(sum, a, weights, memory, begin, end);
    else
        range_sum_anywhere<T, WARPS, TALL>(sum, a, weights, memory, begin, end);

    float *partial = (float *)a->workspace + blockIdx.y * a->m * a->n;
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const size_t first = (size_t)blockIdx.x * WARPS * COLUMNS * TILES + Weights::local(warp, lane % 4 * 2);
    UNROLL
    for (unsigned i = 0; i < TALL * TILES * 4; i++) {
        const unsigned tile = i / 4 / TILES, across = i / 4 % TILES;
        const size_t row = tile * 16 + lane / 4 + i % 4 / 2 * 8, column = first + across * COLUMNS + i % 2;
        if (row >= a->m || column >= a->n)
            continue;
        if (SPLITS == 1)
            gemm_store(a, T, row, column, sum[tile][across][i % 4]);
        else
            partial[row * a->n + column] = sum[tile][across][i % 4];
    }
}

template <enum device_element T, int WARPS, int SPLITS, class Weights>
DEVICE void gemm_stages(const struct gemm_args *a, Weights weights, unsigned char *memory)
{
    if (STAGE_ROWS(a->m) == 16)
        gemm_tall<T, WARPS, SPLITS, 1>(a, weights, memory);
    else
        gemm_tall<T, WARPS, SPLITS, ROWS / 16>(a, weights, memory);
}

/* Of NF4, in one of its layouts. */
template <enum device_element T, int WARPS, int SPLITS, class Weights>
DEVICE void nf4_gemm_stages(const struct gemm_args *a, enum recovery nested)
{
    DYNAMIC_SHARED(memory);
    SHARED(float, codebook, [16]);
    if (threadIdx.x < 16)
        codebook[threadIdx.x] = nf4_codebook[threadIdx.x]; /* there after the first stage's barrier */
    gemm_stages<T, WARPS, SPLITS>(a, Weights(nested, codebook), memory);
}

/* ---- the second launch: a thread for each output ---- */

enum { SUM_THREADS = 256 };

static inline struct launch launch_sums(const struct gemm_args *a)
{
    return launch_cover(a->m * a->n, SUM_THREADS, SUM_THREADS);
}

template <enum device_element T, int SPLITS> DEVICE void gemm_sums(const struct gemm_args *a)
{
    const size_t i = global_thread(), count = a->m * a->n;
    const float *partial = (const float *)a->workspace;
    if (i >= count)
        return;
    float sum = partial[i];
    UNROLL
    for (unsigned s = 1; s < SPLITS; s++)
        sum = __fadd_rn(sum, partial[s * count + i]);
    gemm_store(a, T, i / a->n, i % a->n, sum);
}

#endif
