/*
 * bitsandbytes.h: the CUDA library of the bitsandbytes package, loaded at run time, by GPUs' callers
 * only: host functions that launch on the current context. provider/bitsandbytes_cuda.h makes variants of
 * them.
 *
 * Signatures: the ctypes declarations of the package's backends/cuda/ops.py (0.50.2), and the symbols that
 * `nm -D` shows in its libbitsandbytes_cuda130.so. An H200 has run dequantize and gemv; gemm, and dequantize
 * of bytes, no GPU has run from here yet.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_CUDA_BITSANDBYTES_H
#define NF4BENCH_HARNESS_DEVICE_CUDA_BITSANDBYTES_H

#include <stdint.h>

#include "harness/base/status.h"
#include "harness/device/cuda/driver.h"
#include "reference/dtype.h"

/* code: not read for NF4. packed, absmax and out are addresses in the GPU's memory, n is the number of
 * weights. The same of bytes: packed has one for each of n, code is fp32[256].
 */
typedef void bitsandbytes_dequantize_fn(uint64_t code, uint64_t packed, uint64_t absmax, uint64_t out,
                                        int32_t blocksize, int32_t n, struct cuda_stream *stream);
/* y[m] of x[k] and W[m,k], n = 1. code: fp32[16] in the GPU's memory. lda = ldc = m, ldb = ceil(k / 2): bytes
 * of a row of W. */
typedef void bitsandbytes_gemv_fn(int32_t m, int32_t n, int32_t k, uint64_t x, uint64_t packed,
                                  uint64_t absmax, uint64_t code, uint64_t y, int32_t lda, int32_t ldb,
                                  int32_t ldc, int32_t blocksize, struct cuda_stream *stream);
/* y[m,n] of x[m,k], W[n,k] and bias[n] (0: none): one kernel, of CUDA cores or of tensor cores, as m, n, k
 * and the GPU have it. Nested scales: absmax is those of the second level, absmax_code the first, map
 * fp32[256], offset fp32[1] in the GPU's memory; else these are 0. */
typedef void bitsandbytes_gemm_fn(uint64_t x, uint64_t packed, uint64_t absmax, uint64_t absmax_code,
                                  uint64_t map, uint64_t offset, uint64_t y, uint64_t bias, int32_t m,
                                  int32_t n, int32_t k, int32_t blocksize, int32_t quant_type,
                                  struct cuda_stream *stream);
enum { BITSANDBYTES_QUANT_NF4 = 2 };

struct bitsandbytes_cuda {
    void *library; /* NULL: not open */
    char file[4096 + 8];
    /* By output type; NULL where the library has none. */
    bitsandbytes_dequantize_fn *dequantize[DTYPE_COUNT];
    bitsandbytes_dequantize_fn *dequantize_bytes; /* to fp32 */
    bitsandbytes_gemv_fn *gemv[DTYPE_COUNT];
    bitsandbytes_gemm_fn *gemm[DTYPE_COUNT];
};

/* Opens `where`: the library, or a folder with libbitsandbytes_cuda<NNN>.so of several versions of CUDA, of
 * which the newest is taken that is not newer than `driver` (cuDriverGetVersion(): 13000 for 13.0) and can be
 * loaded. STATUS_ABSENT, with the reason: there is none. */
enum status bitsandbytes_cuda_open(const char *where, int driver,
                                   struct bitsandbytes_cuda *out) WARN_UNUSED_RESULT;

#endif
