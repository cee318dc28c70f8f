#include "harness/suite/axis.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/closest.h"
#include "harness/base/models.h"
#include "reference/quantized.h"

enum { M_MAX = 1 << 20, THREADS_MAX = 1024, GLOB_MAX = 256, FORMAT_TEXT_MAX = 96, FORMATS_MAX = 16 };

PRINTF_LIKE(4, 5)
static enum status value_fail(const struct suite_values *v, size_t i, const char *nearest, const char *format,
                              ...)
{
    char what[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    if (v->yaml)
        return yaml_file_fail(v->yaml, v->nodes[i], nearest, "%s", what);
    return status_fail(STATUS_USAGE, "--axis %.256s: %s%s%s%s", v->assignment, what,
                       nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

static enum status value_word(const struct suite_values *v, size_t i, const char **out)
{
    if (v->yaml)
        return yaml_file_string(v->yaml, v->nodes[i], v->name, out);
    *out = v->words[i];
    return **out ? STATUS_OK : value_fail(v, i, NULL, "%s: a value is empty", v->name);
}

static enum status value_size(const struct suite_values *v, size_t i, size_t min, size_t max, size_t *out)
{
    if (v->yaml)
        return yaml_file_size(v->yaml, v->nodes[i], v->name, min, max, out);
    size_t value = 0;
    const char *fault = yaml_size_from_text(v->words[i], &value);
    if (fault)
        return value_fail(v, i, NULL, "\"%.64s\" %s", v->words[i], fault);
    if (value < min || value > max)
        return value_fail(v, i, NULL, "%s must be from %zu to %zu, not %zu", v->name, min, max, value);
    *out = value;
    return STATUS_OK;
}

static enum status value_twice(const struct suite_values *v, size_t i)
{
    return value_fail(v, i, NULL, "%s: the same value stands twice", v->name);
}

/* ---- lists: how a value is read ---- */

static enum status read_m(const struct suite_values *v, size_t i, void *out)
{
    return value_size(v, i, 1, M_MAX, out);
}

static enum status read_flag(const struct suite_values *v, size_t i, void *out)
{
    if (v->yaml)
        return yaml_file_bool(v->yaml, v->nodes[i], v->name, out);
    if (strcmp(v->words[i], "true") != 0 && strcmp(v->words[i], "false") != 0)
        return value_fail(v, i, NULL, "%s must be true or false", v->name);
    *(bool *)out = v->words[i][0] == 't';
    return STATUS_OK;
}

static enum status read_blocksize(const struct suite_values *v, size_t i, void *out)
{
    size_t *size = out;
    TRY(value_size(v, i, 1, SIZE_MAX, size));
    if (nf4_blocksize_valid(*size))
        return STATUS_OK;
    return value_fail(v, i, NULL, "%s must be 32, 64, 128, 256, 512, 1024, 2048 or 4096, not %zu", v->name,
                      *size);
}

static enum status read_threads(const struct suite_values *v, size_t i, void *out)
{
    const char *word = NULL;
    size_t n = 0;
    /* A list is no word: value_size() then says what is expected. */
    if (!v->yaml || v->nodes[i]->type == YAML_SCALAR_NODE)
        TRY(value_word(v, i, &word));
    if (!word || strcmp(word, "all") != 0)
        TRY(value_size(v, i, 1, THREADS_MAX, &n));
    *(unsigned *)out = (unsigned)n;
    return STATUS_OK;
}

/* From --axis only: "4096x11008". */
static enum status read_shape(const struct suite_values *v, size_t i, void *out)
{
    struct shape *shape = out;
    char *word = v->words[i], *x = strchr(word, 'x');
    const char *fault = "is not NxK, as in 4096x11008";
    if (x) {
        *x = '\0';
        if (!yaml_size_from_text(word, &shape->n) && !yaml_size_from_text(x + 1, &shape->k))
            fault = model_shape_fault(shape->n, shape->k);
        *x = 'x';
    }
    return fault ? value_fail(v, i, NULL, "shape %.64s: %s", word, fault) : STATUS_OK;
}

/* "int4 blocksize=128 zeros=1" into *out. Returns NULL, or what is wrong with it. */
static const char *parse_format(const char *text, struct weight_format *out)
{
    char copy[FORMAT_TEXT_MAX], *rest = copy;
    if (strlen(text) >= sizeof copy)
        return "is too long";
    strcpy(copy, text);
    const char *word = strtok_r(rest, " ", &rest);
    if (!word || !format_parse(word, &out->kind))
        return "does not begin with nf4, int4, int8, fp8 or dense";
    const bool nf4 = out->kind == FORMAT_NF4, int4 = out->kind == FORMAT_INT4;
    const struct {
        const char *key;
        bool *flag;
        bool has;
    } flags[] = {
        {"nested", &out->nested, nf4}, {"zeros", &out->zeros, int4}, {"actorder", &out->act_order, int4}};
    while ((word = strtok_r(rest, " ", &rest))) {
        if (strncmp(word, "blocksize=", 10) == 0 && out->kind != FORMAT_DENSE) {
            out->blocksize = 0;
            if (strcmp(word + 10, "k") == 0 && !nf4)
                continue;
            if (yaml_size_from_text(word + 10, &out->blocksize) ||
                !format_blocksize_valid(out->kind, out->blocksize, out->blocksize * 2))
                return "has a blocksize that is no power of two from 32, nor k";
            continue;
        }
        size_t i = 0, length = strcspn(word, "=");
        while (i < 3 &&
               (!flags[i].has || strlen(flags[i].key) != length || strncmp(flags[i].key, word, length) != 0))
            i++;
        if (i == 3 || (strcmp(word + length, "=0") != 0 && strcmp(word + length, "=1") != 0))
            return "has a word that is not blocksize=, nor nested=1 for nf4, zeros=1 or actorder=1 for int4";
        *flags[i].flag = word[length + 1] == '1';
    }
    return NULL;
}

static enum status read_format(const struct suite_values *v, size_t i, void *out)
{
    struct weight_format *format = out;
    const char *text;
    format->blocksize = 64;
    TRY(value_word(v, i, &text));
    const char *fault = parse_format(text, format);
    if (fault)
        return value_fail(v, i, NULL, "formats: \"%.64s\" %s", text, fault);
    if (format->kind == FORMAT_DENSE)
        format->blocksize = 0;
    return STATUS_OK;
}

static enum status read_glob(const struct suite_values *v, size_t i, void *out)
{
    const char *glob;
    TRY(value_word(v, i, &glob));
    if (strlen(glob) > GLOB_MAX)
        return value_fail(v, i, NULL, "%s: a pattern is longer than %d bytes", v->name, GLOB_MAX);
    char *copy = strdup(glob);
    memcpy(out, &copy, sizeof copy);
    return copy ? STATUS_OK : status_no_memory("suite");
}

static enum status read_variant(const struct suite_values *v, size_t i, void *out)
{
    const char *glob;
    TRY(value_word(v, i, &glob));
    return strcmp(glob, "!") == 0 ? value_fail(v, i, NULL, "%s: \"!\" alone removes nothing", v->name)
                                  : read_glob(v, i, out);
}

/* ---- lists: setting one ---- */

static void free_shape(void *shape)
{
    free(((struct shape *)shape)->label);
}

static void free_glob(void *glob)
{
    free(*(char **)glob);
}

static void free_list(const struct suite_axis *axis, char *list, size_t count)
{
    for (size_t i = 0; list && axis->free && i < count; i++)
        axis->free(list + i * axis->size);
    free(list);
}

static size_t *list_length(const struct suite_axis *axis, struct suite_case *c)
{
    return (size_t *)(void *)((char *)c + axis->count);
}

/* Puts `list` in the place of the case's values, which are freed. */
static void replace_list(const struct suite_axis *axis, struct suite_case *c, char *list, size_t count)
{
    char *place = (char *)c + axis->list, *before;
    memcpy(&before, place, sizeof before);
    free_list(axis, before, *list_length(axis, c));
    memcpy(place, &list, sizeof list);
    *list_length(axis, c) = count;
}

/* Reads all values into a zeroed array. No two may be alike: they would give two rows with one identity. */
static enum status read_list(const struct suite_axis *axis, const struct suite_values *v, char *list)
{
    const size_t size = axis->size;
    if (axis->most && v->count > axis->most)
        return value_fail(v, axis->most, NULL, "%s: more than %zu are not timed together", v->name,
                          axis->most);
    for (size_t i = 0; i < v->count; i++) {
        TRY(axis->read(v, i, list + i * size));
        for (size_t j = 0; j < i; j++)
            if (memcmp(list + i * size, list + j * size, size) == 0)
                return value_twice(v, i);
    }
    return STATUS_OK;
}

static enum status set_list(const struct suite_axis *axis, struct suite_case *c, const struct suite_values *v)
{
    char *list = calloc(v->count, axis->size);
    const enum status s = list ? read_list(axis, v, list) : status_no_memory("suite");
    if (s == STATUS_OK)
        replace_list(axis, c, list, v->count);
    else
        free_list(axis, list, v->count);
    return s;
}

/* ---- the others ---- */

static enum status set_regime(struct suite_case *c, const struct suite_values *v)
{
    static const char *const words[] = {"cold", "hot"};
    bool on[2] = {false, false};
    for (size_t i = 0; i < v->count; i++) {
        const char *word;
        TRY(value_word(v, i, &word));
        size_t r = strcmp(word, words[0]) == 0 ? 0 : 1;
        if (strcmp(word, words[r]) != 0)
            return value_fail(v, i, closest(word, words, 2), "unknown regime \"%.64s\": it is cold or hot",
                              word);
        if (on[r])
            return value_twice(v, i);
        on[r] = true;
    }
    c->cold = on[0];
    c->hot = on[1];
    return STATUS_OK;
}

enum status suite_axis_set(const struct suite_axis *axis, struct suite_case *c, const struct suite_values *v)
{
    return axis->set ? axis->set(c, v) : set_list(axis, c, v);
}

/* ---- the table ---- */

static bool has_m(const struct suite_case *c)
{
    return op_is_product(c->op);
}

static bool has_bias(const struct suite_case *c)
{
    return c->op == OP_GEMM;
}

/* A checkpoint brings its own. */
static bool has_quantization(const struct suite_case *c)
{
    return !c->checkpoint && !c->formats;
}

static bool has_formats(const struct suite_case *c)
{
    return !c->checkpoint && !op_is_repack(c->op);
}

static bool has_shape(const struct suite_case *c)
{
    return !c->weights;
}

#define LIST(values, length, reader)                                                                         \
    .read = reader, .size = sizeof *((struct suite_case *)0)->values,                                        \
    .list = offsetof(struct suite_case, values), .count = offsetof(struct suite_case, length)
const struct suite_axis suite_axes[SUITE_AXIS_COUNT] = {
    {"m", SUITE_KEY_M, true, has_m, LIST(m, m_count, read_m), .filled = true},
    {"blocksize", SUITE_KEY_BLOCKSIZE, true, has_quantization,
     LIST(blocksize, blocksize_count, read_blocksize), .filled = true},
    {"nested", SUITE_KEY_NESTED, true, has_quantization, LIST(nested, nested_count, read_flag),
     .filled = true},
    {"formats", SUITE_KEY_FORMATS, true, has_formats, LIST(formats, format_count, read_format),
     .most = FORMATS_MAX},
    {"bias", SUITE_KEY_BIAS, true, has_bias, LIST(bias, bias_count, read_flag), .filled = true},
    {"regime", SUITE_KEY_REGIME, true, NULL, .set = set_regime},
    {"threads", SUITE_KEY_THREADS, true, NULL, LIST(threads, thread_count, read_threads), .filled = true},
    {"shape", SUITE_KEY_COUNT, true, has_shape, LIST(shapes, shape_count, read_shape), .free = free_shape},
    {"variants", SUITE_KEY_VARIANTS, false, NULL, LIST(variants, variant_count, read_variant),
     .free = free_glob},
    {"tensors", SUITE_KEY_TENSORS, false, NULL, LIST(tensors, tensor_count, read_glob), .free = free_glob},
};

enum status suite_case_fill(struct suite_case *c)
{
    for (size_t i = 0; i < SUITE_AXIS_COUNT; i++) {
        const struct suite_axis *axis = &suite_axes[i];
        if (!axis->filled || *list_length(axis, c))
            continue;
        char *zero = calloc(1, axis->size);
        if (!zero)
            return status_no_memory("suite");
        replace_list(axis, c, zero, 1);
    }
    if (c->blocksize[0] == 0)
        c->blocksize[0] = 64;
    c->cold = c->cold || !c->hot;
    return STATUS_OK;
}

void suite_case_release(struct suite_case *c)
{
    for (size_t i = 0; i < SUITE_AXIS_COUNT; i++)
        if (suite_axes[i].read)
            replace_list(&suite_axes[i], c, NULL, 0);
    free(c->weights);
    *c = (struct suite_case){0};
}
