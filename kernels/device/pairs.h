/*
 * pairs.h: a table in shared memory of 256 pairs of fp32 values, which looks up a byte, two codes, at once.
 *
 * 256 entries of 8 bytes do not fit into different banks. The table has 16 copies, and lane l reads copy l % 16, so that
 * the 16 lanes that one access of 8 bytes serves never meet. A block has 32 KiB to fill.
 */
#ifndef NF4BENCH_KERNELS_DEVICE_PAIRS_H
#define NF4BENCH_KERNELS_DEVICE_PAIRS_H

#include "kernels/device/nf4.h"

enum { PAIR_COPIES = 16 };

typedef float2 pair_copies[PAIR_COPIES];

/* Fills pairs[256]. All threads of the block, of which there are `threads`; a barrier has to follow. */
DEVICE void pairs_fill(pair_copies *pairs, enum device_element t, enum decoding decode, unsigned threads)
{
    for (unsigned i = threadIdx.x; i < 256 * PAIR_COPIES; i += threads) {
        const unsigned byte = i / PAIR_COPIES;
        float first = nf4_codebook[byte / 16], second = nf4_codebook[byte % 16];
        if (decode == CODEBOOK_OUT) {
            first = round_element(t, first);
            second = round_element(t, second);
        }
        pairs[byte][i % PAIR_COPIES] = make_float2(first, second);
    }
}

/* Values of the four codes in the low half of `codes`. */
DEVICE float4 pairs_lookup4(const pair_copies *pairs, uint32_t codes)
{
    const unsigned copy = threadIdx.x % PAIR_COPIES;
    const float2 low = pairs[codes & 255][copy], high = pairs[codes >> 8 & 255][copy];
    return make_float4(low.x, low.y, high.x, high.y);
}

#endif
