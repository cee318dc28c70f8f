/*
 * nf4.h: NF4 codebook, quantize, dequantize, packing and double quantization, one scalar loop each.
 *
 * Every kernel is compared with this scalar reference; kernels/ shares no code with it.
 * Sources: QLoRA (arXiv 2305.14314) for the format, bitsandbytes for the layout.
 *
 * Layout. A tensor of `count` elements is flattened row-major. Block b covers elements
 * [b*blocksize, min(count, (b+1)*blocksize)). Byte j holds element 2j in its HIGH nibble and 2j+1 in its low
 * one; an odd tail's low nibble is 7. absmax has nf4_block_count() fp32 entries.
 */
#ifndef NF4BENCH_REFERENCE_NF4_H
#define NF4BENCH_REFERENCE_NF4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reference/contract.h"

enum { NF4_CODES = 16, NESTED_MAP_SIZE = 256, NESTED_BLOCKSIZE = 256 };

/* The 16 values (fp32 bits) and the 15 decision thresholds RN32((c[i]+c[i+1])/2). */
extern const uint32_t nf4_codebook_bits[NF4_CODES];
extern const uint32_t nf4_threshold_bits[NF4_CODES - 1];

/* fp32 value of a code 0..15. */
float nf4_value(unsigned code);

/* 32, 64, 128, ... 4096. */
bool nf4_blocksize_valid(size_t blocksize);
size_t nf4_block_count(size_t count, size_t blocksize);
size_t nf4_packed_bytes(size_t count); /* (count+1)/2 */

/* Number of thresholds strictly below x: a tie goes to the lower code, NaN to code 0. */
unsigned nf4_encode(float x);

unsigned nf4_code_at(const uint8_t *packed, size_t i);
void nf4_pack(const uint8_t *codes, size_t count, uint8_t *packed);   /* one code per byte in */
void nf4_unpack(const uint8_t *packed, size_t count, uint8_t *codes); /* one code per byte out */

/* Quantizes as bitsandbytes does on a CPU:
 *   absmax = max|x|, ignoring NaN, stored as it is
 *   y = x * (1/max(absmax, 1e-38)) in fp32, clamped to [-1, 1]; NaN stays NaN
 *   code = nf4_encode(y): 0 for NaN, 7 in an all-zero block */
void nf4_quantize(const float *x, size_t count, size_t blocksize, uint8_t *packed, float *absmax);

/*
 * Double quantization of absmax. `map` is the ascending fp32 dynamic map. A checkpoint brings its own map and offset, which
 * are used as they are. The caller owns all arrays.
 */
struct nested_absmax {
    const uint8_t *codes;       /* [block_count] */
    const float *nested_absmax; /* [ceil(block_count / 256)] */
    const float *map;           /* [256] */
    float offset;
};
size_t nested_group_count(size_t block_count);
/* The published dynamic map (signed, 7 exponent bits): b_j = RN32(0.1 + (0.9/n)*j), mean of neighbours in
 * double, value = RN32(10^(i-6) * mean). For weights that this program quantizes itself. */
void nested_dynamic_map(float map[NESTED_MAP_SIZE]);
/* Quantizes (absmax - offset) in blocks of 256 to the nearest entry of the map; a tie goes to the lower index. Returns the
 * offset: the mean of absmax, summed in double, rounded to fp32. */
float nested_quantize(const float *absmax, size_t block_count, const float map[NESTED_MAP_SIZE],
                      uint8_t *codes, float *nested_absmax);
/* The absmax of block b under contract `how` (NESTED_TWOSTEP or NESTED_FUSED). */
float nested_recover(const struct nested_absmax *q, size_t b, enum nested how);

#endif
