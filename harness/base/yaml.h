/*
 * base/yaml.h: a YAML text as nodes, with every complaint pointing at its place:
 *
 *   smoke.yaml:7:5: unknown key "bloksize"
 *       bloksize: 64
 *       ^
 *   did you mean "blocksize"?
 *
 * Only what suites need is accepted: one document, no tags, anchors or aliases (so no node stands twice and
 * no text grows), bounded size, depth and node count. Booleans are true and false; numbers are decimal.
 */
#ifndef NF4BENCH_HARNESS_BASE_YAML_H
#define NF4BENCH_HARNESS_BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

#include "harness/base/status.h"

enum {
    YAML_FILE_BYTES_MAX = 256 * 1024, /* libyaml is quadratic in the number of % directives */
    YAML_FILE_DEPTH_MAX = 8,          /* and in the depth of brackets */
    YAML_FILE_LIST_MAX = 4096,
};

struct yaml_file {
    const char *name; /* stands in messages; not owned, like text */
    const char *text;
    char *read; /* the text, owned; NULL: it was in memory */
    size_t size;
    yaml_document_t document;
};

/* The whole file in memory, owned by the caller, at most YAML_FILE_BYTES_MAX. */
enum status yaml_file_read(const char *path, char **text, size_t *size) WARN_UNUSED_RESULT;

/* text NULL: reads the file `name`. */
enum status yaml_file_parse(const char *text, size_t size, const char *name,
                            struct yaml_file *out) WARN_UNUSED_RESULT;
void yaml_file_release(struct yaml_file *y);

yaml_node_t *yaml_file_root(struct yaml_file *y);
yaml_node_t *yaml_file_node(struct yaml_file *y, int id);

/* STATUS_INPUT with the place of `at`, its line and a caret; `nearest`, when not NULL, is suggested. */
enum status yaml_file_fail(const struct yaml_file *y, const yaml_node_t *at, const char *nearest,
                           const char *format, ...) PRINTF_LIKE(4, 5) WARN_UNUSED_RESULT;

/* The values of the mapping `map` by key: values[i] and keys[i] (NULL where absent) for names[i]. An unknown
 * or a repeated key is an error; `what` says what the mapping is ("a case"). */
enum status yaml_file_keys(struct yaml_file *y, yaml_node_t *map, const char *what, const char *const *names,
                           size_t count, yaml_node_t **values, yaml_node_t **keys) WARN_UNUSED_RESULT;

/* A list as an array of nodes, owned by the caller (free); anything else is a list of one. Empty and overlong
 * lists are errors. */
enum status yaml_file_list(struct yaml_file *y, yaml_node_t *node, const char *what, yaml_node_t ***out,
                           size_t *count) WARN_UNUSED_RESULT;

/* A scalar's text: printable UTF-8 without control characters, not empty. Points into the document. */
enum status yaml_file_string(const struct yaml_file *y, const yaml_node_t *node, const char *what,
                             const char **out) WARN_UNUSED_RESULT;
/* Whether a scalar is such a text, of one or several lines. */
enum status yaml_file_check_text(const struct yaml_file *y, const yaml_node_t *node,
                                 const char *what) WARN_UNUSED_RESULT;
enum status yaml_file_size(const struct yaml_file *y, const yaml_node_t *node, const char *what, size_t min,
                           size_t max, size_t *out) WARN_UNUSED_RESULT;
enum status yaml_file_number(const struct yaml_file *y, const yaml_node_t *node, const char *what, double min,
                             double max, double *out) WARN_UNUSED_RESULT;
enum status yaml_file_bool(const struct yaml_file *y, const yaml_node_t *node, const char *what,
                           bool *out) WARN_UNUSED_RESULT;

/* Decimal digits only, no sign, no leading zero. NULL and *out set, or what is wrong: "is not a whole
 * number", "is too large". */
const char *yaml_size_from_text(const char *text, size_t *out);

#endif
