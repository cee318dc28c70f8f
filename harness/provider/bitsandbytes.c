#include "harness/provider/bitsandbytes.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/cpu.h"
#include "harness/kernel_table.h"
#include "reference/dtype.h"
#include "reference/nf4.h"

static const char library_name[] = "libbitsandbytes_cpu.so";

/* ---- dequantize: called as one row, which its documentation of the blocks needs (m = 1, n = all) ---- */

typedef void dequantize_fn(uint8_t *packed, const float *absmax, void *out, long long blocksize, long long m,
                           long long n);
static dequantize_fn *dequantize[DTYPE_COUNT];

static void call_dequantize(const struct dequant_args *args, enum dtype t)
{
    dequantize[t]((uint8_t *)args->w.packed, args->w.absmax, args->out, (long long)args->w.blocksize, 1,
                  (long long)args->count);
}

static void dequantize_f32(const struct dequant_args *args)
{
    call_dequantize(args, DTYPE_F32);
}
static void dequantize_f16(const struct dequant_args *args)
{
    call_dequantize(args, DTYPE_F16);
}
static void dequantize_bf16(const struct dequant_args *args)
{
    call_dequantize(args, DTYPE_BF16);
}

/* ---- gemv: any m; weights in an order of its own, scales rounded to bf16 ---- */

typedef void gemv_fn(int64_t m, int64_t n, int64_t k, const uint16_t *x, const uint8_t *packed,
                     const uint16_t *absmax, uint16_t *out, int64_t blocksize, int64_t x_stride,
                     int64_t out_stride);
static gemv_fn *gemv_bf16;

struct gemv_weights {
    uint8_t *packed;  /* [n/32][k/2][32]: byte j is row j/2 (low nibble) and 16 + j/2 (high), column 2*k2 + (j
                         & 1) */
    uint16_t *absmax; /* bf16 [k/blocksize][n] */
};

static void gemv_unprepare(void *prepared)
{
    struct gemv_weights *w = prepared;
    if (w) {
        free(w->packed);
        free(w->absmax);
    }
    free(w);
}

static enum status gemv_prepare(const struct gemm_args *args, void **prepared)
{
    size_t n = args->n, k = args->k, blocks = k / args->w.blocksize;
    struct gemv_weights *w = calloc(1, sizeof *w);
    if (w) {
        w->packed = aligned_alloc(64, (n * k / 2 + 63) / 64 * 64);
        w->absmax = aligned_alloc(64, (2 * n * blocks + 63) / 64 * 64);
    }
    if (!w || !w->packed || !w->absmax) {
        gemv_unprepare(w);
        return status_fail(STATUS_MEMORY, "bitsandbytes: no memory for its copy of the weights");
    }
#pragma omp parallel for schedule(static)
    for (size_t tile = 0; tile < n / 32; tile++) {
        for (size_t k2 = 0; k2 < k / 2; k2++) {
            uint8_t *out = w->packed + (tile * (k / 2) + k2) * 32;
            for (size_t j = 0; j < 32; j++) {
                size_t low = (32 * tile + j / 2) * k + 2 * k2 + (j & 1);
                out[j] = (uint8_t)(nf4_code_at(args->w.packed, low) |
                                   nf4_code_at(args->w.packed, low + 16 * k) << 4);
            }
        }
    }
    for (size_t b = 0; b < blocks; b++)
        for (size_t row = 0; row < n; row++)
            w->absmax[b * n + row] = bf16_from_f32(args->w.absmax[row * blocks + b]);
    *prepared = w;
    return STATUS_OK;
}

static void call_gemv(const struct gemm_args *args)
{
    const struct gemv_weights *w = args->prepared;
    gemv_bf16((int64_t)args->m, (int64_t)args->n, (int64_t)args->k, args->x, w->packed, w->absmax, args->y,
              (int64_t)args->w.blocksize, (int64_t)args->k, (int64_t)args->n);
}

/* ---- registration ---- */

static enum status add_dequantize(void *library, const char *path, enum dtype t, const char *symbol,
                                  const char *name, dequant_fn *call)
{
    dequantize[t] = (dequantize_fn *)dlsym(library, symbol);
    if (!dequantize[t])
        return STATUS_OK;
    /* It converts to bf16 with the CPU's own instruction where there is one, which takes denormals for zero.
     */
    enum denormals denormals =
        t == DTYPE_BF16 && cpu_features() & CPU_AVX512_BF16 ? DENORMALS_FLUSH : DENORMALS_IEEE;
    const struct kernel k = {.name = name,
                             .source = path,
                             .arch = "peer",
                             .contract = {.op = OP_DEQUANT, .out = t, .denormals = denormals},
                             .k_multiple = 1,
                             .built = true,
                             .peer = true,
                             .dequant = call};
    return kernel_add(&k);
}

static enum status add_gemv(void *library, const char *path)
{
    gemv_bf16 = (gemv_fn *)dlsym(library, "gemv_4bit_inference_cpu_nf4_bf16");
    if (!gemv_bf16)
        return STATUS_OK;
    const struct kernel k = {.name = "bitsandbytes_nf4_gemv_bf16",
                             .source = path,
                             .arch = "peer",
                             .contract = {.op = OP_GEMM,
                                          .out = DTYPE_BF16,
                                          .decode = DECODE_OUT,
                                          .scale = SCALE_BLOCK,
                                          .accumulation = ACC_ANY},
                             .k_multiple = 2,
                             .n_multiple = 32, /* it ends the process on others */
                             .whole_blocks = true,
                             .no_bias = true,
                             /* absmax rounded to bf16 (2^-9), and the scaled weight once more. */
                             .extra_unit = 0x1p-8,
                             .cpu_features = CPU_AVX512 | CPU_AVX512_BF16,
                             .built = true,
                             .peer = true,
                             .gemm = call_gemv,
                             .prepare = gemv_prepare,
                             .unprepare = gemv_unprepare};
    return kernel_add(&k);
}

enum status bitsandbytes_load(const char *path)
{
    static char file[4096]; /* kernels point to it */
    struct stat info;
    if (!path)
        path = getenv("NF4BENCH_BITSANDBYTES");
    if (!path || !*path)
        return STATUS_OK;
    bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    /* A bare name would be looked for along the loader's path, not here. */
    if (snprintf(file, sizeof file, "%s%s%s%s", strchr(path, '/') ? "" : "./", path, folder ? "/" : "",
                 folder ? library_name : "") >= (int)sizeof file)
        return status_fail(STATUS_USAGE, "bitsandbytes: %s: the path is too long", path);
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return status_fail(STATUS_INPUT, "bitsandbytes: cannot load %s: %s", file, dlerror());
    static const struct {
        enum dtype t;
        const char *symbol, *name;
        dequant_fn *call;
    } functions[] = {
        {DTYPE_F32, "cdequantize_blockwise_cpu_nf4_fp32", "bitsandbytes_nf4_dequant_f32", dequantize_f32},
        {DTYPE_F16, "cdequantize_blockwise_cpu_nf4_fp16", "bitsandbytes_nf4_dequant_f16", dequantize_f16},
        {DTYPE_BF16, "cdequantize_blockwise_cpu_nf4_bf16", "bitsandbytes_nf4_dequant_bf16", dequantize_bf16},
    };
    enum status s = STATUS_OK;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0] && s == STATUS_OK; i++)
        s = add_dequantize(library, file, functions[i].t, functions[i].symbol, functions[i].name,
                           functions[i].call);
    return s == STATUS_OK ? add_gemv(library, file) : s;
}
