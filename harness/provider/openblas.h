/*
 * openblas.h: OpenBLAS on the CPU, loaded when it is first asked for: libopenblas.so.0, or the library that
 * NF4BENCH_LIBOPENBLAS names. Its fp32 products as variants: the dense product, on weights that were
 * dequantized outside of all timing, and those of a checkpoint's bytes, timed as one unit with the variant
 * that dequantizes them: all at once, or slab by slab, each small enough to stay in a core's L2 cache until
 * OpenBLAS has read it. There are no bf16 ones: Debian's library has no cblas_sbgemm, and its result would be
 * fp32.
 *
 * Threads are those of the OpenMP team, each of which calls OpenBLAS, with one thread, for its share of the
 * output: as fast as OpenBLAS's own are when they are alone. Beside the team's these wait by spinning, which
 * slows down both and the rows that follow; and all of them would be started on the one processor that the
 * main thread is pinned to. It has none, so that there are none to lose in a fork either.
 */
#ifndef NF4BENCH_HARNESS_PROVIDER_OPENBLAS_H
#define NF4BENCH_HARNESS_PROVIDER_OPENBLAS_H

#include <stddef.h>

#include "harness/base/status.h"
#include "harness/problem/variant.h"

/* Adds its products of the table's dequantize variants, the fastest of each format that this CPU has. Once
 * per process; further calls do nothing. Without OpenBLAS there are none, which is not an error. It is loaded by callers. */
enum status openblas_register(void) WARN_UNUSED_RESULT;
/* The same in the process that calls them. */
enum status openblas_add_all(void) WARN_UNUSED_RESULT;

/* Adds one product: `op`, of the weights that `dequantize`, an fp32 variant for CPUs, makes. `name` is kept
 * by pointer. Without OpenBLAS it does nothing. */
enum status openblas_add(const char *name, enum op op, enum blas_use use,
                         const struct kernel *dequantize) WARN_UNUSED_RESULT;

/* What the OpenMP team reaches together on fp32 products of 768 in each direction, in 1/s: one on each
 * thread, so that they stay where they were pinned. The best of several; NAN where there is no OpenBLAS. */
double openblas_flop_per_s(void);

#endif
