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
    enum suite_key key;                      /* in a suite; SUITE_KEY_COUNT: only after --axis */
    bool override;                           /* may stand after --axis */
    bool (*has)(const struct suite_case *c); /* NULL: each case has it */
    enum status (*set)(struct suite_case *c,
                       const struct suite_values *v); /* NULL: it is an array of the case: */
    enum status (*read)(const struct suite_values *v, size_t i,
                        void *value); /* into value i, which is zeroed */
    void (*free)(void *value);        /* what a value owns; or NULL */
    size_t size, list, count;         /* bytes of a value; offsets of the array and of its length */
    size_t most;                      /* values; 0: any number */
    bool filled;                      /* by suite_case_fill(), where no key has set it */
};
enum { SUITE_AXIS_COUNT = 10 };
extern const struct suite_axis suite_axes[SUITE_AXIS_COUNT];

/* Replaces the case's values; on failure they stay as they were. */
enum status suite_axis_set(const struct suite_axis *axis, struct suite_case *c,
                           const struct suite_values *v) WARN_UNUSED_RESULT;
/* Values for the axes that need one and that no key has set: zeros, but for the blocksize. */
enum status suite_case_fill(struct suite_case *c) WARN_UNUSED_RESULT;
void suite_case_release(struct suite_case *c);

#endif
