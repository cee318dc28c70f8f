/*
 * cublas.h: products that cuBLAS or cuBLASLt computes, as variants: the dense product, on weights that were
 * dequantized outside of all timing, and those of a checkpoint's bytes, timed as one unit with the variant of
 * our own that dequantizes them. cuBLAS chooses an algorithm by itself; of cuBLASLt it is the first that its
 * heuristics name for the shape.
 *
 * They exist on GPUs only. The library is loaded when the first of them is called (device/cuda/cublas.h); where
 * there is none they are skipped.
 */
#ifndef NF4BENCH_HARNESS_PROVIDER_CUBLAS_H
#define NF4BENCH_HARNESS_PROVIDER_CUBLAS_H

#include "harness/base/status.h"

/* Adds them to the table. Once per process; further calls do nothing. */
enum status cublas_register(void) WARN_UNUSED_RESULT;

#endif
