/*
 * command_merge.c: `nf4bench merge PART.h5... -o WHOLE.h5`.
 */
#include <stdio.h>

#include "harness/cli/cli.h"
#include "harness/cli/options.h"
#include "results/merge.h"

struct merge_arguments {
    struct cli_words files;
    const char *output;
    bool force;
    struct merge_options options;
};

#define CLI_ARGUMENTS struct merge_arguments
static const struct cli_option options[] = {
    {"output", 'o', "FILE", "the HDF5 file to write", CLI_TEXT(output),
     .required = "say where the whole goes: -o FILE.h5"},
    {"partial", 0, NULL, "some shards may be missing", CLI_FLAG(options.partial)},
    {"unlike", 0, NULL, "shards may have been timed on devices of other names", CLI_FLAG(options.unlike)},
    {"force", 0, NULL, "replace the output file", CLI_FLAG(force)},
    {0}};

static enum status merge(const struct merge_arguments *a, const char *name)
{
    struct result_set *sets = NULL;
    enum status s = output_allowed(a->output, OUTPUT_HDF5, a->force);
    for (size_t i = 0; i < a->files.count && s == STATUS_OK; i++)
        if (output_is(a->output, a->files.items[i]))
            s = status_fail(STATUS_USAGE, "%s is one of the parts: choose another name", a->output);
    if (s == STATUS_OK)
        s = cli_load((const char *const *)a->files.items, a->files.count, &sets);
    if (s == STATUS_OK)
        s = merge_parts(sets, a->files.count, a->output, &a->options, name);
    cli_release(sets, a->files.count);
    return s;
}

int command_merge(int argc, char **argv)
{
    static const struct cli_command command = {
        .usage = "PART.h5...",
        .help = "Put the files of all shards of a run (`nf4bench run --shard I/N`) together.",
        .options = options,
        .argument = {CLI_WORDS(files)},
        .missing = "name the files of all shards"};
    struct merge_arguments a = {.output = NULL};
    cli_parse(&command, &a, argc, argv);
    const enum status s = merge(&a, argv[0]);
    if (s != STATUS_OK)
        return cli_fail(argv[0], s);
    printf("%s\n", a.output);
    return 0;
}
