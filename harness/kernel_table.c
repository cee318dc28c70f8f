#include "harness/kernel_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build_info.h"
#include "harness/cpu.h"

/* Features and build state of each arch, from its one list. */
enum {
#define KERNEL_ARCH(word, backend, features, flags) ARCH_FEATURES_##word = (features),
#include "kernels/arch.inc"
};

#define OP_dequant        OP_DEQUANT
#define OP_gemm           OP_GEMM
#define OP_gemmdx         OP_GEMMDX
#define ENTRY_dequant(fn) .dequant = (fn)
#define ENTRY_gemm(fn)    .gemm = (fn)
#define ENTRY_gemmdx(fn)  .gemm = (fn)

/* A row whose arch was not built has no function to point to: its reference is weak and resolves to NULL. A
 * row of a built arch has a strong one, so that a name without a definition does not link. */
#define REFERENCE_0 __attribute__((weak))
#define REFERENCE_1
#define REFERENCE(built)                    REFERENCE_PASTE(built)
#define REFERENCE_PASTE(built)              REFERENCE_##built
#define KERNEL(name, source, op, arch, ...) extern __typeof__(name) name REFERENCE(NF4BENCH_HAVE_ARCH_##arch);
#include "kernels/kernels.inc"

static const struct kernel table[] = {
#define KERNEL(fn, file, operation, arch_, out_, decode_, scale_, acc_, chains_, splits_, nested_,           \
               denormals_, m_max_, k_multiple_)                                                              \
    {.name = #fn,                                                                                            \
     .source = #file,                                                                                        \
     .arch = #arch_,                                                                                         \
     .contract = {.format = FORMAT_NF4,                                                                      \
                  .op = OP_##operation,                                                                      \
                  .out = DTYPE_##out_,                                                                       \
                  .decode = DECODE_##decode_,                                                                \
                  .scale = SCALE_##scale_,                                                                   \
                  .accumulation = ACC_##acc_,                                                                \
                  .chains = chains_,                                                                         \
                  .splits = splits_,                                                                         \
                  .nested = NESTED_##nested_,                                                                \
                  .denormals = DENORMALS_##denormals_},                                                      \
     .m_max = m_max_,                                                                                        \
     .k_multiple = k_multiple_,                                                                              \
     .cpu_features = ARCH_FEATURES_##arch_,                                                                  \
     .built = NF4BENCH_HAVE_ARCH_##arch_,                                                                    \
     ENTRY_##operation(fn)},
#include "kernels/kernels.inc"
};

static struct kernel *added;
static size_t added_count;

size_t kernel_count(void)
{
    return KERNEL_TABLE_COUNT + added_count;
}

const struct kernel *kernel_at(size_t i)
{
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
    enum { ADDED_MAX = 1024 };
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

const char *kernel_unavailable(const struct kernel *k, char reason[KERNEL_REASON_MAX])
{
    if (!k->built) {
        snprintf(reason, KERNEL_REASON_MAX, "this build has no code for %s", k->arch);
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

bool kernel_matches(const struct kernel *k, const struct problem *p)
{
    return k->contract.op == p->op && k->contract.out == p->out &&
           (k->contract.nested != NESTED_NONE) == p->nested;
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
    else if (k->whole_blocks && p->k % p->blocksize)
        snprintf(reason, KERNEL_REASON_MAX, "takes k in multiples of the blocksize");
    else if (k->no_bias && p->bias)
        snprintf(reason, KERNEL_REASON_MAX, "has no bias");
    else
        return NULL;
    return reason;
}
