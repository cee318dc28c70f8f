/*
 * command_compare.c: `nf4bench compare BASE.h5 NEW.h5`.
 */
#include <stdio.h>

#include "harness/cli/cli.h"
#include "harness/cli/options.h"
#include "plots/report.h"
#include "results/changes.h"

struct compare_arguments {
    struct cli_list files; /* the base, and the new one */
    const char *output;
    enum output_form form;
};

static void read_file(struct argp_state *state, const struct cli_option *o, void *to, char *value)
{
    (void)o;
    struct cli_list *files = to;
    if (files->count == 2)
        argp_error(state, "two files: '%s', '%s' and '%s'", files->items[0], files->items[1], value);
    files->items[files->count++] = value;
}

static void check(struct argp_state *state, const void *arguments)
{
    const struct compare_arguments *a = arguments;
    if (a->files.count < 2)
        argp_error(state, "name two results files: the base, and the new one");
}

#define CLI_ARGUMENTS struct compare_arguments
static const struct cli_option options[] = {
    {"json", 0, NULL, "JSON instead of Markdown", CLI_FORM(form), .form = OUTPUT_JSON},
    {"html", 0, NULL, "a self-contained HTML page instead of Markdown", CLI_FORM(form), .form = OUTPUT_HTML},
    {"output", 'o', "FILE", "write there instead of to standard output", CLI_TEXT(output)},
    {0}};

struct compared {
    enum output_form form;
    struct changes changes;
};

static enum status write_changes(const void *context, FILE *out)
{
    const struct compared *c = context;
    return c->form == OUTPUT_JSON   ? changes_json(&c->changes, out)
           : c->form == OUTPUT_HTML ? changes_page(&c->changes, out)
                                    : changes_markdown(&c->changes, out);
}

/* *broken: variants that were right and are not any more. */
static enum status compare(const struct compare_arguments *a, size_t *broken)
{
    struct result_set *sets = NULL;
    struct compared c = {.form = a->form};
    enum status s = output_allowed(a->output, a->form, false);
    if (s == STATUS_OK)
        s = cli_load(a->files.items, a->files.count, &sets);
    if (s == STATUS_OK)
        s = changes_find(&sets[0], &sets[1], &c.changes);
    if (s == STATUS_OK) {
        s = cli_write(a->output, false, write_changes, &c);
        *broken = c.changes.kinds[CHANGE_BROKEN];
        changes_release(&c.changes);
    }
    cli_release(sets, a->files.count);
    return s;
}

int command_compare(int argc, char **argv)
{
    static const struct cli_command command = {
        .usage = "BASE.h5 NEW.h5",
        .help = "Say what changed from one results file to another, the most telling rows first: verdicts, "
                "and ratios of medians. The exit code is 1 when a variant that was right is not any more; "
                "times alone decide nothing, as each is of one run.",
        .options = options,
        .argument = {.read = read_file, .offset = offsetof(struct compare_arguments, files)},
        .check = check};
    struct compare_arguments a = {.form = OUTPUT_MARKDOWN};
    size_t broken = 0;
    cli_parse(&command, &a, argc, argv);
    const enum status s = compare(&a, &broken);
    return s != STATUS_OK ? cli_fail(argv[0], s) : broken ? EXIT_WRONG : 0;
}
