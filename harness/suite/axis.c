#include "harness/suite/axis.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/closest.h"
#include "harness/base/models.h"
#include "reference/quantized.h"

enum { M_MAX = 1 << 20, THREADS_MAX = 1024, GLOB_MAX = 256, FORMAT_TEXT_MAX = 96, FORMATS_MAX = 16 };

enum status suite_out_of_memory(void)
{
    return status_no_memory("suite");
}

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

static enum status value_bool(const struct suite_values *v, size_t i, bool *out)
{
    if (v->yaml)
        return yaml_file_bool(v->yaml, v->nodes[i], v->name, out);
    if (strcmp(v->words[i], "true") != 0 && strcmp(v->words[i], "false") != 0)
        return value_fail(v, i, NULL, "%s must be true or false", v->name);
    *out = v->words[i][0] == 't';
    return STATUS_OK;
}

/* A value that stands twice would give two rows with one identity. */
static enum status value_twice(const struct suite_values *v, size_t i)
{
    return value_fail(v, i, NULL, "%s: the same value stands twice", v->name);
}

/* ---- setting the axes of a case ---- */

static bool any_size(size_t size)
{
    (void)size;
    return true;
}

static enum status set_sizes(const struct suite_values *v, size_t max, bool (*valid)(size_t), size_t **out,
                             size_t *count)
{
    enum status s = STATUS_OK;
    size_t *sizes = malloc(v->count * sizeof *sizes);
    if (!sizes)
        return suite_out_of_memory();
    for (size_t i = 0; s == STATUS_OK && i < v->count; i++) {
        s = value_size(v, i, 1, max, &sizes[i]);
        if (s == STATUS_OK && !valid(sizes[i]))
            s = value_fail(v, i, NULL, "%s must be 32, 64, 128, 256, 512, 1024, 2048 or 4096, not %zu",
                           v->name, sizes[i]);
        for (size_t j = 0; s == STATUS_OK && j < i; j++)
            if (sizes[j] == sizes[i])
                s = value_twice(v, i);
    }
    if (s == STATUS_OK) {
        free(*out);
        *out = sizes;
        *count = v->count;
        sizes = NULL;
    }
    free(sizes);
    return s;
}

static enum status set_m(struct suite_case *c, const struct suite_values *v)
{
    return set_sizes(v, M_MAX, any_size, &c->m, &c->m_count);
}

static enum status set_blocksize(struct suite_case *c, const struct suite_values *v)
{
    return set_sizes(v, SIZE_MAX, nf4_blocksize_valid, &c->blocksize, &c->blocksize_count);
}

static enum status set_flags(const struct suite_values *v, bool out[2], size_t *count)
{
    bool flags[2] = {false, false};
    for (size_t i = 0; i < v->count; i++) {
        bool flag = false;
        enum status s = value_bool(v, i, &flag);
        if (s != STATUS_OK)
            return s;
        if (i == 2 || (i == 1 && flags[0] == flag))
            return value_twice(v, i);
        flags[i] = flag;
    }
    out[0] = flags[0];
    out[1] = flags[1];
    *count = v->count;
    return STATUS_OK;
}

static enum status set_nested(struct suite_case *c, const struct suite_values *v)
{
    return set_flags(v, c->nested, &c->nested_count);
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

static enum status set_formats(struct suite_case *c, const struct suite_values *v)
{
    struct weight_format *formats = calloc(v->count, sizeof *formats);
    enum status s = formats ? STATUS_OK : suite_out_of_memory();
    if (s == STATUS_OK && v->count > FORMATS_MAX)
        s = value_fail(v, FORMATS_MAX, NULL, "%s: more than %d are not timed together", v->name, FORMATS_MAX);
    for (size_t i = 0; s == STATUS_OK && i < v->count; i++) {
        const char *text, *fault;
        formats[i].blocksize = 64;
        s = value_word(v, i, &text);
        if (s == STATUS_OK && (fault = parse_format(text, &formats[i])))
            s = value_fail(v, i, NULL, "formats: \"%.64s\" %s", text, fault);
        if (formats[i].kind == FORMAT_DENSE)
            formats[i].blocksize = 0;
        for (size_t j = 0; s == STATUS_OK && j < i; j++)
            if (weight_format_equal(&formats[i], &formats[j]))
                s = value_twice(v, i);
    }
    if (s == STATUS_OK) {
        free(c->formats);
        c->formats = formats;
        c->format_count = v->count;
        formats = NULL;
    }
    free(formats);
    return s;
}

static enum status set_bias(struct suite_case *c, const struct suite_values *v)
{
    return set_flags(v, c->bias, &c->bias_count);
}

static enum status set_regime(struct suite_case *c, const struct suite_values *v)
{
    static const char *const words[] = {"cold", "hot"};
    bool on[2] = {false, false};
    for (size_t i = 0; i < v->count; i++) {
        const char *word;
        enum status s = value_word(v, i, &word);
        if (s != STATUS_OK)
            return s;
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

static enum status set_threads(struct suite_case *c, const struct suite_values *v)
{
    enum status s = STATUS_OK;
    unsigned *threads = malloc(v->count * sizeof *threads);
    if (!threads)
        return suite_out_of_memory();
    for (size_t i = 0; s == STATUS_OK && i < v->count; i++) {
        const char *word = NULL;
        size_t n = 0;
        /* A list is no word: value_size() then says what is expected. */
        if (!v->yaml || v->nodes[i]->type == YAML_SCALAR_NODE)
            s = value_word(v, i, &word);
        if (s == STATUS_OK && (!word || strcmp(word, "all") != 0))
            s = value_size(v, i, 1, THREADS_MAX, &n);
        threads[i] = (unsigned)n;
        for (size_t j = 0; s == STATUS_OK && j < i; j++)
            if (threads[j] == threads[i])
                s = value_twice(v, i);
    }
    if (s == STATUS_OK) {
        free(c->threads);
        c->threads = threads;
        c->thread_count = v->count;
        threads = NULL;
    }
    free(threads);
    return s;
}

static void free_words(char **words, size_t count)
{
    for (size_t i = 0; words && i < count; i++)
        free(words[i]);
    free(words);
}

static enum status set_globs(const struct suite_values *v, bool removals, char ***out, size_t *count)
{
    enum status s = STATUS_OK;
    char **globs = calloc(v->count, sizeof *globs);
    if (!globs)
        return suite_out_of_memory();
    for (size_t i = 0; s == STATUS_OK && i < v->count; i++) {
        const char *glob;
        s = value_word(v, i, &glob);
        if (s != STATUS_OK)
            break;
        if (strlen(glob) > GLOB_MAX)
            s = value_fail(v, i, NULL, "%s: a pattern is longer than %d bytes", v->name, GLOB_MAX);
        else if (removals && strcmp(glob, "!") == 0)
            s = value_fail(v, i, NULL, "%s: \"!\" alone removes nothing", v->name);
        else if (!(globs[i] = strdup(glob)))
            s = suite_out_of_memory();
    }
    if (s == STATUS_OK) {
        free_words(*out, *count);
        *out = globs;
        *count = v->count;
        globs = NULL;
    }
    free_words(globs, v->count);
    return s;
}

static enum status set_variants(struct suite_case *c, const struct suite_values *v)
{
    return set_globs(v, true, &c->variants, &c->variant_count);
}

static enum status set_tensors(struct suite_case *c, const struct suite_values *v)
{
    return set_globs(v, false, &c->tensors, &c->tensor_count);
}

void suite_shapes_release(struct suite_case *c)
{
    for (size_t i = 0; i < c->shape_count; i++)
        free(c->shapes[i].label);
    free(c->shapes);
    c->shapes = NULL;
    c->shape_count = 0;
}

/* From --axis only: "4096x11008". */
static enum status set_shape_words(struct suite_case *c, const struct suite_values *v)
{
    struct shape *shapes = calloc(v->count, sizeof *shapes);
    if (!shapes)
        return suite_out_of_memory();
    enum status s = STATUS_OK;
    for (size_t i = 0; s == STATUS_OK && i < v->count; i++) {
        char *word = v->words[i], *x = strchr(word, 'x');
        const char *fault = "is not NxK, as in 4096x11008";
        if (x) {
            *x = '\0';
            if (!yaml_size_from_text(word, &shapes[i].n) && !yaml_size_from_text(x + 1, &shapes[i].k))
                fault = model_shape_fault(shapes[i].n, shapes[i].k);
            *x = 'x';
        }
        if (fault)
            s = value_fail(v, i, NULL, "shape %.64s: %s", word, fault);
        for (size_t j = 0; s == STATUS_OK && j < i; j++)
            if (shapes[j].n == shapes[i].n && shapes[j].k == shapes[i].k)
                s = value_twice(v, i);
    }
    if (s == STATUS_OK) {
        suite_shapes_release(c);
        c->shapes = shapes;
        c->shape_count = v->count;
        shapes = NULL;
    }
    free(shapes);
    return s;
}

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

static bool has_any(const struct suite_case *c)
{
    (void)c;
    return true;
}

const struct suite_axis suite_axes[SUITE_AXIS_COUNT] = {
    {"m", SUITE_KEY_M, has_m, set_m, true},
    {"blocksize", SUITE_KEY_BLOCKSIZE, has_quantization, set_blocksize, true},
    {"nested", SUITE_KEY_NESTED, has_quantization, set_nested, true},
    {"formats", SUITE_KEY_FORMATS, has_formats, set_formats, true},
    {"bias", SUITE_KEY_BIAS, has_bias, set_bias, true},
    {"regime", SUITE_KEY_REGIME, has_any, set_regime, true},
    {"threads", SUITE_KEY_THREADS, has_any, set_threads, true},
    {"shape", SUITE_KEY_COUNT, has_shape, set_shape_words, true},
    {"variants", SUITE_KEY_VARIANTS, has_any, set_variants, false},
    {"tensors", SUITE_KEY_TENSORS, has_any, set_tensors, false},
};

void suite_case_release(struct suite_case *c)
{
    free(c->m);
    suite_shapes_release(c);
    free(c->blocksize);
    free(c->formats);
    free(c->threads);
    free_words(c->variants, c->variant_count);
    free(c->weights);
    free_words(c->tensors, c->tensor_count);
    *c = (struct suite_case){0};
}
