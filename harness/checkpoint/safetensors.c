#include "harness/checkpoint/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
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

static enum status out_of_memory(const char *file)
{
    return status_no_memory("%s", file);
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
        return status_fail(STATUS_INPUT, "%s: tensor %s: dtype is missing or no string", h->file, t->name);
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtypes[i].name, word) == 0) {
            strcpy(t->dtype, dtypes[i].name);
            t->element_size = dtypes[i].size;
            return STATUS_OK;
        }
    return status_fail(STATUS_INPUT, "%s: tensor %s: unknown dtype \"%.32s\"", h->file, t->name, word);
}

static enum status parse_shape(const struct header *h, const json_t *shape, struct safetensor *t)
{
    size_t rank = json_array_size(shape);
    if (!json_is_array(shape))
        return status_fail(STATUS_INPUT, "%s: tensor %s: shape is missing or no list", h->file, t->name);
    if (rank > SAFETENSORS_RANK_MAX)
        return status_fail(STATUS_LIMIT, "%s: tensor %s: %zu dimensions, at most %d are read", h->file,
                           t->name, rank, SAFETENSORS_RANK_MAX);
    t->rank = rank;
    t->count = 1;
    for (size_t i = 0; i < rank; i++) {
        if (!size_from_json(json_array_get(shape, i), &t->shape[i]))
            return status_fail(STATUS_INPUT, "%s: tensor %s: shape[%zu] is not a whole number", h->file,
                               t->name, i);
        if (__builtin_mul_overflow(t->count, t->shape[i], &t->count))
            return status_fail(STATUS_INPUT, "%s: tensor %s: the shape's product overflows", h->file,
                               t->name);
    }
    if (__builtin_mul_overflow(t->count, t->element_size, &t->bytes))
        return status_fail(STATUS_INPUT, "%s: tensor %s: the shape's product overflows", h->file, t->name);
    return STATUS_OK;
}

static enum status parse_offsets(const struct header *h, const json_t *offsets, struct safetensor *t)
{
    size_t begin, end;
    if (json_array_size(offsets) != 2 || !size_from_json(json_array_get(offsets, 0), &begin) ||
        !size_from_json(json_array_get(offsets, 1), &end))
        return status_fail(STATUS_INPUT, "%s: tensor %s: data_offsets is not a pair of whole numbers",
                           h->file, t->name);
    if (begin > end || end > h->data_size)
        return status_fail(STATUS_INPUT,
                           "%s: tensor %s: data_offsets [%zu, %zu] are not within the %zu bytes of data",
                           h->file, t->name, begin, end, h->data_size);
    if (end - begin != t->bytes)
        return status_fail(STATUS_INPUT, "%s: tensor %s: %zu bytes of data, but %s of its shape needs %zu",
                           h->file, t->name, end - begin, t->dtype, t->bytes);
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
        return out_of_memory(h->file);
    if (!json_is_object(entry))
        return status_fail(STATUS_INPUT, "%s: tensor %s: its entry is no object", h->file, name);
    enum status s = parse_dtype(h, json_object_get(entry, "dtype"), t);
    if (s == STATUS_OK)
        s = parse_shape(h, json_object_get(entry, "shape"), t);
    if (s == STATUS_OK)
        s = parse_offsets(h, json_object_get(entry, "data_offsets"), t);
    if (s == STATUS_OK && json_object_size(entry) != 3)
        s = status_fail(STATUS_INPUT, "%s: tensor %s: keys beside dtype, shape and data_offsets", h->file,
                        name);
    return s;
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
    return x->bytes < y->bytes ? -1
                               : x->bytes > y->bytes; /* an empty tensor may stand where another begins */
}

/* Each byte of data must belong to exactly one tensor, as the format demands: nothing overlaps, nothing
 * hides. */
static enum status check_ranges(const struct header *h, const struct safetensors *out)
{
    enum status s = STATUS_OK;
    const uint8_t *at = h->data;
    const struct safetensor **order = calloc(out->tensor_count + 1, sizeof *order);
    if (!order)
        return out_of_memory(h->file);
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

enum status safetensors_parse(const uint8_t *bytes, size_t size, const char *name, struct safetensors *out)
{
    enum status s = STATUS_OK;
    json_t *root = NULL, *entry;
    json_error_t error;
    const char *key;
    size_t length = 0, count;
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
    root = json_loadb((const char *)bytes + LENGTH_BYTES, length, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return status_fail(STATUS_INPUT, "%s: header byte %d: %s", name, error.position, error.text);
    if (!json_is_object(root)) {
        s = status_fail(STATUS_INPUT, "%s: the header is no JSON object", name);
        goto out;
    }
    struct header h = {
        .file = name, .data = bytes + LENGTH_BYTES + length, .data_size = size - LENGTH_BYTES - length};
    count = json_object_size(root);
    out->path = strdup(name);
    out->tensors = calloc(count ? count : 1, sizeof *out->tensors);
    if (!out->path || !out->tensors) {
        s = out_of_memory(name);
        goto out;
    }
    json_object_foreach(root, key, entry)
    {
        if (strcmp(key, "__metadata__") == 0)
            continue; /* free text about the file */
        s = parse_tensor(&h, key, entry, &out->tensors[out->tensor_count++]);
        if (s != STATUS_OK)
            goto out;
    }
    s = check_ranges(&h, out);
    if (s == STATUS_OK)
        qsort(out->tensors, out->tensor_count, sizeof *out->tensors, by_name);
out:
    json_decref(root);
    if (s != STATUS_OK)
        safetensors_release(out);
    return s;
}

enum status safetensors_open(const char *path, struct safetensors *out)
{
    enum status s = STATUS_OK;
    struct stat about;
    void *mapping = MAP_FAILED;
    size_t size = 0;
    *out = (struct safetensors){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block before it is refused */
    if (fd < 0)
        return status_fail(STATUS_IO, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(fd, &about) != 0) {
        s = status_fail(STATUS_IO, "%s: cannot stat: %s", path, strerror(errno));
        goto out;
    }
    if (!S_ISREG(about.st_mode)) {
        s = status_fail(STATUS_INPUT, "%s: not a regular file", path);
        goto out;
    }
    size = (size_t)about.st_size;
    if (size < LENGTH_BYTES) { /* an empty file cannot be mapped */
        s = status_fail(STATUS_INPUT, "%s: %zu bytes are too few for a safetensors file", path, size);
        goto out;
    }
    mapping = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapping == MAP_FAILED) {
        s = status_fail(STATUS_IO, "%s: cannot map: %s", path, strerror(errno));
        goto out;
    }
    s = safetensors_parse(mapping, size, path, out);
    if (s != STATUS_OK)
        goto out;
    out->mapping = mapping;
    out->mapping_bytes = size;
    mapping = MAP_FAILED;
out:
    if (mapping != MAP_FAILED)
        munmap(mapping, size);
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
