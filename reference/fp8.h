/*
 * fp8.h: 8-bit floating point e4m3 (OCP 8-bit Floating Point Specification 1.0, 2023; arXiv 2209.05433): a
 * sign, 4 bits of exponent with bias 7, 3 of fraction; denormals; no infinities; S.1111.111 is NaN. As
 * weights: a code times its block's fp16 scale.
 */
#ifndef NF4BENCH_REFERENCE_FP8_H
#define NF4BENCH_REFERENCE_FP8_H

#include <stdint.h>

#define FP8_MAX 448.0f

float fp8_to_f32(uint8_t code);
/* Nearest, ties to even, values beyond FP8_MAX to it; NaN to 0x7f. */
uint8_t fp8_from_f32(float x);

#endif
