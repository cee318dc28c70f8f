/*
 * nf4_repack/lanes.cu: the codes of a checkpoint to repacked ones (kernels/layouts.h), a lane of a tile each
 * thread, and back, a byte each thread.
 *
 * Run: nf4bench try kernels/nf4_repack/lanes.cu
 * Ladder (kernels/README.md): before this none, after this none.
 *
 * Repacking runs once for a model, offline: this is the plain form. The 16 bytes of a lane come from 16
 * bytes of one row of W, which lie 4 apart; the four lanes of a row, and the loads of the next two bytes,
 * find the rest of each line in the L1 cache. A lane writes 16 bytes at once. Back, every thread finds its
 * two codes for itself.
 */
#include "kernels/device/nf4.h"

enum { THREADS = 256, ZERO_CODE = 7 };

static inline size_t tiles_across(size_t k)
{
    return (k + REPACKED_DEPTH - 1) / REPACKED_DEPTH;
}

static inline struct launch launch_lanes(const struct repack_args *a)
{
    return launch_cover((a->n + REPACKED_ROWS - 1) / REPACKED_ROWS * tiles_across(a->k), THREADS / 32,
                        THREADS);
}

static inline struct launch launch_bytes(const struct repack_args *a)
{
    return launch_cover((a->n * a->k + 1) / 2, THREADS, THREADS);
}

/* The code of W[row, k], of which there may be none. */
DEVICE uint32_t code_or_zero(const struct repack_args *a, size_t row, size_t k)
{
    return row < a->n && k < a->k ? nf4_code(a->from, row * a->k + k) : +ZERO_CODE;
}

ENTRY(nf4_repack_u8__sm75_lanes, repack, THREADS, launch_lanes)
{
    const size_t tile = global_thread() / 32, across = (a.k + REPACKED_DEPTH - 1) / REPACKED_DEPTH;
    const unsigned lane = threadIdx.x % 32;
    if (tile >= (a.n + REPACKED_ROWS - 1) / REPACKED_ROWS * across)
        return;
    const size_t row = tile / across * REPACKED_ROWS + lane / 4;
    const size_t first = tile % across * REPACKED_DEPTH + lane % 4 * 2;
    uint32_t word[4] = {0, 0, 0, 0};
    UNROLL
    for (unsigned byte = 0; byte < REPACKED_LANE_BYTES; byte++) {
        const size_t k = first + byte * 8; /* two bytes for each 16 */
        const uint32_t pair = code_or_zero(&a, row, k) << 4 | code_or_zero(&a, row, k + 1);
        word[byte / 4] |= pair << 8 * (byte % 4);
    }
    *(uint4 *)(a.to + tile * REPACKED_TILE_BYTES + lane * REPACKED_LANE_BYTES) =
        make_uint4(word[0], word[1], word[2], word[3]);
}

/* The code that was element i of W. */
DEVICE uint32_t repacked_code(const struct repack_args *a, size_t i)
{
    const size_t row = i / a->k, k = i % a->k, across = (a->k + REPACKED_DEPTH - 1) / REPACKED_DEPTH;
    const size_t tile = row / REPACKED_ROWS * across + k / REPACKED_DEPTH;
    const size_t lane = row % REPACKED_ROWS * 4 + k % 8 / 2;
    return a->from[tile * REPACKED_TILE_BYTES + lane * REPACKED_LANE_BYTES + k % REPACKED_DEPTH / 8] >>
               (k % 2 ? 0 : 4) &
           15;
}

ENTRY(nf4_unrepack_u8__sm75_lanes, unrepack, THREADS, launch_bytes)
{
    const size_t byte = global_thread(), count = a.n * a.k;
    if (2 * byte >= count)
        return;
    /* Where an odd count leaves a nibble over, N is odd: a tile has row N, of code 7. */
    a.to[byte] = (uint8_t)(repacked_code(&a, 2 * byte) << 4 | repacked_code(&a, 2 * byte + 1));
}
