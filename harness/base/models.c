#include "harness/base/models.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const size_t side_max = (size_t)1 << 31, product_max = (size_t)1 << 40;

const char *model_shape_fault(size_t n, size_t k)
{
    if (!n || !k)
        return "a side is zero";
    if (n > side_max || k > side_max)
        return "a side is longer than 2147483648";
    if (n > product_max / k)
        return "it has more than 2^40 elements";
    return NULL;
}

const struct model *models_find(const struct models *m, const char *name)
{
    for (size_t i = 0; i < m->model_count; i++)
        if (strcmp(m->models[i].name, name) == 0)
            return &m->models[i];
    return NULL;
}

const struct model_layer *model_layer_find(const struct model *m, const char *name)
{
    for (size_t i = 0; i < m->layer_count; i++)
        if (strcmp(m->layers[i].name, name) == 0)
            return &m->layers[i];
    return NULL;
}

const char *model_layer_whole(const char *name)
{
    static const char *const fused[][2] = {
        {"q", "qkv"}, {"k", "qkv"}, {"v", "qkv"}, {"gate", "gate_up"}, {"up", "gate_up"}};
    for (size_t f = 0; f < sizeof fused / sizeof *fused; f++)
        if (strcmp(name, fused[f][0]) == 0)
            return fused[f][1];
    return NULL;
}

static enum status parse_experts(struct yaml_file *y, yaml_node_t *value, struct model *m)
{
    yaml_node_t **pair = NULL;
    size_t count;
    enum status s = yaml_file_list(y, value, "experts", &pair, &count);
    if (s == STATUS_OK && count != 2)
        s = yaml_file_fail(y, value, NULL, "experts are a pair [used by a token, held]");
    if (s == STATUS_OK)
        s = yaml_file_size(y, pair[1], "experts held", 1, MODEL_EXPERTS_MAX, &m->experts_held);
    if (s == STATUS_OK)
        s = yaml_file_size(y, pair[0], "experts used", 1, m->experts_held, &m->experts_used);
    free(pair);
    return s;
}

enum status model_shape_parse(struct yaml_file *y, yaml_node_t *node, const char *what, const char *no_pair,
                              size_t *n, size_t *k)
{
    yaml_node_t **pair = NULL;
    size_t count;
    const char *fault;
    enum status s = yaml_file_list(y, node, what, &pair, &count);
    if (s == STATUS_OK && count != 2)
        s = yaml_file_fail(y, node, NULL, "%s", no_pair);
    if (s == STATUS_OK)
        s = yaml_file_size(y, pair[0], "n", 1, SIZE_MAX, n);
    if (s == STATUS_OK)
        s = yaml_file_size(y, pair[1], "k", 1, SIZE_MAX, k);
    if (s == STATUS_OK && (fault = model_shape_fault(*n, *k)))
        s = yaml_file_fail(y, node, NULL, "shape: %s", fault);
    free(pair);
    return s;
}

static enum status parse_layer(struct yaml_file *y, yaml_node_t *key, yaml_node_t *value, struct model *m)
{
    struct model_layer layer = {0};
    const char *name;
    TRY(yaml_file_string(y, key, "a layer's name", &name));
    if (model_layer_find(m, name))
        return yaml_file_fail(y, key, NULL, "layer \"%s\" stands twice", name);
    TRY(model_shape_parse(y, value, "a shape", "a shape is a pair [n, k]", &layer.n, &layer.k));
    layer.name = strdup(name);
    if (!layer.name)
        return status_no_memory("%s", y->name);
    m->layers[m->layer_count++] = layer;
    return STATUS_OK;
}

/* What is said of a model beside its layers; *known is false where the key is none of that. */
static enum status parse_fact(struct yaml_file *y, yaml_node_t *key, yaml_node_t *value, struct model *m,
                              bool *known)
{
    const char *name;
    TRY(yaml_file_string(y, key, "a layer's name", &name));
    const bool blocks = strcmp(name, "blocks") == 0;
    *known = blocks || strcmp(name, "experts") == 0;
    if (*known && (blocks ? m->blocks : m->experts_held))
        return yaml_file_fail(y, key, NULL, "\"%s\" stands twice", name);
    return !*known  ? STATUS_OK
           : blocks ? yaml_file_size(y, value, "blocks", 1, MODEL_BLOCKS_MAX, &m->blocks)
                    : parse_experts(y, value, m);
}

static enum status parse_model(struct yaml_file *y, yaml_node_t *key, yaml_node_t *value, struct models *all)
{
    const char *name;
    TRY(yaml_file_string(y, key, "a model's name", &name));
    if (models_find(all, name))
        return yaml_file_fail(y, key, NULL, "model \"%s\" stands twice", name);
    if (value->type != YAML_MAPPING_NODE)
        return yaml_file_fail(y, value, NULL, "a model must be a mapping of layers to shapes");
    const yaml_node_pair_t *pairs = value->data.mapping.pairs.start;
    size_t count = (size_t)(value->data.mapping.pairs.top - pairs);
    if (!count || count > MODEL_LAYERS_MAX)
        return yaml_file_fail(y, value, NULL, "a model has 1 to %d layers, not %zu", MODEL_LAYERS_MAX, count);
    /* In the array from here on, so that it is released with the others. */
    struct model *m = &all->models[all->model_count++];
    *m = (struct model){.name = strdup(name), .layers = calloc(count, sizeof *m->layers)};
    if (!m->name || !m->layers)
        return status_no_memory("%s", y->name);
    for (size_t i = 0; i < count; i++) {
        yaml_node_t *layer = yaml_file_node(y, pairs[i].key), *of = yaml_file_node(y, pairs[i].value);
        bool known;
        TRY(parse_fact(y, layer, of, m, &known));
        if (!known)
            TRY(parse_layer(y, layer, of, m));
    }
    if (m->layer_count == 0)
        return yaml_file_fail(y, value, NULL, "a model has layers");
    for (size_t i = 0; i < m->layer_count; i++) {
        const char *whole = model_layer_whole(m->layers[i].name);
        m->layers[i].part = whole && model_layer_find(m, whole);
    }
    return STATUS_OK;
}

static enum status parse_models(struct yaml_file *y, struct models *out)
{
    yaml_node_t *root = yaml_file_root(y);
    if (root->type != YAML_MAPPING_NODE)
        return yaml_file_fail(y, root, NULL, "models must be a mapping of names to layers");
    const yaml_node_pair_t *pairs = root->data.mapping.pairs.start;
    size_t count = (size_t)(root->data.mapping.pairs.top - pairs);
    if (!count || count > MODELS_MAX)
        return yaml_file_fail(y, root, NULL, "1 to %d models, not %zu", MODELS_MAX, count);
    out->models = calloc(count, sizeof *out->models);
    if (!out->models)
        return status_no_memory("%s", y->name);
    for (size_t i = 0; i < count; i++)
        TRY(parse_model(y, yaml_file_node(y, pairs[i].key), yaml_file_node(y, pairs[i].value), out));
    return STATUS_OK;
}

enum status models_parse(const char *text, size_t size, const char *name, struct models *out)
{
    struct yaml_file y;
    *out = (struct models){0};
    enum status s = yaml_file_parse(text, size, name, &y);
    if (s == STATUS_OK)
        s = parse_models(&y, out);
    yaml_file_release(&y);
    if (s != STATUS_OK)
        models_release(out);
    return s;
}

enum status models_load(const char *path, struct models *out)
{
    return models_parse(NULL, 0, path, out);
}

void models_release(struct models *m)
{
    for (size_t i = 0; i < m->model_count; i++) {
        for (size_t j = 0; j < m->models[i].layer_count; j++)
            free(m->models[i].layers[j].name);
        free(m->models[i].layers);
        free(m->models[i].name);
    }
    free(m->models);
    *m = (struct models){0};
}
