/*
 * command_list.c: `nf4bench list [GLOB...]`.
 */
#include <argp.h>
#include <fnmatch.h>
#include <stdio.h>

#include "harness/cli/cli.h"
#include "harness/cli/provider_options.h"
#include "harness/problem/variant.h"

struct list_arguments {
    struct provider_options providers;
    char **globs;
    int glob_count;
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct list_arguments *a = state->input;
    (void)value;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->providers;
        return 0;
    case ARGP_KEY_ARGS:
        a->globs = state->argv + state->next;
        a->glob_count = state->argc - state->next;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int command_list(int argc, char **argv)
{
    static const struct argp argp = {
        NULL,
        parse,
        "[GLOB...]",
        "List the variants whose names match a glob (default: all), and why those "
        "that cannot run on this machine cannot.",
        provider_children,
        NULL,
        NULL};
    struct list_arguments a = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    size_t refused;
    enum status s = providers_load(argv[0], &a.providers, &refused);
    if (s != STATUS_OK) {
        fprintf(stderr, "%s: %s\n", argv[0], status_message());
        return status_exit_code(s);
    }
    size_t shown = 0;
    for (size_t i = 0; i < kernel_count(); i++) {
        const struct kernel *k = kernel_at(i);
        bool wanted = a.glob_count == 0;
        for (int g = 0; g < a.glob_count; g++)
            wanted = wanted || fnmatch(a.globs[g], k->name, 0) == 0;
        if (!wanted)
            continue;
        char reason[KERNEL_REASON_MAX];
        struct device device = {.kind = k->backend == BACKEND_CPU ? DEVICE_CPU : DEVICE_SIMT};
        const char *skip = kernel_unavailable(k, &device, reason);
        printf("%-52s %-12s %s%s%s", k->name, k->arch,
               skip                        ? "skipped: "
               : k->backend == BACKEND_CPU ? "runs here"
                                           : "runs here under --device simt",
               skip ? skip : "", k->only_by_name ? ", only when asked for by this name" : "");
        bool added = i >= kernel_table_count();
        printf("%s%s\n", added ? "  from " : "", added ? k->source : "");
        shown++;
    }
    if (shown == 0) {
        fprintf(stderr, "%s: no variant matches\n", argv[0]);
        return EXIT_USAGE;
    }
    return refused ? EXIT_USAGE : 0;
}
