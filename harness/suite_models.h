/*
 * suite_models.h: models.yaml, the layer shapes of known models:
 *
 *   Llama-3-8B:
 *     blocks: 32             # transformer blocks, each with one of every layer
 *     experts: [2, 8]        # where a block has several gate_up and down: used by a token, and held
 *     qkv: [6144, 4096]      # [n, k]: y[m,n] = x[m,k] * W[n,k]^T
 *     o: [4096, 4096]
 *     ...
 *
 * blocks and experts may be left out. A layer's default: it is in a suite that names no layers unless the
 * model also has the fused layer that contains it (q, k, v in qkv; gate, up in gate_up).
 */
#ifndef NF4BENCH_HARNESS_SUITE_MODELS_H
#define NF4BENCH_HARNESS_SUITE_MODELS_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/status.h"

enum {
    SUITE_MODELS_MAX = 256,
    SUITE_LAYERS_MAX = 64, /* of a model */
    SUITE_BLOCKS_MAX = 65536,
    SUITE_EXPERTS_MAX = 65536
};

struct suite_layer {
    char *name;
    size_t n, k;
    bool part; /* of a fused layer that the model has too */
};

struct suite_model {
    char *name;
    struct suite_layer *layers;
    size_t layer_count;
    size_t blocks;                     /* 0: not known */
    size_t experts_used, experts_held; /* 0: one feed-forward network a block */
};

struct suite_models {
    struct suite_model *models;
    size_t model_count;
};

enum status suite_models_load(const char *path, struct suite_models *out) WARN_UNUSED_RESULT;
/* From memory; `name` stands in messages. */
enum status suite_models_parse(const char *text, size_t size, const char *name,
                               struct suite_models *out) WARN_UNUSED_RESULT;
/* NULL if absent. */
const struct suite_model *suite_models_find(const struct suite_models *m, const char *name);
const struct suite_layer *suite_model_layer(const struct suite_model *m, const char *name);
/* The fused layer that one of this name is a part of: "qkv" for "q"; NULL when it is none. */
const char *suite_layer_whole(const char *name);
void suite_models_release(struct suite_models *m);

/* NULL, or what is wrong with a shape: 1 to 2^31 each, the product at most 2^40. */
const char *suite_shape_fault(size_t n, size_t k);

/* The whole file in memory, owned by the caller, at most SUITE_YAML_BYTES_MAX. */
enum status suite_file_read(const char *path, char **text, size_t *size) WARN_UNUSED_RESULT;

#endif
