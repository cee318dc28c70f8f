#include "harness/checkpoint/int4_checkpoint.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/awq.h"
#include "reference/gptq.h"

static const char suffix[] = ".qweight";

enum packer { PACKER_GPTQ, PACKER_AWQ_GEMM, PACKER_AWQ_GEMV };

/* A layer in a file. */
struct int4_layer {
    enum packer packer;
    enum gptq_version version;
    size_t n, k, groups;
    const struct safetensor *qweight, *qzeros, *scales, *g_idx; /* g_idx may be NULL */
};

bool weight_is_int4(const char *name)
{
    const size_t length = strlen(name);
    return length >= sizeof suffix - 1 && strcmp(name + length - (sizeof suffix - 1), suffix) == 0;
}

/* The tensor that has `part` in the place of "qweight", or NULL. */
static const struct safetensor *find_part(const struct safetensors *file, const char *name, const char *part)
{
    return safetensors_find_part(file, name, strlen(name) - (sizeof suffix - 2), part);
}

static enum status require(const struct safetensors *file, const char *name, const struct safetensor *t,
                           const char *part, const char *dtype, size_t rank)
{
    if (!t)
        return safetensors_fail(file, "%s: its %s is missing", name, part);
    if (strcmp(t->dtype, dtype) != 0 || t->rank != rank)
        return safetensors_fail(file, "%s must be %s with %zu dimensions, and is %s with %zu", t->name, dtype,
                                rank, t->dtype, t->rank);
    return STATUS_OK;
}

static uint32_t word_at(const struct safetensor *t, size_t i)
{
    return dtype_load_bits(DTYPE_F32, t->data, i); /* any type of 4 bytes */
}

/* Whether a JSON file beside the layer's says that zero points are stored as they are. A file that is not
 * there, or is none, says nothing. */
static bool says_v2(const char *path, const char *beside)
{
    const char *slash = strrchr(path, '/');
    char *full;
    if (asprintf(&full, "%.*s%s", slash ? (int)(slash + 1 - path) : 0, path, beside) < 0)
        return false;
    json_t *json = json_load_file(full, 0, NULL);
    const json_t *nested = json_object_get(json, "quantization_config");
    const char *word = json_string_value(json_object_get(nested ? nested : json, "checkpoint_format"));
    const bool v2 = word && strcmp(word, "gptq_v2") == 0;
    json_decref(json);
    free(full);
    return v2;
}

/* Columns of zero points that the layer has in a row of qzeros. */
static enum status check_zeros(const struct safetensors *file, const struct int4_layer *l)
{
    const bool gemv = l->packer == PACKER_AWQ_GEMV;
    const size_t rows = gemv ? l->n : l->groups, columns = gemv ? l->scales->shape[1] / 8 : l->n / 8;
    if (l->qzeros->shape[0] == rows && l->qzeros->shape[1] == columns)
        return STATUS_OK;
    return safetensors_fail(file, "%s is [%zu, %zu], and belongs to weights of %zu x %zu: [%zu, %zu]",
                            l->qzeros->name, l->qzeros->shape[0], l->qzeros->shape[1], l->n, l->k, rows,
                            columns);
}

static enum status read_layer(const struct safetensors *file, const char *name, struct int4_layer *l)
{
    *l = (struct int4_layer){.qweight = safetensors_find(file, name),
                             .qzeros = find_part(file, name, "qzeros"),
                             .scales = find_part(file, name, "scales"),
                             .g_idx = find_part(file, name, "g_idx")};
    TRY(require(file, name, l->qweight, "qweight", "I32", 2));
    TRY(require(file, name, l->qzeros, "qzeros", "I32", 2));
    TRY(require(file, name, l->scales, "scales", "F16", 2));
    if (l->g_idx)
        TRY(require(file, name, l->g_idx, "g_idx", "I32", 1));
    const size_t *codes = l->qweight->shape, *scales = l->scales->shape;
    if (codes[0] > ((size_t)1 << 28) || codes[1] > ((size_t)1 << 28) || !codes[0] || !codes[1])
        return safetensors_fail(file, "%s is empty, or has a side beyond 2^28", name);
    if (l->g_idx || scales[1] == codes[1]) {
        l->packer = PACKER_GPTQ;
        l->n = codes[1];
        l->k = 8 * codes[0];
        l->groups = scales[0];
        l->version = says_v2(file->path, "quantize_config.json") || says_v2(file->path, "config.json")
                         ? GPTQ_V2
                         : GPTQ_V1;
    } else if (scales[1] == 8 * codes[1]) {
        l->packer = PACKER_AWQ_GEMM;
        l->n = 8 * codes[1];
        l->k = codes[0];
        l->groups = scales[0];
    } else {
        l->packer = PACKER_AWQ_GEMV;
        l->n = codes[0];
        l->k = 8 * codes[1];
        /* It pads its rows of scales with zeros. */
        while (l->groups < scales[1] && dtype_load_bits(DTYPE_F16, l->scales->data, l->groups) != 0)
            l->groups++;
    }
    const bool fits = l->groups && l->k % l->groups == 0 &&
                      (l->packer == PACKER_AWQ_GEMV
                           ? scales[0] == l->n && scales[1] == 8 * awq_gemv_width(l->k, l->k / l->groups)
                           : scales[1] == l->n);
    if (!fits || l->n % 8 || (l->g_idx && l->g_idx->count != l->k) || l->n > ((size_t)1 << 40) / l->k)
        return safetensors_fail(
            file,
            "%s is [%zu, %zu] and its scales are [%zu, %zu]: the shapes are neither GPTQ's "
            "nor AWQ's, or its groups do not divide k",
            name, codes[0], codes[1], scales[0], scales[1]);
    if (!format_blocksize_valid(FORMAT_INT4, l->k / l->groups, l->k))
        return safetensors_fail(file, "%s has groups of %zu, which is no power of two from 32", name,
                                l->k / l->groups);
    for (size_t i = 0; l->g_idx && i < l->k; i++)
        if (word_at(l->g_idx, i) >= l->groups)
            return safetensors_fail(file, "%s[%zu] is %u, and there are %zu groups", l->g_idx->name, i,
                                    word_at(l->g_idx, i), l->groups);
    return check_zeros(file, l);
}

static bool in_order(const struct int4_layer *l)
{
    for (size_t i = 0; l->g_idx && i < l->k; i++)
        if (word_at(l->g_idx, i) != i / (l->k / l->groups))
            return false;
    return true;
}

/* A copy that is aligned as its type is; the file promises nothing. */
static void *copy_of(const struct safetensor *t)
{
    void *copy = malloc(t->bytes);
    if (copy)
        memcpy(copy, t->data, t->bytes);
    return copy;
}

static bool unpack(const struct int4_layer *l, struct grouped_int4 *w)
{
    uint32_t *qweight = copy_of(l->qweight), *qzeros = copy_of(l->qzeros);
    uint16_t *scales = copy_of(l->scales);
    const bool ok = qweight && qzeros && scales;
    if (ok) {
        const struct gptq_tensors gptq = {qweight, qzeros, scales, NULL};
        const struct awq_tensors awq = {qweight, qzeros, scales};
        if (l->packer == PACKER_GPTQ)
            gptq_unpack(&gptq, l->version, w);
        else if (l->packer == PACKER_AWQ_GEMM)
            awq_gemm_unpack(&awq, w);
        else
            awq_gemv_unpack(&awq, w);
    }
    free(qweight);
    free(qzeros);
    free(scales);
    return ok;
}

/* All of a layer in one allocation: scales, g_idx, packed codes, zero points. */
static enum status read_rows(const struct safetensors *file, const char *name, const struct int4_layer *l,
                             struct quantized *out, void **owned)
{
    const size_t count = l->n * l->k, blocks = l->n * l->groups, packed = nf4_packed_bytes(count);
    uint8_t *memory = malloc(4 * l->k + 2 * blocks + packed + blocks), *q = malloc(count);
    struct grouped_int4 w = {.n = l->n, .k = l->k, .group = l->k / l->groups, .q = q};
    *owned = memory;
    if (memory) {
        w.scale = (uint16_t *)(void *)(memory + 4 * l->k);
        w.zero = memory + 4 * l->k + 2 * blocks + packed;
    }
    if (!memory || !q || !unpack(l, &w)) {
        free(memory);
        free(q);
        *owned = NULL;
        return status_no_memory("%s: %s", file->path, name);
    }
    nf4_pack(q, count, w.zero - packed);
    free(q);
    bool zeros = false;
    for (size_t b = 0; b < blocks; b++)
        zeros = zeros || w.zero[b] != INT4_SYMMETRIC_ZERO;
    uint32_t *group_of = (uint32_t *)(void *)memory;
    for (size_t i = 0; l->g_idx && i < l->k; i++)
        group_of[i] = word_at(l->g_idx, i);
    *out = (struct quantized){.format = FORMAT_INT4,
                              .count = count,
                              .columns = l->k,
                              .blocksize = w.group,
                              .packed = w.zero - packed,
                              .scale = w.scale,
                              .zero = zeros ? w.zero : NULL,
                              .group_of = in_order(l) ? NULL : group_of};
    return STATUS_OK;
}

enum status weight_int4(const struct safetensors *file, const char *name, struct quantized *out, void **owned)
{
    struct int4_layer l;
    *owned = NULL;
    TRY(read_layer(file, name, &l));
    return read_rows(file, name, &l, out, owned);
}

enum status weight_int4_describe(const struct safetensors *file, const char *name, struct weight_info *out)
{
    struct quantized w;
    void *owned;
    TRY(weight_int4(file, name, &w, &owned));
    out->n = w.count / w.columns;
    out->k = w.columns;
    out->format = (struct weight_format){.kind = FORMAT_INT4,
                                         .blocksize = w.blocksize,
                                         .zeros = w.zero != NULL,
                                         .act_order = w.group_of != NULL};
    free(owned);
    return STATUS_OK;
}
