/*
 * grouped_int4.h: 4-bit integer weights with a scale for each group: the meaning that the layouts of GPTQ, AWQ and Marlin
 * (gptq.h, awq.h, marlin.h) share. One scalar loop each.
 *
 *   W[n,k] = scale[n,g] * (q[n,k] - zero[n,g]),   g = group_of[k], or k / group
 *
 * The product is exact in fp32: a scale is fp16, and q - zero a whole number from -16 to 15. It is rounded once, where the
 * caller asks for a type.
 *
 * Sources: GPTQ (arXiv 2210.17323), AWQ (arXiv 2306.00978), and the packages that write their checkpoints.
 */
#ifndef NF4BENCH_REFERENCE_GROUPED_INT4_H
#define NF4BENCH_REFERENCE_GROUPED_INT4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reference/dtype.h"

enum { INT4_MAX = 15, INT4_SYMMETRIC_ZERO = 8 };

/* All arrays are the caller's. */
struct grouped_int4 {
    size_t n, k, group;       /* group: consecutive k; k for one scale a row of W */
    uint8_t *q;               /* [n * k] a code 0 to 15 each, row-major */
    uint8_t *zero;            /* [n * groups] 0 to 16 */
    uint16_t *scale;          /* [n * groups] fp16 */
    const uint32_t *group_of; /* [k], each below groups (act-order); NULL: k / group */
};

/* Nibble i of a word, the least significant first, as in all these layouts. */
static inline unsigned int4_nibble(uint32_t word, size_t i)
{
    return word >> (4 * i) & 15;
}

/* The word of eight codes, `step` apart. order: the number of the code that nibble i holds; NULL: i. */
static inline uint32_t int4_word(const uint8_t *codes, size_t step, const unsigned order[8])
{
    uint32_t word = 0;
    for (size_t i = 0; i < 8; i++)
        word |= (uint32_t)(codes[(order ? order[i] : i) * step] & 15) << (4 * i);
    return word;
}

size_t int4_group_count(size_t k, size_t group); /* ceil */
size_t int4_group_of(const struct grouped_int4 *w, size_t k);

/* Quantizes dense x[n * k] group by group into w->q, zero and scale; the caller sets w->n, k, group and group_of. This is the
 * quantizer of the GPTQ package without its error feedback: plausible values, not the quality of GPTQ or AWQ.
 *   symmetric    scale = 2 max|x| / 15, zero = 8
 *   else         scale = (max - min) / 15 with [min, max] widened to contain 0, zero = round(-min / scale)
 *   scale        is rounded to fp16 before it is used, and is 1 for a group of zeros
 *   q            clamp(round(x / scale) + zero, 0, 15), ties to even */
void int4_quantize(const float *x, bool symmetric, struct grouped_int4 *w);

#endif
