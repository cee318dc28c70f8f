/*
 * cli/provider_options.h: the options that bring variants from elsewhere, for every command that has the table.
 */
#ifndef NF4BENCH_HARNESS_CLI_PROVIDER_OPTIONS_H
#define NF4BENCH_HARNESS_CLI_PROVIDER_OPTIONS_H

#include "harness/base/status.h"
#include "harness/cli/options.h"

struct provider_options {
    const char *bitsandbytes; /* NULL: what the environment says */
    struct cli_list plugins, manifests;
};

/* They set a struct provider_options, which is zeroed before. */
extern const struct cli_option provider_option_table[];

/* Adds the variants. What is refused is told on stderr, by a line that begins with `program`, and counted:
 * the rest goes on, and the command ends with EXIT_USAGE unless something is wrong. Before any use of OpenMP.
 */
enum status providers_load(const char *program, const struct provider_options *o,
                           size_t *refused) WARN_UNUSED_RESULT;

#endif
