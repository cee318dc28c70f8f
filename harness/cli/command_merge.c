/*
 * command_merge.c: `nf4bench merge PART.h5... -o WHOLE.h5`.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/base/output.h"
#include "harness/cli/cli.h"
#include "results/merge.h"

struct merge_arguments {
    char **files;
    size_t file_count;
    const char *output;
    bool force;
    struct merge_options options;
};

enum { KEY_PARTIAL = 256, KEY_UNLIKE, KEY_FORCE };

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct merge_arguments *a = state->input;
    switch (key) {
    case KEY_PARTIAL:
        a->options.partial = true;
        return 0;
    case KEY_UNLIKE:
        a->options.unlike = true;
        return 0;
    case KEY_FORCE:
        a->force = true;
        return 0;
    case 'o':
        a->output = value;
        return 0;
    case ARGP_KEY_ARGS:
        a->files = state->argv + state->next;
        a->file_count = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_SUCCESS:
        if (a->file_count == 0)
            argp_error(state, "name the files of all shards");
        if (!a->output)
            argp_error(state, "say where the whole goes: -o FILE.h5");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int command_merge(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"output", 'o', "FILE", 0, "the HDF5 file to write", 0},
        {"partial", KEY_PARTIAL, NULL, 0, "some shards may be missing", 0},
        {"unlike", KEY_UNLIKE, NULL, 0, "shards may have been timed on devices of other names", 0},
        {"force", KEY_FORCE, NULL, 0, "replace the output file", 0},
        {0}};
    static const struct argp argp = {
        options,      parse,
        "PART.h5...", "Put the files of all shards of a run (`nf4bench run --shard I/N`) together.",
        NULL,         NULL,
        NULL};
    struct merge_arguments a = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    struct result_set *sets = calloc(a.file_count, sizeof *sets);
    size_t loaded = 0;
    enum status s = sets ? STATUS_OK : status_no_memory("merge");
    if (s == STATUS_OK)
        s = output_allowed(a.output, OUTPUT_HDF5, a.force);
    for (size_t i = 0; i < a.file_count && s == STATUS_OK; i++)
        if (output_is(a.output, a.files[i]))
            s = status_fail(STATUS_USAGE, "%s is one of the parts: choose another name", a.output);
    while (s == STATUS_OK && loaded < a.file_count) {
        s = result_set_load(a.files[loaded], &sets[loaded]);
        loaded += s == STATUS_OK;
    }
    if (s == STATUS_OK)
        s = merge_parts(sets, loaded, a.output, &a.options, argv[0]);
    for (size_t i = 0; i < loaded; i++)
        result_set_release(&sets[i]);
    free(sets);
    if (s != STATUS_OK) {
        fprintf(stderr, "%s: %s\n", argv[0], status_message());
        return status_exit_code(s);
    }
    printf("%s\n", a.output);
    return 0;
}
