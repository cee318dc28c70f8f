/*
 * serve_blas.c: products that cuBLAS or cuBLASLt computes, on weights that another variant has dequantized.
 *
 * cuBLAS has matrices by columns: a row-major Y[m,n] is its n x m matrix with leading dimension n.
 */
#include <limits.h>
#include <stdlib.h>

#include "harness/base/random.h"
#include "harness/device/cuda/serve.h"

bool serve_blas_ok(struct serve *s, int code, const char *what)
{
    if (code == 0)
        return true;
    return SERVE_FAIL(s,
                      code == CUBLAS_NOT_SUPPORTED || code == CUBLAS_ARCH_MISMATCH ? STATUS_LIMIT
                      : code == CUBLAS_ALLOC_FAILED                                ? STATUS_MEMORY
                                                                                   : STATUS_DEVICE,
                      "%s: %s (%d)", what, cublas_status_name(code), code);
}

/* Once per process. */
static bool open_library(struct serve *s)
{
    struct cublas_handle *handle;
    if (s->blas.handle)
        return true;
    enum status status = cublas_open(&s->blas.library);
    if (status != STATUS_OK) /* without a library the row is skipped */
        return SERVE_FAIL(s, status == STATUS_ABSENT ? STATUS_LIMIT : status, "%s", status_message());
    if (!SERVE_BLAS_CALL(s, cublasCreate, &handle) ||
        !SERVE_BLAS_CALL(s, cublasSetStream, handle, s->stream) ||
        !SERVE_BLAS_CALL(s, cublasSetMathMode, handle, CUBLAS_FP32_SUMS_ONLY) ||
        !SERVE_CALL(s, cuMemAlloc, &s->blas.workspace, SERVE_BLAS_WORKSPACE_BYTES) ||
        /* Its own workspace would be allocated at a first call, and could not be captured. */
        !SERVE_BLAS_CALL(s, cublasSetWorkspace, handle, s->blas.workspace, SERVE_BLAS_WORKSPACE_BYTES))
        return false;
    s->blas.handle = handle;
    return true;
}

static size_t dense_bytes(const struct problem *p)
{
    return p->n * p->k * dtype_size(p->out);
}

/* Dequantizes the weights of set `set`. */
static bool make_dense(struct serve *s, const struct serve_kernel *k, size_t set, uint64_t to)
{
    const struct problem *p = &s->operands.problem;
    const struct gemm_args a = operands_gemm_args(&s->operands, set, LAYOUT_ROWS);
    const struct dequant_args d =
        gemm_rows_to_dequantize(&a, p->format.kind, p->out, 0, p->n, (void *)(uintptr_t)to);
    return k->variant->bitsandbytes ? serve_bitsandbytes_dequantize(s, &d) : serve_enqueue_with(s, k, &d);
}

static bool call_cublas(struct serve *s, const struct blas_product *p)
{
    const struct blas_shape *h = &p->shape;
    const float one = 1, zero = 0;
    return SERVE_BLAS_CALL(s, cublasGemmEx, s->blas.handle, h->transpose_a ? CUBLAS_T : CUBLAS_N, CUBLAS_N,
                           h->m, h->n, h->k, &one, p->a, h->type, h->lda, p->b, h->type, h->ldb, &zero, p->c,
                           h->type, h->ldc, CUBLAS_COMPUTE_FP32, CUBLAS_GEMM_DEFAULT);
}

/* The product of set `set` with the dense weights at `w`. */
static bool product(struct serve *s, const struct serve_kernel *kernel, size_t set, uint64_t w)
{
    const struct gemm_args a = operands_gemm_args(&s->operands, set, LAYOUT_ROWS);
    enum dtype t = s->operands.problem.out;
    int type = t == DTYPE_F16 ? CUBLAS_TYPE_F16 : t == DTYPE_BF16 ? CUBLAS_TYPE_BF16 : CUBLAS_TYPE_F32;
    uint64_t x = (uint64_t)(uintptr_t)a.x, y = (uint64_t)(uintptr_t)a.y;
    int m = (int)a.m, n = (int)a.n, k = (int)a.k;
    if (a.m > INT_MAX || a.n > INT_MAX || a.k > INT_MAX)
        return SERVE_FAIL(s, STATUS_LIMIT, "cuBLAS takes sizes up to %d", INT_MAX);
    const struct blas_shape forward = {true, type, n, m, k, k, k, n},
                            backward = {false, type, k, m, n, k, n, k};
    const struct blas_product p = {s->operands.problem.op == OP_GEMM ? forward : backward, w, x, y};
    serve_variant_begins(s);
    return kernel->variant->blas_lt ? serve_cublaslt(s, &p) : call_cublas(s, &p);
}

/* As many dense copies as a cold measurement of dense weights rotates through. */
static bool make_all_dense(struct serve *s, const struct serve_kernel *k)
{
    size_t bytes = dense_bytes(&s->operands.problem), copies = serve_cold_copies(s, bytes), free_bytes, total;
    if (!SERVE_CALL(s, cuMemGetInfo, &free_bytes, &total))
        return false;
    size_t room = free_bytes / 2 / bytes;
    copies = copies > s->operands.copies ? s->operands.copies : copies;
    copies = copies > room ? room : copies;
    copies = copies < 2 && s->operands.copies > 1 ? 2 : copies < 1 ? 1 : copies;
    if (!s->extra.copies) {
        s->extra.copies = calloc(copies, sizeof *s->extra.copies);
        if (!s->extra.copies)
            return SERVE_FAIL(s, STATUS_MEMORY, "dense weights: out of memory");
        for (; s->extra.count < copies; s->extra.count++)
            if (!SERVE_CALL(s, cuMemAlloc, &s->extra.copies[s->extra.count], bytes))
                return false;
    }
    for (size_t i = 0; i < s->extra.count; i++)
        if (!make_dense(s, k, 0, s->extra.copies[i]))
            return false;
    return true;
}

bool serve_blas_prepare(struct serve *s, const struct serve_kernel *k)
{
    if (s->operands.copies == 0)
        return SERVE_FAIL(s, STATUS_INTERNAL, "cuBLAS: nothing is bound");
    if (!open_library(s))
        return false;
    if (k->variant->blas == BLAS_DENSE)
        return make_all_dense(s, k);
    return s->extra.scratch ||
           SERVE_CALL(s, cuMemAlloc, &s->extra.scratch, dense_bytes(&s->operands.problem));
}

bool serve_blas(struct serve *s, const struct serve_kernel *k, size_t set)
{
    if (k->variant->blas == BLAS_DENSE)
        return product(s, k, set, s->extra.copies[set % s->extra.count]);
    return make_dense(s, k, set, s->extra.scratch) && product(s, k, set, s->extra.scratch);
}

/* ---- the product that others are held against ---- */

bool serve_blas_square_begin(struct serve *s, size_t size, uint64_t *memory)
{
    size_t bytes = 2 * size * size, words = CHANNEL_WINDOW_BYTES / sizeof(uint64_t);
    uint64_t *window = (uint64_t *)s->channel->window;
    /* Numbers of either sign from 1/2 to 1: what the data are like moves power, and clocks. */
    for (size_t i = 0; i < words; i++)
        window[i] = (random_mix(i + 1) & 0x807f807f807f807fu) | 0x3f003f003f003f00u;
    if (!open_library(s) || !SERVE_CALL(s, cuMemAlloc, memory, 3 * bytes))
        return false;
    for (size_t at = 0; at < 2 * bytes; at += CHANNEL_WINDOW_BYTES) {
        size_t part = 2 * bytes - at < CHANNEL_WINDOW_BYTES ? 2 * bytes - at : CHANNEL_WINDOW_BYTES;
        if (!SERVE_CALL(s, cuMemcpyHtoD, *memory + at, window, part))
            return false;
    }
    return true;
}

bool serve_blas_square(struct serve *s, size_t size, uint64_t memory)
{
    const uint64_t bytes = 2 * size * size;
    int n = (int)size;
    const struct blas_product p = {
        {true, CUBLAS_TYPE_BF16, n, n, n, n, n, n}, memory, memory + bytes, memory + 2 * bytes};
    return call_cublas(s, &p);
}
