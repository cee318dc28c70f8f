/*
 * matmul_mma.h: the products of the mma contracts for matmul_pinned(). Private to reference/.
 */
#ifndef NF4BENCH_REFERENCE_MATMUL_MMA_H
#define NF4BENCH_REFERENCE_MATMUL_MMA_H

#include "reference/matmul.h"
#include "reference/mma.h"

static inline enum mma_model matmul_mma_model(enum accumulation a)
{
    return a == ACC_MMA80 ? MMA_80 : MMA_90;
}

enum { MATMUL_ROWS = 16 /* rows of the activations side by side */ };
typedef float rows[MATMUL_ROWS]; /* one number for each of them */

/* Replaces numbers of type t, in the same memory, by what matmul_mma_column() takes: the exponent in the upper 16 bits, and in
 * the lower ones the significand with its sign: the number is significand * 2^(exponent - fraction bits of the type). */
void matmul_mma_pack(enum dtype t, float *values, size_t count);
/* The sums of one column, splits and all: x[r] the activations and w[r] the weights, packed. spoiled[j], which the
 * caller clears, is set where an operand or a partial sum of row j is not finite: sum[j] then means nothing. */
void matmul_mma_column(const struct contract *c, size_t reduced, const rows *x, const float *w, rows sum,
                       int32_t spoiled[MATMUL_ROWS]);

#endif
