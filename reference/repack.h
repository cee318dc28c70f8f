/*
 * repack.h: the codes of W[n,k] in the order of the B fragments of mma.m16n8k16, and back. One scalar loop each.
 * kernels/layouts.h defines the same layout on its own; no code is shared.
 *
 * Fragment (PTX ISA, mma.m16n8k16, 16-bit B). With g = l / 4 and p = l % 4, lane l of a warp holds of column g the elements
 *   b0, b1   k = 2p, 2p + 1
 *   b2, b3   k = 2p + 8, 2p + 9
 *
 * Tile: eight fragments along k, 8 rows of W times 128 k, 32 lanes of 16 bytes. Tile (i, j) of ceil(n/8) x ceil(k/128)
 * starts at byte 512 (i ceil(k/128) + j). Bytes 2s and 2s + 1 of a lane are its (b0, b1) and (b2, b3) of step s, k from 16 s
 * on; the first element of a byte has the HIGH nibble, as in a checkpoint. Elements that W does not have are code 7.
 *
 * Scales are not moved: the block of a code is that of its place in the row-major W.
 */
#ifndef NF4BENCH_REFERENCE_REPACK_H
#define NF4BENCH_REFERENCE_REPACK_H

#include <stddef.h>
#include <stdint.h>

size_t nf4_repacked_bytes(size_t n, size_t k);

/* packed: nf4_packed_bytes(n*k), repacked: nf4_repacked_bytes(n, k); every byte of the output is written. Use
 * OpenMP over tiles and over bytes. */
void nf4_repack(const uint8_t *packed, size_t n, size_t k, uint8_t *repacked);
void nf4_unrepack(const uint8_t *repacked, size_t n, size_t k, uint8_t *packed);

#endif
