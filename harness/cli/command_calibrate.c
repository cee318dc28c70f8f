/*
 * command_calibrate.c: `nf4bench calibrate`: what a gate cries wolf about on this machine, and what it finds.
 *
 * A library is compared with a copy of itself, and with the copy made slower by known shares. A set of rounds
 * is the first run of one gate, and the confirmation of the gate before: each of the two runs of a gate is of
 * rounds of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/interrupt.h"
#include "harness/base/output.h"
#include "harness/base/progress.h"
#include "harness/base/stats.h"
#include "harness/cli/cli.h"
#include "harness/cli/gate_options.h"
#include "harness/run/run.h"
#include "results/calibration.h"
#include "results/markdown.h"

enum { GATES = 25, GATES_LEAST = 2, SIDES = 1 + CALIBRATION_LEVELS };
static const double power_asked = 0.95;

struct calibrate_arguments {
    const char *suite, *output;
    size_t gates;
    bool force;
    struct gate_options options;
};

#define CLI_ARGUMENTS struct calibrate_arguments
static const struct cli_option options[] = {
    {"output", 'o', "FILE.h5", "the file to write, for `nf4bench gate --calibration`", CLI_TEXT(output),
     .required = "say where the calibration goes: -o FILE.h5"},
    {"force", 0, NULL, "replace it", CLI_FLAG(force)},
    {"gates", 0, "N", "gates to try (default 25); rows times gates are what the bounds come from",
     CLI_COUNT(gates), .least = GATES_LEAST, .most = GATE_ROUNDS_MAX},
    {0}};

/* ---- the other side ---- */

/* Loaded from a path of its own: one file is one handle, however often it is loaded. */
static enum status copy_library(const char *from, char *folder, char *to, size_t size)
{
    struct stat st;
    const char *temporary = getenv("TMPDIR");
    snprintf(folder, PATH_MAX, "%s/nf4bench-XXXXXX", temporary && *temporary ? temporary : "/tmp");
    if (!mkdtemp(folder))
        return status_fail(STATUS_IO, "%s: no folder for a copy of the library: %s", folder, strerror(errno));
    snprintf(to, size, "%s/copy.so", folder);
    const int in = open(from, O_RDONLY | O_CLOEXEC),
              out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool whole = in >= 0 && out >= 0 && fstat(in, &st) == 0;
    for (off_t done = 0; whole && done < st.st_size;)
        whole = sendfile(out, in, &done, (size_t)(st.st_size - done)) > 0;
    const enum status s =
        whole ? STATUS_OK
              : status_fail(STATUS_IO, "%s: cannot be copied to %s: %s", from, to, strerror(errno));
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return s;
}

/* ---- what was measured ---- */

struct measured {
    struct gate_sides *sides;
    size_t *rows; /* [row_count] of the sides' rows: those that are timed */
    size_t row_count, gates, gates_done;
    size_t rounds, confirm_rounds, set_rounds; /* a set has as many as the longer of both */
    double *us;                                /* [row][gate][round][side] */
};

static double *at(const struct measured *m, size_t row, size_t gate, size_t round)
{
    return m->us + ((row * m->gates + gate) * m->set_rounds + round) * SIDES;
}

static enum status measure_sets(struct measured *m)
{
    struct progress progress;
    enum status s = STATUS_OK;
    progress_init(&progress, (double)m->gates, m->gates);
    for (size_t g = 0; g < m->gates && s == STATUS_OK; g++) {
        char text[80];
        snprintf(text, sizeof text, "gate %zu of %zu", g + 1, m->gates);
        progress_step(&progress, 1, text);
        for (size_t k = 0; k < m->set_rounds && s == STATUS_OK; k++) {
            snprintf(text, sizeof text, "round %zu of %zu", k + 1, m->set_rounds);
            progress_update(&progress, (double)k / (double)m->set_rounds, text);
            s = gate_round(m->sides, g * m->set_rounds + k, NULL);
            for (size_t i = 0; i < m->row_count && s == STATUS_OK; i++) {
                const struct gate_case *c = &m->sides->rows[m->rows[i]];
                memcpy(at(m, i, g, k), c->us, SIDES * sizeof *c->us);
                if (!gate_case_timed(c))
                    s = status_fail(STATUS_WRONG, "%s on %s: %s", c->variant, c->case_text,
                                    c->skip[0] ? c->skip : c->reason);
            }
        }
        if (s != STATUS_OK)
            break;
        m->gates_done++;
        snprintf(text, sizeof text, "%zu rounds", m->set_rounds);
        progress_step_done(&progress, text);
    }
    progress_clear(&progress);
    return s;
}

/* ---- what gates make of it ---- */

/* Row `row` of a gate at one level; d has room for its rounds. */
static struct gate_row gate_row_of(const struct measured *m, size_t row, size_t gate, size_t rounds,
                                   size_t level, double *d)
{
    double base_us = 0;
    for (size_t k = 0; k < rounds; k++) {
        const double *us = at(m, row, gate, k);
        d[k] = log(us[1 + level] / us[0]);
        base_us += us[0] / (double)rounds;
    }
    return (struct gate_row){.differences = d, .rounds = rounds, .base_us = base_us};
}

/* What a gate says of `row` with the slowdown `level`, and of all other rows without any; the confirmation is
 * of flagged rows alone, and judges this one by itself. `calibrated`: [row_count], or NULL. */
static enum gate_outcome judge_one(const struct measured *m, const struct calibration_row *calibrated,
                                   size_t row, size_t gate, size_t level, struct gate_row *rows, double *d)
{
    for (size_t i = 0; i < m->row_count; i++) {
        rows[i] = gate_row_of(m, i, gate, m->rounds, i == row ? level : 0, d + i * m->set_rounds);
        gate_row_calibrate(&rows[i], calibrated ? &calibrated[i] : NULL);
    }
    gate_judge(rows, m->row_count, &gate_limits_default);
    const enum gate_outcome first = rows[row].outcome;
    if (first != GATE_OUTCOME_REGRESSED && first != GATE_OUTCOME_IMPROVED)
        return first;
    rows[0] = gate_row_of(m, row, (gate + 1) % m->gates_done, m->confirm_rounds, level, d);
    gate_row_calibrate(&rows[0], calibrated ? &calibrated[row] : NULL);
    gate_judge(rows, 1, &gate_limits_default);
    return gate_confirmed(first, rows[0].outcome);
}

/* The noise of a row without any difference. values: room for gates * set_rounds. */
static void find_noise(const struct measured *m, size_t row, double *values, double *d,
                       struct calibration_row *out)
{
    for (size_t g = 0; g < m->gates_done; g++) {
        struct gate_row r = gate_row_of(m, row, g, m->rounds, 0, d);
        gate_judge(&r, 1, &gate_limits_default);
        values[g] = (r.hi - r.lo) / 2;
        values[m->gates + g] = fabs(r.mean);
    }
    out->noise_floor = quantile(values, m->gates_done, 0.5);
    out->aa_p99 = quantile(values + m->gates, m->gates_done, 0.99);
    size_t count = 0;
    for (size_t g = 0; g < m->gates_done; g++)
        for (size_t k = 0; k < m->set_rounds; k++)
            values[count++] = at(m, row, g, k)[0];
    out->median_us = quantile(values, count, 0.5);
}

/* The share of gates that found a slowdown. */
static double *found_of(struct calibration_row *r, size_t level)
{
    double *const found[CALIBRATION_LEVELS] = {&r->found_0, &r->found_1, &r->found_2, &r->found_3,
                                               &r->found_5};
    return found[level];
}

static enum status analyze(const struct measured *m, struct calibration *c)
{
    struct gate_row *rows = calloc(m->row_count + 1, sizeof *rows);
    double *d = calloc(m->row_count * m->set_rounds + 1, sizeof *d);
    double *values = calloc(m->gates * (m->set_rounds + 2), sizeof *values);
    c->rows = calloc(m->row_count + 1, sizeof *c->rows);
    c->row_count = m->row_count;
    enum status s = rows && d && values && c->rows ? STATUS_OK : status_no_memory("calibrate");
    for (size_t i = 0; i < m->row_count && s == STATUS_OK; i++) {
        const struct gate_case *from = &m->sides->rows[m->rows[i]];
        struct calibration_row *r = &c->rows[i];
        snprintf(r->case_text, sizeof r->case_text, "%s", from->case_text);
        snprintf(r->variant, sizeof r->variant, "%s", from->variant);
        snprintf(r->regime, sizeof r->regime, "%s", regime_word(from->regime));
        r->threads = from->threads;
        find_noise(m, i, values, d, r);
    }
    for (size_t i = 0; i < m->row_count && s == STATUS_OK; i++) {
        struct calibration_row *r = &c->rows[i];
        r->detectable = NAN;
        for (size_t level = CALIBRATION_LEVELS; level-- > 0;) {
            size_t count = 0;
            for (size_t g = 0; g < m->gates_done; g++) {
                /* False alarms as they are without a calibration, which would be judged by what it was made
                 * of. */
                const enum gate_outcome v = judge_one(m, level ? c->rows : NULL, i, g, level, rows, d);
                count += v == GATE_OUTCOME_REGRESSED || (level == 0 && v == GATE_OUTCOME_IMPROVED);
            }
            *found_of(r, level) = (double)count / (double)m->gates_done;
            const bool above =
                level + 1 == CALIBRATION_LEVELS || r->detectable == calibration_levels[level + 1];
            if (level > 0 && above && *found_of(r, level) >= power_asked)
                r->detectable = calibration_levels[level];
            if (level == 0)
                c->false_alarms += count;
        }
    }
    c->row_gates = m->row_count * m->gates_done;
    c->rate_lower = rate_lower_95(c->false_alarms, c->row_gates);
    c->rate_upper = rate_upper_95(c->false_alarms, c->row_gates);
    free(rows);
    free(d);
    free(values);
    return s;
}

/* ---- for a person ---- */

static enum status print(const struct measured *m, const struct calibration *c)
{
    static const char *const heads[] = {"variant", "case", ">us",  ">noise", ">A/A p99",
                                        ">1 %",    ">2 %", ">3 %", ">5 %"};
    struct markdown_table t = {.columns = 9, .heads = heads};
    double found[CALIBRATION_LEVELS] = {0};
    for (size_t i = 0; i < c->row_count; i++) {
        struct calibration_row *r = &c->rows[i];
        markdown_cell(&t, "%s", r->variant);
        markdown_cell(&t, "%s %s threads=%u", r->case_text, r->regime, r->threads);
        markdown_cell(&t, "%.1f", r->median_us);
        markdown_cell(&t, "%.2f %%", 100 * r->noise_floor);
        markdown_cell(&t, "%.2f %%", 100 * r->aa_p99);
        for (size_t l = 0; l < CALIBRATION_LEVELS; l++)
            found[l] += *found_of(r, l) / (double)c->row_count;
        for (size_t l = 1; l < CALIBRATION_LEVELS; l++)
            markdown_cell(&t, "%s%.0f %%", r->detectable == calibration_levels[l] ? "* " : "",
                          100 * *found_of(r, l));
    }
    printf("Share of %zu gates in which a slowdown was flagged and confirmed; * the smallest that is found "
           "in %.0f %% of them, as are all above it.\n\n",
           m->gates_done, 100 * power_asked);
    const enum status s = markdown_print(&t, stdout);
    printf("\nNo difference: %llu false alarms in %llu row-gates, %.2f %% (95 %% bounds %.2f and %.2f).\n",
           (unsigned long long)c->false_alarms, (unsigned long long)c->row_gates,
           100 * (double)c->false_alarms / (double)c->row_gates, 100 * c->rate_lower, 100 * c->rate_upper);
    for (size_t l = 1; l < CALIBRATION_LEVELS; l++)
        printf("Slower by %.0f %%: found in %.1f %%.\n", 100 * calibration_levels[l], 100 * found[l]);
    printf("An empty pair of clock readings takes %.3f us; it is not subtracted.\n", m->sides->timer_us);
    return s;
}

/* ---- the command ---- */

static enum status take_timed_rows(struct measured *m)
{
    const struct gate_sides *s = m->sides;
    m->rows = calloc(s->row_count + 1, sizeof *m->rows);
    if (!m->rows)
        return status_no_memory("calibrate");
    for (size_t i = 0; i < s->row_count; i++) {
        const struct gate_case *c = &s->rows[i];
        if (gate_case_timed(c))
            m->rows[m->row_count++] = i;
        else if (!c->skip[0])
            return status_fail(STATUS_WRONG, "%s on %s is wrong: %s", c->variant, c->case_text, c->reason);
    }
    if (m->row_count == 0)
        return status_fail(STATUS_USAGE, "no row of the suite can be timed on this device");
    m->us = malloc(m->row_count * m->gates * m->set_rounds * SIDES * sizeof *m->us);
    if (!m->us)
        return status_no_memory("calibrate");
    for (size_t i = 0; i < m->row_count * m->gates * m->set_rounds * SIDES; i++)
        m->us[i] = NAN; /* what an interrupt leaves out */
    return STATUS_OK;
}

static enum status measure_all(struct measured *m, const char *output, const struct device *device, int argc,
                               char **argv)
{
    struct calibration c = {.rows = NULL};
    char told[256] = "";
    TRY(gate_verify(m->sides));
    TRY(take_timed_rows(m));
    const enum status measured = measure_sets(m);
    /* What is whole is kept. */
    if (measured == STATUS_INTERRUPTED && m->gates_done >= GATES_LEAST)
        snprintf(told, sizeof told, "interrupted: %s is of the %zu gates so far", output, m->gates_done);
    else
        TRY(measured);
    json_t *environment = environment_json(device, 1, argc, argv);
    snprintf(c.device, sizeof c.device, "%s", device_model(device));
    enum status s = environment ? analyze(m, &c) : status_no_memory("calibrate");
    if (s == STATUS_OK)
        s = calibration_write(output, &c, m->us, m->gates, m->set_rounds, environment);
    if (s == STATUS_OK)
        s = print(m, &c);
    json_decref(environment);
    calibration_release(&c);
    return s == STATUS_OK && measured != STATUS_OK ? status_fail(measured, "%s", told) : s;
}

static enum status calibrate(const struct calibrate_arguments *a, int argc, char **argv)
{
    char library[PATH_MAX], copy[PATH_MAX + 16] = "", folder[PATH_MAX] = "";
    struct gate_session session = {.devices = NULL};
    const struct gate_options *o = &a->options;
    struct measured m = {.sides = &session.sides,
                         .gates = a->gates,
                         .rounds = o->rounds,
                         .confirm_rounds = o->confirm_rounds,
                         .set_rounds = o->rounds > o->confirm_rounds ? o->rounds : o->confirm_rounds};
    enum status s = output_allowed(a->output, OUTPUT_HDF5, a->force);
    if (s == STATUS_OK)
        s = gate_candidate(o, library, sizeof library);
    if (s == STATUS_OK)
        s = copy_library(library, folder, copy, sizeof copy);
    if (s == STATUS_OK)
        s = gate_session_open(&session, o, a->suite, library, copy);
    if (s == STATUS_OK) {
        session.sides.slowdown_count = CALIBRATION_LEVELS;
        memcpy(session.sides.slowdowns, calibration_levels, sizeof calibration_levels);
        s = measure_all(&m, a->output, &session.devices[0], argc, argv);
    }
    if (*copy)
        unlink(copy);
    if (*folder)
        rmdir(folder);
    free(m.rows);
    free(m.us);
    gate_session_close(&session);
    return s;
}

int command_calibrate(int argc, char **argv)
{
    static const struct cli_command command = {
        .usage = "SUITE",
        .help = "Measure how well `nf4bench gate` does on this machine: a library of kernels is held "
                "against a copy of itself, as it is and made slower by 1, 2, 3 and 5 %. The file says, row "
                "by row, what is noise and what is found; a gate that is given it raises its limits to "
                "that, and gives no verdicts where it would cry wolf.",
        .options = options,
        .argument = {"suite", CLI_ONE(suite)},
        .shared = gate_option_table,
        .shared_offset = offsetof(struct calibrate_arguments, options),
        .missing = "name a suite file"};
    struct calibrate_arguments a = {.gates = GATES, .options = gate_option_defaults};
    cli_parse(&command, &a, argc, argv);
    interrupt_install();
    const enum status s = calibrate(&a, argc, argv);
    return s == STATUS_OK ? 0 : cli_fail(argv[0], s);
}
