/*
 * suite/case.h: one case of a suite, from its YAML mapping and the suite's defaults.
 */
#ifndef NF4BENCH_HARNESS_SUITE_CASE_H
#define NF4BENCH_HARNESS_SUITE_CASE_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/base/models.h"
#include "harness/base/yaml.h"
#include "harness/suite/axis.h"
#include "harness/suite/suite.h"

/* The key and value nodes of a case or of the defaults, NULL where absent. */
struct suite_fields {
    yaml_node_t *key[SUITE_KEY_COUNT], *value[SUITE_KEY_COUNT];
};

/* What the cases of one suite share while they are parsed. */
struct suite_parser {
    struct yaml_file yaml;
    struct models models; /* loaded when the first case asks for one */
    bool models_loaded;
    size_t entries; /* of all lists so far */
    struct suite_fields defaults;
};

/* Checks every default, whether or not a case takes it, and keeps them in p->defaults. */
enum status suite_defaults_parse(struct suite_parser *p, yaml_node_t *node) WARN_UNUSED_RESULT;
/* On failure too, *c is to be released with suite_case_release(). */
enum status suite_case_parse(struct suite_parser *p, yaml_node_t *node,
                             struct suite_case *c) WARN_UNUSED_RESULT;

#endif
