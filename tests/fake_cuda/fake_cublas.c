/*
 * fake_cublas.c: a libcublas.so with cuBLASLt for machines without a GPU, in one library with the driver
 * (fake_cuda.c): NF4BENCH_LIBCUBLAS=.../fake_cuda.so. Products are summed in fp64.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "harness/device/cuda/cublas.h"
#include "reference/dtype.h"
#include "tests/fake_cuda/fake_cuda.h"

/* c[m,n] = alpha a * b + beta c, by columns, of one 16-bit type. */
struct product {
    bool transpose_a, transpose_b;
    bool wrong; /* on purpose */
    int m, n, k, lda, ldb, ldc;
    const void *a, *b;
    void *c;
    enum dtype type;
    float alpha, beta;
};

/* ---- cuBLAS ---- */

struct cublas_handle {
    struct cuda_stream *stream;
};

#define API                                       __attribute__((visibility("default"))) int
#define CUBLAS_FUNCTION(name, symbol, parameters) API symbol parameters;
#include "harness/device/cuda/cublas_functions.inc"

API cublasCreate_v2(struct cublas_handle **handle)
{
    ORDERED();
    *handle = calloc(1, sizeof **handle);
    return *handle ? 0 : CUBLAS_ALLOC_FAILED;
}

API cublasSetStream_v2(struct cublas_handle *handle, struct cuda_stream *stream)
{
    ORDERED();
    handle->stream = stream;
    return 0;
}

API cublasSetWorkspace_v2(struct cublas_handle *handle, uint64_t address, size_t size)
{
    (void)handle;
    ORDERED();
    return fake_cuda_within(address, size) ? 0 : 7;
}

API cublasSetMathMode(struct cublas_handle *handle, int mode)
{
    (void)handle;
    (void)mode;
    ORDERED();
    return 0;
}

static enum dtype product_type(int type)
{
    return type == CUBLAS_TYPE_F16 ? DTYPE_F16 : type == CUBLAS_TYPE_BF16 ? DTYPE_BF16 : DTYPE_F32;
}

static void run(const struct product *p)
{
    for (int column = 0; column < p->n; column++)
        for (int row = 0; row < p->m; row++) {
            double sum = 0;
            for (int i = 0; i < p->k; i++) {
                size_t at = p->transpose_a ? (size_t)row * (size_t)p->lda + (size_t)i
                                           : (size_t)i * (size_t)p->lda + (size_t)row;
                size_t bt = p->transpose_b ? (size_t)i * (size_t)p->ldb + (size_t)column
                                           : (size_t)column * (size_t)p->ldb + (size_t)i;
                sum += (double)dtype_load(p->type, p->a, at) * (double)dtype_load(p->type, p->b, bt);
            }
            size_t ct = (size_t)column * (size_t)p->ldc + (size_t)row;
            double before = p->beta == 0 ? 0 : (double)p->beta * (double)dtype_load(p->type, p->c, ct);
            dtype_store(p->type, p->c, ct, (float)((double)p->alpha * sum + before));
        }
    if (p->wrong)
        *(uint8_t *)p->c ^= 0x40;
}

/* A kernel of either library. */
static void run_gemm(const void *product)
{
    run(product);
}
static void run_matmul(const void *product)
{
    run(product);
}

static int enqueue_product(struct cuda_stream *stream, void (*kernel)(const void *product), struct product p)
{
    p.wrong = fake_cuda_wrong_product;
    fake_cuda_wrong_product = false;
    const double elements = (double)p.m * p.k + (double)p.k * p.n + (double)p.m * p.n;
    return fake_cuda_call(stream, kernel, &p, sizeof p, 2 * elements) ? 13 : 0;
}

API cublasGemmEx(struct cublas_handle *handle, int transpose_a, int transpose_b, int m, int n, int k,
                 const void *alpha, uint64_t a, int a_type, int lda, uint64_t b, int b_type, int ldb,
                 const void *beta, uint64_t c, int c_type, int ldc, int compute, int algorithm)
{
    ORDERED();
    if (a_type != b_type || a_type != c_type || compute != CUBLAS_COMPUTE_FP32 ||
        algorithm != CUBLAS_GEMM_DEFAULT)
        return CUBLAS_NOT_SUPPORTED;
    if (m <= 0 || n <= 0 || k <= 0 || lda < (transpose_a ? k : m) || ldb < (transpose_b ? n : k) || ldc < m)
        return 7;
    const struct product p = {.transpose_a = transpose_a == CUBLAS_T,
                              .transpose_b = transpose_b == CUBLAS_T,
                              .m = m,
                              .n = n,
                              .k = k,
                              .lda = lda,
                              .ldb = ldb,
                              .ldc = ldc,
                              .a = (const void *)(uintptr_t)a,
                              .b = (const void *)(uintptr_t)b,
                              .c = (void *)(uintptr_t)c,
                              .type = product_type(a_type),
                              .alpha = *(const float *)alpha,
                              .beta = *(const float *)beta};
    return enqueue_product(handle->stream, run_gemm, p);
}

/* ---- cuBLASLt ---- */

struct cublaslt_handle {
    int unused;
};
struct cublaslt_operation {
    bool transpose_a;
};
struct cublaslt_layout {
    int type;
    uint64_t rows, columns;
    int64_t ld;
};
struct cublaslt_preference {
    uint64_t workspace;
    uint32_t reductions;
};

/* What the one algorithm is known by. */
static const uint64_t lt_algorithm = 0x6e663462656e6368;

API cublasLtCreate(struct cublaslt_handle **handle)
{
    ORDERED();
    *handle = calloc(1, sizeof **handle);
    return *handle ? 0 : CUBLAS_ALLOC_FAILED;
}

API cublasLtMatmulDescCreate(struct cublaslt_operation **operation, int compute, int scale_type)
{
    ORDERED();
    if (compute != CUBLAS_COMPUTE_FP32 || scale_type != CUBLAS_TYPE_F32)
        return CUBLAS_NOT_SUPPORTED;
    *operation = calloc(1, sizeof **operation);
    return *operation ? 0 : CUBLAS_ALLOC_FAILED;
}

API cublasLtMatmulDescSetAttribute(struct cublaslt_operation *operation, int attribute, const void *value,
                                   size_t size)
{
    ORDERED();
    if (attribute != CUBLASLT_TRANSPOSE_A || size != sizeof(int32_t))
        return 7;
    operation->transpose_a = *(const int32_t *)value == CUBLAS_T;
    return 0;
}

API cublasLtMatrixLayoutCreate(struct cublaslt_layout **layout, int type, uint64_t rows, uint64_t columns,
                               int64_t ld)
{
    ORDERED();
    if (rows == 0 || columns == 0 || ld < (int64_t)rows)
        return 7;
    *layout = calloc(1, sizeof **layout);
    if (!*layout)
        return CUBLAS_ALLOC_FAILED;
    **layout = (struct cublaslt_layout){type, rows, columns, ld};
    return 0;
}

API cublasLtMatmulPreferenceCreate(struct cublaslt_preference **preference)
{
    ORDERED();
    *preference = calloc(1, sizeof **preference);
    return *preference ? 0 : CUBLAS_ALLOC_FAILED;
}

API cublasLtMatmulPreferenceSetAttribute(struct cublaslt_preference *preference, int attribute,
                                         const void *value, size_t size)
{
    ORDERED();
    if (attribute == CUBLASLT_MAX_WORKSPACE && size == sizeof preference->workspace)
        memcpy(&preference->workspace, value, size);
    else if (attribute == CUBLASLT_REDUCTIONS && size == sizeof preference->reductions)
        memcpy(&preference->reductions, value, size);
    else
        return 7;
    return 0;
}

/* Whether the shapes fit each other. */
static bool lt_fits(const struct cublaslt_operation *o, const struct cublaslt_layout *a,
                    const struct cublaslt_layout *b, const struct cublaslt_layout *c)
{
    return (o->transpose_a ? a->columns : a->rows) == c->rows &&
           (o->transpose_a ? a->rows : a->columns) == b->rows && b->columns == c->columns &&
           a->type == b->type && a->type == c->type;
}

API cublasLtMatmulAlgoGetHeuristic(struct cublaslt_handle *handle, struct cublaslt_operation *operation,
                                   struct cublaslt_layout *a, struct cublaslt_layout *b,
                                   struct cublaslt_layout *c, struct cublaslt_layout *d,
                                   struct cublaslt_preference *preference, int wanted,
                                   struct cublaslt_choice *choices, int *count)
{
    ORDERED();
    if (!handle || wanted < 1 || c != d || !lt_fits(operation, a, b, c))
        return 7;
    /* One that sums in the output's type would be outside of the bound. */
    *count = preference->workspace > 0 && preference->reductions == CUBLASLT_REDUCTION_FP32;
    choices[0] = (struct cublaslt_choice){.algorithm = {{lt_algorithm}}, .workspace = 1 << 20};
    return *count ? 0 : CUBLAS_NOT_SUPPORTED;
}

API cublasLtMatmul(struct cublaslt_handle *handle, struct cublaslt_operation *operation, const void *alpha,
                   uint64_t a, struct cublaslt_layout *a_layout, uint64_t b, struct cublaslt_layout *b_layout,
                   const void *beta, uint64_t c, struct cublaslt_layout *c_layout, uint64_t d,
                   struct cublaslt_layout *d_layout, const struct cublaslt_algorithm *algorithm,
                   uint64_t workspace, size_t workspace_size, struct cuda_stream *stream)
{
    ORDERED();
    if (!handle || c != d || c_layout != d_layout || !lt_fits(operation, a_layout, b_layout, c_layout) ||
        algorithm->data[0] != lt_algorithm || workspace_size < 1 << 20 ||
        !fake_cuda_within(workspace, workspace_size))
        return 7;
    const struct product p = {.transpose_a = operation->transpose_a,
                              .m = (int)c_layout->rows,
                              .n = (int)c_layout->columns,
                              .k = (int)b_layout->rows,
                              .lda = (int)a_layout->ld,
                              .ldb = (int)b_layout->ld,
                              .ldc = (int)c_layout->ld,
                              .a = (const void *)(uintptr_t)a,
                              .b = (const void *)(uintptr_t)b,
                              .c = (void *)(uintptr_t)d,
                              .type = product_type(a_layout->type),
                              .alpha = *(const float *)alpha,
                              .beta = *(const float *)beta};
    return enqueue_product(stream, run_matmul, p);
}
