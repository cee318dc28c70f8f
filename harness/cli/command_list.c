/*
 * command_list.c: `nf4bench list [GLOB...]`.
 */
#include <fnmatch.h>
#include <stdio.h>

#include "harness/cli/cli.h"
#include "harness/cli/options.h"
#include "harness/problem/variant.h"

struct list_arguments {
    struct provider_options providers;
    struct cli_words globs;
};

#define CLI_ARGUMENTS struct list_arguments
int command_list(int argc, char **argv)
{
    static const struct cli_command command = {
        .usage = "[GLOB...]",
        .help = "List the variants whose names match a glob (default: all), and why those that cannot run "
                "on this machine cannot.",
        .argument = {CLI_WORDS(globs)},
        .shared = provider_option_table,
        .shared_offset = offsetof(struct list_arguments, providers)};
    struct list_arguments a = {0};
    cli_parse(&command, &a, argc, argv);
    size_t refused;
    enum status s = providers_load(argv[0], &a.providers, &refused);
    if (s != STATUS_OK)
        return cli_fail(argv[0], s);
    size_t shown = 0;
    for (size_t i = 0; i < kernel_count(); i++) {
        const struct kernel *k = kernel_at(i);
        bool wanted = a.globs.count == 0;
        for (size_t g = 0; g < a.globs.count; g++)
            wanted = wanted || fnmatch(a.globs.items[g], k->name, 0) == 0;
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
