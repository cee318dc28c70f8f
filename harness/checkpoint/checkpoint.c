#include "harness/checkpoint/checkpoint.h"

#include <fnmatch.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/closest.h"
#include "harness/base/models.h"
#include "harness/checkpoint/int4_checkpoint.h"
#include "reference/dtype.h"

#define QUANT_STATE ".quant_state.bitsandbytes__"

/* The tensor called name + suffix, or NULL. */
static const struct safetensor *find_part(const struct safetensors *file, const char *name,
                                          const char *suffix)
{
    return safetensors_find_part(file, name, strlen(name), suffix);
}

/* ---- checkpoints ---- */

struct layer {
    size_t n, k, blocksize;
    bool nested;
    float offset;
    const struct safetensor *packed, *absmax, *nested_absmax, *nested_map;
};

static enum status require_part(const struct safetensors *file, const char *name, const char *suffix,
                                const char *dtype, size_t count, const struct safetensor **out)
{
    const struct safetensor *t = find_part(file, name, suffix);
    if (!t)
        return safetensors_fail(file, "%s: %s%s is missing", name, name, suffix);
    if (strcmp(t->dtype, dtype) != 0 || t->count != count)
        return safetensors_fail(file, "%s must be %s with %zu elements, and is %s with %zu", t->name, dtype,
                                count, t->dtype, t->count);
    *out = t;
    return STATUS_OK;
}

static float float_at(const struct safetensor *t, size_t i)
{
    return dtype_load(DTYPE_F32, t->data, i);
}

/* A size; 0 for what is none. */
static size_t size_of_json(const json_t *value)
{
    const json_int_t n = json_integer_value(value);
    return n > 0 ? (size_t)n : 0;
}

/* Reads the JSON part: quant_type, blocksize, dtype, shape and the nested values. */
static enum status read_state(const struct safetensors *file, const char *name, const json_t *state,
                              struct layer *layer)
{
    const char *type = json_string_value(json_object_get(state, "quant_type"));
    if (!type || strcmp(type, "nf4") != 0)
        return safetensors_fail(file, "%s: quant_type is %.32s, not nf4", name, type ? type : "missing");
    layer->blocksize = size_of_json(json_object_get(state, "blocksize"));
    if (!nf4_blocksize_valid(layer->blocksize))
        return safetensors_fail(file, "%s: blocksize is missing or not 32, 64, 128, ... 4096", name);
    const char *dtype = json_string_value(json_object_get(state, "dtype"));
    if (!dtype ||
        (strcmp(dtype, "float32") != 0 && strcmp(dtype, "float16") != 0 && strcmp(dtype, "bfloat16") != 0))
        return safetensors_fail(file, "%s: dtype is %.32s, not float32, float16 or bfloat16", name,
                                dtype ? dtype : "missing");
    const json_t *shape = json_object_get(state, "shape");
    layer->n = size_of_json(json_array_get(shape, 0));
    layer->k = size_of_json(json_array_get(shape, 1));
    if (json_array_size(shape) != 2 || model_shape_fault(layer->n, layer->k))
        return safetensors_fail(file, "%s: shape is missing or no matrix", name);

    const json_t *blocksize = json_object_get(state, "nested_blocksize");
    const json_t *nested_dtype = json_object_get(state, "nested_dtype");
    const json_t *offset = json_object_get(state, "nested_offset");
    layer->nested = blocksize || nested_dtype || offset;
    if (!layer->nested)
        return STATUS_OK;
    if (json_integer_value(blocksize) != NESTED_BLOCKSIZE)
        return safetensors_fail(file, "%s: nested_blocksize is missing or not %d", name, NESTED_BLOCKSIZE);
    const char *word = json_string_value(nested_dtype);
    if (!word || strcmp(word, "float32") != 0)
        return safetensors_fail(file, "%s: nested_dtype is %.32s, not float32", name,
                                word ? word : "missing");
    layer->offset = (float)json_number_value(offset);
    if (!json_is_number(offset) || !isfinite(layer->offset))
        return safetensors_fail(file, "%s: nested_offset is missing or not an fp32 number", name);
    return STATUS_OK;
}

static enum status check_quant_map(const struct safetensors *file, const char *name)
{
    const struct safetensor *map;
    TRY(require_part(file, name, ".quant_map", "F32", NF4_CODES, &map));
    for (size_t i = 0; i < NF4_CODES; i++)
        if (f32_bits(float_at(map, i)) != nf4_codebook_bits[i])
            return safetensors_fail(file, "%s[%zu] is %.9g (%08x): NF4 has %.9g (%08x) there", map->name, i,
                                    (double)float_at(map, i), f32_bits(float_at(map, i)),
                                    (double)f32_from_bits(nf4_codebook_bits[i]), nf4_codebook_bits[i]);
    return STATUS_OK;
}

/* The second level of absmax, or its absence. */
static enum status check_absmax(const struct safetensors *file, const char *name, struct layer *layer)
{
    size_t blocks = nf4_block_count(layer->n * layer->k, layer->blocksize);
    if (!layer->nested) {
        const struct safetensor *stray = find_part(file, name, ".nested_absmax");
        if (!stray)
            stray = find_part(file, name, ".nested_quant_map");
        if (stray)
            return safetensors_fail(file, "%s is there, but the quant_state of %s is not nested", stray->name,
                                    name);
        return require_part(file, name, ".absmax", "F32", blocks, &layer->absmax);
    }
    TRY(require_part(file, name, ".absmax", "U8", blocks, &layer->absmax));
    TRY(require_part(file, name, ".nested_absmax", "F32", nested_group_count(blocks), &layer->nested_absmax));
    TRY(require_part(file, name, ".nested_quant_map", "F32", NESTED_MAP_SIZE, &layer->nested_map));
    for (size_t i = 1; i < NESTED_MAP_SIZE; i++)
        if (!(float_at(layer->nested_map, i - 1) <= float_at(layer->nested_map, i)))
            return safetensors_fail(file, "%s does not ascend at entry %zu", layer->nested_map->name, i);
    return STATUS_OK;
}

static enum status read_layer(const struct safetensors *file, const char *name, struct layer *layer)
{
    json_error_t error;
    *layer = (struct layer){.packed = safetensors_find(file, name)};
    const struct safetensor *state = find_part(file, name, QUANT_STATE "nf4");
    if (!layer->packed)
        return safetensors_fail(file, "there is no tensor %s", name);
    if (!state)
        return safetensors_fail(file, "%s is no NF4 layer: %s" QUANT_STATE "nf4 is missing", name, name);
    if (strcmp(state->dtype, "U8") != 0)
        return safetensors_fail(file, "%s must be U8, and is %s", state->name, state->dtype);
    json_t *json = json_loadb((const char *)state->data, state->bytes, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        return safetensors_fail(file, "%s: byte %d: %s", state->name, error.position, error.text);
    enum status s = read_state(file, name, json, layer);
    json_decref(json);
    if (s != STATUS_OK)
        return s;
    /* quant_storage may view the same bytes as another type. */
    static const char *const storage[] = {"U8", "BF16", "F16", "F32"};
    bool known = false;
    for (size_t i = 0; i < sizeof storage / sizeof *storage; i++)
        known = known || strcmp(layer->packed->dtype, storage[i]) == 0;
    if (!known)
        return safetensors_fail(file, "%s must be U8, BF16, F16 or F32, and is %s", name,
                                layer->packed->dtype);
    if (layer->packed->bytes != nf4_packed_bytes(layer->n * layer->k))
        return safetensors_fail(
            file, "%s has %zu bytes, but the shape [%zu, %zu] of its quant_state needs %zu", name,
            layer->packed->bytes, layer->n, layer->k, nf4_packed_bytes(layer->n * layer->k));
    TRY(check_quant_map(file, name));
    return check_absmax(file, name, layer);
}

/* Where the floats of t can be read: in the mapping if they are aligned there, else copied to *spare, which
 * moves on. */
static const float *aligned_floats(const struct safetensor *t, float **spare)
{
    if ((uintptr_t)t->data % _Alignof(float) == 0)
        return (const float *)(const void *)t->data;
    float *copy = *spare;
    memcpy(copy, t->data, t->bytes);
    *spare += t->count;
    return copy;
}

enum status weight_checkpoint(const struct safetensors *file, const char *name, struct quantized *out,
                              void **owned)
{
    struct layer layer;
    *out = (struct quantized){0};
    *owned = NULL;
    if (weight_is_int4(name))
        return weight_int4(file, name, out, owned);
    TRY(read_layer(file, name, &layer));
    const struct safetensor *floats[] = {layer.nested ? layer.nested_absmax : layer.absmax, layer.nested_map};
    size_t bytes = 0; /* of parts of one file: no overflow */
    for (size_t i = 0; i < 2; i++)
        if (floats[i] && (uintptr_t)floats[i]->data % _Alignof(float))
            bytes += floats[i]->bytes;
    float *spare = NULL;
    if (bytes && !(*owned = spare = malloc(bytes)))
        return status_no_memory("%s: %s", file->path, name);
    out->count = layer.n * layer.k;
    out->columns = layer.k;
    out->blocksize = layer.blocksize;
    out->packed = layer.packed->data;
    if (layer.nested)
        out->nested = (struct nested_absmax){.codes = layer.absmax->data,
                                             .nested_absmax = aligned_floats(layer.nested_absmax, &spare),
                                             .map = aligned_floats(layer.nested_map, &spare),
                                             .offset = layer.offset};
    else
        out->absmax = aligned_floats(layer.absmax, &spare);
    return STATUS_OK;
}

/* ---- dense tensors ---- */

/* The type of dense weights; DTYPE_U8 for a tensor that cannot be any. */
static enum dtype dense_type(const struct safetensor *t)
{
    static const struct {
        const char *word;
        enum dtype type;
    } types[] = {{"F32", DTYPE_F32}, {"F16", DTYPE_F16}, {"BF16", DTYPE_BF16}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(t->dtype, types[i].word) == 0)
            return types[i].type;
    return DTYPE_U8;
}

/* NULL, or why the tensor cannot be weights. */
static const char *dense_fault(const struct safetensor *t)
{
    if (dense_type(t) == DTYPE_U8)
        return "is not F32, F16 or BF16";
    if (t->rank != 2)
        return "is not a matrix";
    if (model_shape_fault(t->shape[0], t->shape[1]))
        return "is empty, or has a side beyond 2^31 or more than 2^40 elements";
    return NULL;
}

/* The tensor, if it can be dense weights. */
static enum status find_dense(const struct safetensors *file, const char *name, const struct safetensor **t)
{
    *t = safetensors_find(file, name);
    if (!*t)
        return safetensors_fail(file, "there is no tensor %s", name);
    const char *fault = dense_fault(*t);
    return fault ? safetensors_fail(file, "%s %s", name, fault) : STATUS_OK;
}

enum status weight_dense_part(const struct safetensors *file, const char *name, size_t first, size_t count,
                              float *out)
{
    const struct safetensor *t;
    TRY(find_dense(file, name, &t));
    if (first > t->count || count > t->count - first)
        return safetensors_fail(file, "%s has %zu elements, not %zu", name, t->count, first + count);
    const enum dtype type = dense_type(t);
    /* Element by element: the file promises no alignment. */
#pragma omp parallel for schedule(static) if (count > 65536)
    for (size_t i = 0; i < count; i++)
        out[i] = dtype_load(type, t->data, first + i);
    return STATUS_OK;
}

/* ---- lists ---- */

/* NULL when the tensor can be weights of the wanted kind, else why not: a phrase that follows its name. */
static const char *unusable(const struct safetensors *file, const struct safetensor *t, bool checkpoint)
{
    if (!checkpoint)
        return dense_fault(t);
    if (find_part(file, t->name, QUANT_STATE "nf4") || weight_is_int4(t->name))
        return NULL;
    return find_part(file, t->name, QUANT_STATE "fp4")
               ? "is FP4, not NF4"
               : "has no NF4 quant_state and is no qweight of GPTQ or AWQ";
}

/* A glob that gave nothing: says what it met, or which usable tensors are called something like it. */
static enum status glob_fail(const struct safetensors *file, const char *glob, bool checkpoint)
{
    enum { NEAREST = 3 };
    const char *kind = checkpoint ? "quantized layers" : "dense matrices", *nearest[NEAREST] = {NULL};
    size_t distance[NEAREST] = {0};
    for (size_t i = 0; i < file->tensor_count; i++) {
        const struct safetensor *t = &file->tensors[i];
        const char *why = unusable(file, t, checkpoint);
        if (why && fnmatch(glob, t->name, 0) == 0)
            return status_fail(STATUS_INPUT, "%s: \"%s\" matches no %s; %s %s", file->path, glob, kind,
                               t->name, why);
        if (why)
            continue;
        size_t d = closest_distance(glob, t->name), at = NEAREST;
        while (at > 0 && (!nearest[at - 1] || d < distance[at - 1]))
            at--;
        if (at == NEAREST)
            continue;
        memmove(nearest + at + 1, nearest + at, (NEAREST - 1 - at) * sizeof *nearest);
        memmove(distance + at + 1, distance + at, (NEAREST - 1 - at) * sizeof *distance);
        nearest[at] = t->name;
        distance[at] = d;
    }
    if (!nearest[0])
        return status_fail(STATUS_INPUT, "%s: no tensor matches \"%s\"; the file has no %s", file->path, glob,
                           kind);
    return status_fail(STATUS_INPUT, "%s: no tensor matches \"%s\"; the closest are %s%s%s%s%s", file->path,
                       glob, nearest[0], nearest[1] ? ", " : "", nearest[1] ? nearest[1] : "",
                       nearest[2] ? ", " : "", nearest[2] ? nearest[2] : "");
}

static enum status describe(const struct safetensors *file, const struct safetensor *t, bool checkpoint,
                            struct weight_info *out)
{
    struct weight_info info = {.checkpoint = checkpoint};
    if (checkpoint && weight_is_int4(t->name)) {
        TRY(weight_int4_describe(file, t->name, &info));
    } else if (checkpoint) {
        struct layer layer;
        TRY(read_layer(file, t->name, &layer));
        info.n = layer.n;
        info.k = layer.k;
        info.format.blocksize = layer.blocksize;
        info.format.nested = layer.nested;
    } else {
        info.n = t->shape[0];
        info.k = t->shape[1];
    }
    info.name = strdup(t->name);
    if (!info.name)
        return status_no_memory("%s", file->path);
    *out = info;
    return STATUS_OK;
}

enum status weight_list(const struct safetensors *file, char *const *globs, size_t glob_count,
                        bool checkpoint, struct weight_info **out, size_t *count)
{
    enum status s = STATUS_OK;
    size_t n = 0;
    *out = NULL;
    *count = 0;
    struct weight_info *list = calloc(file->tensor_count + 1, sizeof *list);
    bool *useful = calloc(glob_count + 1, sizeof *useful);
    if (!list || !useful) {
        s = status_no_memory("%s", file->path);
        goto out;
    }
    for (size_t i = 0; s == STATUS_OK && i < file->tensor_count; i++) {
        const struct safetensor *t = &file->tensors[i];
        bool wanted = false;
        if (unusable(file, t, checkpoint))
            continue;
        for (size_t g = 0; g < glob_count; g++)
            if (fnmatch(globs[g], t->name, 0) == 0)
                wanted = useful[g] = true;
        if (wanted && (s = describe(file, t, checkpoint, &list[n])) == STATUS_OK)
            n++;
    }
    for (size_t g = 0; s == STATUS_OK && g < glob_count; g++)
        if (!useful[g])
            s = glob_fail(file, globs[g], checkpoint);
    if (s == STATUS_OK) {
        *out = list;
        *count = n;
        list = NULL;
    }
out:
    weight_list_free(list, n);
    free(useful);
    return s;
}

void weight_list_free(struct weight_info *list, size_t count)
{
    for (size_t i = 0; list && i < count; i++)
        free(list[i].name);
    free(list);
}
