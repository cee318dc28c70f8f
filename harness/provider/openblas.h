/*
 * openblas.h: OpenBLAS on the CPU, loaded when it is first asked for: libopenblas.so.0, or the library that
 * NF4BENCH_LIBOPENBLAS names.
 */
#ifndef NF4BENCH_HARNESS_PROVIDER_OPENBLAS_H
#define NF4BENCH_HARNESS_PROVIDER_OPENBLAS_H

#include <stddef.h>

/* What the OpenMP team reaches together on fp32 products of 768 in each direction, in 1/s: one on each
 * thread, so that they stay where they were pinned. The best of several; NAN where there is no OpenBLAS. */
double openblas_flop_per_s(void);

#endif
