/*
 * bitsandbytes_cuda.h: functions of the bitsandbytes package's CUDA library as variants bitsandbytes_cuda_*,
 * on GPUs. The library is loaded when the first of them is called (device/cuda/bitsandbytes.h); where there is none
 * they are skipped. An H200 has computed what they should; the fused product (.._gemm_..) and what is nested
 * were held on the tests' fake driver and library only so far.
 */
#ifndef NF4BENCH_HARNESS_PROVIDER_BITSANDBYTES_CUDA_H
#define NF4BENCH_HARNESS_PROVIDER_BITSANDBYTES_CUDA_H

#include "harness/base/status.h"

/* Adds them. `where`: the package's folder, or the library; the environment's NF4BENCH_BITSANDBYTES_CUDA=FILE
 * goes before it, and with neither (where NULL) there is nothing to add. Both are kept by pointer, as
 * `option` is (struct kernel). */
enum status bitsandbytes_cuda_register(const char *where, const char *option) WARN_UNUSED_RESULT;

#endif
