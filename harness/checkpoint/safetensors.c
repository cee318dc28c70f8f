#include "harness/checkpoint/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LENGTH_BYTES = 8, NAME_BYTES_MAX = 1024 };

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"F8_E8M0", 1},
    {"U16", 2},  {"I16", 2}, {"F16", 2}, {"BF16", 2},    {"U32", 4},     {"I32", 4},
    {"F32", 4},  {"U64", 8}, {"I64", 8}, {"F64", 8},
};

enum status safetensors_fail(const struct safetensors *s, const char *format, ...)
{
    char what[4096];
    va_list ap;
    va_start(ap, format);
    vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    return status_fail(STATUS_INPUT, "%s: %s", s->path, what);
}

static bool size_from_json(const json_t *value, size_t *out)
{
    json_int_t n = json_integer_value(value); /* 0 for what is no integer */
    if (!json_is_integer(value) || n < 0)
        return false;
    *out = (size_t)n;
    return true;
}

/* Names go to terminals and into files: printable, and of a sane length. Jansson has checked the UTF-8. */
static const char *name_fault(const char *name)
{
    size_t length = strlen(name);
    if (!length || length > NAME_BYTES_MAX)
        return "a tensor's name is empty or longer than 1024 bytes";
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return "a tensor's name holds a control character";
    return NULL;
}

static enum status parse_dtype(const struct safetensors *f, const json_t *dtype, struct safetensor *t)
{
    const char *word = json_string_value(dtype);
    if (!word)
        return safetensors_fail(f, "tensor %s: dtype is missing or no string", t->name);
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtypes[i].name, word) == 0) {
            strcpy(t->dtype, dtypes[i].name);
            t->element_size = dtypes[i].size;
            return STATUS_OK;
        }
    return safetensors_fail(f, "tensor %s: unknown dtype \"%.32s\"", t->name, word);
}

static enum status parse_shape(const struct safetensors *f, const json_t *shape, struct safetensor *t)
{
    size_t rank = json_array_size(shape);
    if (!json_is_array(shape))
        return safetensors_fail(f, "tensor %s: shape is missing or no list", t->name);
    if (rank > SAFETENSORS_RANK_MAX)
        return status_fail(STATUS_LIMIT, "%s: tensor %s: %zu dimensions, at most %d are read", f->path,
                           t->name, rank, SAFETENSORS_RANK_MAX);
    t->rank = rank;
    t->count = 1;
    for (size_t i = 0; i < rank; i++) {
        if (!size_from_json(json_array_get(shape, i), &t->shape[i]))
            return safetensors_fail(f, "tensor %s: shape[%zu] is not a whole number", t->name, i);
        if (__builtin_mul_overflow(t->count, t->shape[i], &t->count))
            return safetensors_fail(f, "tensor %s: the shape's product overflows", t->name);
    }
    if (__builtin_mul_overflow(t->count, t->element_size, &t->bytes))
        return safetensors_fail(f, "tensor %s: the shape's product overflows", t->name);
    return STATUS_OK;
}

static enum status parse_offsets(const struct safetensors *f, const json_t *offsets, struct safetensor *t)
{
    size_t begin, end;
    if (json_array_size(offsets) != 2 || !size_from_json(json_array_get(offsets, 0), &begin) ||
        !size_from_json(json_array_get(offsets, 1), &end))
        return safetensors_fail(f, "tensor %s: data_offsets is not a pair of whole numbers", t->name);
    if (begin > end || end > f->data_bytes)
        return safetensors_fail(f, "tensor %s: data_offsets [%zu, %zu] are not within the %zu bytes of data",
                                t->name, begin, end, f->data_bytes);
    if (end - begin != t->bytes)
        return safetensors_fail(f, "tensor %s: %zu bytes of data, but %s of its shape needs %zu", t->name,
                                end - begin, t->dtype, t->bytes);
    t->data = f->data + begin;
    return STATUS_OK;
}

/* On failure too, t->name is the caller's to free. */
static enum status parse_tensor(const struct safetensors *f, const char *name, const json_t *entry,
                                struct safetensor *t)
{
    const char *fault = name_fault(name);
    if (fault)
        return safetensors_fail(f, "%s", fault);
    t->name = strdup(name);
    if (!t->name)
        return status_no_memory("%s", f->path);
    if (!json_is_object(entry))
        return safetensors_fail(f, "tensor %s: its entry is no object", t->name);
    TRY(parse_dtype(f, json_object_get(entry, "dtype"), t));
    TRY(parse_shape(f, json_object_get(entry, "shape"), t));
    TRY(parse_offsets(f, json_object_get(entry, "data_offsets"), t));
    return json_object_size(entry) == 3
               ? STATUS_OK
               : safetensors_fail(f, "tensor %s: keys beside dtype, shape and data_offsets", t->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct safetensor *)a)->name, ((const struct safetensor *)b)->name);
}

static int by_position(const void *a, const void *b)
{
    const struct safetensor *x = *(const struct safetensor *const *)a,
                            *y = *(const struct safetensor *const *)b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    /* An empty tensor may stand where another begins. */
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* Each byte of data must belong to exactly one tensor, as the format demands: nothing overlaps, nothing
 * hides. */
static enum status check_ranges(const struct safetensors *f)
{
    enum status s = STATUS_OK;
    const uint8_t *at = f->data;
    const struct safetensor **order = calloc(f->tensor_count + 1, sizeof *order);
    if (!order)
        return status_no_memory("%s", f->path);
    for (size_t i = 0; i < f->tensor_count; i++)
        order[i] = &f->tensors[i];
    qsort(order, f->tensor_count, sizeof *order, by_position);
    for (size_t i = 0; s == STATUS_OK && i < f->tensor_count; i++) {
        if (order[i]->data < at)
            s = safetensors_fail(f, "tensors %s and %s overlap", order[i]->name, order[i ? i - 1 : 0]->name);
        else if (order[i]->data > at)
            s = safetensors_fail(f, "%zu bytes before tensor %s belong to no tensor",
                                 (size_t)(order[i]->data - at), order[i]->name);
        at = order[i]->data + order[i]->bytes;
    }
    if (s == STATUS_OK && (size_t)(at - f->data) != f->data_bytes)
        s = safetensors_fail(f, "the last %zu bytes belong to no tensor",
                             f->data_bytes - (size_t)(at - f->data));
    free(order);
    return s;
}

static enum status parse_tensors(json_t *root, struct safetensors *f)
{
    const size_t count = json_object_size(root);
    const char *key;
    json_t *entry;
    if (!json_is_object(root))
        return safetensors_fail(f, "the header is no JSON object");
    f->tensors = calloc(count ? count : 1, sizeof *f->tensors);
    if (!f->tensors)
        return status_no_memory("%s", f->path);
    json_object_foreach(root, key, entry) if (strcmp(key, "__metadata__") != 0) /* free text about the file */
        TRY(parse_tensor(f, key, entry, &f->tensors[f->tensor_count++]));
    TRY(check_ranges(f));
    qsort(f->tensors, f->tensor_count, sizeof *f->tensors, by_name);
    return STATUS_OK;
}

static enum status parse(const uint8_t *bytes, size_t size, struct safetensors *f)
{
    json_error_t error;
    size_t length = 0;
    if (size < LENGTH_BYTES)
        return safetensors_fail(f, "%zu bytes are too few for a safetensors file", size);
    for (size_t i = LENGTH_BYTES; i-- > 0;)
        length = length << 8 | bytes[i];
    if (length > SAFETENSORS_HEADER_MAX)
        return status_fail(STATUS_LIMIT,
                           "%s: a header of %zu bytes; at most %d are read (is it a safetensors file?)",
                           f->path, length, SAFETENSORS_HEADER_MAX);
    if (length > size - LENGTH_BYTES)
        return safetensors_fail(f, "a header of %zu bytes in a file of %zu: it is cut off", length, size);
    f->data = bytes + LENGTH_BYTES + length;
    f->data_bytes = size - LENGTH_BYTES - length;
    json_t *root = json_loadb((const char *)bytes + LENGTH_BYTES, length, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return safetensors_fail(f, "header byte %d: %s", error.position, error.text);
    const enum status s = parse_tensors(root, f);
    json_decref(root);
    return s;
}

enum status safetensors_parse(const uint8_t *bytes, size_t size, const char *name, struct safetensors *out)
{
    *out = (struct safetensors){.path = strdup(name)};
    const enum status s = out->path ? parse(bytes, size, out) : status_no_memory("%s", name);
    if (s != STATUS_OK)
        safetensors_release(out);
    return s;
}

static enum status map_file(const char *path, int fd, struct safetensors *out)
{
    struct stat about;
    if (fstat(fd, &about) != 0)
        return status_fail(STATUS_IO, "%s: cannot stat: %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode))
        return status_fail(STATUS_INPUT, "%s: not a regular file", path);
    const size_t size = (size_t)about.st_size;
    if (size < LENGTH_BYTES) /* an empty file cannot be mapped */
        return status_fail(STATUS_INPUT, "%s: %zu bytes are too few for a safetensors file", path, size);
    void *mapping = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapping == MAP_FAILED)
        return status_fail(STATUS_IO, "%s: cannot map: %s", path, strerror(errno));
    const enum status s = safetensors_parse(mapping, size, path, out);
    if (s != STATUS_OK) {
        munmap(mapping, size);
        return s;
    }
    out->mapping = mapping;
    out->mapping_bytes = size;
    return STATUS_OK;
}

enum status safetensors_open(const char *path, struct safetensors *out)
{
    *out = (struct safetensors){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block before it is refused */
    if (fd < 0)
        return status_fail(STATUS_IO, "%s: cannot open: %s", path, strerror(errno));
    const enum status s = map_file(path, fd, out);
    close(fd); /* the mapping stays */
    return s;
}

static int name_order(const void *name, const void *tensor)
{
    return strcmp(name, ((const struct safetensor *)tensor)->name);
}

const struct safetensor *safetensors_find(const struct safetensors *s, const char *name)
{
    if (!s->tensor_count)
        return NULL;
    return bsearch(name, s->tensors, s->tensor_count, sizeof *s->tensors, name_order);
}

const struct safetensor *safetensors_find_part(const struct safetensors *s, const char *name, size_t length,
                                               const char *end)
{
    char *full;
    if (asprintf(&full, "%.*s%s", (int)length, name, end) < 0)
        return NULL;
    const struct safetensor *t = safetensors_find(s, full);
    free(full);
    return t;
}

void safetensors_release(struct safetensors *s)
{
    for (size_t i = 0; i < s->tensor_count; i++)
        free(s->tensors[i].name);
    free(s->tensors);
    free(s->path);
    if (s->mapping)
        munmap((void *)(uintptr_t)s->mapping, s->mapping_bytes);
    *s = (struct safetensors){0};
}
