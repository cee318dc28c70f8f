/*
 * suite/axis.h: the axes of a case: their names, which cases have them, and how a list of values is checked
 * and set, whether it stands in a suite or after --axis. One table, suite_axes[].
 */
#ifndef NF4BENCH_HARNESS_SUITE_AXIS_H
#define NF4BENCH_HARNESS_SUITE_AXIS_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/base/yaml.h"
#include "harness/suite/suite.h"

/* X(key, word): the keys of a case. */
#define SUITE_KEY_MAP(X)                                                                                     \
    X(OP, "op")                                                                                              \
    X(M, "m")                                                                                                \
    X(SHAPES, "shapes")                                                                                      \
    X(MODELS, "models")                                                                                      \
    X(LAYERS, "layers")                                                                                      \
    X(BLOCKSIZE, "blocksize")                                                                                \
    X(NESTED, "nested")                                                                                      \
    X(FORMATS, "formats")                                                                                    \
    X(BIAS, "bias")                                                                                          \
    X(REGIME, "regime")                                                                                      \
    X(THREADS, "threads")                                                                                    \
    X(VARIANTS, "variants")                                                                                  \
    X(WEIGHTS, "weights")                                                                                    \
    X(TENSORS, "tensors")                                                                                    \
    X(CHECKPOINT, "checkpoint")

enum suite_key {
#define X(key, word) SUITE_KEY_##key,
    SUITE_KEY_MAP(X)
#undef X
        SUITE_KEY_COUNT
};

struct suite_values {
    const char *name;       /* of the axis */
    struct yaml_file *yaml; /* with nodes: from a suite */
    yaml_node_t **nodes;
    const char *assignment; /* with words: from --axis */
    char **words;
    size_t count;
};

struct suite_axis {
    const char *name;
    enum suite_key key; /* in a suite; SUITE_KEY_COUNT: only after --axis */
    bool (*has)(const struct suite_case *c);
    /* Replaces the case's values; on failure they stay as they were. */
    enum status (*set)(struct suite_case *c, const struct suite_values *v);
    bool override; /* may stand after --axis */
};
enum { SUITE_AXIS_COUNT = 10 };
extern const struct suite_axis suite_axes[SUITE_AXIS_COUNT];

void suite_shapes_release(struct suite_case *c);
void suite_case_release(struct suite_case *c);
enum status suite_out_of_memory(void) WARN_UNUSED_RESULT;

#endif
