/*
 * problem.h: one problem, and its text form, from which the same inputs can be made again anywhere:
 *
 *   gemm bf16 m=4 n=4096 k=4096 blocksize=64 nested=0 bias=1 seed=1 weights=normal
 *   gemm bf16 m=4 n=4096 k=4096 format=int4 blocksize=128 zeros=1 actorder=0 bias=1 seed=1 weights=normal
 *
 * format is nf4 where it is not said; nested is NF4's, zeros and actorder are int4's, and dense weights have
 * no blocksize.
 */
#ifndef NF4BENCH_HARNESS_PROBLEM_PROBLEM_H
#define NF4BENCH_HARNESS_PROBLEM_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"
#include "reference/weight_format.h"

enum { PROBLEM_TEXT_MAX = 256, WEIGHTS_TEXT_MAX = 160 };

struct problem {
    enum op op;
    enum dtype out;
    struct weight_format format;
    size_t m, n, k; /* m == 0 unless the operation is a product */
    bool bias;
    bool checkpoint; /* weights are quantized already: text form "checkpoint:FILE:TENSOR" */
    uint64_t seed;
    char weights[WEIGHTS_TEXT_MAX]; /* "normal", or FILE:TENSOR */
};

/* False if it does not fit. */
bool problem_format(const struct problem *p, char *text, size_t size);
enum status problem_parse(const char *text, struct problem *out) WARN_UNUSED_RESULT;
bool problem_equal(const struct problem *a, const struct problem *b);

/* Sizes of the operands, in elements; no overflow within the limits of suite.h. */
size_t problem_weight_count(const struct problem *p); /* n*k */
size_t problem_output_count(
    const struct problem *p); /* dequant n*k, gemm m*n, gemmdx m*k; bytes for repack and unrepack */
size_t problem_reduced(const struct problem *p);     /* what is summed over: gemm k, gemmdx n, dequant 0 */
size_t problem_input_count(const struct problem *p); /* activations, [m, reduced] */
size_t problem_block_count(const struct problem *p);
/* Bytes of packed weights, and of their scales and zero points; repack and unrepack touch no scales. */
size_t problem_packed_bytes(const struct problem *p);
size_t problem_scale_bytes(const struct problem *p);
/* NULL, or why there can be no weights of this shape and format: a phrase that follows "format nf4". */
const char *problem_weights_fault(const struct problem *p);
/* Packed weights, scales, activations, bias and output, each once. */
size_t problem_format_bytes(const struct problem *p);

#endif
