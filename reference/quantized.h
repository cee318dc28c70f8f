/*
 * quantized.h: weights of any format as the reference and the checks see them, by rows, and what one of them
 * is worth under a contract. The one place that knows what a format's codes, scales and zero points mean;
 * nf4.h, grouped_int4.h and fp8.h say it of one format each.
 *
 * Layout. W[n,k] is flattened row-major; block b covers `blocksize` of them, k % blocksize == 0 but for NF4.
 *
 *   format  codes                                    value of a code       scale of a block
 *   nf4     4 bits, even elements in the HIGH nibble  codebook              fp32 absmax, or nested
 *   int4    the same                                 code - zero point     fp16
 *   int8    8 bits, two's complement                 code                  fp16
 *   fp8     8 bits, e4m3 (fp8.h)                     its value             fp16
 *   dense   a number of the contract's type          itself                none: 1, one block a row
 *
 * A value is exact in fp32, and but for NF4's in fp16 and bf16. A weight is RN_T(RN32(value * scale)).
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
/* Whether a matrix with rows of k weights can have such blocks: NF4 a power of two from 32 to 4096; dense k;
 * others a power of two from 32 that divides k, or k itself. */
bool format_blocksize_valid(enum format f, size_t blocksize, size_t k);
/* The largest |value| of a code under any zero point; of dense weights none is known: infinite. */
float format_value_max(enum format f);

size_t quantized_block_of(const struct quantized *w, size_t i);
/* Of block b; a nested absmax is recovered as `how` says. */
struct quantized_block quantized_block_at(const struct quantized *w, size_t b, enum nested how);
uint32_t quantized_code_at(const struct contract *c, const struct quantized *w, size_t i);

/* The value of a code, unscaled, in fp32: of NF4 the codebook's entry, rounded to T first with DECODE_OUT. */
float quantized_decode(const struct contract *c, uint32_t code, float zero);
/* RN_T(RN32(value * scale)); with DENORMALS_FLUSH the scale and the fp32 product are flushed to signed zero
 * before the rounding. Returned widened to fp32. This is the weight of every SCALE_WEIGHT contract. */
float quantized_weight(const struct contract *c, uint32_t code, struct quantized_block b);
/* Both of element i. */
float quantized_decode_at(const struct contract *c, const struct quantized *w, size_t i);
float quantized_weight_at(const struct contract *c, const struct quantized *w, size_t i);
/* Elements [first, first + count): their weights, or with `unscaled` their values. */
void quantized_span(const struct contract *c, const struct quantized *w, size_t first, size_t count,
                    bool unscaled, float *out);

/* out[i] = the weight of every element, in c->out. Uses OpenMP. */
void quantized_dequantize(const struct contract *c, const struct quantized *w, void *out);

#endif
