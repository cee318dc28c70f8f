/*
 * mma.h: what a tensor core computes, as scalar models in exact integer arithmetic: d = a . b + c for up to
 * 16 products of fp16 or bf16, accumulated in fp32. No GPU documents its rounding; these are the published
 * models (arXiv 2511.10909, "truncated fused dot-add"; arXiv 2512.07004), compared with outputs of real GPUs
 * as far as mma_evidence of tests/reference/mma.c says.
 *
 * A block of products and c, F fraction bits:
 *   1. Each term has a significand and an exponent: a number as its type stores it (significand in [1, 2), a
 *      denormal below 1 at the least exponent of its type), a product as the product of the significands, in
 *      [0, 4), at the sum of the exponents: it is not normalised.
 *   2. E is the largest exponent of a term that is not zero. A zero, also the product of a zero with anything
 *      finite, has none. MMA_90: -133 where none is larger, which is seen where c is 0 (a c has -126 at least).
 *   3. Each term is cut toward zero to a multiple of 2^(E - F), and what is left is added exactly.
 *   4. The sum is cut toward zero to fp32: to 24 bits, or to a multiple of 2^-149 below 2^-126. A sum of 2^128
 *      or more in size is an infinity. A sum of exactly zero is +0, also where all terms are -0; one that is cut
 *      to zero is +0 of MMA_90, and keeps its sign of MMA_80.
 *
 * Infinities and NaN, before any of it: a NaN term, an infinity times zero, or infinite terms of both signs
 * give NaN, which is 7fc00000 here (a GPU writes 7fffffff; products give one NaN, matmul.h); other infinite
 * terms the infinity of their sign. A product of finite numbers is finite, however large.
 *
 *   MMA_80   Ampere, Ada: blocks of 8 products, F = 24. mma.m16n8k16 is two of them: c goes into elements
 *            0..7, and their result, rounded to fp32, into elements 8..15.
 *   MMA_90   Hopper, Blackwell: one block of 16 products, F = 25. The -133 and the +0 are what an H200 computes:
 *            with them, and not without, all of 1,572,864 outputs of `nf4bench probe` are as the model says
 *            (tests/reference/mma.c has their hashes).
 */
#ifndef NF4BENCH_REFERENCE_MMA_H
#define NF4BENCH_REFERENCE_MMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reference/dtype.h"

enum mma_model { MMA_80, MMA_90, MMA_MODEL_COUNT };

enum { MMA_STEP = 16 }; /* products of one instruction */

static const struct mma_numbers {
    const char *word;
    size_t block;         /* products of one block */
    int fraction_bits;    /* F */
    int least_exponent;   /* of E; of MMA_80 below all there are */
    bool cut_is_positive; /* a sum that is cut to zero */
} mma_models[MMA_MODEL_COUNT] = {
    [MMA_80] = {"mma80", 8, 24, -300, false},
    [MMA_90] = {"mma90", 16, 25, -133, true},
};

/* a . b + c by the model; a and b hold `count` (up to MMA_STEP) numbers of type t, F16 or BF16, as bits.
 * Elements from count on are +0; a block without any is still run (it turns a c of -0 into +0). */
float mma_dot(enum mma_model model, enum dtype t, size_t count, const uint16_t *a, const uint16_t *b,
              float c);

#endif
