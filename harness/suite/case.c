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

/* The label becomes the case's, unless this fails. `at` is what to point at. */
static enum status add_shape(struct suite_parser *p, struct suite_case *c, const yaml_node_t *at, size_t n,
                             size_t k, char *label)
{
    TRY(charge(p, at, 1));
    if (c->shape_count == YAML_FILE_LIST_MAX)
        return yaml_file_fail(&p->yaml, at, NULL, "a case has more than %d shapes", YAML_FILE_LIST_MAX);
    if (c->shape_count % 16 == 0) {
        struct shape *grown = realloc(c->shapes, (c->shape_count + 16) * sizeof *grown);
        if (!grown)
            return status_no_memory("suite");
        c->shapes = grown;
    }
    c->shapes[c->shape_count++] = (struct shape){.n = n, .k = k, .label = label};
    return STATUS_OK;
}

static enum status parse_shape(struct suite_parser *p, struct suite_case *c, yaml_node_t *node)
{
    size_t n, k;
    TRY(model_shape_parse(&p->yaml, node, "shapes", "shapes is a list of pairs, as in [[4096, 11008]]", &n,
                          &k));
    for (size_t i = 0; i < c->shape_count; i++)
        if (c->shapes[i].n == n && c->shapes[i].k == k)
            return yaml_file_fail(&p->yaml, node, NULL, "shapes: the same value stands twice");
    return add_shape(p, c, node, n, k, NULL);
}

static enum status load_models(struct suite_parser *p, const yaml_node_t *at)
{
    if (p->models_loaded)
        return STATUS_OK;
    char *path = beside(p->yaml.name, "models.yaml");
    if (!path)
        return status_no_memory("suite");
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
            return status_no_memory("suite");
        enum status s = add_shape(p, c, at, layer->n, layer->k, label);
        if (s != STATUS_OK) {
            free(label);
            return s;
        }
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
        s = status_no_memory("suite");
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
        s = status_no_memory("suite");
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

static enum status parse_shapes(struct suite_parser *p, struct suite_case *c, yaml_node_t *node)
{
    yaml_node_t **pairs = NULL;
    size_t count = 0;
    enum status s = yaml_file_list(&p->yaml, node, "shapes", &pairs, &count);
    for (size_t i = 0; s == STATUS_OK && i < count; i++)
        s = parse_shape(p, c, pairs[i]);
    free(pairs);
    return s;
}

static enum status parse_weights(struct suite_parser *p, struct suite_case *c, const yaml_node_t *node)
{
    const char *file;
    TRY(yaml_file_string(&p->yaml, node, "weights", &file));
    if (strlen(file) > PATH_BYTES_MAX)
        return yaml_file_fail(&p->yaml, node, NULL, "weights: the path is too long");
    c->weights = beside(p->yaml.name, file);
    return c->weights ? STATUS_OK : status_no_memory("suite");
}

static enum status parse_axis(struct suite_parser *p, struct suite_case *c, const struct suite_axis *axis,
                              yaml_node_t *node)
{
    struct suite_values v = {.name = axis->name, .yaml = &p->yaml};
    enum status s = yaml_file_list(&p->yaml, node, v.name, &v.nodes, &v.count);
    if (s == STATUS_OK)
        s = charge(p, node, v.count);
    if (s == STATUS_OK)
        s = suite_axis_set(axis, c, &v);
    free(v.nodes);
    return s;
}

/* Every key present, by its type alone: whether it fits the op is check_case()'s business. Defaults are
 * parsed with this too, so that a wrong one is found even when no case takes it. */
static enum status parse_fields(struct suite_parser *p, const struct suite_fields *f, struct suite_case *c)
{
    yaml_node_t *const *value = f->value;
    if (value[SUITE_KEY_CHECKPOINT])
        TRY(yaml_file_bool(&p->yaml, value[SUITE_KEY_CHECKPOINT], "checkpoint", &c->checkpoint));
    if (value[SUITE_KEY_SHAPES])
        TRY(parse_shapes(p, c, value[SUITE_KEY_SHAPES]));
    if (value[SUITE_KEY_MODELS])
        TRY(parse_models(p, c, f));
    if (value[SUITE_KEY_WEIGHTS])
        TRY(parse_weights(p, c, value[SUITE_KEY_WEIGHTS]));
    for (size_t i = 0; i < SUITE_AXIS_COUNT; i++) {
        const struct suite_axis *axis = &suite_axes[i];
        if (axis->key != SUITE_KEY_COUNT && value[axis->key])
            TRY(parse_axis(p, c, axis, value[axis->key]));
    }
    return STATUS_OK;
}

/* Where `wrong`, drops a key that the case itself does not state; an error if it does. */
static enum status refuse(struct suite_parser *p, const struct suite_fields *own, struct suite_fields *f,
                          bool wrong, enum suite_key key, const char *why)
{
    if (!wrong)
        return STATUS_OK;
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
    bool own_source = own->key[SUITE_KEY_SHAPES] || own->key[SUITE_KEY_MODELS] || own->key[SUITE_KEY_WEIGHTS];
    for (int key = 0; key < SUITE_KEY_COUNT; key++) {
        bool source = key == SUITE_KEY_SHAPES || key == SUITE_KEY_MODELS || key == SUITE_KEY_WEIGHTS;
        const struct suite_fields *from = own->key[key] || (source && own_source) ? own : &p->defaults;
        f->key[key] = from->key[key];
        f->value[key] = from->value[key];
    }
    TRY(refuse(p, own, f, !op_is_product(op), SUITE_KEY_M, "only products have an m"));
    TRY(refuse(p, own, f, op != OP_GEMM, SUITE_KEY_BIAS, "only gemm has a bias"));
    TRY(refuse(p, own, f, !f->value[SUITE_KEY_MODELS], SUITE_KEY_LAYERS,
               "layers are those of models, and the case has none"));
    TRY(refuse(p, own, f, !f->value[SUITE_KEY_WEIGHTS], SUITE_KEY_TENSORS,
               "tensors are those of a weights file, and the case has none"));
    TRY(refuse(p, own, f, !f->value[SUITE_KEY_WEIGHTS], SUITE_KEY_CHECKPOINT,
               "it says what the weights file is, and the case has none"));
    bool checkpoint = false;
    if (f->value[SUITE_KEY_CHECKPOINT])
        TRY(yaml_file_bool(&p->yaml, f->value[SUITE_KEY_CHECKPOINT], "checkpoint", &checkpoint));
    TRY(refuse(p, own, f, checkpoint, SUITE_KEY_BLOCKSIZE, "the checkpoint has its own"));
    TRY(refuse(p, own, f, checkpoint, SUITE_KEY_NESTED, "the checkpoint is or is not"));
    TRY(refuse(p, own, f, checkpoint, SUITE_KEY_FORMATS, "the checkpoint has its own"));
    TRY(refuse(p, own, f, op_is_repack(op), SUITE_KEY_FORMATS, "NF4 is what is repacked"));
    /* Of a case's own keys and the defaults, the more telling one holds. */
    const bool formats =
        f->value[SUITE_KEY_FORMATS] &&
        (own->key[SUITE_KEY_FORMATS] || !(own->key[SUITE_KEY_BLOCKSIZE] || own->key[SUITE_KEY_NESTED]));
    if (!formats)
        f->value[SUITE_KEY_FORMATS] = f->key[SUITE_KEY_FORMATS] = NULL;
    TRY(refuse(p, own, f, formats, SUITE_KEY_BLOCKSIZE, "each of the formats has its own"));
    TRY(refuse(p, own, f, formats, SUITE_KEY_NESTED, "each of the formats is or is not"));
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
    TRY(yaml_file_string(&p->yaml, own->value[SUITE_KEY_OP], "op", &word));
    if (op_parse(word, op))
        return STATUS_OK;
    return yaml_file_fail(&p->yaml, own->value[SUITE_KEY_OP], closest(word, words, OP_COUNT),
                          "unknown op \"%s\": it is dequant, gemm, gemmdx, repack or unrepack", word);
}

enum status suite_case_parse(struct suite_parser *p, yaml_node_t *node, struct suite_case *c)
{
    struct suite_fields own, f;
    TRY(yaml_file_keys(&p->yaml, node, "a case", case_keys, SUITE_KEY_COUNT, own.value, own.key));
    c->line = (int)node->start_mark.line + 1;
    TRY(parse_op(p, node, &own, &c->op));
    TRY(check_case(p, node, &own, c->op, &f));
    TRY(parse_fields(p, &f, c));
    return suite_case_fill(c);
}

enum status suite_defaults_parse(struct suite_parser *p, yaml_node_t *node)
{
    struct suite_fields f;
    struct suite_case scratch = {0};
    TRY(yaml_file_keys(&p->yaml, node, "defaults", case_keys, SUITE_KEY_COUNT, f.value, f.key));
    if (f.key[SUITE_KEY_OP])
        return yaml_file_fail(&p->yaml, f.key[SUITE_KEY_OP], NULL,
                              "op has no default: every case states its own");
    const enum status s = parse_fields(p, &f, &scratch);
    suite_case_release(&scratch);
    if (s == STATUS_OK)
        p->defaults = f;
    return s;
}
