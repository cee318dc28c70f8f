#include "harness/provider/bitsandbytes.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/base/call_state.h"
#include "harness/base/machine.h"
#include "harness/device/caller.h"
#include "harness/problem/variant.h"
#include "harness/provider/bitsandbytes_cuda.h"
#include "harness/provider/openblas.h"
#include "harness/provider/plugins.h"
#include "reference/dtype.h"
#include "reference/nf4.h"

static const char library_name[] = "libbitsandbytes_cpu.so";
/* Kernels point to these. */
static char file[4096], folder[sizeof file], option[sizeof file + 32];

/* ---- dequantize ----
 *
 * Blocks run over all of W, so it is called as one row (m = 1, n = all). The package's own Python calls it as
 * m rows of n wherever n is even (backends/cpu/ops.py of 0.50.2, dequantize_4bit). Then its AVX-512 code,
 * which is for n that are multiples of 16, takes row r's scales from block r * floor(n / blocksize) on: wrong
 * where a row is no whole number of blocks. That way of calling is here as well, as variants ..._rows that
 * are planned by name only: their failure is the library's defect, and that it is found says that these
 * checks can find one. */

typedef void dequantize_fn(uint8_t *packed, const float *absmax, void *out, long long blocksize, long long m,
                           long long n);
static dequantize_fn *dequantize[DTYPE_COUNT];

#define DEQUANTIZE(type, t)                                                                                  \
    static void dequantize_rows_##type(const struct dequant_args *args, size_t n, size_t k)                  \
    {                                                                                                        \
        dequantize[t]((uint8_t *)args->w.packed, args->w.absmax, args->out, (long long)args->w.blocksize,    \
                      (long long)n, (long long)k);                                                           \
    }                                                                                                        \
    static void dequantize_##type(const struct dequant_args *args)                                           \
    {                                                                                                        \
        dequantize_rows_##type(args, 1, args->count);                                                        \
    }
DEQUANTIZE(f32, DTYPE_F32)
DEQUANTIZE(f16, DTYPE_F16)
DEQUANTIZE(bf16, DTYPE_BF16)
#undef DEQUANTIZE

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

static enum status gemv_prepare(const struct kernel *self, const struct gemm_args *args, void **prepared)
{
    (void)self;
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

static const struct dequantize_row {
    enum dtype t;
    const char *symbol, *name, *rows_name;
    dequant_fn *call;
    void (*call_rows)(const struct dequant_args *args, size_t n, size_t k);
} dequantize_table[] = {
#define ROW(T, word, type)                                                                                   \
    {                                                                                                        \
        T, "cdequantize_blockwise_cpu_nf4_" word, "bitsandbytes_nf4_dequant_" #type,                         \
            "bitsandbytes_nf4_dequant_" #type "_rows", dequantize_##type, dequantize_rows_##type             \
    }
    ROW(DTYPE_F32, "fp32", f32),
    ROW(DTYPE_F16, "fp16", f16),
    ROW(DTYPE_BF16, "bf16", bf16),
#undef ROW
};

static enum status add_dequantize(void *library, const char *path, const struct dequantize_row *r)
{
    enum dtype t = r->t;
    dequantize[t] = (dequantize_fn *)dlsym(library, r->symbol);
    if (!dequantize[t])
        return STATUS_OK;
    /* It converts to bf16 with the CPU's own instruction where there is one, which takes denormals for zero.
     */
    enum denormals denormals =
        t == DTYPE_BF16 && cpu_features() & CPU_AVX512_BF16 ? DENORMALS_FLUSH : DENORMALS_IEEE;
    const struct kernel k = {.name = r->name,
                             .source = path,
                             .option = option,
                             .arch = "peer",
                             .contract = {.op = OP_DEQUANT, .out = t, .denormals = denormals},
                             .k_multiple = 1,
                             .built = true,
                             .peer = true,
                             .dequant = r->call};
    struct kernel rows = k;
    rows.name = r->rows_name;
    rows.only_by_name = true;
    rows.dequant_rows = r->call_rows;
    TRY(kernel_add(&k));
    return kernel_add(&rows);
}

static enum status add_gemv(void *library, const char *path)
{
    gemv_bf16 = (gemv_fn *)dlsym(library, "gemv_4bit_inference_cpu_nf4_bf16");
    if (!gemv_bf16)
        return STATUS_OK;
    const struct kernel k = {.name = "bitsandbytes_nf4_gemv_bf16",
                             .source = path,
                             .option = option,
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

/* Its Python has no fused product in fp32, nor one of gradients in any type: it dequantizes, and multiplies
 * with what PyTorch has for that. */
static enum status add_products(void)
{
    const struct kernel *dequantize = kernel_find("bitsandbytes_nf4_dequant_f32");
    if (!dequantize)
        return STATUS_OK;
    TRY(openblas_add("bitsandbytes_nf4_gemm_f32_openblas", OP_GEMM, BLAS_WHOLE, dequantize));
    return openblas_add("bitsandbytes_nf4_gemmdx_f32_openblas", OP_GEMMDX, BLAS_WHOLE, dequantize);
}

/* The folder of the package that `python3` would import, which is not imported. */
static enum status find_package(char *folder, size_t size)
{
    static const char ask[] = "python3 -c 'import importlib.util as u; s = u.find_spec(\"bitsandbytes\"); "
                              "print(s.submodule_search_locations[0] if s else \"\")'";
    FILE *python = popen(ask, "r");
    bool read = python && fgets(folder, (int)size, python);
    int code = python ? pclose(python) : -1;
    if (read)
        folder[strcspn(folder, "\n")] = '\0';
    if (code == 0 && read && folder[0])
        return STATUS_OK;
    return status_fail(
        STATUS_INPUT,
        "bitsandbytes: auto: %s; activate the environment that has it, `python3 -m pip install "
        "bitsandbytes`, or give the package's folder",
        code == 0 ? "python3 finds no package bitsandbytes" : "python3 cannot be asked");
}

enum status bitsandbytes_load(const char *path)
{
    char package[sizeof file];
    struct stat info;
    if (!path)
        path = getenv("NF4BENCH_BITSANDBYTES");
    if (!path || !*path) {
        caller_loads("--bitsandbytes", "");
        return bitsandbytes_cuda_register(NULL, NULL);
    }
    if (strcmp(path, "auto") == 0) {
        TRY(find_package(package, sizeof package));
        path = package;
    }
    bool is_folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    /* A bare name would be looked for along the loader's path, not here. */
    if (snprintf(file, sizeof file, "%s%s%s%s", strchr(path, '/') ? "" : "./", path, is_folder ? "/" : "",
                 is_folder ? library_name : "") >= (int)sizeof file)
        return status_fail(STATUS_USAGE, "bitsandbytes: %s: the path is too long", path);
    return provider_add("--bitsandbytes", file, NULL);
}

enum status bitsandbytes_add(const char *path)
{
    if (!*path)
        return bitsandbytes_cuda_register(NULL, NULL);
    snprintf(option, sizeof option, "--bitsandbytes '%s'", path);
    const char *changed;
    void *library = call_state_load(path, &changed);
    call_state_tell(path, changed);
    if (!library)
        return status_fail(STATUS_INPUT, "bitsandbytes: cannot load %s: %s", path, dlerror());
    for (size_t i = 0; i < sizeof dequantize_table / sizeof dequantize_table[0]; i++)
        TRY(add_dequantize(library, path, &dequantize_table[i]));
    TRY(add_gemv(library, path));
    TRY(add_products());
    /* The CUDA libraries lie beside the CPU's. */
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    return bitsandbytes_cuda_register(folder, option);
}
