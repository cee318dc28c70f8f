/*
 * gemm.h: how the CPU products divide the workspace and finish an output.
 *
 * Workspace: first the activations in the layout the variant wants (at most 4 bytes each, rows padded to
 * 512), then one scratch area per thread.
 */
#ifndef NF4BENCH_KERNELS_CPU_GEMM_H
#define NF4BENCH_KERNELS_CPU_GEMM_H

#include "kernels/cpu/nf4.h"

enum { GEMM_THREADS_MAX = 64, GEMM_SCRATCH_BYTES = 256 * 1024 };

INLINE int gemm_threads(void)
{
    int threads = omp_get_max_threads();
    return threads < GEMM_THREADS_MAX ? threads : GEMM_THREADS_MAX;
}

/* For portable functions that use fmaf(), which is a call into libm where the compiler may not assume FMA:
 * two clones, of which the loader picks one by CPUID. fmaf() is exact, so the bits are the same. */
#if defined(__x86_64__) && defined(__ELF__)
#define FMA_CLONES __attribute__((target_clones("fma", "default")))
#else
#define FMA_CLONES
#endif

/* A product: share(args, constants) on every thread. One parallel region per variant: the compiler outlines
 * it with its constants. */
#define GEMM(name, share, ...)                                                                               \
    void name(const struct gemm_args *a)                                                                     \
    {                                                                                                        \
        _Pragma("omp parallel num_threads(gemm_threads())") share(a, __VA_ARGS__);                           \
    }
/* The same in FMA_CLONES. */
#define GEMM_CLONES(name, share, ...)                                                                        \
    FMA_CLONES static void name##_share(const struct gemm_args *a)                                           \
    {                                                                                                        \
        share(a, __VA_ARGS__);                                                                               \
    }                                                                                                        \
    void name(const struct gemm_args *a)                                                                     \
    {                                                                                                        \
        _Pragma("omp parallel num_threads(gemm_threads())") name##_share(a);                                 \
    }

/* The calling thread's scratch. */
INLINE void *gemm_scratch(const struct gemm_args *a)
{
    size_t activations = 4 * a->m * round_up(a->n > a->k ? a->n : a->k, 512);
    return (char *)a->workspace + activations + (size_t)omp_get_thread_num() * GEMM_SCRATCH_BYTES;
}

/* y[row, column] = RN_T(sum + bias[column]). */
INLINE void gemm_store(const struct gemm_args *a, enum element t, size_t row, size_t column, float sum)
{
    if (a->bias)
        sum = sum + load_element(t, a->bias, column);
    store_element(t, a->y, row * a->n + column, sum);
}

#endif
