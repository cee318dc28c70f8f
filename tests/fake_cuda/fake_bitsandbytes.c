/*
 * fake_bitsandbytes.c: a libbitsandbytes_cuda130.so for the fake driver, which must have been loaded
 * (NF4BENCH_LIBCUDA): the functions that are called, with the arithmetic that
 * harness/provider/bitsandbytes_cuda.c says they have, on the fake's memory.
 *
 *   NF4BENCH_FAKE_BITSANDBYTES=WHAT
 *       wrong      the first weight of a dequantize, or the last eighth of a product's summands, is left out
 *       denormals  denormals are kept
 *       context    makes another context current
 *       exit       says that something is wrong, and ends the process
 */
#include <dlfcn.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/device/cuda/bitsandbytes.h"
#include "reference/dtype.h"
#include "tests/fake_cuda/fake_cuda.h"

#define API __attribute__((visibility("default"))) void

static const float codebook[16] = {-1.0f,
                                   -0.69619280099868774f,
                                   -0.52507305145263672f,
                                   -0.39491748809814453f,
                                   -0.28444138169288635f,
                                   -0.18477343022823334f,
                                   -0.091050036251544952f,
                                   0.0f,
                                   0.079580299556255341f,
                                   0.16093020141124725f,
                                   0.24611230194568634f,
                                   0.33791524171829224f,
                                   0.44070982933044434f,
                                   0.56261700391769409f,
                                   0.72295683622360229f,
                                   1.0f};

static bool is(const char *what)
{
    const char *order = getenv("NF4BENCH_FAKE_BITSANDBYTES");
    return order && strcmp(order, what) == 0;
}

static float flush(float x)
{
    return !is("denormals") && fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x;
}

static unsigned code_at(const uint8_t *packed, size_t i)
{
    return i % 2 ? packed[i / 2] & 15 : packed[i / 2] >> 4;
}

static void queue(struct cuda_stream *stream, void (*call)(const void *), const void *args, size_t size,
                  double bytes)
{
    void *driver = dlopen(getenv("NF4BENCH_LIBCUDA"), RTLD_NOW | RTLD_NOLOAD);
    int (*queue_call)(struct cuda_stream *, void (*)(const void *), const void *, size_t, double);
    int (*set_current)(struct cuda_context *);
    *(void **)&queue_call = driver ? dlsym(driver, "fake_cuda_call") : NULL;
    *(void **)&set_current = driver ? dlsym(driver, "cuCtxSetCurrent") : NULL;
    if (is("exit") || !queue_call || !set_current) {
        fprintf(stderr, "Error: the fake library ends the process\n");
        exit(1);
    }
    if (is("context"))
        set_current((struct cuda_context *)&codebook);
    if (queue_call(stream, call, args, size, bytes) != 0)
        exit(1);
}

/* ---- dequantize ---- */

struct dequantize {
    const uint8_t *packed;
    const float *absmax;
    void *out;
    size_t blocksize, n;
    enum dtype t;
};

static void dequantize(const void *args)
{
    const struct dequantize *a = args;
    for (size_t i = is("wrong"); i < a->n; i++)
        dtype_store(a->t, a->out, i,
                    flush(codebook[code_at(a->packed, i)] * flush(a->absmax[i / a->blocksize])));
}

#define DEQUANTIZE(word, type)                                                                               \
    bitsandbytes_dequantize_fn cdequantize_blockwise_##word##_nf4;                                           \
    API cdequantize_blockwise_##word##_nf4(uint64_t code, uint64_t packed, uint64_t absmax, uint64_t out,    \
                                           int32_t blocksize, int32_t n, struct cuda_stream *stream)         \
    {                                                                                                        \
        (void)code;                                                                                          \
        const struct dequantize a = {(const uint8_t *)(uintptr_t)packed,                                     \
                                     (const float *)(uintptr_t)absmax,                                       \
                                     (void *)(uintptr_t)out,                                                 \
                                     (size_t)blocksize,                                                      \
                                     (size_t)n,                                                              \
                                     type};                                                                  \
        queue(stream, dequantize, &a, sizeof a, 2.5 * n);                                                    \
    }
DEQUANTIZE(fp32, DTYPE_F32)
DEQUANTIZE(fp16, DTYPE_F16)
DEQUANTIZE(bf16, DTYPE_BF16)

struct dequantize_bytes {
    const float *code, *absmax;
    const uint8_t *bytes;
    float *out;
    size_t blocksize, n;
};

static void dequantize_bytes(const void *args)
{
    const struct dequantize_bytes *a = args;
    for (size_t i = 0; i < a->n; i++)
        a->out[i] = flush(flush(a->code[a->bytes[i]]) * flush(a->absmax[i / a->blocksize]));
}

bitsandbytes_dequantize_fn cdequantize_blockwise_fp32;
API cdequantize_blockwise_fp32(uint64_t code, uint64_t bytes, uint64_t absmax, uint64_t out,
                               int32_t blocksize, int32_t n, struct cuda_stream *stream)
{
    const struct dequantize_bytes a = {(const float *)(uintptr_t)code,
                                       (const float *)(uintptr_t)absmax,
                                       (const uint8_t *)(uintptr_t)bytes,
                                       (float *)(uintptr_t)out,
                                       (size_t)blocksize,
                                       (size_t)n};
    queue(stream, dequantize_bytes, &a, sizeof a, 5.0 * n);
}

/* ---- gemv ---- */

struct gemv {
    size_t m, k, ldb, blocksize;
    const uint8_t *packed;
    const float *absmax, *code;
    const void *x;
    void *y;
    enum dtype t;
};

static float row_sum(const struct gemv *a, size_t row)
{
    const uint8_t *packed = a->packed + row * a->ldb;
    float sum = 0;
    size_t k = is("wrong") ? a->k - a->k / 8 : a->k;
    for (size_t i = 0; i < k; i++) {
        float absmax = dtype_round(a->t, a->absmax[(row * a->ldb * 2 + i) / a->blocksize]);
        float code = dtype_round(a->t, a->code[code_at(packed, i)]);
        float weight = dtype_round(a->t, flush(code * flush(absmax))), x = dtype_load(a->t, a->x, i);
        if (a->t == DTYPE_F32)
            sum = flush(fmaf(x, weight, sum));
        else
            sum = flush(sum + dtype_round(a->t, x * weight));
    }
    return sum;
}

static void gemv(const void *args)
{
    const struct gemv *a = args;
    for (size_t row = 0; row < a->m; row++)
        dtype_store(a->t, a->y, row, row_sum(a, row));
}

#define GEMV(word, type)                                                                                     \
    bitsandbytes_gemv_fn cgemm_4bit_inference_naive_##word;                                                  \
    API cgemm_4bit_inference_naive_##word(                                                                   \
        int32_t m, int32_t n, int32_t k, uint64_t x, uint64_t packed, uint64_t absmax, uint64_t code,        \
        uint64_t y, int32_t lda, int32_t ldb, int32_t ldc, int32_t blocksize, struct cuda_stream *stream)    \
    {                                                                                                        \
        const struct gemv a = {(size_t)m,                                                                    \
                               (size_t)k,                                                                    \
                               (size_t)ldb,                                                                  \
                               (size_t)blocksize,                                                            \
                               (const uint8_t *)(uintptr_t)packed,                                           \
                               (const float *)(uintptr_t)absmax,                                             \
                               (const float *)(uintptr_t)code,                                               \
                               (const void *)(uintptr_t)x,                                                   \
                               (void *)(uintptr_t)y,                                                         \
                               type};                                                                        \
        if (n == 1 && lda == m && ldc == m)                                                                  \
            queue(stream, gemv, &a, sizeof a, 0.5 * m * k);                                                  \
    }
GEMV(fp32, DTYPE_F32)
GEMV(fp16, DTYPE_F16)
GEMV(bf16, DTYPE_BF16)

/* ---- gemm ---- */

struct gemm {
    size_t m, n, k, blocksize;
    const uint8_t *packed, *absmax_code;
    const float *absmax, *map, *offset;
    const void *x, *bias;
    void *y;
    enum dtype t;
};

static float absmax_of(const struct gemm *a, size_t block)
{
    if (!a->absmax_code)
        return flush(a->absmax[block]);
    return flush(fmaf(a->map[a->absmax_code[block]], a->absmax[block / 256], *a->offset));
}

static float gemm_sum(const struct gemm *a, size_t row, size_t column)
{
    enum { MMA_FROM = 4 }; /* rows: the real one looks at the shape and the GPU as well */
    size_t k = is("wrong") ? a->k - a->k / 8 : a->k;
    float sum = 0;
    for (size_t i = 0; i < k; i++) {
        size_t at = column * a->k + i;
        float code = codebook[code_at(a->packed, at)], absmax = absmax_of(a, at / a->blocksize),
              x = dtype_load(a->t, a->x, row * a->k + i);
        if (a->t == DTYPE_F32)
            sum = flush(fmaf(x, flush(code * absmax), sum));
        else if (a->m < MMA_FROM)
            sum = flush(sum + dtype_round(a->t, x * dtype_round(a->t, dtype_round(a->t, code) *
                                                                          dtype_round(a->t, absmax))));
        else
            sum += x * dtype_round(a->t, flush(code * absmax));
    }
    return a->bias ? sum + dtype_load(a->t, a->bias, column) : sum;
}

static void gemm(const void *args)
{
    const struct gemm *a = args;
    for (size_t row = 0; row < a->m; row++)
        for (size_t column = 0; column < a->n; column++)
            dtype_store(a->t, a->y, row * a->n + column, gemm_sum(a, row, column));
}

#define GEMM(word, type)                                                                                     \
    bitsandbytes_gemm_fn cgemm_4bit_##word;                                                                  \
    API cgemm_4bit_##word(uint64_t x, uint64_t packed, uint64_t absmax, uint64_t absmax_code, uint64_t map,  \
                          uint64_t offset, uint64_t y, uint64_t bias, int32_t m, int32_t n, int32_t k,       \
                          int32_t blocksize, int32_t quant_type, struct cuda_stream *stream)                 \
    {                                                                                                        \
        const struct gemm a = {(size_t)m,                                                                    \
                               (size_t)n,                                                                    \
                               (size_t)k,                                                                    \
                               (size_t)blocksize,                                                            \
                               (const uint8_t *)(uintptr_t)packed,                                           \
                               (const uint8_t *)(uintptr_t)absmax_code,                                      \
                               (const float *)(uintptr_t)absmax,                                             \
                               (const float *)(uintptr_t)map,                                                \
                               (const float *)(uintptr_t)offset,                                             \
                               (const void *)(uintptr_t)x,                                                   \
                               (const void *)(uintptr_t)bias,                                                \
                               (void *)(uintptr_t)y,                                                         \
                               type};                                                                        \
        if (quant_type == BITSANDBYTES_QUANT_NF4)                                                            \
            queue(stream, gemm, &a, sizeof a, 0.5 * n * k);                                                  \
    }
GEMM(fp32, DTYPE_F32)
GEMM(fp16, DTYPE_F16)
GEMM(bf16, DTYPE_BF16)
