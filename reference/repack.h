/*
 * repack.h: the codes of W[n,k] in the order of the B fragments of mma.m16n8k16, and back. One scalar loop
 * each; shares nothing with kernels/, whose layouts.h has the same layout in its own words.
 *
 * Fragment (PTX ISA, mma.m16n8k16, 16-bit B): lane l of a warp holds, of column g = l / 4 and with p = l % 4,
 * the elements k = 2p, 2p+1 (b0, b1) and 2p+8, 2p+9 (b2, b3). Eight fragments along k are a tile: 8 rows of W
 * times 128 k, 32 lanes of 16 bytes. Bytes 2s and 2s+1 of a lane are its (b0, b1) and (b2, b3) of k = 16 s
 * ..; of a byte the first element has the HIGH nibble, as in a checkpoint. Tile (i, j) of ceil(n/8) x
 * ceil(k/128) starts at byte 512 (i ceil(k/128) + j). Elements that W does not have are code 7.
 *
 * Scales are not touched: a code's block is still that of its place in the row-major W.
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
