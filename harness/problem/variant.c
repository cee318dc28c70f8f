#include "harness/problem/variant.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/machine.h"
#include "harness/problem/image.h"
#include "kernels/hashes.h"
#include "kernels/plugin.h"

/* kernel_table[], also the rows that this build has no code for. */
#define KERNEL_TABLE_ALL
#include "kernel_table.inc"
enum { TABLE_COUNT = sizeof kernel_table / sizeof kernel_table[0] };

static struct kernel table[TABLE_COUNT];

static const struct arch {
    const char *word;
    enum backend backend;
    unsigned needs; /* CPU features, or a compute capability */
} arches[] = {
#define KERNEL_ARCH(word, backend, needs, flags) {#word, BACKEND_##backend, needs},
#include "kernels/arch.inc"
};

enum status kernel_set_arch(struct kernel *k, const char *arch)
{
    const size_t length = strcspn(arch, "_");
    for (size_t i = 0; i < sizeof arches / sizeof arches[0]; i++) {
        if (strlen(arches[i].word) != length || memcmp(arches[i].word, arch, length) != 0)
            continue;
        if (arches[i].backend != k->backend)
            return status_fail(STATUS_INPUT, "its name says %s, which is not of its backend", arches[i].word);
        if (k->backend == BACKEND_CPU)
            k->cpu_features |= arches[i].needs;
        else if (k->min_sm < arches[i].needs)
            k->min_sm = arches[i].needs;
        k->arch = arches[i].word;
        return STATUS_OK;
    }
    k->arch = strndup(arch, length);
    return k->arch ? STATUS_OK : status_fail(STATUS_MEMORY, "out of memory");
}

/* The build has checked each name (cmake/check_names.c): this repeats it for the table as it was compiled. */
__attribute__((constructor)) static void make_table(void)
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        const struct nf4bench_variant *v = &kernel_table[i];
        struct kernel *k = &table[i];
        const char *arch;
        *k = (struct kernel){.name = v->name,
                             .source = v->source,
                             .source_hash = v->source_hash,
                             .code_hash = v->code_hash,
                             .m_max = v->m_max,
                             .k_multiple = v->k_multiple ? v->k_multiple : 1,
                             .backend = v->backend == NF4BENCH_CPU ? BACKEND_CPU : BACKEND_CUDA,
                             .built = v->dequant || v->gemm || v->fast,
                             .dequant = v->dequant,
                             .gemm = v->gemm,
                             .entries = {v->fast, v->checked}};
        if (!contract_parse(v->name, &k->contract, &arch) || kernel_set_arch(k, arch) != STATUS_OK) {
            fprintf(stderr,
                    "kernels/%s: the words of the name %s do not fit together (reference/contract.h)\n",
                    v->source, v->name);
            abort();
        }
    }
}

enum { ADDED_MAX = 1024 };
static struct kernel *added;
static size_t added_count;

/* In place of both. */
static const struct kernel *replaced;
static size_t replaced_count;

void kernel_table_replace(const struct kernel *kernels, size_t count)
{
    replaced = kernels;
    replaced_count = count;
}

size_t kernel_table_count(void)
{
    return TABLE_COUNT;
}

size_t kernel_count(void)
{
    return replaced ? replaced_count : TABLE_COUNT + added_count;
}

const struct kernel *kernel_at(size_t i)
{
    if (replaced)
        return &replaced[i];
    return i < TABLE_COUNT ? &table[i] : &added[i - TABLE_COUNT];
}

const struct kernel *kernel_find(const char *name)
{
    for (size_t i = 0; i < kernel_count(); i++)
        if (strcmp(kernel_at(i)->name, name) == 0)
            return kernel_at(i);
    return NULL;
}

enum status kernel_add(const struct kernel *k)
{
    if (kernel_find(k->name))
        return status_fail(STATUS_INPUT, "variant %s from %s: the name is taken", k->name, k->source);
    /* Never moved, so that pointers handed out stay good. */
    if (!added)
        added = calloc(ADDED_MAX, sizeof *added);
    if (!added || added_count == ADDED_MAX)
        return status_fail(STATUS_LIMIT, "variant %s from %s: no room for more than %d added variants",
                           k->name, k->source, ADDED_MAX);
    added[added_count++] = *k;
    return STATUS_OK;
}

enum { TABLES_MAX = 16 };
static struct {
    const char *name;
    const struct kernel *kernels;
    size_t count;
} tables[TABLES_MAX];
static size_t table_count;

enum status kernel_add_table(const char *name, const struct kernel *kernels, size_t count)
{
    if (table_count == TABLES_MAX)
        return status_fail(STATUS_LIMIT, "more than %d tables of variants", TABLES_MAX);
    tables[table_count].name = name;
    tables[table_count].kernels = kernels;
    tables[table_count++].count = count;
    return STATUS_OK;
}

const struct kernel *kernel_named(const char *table_name, const char *name)
{
    if (!*table_name)
        return kernel_find(name);
    for (size_t t = 0; t < table_count; t++)
        for (size_t i = 0; strcmp(tables[t].name, table_name) == 0 && i < tables[t].count; i++)
            if (strcmp(tables[t].kernels[i].name, name) == 0)
                return &tables[t].kernels[i];
    return NULL;
}

const struct kernel *kernels_added(const char *table_name, size_t *count)
{
    size_t t = 0;
    *count = added_count;
    if (!*table_name)
        return added;
    while (t < table_count && strcmp(tables[t].name, table_name) != 0)
        t++;
    *count = t < table_count ? tables[t].count : 0;
    return t < table_count ? tables[t].kernels : NULL;
}

size_t kernel_room(void)
{
    return ADDED_MAX - added_count;
}

unsigned kernel_code(const struct kernel *k)
{
    unsigned code = k->code;
    for (enum entry_build b = ENTRY_FAST; b < ENTRY_BUILDS; b++)
        if (k->entries[b] && k->entries[b]->run)
            code |= b == ENTRY_FAST ? CODE_FAST : CODE_CHECKED;
    if ((k->recipe || k->entries[ENTRY_FAST]) && cuda_image_find(k->source))
        code |= CODE_GPU;
    return code | (k->prepare ? CODE_PREPARES : 0);
}

enum layout kernel_layout(const struct kernel *k)
{
    const char *knobs = k->peer ? NULL : strstr(k->name, "__");
    return knobs ? layout_of_knobs(k->contract.format, knobs + 2) : LAYOUT_ROWS;
}

PRINTF_LIKE(2, 3)
static const char *say(char reason[KERNEL_REASON_MAX], const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(reason, KERNEL_REASON_MAX, format, ap);
    va_end(ap);
    return reason;
}

/* Before a GPU is known (sm 0): what holds for all of them. */
static const char *unavailable_on_gpu(const struct kernel *k, const struct gpu *gpu,
                                      char reason[KERNEL_REASON_MAX])
{
    bool mma80 = k->contract.accumulation == ACC_MMA80, mma90 = k->contract.accumulation == ACC_MMA90;
    const struct kernel *own = k->blas ? k->dequantize : k;
    if (!k->bitsandbytes && !(kernel_code(own) & CODE_GPU))
        return say(reason, "this build has no device code");
    if (gpu->sm && gpu->sm < k->min_sm)
        return say(reason, "needs compute capability %u.%u, this GPU has %u.%u", k->min_sm / 10,
                   k->min_sm % 10, gpu->sm / 10, gpu->sm % 10);
    if (gpu->sm && mma80 && gpu->sm / 10 != 8)
        return say(reason, "mma80 is what GPUs of compute capability 8.x compute, not %u.%u", gpu->sm / 10,
                   gpu->sm % 10);
    if (gpu->sm && mma90 && gpu->sm < 90)
        return say(reason, "mma90 is what GPUs from compute capability 9.0 on compute, not %u.%u",
                   gpu->sm / 10, gpu->sm % 10);
    return NULL;
}

/* NULL if the executor can stand in for a GPU, else why not. */
static const char *only_on_gpu(const struct kernel *k)
{
    return k->backend != BACKEND_CUDA ? NULL
           : k->blas                  ? "cuBLAS runs on a GPU: --device cuda"
           : k->bitsandbytes          ? "bitsandbytes' CUDA library runs on a GPU: --device cuda"
           : k->recipe                ? "device code alone runs on a GPU: --device cuda"
                                      : NULL;
}

bool kernel_belongs(const struct kernel *k, const struct device *device)
{
    return device_runs(device, k->backend) && (!only_on_gpu(k) || device->kind == DEVICE_CUDA);
}

const char *kernel_unavailable(const struct kernel *k, const struct device *device,
                               char reason[KERNEL_REASON_MAX])
{
    if (only_on_gpu(k) && device->kind != DEVICE_CUDA)
        return say(reason, "%s", only_on_gpu(k));
    if (!device_runs(device, k->backend))
        return say(reason, "%s",
                   k->backend == BACKEND_CUDA
                       ? "a CUDA kernel; --device cuda runs it on a GPU, --device simt on this CPU"
                       : "a CPU function; --device cpu runs it");
    if (!k->built)
        return say(reason, "this build has no code for %s", k->arch);
    if (device->kind == DEVICE_CUDA)
        return unavailable_on_gpu(k, &device->gpu, reason);
    if (k->backend == BACKEND_CUDA && !(kernel_code(k) & (device->checked ? CODE_CHECKED : CODE_FAST)))
        return say(reason, "this build has no %s host code for CUDA kernels",
                   device->checked ? "checked" : "fast");
    char names[96];
    const unsigned missing = k->cpu_features & ~cpu_features();
    return missing ? say(reason, "this CPU has no %s", cpu_feature_names(missing, names, sizeof names))
                   : NULL;
}

/* The GPU's server says itself what does not fit there. */
static bool dense_weights_fit(const struct kernel *k, const struct problem *p)
{
    return k->backend == BACKEND_CUDA || (k->blas != BLAS_DENSE && k->blas != BLAS_WHOLE) ||
           problem_weight_count(p) * dtype_size(p->out) <= cpu_memory_available() / 4;
}

bool kernel_matches(const struct kernel *k, const struct problem *p)
{
    return k->contract.format == p->format.kind && k->contract.op == p->op && k->contract.out == p->out &&
           (k->contract.nested != NESTED_NONE) == p->format.nested;
}

const char *kernel_inapplicable(const struct kernel *k, const struct problem *p,
                                char reason[KERNEL_REASON_MAX])
{
    if (k->m_max && p->m > k->m_max)
        return say(reason, "takes m up to %zu", k->m_max);
    if (k->k_multiple > 1 && p->k % k->k_multiple)
        return say(reason, "takes k in multiples of %zu", k->k_multiple);
    if (k->n_multiple > 1 && p->n % k->n_multiple)
        return say(reason, "takes n in multiples of %zu", k->n_multiple);
    if (k->whole_blocks && p->k % p->format.blocksize)
        return say(reason, "takes k in multiples of the blocksize");
    if (k->no_bias && p->bias)
        return say(reason, "has no bias");
    if (p->format.act_order && k->contract.scale == SCALE_BLOCK)
        return say(reason, "scales by block, which act-order scatters");
    if (layout_inapplicable(kernel_layout(k), p))
        return say(reason, "%s", layout_inapplicable(kernel_layout(k), p));
    if (!dense_weights_fit(k, p))
        return say(reason, "its dense weights are more than a quarter of the memory that is free");
    return NULL;
}
