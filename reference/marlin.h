/*
 * marlin.h: 4-bit codes in the order in which tensor cores take them, as Marlin (arXiv 2408.11743) repacks
 * them: a thread's eight codes of a tile are one word, a warp's 128-bit loads are of consecutive words.
 *
 *   tiles of 16 k times 64 n; tile (i, j) of k / 16 x n / 64 is number i (n / 64) + j
 *   u32 [tile][thread 0..31][part 0..3]
 *
 * Of thread t and part p, n = 64 j + 16 p + t / 4 and 8 more; k = 16 i + 2 (t % 4) and 0, 1, 8, 9 more. These
 * are values 0 to 3 of the first column and 4 to 7 of the second: the B fragments of two mma.m16n8k16. Nibble
 * i holds value 0 2 4 6 1 3 5 7 [i], so that one mask takes two neighbours.
 *
 * Scales are not touched.
 */
#ifndef NF4BENCH_REFERENCE_MARLIN_H
#define NF4BENCH_REFERENCE_MARLIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool marlin_fits(size_t n, size_t k); /* multiples of 64, and of 16 */
/* q: a code each, row-major W[n,k]; words: [n * k / 8]. */
void marlin_repack(const uint8_t *q, size_t n, size_t k, uint32_t *words);

#endif
