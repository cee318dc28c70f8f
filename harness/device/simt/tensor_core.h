/*
 * tensor_core.h: mma m16n8k16 with the bits of tensor cores: fp16 or bf16 operands, fp32 accumulation.
 *
 * The products of a block and the accumulator are aligned to the largest exponent among them, each is cut to
 * F fraction bits toward zero, the sum is exact and then cut to fp32 toward zero. Hopper and Blackwell: one
 * block of 16 products, F = 25. Ampere and Ada: two blocks of 8, k 0..7 first, the first's result is the
 * second's accumulator, F = 24 (arXiv 2511.10909, 2512.07004). The exponent of a product is the sum of its
 * factors', as they are stored: it is not normalised, and a denormal has the least exponent of its type. A
 * zero has none. tests/device/simt_tensor_core.c holds this against outputs of GPUs.
 *
 * By the published models only, no output of a GPU at hand confirms it: a NaN term, infinity times zero, or
 * infinities of both signs give 7fffffff, other infinities stay; a sum of 2^128 or more is an infinity, also
 * one that a first block hands to the second; a sum of exactly zero is +0.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_SIMT_TENSOR_CORE_H
#define NF4BENCH_HARNESS_DEVICE_SIMT_TENSOR_CORE_H

#include <stdint.h>

#include "harness/device/simt/simt.h"

enum tensor_core_type { TENSOR_CORE_F16, TENSOR_CORE_BF16 };

/* 16-bit operands as bits. */
struct tensor_core_tile {
    uint16_t a[16][16]; /* [m][k] */
    uint16_t b[16][8];  /* [k][n] */
    float d[16][8];     /* [m][n] */
};

/* d = a b + d. */
void tensor_core_mma(enum simt_tensor_core core, enum tensor_core_type type, struct tensor_core_tile *tile);

/* One block: a . b + c of 8 (SIMT_TENSOR_CORE_80) or 16 products. */
float tensor_core_dot(enum simt_tensor_core core, enum tensor_core_type type, const uint16_t *a,
                      const uint16_t *b, float c);

#endif
