/*
 * command_list.c: `nf4bench list [GLOB...]`.
 */
#include <argp.h>
#include <fnmatch.h>
#include <stdio.h>

#include "harness/cli.h"
#include "harness/kernel_table.h"
#include "harness/provider/bitsandbytes.h"
#include "harness/provider/cublas.h"
#include "harness/provider/manifest.h"

enum { LIST_MAX = 64 };

struct list_arguments {
    const char *bitsandbytes;
    const char *manifests[LIST_MAX];
    size_t manifest_count;
    char **globs;
    int glob_count;
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct list_arguments *a = state->input;
    switch (key) {
    case 'b':
        a->bitsandbytes = value;
        return 0;
    case 'm':
        if (a->manifest_count == LIST_MAX)
            argp_error(state, "--manifest is repeated more than %d times", LIST_MAX);
        a->manifests[a->manifest_count++] = value;
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
    static const struct argp_option options[] = {
        {"bitsandbytes", 'b', "PATH", 0,
         "also list the functions of this bitsandbytes library or package folder; auto: the package that "
         "python3 has",
         0},
        {"manifest", 'm', "FILE.yaml", 0,
         "also list the variant that this manifest describes (may be repeated)", 0},
        {0}};
    static const struct argp argp = {
        options,
        parse,
        "[GLOB...]",
        "List the variants whose names match a glob (default: all), and why those "
        "that cannot run on this machine cannot.",
        NULL,
        NULL,
        NULL};
    struct list_arguments a = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    enum status s = bitsandbytes_load(a.bitsandbytes);
    bool refused = false;
    for (size_t i = 0; i < a.manifest_count && s == STATUS_OK; i++)
        if (manifest_load(a.manifests[i]) != STATUS_OK) {
            fprintf(stderr, "%s: %s\n", argv[0], status_message());
            refused = true;
        }
    if (s == STATUS_OK)
        s = cublas_register();
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
        printf("%-52s %-12s %s%s%s\n", k->name, k->arch,
               skip                        ? "skipped: "
               : k->backend == BACKEND_CPU ? "runs here"
                                           : "runs here under --device simt",
               skip ? skip : "", k->only_by_name ? ", only when asked for by this name" : "");
        shown++;
    }
    if (shown == 0) {
        fprintf(stderr, "%s: no variant matches\n", argv[0]);
        return EXIT_USAGE;
    }
    return refused ? EXIT_USAGE : 0;
}
