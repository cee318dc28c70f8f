#include "harness/problem/variant_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void copy(char *to, size_t size, const char *text)
{
    snprintf(to, size, "%s", text ? text : "");
}

void variant_to_data(const struct kernel *k, struct variant_data *out)
{
    *out = (struct variant_data){.kernel = *k};
    out->kernel.code = kernel_code(k);
    copy(out->name, sizeof out->name, k->name);
    copy(out->dequantize, sizeof out->dequantize, k->dequantize ? k->dequantize->name : NULL);
    copy(out->arch, sizeof out->arch, k->arch);
    copy(out->source_hash, sizeof out->source_hash, k->source_hash);
    copy(out->code_hash, sizeof out->code_hash, k->code_hash);
    copy(out->source, sizeof out->source, k->source);
    copy(out->option, sizeof out->option, k->option);
}

/* The texts of all variants: they stay, and are many times the same. */
static char **texts;
static size_t text_count;

/* NULL where it is empty, or when out of memory. */
static const char *text_of(const char *text, size_t size)
{
    char *copy = *text ? strndup(text, size - 1) : NULL;
    for (size_t i = 0; copy && i < text_count; i++)
        if (strcmp(texts[i], copy) == 0) {
            free(copy);
            return texts[i];
        }
    char **more = copy ? realloc(texts, (text_count + 1) * sizeof *more) : NULL;
    if (!more) {
        free(copy);
        return NULL;
    }
    texts = more;
    return texts[text_count++] = copy;
}

static bool in_range(const struct kernel *k)
{
    return (unsigned)k->backend <= BACKEND_CUDA && (unsigned)k->blas <= BLAS_SLAB &&
           (unsigned)k->bitsandbytes <= BITSANDBYTES_GEMM && k->k_multiple > 0;
}

/* The contract follows from the name, but for peers, whose names are outside of the grammar. */
static bool contract_holds(struct kernel *k)
{
    const char *arch;
    return in_range(k) && (k->peer || contract_parse(k->name, &k->contract, &arch)) &&
           !contract_invalid(&k->contract);
}

/* The variant of that name before `out` in its list, or in the table. */
static const struct kernel *find(const char *name, const struct kernel *list, const struct kernel *out)
{
    for (; list < out; list++)
        if (strcmp(list->name, name) == 0)
            return list;
    return kernel_find(name);
}

enum status variant_from_data(const struct variant_data *data, const struct kernel *list, struct kernel *out)
{
    const struct kernel *k = &data->kernel;
    const char *dequantize = text_of(data->dequantize, sizeof data->dequantize);
    *out = (struct kernel){.name = text_of(data->name, sizeof data->name),
                           .source = text_of(data->source, sizeof data->source),
                           .arch = text_of(data->arch, sizeof data->arch),
                           .source_hash = text_of(data->source_hash, sizeof data->source_hash),
                           .code_hash = text_of(data->code_hash, sizeof data->code_hash),
                           .option = text_of(data->option, sizeof data->option),
                           .contract = k->contract,
                           .m_max = k->m_max,
                           .k_multiple = k->k_multiple,
                           .backend = k->backend,
                           .cpu_features = k->cpu_features,
                           .min_sm = k->min_sm,
                           .built = k->built,
                           .peer = k->peer,
                           .n_multiple = k->n_multiple,
                           .whole_blocks = k->whole_blocks,
                           .no_bias = k->no_bias,
                           .deterministic = k->deterministic,
                           .only_by_name = k->only_by_name,
                           .extra_unit = k->extra_unit,
                           .bitsandbytes = k->bitsandbytes,
                           .blas = k->blas,
                           .blas_lt = k->blas_lt,
                           .code = k->code,
                           .dequantize = dequantize ? find(dequantize, list, out) : NULL};
    if (!out->name || !out->source || !out->arch || !contract_holds(out) ||
        (out->blas != BLAS_NONE) != (out->dequantize != NULL))
        return status_fail(STATUS_INPUT, "what it says of a variant is none of this program's");
    return STATUS_OK;
}
