#include "harness/suite/suite.h"

#include <stdlib.h>
#include <string.h>

#include "harness/base/closest.h"
#include "harness/base/models.h"
#include "harness/base/yaml.h"
#include "harness/suite/axis.h"
#include "harness/suite/case.h"

enum { SAMPLES_MAX = 1000000, NAME_BYTES_MAX = 64 };

struct measure_settings measure_defaults(void)
{
    return (struct measure_settings){
        .min_samples = 30, .max_samples = 2000, .max_seconds = 15, .precision = 0.005, .settle_seconds = 10};
}

static enum status parse_measure(struct suite_parser *p, yaml_node_t *node, struct measure_settings *m)
{
    enum { MIN, MAX, SECONDS, PRECISION, SETTLE, COUNT };
    static const char *const names[] = {"min_samples", "max_samples", "max_seconds", "precision",
                                        "settle_seconds"};
    static const double least[] = {1, 1, 0.001, 1e-6, 0}, most[] = {SAMPLES_MAX, SAMPLES_MAX, 86400, 1, 3600};
    size_t *const sizes[COUNT] = {&m->min_samples, &m->max_samples};
    double *const numbers[] = {NULL, NULL, &m->max_seconds, &m->precision, &m->settle_seconds};
    yaml_node_t *values[COUNT], *keys[COUNT];
    struct yaml_file *y = &p->yaml;
    TRY(yaml_file_keys(y, node, "measure", names, COUNT, values, keys));
    for (int i = 0; i < COUNT; i++)
        if (values[i] && sizes[i])
            TRY(yaml_file_size(y, values[i], names[i], (size_t)least[i], (size_t)most[i], sizes[i]));
        else if (values[i])
            TRY(yaml_file_number(y, values[i], names[i], least[i], most[i], numbers[i]));
    if (m->max_samples >= m->min_samples)
        return STATUS_OK;
    /* One given against the other's default: the default gives way. */
    if (!values[MAX])
        m->max_samples = m->min_samples;
    else if (!values[MIN])
        m->min_samples = m->max_samples;
    else
        return yaml_file_fail(y, values[MAX], NULL, "max_samples is below min_samples");
    return STATUS_OK;
}

static enum status parse_name(struct suite_parser *p, const yaml_node_t *node, char **out)
{
    const char *name;
    TRY(yaml_file_string(&p->yaml, node, "suite", &name));
    /* It becomes part of file names. */
    if (strlen(name) > NAME_BYTES_MAX || name[0] == '.' || name[0] == '-' ||
        name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")])
        return yaml_file_fail(&p->yaml, node, NULL,
                              "a suite's name is made of letters, digits, \".\", \"_\" and \"-\", at most %d",
                              NAME_BYTES_MAX);
    *out = strdup(name);
    return *out ? STATUS_OK : status_no_memory("suite");
}

static enum status parse_cases(struct suite_parser *p, yaml_node_t *node, struct suite *out)
{
    yaml_node_t **nodes;
    size_t count;
    TRY(yaml_file_list(&p->yaml, node, "cases", &nodes, &count));
    out->cases = calloc(count, sizeof *out->cases);
    enum status s = out->cases ? STATUS_OK : status_no_memory("suite");
    for (size_t i = 0; s == STATUS_OK && i < count; i++) {
        out->case_count = i + 1; /* a case that fails half-way is released too */
        s = suite_case_parse(p, nodes[i], &out->cases[i]);
    }
    free(nodes);
    return s;
}

static enum status parse_suite(struct suite_parser *p, struct suite *out)
{
    enum { NAME, DESCRIPTION, MEASURE, DEFAULTS, CASES, COUNT };
    static const char *const names[] = {"suite", "description", "measure", "defaults", "cases"};
    yaml_node_t *values[COUNT], *keys[COUNT];
    struct yaml_file *y = &p->yaml;
    yaml_node_t *root = yaml_file_root(y);
    TRY(yaml_file_keys(y, root, "a suite", names, COUNT, values, keys));
    if (!values[NAME])
        return yaml_file_fail(y, root, NULL, "the suite has no name: suite: NAME");
    TRY(parse_name(p, values[NAME], &out->name));
    if (values[DESCRIPTION])
        TRY(yaml_file_check_text(y, values[DESCRIPTION], "description"));
    if (values[MEASURE])
        TRY(parse_measure(p, values[MEASURE], &out->measure));
    if (values[DEFAULTS])
        TRY(suite_defaults_parse(p, values[DEFAULTS]));
    if (!values[CASES])
        return yaml_file_fail(y, root, NULL, "the suite has no cases");
    return parse_cases(p, values[CASES], out);
}

enum status suite_parse(const char *text, size_t size, const char *name, struct suite *out)
{
    struct suite_parser p = {0};
    *out = (struct suite){.measure = measure_defaults()};
    enum status s = yaml_file_parse(text, size, name, &p.yaml);
    if (s == STATUS_OK && !(out->path = strdup(name)))
        s = status_no_memory("suite");
    if (s == STATUS_OK)
        s = parse_suite(&p, out);
    models_release(&p.models);
    yaml_file_release(&p.yaml);
    if (s != STATUS_OK)
        suite_release(out);
    return s;
}

enum status suite_load(const char *path, struct suite *out)
{
    return suite_parse(NULL, 0, path, out);
}

void suite_release(struct suite *s)
{
    for (size_t i = 0; i < s->case_count; i++)
        suite_case_release(&s->cases[i]);
    free(s->cases);
    free(s->path);
    free(s->name);
    *s = (struct suite){0};
}

/* ---- --axis ---- */

static enum status override(struct suite *s, const struct suite_axis *axis, const struct suite_values *v)
{
    size_t applied = 0;
    for (size_t i = 0; i < s->case_count; i++) {
        if (axis->has && !axis->has(&s->cases[i]))
            continue;
        TRY(suite_axis_set(axis, &s->cases[i], v));
        applied++;
    }
    if (!applied)
        return status_fail(STATUS_USAGE, "--axis %.256s: no case of suite %s has this axis", v->assignment,
                           s->name);
    return STATUS_OK;
}

/* name: of an axis; list: its values, which are cut apart at the commas. */
static enum status override_axis(struct suite *s, const char *assignment, const char *name, char *list)
{
    const char *names[SUITE_AXIS_COUNT];
    char *words[YAML_FILE_LIST_MAX], *word;
    size_t name_count = 0;
    const struct suite_axis *axis = NULL;
    struct suite_values v = {.name = name, .assignment = assignment, .words = words};
    for (size_t i = 0; i < SUITE_AXIS_COUNT; i++)
        if (suite_axes[i].override) {
            names[name_count++] = suite_axes[i].name;
            if (strcmp(suite_axes[i].name, name) == 0)
                axis = &suite_axes[i];
        }
    if (!axis) {
        const char *nearest = closest(name, names, name_count);
        return status_fail(STATUS_USAGE, "--axis %.256s: there is no axis \"%.64s\"; did you mean \"%s\"?",
                           assignment, name,
                           nearest ? nearest : "m, blocksize, nested, bias, regime, threads, shape");
    }
    while ((word = strsep(&list, ","))) {
        if (v.count == YAML_FILE_LIST_MAX)
            return status_fail(STATUS_LIMIT, "--axis %s: more than %d values", name, YAML_FILE_LIST_MAX);
        words[v.count++] = word;
    }
    return override(s, axis, &v);
}

enum status suite_override(struct suite *s, const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    if (!equals)
        return status_fail(STATUS_USAGE, "--axis %.256s: expected NAME=VALUE[,VALUE...], as in m=1,4,16",
                           assignment);
    char *name = strdup(assignment), *list = name;
    if (!name)
        return status_no_memory("suite");
    (void)strsep(&list, "=");
    const enum status status = override_axis(s, assignment, name, list);
    free(name);
    return status;
}
