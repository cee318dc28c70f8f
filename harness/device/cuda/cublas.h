/*
 * cublas.h: cuBLAS and cuBLASLt, loaded at run time: only a GPU's caller does, when the first row
 * asks for them.
 *
 * libcublas.so.13, .12 or .11 is looked for where the system looks; NF4BENCH_LIBCUBLAS=PATH names another
 * file. cuBLASLt is the library that cuBLAS itself calls: its functions are found through cuBLAS.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_CUDA_CUBLAS_H
#define NF4BENCH_HARNESS_DEVICE_CUDA_CUBLAS_H

#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"

struct cublas_handle;
struct cublaslt_handle;
struct cublaslt_operation;
struct cublaslt_layout;
struct cublaslt_preference;
struct cuda_stream;

/* cublasLtMatmulAlgo_t and cublasLtMatmulHeuristicResult_t. */
struct cublaslt_algorithm {
    uint64_t data[8];
};
struct cublaslt_choice {
    struct cublaslt_algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};

struct cublas {
    void *library;
#define CUBLAS_FUNCTION(name, symbol, parameters) int(*name) parameters;
#include "harness/device/cuda/cublas_functions.inc"
};

/* Numbers of its interface (cublas_api.h, cublasLt.h, library_types.h). */
enum {
    CUBLAS_NOT_SUPPORTED = 15,
    CUBLAS_ARCH_MISMATCH = 8,
    CUBLAS_ALLOC_FAILED = 3,
    CUBLAS_N = 0,
    CUBLAS_T = 1,
    CUBLAS_FP32_SUMS_ONLY = 16, /* CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION */
    CUBLAS_COMPUTE_FP32 = 68,
    CUBLAS_GEMM_DEFAULT = -1,
    CUBLAS_TYPE_F32 = 0,
    CUBLAS_TYPE_F16 = 2,
    CUBLAS_TYPE_BF16 = 14,
    CUBLASLT_TRANSPOSE_A = 3,
    CUBLASLT_MAX_WORKSPACE = 1, /* uint64_t */
    CUBLASLT_REDUCTIONS = 3,    /* uint32_t, which of them may be chosen: */
    CUBLASLT_REDUCTION_FP32 = 2,
};

/* STATUS_ABSENT where there is no cuBLAS; STATUS_DEVICE for one that lacks a function. */
enum status cublas_open(struct cublas *b) WARN_UNUSED_RESULT;
const char *cublas_status_name(int code);

#endif
