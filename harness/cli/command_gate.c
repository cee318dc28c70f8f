/*
 * command_gate.c: `nf4bench gate`: did the kernels become slower? Of two libraries of kernels, or, advisory
 * alone, of recorded results.
 */
#include <argp.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/interrupt.h"
#include "harness/base/clock.h"
#include "harness/cli/cli.h"
#include "harness/cli/gate_options.h"
#include "harness/cli/output.h"
#include "harness/gate/baseline.h"
#include "results/history.h"

enum { HISTORY_MAX = 1024 };

struct gate_arguments {
    bool round; /* one round, for another process of this program */
    const char *suite, *baseline, *revision, *cache, *calibration;
    const char *history[HISTORY_MAX];
    size_t history_count;
    const char *markdown, *json, *junit, *summary, *smaller;
    bool annotations, allow_inconclusive;
    struct gate_options options;
};

enum {
    KEY_BASELINE = 256,
    KEY_REVISION,
    KEY_CACHE,
    KEY_CALIBRATION,
    KEY_HISTORY,
    KEY_JSON,
    KEY_JUNIT,
    KEY_SUMMARY,
    KEY_SMALLER,
    KEY_ANNOTATIONS,
    KEY_ALLOW,
    KEY_ROUND
};

static const struct argp_option options[] = {
    {"baseline", KEY_BASELINE, "LIB.so", 0, "the library of kernels to compare with", 1},
    {"baseline-rev", KEY_REVISION, "REV", 0, "build that library from this git revision, once, and keep it",
     1},
    {"cache", KEY_CACHE, "DIR", 0, "where built baselines are kept; default: ~/.cache/nf4bench", 1},
    {"history", KEY_HISTORY, "FILE.h5", 0,
     "instead of libraries: earlier results to hold the results file against; advisory (may be repeated)", 1},
    {"calibration", KEY_CALIBRATION, "FILE.h5", 0,
     "of `nf4bench calibrate`: this machine's noise, row by row", 3},
    {"allow-inconclusive", KEY_ALLOW, NULL, 0, "exit 0, and not 4, where the rounds do not say", 3},
    {"output", 'o', "FILE", 0, "write the Markdown there instead of to standard output", 4},
    {"json", KEY_JSON, "FILE", 0, "write everything as JSON", 4},
    {"junit", KEY_JUNIT, "FILE", 0, "write JUnit XML", 4},
    {"step-summary", KEY_SUMMARY, "FILE", 0, "append the Markdown, as to GITHUB_STEP_SUMMARY", 4},
    {"annotations", KEY_ANNOTATIONS, NULL, 0, "print GitHub annotations of the worst ten rows", 4},
    {"smaller-is-better", KEY_SMALLER, "FILE", 0, "write customSmallerIsBetter JSON of the candidate's times",
     4},
    {"round", KEY_ROUND, NULL, OPTION_HIDDEN, "one round: the job comes from standard input", 5},
    {0}};

static void check(const struct gate_arguments *a, struct argp_state *state)
{
    if (a->round)
        return;
    if (!a->suite)
        argp_error(state, a->history_count ? "name the results file that is held against the history"
                                           : "name a suite file");
    if (a->history_count && (a->baseline || a->revision || a->options.candidate || a->calibration))
        argp_error(state, "--history takes results files alone, no libraries and no calibration");
    if (!a->history_count && !a->baseline == !a->revision)
        argp_error(state, "give --baseline, or --baseline-rev, or --history");
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct gate_arguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->options;
        return 0;
    case KEY_BASELINE:
        a->baseline = value;
        return 0;
    case KEY_REVISION:
        a->revision = value;
        return 0;
    case KEY_CACHE:
        a->cache = value;
        return 0;
    case KEY_CALIBRATION:
        a->calibration = value;
        return 0;
    case KEY_HISTORY:
        if (a->history_count == HISTORY_MAX)
            argp_error(state, "more than %d files of history", HISTORY_MAX);
        a->history[a->history_count++] = value;
        return 0;
    case KEY_JSON:
        a->json = value;
        return 0;
    case KEY_JUNIT:
        a->junit = value;
        return 0;
    case KEY_SUMMARY:
        a->summary = value;
        return 0;
    case KEY_SMALLER:
        a->smaller = value;
        return 0;
    case KEY_ANNOTATIONS:
        a->annotations = true;
        return 0;
    case KEY_ALLOW:
        a->allow_inconclusive = true;
        return 0;
    case KEY_ROUND:
        a->round = true;
        return 0;
    case 'o':
        a->markdown = value;
        return 0;
    case ARGP_KEY_ARG:
        if (a->suite)
            argp_error(state, "one file at a time: '%s' and '%s'", a->suite, value);
        a->suite = value;
        return 0;
    case ARGP_KEY_END:
        check(a, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- what is compared ---- */

/* Strings that the report points to. */
struct texts {
    char baseline[PATH_MAX + 80], candidate[PATH_MAX], library[PATH_MAX], commit[64];
    char calibration[PATH_MAX + 160], disabled[256];
    char *command;
};

static enum status find_libraries(const struct gate_arguments *a, struct texts *t)
{
    enum status s = STATUS_OK;
    if (a->options.candidate)
        snprintf(t->candidate, sizeof t->candidate, "%s", a->options.candidate);
    else
        s = gate_default_library(t->candidate, sizeof t->candidate);
    if (s == STATUS_OK && a->revision) {
        s = baseline_build(a->revision, a->cache, t->library, sizeof t->library, t->commit, sizeof t->commit);
        snprintf(t->baseline, sizeof t->baseline, "%s (%.12s)", a->revision, t->commit);
    } else if (s == STATUS_OK) {
        snprintf(t->library, sizeof t->library, "%s", a->baseline);
        snprintf(t->baseline, sizeof t->baseline, "%s", a->baseline);
    }
    return s;
}

static enum status read_calibration(const struct gate_arguments *a, const struct device *device,
                                    struct texts *t, struct calibration *c)
{
    if (!a->calibration)
        return STATUS_OK;
    enum status s = calibration_read(a->calibration, c);
    if (s != STATUS_OK)
        return s;
    if (strcmp(c->device, device_model(device)) != 0)
        return status_fail(STATUS_USAGE, "%s is a calibration of %s; this is %s: calibrate here",
                           a->calibration, c->device, device_model(device));
    snprintf(t->calibration, sizeof t->calibration,
             "%s: %llu false alarms in %llu row-gates without a difference (at most %.2g %%, 95 %% bound)",
             a->calibration, (unsigned long long)c->false_alarms, (unsigned long long)c->row_gates,
             100 * c->rate_upper);
    if (c->rate_lower > GATE_FALSE_ALARMS_MAX)
        snprintf(t->disabled, sizeof t->disabled,
                 "the gate is disabled: its false alarms on this machine are at least %.2g %% of rows (95 %% "
                 "bound), more than %.2g %%; quieten the machine, lock its clocks, and calibrate again",
                 100 * c->rate_lower, 100 * GATE_FALSE_ALARMS_MAX);
    return STATUS_OK;
}

/* ---- what is written ---- */

static enum status markdown(const void *r, FILE *out)
{
    return gate_report_markdown(r, out);
}
static enum status json(const void *r, FILE *out)
{
    return gate_report_json(r, out);
}
static enum status junit(const void *r, FILE *out)
{
    return gate_report_junit(r, out);
}
static enum status annotations(const void *r, FILE *out)
{
    return gate_report_annotations(r, out);
}
static enum status smaller_is_better(const void *r, FILE *out)
{
    return gate_report_smaller_is_better(r, out);
}

enum { OUTPUTS = 6 };

struct gate_output {
    const char *path;
    bool asked, append;
    enum output_form form;
    cli_write_fn *write;
};

static void list_outputs(const struct gate_arguments *a, struct gate_output out[OUTPUTS])
{
    out[0] = (struct gate_output){a->markdown, true, false, OUTPUT_MARKDOWN, markdown};
    out[1] = (struct gate_output){a->json, a->json != NULL, false, OUTPUT_JSON, json};
    out[2] = (struct gate_output){a->junit, a->junit != NULL, false, OUTPUT_JUNIT, junit};
    out[3] = (struct gate_output){a->summary, a->summary != NULL, true, OUTPUT_MARKDOWN, markdown};
    out[4] = (struct gate_output){NULL, a->annotations, false, OUTPUT_MARKDOWN, annotations};
    out[5] = (struct gate_output){a->smaller, a->smaller != NULL, false, OUTPUT_JSON, smaller_is_better};
}

/* Before anything is measured. */
static enum status check_outputs(const struct gate_arguments *a)
{
    struct gate_output outputs[OUTPUTS];
    enum status s = STATUS_OK;
    list_outputs(a, outputs);
    for (size_t i = 0; i < OUTPUTS && s == STATUS_OK; i++) {
        s = output_allowed(outputs[i].path, outputs[i].form, false);
        for (size_t j = 0; j < i && s == STATUS_OK && outputs[i].path; j++)
            if (outputs[j].path && strcmp(outputs[i].path, "-") != 0 &&
                (strcmp(outputs[i].path, outputs[j].path) == 0 ||
                 output_is(outputs[i].path, outputs[j].path)))
                s = status_fail(STATUS_USAGE, "%s is the file of two outputs", outputs[i].path);
        if (s == STATUS_OK && outputs[i].path && a->suite && output_is(outputs[i].path, a->suite))
            s = status_fail(STATUS_USAGE, "%s is the suite: choose another name", outputs[i].path);
    }
    return s;
}

static enum status write_all(const struct gate_arguments *a, const struct gate_report *r)
{
    struct gate_output outputs[OUTPUTS];
    list_outputs(a, outputs);
    enum status first = STATUS_OK;
    char message[1024] = "";
    /* A file that cannot be written keeps no other from being written. */
    for (size_t i = 0; i < OUTPUTS; i++) {
        const enum status s =
            outputs[i].asked ? cli_write(outputs[i].path, outputs[i].append, outputs[i].write, r) : STATUS_OK;
        if (s != STATUS_OK && first == STATUS_OK) {
            first = s;
            snprintf(message, sizeof message, "%s", status_message());
        }
    }
    return first == STATUS_OK ? STATUS_OK : status_fail(first, "%s", message);
}

static enum status conclude(const struct gate_arguments *a, const struct gate_report *r, int *code)
{
    const enum status s = write_all(a, r);
    if (s != STATUS_OK)
        return s;
    gate_report_summary(r, stderr);
    *code = gate_report_exit_code(r);
    if (*code == GATE_EXIT_UNKNOWN && a->allow_inconclusive && !r->disabled[0])
        *code = 0;
    return STATUS_OK;
}

/* ---- libraries ---- */

static enum status compare_libraries(const struct gate_arguments *a, struct texts *t, int *code)
{
    struct gate_session session = {.devices = NULL};
    struct gate_report r;
    struct gate_comparison found = {.rows = NULL};
    struct calibration calibration = {.rows = NULL};
    const double start = clock_s();
    enum status s = find_libraries(a, t);
    if (s == STATUS_OK)
        s = gate_session_open(&session, &a->options, a->suite, t->library, t->candidate);
    if (s == STATUS_OK)
        s = read_calibration(a, &session.devices[0], t, &calibration);
    const struct gate_settings settings = {.rounds = a->options.rounds,
                                           .confirm_rounds = a->options.confirm_rounds,
                                           .calibration = a->calibration ? &calibration : NULL};
    if (s == STATUS_OK)
        s = gate_compare(&session.sides, &settings, &found);
    if (s == STATUS_OK) {
        r = (struct gate_report){.suite = session.suite.name,
                                 .device = device_model(&session.devices[0]),
                                 .baseline = t->baseline,
                                 .candidate = t->candidate,
                                 .command = t->command,
                                 .calibration = t->calibration,
                                 .disabled = t->disabled,
                                 .seconds = clock_s() - start,
                                 .rows = found.rows,
                                 .count = session.sides.row_count};
        s = conclude(a, &r, code);
    }
    gate_comparison_release(&found);
    calibration_release(&calibration);
    gate_session_close(&session);
    return s;
}

/* ---- recorded results ---- */

static enum status compare_history(const struct gate_arguments *a, const struct texts *t, int *code)
{
    struct history history;
    struct gate_report r;
    struct gate_report_row *rows;
    enum status s = history_load(a->suite, a->history, a->history_count, &history);
    if (s != STATUS_OK)
        return s;
    s = history_judge(&history, &rows);
    if (s == STATUS_OK) {
        r = (struct gate_report){.suite = history.suite,
                                 .device = history.device,
                                 .baseline = history.text,
                                 .candidate = a->suite,
                                 .command = t->command,
                                 .calibration = "",
                                 .disabled = "",
                                 .advisory = true,
                                 .rows = rows,
                                 .count = history.row_count};
        s = conclude(a, &r, code);
    }
    free(rows);
    history_release(&history);
    return s;
}

static char *joined(int argc, char **argv)
{
    size_t size = 1;
    for (int i = 0; i < argc; i++)
        size += strlen(argv[i]) + 1;
    char *text = calloc(size, 1);
    for (int i = 0; text && i < argc; i++) {
        strcat(text, i ? " " : "");
        strcat(text, argv[i]);
    }
    return text;
}

int command_gate(int argc, char **argv)
{
    static const struct argp argp = {
        options,
        parse,
        "SUITE\n--history OLD.h5... NEW.h5",
        "Compare two libraries of kernels, row by row, on a suite: the candidate's variants are verified, "
        "both "
        "sides are timed in alternation in rounds of fresh processes, and rows that look slower or faster "
        "are "
        "measured once more. The exit code is 0 when nothing became slower, 1 when a variant is wrong, 2 for "
        "errors, "
        "3 when a row became slower, 4 when the rounds do not say, or the machine is too noisy to say.",
        gate_option_children,
        NULL,
        NULL};
    struct gate_arguments a = {.options = gate_option_defaults};
    struct texts t = {.command = joined(argc, argv)}; /* argp_parse() changes the order */
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    interrupt_install();
    if (a.round) {
        free(t.command);
        return gate_round_main();
    }
    int code = 0;
    enum status s = t.command ? check_outputs(&a) : status_no_memory("gate");
    if (s == STATUS_OK)
        s = a.history_count ? compare_history(&a, &t, &code) : compare_libraries(&a, &t, &code);
    if (s != STATUS_OK) {
        fprintf(stderr, "%s: %s\n", argv[0], status_message());
        code = s == STATUS_INTERRUPTED ? EXIT_INTERRUPTED : status_exit_code(s);
    }
    free(t.command);
    return code;
}
