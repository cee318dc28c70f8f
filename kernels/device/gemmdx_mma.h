/*
 * gemmdx_mma.h: gemm backward on the tensor cores.
 *
 * dX[m,k] = sum_n dY[m,n] W[n,k]. Each weight is decoded once for 64 rows, and mma adds the products, 16 n at a time.
 * A block makes 64 x 64 of dX, each of its 4 warps 16 columns. The blocks of W run along the output: neighbours in the
 * sum have different scales, and a fragment takes two rows of W at once. The weights are therefore decoded row by row
 * into shared memory, 32 n at a time, and ldmatrix transposes them. While one stage is worked on, cp.async brings the
 * next dY to shared memory and loads bring the next bytes of W to registers. Both have two places, so that a stage
 * needs one barrier. Rows are padded by 16 bytes against bank conflicts.
 *
 * If K is not a multiple of 16, weights are found one by one. If N is not a multiple of 8, dY is copied element by
 * element.
 *
 * A Decode says what is particular to a format:
 *   own                          a thread's 16 weights of a row, from k on: load(args, n, k), of one block
 *   store(to, args, own)         decodes them into shared memory
 *   weight(args, n, k)           one weight in fp32, where nothing is aligned
 */
#ifndef NF4BENCH_KERNELS_DEVICE_GEMMDX_MMA_H
#define NF4BENCH_KERNELS_DEVICE_GEMMDX_MMA_H

#include "kernels/device/mma.h"

enum {
    THREADS = 128,
    ROWS = 64,    /* m of a block */
    COLUMNS = 64, /* k of a block */
    DEPTH = 32,   /* n of a stage */
    OWN = 16,     /* weights that a thread decodes: in one row, in one block */
    WARP_COLUMNS = 16,
};

static inline struct launch launch_tiles(const struct gemm_args *a)
{
    const size_t across = (a->k + COLUMNS - 1) / COLUMNS, down = (a->m + ROWS - 1) / ROWS;
    return launch_cover(across * down, 1, THREADS);
}

typedef uint16_t dy_stage[ROWS][DEPTH + 8];
typedef uint16_t w_stage[DEPTH][COLUMNS + 8];

/* dY[row .. row + ROWS, n .. n + DEPTH) to shared memory, zero where there is none. All threads. */
DEVICE void stage_dy(dy_stage &stage, const struct gemm_args *a, size_t row, size_t n)
{
    for (unsigned i = threadIdx.x; i < ROWS * (DEPTH / 8); i += THREADS) {
        const unsigned r = i / (DEPTH / 8), column = i % (DEPTH / 8) * 8;
        stage_x8(&stage[r][column], a, a->n, row + r, n + column, a->n);
    }
}

/* A thread's weights of a stage, 0 where there are none: W[n, k .. k + 15]. */
template <class Decode>
DEVICE typename Decode::own own_load(const struct gemm_args *a, const Decode &decode, size_t n, size_t k)
{
    typename Decode::own w = {};
    if (n < a->n && k < a->k && a->k % OWN == 0)
        w = decode.load(a, n, k);
    return w;
}
template <enum device_element T, class Decode>
DEVICE void own_store(uint16_t *to, const struct gemm_args *a, const Decode &decode,
                      const typename Decode::own &w, size_t n, size_t k)
{
    if (a->k % OWN == 0) {
        decode.store(to, a, w);
    } else {
        NO_UNROLL
        for (unsigned j = 0; j < OWN; j++)
            store_element(T, to, j, n < a->n && k + j < a->k ? decode.weight(a, n, k + j) : 0.0f);
    }
}

template <enum device_element T, class Decode>
DEVICE void gemmdx(const struct gemm_args *a, const Decode &decode)
{
    SHARED(dy_stage, dy, [2]);
    SHARED(w_stage, w, [2]);
    const unsigned lane = threadIdx.x % 32, warp_column = threadIdx.x / 32 * WARP_COLUMNS;
    const size_t across = (a->k + COLUMNS - 1) / COLUMNS;
    const size_t column = blockIdx.x % across * COLUMNS, row = blockIdx.x / across * ROWS;
    const unsigned own_row = threadIdx.x / (COLUMNS / OWN), own_column = threadIdx.x % (COLUMNS / OWN) * OWN;

    float sum[ROWS / 16][WARP_COLUMNS / 8][4];
    UNROLL
    for (int tile = 0; tile < ROWS / 16; tile++) {
        UNROLL
        for (int j = 0; j < WARP_COLUMNS / 8 * 4; j++)
            sum[tile][j / 4][j % 4] = 0.0f;
    }

    stage_dy(dy[0], a, row, 0);
    cp_async_commit();
    typename Decode::own own = own_load(a, decode, own_row, column + own_column);
    for (size_t n = 0; n < a->n; n += DEPTH) {
        const unsigned place = n / DEPTH % 2;
        own_store<T>(&w[place][own_row][own_column], a, decode, own, n + own_row, column + own_column);
        cp_async_wait<0>();
        __syncthreads(); /* this stage is there, and no warp reads the one before any more */
        if (n + DEPTH < a->n) {
            stage_dy(dy[1 - place], a, row, n + DEPTH);
            own = own_load(a, decode, n + DEPTH + own_row, column + own_column);
        }
        cp_async_commit();

        UNROLL
        for (unsigned s = 0; s < DEPTH; s += STEP)
            if (n + s < a->n) {
                uint32_t b[4];
                ldmatrix_x4_trans(b, &w[place][s + lane % 16][warp_column + lane / 16 * 8]);
                const uint32_t left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
                UNROLL
                for (unsigned tile = 0; tile < ROWS / 16; tile++)
                    if (row + tile * 16 < a->m) {
                        uint32_t fragment[4];
                        ldmatrix_x4(fragment, &dy[place][tile * 16 + lane % 16][s + lane / 16 * 8]);
                        mma(T, sum[tile][0], fragment, left);
                        mma(T, sum[tile][1], fragment, right);
                    }
            }
    }

    UNROLL
    for (unsigned tile = 0; tile < ROWS / 16; tile++) {
        UNROLL
        for (unsigned j = 0; j < WARP_COLUMNS / 8 * 4; j++) {
            const size_t m = row + tile * 16 + lane / 4 + j % 4 / 2 * 8;
            const size_t k = column + warp_column + j / 4 * 8 + lane % 4 * 2 + j % 2;
            if (m < a->m && k < a->k)
                store_element(T, a->y, m * a->k + k, sum[tile][j / 4][j % 4]);
        }
    }
}

#endif
