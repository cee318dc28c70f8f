/*
 * command_gate.c: `nf4bench gate`: did the kernels become slower? Of two libraries of kernels, or, advisory
 * alone, of recorded results.
 */
#include <argz.h>
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
#include "harness/gate/baseline.h"
#include "results/history.h"

struct gate_arguments {
    bool round; /* one round, for another process of this program */
    const char *suite, *baseline, *revision, *cache, *calibration;
    struct cli_list history;
    const char *markdown, *json, *junit, *summary, *smaller;
    bool annotations, allow_inconclusive;
    struct gate_options options;
};

#define CLI_ARGUMENTS struct gate_arguments
static const struct cli_option options[] = {
    {"baseline", 0, "LIB.so", "the library of kernels to compare with", CLI_TEXT(baseline), .group = 1},
    {"baseline-rev", 0, "REV", "build that library from this git revision, once, and keep it",
     CLI_TEXT(revision)},
    {"cache", 0, "DIR", "where built baselines are kept; default: ~/.cache/nf4bench", CLI_TEXT(cache)},
    {"history", 0, "FILE.h5",
     "instead of libraries: earlier results to hold the results file against; advisory (may be repeated)",
     CLI_LIST(history), .most = CLI_LIST_MAX, .too_many = "more than %d files of history"},
    {"calibration", 0, "FILE.h5", "of `nf4bench calibrate`: this machine's noise, row by row",
     CLI_TEXT(calibration), .group = 3},
    {"allow-inconclusive", 0, NULL, "exit 0, and not 4, where the rounds do not say",
     CLI_FLAG(allow_inconclusive)},
    {"output", 'o', "FILE", "write the Markdown there instead of to standard output", CLI_TEXT(markdown),
     .group = 4},
    {"json", 0, "FILE", "write everything as JSON", CLI_TEXT(json)},
    {"junit", 0, "FILE", "write JUnit XML", CLI_TEXT(junit)},
    {"step-summary", 0, "FILE", "append the Markdown, as to GITHUB_STEP_SUMMARY", CLI_TEXT(summary)},
    {"annotations", 0, NULL, "print GitHub annotations of the worst ten rows", CLI_FLAG(annotations)},
    {"smaller-is-better", 0, "FILE", "write customSmallerIsBetter JSON of the candidate's times",
     CLI_TEXT(smaller)},
    {"round", 0, NULL, "one round: the job comes from standard input", CLI_FLAG(round), .group = 5,
     .flags = OPTION_HIDDEN},
    {0}};

static void check(struct argp_state *state, const void *arguments)
{
    const struct gate_arguments *a = arguments;
    if (a->round)
        return;
    if (!a->suite)
        argp_error(state, a->history.count ? "name the results file that is held against the history"
                                           : "name a suite file");
    if (a->history.count && (a->baseline || a->revision || a->options.candidate || a->calibration))
        argp_error(state, "--history takes results files alone, no libraries and no calibration");
    if (!a->history.count && !a->baseline == !a->revision)
        argp_error(state, "give --baseline, or --baseline-rev, or --history");
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
    TRY(gate_candidate(&a->options, t->candidate, sizeof t->candidate));
    if (!a->revision) {
        snprintf(t->library, sizeof t->library, "%s", a->baseline);
        snprintf(t->baseline, sizeof t->baseline, "%s", a->baseline);
        return STATUS_OK;
    }
    TRY(baseline_build(a->revision, a->cache, t->library, sizeof t->library, t->commit, sizeof t->commit));
    snprintf(t->baseline, sizeof t->baseline, "%s (%.12s)", a->revision, t->commit);
    return STATUS_OK;
}

static enum status read_calibration(const struct gate_arguments *a, const struct device *device,
                                    struct texts *t, struct calibration *c)
{
    if (!a->calibration)
        return STATUS_OK;
    TRY(calibration_read(a->calibration, c));
    if (strcmp(c->device, device_model(device)) != 0)
        return status_fail(STATUS_USAGE, "%s is a calibration of %s; this is %s: calibrate here",
                           a->calibration, c->device, device_model(device));
    snprintf(t->calibration, sizeof t->calibration,
             "%s: %llu false alarms in %llu row-gates without a difference (at most %.2g %%, 95 %% bound)",
             a->calibration, (unsigned long long)c->false_alarms, (unsigned long long)c->row_gates,
             100 * c->rate_upper);
    if (c->rate_lower > GATE_FALSE_ALARMS_MAX)
        snprintf(t->disabled, sizeof t->disabled,
                 "the gate is disabled: its false alarms on this machine are at least %.2g %% of rows (95 "
                 "%% bound), more than %.2g %%; quieten the machine, lock its clocks, and calibrate again",
                 100 * c->rate_lower, 100 * GATE_FALSE_ALARMS_MAX);
    return STATUS_OK;
}

/* ---- what is written ---- */

struct gate_output {
    const char *path;
    bool asked, append;
    enum output_form form;
    gate_report_form *write;
    const struct gate_report *report;
};
enum { OUTPUTS = 6 };

/* The outputs of a gate. `r`: what they are written from, or NULL before there is one. */
static void list_outputs(const struct gate_arguments *a, const struct gate_report *r,
                         struct gate_output out[OUTPUTS])
{
    const struct gate_output all[OUTPUTS] = {
        {a->markdown, true, false, OUTPUT_MARKDOWN, gate_report_markdown, r},
        {a->json, a->json, false, OUTPUT_JSON, gate_report_json, r},
        {a->junit, a->junit, false, OUTPUT_JUNIT, gate_report_junit, r},
        {a->summary, a->summary, true, OUTPUT_MARKDOWN, gate_report_markdown, r},
        {NULL, a->annotations, false, OUTPUT_MARKDOWN, gate_report_annotations, r},
        {a->smaller, a->smaller, false, OUTPUT_JSON, gate_report_smaller_is_better, r}};
    memcpy(out, all, sizeof all);
}

/* Before anything is measured. */
static enum status check_outputs(const struct gate_arguments *a)
{
    struct gate_output outputs[OUTPUTS];
    enum status s = STATUS_OK;
    list_outputs(a, NULL, outputs);
    for (size_t i = 0; i < OUTPUTS && s == STATUS_OK; i++) {
        const char *path = outputs[i].path;
        s = output_allowed(path, outputs[i].form, false);
        for (size_t j = 0; path && strcmp(path, "-") != 0 && j < i && s == STATUS_OK; j++) {
            const char *other = outputs[j].path;
            if (other && (strcmp(path, other) == 0 || output_is(path, other)))
                s = status_fail(STATUS_USAGE, "%s is the file of two outputs", path);
        }
        if (s == STATUS_OK && path && a->suite && output_is(path, a->suite))
            s = status_fail(STATUS_USAGE, "%s is the suite: choose another name", path);
    }
    return s;
}

static enum status write_output(const void *output, FILE *out)
{
    const struct gate_output *o = output;
    return gate_report_write(o->report, o->write, out);
}

static enum status write_all(const struct gate_arguments *a, const struct gate_report *r)
{
    struct gate_output outputs[OUTPUTS];
    enum status first = STATUS_OK;
    char message[1024] = "";
    list_outputs(a, r, outputs);
    /* A file that cannot be written keeps no other from being written. */
    for (size_t i = 0; i < OUTPUTS; i++) {
        const struct gate_output *o = &outputs[i];
        const enum status s = o->asked ? cli_write(o->path, o->append, write_output, o) : STATUS_OK;
        if (s != STATUS_OK && first == STATUS_OK) {
            first = s;
            snprintf(message, sizeof message, "%s", status_message());
        }
    }
    return first == STATUS_OK ? STATUS_OK : status_fail(first, "%s", message);
}

static enum status conclude(const struct gate_arguments *a, const struct gate_report *r, int *code)
{
    TRY(write_all(a, r));
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
    TRY(history_load(a->suite, a->history.items, a->history.count, &history));
    enum status s = history_judge(&history, &rows);
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

/* The command line; the caller's. */
static char *joined(char **argv)
{
    char *text;
    size_t size;
    if (argz_create(argv, &text, &size) != 0)
        return NULL;
    argz_stringify(text, size, ' ');
    return text;
}

int command_gate(int argc, char **argv)
{
    static const struct cli_command command = {
        .usage = "SUITE\n--history OLD.h5... NEW.h5",
        .help = "Compare two libraries of kernels, row by row, on a suite: the candidate's variants are "
                "verified, both sides are timed in alternation in rounds of fresh processes, and rows that "
                "look slower or faster are measured once more. The exit code is 0 when nothing became "
                "slower, 1 when a variant is wrong, 2 for errors, 3 when a row became slower, 4 when the "
                "rounds do not say, or the machine is too noisy to say.",
        .options = options,
        .argument = {"file", CLI_ONE(suite)},
        .shared = gate_option_table,
        .shared_offset = offsetof(struct gate_arguments, options),
        .check = check};
    struct gate_arguments a = {.options = gate_option_defaults};
    struct texts t = {.command = joined(argv)}; /* cli_parse() changes the order */
    cli_parse(&command, &a, argc, argv);
    interrupt_install();
    if (a.round) {
        free(t.command);
        return gate_round_main();
    }
    int code = 0;
    enum status s = t.command ? check_outputs(&a) : status_no_memory("gate");
    if (s == STATUS_OK)
        s = a.history.count ? compare_history(&a, &t, &code) : compare_libraries(&a, &t, &code);
    if (s != STATUS_OK)
        code = cli_fail(argv[0], s);
    free(t.command);
    return code;
}
