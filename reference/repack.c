#include "reference/repack.h"

#include "reference/nf4.h"

enum {
    TILE_ROWS = 8,
    TILE_K = 128,
    LANES = 32,
    LANE_BYTES = 16,
    TILE_BYTES = LANES * LANE_BYTES,
    ZERO_CODE = 7
};

static size_t tiles_along_k(size_t k)
{
    return (k + TILE_K - 1) / TILE_K;
}

size_t nf4_repacked_bytes(size_t n, size_t k)
{
    return (n + TILE_ROWS - 1) / TILE_ROWS * tiles_along_k(k) * TILE_BYTES;
}

/* The code of W[row, column], in which `row` and `column` may lie past the end. */
static unsigned code_or_zero(const uint8_t *packed, size_t n, size_t k, size_t row, size_t column)
{
    return row < n && column < k ? nf4_code_at(packed, row * k + column) : ZERO_CODE;
}

/* Goes through the output: what each byte of a tile holds follows from the fragment. */
void nf4_repack(const uint8_t *packed, size_t n, size_t k, uint8_t *repacked)
{
    const size_t across = tiles_along_k(k), tiles = nf4_repacked_bytes(n, k) / TILE_BYTES;
#pragma omp parallel for schedule(static)
    for (size_t tile = 0; tile < tiles; tile++)
        for (size_t lane = 0; lane < LANES; lane++)
            for (size_t byte = 0; byte < LANE_BYTES; byte++) {
                const size_t step = byte / 2, half = byte % 2;
                const size_t row = tile / across * TILE_ROWS + lane / 4;
                const size_t column = tile % across * TILE_K + 16 * step + 8 * half + 2 * (lane % 4);
                repacked[tile * TILE_BYTES + lane * LANE_BYTES + byte] =
                    (uint8_t)(code_or_zero(packed, n, k, row, column) << 4 |
                              code_or_zero(packed, n, k, row, column + 1));
            }
}

/* Goes through W: where each of its codes is. */
static unsigned repacked_code(const uint8_t *repacked, size_t k, size_t row, size_t column)
{
    const size_t tile = row / TILE_ROWS * tiles_along_k(k) + column / TILE_K;
    const size_t within = column % TILE_K, step = within / 16, inside = within % 16;
    const size_t lane = row % TILE_ROWS * 4 + inside % 8 / 2;
    const unsigned byte = repacked[tile * TILE_BYTES + lane * LANE_BYTES + 2 * step + inside / 8];
    return column % 2 ? byte & 15 : byte >> 4;
}

void nf4_unrepack(const uint8_t *repacked, size_t n, size_t k, uint8_t *packed)
{
    const size_t count = n * k;
#pragma omp parallel for schedule(static)
    for (size_t byte = 0; byte < nf4_packed_bytes(count); byte++) {
        unsigned code[2] = {ZERO_CODE, ZERO_CODE};
        for (size_t j = 0; j < 2; j++) {
            const size_t i = 2 * byte + j;
            if (i < count)
                code[j] = repacked_code(repacked, k, i / k, i % k);
        }
        packed[byte] = (uint8_t)(code[0] << 4 | code[1]);
    }
}
