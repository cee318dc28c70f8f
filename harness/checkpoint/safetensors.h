/*
 * safetensors.h: reads a safetensors file, memory-mapped, nothing copied.
 *
 * File: u64 little-endian header length, a JSON header {name: {dtype, shape, data_offsets: [begin, end]}},
 * data. Checked before anything is trusted: header length within the file and SAFETENSORS_HEADER_MAX, no name
 * twice, dtype known, shape product times element size equals end - begin without overflow, and every byte of
 * data in exactly one tensor. A file that another process truncates while it is mapped ends this one
 * (SIGBUS): copy it first. Source: the format description of the safetensors project. Its own limit for the
 * header is 100 MB; a parsed header takes ten times its size in memory, and real ones (120 bytes a tensor)
 * are far smaller than ours.
 */
#ifndef NF4BENCH_HARNESS_CHECKPOINT_SAFETENSORS_H
#define NF4BENCH_HARNESS_CHECKPOINT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"

enum { SAFETENSORS_RANK_MAX = 8, SAFETENSORS_HEADER_MAX = 32 << 20 };

struct safetensor {
    char *name;
    char dtype[8]; /* "F32", "F16", "BF16", "U8", ... as in the file */
    size_t element_size;
    size_t rank;
    size_t shape[SAFETENSORS_RANK_MAX];
    size_t count, bytes;
    const uint8_t *data; /* into the mapping; no alignment is promised */
};

struct safetensors {
    char *path;
    struct safetensor *tensors; /* sorted by name */
    size_t tensor_count;
    const uint8_t *data; /* behind the header */
    size_t data_bytes;
    const uint8_t *mapping; /* NULL after safetensors_parse() */
    size_t mapping_bytes;
};

enum status safetensors_open(const char *path, struct safetensors *out) WARN_UNUSED_RESULT;
/* From memory, not owned: what the fuzzer feeds. */
enum status safetensors_parse(const uint8_t *bytes, size_t size, const char *name,
                              struct safetensors *out) WARN_UNUSED_RESULT;
/* By exact name; NULL if absent. */
const struct safetensor *safetensors_find(const struct safetensors *s, const char *name);
/* That of the first `length` bytes of a name and `end`. */
const struct safetensor *safetensors_find_part(const struct safetensors *s, const char *name, size_t length,
                                               const char *end);
void safetensors_release(struct safetensors *s);

/* STATUS_INPUT, "PATH: " and what is wrong with the file. */
enum status safetensors_fail(const struct safetensors *s, const char *format, ...)
    PRINTF_LIKE(2, 3) WARN_UNUSED_RESULT;

#endif
