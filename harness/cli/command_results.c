/*
 * command_results.c: `nf4bench show`, `explain`, `report` and `export`: what can be done with a results file.
 */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/cli/cli.h"
#include "harness/cli/output.h"
#include "plots/report.h"
#include "results/explain.h"
#include "results/export.h"
#include "results/load.h"

enum { FILES_MAX = 64, OUTPUTS_MAX = 8 };

struct results_arguments {
    const char *file, *output, *against;
    enum status (*write)(const struct result_set *s, FILE *out);
    bool columns;
};

enum { KEY_CSV = 256, KEY_JSONL, KEY_AGAINST, KEY_COLUMNS };

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct results_arguments *a = state->input;
    switch (key) {
    case 'o':
        a->output = value;
        return 0;
    case KEY_AGAINST:
        a->against = value;
        return 0;
    case KEY_CSV:
        a->write = export_csv;
        return 0;
    case KEY_JSONL:
        a->write = export_jsonl;
        return 0;
    case KEY_COLUMNS:
        a->columns = true;
        return 0;
    case ARGP_KEY_ARG:
        if (a->file)
            argp_error(state, "one results file at a time");
        a->file = value;
        return 0;
    case ARGP_KEY_END:
        if (!a->file && !a->columns)
            argp_error(state, "name a results file");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int fail(const char *name, enum status s)
{
    fprintf(stderr, "%s: %s\n", name, status_message());
    return status_exit_code(s);
}

struct written {
    const struct results_arguments *arguments;
    const struct result_set *set;
};

static enum status write_set(const void *context, FILE *out)
{
    const struct written *w = context;
    return w->arguments->write ? w->arguments->write(w->set, out)
                               : export_markdown(w->set, w->arguments->against, out);
}

/* Loads the one file and writes it to `output`, or to standard output. */
static int write_one(const struct results_arguments *a, const char *name)
{
    struct result_set set;
    enum status s =
        output_allowed(a->output, a->write == export_jsonl ? OUTPUT_JSON_LINES : OUTPUT_CSV, false);
    if (s == STATUS_OK)
        s = result_set_load(a->file, &set);
    if (s != STATUS_OK)
        return fail(name, s);
    s = cli_write(a->output, false, write_set, &(struct written){a, &set});
    result_set_release(&set);
    return s == STATUS_OK ? 0 : fail(name, s);
}

int command_show(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"against", KEY_AGAINST, "GLOB", 0,
         "add the speed ratio to the first variant of the same group that matches, from paired samples", 0},
        {0}};
    static const struct argp argp = {options, parse, "FILE.h5", "Show a results file as Markdown.",
                                     NULL,    NULL,  NULL};
    struct results_arguments a = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    return write_one(&a, argv[0]);
}

int command_export(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"csv", KEY_CSV, NULL, 0, "comma-separated values, a line per row (the default)", 0},
        {"jsonl", KEY_JSONL, NULL, 0, "JSON Lines, an object per row, with its samples", 0},
        {"output", 'o', "FILE", 0, "write there instead of to standard output", 0},
        {"columns", KEY_COLUMNS, NULL, 0, "describe the columns instead, as Markdown; takes no file", 0},
        {0}};
    static const struct argp argp = {options, parse, "FILE.h5", "Write a results file for other programs.",
                                     NULL,    NULL,  NULL};
    struct results_arguments a = {.write = export_csv};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    if (a.columns) {
        enum status s = export_columns(stdout);
        return s == STATUS_OK ? 0 : fail(argv[0], s);
    }
    return write_one(&a, argv[0]);
}

struct report_arguments {
    const char *files[FILES_MAX], *outputs[OUTPUTS_MAX];
    size_t file_count, output_count;
};

static error_t parse_report(int key, char *value, struct argp_state *state)
{
    struct report_arguments *a = state->input;
    switch (key) {
    case 'o':
        if (a->output_count == OUTPUTS_MAX)
            argp_error(state, "more than %d reports at once", OUTPUTS_MAX);
        a->outputs[a->output_count++] = value;
        return 0;
    case ARGP_KEY_ARG:
        if (a->file_count == FILES_MAX)
            argp_error(state, "too many results files");
        a->files[a->file_count++] = value;
        return 0;
    case ARGP_KEY_END:
        if (a->file_count == 0)
            argp_error(state, "name a results file");
        if (a->output_count == 0)
            a->outputs[a->output_count++] = "report.html";
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int command_report(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"output", 'o', "FILE", 0,
         "the file to write (default report.html): HTML; the comparison of formats alone as Markdown where "
         "its "
         "name ends in .md, as one CSV table where in .csv. May be given several times",
         0},
        {0}};
    static const struct argp argp = {options,
                                     parse_report,
                                     "FILE.h5...",
                                     "Make one self-contained HTML file: NF4 against other formats, "
                                     "verdicts, timings, figures, environment.",
                                     NULL,
                                     NULL,
                                     NULL};
    struct report_arguments a = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    struct result_set *sets = calloc(a.file_count, sizeof *sets);
    size_t loaded = 0, written = 0;
    enum status s = sets ? STATUS_OK : status_no_memory("results files");
    for (size_t i = 0; i < a.output_count && s == STATUS_OK; i++)
        s = output_allowed(a.outputs[i], report_form(a.outputs[i]), false);
    while (s == STATUS_OK && loaded < a.file_count) {
        s = result_set_load(a.files[loaded], &sets[loaded]);
        loaded += s == STATUS_OK;
    }
    while (s == STATUS_OK && written < a.output_count) {
        s = report_write(sets, loaded, a.outputs[written]);
        if (s == STATUS_OK)
            printf("%s\n", a.outputs[written++]);
    }
    for (size_t i = 0; i < loaded; i++)
        result_set_release(&sets[i]);
    free(sets);
    return s == STATUS_OK ? 0 : fail(argv[0], s);
}

struct explain_arguments {
    const char *file;
    bool has_row;
    size_t row;
};

static error_t parse_explain(int key, char *value, struct argp_state *state)
{
    struct explain_arguments *a = state->input;
    char *end;
    if (key == ARGP_KEY_END && !a->file)
        argp_error(state, "name a results file");
    if (key != ARGP_KEY_ARG)
        return key == ARGP_KEY_END ? 0 : ARGP_ERR_UNKNOWN;
    if (!a->file) {
        a->file = value;
        return 0;
    }
    if (a->has_row)
        argp_error(state, "one row at a time");
    a->row = strtoull(value, &end, 10);
    a->has_row = true;
    if (end == value || *end || *value == '-')
        argp_error(state, "'%s' is not the number of a row", value);
    return 0;
}

int command_explain(int argc, char **argv)
{
    static const struct argp argp = {
        NULL,
        parse_explain,
        "FILE.h5 [ROW]",
        "Say why row ROW, counted from 0, has its verdict: the check, the first "
        "mismatch decoded, the error statistics, and the command that gives it again. "
        "Without ROW: the rows that are not PASS.",
        NULL,
        NULL,
        NULL};
    struct explain_arguments a = {0};
    struct result_set set;
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    enum status s = result_set_load(a.file, &set);
    if (s != STATUS_OK)
        return fail(argv[0], s);
    s = a.has_row ? explain_row(&set, a.row, stdout) : explain_list(&set, stdout);
    result_set_release(&set);
    return s == STATUS_OK ? 0 : fail(argv[0], s);
}
