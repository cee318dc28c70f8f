/*
 * cli/provider_options.h: the options that bring variants from elsewhere, for every command that has the table: an
 * argp parser to be a child of the command's own.
 */
#ifndef NF4BENCH_HARNESS_CLI_PROVIDER_OPTIONS_H
#define NF4BENCH_HARNESS_CLI_PROVIDER_OPTIONS_H

#include <argp.h>
#include <stddef.h>

#include "harness/base/status.h"

enum { PROVIDERS_MAX = 64 };

struct provider_options {
    const char *bitsandbytes; /* NULL: what the environment says */
    const char *plugins[PROVIDERS_MAX], *manifests[PROVIDERS_MAX];
    size_t plugin_count, manifest_count;
};

/* Its input is a struct provider_options, zeroed: set state->child_inputs[0] to it at ARGP_KEY_INIT. */
extern const struct argp_child provider_children[];

/* Adds the variants. What is refused is told on stderr, by a line that begins with `program`, and counted:
 * the rest goes on, and the command ends with EXIT_USAGE unless something is wrong. Before any use of OpenMP.
 */
enum status providers_load(const char *program, const struct provider_options *o,
                           size_t *refused) WARN_UNUSED_RESULT;

#endif
