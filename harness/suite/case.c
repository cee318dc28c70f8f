#include "harness/suite/case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/closest.h"

enum {
    PATH_BYTES_MAX = 4096,
    /* Of all lists of all cases together: defaults are copied into every case and must not multiply to
       gigabytes. */
    ENTRIES_MAX = 1 << 18
};

static const char *const case_keys[] = {
#define X(key, word) word,
    SUITE_KEY_MAP(X)
#undef X
};

/* `file` as named in the suite at `suite_path`: beside it unless absolute. Owned by the caller, NULL: no
 * memory. */
static char *beside(const char *suite_path, const char *file)
{
    const char *slash = strrchr(suite_path, '/');
    int directory = slash && file[0] != '/' ? (int)(slash - suite_path) + 1 : 0;
    char *path;
    return asprintf(&path, "%.*s%s", directory, suite_path, file) < 0 ? NULL : path;
}

/* ---- shapes ---- */

static enum status charge(struct suite_parser *p, const yaml_node_t *at, size_t entries)
{
    p->entries += entries; /* each at most YAML_FILE_LIST_MAX: cannot wrap before it fails */
    if (p->entries > ENTRIES_MAX)
        return yaml_file_fail(&p->yaml, at, NULL, "the suite's lists have more than %d entries together",
                              ENTRIES_MAX);
    return STATUS_OK;
}

/* Takes ownership of label. `at` is what to point at. */
static enum status add_shape(struct suite_parser *p, struct suite_case *c, const yaml_node_t *at, size_t n,
                             size_t k, char *label)
{
    enum status s = charge(p, at, 1);
    if (s == STATUS_OK && c->shape_count == YAML_FILE_LIST_MAX)
        s = yaml_file_fail(&p->yaml, at, NULL, "a case has more than %d shapes", YAML_FILE_LIST_MAX);
    if (s == STATUS_OK && c->shape_count % 16 == 0) {
        struct shape *grown = realloc(c->shapes, (c->shape_count + 16) * sizeof *grown);
        if (grown)
            c->shapes = grown;
        else
            s = suite_out_of_memory();
    }
    if (s != STATUS_OK) {
        free(label);
        return s;
    }
    c->shapes[c->shape_count++] = (struct shape){.n = n, .k = k, .label = label};
    return STATUS_OK;
}

static enum status parse_shape(struct suite_parser *p, struct suite_case *c, yaml_node_t *node)
{
    struct yaml_file *y = &p->yaml;
    yaml_node_t **pair = NULL;
    size_t count, n = 0, k = 0;
    const char *fault;
    enum status s = yaml_file_list(y, node, "shapes", &pair, &count);
    if (s == STATUS_OK && count != 2)
        s = yaml_file_fail(y, node, NULL, "shapes is a list of pairs, as in [[4096, 11008]]");
    if (s == STATUS_OK)
        s = yaml_file_size(y, pair[0], "n", 1, SIZE_MAX, &n);
    if (s == STATUS_OK)
        s = yaml_file_size(y, pair[1], "k", 1, SIZE_MAX, &k);
    if (s == STATUS_OK && (fault = model_shape_fault(n, k)))
        s = yaml_file_fail(y, node, NULL, "shape: %s", fault);
    for (size_t i = 0; s == STATUS_OK && i < c->shape_count; i++)
        if (c->shapes[i].n == n && c->shapes[i].k == k)
            s = yaml_file_fail(y, node, NULL, "shapes: the same value stands twice");
    if (s == STATUS_OK)
        s = add_shape(p, c, node, n, k, NULL);
    free(pair);
    return s;
}

static enum status load_models(struct suite_parser *p, const yaml_node_t *at)
{
    if (p->models_loaded)
        return STATUS_OK;
    char *path = beside(p->yaml.name, "models.yaml");
    if (!path)
        return suite_out_of_memory();
    enum status s = models_load(path, &p->models);
    free(path);
    if (s == STATUS_IO) /* else the fault is in models.yaml, and the message points there */
        return yaml_file_fail(&p->yaml, at, NULL, "models need a models.yaml beside the suite: %s",
                              status_message());
    p->models_loaded = s == STATUS_OK;
    return s;
}

/* The layer of that name must be in at least one of the chosen models. */
static enum status check_layer(struct suite_parser *p, const yaml_node_t *at, const char *layer,
                               const struct model *const *chosen, size_t count)
{
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < chosen[i]->layer_count; j++) {
            const char *known = chosen[i]->layers[j].name;
            if (strcmp(known, layer) == 0)
                return STATUS_OK;
            if (closest(layer, &known, 1) &&
                (!nearest || closest_distance(layer, known) < closest_distance(layer, nearest)))
                nearest = known;
        }
    return yaml_file_fail(&p->yaml, at, nearest, "none of the case's models has a layer \"%s\"", layer);
}

static enum status add_model(struct suite_parser *p, struct suite_case *c, const yaml_node_t *at,
                             const struct model *model, const char *const *layers, size_t layer_count)
{
    size_t before = c->shape_count;
    for (size_t i = 0; i < model->layer_count; i++) {
        const struct model_layer *layer = &model->layers[i];
        bool wanted = !layer_count && !layer->part;
        for (size_t j = 0; j < layer_count && !wanted; j++)
            wanted = strcmp(layers[j], layer->name) == 0;
        if (!wanted)
            continue;
        char *label;
        if (asprintf(&label, "%s.%s", model->name, layer->name) < 0)
            return suite_out_of_memory();
        enum status s = add_shape(p, c, at, layer->n, layer->k, label);
        if (s != STATUS_OK)
            return s;
    }
    if (c->shape_count == before)
        return yaml_file_fail(&p->yaml, at, NULL, "model \"%s\" has none of the case's layers", model->name);
    return STATUS_OK;
}

/* Strings of a list, pointing into the document; no two alike. */
static enum status word_list(struct suite_parser *p, yaml_node_t *node, const char *what,
                             yaml_node_t ***nodes, const char ***words, size_t *count)
{
    *words = NULL;
    enum status s = yaml_file_list(&p->yaml, node, what, nodes, count);
    if (s == STATUS_OK)
        s = charge(p, node, *count);
    if (s == STATUS_OK && !(*words = calloc(*count, sizeof **words)))
        s = suite_out_of_memory();
    for (size_t i = 0; s == STATUS_OK && i < *count; i++) {
        s = yaml_file_string(&p->yaml, (*nodes)[i], what, &(*words)[i]);
        for (size_t j = 0; s == STATUS_OK && j < i; j++)
            if (strcmp((*words)[j], (*words)[i]) == 0)
                s = yaml_file_fail(&p->yaml, (*nodes)[i], NULL, "%s: the same value stands twice", what);
    }
    return s;
}

static enum status parse_models(struct suite_parser *p, struct suite_case *c, const struct suite_fields *f)
{
    yaml_node_t **model_nodes = NULL, **layer_nodes = NULL;
    const char **models = NULL, **layers = NULL, **known = NULL;
    const struct model **chosen = NULL;
    size_t model_count = 0, layer_count = 0;
    enum status s = load_models(p, f->value[SUITE_KEY_MODELS]);
    if (s == STATUS_OK)
        s = word_list(p, f->value[SUITE_KEY_MODELS], "models", &model_nodes, &models, &model_count);
    if (s == STATUS_OK && f->value[SUITE_KEY_LAYERS])
        s = word_list(p, f->value[SUITE_KEY_LAYERS], "layers", &layer_nodes, &layers, &layer_count);
    if (s != STATUS_OK)
        goto out;
    chosen = calloc(model_count, sizeof *chosen);
    known = calloc(p->models.model_count, sizeof *known);
    if (!chosen || !known) {
        s = suite_out_of_memory();
        goto out;
    }
    for (size_t i = 0; i < p->models.model_count; i++)
        known[i] = p->models.models[i].name;
    for (size_t i = 0; s == STATUS_OK && i < model_count; i++) {
        chosen[i] = models_find(&p->models, models[i]);
        if (!chosen[i])
            s = yaml_file_fail(&p->yaml, model_nodes[i], closest(models[i], known, p->models.model_count),
                               "models.yaml has no model \"%s\"", models[i]);
    }
    for (size_t i = 0; s == STATUS_OK && i < layer_count; i++)
        s = check_layer(p, layer_nodes[i], layers[i], chosen, model_count);
    for (size_t i = 0; s == STATUS_OK && i < model_count; i++)
        s = add_model(p, c, model_nodes[i], chosen[i], layers, layer_count);
out:
    free(known);
    free(chosen);
    free(layers);
    free(layer_nodes);
    free(models);
    free(model_nodes);
    return s;
}

/* ---- cases ---- */

/* Values for the axes that need one and that no key has set. */
static enum status case_fill(struct suite_case *c)
{
    if (!c->m && !(c->m = calloc(1, sizeof *c->m)))
        return suite_out_of_memory();
    if (!c->blocksize && !(c->blocksize = calloc(1, sizeof *c->blocksize)))
        return suite_out_of_memory();
    if (!c->threads && !(c->threads = calloc(1, sizeof *c->threads)))
        return suite_out_of_memory();
    if (!c->m_count)
        c->m_count = 1; /* dequant: m = 0 */
    if (!c->blocksize_count) {
        c->blocksize[0] = 64;
        c->blocksize_count = 1;
    }
    if (!c->thread_count)
        c->thread_count = 1; /* 0: all processors */
    if (!c->nested_count)
        c->nested_count = 1; /* false */
    if (!c->bias_count)
        c->bias_count = 1; /* false */
    if (!c->cold && !c->hot)
        c->cold = true;
    return STATUS_OK;
}

/* Every key present, by its type alone: whether it fits the op is check_case()'s business. Defaults are
 * parsed with this too, so that a wrong one is found even when no case takes it. */
static enum status parse_fields(struct suite_parser *p, const struct suite_fields *f, struct suite_case *c)
{
    enum status s = STATUS_OK;
    struct yaml_file *y = &p->yaml;
    if (f->value[SUITE_KEY_CHECKPOINT])
        s = yaml_file_bool(y, f->value[SUITE_KEY_CHECKPOINT], "checkpoint", &c->checkpoint);
    if (s == STATUS_OK && f->value[SUITE_KEY_SHAPES]) {
        struct yaml_node_s **pairs = NULL;
        size_t count = 0;
        s = yaml_file_list(y, f->value[SUITE_KEY_SHAPES], "shapes", &pairs, &count);
        for (size_t i = 0; s == STATUS_OK && i < count; i++)
            s = parse_shape(p, c, pairs[i]);
        free(pairs);
    }
    if (s == STATUS_OK && f->value[SUITE_KEY_MODELS])
        s = parse_models(p, c, f);
    if (s == STATUS_OK && f->value[SUITE_KEY_WEIGHTS]) {
        const char *file;
        s = yaml_file_string(y, f->value[SUITE_KEY_WEIGHTS], "weights", &file);
        if (s == STATUS_OK && strlen(file) > PATH_BYTES_MAX)
            s = yaml_file_fail(y, f->value[SUITE_KEY_WEIGHTS], NULL, "weights: the path is too long");
        if (s == STATUS_OK && !(c->weights = beside(y->name, file)))
            s = suite_out_of_memory();
    }
    for (size_t i = 0; s == STATUS_OK && i < SUITE_AXIS_COUNT; i++) {
        if (suite_axes[i].key == SUITE_KEY_COUNT || !f->value[suite_axes[i].key])
            continue;
        struct suite_values v = {.name = suite_axes[i].name, .yaml = y};
        s = yaml_file_list(y, f->value[suite_axes[i].key], v.name, &v.nodes, &v.count);
        if (s == STATUS_OK)
            s = charge(p, f->value[suite_axes[i].key], v.count);
        if (s == STATUS_OK)
            s = suite_axes[i].set(c, &v);
        free(v.nodes);
    }
    return s;
}

/* Drops a key that the case itself does not state; an error if it does. */
static enum status refuse(struct suite_parser *p, const struct suite_fields *own, struct suite_fields *f,
                          enum suite_key key, const char *why)
{
    if (own->key[key])
        return yaml_file_fail(&p->yaml, own->key[key], NULL, "%s: %s", case_keys[key], why);
    f->value[key] = f->key[key] = NULL;
    return STATUS_OK;
}

/* Fills *f with the case's own fields and those defaults that apply to it. A default that does not apply is
 * left out silently; a key of the case itself that does not apply is an error. */
static enum status check_case(struct suite_parser *p, const yaml_node_t *node, const struct suite_fields *own,
                              enum op op, struct suite_fields *f)
{
    enum status s = STATUS_OK;
    bool own_source = own->key[SUITE_KEY_SHAPES] || own->key[SUITE_KEY_MODELS] || own->key[SUITE_KEY_WEIGHTS];
    for (int key = 0; key < SUITE_KEY_COUNT; key++) {
        bool source = key == SUITE_KEY_SHAPES || key == SUITE_KEY_MODELS || key == SUITE_KEY_WEIGHTS;
        const struct suite_fields *from = own->key[key] || (source && own_source) ? own : &p->defaults;
        f->key[key] = from->key[key];
        f->value[key] = from->value[key];
    }
    if (!op_is_product(op))
        s = refuse(p, own, f, SUITE_KEY_M, "only products have an m");
    if (s == STATUS_OK && op != OP_GEMM)
        s = refuse(p, own, f, SUITE_KEY_BIAS, "only gemm has a bias");
    if (s == STATUS_OK && !f->value[SUITE_KEY_MODELS])
        s = refuse(p, own, f, SUITE_KEY_LAYERS, "layers are those of models, and the case has none");
    if (s == STATUS_OK && !f->value[SUITE_KEY_WEIGHTS])
        s = refuse(p, own, f, SUITE_KEY_TENSORS,
                   "tensors are those of a weights file, and the case has none");
    if (s == STATUS_OK && !f->value[SUITE_KEY_WEIGHTS])
        s = refuse(p, own, f, SUITE_KEY_CHECKPOINT,
                   "it says what the weights file is, and the case has none");
    bool checkpoint = false;
    if (s == STATUS_OK && f->value[SUITE_KEY_CHECKPOINT])
        s = yaml_file_bool(&p->yaml, f->value[SUITE_KEY_CHECKPOINT], "checkpoint", &checkpoint);
    if (s == STATUS_OK && checkpoint)
        s = refuse(p, own, f, SUITE_KEY_BLOCKSIZE, "the checkpoint has its own");
    if (s == STATUS_OK && checkpoint)
        s = refuse(p, own, f, SUITE_KEY_NESTED, "the checkpoint is or is not");
    if (s == STATUS_OK && checkpoint)
        s = refuse(p, own, f, SUITE_KEY_FORMATS, "the checkpoint has its own");
    if (s == STATUS_OK && op_is_repack(op))
        s = refuse(p, own, f, SUITE_KEY_FORMATS, "NF4 is what is repacked");
    /* Of a case's own keys and the defaults, the more telling one holds. */
    const bool formats =
        f->value[SUITE_KEY_FORMATS] &&
        (own->key[SUITE_KEY_FORMATS] || !(own->key[SUITE_KEY_BLOCKSIZE] || own->key[SUITE_KEY_NESTED]));
    if (s == STATUS_OK && !formats)
        f->value[SUITE_KEY_FORMATS] = f->key[SUITE_KEY_FORMATS] = NULL;
    if (s == STATUS_OK && formats)
        s = refuse(p, own, f, SUITE_KEY_BLOCKSIZE, "each of the formats has its own");
    if (s == STATUS_OK && formats)
        s = refuse(p, own, f, SUITE_KEY_NESTED, "each of the formats is or is not");
    if (s != STATUS_OK)
        return s;
    bool shapes = f->value[SUITE_KEY_SHAPES] || f->value[SUITE_KEY_MODELS];
    if (f->value[SUITE_KEY_WEIGHTS] && shapes)
        return yaml_file_fail(&p->yaml, f->key[SUITE_KEY_WEIGHTS], NULL,
                              "weights bring their shapes: no shapes and no models beside them");
    if (f->value[SUITE_KEY_WEIGHTS] && !f->value[SUITE_KEY_TENSORS])
        return yaml_file_fail(&p->yaml, f->key[SUITE_KEY_WEIGHTS], NULL,
                              "weights need tensors: a list of patterns over tensor names");
    if (!f->value[SUITE_KEY_WEIGHTS] && !shapes)
        return yaml_file_fail(&p->yaml, node, NULL, "the case has no shapes, models or weights");
    if (op_is_product(op) && !f->value[SUITE_KEY_M])
        return yaml_file_fail(&p->yaml, node, NULL, "the case has no m (rows of the activations)");
    return STATUS_OK;
}

static enum status parse_op(struct suite_parser *p, const yaml_node_t *node, const struct suite_fields *own,
                            enum op *op)
{
    const char *words[OP_COUNT], *word;
    for (int i = 0; i < OP_COUNT; i++)
        words[i] = op_word((enum op)i);
    if (!own->value[SUITE_KEY_OP])
        return yaml_file_fail(&p->yaml, node, NULL,
                              "the case has no op: dequant, gemm, gemmdx, repack or unrepack");
    enum status s = yaml_file_string(&p->yaml, own->value[SUITE_KEY_OP], "op", &word);
    if (s == STATUS_OK && !op_parse(word, op))
        s = yaml_file_fail(&p->yaml, own->value[SUITE_KEY_OP], closest(word, words, OP_COUNT),
                           "unknown op \"%s\": it is dequant, gemm, gemmdx, repack or unrepack", word);
    return s;
}

enum status suite_case_parse(struct suite_parser *p, yaml_node_t *node, struct suite_case *c)
{
    struct suite_fields own, f;
    enum status s = yaml_file_keys(&p->yaml, node, "a case", case_keys, SUITE_KEY_COUNT, own.value, own.key);
    if (s != STATUS_OK)
        return s;
    c->line = (int)node->start_mark.line + 1;
    s = parse_op(p, node, &own, &c->op);
    if (s == STATUS_OK)
        s = check_case(p, node, &own, c->op, &f);
    if (s == STATUS_OK)
        s = parse_fields(p, &f, c);
    return s == STATUS_OK ? case_fill(c) : s;
}

enum status suite_defaults_parse(struct suite_parser *p, yaml_node_t *node)
{
    struct suite_fields f;
    struct suite_case scratch = {0};
    enum status s = yaml_file_keys(&p->yaml, node, "defaults", case_keys, SUITE_KEY_COUNT, f.value, f.key);
    if (s == STATUS_OK && f.key[SUITE_KEY_OP])
        s = yaml_file_fail(&p->yaml, f.key[SUITE_KEY_OP], NULL,
                           "op has no default: every case states its own");
    if (s == STATUS_OK)
        s = parse_fields(p, &f, &scratch);
    suite_case_release(&scratch);
    if (s == STATUS_OK)
        p->defaults = f;
    return s;
}
