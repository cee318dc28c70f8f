/*
 * command_results.c: `nf4bench show`, `explain`, `report` and `export`: what can be done with a results file.
 */
#include <stdio.h>
#include <stdlib.h>

#include "harness/cli/cli.h"
#include "harness/cli/options.h"
#include "plots/report.h"
#include "results/export.h"

enum { OUTPUTS_MAX = 8 };

struct results_arguments {
    const char *file, *output, *against;
    enum output_form form;
    bool columns;
};

struct written {
    const struct results_arguments *arguments;
    const struct result_set *set;
};

static enum status write_set(const void *context, FILE *out)
{
    const struct written *w = context;
    const struct results_arguments *a = w->arguments;
    return a->form == OUTPUT_CSV          ? export_csv(w->set, out)
           : a->form == OUTPUT_JSON_LINES ? export_jsonl(w->set, out)
                                          : export_markdown(w->set, a->against, out);
}

/* Loads the one file and writes it to `output`, or to standard output. */
static int write_one(const struct results_arguments *a, const char *name)
{
    struct result_set set;
    enum status s = output_allowed(a->output, a->form, false);
    if (s == STATUS_OK)
        s = result_set_load(a->file, &set);
    if (s != STATUS_OK)
        return cli_fail(name, s);
    s = cli_write(a->output, false, write_set, &(struct written){a, &set});
    result_set_release(&set);
    return s == STATUS_OK ? 0 : cli_fail(name, s);
}

#define CLI_ARGUMENTS struct results_arguments
int command_show(int argc, char **argv)
{
    static const struct cli_option options[] = {
        {"against", 0, "GLOB",
         "add the speed ratio to the first variant of the same group that matches, from paired samples",
         CLI_TEXT(against)},
        {0}};
    static const struct cli_command command = {
        .usage = "FILE.h5",
        .help = "Show a results file as Markdown.",
        .options = options,
        .argument = {CLI_ONE(file), .too_many = "one results file at a time"},
        .missing = "name a results file"};
    struct results_arguments a = {.form = OUTPUT_MARKDOWN};
    cli_parse(&command, &a, argc, argv);
    return write_one(&a, argv[0]);
}

static void check(struct argp_state *state, const void *arguments)
{
    const struct results_arguments *a = arguments;
    if (!a->file && !a->columns)
        argp_error(state, "name a results file");
}

int command_export(int argc, char **argv)
{
    static const struct cli_option options[] = {
        {"csv", 0, NULL, "comma-separated values, a line per row (the default)", CLI_FORM(form),
         .form = OUTPUT_CSV},
        {"jsonl", 0, NULL, "JSON Lines, an object per row, with its samples", CLI_FORM(form),
         .form = OUTPUT_JSON_LINES},
        {"output", 'o', "FILE", "write there instead of to standard output", CLI_TEXT(output)},
        {"columns", 0, NULL, "describe the columns instead, as Markdown; takes no file", CLI_FLAG(columns)},
        {0}};
    static const struct cli_command command = {
        .usage = "FILE.h5",
        .help = "Write a results file for other programs.",
        .options = options,
        .argument = {CLI_ONE(file), .too_many = "one results file at a time"},
        .check = check};
    struct results_arguments a = {.form = OUTPUT_CSV};
    cli_parse(&command, &a, argc, argv);
    if (!a.columns)
        return write_one(&a, argv[0]);
    const enum status s = export_columns(stdout);
    return s == STATUS_OK ? 0 : cli_fail(argv[0], s);
}

struct report_arguments {
    struct cli_list files, outputs;
};

static enum status report(const struct report_arguments *a)
{
    struct result_set *sets = NULL;
    enum status s = STATUS_OK;
    for (size_t i = 0; i < a->outputs.count && s == STATUS_OK; i++)
        s = output_allowed(a->outputs.items[i], report_form(a->outputs.items[i]), false);
    if (s == STATUS_OK)
        s = cli_load(a->files.items, a->files.count, &sets);
    for (size_t i = 0; i < a->outputs.count && s == STATUS_OK; i++) {
        s = report_write(sets, a->files.count, a->outputs.items[i]);
        if (s == STATUS_OK)
            printf("%s\n", a->outputs.items[i]);
    }
    cli_release(sets, a->files.count);
    return s;
}

#undef CLI_ARGUMENTS
#define CLI_ARGUMENTS struct report_arguments
int command_report(int argc, char **argv)
{
    static const struct cli_option options[] = {
        {"output", 'o', "FILE",
         "the file to write (default report.html): HTML; the comparison of formats alone as Markdown where "
         "its name ends in .md, as one CSV table where in .csv. May be given several times",
         CLI_LIST(outputs), .most = OUTPUTS_MAX, .too_many = "more than %d reports at once"},
        {0}};
    static const struct cli_command command = {
        .usage = "FILE.h5...",
        .help = "Make one self-contained HTML file: NF4 against other formats, verdicts, timings, figures, "
                "environment.",
        .options = options,
        .argument = {CLI_LIST(files), .too_many = "too many results files"},
        .missing = "name a results file"};
    struct report_arguments a = {.files.count = 0};
    cli_parse(&command, &a, argc, argv);
    if (a.outputs.count == 0)
        a.outputs = (struct cli_list){{"report.html"}, 1};
    const enum status s = report(&a);
    return s == STATUS_OK ? 0 : cli_fail(argv[0], s);
}

struct explain_arguments {
    const char *file;
    bool has_row;
    size_t row;
};

static void read_file_and_row(struct argp_state *state, const struct cli_option *o, void *to, char *value)
{
    (void)o;
    struct explain_arguments *a = to;
    char *end;
    if (!a->file) {
        a->file = value;
        return;
    }
    if (a->has_row)
        argp_error(state, "one row at a time");
    a->row = strtoull(value, &end, 10);
    a->has_row = true;
    if (end == value || *end || *value == '-')
        argp_error(state, "'%s' is not the number of a row", value);
}

int command_explain(int argc, char **argv)
{
    static const struct cli_command command = {
        .usage = "FILE.h5 [ROW]",
        .help = "Say why row ROW, counted from 0, has its verdict: the check, the first mismatch decoded, "
                "the error statistics, and the command that gives it again. Without ROW: the rows that are "
                "not PASS.",
        .argument = {.read = read_file_and_row},
        .missing = "name a results file"};
    struct explain_arguments a = {.file = NULL};
    struct result_set set;
    cli_parse(&command, &a, argc, argv);
    enum status s = result_set_load(a.file, &set);
    if (s != STATUS_OK)
        return cli_fail(argv[0], s);
    s = a.has_row ? explain_row(&set, a.row, stdout) : explain_list(&set, stdout);
    result_set_release(&set);
    return s == STATUS_OK ? 0 : cli_fail(argv[0], s);
}
