/*
 * quantized.h: weights of any format, by rows, for the reference and the checks, and the value of a weight under a
 * contract. Codes, scales and zero points are interpreted here and nowhere else; nf4.h, grouped_int4.h and fp8.h define
 * the single formats.
 *
 * Layout. W[n,k] is flattened row-major. Block b covers elements [b * blocksize, (b + 1) * blocksize). Except in NF4,
 * k % blocksize == 0.
 *
 *   format  codes                                     value of a code       scale of a block
 *   nf4     4 bits, even elements in the HIGH nibble  codebook              fp32 absmax, or nested
 *   int4    the same                                  code - zero point     fp16
 *   int8    8 bits, two's complement                  code                  fp16
 *   fp8     8 bits, e4m3 (fp8.h)                      its value             fp16
 *   dense   a number of the contract's type           itself                none: 1, one block a row
 *
 * A weight is RN_T(RN32(value * scale)). A value is exact in fp32 and, except in NF4, in fp16 and bf16.
 */
#ifndef NF4BENCH_REFERENCE_QUANTIZED_H
#define NF4BENCH_REFERENCE_QUANTIZED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reference/contract.h"
#include "reference/nf4.h"

/* NF4: exactly one of absmax and nested.codes is set. int4, int8, fp8: scale is. */
struct quantized {
    enum format format;
    size_t count, columns; /* columns: k; needed with group_of only */
    size_t blocksize;
    const uint8_t *packed;
    const float *absmax; /* [blocks], or NULL when nested */
    struct nested_absmax nested;
    const uint16_t *scale;    /* [blocks] fp16 */
    const uint8_t *zero;      /* int4: [blocks] 0 to 16; NULL: 8 for all */
    const uint32_t *group_of; /* int4 with act-order: [columns], the block of a row that column k is of; NULL:
                                 k / blocksize */
};

/* What all weights of a block share. */
struct quantized_block {
    float scale, zero;
};

/* Bits of a code; of dense weights those of type t. */
unsigned format_code_bits(enum format f, enum dtype t);
/* Bytes of `count` codes. */
size_t format_packed_bytes(enum format f, enum dtype t, size_t count);
/* Whether the format allows this blocksize in rows of k weights. NF4: a power of two from 32 to 4096. Dense: k. Others: k,
 * or a power of two from 32 that divides k. */
bool format_blocksize_valid(enum format f, size_t blocksize, size_t k);
/* The largest |value| of a code under any zero point; infinite for dense weights. */
float format_value_max(enum format f);

size_t quantized_block_of(const struct quantized *w, size_t i);
/* The scale and zero point of block b; `how` selects the recovery of a nested absmax. */
struct quantized_block quantized_block_at(const struct quantized *w, size_t b, enum nested how);
uint32_t quantized_code_at(const struct contract *c, const struct quantized *w, size_t i);

/* The unscaled value of a code in fp32. NF4: the entry of the codebook, rounded to T first with DECODE_OUT. */
float quantized_decode(const struct contract *c, uint32_t code, float zero);
/* RN_T(RN32(value * scale)); with DENORMALS_FLUSH the scale and the fp32 product are flushed to signed zero
 * before the rounding. Returned widened to fp32. This is the weight of every SCALE_WEIGHT contract. */
float quantized_weight(const struct contract *c, uint32_t code, struct quantized_block b);
/* quantized_decode() and quantized_weight() of element i. */
float quantized_decode_at(const struct contract *c, const struct quantized *w, size_t i);
float quantized_weight_at(const struct contract *c, const struct quantized *w, size_t i);
/* out[count]: the weights of elements [first, first + count), or their unscaled values. */
void quantized_span(const struct contract *c, const struct quantized *w, size_t first, size_t count,
                    bool unscaled, float *out);

/* out[i] = the weight of every element, in c->out. Uses OpenMP. */
void quantized_dequantize(const struct contract *c, const struct quantized *w, void *out);

#endif
