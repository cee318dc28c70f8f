#include "harness/problem/variant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build_info.h"
#include "harness/base/machine.h"
#include "harness/problem/image.h"
#include "kernels/hashes.h"

/* What each arch needs: CPU features, or a compute capability. */
enum {
#define KERNEL_ARCH(word, backend, needs, flags) ARCH_NEEDS_##word = (needs),
#include "kernels/arch.inc"
};

#define OP_dequant           OP_DEQUANT
#define OP_gemm              OP_GEMM
#define OP_gemmdx            OP_GEMMDX
#define OP_repack            OP_REPACK
#define OP_unrepack          OP_UNREPACK
#define CALL_CPU_dequant(fn) .dequant = (fn)
#define CALL_CPU_gemm(fn)    .gemm = (fn)
#define CALL_CPU_gemmdx(fn)  .gemm = (fn)

/*
 * What a row refers to. A CPU row whose arch was not built has no function: its reference is weak and
 * resolves to NULL. All others are strong, so that a name without a definition does not link. A CUDA row has
 * an entry for each host build (kernels/device/cuda.h).
 */
#define PASTE_(a, b)  a##b
#define PASTE(a, b)   PASTE_(a, b)
#define BACKEND(arch) PASTE(NF4BENCH_BACKEND_, arch)
#define REFERENCE_0   __attribute__((weak))
#define REFERENCE_1
#define REFERENCE(built)          PASTE(REFERENCE_, built)
#define DECLARE_CPU(fn, op, arch) extern op##_fn fn REFERENCE(NF4BENCH_HAVE_ARCH_##arch);
#define DECLARE_CUDA(fn, op, arch)                                                                           \
    extern const struct entry fn##__fast, fn##__checked REFERENCE(NF4BENCH_SIMT_CHECKED);
#define KERNEL(name, source, op, arch, ...) PASTE(DECLARE_, BACKEND(arch))(name, op, arch)
#include "kernels/kernels.inc"

#define CALL_CPU(fn, op, arch)                                                                               \
    .backend = BACKEND_CPU, .built = NF4BENCH_HAVE_ARCH_##arch, .cpu_features = ARCH_NEEDS_##arch,           \
    .code_hash = NF4BENCH_HAVE_ARCH_##arch ? kernel_hashes[KERNEL_##fn].code : NULL, CALL_CPU_##op(fn)
#define CALL_CUDA(fn, op, arch)                                                                              \
    .backend = BACKEND_CUDA, .built = true, .min_sm = ARCH_NEEDS_##arch,                                     \
    .code_hash = kernel_hashes[KERNEL_##fn].code, .entries = {&fn##__fast, &fn##__checked}

static const struct kernel table[] = {
#define KERNEL(fn, file, operation, arch_, format_, out_, decode_, scale_, acc_, chains_, width_, splits_,   \
               nested_, denormals_, m_max_, k_multiple_)                                                     \
    {.name = #fn,                                                                                            \
     .source = #file,                                                                                        \
     .source_hash = kernel_hashes[KERNEL_##fn].source,                                                       \
     .arch = #arch_,                                                                                         \
     .contract = {.format = FORMAT_##format_,                                                                \
                  .op = OP_##operation,                                                                      \
                  .out = DTYPE_##out_,                                                                       \
                  .decode = DECODE_##decode_,                                                                \
                  .scale = SCALE_##scale_,                                                                   \
                  .accumulation = ACC_##acc_,                                                                \
                  .chains = chains_,                                                                         \
                  .width = width_,                                                                           \
                  .splits = splits_,                                                                         \
                  .nested = NESTED_##nested_,                                                                \
                  .denormals = DENORMALS_##denormals_},                                                      \
     .m_max = m_max_,                                                                                        \
     .k_multiple = k_multiple_,                                                                              \
     PASTE(CALL_, BACKEND(arch_))(fn, operation, arch_)},
#include "kernels/kernels.inc"
};

enum { ADDED_MAX = 1024 };
static struct kernel *added;
static size_t added_count;

/* In place of all that. */
static const struct kernel *replaced;
static size_t replaced_count;

void kernel_table_replace(const struct kernel *kernels, size_t count)
{
    replaced = kernels;
    replaced_count = count;
}

size_t kernel_count(void)
{
    return replaced ? replaced_count : KERNEL_TABLE_COUNT + added_count;
}

const struct kernel *kernel_at(size_t i)
{
    if (replaced)
        return &replaced[i];
    return i < KERNEL_TABLE_COUNT ? &table[i] : &added[i - KERNEL_TABLE_COUNT];
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

size_t kernel_room(void)
{
    return ADDED_MAX - added_count;
}

enum layout kernel_layout(const struct kernel *k)
{
    const char *knobs = k->peer ? NULL : strstr(k->name, "__");
    return knobs ? layout_of_knobs(k->contract.format, knobs + 2) : LAYOUT_ROWS;
}

/* Before a GPU is known (sm 0): what holds for all of them. */
static const char *unavailable_on_gpu(const struct kernel *k, const struct gpu *gpu,
                                      char reason[KERNEL_REASON_MAX])
{
    bool mma80 = k->contract.accumulation == ACC_MMA80, mma90 = k->contract.accumulation == ACC_MMA90;
    const struct kernel *own = k->blas ? k->dequantize : k;
    if (!k->bitsandbytes && (!cuda_image_find(own->source) || !(own->recipe || own->entries[ENTRY_FAST])))
        snprintf(reason, KERNEL_REASON_MAX, "this build has no device code");
    else if (gpu->sm && gpu->sm < k->min_sm)
        snprintf(reason, KERNEL_REASON_MAX, "needs compute capability %u.%u, this GPU has %u.%u",
                 k->min_sm / 10, k->min_sm % 10, gpu->sm / 10, gpu->sm % 10);
    else if (gpu->sm && mma80 && gpu->sm / 10 != 8)
        snprintf(reason, KERNEL_REASON_MAX, "mma80 is what GPUs of compute capability 8.x compute, not %u.%u",
                 gpu->sm / 10, gpu->sm % 10);
    else if (gpu->sm && mma90 && gpu->sm < 90)
        snprintf(reason, KERNEL_REASON_MAX,
                 "mma90 is what GPUs from compute capability 9.0 on compute, not %u.%u", gpu->sm / 10,
                 gpu->sm % 10);
    else
        return NULL;
    return reason;
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
    if (only_on_gpu(k) && device->kind != DEVICE_CUDA) {
        snprintf(reason, KERNEL_REASON_MAX, "%s", only_on_gpu(k));
        return reason;
    }
    if (!device_runs(device, k->backend)) {
        snprintf(reason, KERNEL_REASON_MAX, "%s",
                 k->backend == BACKEND_CUDA
                     ? "a CUDA kernel; --device cuda runs it on a GPU, --device simt on this CPU"
                     : "a CPU function; --device cpu runs it");
        return reason;
    }
    if (!k->built) {
        snprintf(reason, KERNEL_REASON_MAX, "this build has no code for %s", k->arch);
        return reason;
    }
    if (device->kind == DEVICE_CUDA)
        return unavailable_on_gpu(k, &device->gpu, reason);
    const struct entry *entry = k->entries[device->checked ? ENTRY_CHECKED : ENTRY_FAST];
    if (k->backend == BACKEND_CUDA && !(entry && entry->run)) {
        snprintf(reason, KERNEL_REASON_MAX, "this build has no %s host code for CUDA kernels",
                 device->checked ? "checked" : "fast");
        return reason;
    }
    unsigned missing = k->cpu_features & ~cpu_features();
    if (missing) {
        char names[96];
        snprintf(reason, KERNEL_REASON_MAX, "this CPU has no %s",
                 cpu_feature_names(missing, names, sizeof names));
        return reason;
    }
    return NULL;
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
        snprintf(reason, KERNEL_REASON_MAX, "takes m up to %zu", k->m_max);
    else if (k->k_multiple > 1 && p->k % k->k_multiple)
        snprintf(reason, KERNEL_REASON_MAX, "takes k in multiples of %zu", k->k_multiple);
    else if (k->n_multiple > 1 && p->n % k->n_multiple)
        snprintf(reason, KERNEL_REASON_MAX, "takes n in multiples of %zu", k->n_multiple);
    else if (k->whole_blocks && p->k % p->format.blocksize)
        snprintf(reason, KERNEL_REASON_MAX, "takes k in multiples of the blocksize");
    else if (k->no_bias && p->bias)
        snprintf(reason, KERNEL_REASON_MAX, "has no bias");
    else if (p->format.act_order && k->contract.scale == SCALE_BLOCK)
        snprintf(reason, KERNEL_REASON_MAX, "scales by block, which act-order scatters");
    else if (layout_inapplicable(kernel_layout(k), p))
        snprintf(reason, KERNEL_REASON_MAX, "%s", layout_inapplicable(kernel_layout(k), p));
    else if (!dense_weights_fit(k, p))
        snprintf(reason, KERNEL_REASON_MAX,
                 "its dense weights are more than a quarter of the memory that is free");
    else
        return NULL;
    return reason;
}
