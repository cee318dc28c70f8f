#include "reference/marlin.h"

enum { TILE_K = 16, TILE_N = 64, THREADS = 32, PARTS = 4, VALUES = 8 };

static const unsigned value_of_nibble[VALUES] = {0, 2, 4, 6, 1, 3, 5, 7};
static const unsigned k_of_value[4] = {0, 1, 8, 9};

bool marlin_fits(size_t n, size_t k)
{
    return n % TILE_N == 0 && k % TILE_K == 0;
}

/* Goes through the output: what each nibble of a word holds. marlin_unrepack() of tests/reference/int4.h goes through W. */
void marlin_repack(const uint8_t *q, size_t n, size_t k, uint32_t *words)
{
    const size_t across = n / TILE_N, tiles = k / TILE_K * across;
#pragma omp parallel for schedule(static)
    for (size_t tile = 0; tile < tiles; tile++)
        for (size_t thread = 0; thread < THREADS; thread++)
            for (size_t part = 0; part < PARTS; part++) {
                uint32_t word = 0;
                for (size_t i = 0; i < VALUES; i++) {
                    const unsigned value = value_of_nibble[i];
                    const size_t row = tile % across * TILE_N + 16 * part + thread / 4 + 8 * (value / 4);
                    const size_t column = tile / across * TILE_K + 2 * (thread % 4) + k_of_value[value % 4];
                    word |= (uint32_t)q[row * k + column] << (4 * i);
                }
                words[(tile * THREADS + thread) * PARTS + part] = word;
            }
}
