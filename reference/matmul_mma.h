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

/* As matmul_pinned(), for a valid contract of ACC_MMA80 or ACC_MMA90. False if memory is short. */
bool matmul_mma(const struct contract *c, const struct matmul *p, void *y);

#endif
