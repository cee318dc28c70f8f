/*
 * fake_openblas.c: what of OpenBLAS the program uses, in plain loops. NF4BENCH_FAKE_OPENBLAS makes it wrong:
 *
 *   stride   products take the rows of B one element too far apart
 *   last     the last summand is left out
 *   crash    a product ends the process
 *   hang     a product does not end
 *
 * It has never heard of any CPU: its core is Prescott, or the one that OPENBLAS_CORETYPE asked for when it was
 * loaded, and "threads" if it was to have any of its own.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TRANSPOSE = 112 };

void openblas_set_num_threads(int threads);
const char *openblas_get_corename(void);
void cblas_sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                 const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);
void cblas_sgemv(int order, int transpose, int m, int n, float alpha, const float *a, int lda, const float *x,
                 int x_stride, float beta, float *y, int y_stride);

static char core[32];

__attribute__((constructor)) static void loaded(void)
{
    const char *threads = getenv("OPENBLAS_NUM_THREADS"), *type = getenv("OPENBLAS_CORETYPE");
    snprintf(core, sizeof core, "%s",
             !threads || strcmp(threads, "1") != 0 ? "threads"
             : type                                ? type
                                                   : "Prescott");
}

void openblas_set_num_threads(int threads)
{
    (void)threads;
}

const char *openblas_get_corename(void)
{
    return core;
}

static bool asked_for(const char *what)
{
    const char *wanted = getenv("NF4BENCH_FAKE_OPENBLAS");
    return wanted && strcmp(wanted, what) == 0;
}

void cblas_sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                 const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc)
{
    (void)order, (void)transpose_a, (void)alpha, (void)beta;
    if (asked_for("crash"))
        abort();
    while (asked_for("hang"))
        sleep(1);
    /* Not past the end of B. */
    const bool far = asked_for("stride") && n > 1 && k > 1;
    const int depth = asked_for("last") ? k - 1 : k;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            float sum = 0;
            for (int l = 0; l < depth; l++) {
                const int row = transpose_b == TRANSPOSE ? j : l, column = transpose_b == TRANSPOSE ? l : j;
                const int rows = transpose_b == TRANSPOSE ? n : k;
                sum += a[i * lda + l] * b[row * ldb + column + (far && row < rows - 1 ? row : 0)];
            }
            c[i * ldc + j] = sum;
        }
}

void cblas_sgemv(int order, int transpose, int m, int n, float alpha, const float *a, int lda, const float *x,
                 int x_stride, float beta, float *y, int y_stride)
{
    (void)x_stride, (void)y_stride;
    if (transpose == TRANSPOSE) /* y = x A, and y = x A^T */
        cblas_sgemm(order, 0, 0, 1, n, m, alpha, x, m, a, lda, beta, y, n);
    else
        cblas_sgemm(order, 0, TRANSPOSE, 1, m, n, alpha, x, n, a, lda, beta, y, m);
}
