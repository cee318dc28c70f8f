/*
 * base/models.h: models.yaml, the layer shapes of known models:
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
#ifndef NF4BENCH_HARNESS_BASE_MODELS_H
#define NF4BENCH_HARNESS_BASE_MODELS_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/base/yaml.h"

enum {
    MODELS_MAX = 256,
    MODEL_LAYERS_MAX = 64, /* of a model */
    MODEL_BLOCKS_MAX = 65536,
    MODEL_EXPERTS_MAX = 65536
};

struct model_layer {
    char *name;
    size_t n, k;
    bool part; /* of a fused layer that the model has too */
};

struct model {
    char *name;
    struct model_layer *layers;
    size_t layer_count;
    size_t blocks;                     /* 0: not known */
    size_t experts_used, experts_held; /* 0: one feed-forward network a block */
};

struct models {
    struct model *models;
    size_t model_count;
};

enum status models_load(const char *path, struct models *out) WARN_UNUSED_RESULT;
/* From memory; `name` stands in messages. */
enum status models_parse(const char *text, size_t size, const char *name,
                         struct models *out) WARN_UNUSED_RESULT;
/* NULL if absent. */
const struct model *models_find(const struct models *m, const char *name);
const struct model_layer *model_layer_find(const struct model *m, const char *name);
/* The fused layer that one of this name is a part of: "qkv" for "q"; NULL when it is none. */
const char *model_layer_whole(const char *name);
void models_release(struct models *m);

/* NULL, or what is wrong with a shape: 1 to 2^31 each, the product at most 2^40. */
const char *model_shape_fault(size_t n, size_t k);
/* Reads a pair [n, k]. `what` is what messages call it, `no_pair` what is said of another list. */
enum status model_shape_parse(struct yaml_file *y, yaml_node_t *node, const char *what, const char *no_pair,
                              size_t *n, size_t *k) WARN_UNUSED_RESULT;

#endif
