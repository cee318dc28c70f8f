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

/* What the parser of one header carries along. */
struct header {
    const char *file; /* stands in messages */
    const uint8_t *data;
    size_t data_size;
};

/* A fault of one tensor. */
PRINTF_LIKE(3, 4)
static enum status tensor_fail(const struct header *h, const struct safetensor *t, const char *format, ...)
{
    char what[256];
    va_list ap;
    va_start(ap, format);
    vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    return status_fail(STATUS_INPUT, "%s: tensor %s: %s", h->file, t->name, what);
}

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

static enum status parse_dtype(const struct header *h, const json_t *dtype, struct safetensor *t)
{
    const char *word = json_string_value(dtype);
    if (!word)
        return tensor_fail(h, t, "dtype is missing or no string");
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtypes[i].name, word) == 0) {
            strcpy(t->dtype, dtypes[i].name);
            t->element_size = dtypes[i].size;
            return STATUS_OK;
        }
    return tensor_fail(h, t, "unknown dtype \"%.32s\"", word);
}

static enum status parse_shape(const struct header *h, const json_t *shape, struct safetensor *t)
{
    size_t rank = json_array_size(shape);
    if (!json_is_array(shape))
        return tensor_fail(h, t, "shape is missing or no list");
    if (rank > SAFETENSORS_RANK_MAX)
        return status_fail(STATUS_LIMIT, "%s: tensor %s: %zu dimensions, at most %d are read", h->file,
                           t->name, rank, SAFETENSORS_RANK_MAX);
    t->rank = rank;
    t->count = 1;
    for (size_t i = 0; i < rank; i++) {
        if (!size_from_json(json_array_get(shape, i), &t->shape[i]))
            return tensor_fail(h, t, "shape[%zu] is not a whole number", i);
        if (__builtin_mul_overflow(t->count, t->shape[i], &t->count))
            return tensor_fail(h, t, "the shape's product overflows");
    }
    if (__builtin_mul_overflow(t->count, t->element_size, &t->bytes))
        return tensor_fail(h, t, "the shape's product overflows");
    return STATUS_OK;
}

static enum status parse_offsets(const struct header *h, const json_t *offsets, struct safetensor *t)
{
    size_t begin, end;
    if (json_array_size(offsets) != 2 || !size_from_json(json_array_get(offsets, 0), &begin) ||
        !size_from_json(json_array_get(offsets, 1), &end))
        return tensor_fail(h, t, "data_offsets is not a pair of whole numbers");
    if (begin > end || end > h->data_size)
        return tensor_fail(h, t, "data_offsets [%zu, %zu] are not within the %zu bytes of data", begin, end,
                           h->data_size);
    if (end - begin != t->bytes)
        return tensor_fail(h, t, "%zu bytes of data, but %s of its shape needs %zu", end - begin, t->dtype,
                           t->bytes);
    t->data = h->data + begin;
    return STATUS_OK;
}

/* On failure too, t->name is the caller's to free. */
static enum status parse_tensor(const struct header *h, const char *name, const json_t *entry,
                                struct safetensor *t)
{
    const char *fault = name_fault(name);
    if (fault)
        return status_fail(STATUS_INPUT, "%s: %s", h->file, fault);
    t->name = strdup(name);
    if (!t->name)
        return status_no_memory("%s", h->file);
    if (!json_is_object(entry))
        return tensor_fail(h, t, "its entry is no object");
    TRY(parse_dtype(h, json_object_get(entry, "dtype"), t));
    TRY(parse_shape(h, json_object_get(entry, "shape"), t));
    TRY(parse_offsets(h, json_object_get(entry, "data_offsets"), t));
    return json_object_size(entry) == 3 ? STATUS_OK
                                        : tensor_fail(h, t, "keys beside dtype, shape and data_offsets");
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
static enum status check_ranges(const struct header *h, const struct safetensors *out)
{
    enum status s = STATUS_OK;
    const uint8_t *at = h->data;
    const struct safetensor **order = calloc(out->tensor_count + 1, sizeof *order);
    if (!order)
        return status_no_memory("%s", h->file);
    for (size_t i = 0; i < out->tensor_count; i++)
        order[i] = &out->tensors[i];
    qsort(order, out->tensor_count, sizeof *order, by_position);
    for (size_t i = 0; s == STATUS_OK && i < out->tensor_count; i++) {
        if (order[i]->data < at)
            s = status_fail(STATUS_INPUT, "%s: tensors %s and %s overlap", h->file, order[i]->name,
                            order[i ? i - 1 : 0]->name);
        else if (order[i]->data > at)
            s = status_fail(STATUS_INPUT, "%s: %zu bytes before tensor %s belong to no tensor", h->file,
                            (size_t)(order[i]->data - at), order[i]->name);
        at = order[i]->data + order[i]->bytes;
    }
    if (s == STATUS_OK && (size_t)(at - h->data) != h->data_size)
        s = status_fail(STATUS_INPUT, "%s: the last %zu bytes belong to no tensor", h->file,
                        h->data_size - (size_t)(at - h->data));
    free(order);
    return s;
}

static enum status parse_tensors(const struct header *h, json_t *root, struct safetensors *out)
{
    const size_t count = json_object_size(root);
    const char *key;
    json_t *entry;
    out->path = strdup(h->file);
    out->tensors = calloc(count ? count : 1, sizeof *out->tensors);
    if (!out->path || !out->tensors)
        return status_no_memory("%s", h->file);
    json_object_foreach(root, key, entry) if (strcmp(key, "__metadata__") != 0) /* free text about the file */
        TRY(parse_tensor(h, key, entry, &out->tensors[out->tensor_count++]));
    TRY(check_ranges(h, out));
    qsort(out->tensors, out->tensor_count, sizeof *out->tensors, by_name);
    return STATUS_OK;
}

enum status safetensors_parse(const uint8_t *bytes, size_t size, const char *name, struct safetensors *out)
{
    json_error_t error;
    size_t length = 0;
    *out = (struct safetensors){0};
    if (size < LENGTH_BYTES)
        return status_fail(STATUS_INPUT, "%s: %zu bytes are too few for a safetensors file", name, size);
    for (size_t i = LENGTH_BYTES; i-- > 0;)
        length = length << 8 | bytes[i];
    if (length > SAFETENSORS_HEADER_MAX)
        return status_fail(STATUS_LIMIT,
                           "%s: a header of %zu bytes; at most %d are read (is it a safetensors file?)", name,
                           length, SAFETENSORS_HEADER_MAX);
    if (length > size - LENGTH_BYTES)
        return status_fail(STATUS_INPUT, "%s: a header of %zu bytes in a file of %zu: it is cut off", name,
                           length, size);
    const struct header h = {name, bytes + LENGTH_BYTES + length, size - LENGTH_BYTES - length};
    json_t *root = json_loadb((const char *)bytes + LENGTH_BYTES, length, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return status_fail(STATUS_INPUT, "%s: header byte %d: %s", name, error.position, error.text);
    const enum status s = json_is_object(root)
                              ? parse_tensors(&h, root, out)
                              : status_fail(STATUS_INPUT, "%s: the header is no JSON object", name);
    json_decref(root);
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
