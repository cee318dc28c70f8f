#include "harness/provider/openblas.h"

#include <dlfcn.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include <omp.h>

#include "harness/clock.h"

/* cblas.h, of which an installation that only runs programs has no copy: CblasRowMajor, CblasNoTrans. */
enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111 };
typedef void sgemm_fn(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                      const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);

static sgemm_fn *load(void)
{
    const char *path = getenv("NF4BENCH_LIBOPENBLAS");
    void *library = dlopen(path && *path ? path : "libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return NULL;
    void (*set_threads)(int) = (void (*)(int))dlsym(library, "openblas_set_num_threads");
    sgemm_fn *sgemm = (sgemm_fn *)dlsym(library, "cblas_sgemm");
    if (!set_threads || !sgemm)
        return NULL;
    set_threads(1);
    return sgemm;
}

double openblas_flop_per_s(void)
{
    enum { SIZE = 768, CALLS = 3, TRIALS = 4 };
    sgemm_fn *sgemm = load();
    double best = NAN;
    if (!sgemm)
        return NAN;
    const size_t count = (size_t)SIZE * SIZE, threads = (size_t)omp_get_max_threads();
    float *memory = malloc(3 * count * threads * sizeof *memory);
    for (size_t i = 0; memory && i < 3 * count * threads; i++)
        memory[i] = (float)(i % 7) - 3;
    for (int trial = 0; memory && trial < TRIALS; trial++) {
        const double start = clock_us();
#pragma omp parallel
        {
            float *a = memory + 3 * count * (size_t)omp_get_thread_num();
            for (int call = 0; call < CALLS; call++)
                sgemm(ROW_MAJOR, NO_TRANSPOSE, NO_TRANSPOSE, SIZE, SIZE, SIZE, 1, a, SIZE, a + count, SIZE, 0,
                      a + 2 * count, SIZE);
        }
        best = fmax(best, 2e6 * CALLS * (double)threads * SIZE * (double)count / (clock_us() - start));
    }
    free(memory);
    return best;
}
