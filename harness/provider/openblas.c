#include "harness/provider/openblas.h"

#include <dlfcn.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <omp.h>

#include "harness/base/call_state.h"
#include "harness/base/clock.h"
#include "harness/base/machine.h"
#include "harness/provider/plugins.h"
#include "harness/problem/buffer.h"
#include "harness/problem/operands.h"
#include "reference/contract.h"
#include "reference/quantized.h"

/* ---- the library ---- */

/* cblas.h, of which an installation that only runs programs has no copy: CblasRowMajor, CblasNoTrans,
 * CblasTrans. */
enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111, TRANSPOSE = 112 };
typedef void sgemm_fn(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                      const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);
typedef void sgemv_fn(int order, int transpose, int m, int n, float alpha, const float *a, int lda,
                      const float *x, int x_stride, float beta, float *y, int y_stride);

static struct {
    void *handle; /* NULL: there is none */
    sgemm_fn *sgemm;
    sgemv_fn *sgemv;
    char core[32];
} library;

static bool find_functions(void *handle)
{
    void (*set_threads)(int) = (void (*)(int))dlsym(handle, "openblas_set_num_threads");
    const char *(*core)(void) = (const char *(*)(void))dlsym(handle, "openblas_get_corename");
    library.sgemm = (sgemm_fn *)dlsym(handle, "cblas_sgemm");
    library.sgemv = (sgemv_fn *)dlsym(handle, "cblas_sgemv");
    if (!set_threads || !core || !library.sgemm || !library.sgemv)
        return false;
    set_threads(1); /* of a build with OpenMP, which the environment says nothing to */
    snprintf(library.core, sizeof library.core, "%s", core());
    return true;
}

/* OpenBLAS reads these while it is loaded: no threads of its own, and which kernels (NULL: its choice). NULL: it
 * cannot be loaded, or lacks a function. */
static void *open_library(const char *path, const char *core)
{
    struct {
        const char *name, *value;
        char *before;
    } settings[] = {{"OPENBLAS_NUM_THREADS", "1", NULL}, {"OPENBLAS_CORETYPE", core, NULL}};
    enum { COUNT = sizeof settings / sizeof settings[0] };
    for (size_t i = 0; i < COUNT; i++) {
        const char *before = getenv(settings[i].name);
        settings[i].before = before ? strdup(before) : NULL;
        if (settings[i].value)
            setenv(settings[i].name, settings[i].value, 1);
    }
    const char *changed;
    void *handle = call_state_load(path, &changed);
    call_state_tell(path, changed);
    for (size_t i = 0; i < COUNT; i++) {
        if (settings[i].before)
            setenv(settings[i].name, settings[i].before, 1);
        else
            unsetenv(settings[i].name);
        free(settings[i].before);
    }
    return handle && find_functions(handle) ? handle : NULL;
}

/* Kernels of 2004, with SSE3, are what a library takes for a CPU that is newer than itself and that it has
 * never heard of: a product is then several times slower than the same library can make it. NULL: as it is.
 */
static const char *better_core(void)
{
    if (strcmp(library.core, "Prescott") != 0)
        return NULL;
    const unsigned haswell = CPU_AVX2 | CPU_FMA;
    return cpu_features() & CPU_AVX512             ? "SkylakeX"
           : (cpu_features() & haswell) == haswell ? "Haswell"
                                                   : NULL;
}

static bool load(void)
{
    static bool tried;
    if (tried)
        return library.handle != NULL;
    tried = true;
    const char *path = getenv("NF4BENCH_LIBOPENBLAS");
    path = path && *path ? path : "libopenblas.so.0";
    library.handle = open_library(path, NULL);
    const char *core = !library.handle || getenv("OPENBLAS_CORETYPE") ? NULL : better_core();
    if (core) {
        dlclose(library.handle);
        library.handle = open_library(path, core);
    }
    return library.handle != NULL;
}

/* ---- products of dense weights ---- */

struct share_range {
    size_t begin, end;
};

/* Part `i` of `parts` of `count`, in whole units but for the end. */
static struct share_range share(size_t count, size_t unit, size_t i, size_t parts)
{
    const size_t units = (count + unit - 1) / unit, end = units * (i + 1) / parts * unit;
    return (struct share_range){units * i / parts * unit, end < count ? end : count};
}

/* Rows and columns of the output, by the calling thread alone. `w` is row-major W[n,k], or, of a gemm, the
 * rows of W from that of the first column on. A product of one row is sgemv's, which is what callers with
 * vectors use, NumPy for one: sgemm would copy all of W for it. */
static void multiply_part(const struct gemm_args *a, enum op op, struct share_range rows,
                          struct share_range columns, const float *w)
{
    const bool forward = op == OP_GEMM;
    const int m = (int)(rows.end - rows.begin), n = (int)(columns.end - columns.begin);
    const int depth = (int)(forward ? a->k : a->n), w_stride = (int)a->k;
    const int stride = (int)(forward ? a->n : a->k);
    const float *x = (const float *)a->x + rows.begin * (size_t)depth;
    float *y = (float *)a->y + rows.begin * (size_t)stride + columns.begin;
    if (m == 0 || n == 0)
        return;
    if (!forward)
        w += columns.begin;
    if (m == 1)
        library.sgemv(ROW_MAJOR, forward ? NO_TRANSPOSE : TRANSPOSE, forward ? n : depth, forward ? depth : n,
                      1, w, w_stride, x, 1, 0, y, 1);
    else
        library.sgemm(ROW_MAJOR, NO_TRANSPOSE, forward ? TRANSPOSE : NO_TRANSPOSE, m, n, depth, 1, x, depth,
                      w, w_stride, 0, y, stride);
}

/* All of the output, whose longer side is divided among the team, by tiles of OpenBLAS's. */
static void multiply(const struct gemm_args *a, enum op op, const float *w)
{
    enum { TILE = 16 };
    const size_t n = op == OP_GEMM ? a->n : a->k;
#pragma omp parallel
    {
        const size_t i = (size_t)omp_get_thread_num(), threads = (size_t)omp_get_num_threads();
        const bool tall = a->m > n;
        const struct share_range rows = tall ? share(a->m, TILE, i, threads) : (struct share_range){0, a->m};
        const struct share_range columns = tall ? (struct share_range){0, n} : share(n, TILE, i, threads);
        multiply_part(a, op, rows, columns, op == OP_GEMM ? w + columns.begin * a->k : w);
    }
}

/* ---- weights, dequantized ---- */

/* Rows of W, into `to`. */
static void dequantize(const struct kernel *k, const struct gemm_args *a, struct share_range rows, float *to)
{
    const struct dequant_args d =
        gemm_rows_to_dequantize(a, k->contract.format, DTYPE_F32, rows.begin, rows.end - rows.begin, to);
    k->dequantize->dequant(&d);
}

struct slabs {
    size_t rows, count; /* of W in a slab; slabs */
};

/* Half of a core's L2 cache each as dense weights, so that X and Y have room as well, and one for each thread
 * at least. A slab starts where its codes and scales are 64-byte aligned, as all variants may expect, and
 * where a scale of the second level does. */
static struct slabs slabs_of(const struct gemm_args *a)
{
    enum { ALIGNED_BLOCKS = 64, L2_LEAST = 256 << 10 };
    const long l2 = sysconf(_SC_LEVEL2_CACHE_SIZE);
    const size_t weights = (size_t)(l2 > L2_LEAST ? l2 : L2_LEAST) / 2 / sizeof(float);
    const size_t threads = (size_t)omp_get_max_threads(), fair = (a->n + threads - 1) / threads;
    size_t unit = (a->w.absmax_code ? NESTED_BLOCKSIZE : ALIGNED_BLOCKS) * a->w.blocksize;
    if (a->w.scale) /* a row is whole blocks */
        unit = ALIGNED_BLOCKS;
    else /* a power of two: weights, now rows */
        for (size_t k = a->k; k % 2 == 0 && unit > 1; k /= 2)
            unit /= 2;
    size_t rows = weights / a->k < fair ? weights / a->k : fair;
    rows = (rows + unit - 1) / unit * unit;
    rows = rows < unit ? unit : rows > a->n ? a->n : rows;
    return (struct slabs){rows, (a->n + rows - 1) / rows};
}

/* What a variant is given as `prepared`: dense weights, or room for them, which several variants and operand
 * sets use in turn. */
struct dense {
    struct dense *next;
    const struct kernel *kernel; /* whose weights they are, and of which operand set; NULL: room */
    const void *packed;
    size_t users;
    struct buffer w;
};
static struct dense *all_dense;

static void unprepare(void *prepared)
{
    struct dense *d = prepared;
    if (!d || --d->users > 0)
        return;
    struct dense **at = &all_dense;
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    buffer_release(&d->w);
    free(d);
}

static enum status prepare(const struct kernel *k, const struct gemm_args *a, void **prepared)
{
    const bool room = k->blas != BLAS_DENSE;
    const void *packed = room ? NULL : a->w.packed;
    size_t rows = a->n;
    if (k->blas == BLAS_SLAB) {
        const struct slabs slabs = slabs_of(a);
        const size_t threads = (size_t)omp_get_max_threads();
        rows = slabs.rows * (slabs.count < threads ? slabs.count : threads);
    }
    const size_t bytes = rows * a->k * sizeof(float);
    const struct kernel *of = room ? NULL : k;
    struct dense *d = all_dense;
    while (d && (d->kernel != of || d->packed != packed || d->w.size < bytes))
        d = d->next;
    if (!d) {
        d = calloc(1, sizeof *d);
        enum status s = d ? buffer_init(&d->w, bytes, "dense weights") : status_no_memory("dense weights");
        if (s != STATUS_OK) {
            free(d);
            return s;
        }
        *d = (struct dense){.next = all_dense, .kernel = of, .packed = packed, .w = d->w};
        all_dense = d;
        if (!room)
            dequantize(k, a, (struct share_range){0, a->n}, d->w.data);
    }
    d->users++;
    *prepared = d;
    return STATUS_OK;
}

static void multiply_slabs(const struct kernel *k, const struct gemm_args *a, const struct dense *room)
{
    const struct slabs slabs = slabs_of(a);
    const size_t weights = slabs.rows * a->k, rooms = room->w.size / sizeof(float) / weights;
#pragma omp parallel
    {
        const size_t i = (size_t)omp_get_thread_num(), threads = (size_t)omp_get_num_threads();
        const size_t step = threads < rooms ? threads : rooms;
        float *w = (float *)room->w.data + i * weights;
        for (size_t slab = i; i < step && slab < slabs.count; slab += step) {
            const size_t begin = slab * slabs.rows, end = begin + slabs.rows;
            const struct share_range rows = {begin, end < a->n ? end : a->n};
            dequantize(k, a, rows, w); /* by this thread alone: parallel regions do not nest */
            multiply_part(a, OP_GEMM, (struct share_range){0, a->m}, rows, w);
        }
    }
}

static void product(const struct kernel *k, const struct gemm_args *a)
{
    const struct dense *d = a->prepared;
    if (k->blas == BLAS_SLAB) {
        multiply_slabs(k, a, d);
        return;
    }
    if (k->blas == BLAS_WHOLE)
        dequantize(k, a, (struct share_range){0, a->n}, d->w.data);
    multiply(a, k->contract.op, d->w.data);
}

/* ---- registration ---- */

/* What dequantizes a format: for a slab, which is to stay in the cache, and for all of W, which is not. */
struct dequantize_row {
    const char *slab, *whole;
};

/* One row for a format: what tells its dense product from others' (NULL: it is timed beside another's), and
 * what dequantizes it, the fastest first. */
static const struct format_row {
    const char *dense;
    struct dequantize_row dequantize[3];
} formats[] = {
#define ROW(dense, name, scalar)                                                                             \
    {dense,                                                                                                  \
     {{name "__avx512", name "__avx512_stream"}, {name "__avx2", name "__avx2_stream"}, {scalar, scalar}}},
    ROW("", "nf4_dequant_f32", "nf4_dequant_f32__scalar_table")
        ROW("_nested", "nf4_dequant_f32_fused", "nf4_dequant_f32_fused__scalar_table")
            ROW(NULL, "int4_dequant_f32", "int4_dequant_f32__scalar")
#undef ROW
};

static const struct product_row {
    enum op op;
    enum blas_use use;
    const char *word;
} products[] = {
    {OP_GEMM, BLAS_DENSE, NULL},      {OP_GEMMDX, BLAS_DENSE, NULL}, {OP_GEMM, BLAS_WHOLE, "whole"},
    {OP_GEMMDX, BLAS_WHOLE, "whole"}, {OP_GEMM, BLAS_SLAB, "slab"},
};

enum {
    FORMATS = sizeof formats / sizeof formats[0],
    PRODUCTS = sizeof products / sizeof products[0],
    NAME_MAX_BYTES = 96,
};

static struct contract contract_of(enum op op, const struct kernel *dequantize)
{
    return (struct contract){.format = dequantize->contract.format,
                             .op = op,
                             .out = DTYPE_F32,
                             .accumulation = ACC_ANY,
                             .nested = dequantize->contract.nested};
}

enum status openblas_add(const char *name, enum op op, enum blas_use use, const struct kernel *dequantize)
{
    if (!load())
        return STATUS_OK;
    static char source[64];
    snprintf(source, sizeof source, "libopenblas, %s", library.core);
    const bool peer = use == BLAS_DENSE || dequantize->peer;
    /* Not deterministic: a tile at the end of a thread's share, or a share that is small, is summed by other
     * kernels of the library's, so that bits depend on the number of threads. */
    const struct kernel k = {.name = name,
                             .source = source,
                             .arch = peer ? "peer" : dequantize->arch,
                             .option = dequantize->option,
                             .contract = contract_of(op, dequantize),
                             .k_multiple = 1,
                             .backend = BACKEND_CPU,
                             .cpu_features = dequantize->cpu_features,
                             .built = true,
                             .peer = peer,
                             .no_bias = true,
                             .blas = use,
                             .dequantize = dequantize,
                             .product = product,
                             .prepare = prepare,
                             .unprepare = unprepare};
    return kernel_add(&k);
}

/* The fastest that this CPU has; NULL: none. */
static const struct dequantize_row *fastest(const struct format_row *f)
{
    char reason[KERNEL_REASON_MAX];
    for (size_t i = 0; i < sizeof f->dequantize / sizeof f->dequantize[0]; i++)
        if (!kernel_unavailable(kernel_find(f->dequantize[i].whole), &device_cpu, reason))
            return &f->dequantize[i];
    return NULL;
}

static enum status add_format(const struct format_row *f, char names[PRODUCTS][NAME_MAX_BYTES])
{
    const struct dequantize_row *row = fastest(f);
    enum status s = STATUS_OK;
    for (size_t i = 0; i < PRODUCTS && row && s == STATUS_OK; i++) {
        const struct product_row *p = &products[i];
        if (p->use == BLAS_DENSE && !f->dense)
            continue;
        const struct kernel *dequantize = kernel_find(p->use == BLAS_SLAB ? row->slab : row->whole);
        const struct contract contract = contract_of(p->op, dequantize);
        char text[NAME_MAX_BYTES / 2];
        if (p->use == BLAS_DENSE)
            snprintf(names[i], NAME_MAX_BYTES, "openblas_%s_f32%s", op_word(p->op), f->dense);
        else if (contract_format(&contract, text, sizeof text))
            snprintf(names[i], NAME_MAX_BYTES, "%s__%s_openblas_%s", text, dequantize->arch, p->word);
        s = openblas_add(names[i], p->op, p->use, dequantize);
    }
    return s;
}

enum status openblas_add_all(void)
{
    static char names[FORMATS][PRODUCTS][NAME_MAX_BYTES];
    enum status s = STATUS_OK;
    for (size_t i = 0; i < FORMATS && load() && s == STATUS_OK; i++)
        s = add_format(&formats[i], names[i]);
    return s;
}

enum status openblas_register(void)
{
    static bool done;
    const enum status s = done ? STATUS_OK : provider_add("--openblas", "", NULL);
    done = true;
    return s;
}

/* ---- the ceiling ---- */

double openblas_flop_per_s(void)
{
    enum { SIZE = 768, CALLS = 3, TRIALS = 4 };
    double best = NAN;
    if (!load())
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
                library.sgemm(ROW_MAJOR, NO_TRANSPOSE, NO_TRANSPOSE, SIZE, SIZE, SIZE, 1, a, SIZE, a + count,
                              SIZE, 0, a + 2 * count, SIZE);
        }
        best = fmax(best, 2e6 * CALLS * (double)threads * SIZE * (double)count / (clock_us() - start));
    }
    free(memory);
    return best;
}
