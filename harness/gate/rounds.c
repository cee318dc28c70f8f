#include "harness/gate/rounds.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <jansson.h>

#include "harness/base/child.h"
#include "harness/base/interrupt.h"
#include "harness/base/random.h"
#include "harness/provider/plugins.h"

/* The sides alternate, so what the machine's speed still does after this is shared by both. */
static const double settle_seconds_max = 1;

/* ---- rows ---- */

/* Whether both are of one variant on one problem: what was verified of one holds for the other. */
static bool verified_with(const struct gate_case *a, const struct gate_case *b)
{
    return a->threads == b->threads && strcmp(a->variant, b->variant) == 0 &&
           strcmp(a->case_text, b->case_text) == 0;
}

static struct gate_case *find_case(const struct gate_sides *s, const struct gate_case *like)
{
    for (size_t i = 0; i < s->row_count; i++)
        if (s->rows[i].regime == like->regime && verified_with(&s->rows[i], like))
            return &s->rows[i];
    return NULL;
}

static enum status add_case(struct gate_sides *s, const struct plan_group *g, const struct plan_row *row,
                            enum regime regime, int side)
{
    struct gate_case c = {.regime = regime, .threads = g->threads, .verdict = VERDICT_NONE};
    problem_format(&g->problem, c.case_text, sizeof c.case_text);
    snprintf(c.variant, sizeof c.variant, "%s", row->kernel->name);
    if (row->skip)
        snprintf(c.skip, sizeof c.skip, "%s", row->skip);
    struct gate_case *there = find_case(s, &c);
    if (side == 1 && there) { /* both have it: what keeps either from running keeps the row */
        there->verdict = VERDICT_NONE;
        there->reason[0] = '\0';
        if (c.skip[0])
            memcpy(there->skip, c.skip, sizeof c.skip);
        return STATUS_OK;
    }
    if (side == 0) { /* until the candidate has it */
        c.verdict = VERDICT_FAIL;
        snprintf(
            c.reason, sizeof c.reason,
            "the baseline has this variant and the candidate has not: its contract, its name, or what it "
            "takes has changed");
    } else if (!c.skip[0]) {
        c.unpaired = true;
        snprintf(c.skip, sizeof c.skip, "new: the baseline has no such variant");
    }
    struct gate_case *grown = realloc(s->rows, (s->row_count + 1) * sizeof *grown);
    if (!grown)
        return status_no_memory("gate");
    s->rows = grown;
    s->rows[s->row_count++] = c;
    return STATUS_OK;
}

static enum status add_rows(struct gate_sides *s, const struct suite *suite,
                            const struct plan_options *options, int side)
{
    struct plan plan;
    kernel_table_replace(s->kernels[side], s->kernel_counts[side]);
    enum status status = plan_make(suite, options, &plan);
    kernel_table_replace(NULL, 0);
    if (status == STATUS_USAGE && side == 0)
        return STATUS_OK; /* an older library may have none of it; the candidate must */
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < plan.group_count && status == STATUS_OK; i++) {
        const struct plan_group *g = &plan.groups[i];
        for (size_t r = 0; r < g->row_count && status == STATUS_OK; r++) {
            if (g->cold)
                status = add_case(s, g, &g->rows[r], REGIME_COLD, side);
            if (g->hot && status == STATUS_OK)
                status = add_case(s, g, &g->rows[r], REGIME_HOT, side);
        }
    }
    plan_release(&plan);
    return status;
}

enum status gate_sides_open(struct gate_sides *s, const struct suite *suite,
                            const struct plan_options *options)
{
    s->settle_seconds = fmin(suite->measure.settle_seconds, settle_seconds_max);
    TRY(plugin_side_load(s->baseline, "baseline", &s->kernels[0], &s->kernel_counts[0]));
    TRY(plugin_side_load(s->candidate, "candidate", &s->kernels[1], &s->kernel_counts[1]));
    TRY(add_rows(s, suite, options, 0));
    return add_rows(s, suite, options, 1);
}

void gate_sides_close(struct gate_sides *s)
{
    free(s->rows);
    s->rows = NULL;
    s->row_count = 0;
}

bool gate_case_timed(const struct gate_case *c)
{
    return !c->skip[0] && c->verdict == VERDICT_PASS;
}

/* ---- a process ---- */

struct job {
    struct gate_sides *sides;
    size_t *rows; /* [count] of the sides' rows: those that it is of */
    size_t count, answered;
    bool verify;
};

static json_t *job_json(const struct job *j, size_t round)
{
    const struct gate_sides *s = j->sides;
    json_t *rows = json_array(), *slowdowns = json_array();
    for (size_t i = 0; i < j->count; i++) {
        const struct gate_case *c = &s->rows[j->rows[i]];
        json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:i, s:o}", "case", c->case_text, "variant",
                                              c->variant, "regime", regime_word(c->regime), "threads",
                                              (int)c->threads, "hash",
                                              json_sprintf("%016llx", (unsigned long long)c->hash)));
    }
    for (size_t i = 0; i < s->slowdown_count; i++)
        json_array_append_new(slowdowns, json_real(s->slowdowns[i]));
    return json_pack(
        "{s:s, s:s, s:b, s:s, s:b, s:o, s:I, s:f, s:o, s:o}", "baseline", s->baseline, "candidate",
        s->candidate, "swap", round % 2 == 1, "device", s->device, "verify", j->verify, "seed",
        json_sprintf("%llu", (unsigned long long)random_u64(s->seed, RANDOM_ORDER, round)), "samples",
        (json_int_t)s->samples, "settle_seconds", s->settle_seconds, "slowdowns", slowdowns, "rows", rows);
}

/* The program again, with the job's text as its stdin; *answers: what it says. */
static pid_t start(FILE *job, FILE **answers)
{
    int ends[2];
    if (pipe(ends))
        return -1;
    fflush(stdout);
    fflush(stderr);
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || dup2(fileno(job), STDIN_FILENO) < 0 || dup2(ends[1], STDOUT_FILENO) < 0)
            _exit(127);
        close(ends[0]);
        close(ends[1]);
        execl("/proc/self/exe", "nf4bench", "gate", "--round", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    *answers = pid > 0 ? fdopen(ends[0], "r") : NULL;
    if (*answers)
        setvbuf(*answers, NULL, _IONBF, 0); /* poll() sees all that is not read yet */
    else
        close(ends[0]);
    return pid;
}

static void take_text(char *out, size_t size, const json_t *text)
{
    const char *value = json_string_value(text);
    snprintf(out, size, "%s", value ? value : "");
}

static void take_verdict(struct gate_case *c, const json_t *o)
{
    const char *check = json_string_value(json_object_get(o, "check"));
    const char *hash = json_string_value(json_object_get(o, "hash"));
    c->verdict = (enum verdict)json_integer_value(json_object_get(o, "verdict"));
    take_text(c->reason, sizeof c->reason, json_object_get(o, "reason"));
    c->hash = hash ? strtoull(hash, NULL, 16) : 0;
    if (c->verdict != VERDICT_PASS && check && *check) {
        char reason[sizeof c->reason];
        memcpy(reason, c->reason, sizeof reason);
        snprintf(c->reason, sizeof c->reason, "%.40s: %.210s", check, reason);
    }
}

static void take_times(struct gate_sides *s, struct gate_case *c, const json_t *o)
{
    const json_t *us = json_object_get(o, "us"), *timer = json_object_get(o, "timer_us");
    const char *fault = json_string_value(json_object_get(o, "fault"));
    for (size_t i = 0; i <= s->slowdown_count; i++)
        c->us[i] = json_is_number(json_array_get(us, i)) ? json_number_value(json_array_get(us, i)) : NAN;
    for (size_t i = 0; i < 2; i++)
        take_text(c->code[i], sizeof c->code[i], json_array_get(json_object_get(o, "code"), i));
    if (json_is_number(timer))
        s->timer_us = json_number_value(timer);
    if (!fault || !*fault)
        return;
    if (json_is_true(json_object_get(o, "fault_of_baseline"))) {
        snprintf(c->skip, sizeof c->skip, "the baseline is wrong: %.200s", fault);
        return;
    }
    c->verdict = VERDICT_FAIL;
    snprintf(c->reason, sizeof c->reason, "while it was timed: %.200s", fault);
}

static enum status take_answer(struct job *j, const char *line)
{
    json_t *o = json_loads(line, 0, NULL);
    const json_t *row = json_object_get(o, "row");
    const char *message = json_string_value(json_object_get(o, "error"));
    enum status s = STATUS_OK;
    if (message) {
        s = status_fail((enum status)json_integer_value(json_object_get(o, "status")), "%s", message);
    } else if (!json_is_integer(row) || json_integer_value(row) < 0 ||
               (size_t)json_integer_value(row) >= j->count) {
        s = status_fail(STATUS_INTERNAL, "gate: a round's answer is not understood: %.100s", line);
    } else {
        struct gate_case *c = &j->sides->rows[j->rows[json_integer_value(row)]];
        j->answered++;
        if (j->verify)
            take_verdict(c, o);
        else
            take_times(j->sides, c, o);
    }
    json_decref(o);
    return s;
}

static enum status run_job(struct job *j, size_t round)
{
    json_t *object = job_json(j, round);
    FILE *text = tmpfile(), *answers = NULL;
    enum status s = STATUS_OK;
    if (!object || !text || json_dumpf(object, text, JSON_COMPACT) || fflush(text) ||
        fseek(text, 0, SEEK_SET))
        s = status_fail(STATUS_IO, "gate: a round's job cannot be written: %s", strerror(errno));
    json_decref(object);
    const pid_t pid = s == STATUS_OK ? start(text, &answers) : -1;
    if (s == STATUS_OK && !answers)
        s = status_fail(STATUS_IO, "gate: no process: %s", strerror(errno));
    char *line = NULL;
    size_t size = 0;
    bool told = false;
    while (answers && s == STATUS_OK) {
        if (interrupt_pending() && !told) {
            kill(pid, SIGTERM);
            told = true;
        }
        struct pollfd p = {fileno(answers), POLLIN, 0};
        if (poll(&p, 1, 200) <= 0)
            continue;
        if (getline(&line, &size, answers) < 0)
            break;
        s = take_answer(j, line);
    }
    free(line);
    if (answers)
        fclose(answers); /* one that still writes ends by that */
    int status = 0;
    char how[PROCESS_TEXT_MAX];
    if (pid > 0)
        (void)process_wait(pid, &status);
    if (text)
        fclose(text);
    if (interrupt_pending())
        return status_fail(STATUS_INTERRUPTED, "interrupted");
    if (s == STATUS_OK && (status || j->answered < j->count))
        s = status_fail(STATUS_INTERNAL, "gate: a round's process ended early: %s",
                        process_end_text(status, how));
    return s;
}

/* ---- verifying and timing ---- */

enum status gate_verify(struct gate_sides *s)
{
    struct job j = {.sides = s, .rows = calloc(s->row_count + 1, sizeof *j.rows), .verify = true};
    size_t *first = calloc(s->row_count + 1, sizeof *first); /* of the rows that are verified as one */
    enum status status = j.rows && first ? STATUS_OK : status_no_memory("gate");
    for (size_t i = 0; i < s->row_count && status == STATUS_OK; i++) {
        const struct gate_case *c = &s->rows[i];
        first[i] = i;
        /* One that is unpaired must be right all the same. */
        if (c->verdict != VERDICT_NONE || (c->skip[0] && !c->unpaired))
            continue;
        for (size_t r = 0; r < j.count && first[i] == i; r++)
            if (verified_with(c, &s->rows[j.rows[r]]))
                first[i] = j.rows[r];
        if (first[i] == i)
            j.rows[j.count++] = i;
    }
    if (status == STATUS_OK && j.count)
        status = run_job(&j, 0);
    for (size_t i = 0; i < s->row_count && status == STATUS_OK; i++) {
        const struct gate_case *as = &s->rows[first[i]];
        if (first[i] == i)
            continue;
        s->rows[i].verdict = as->verdict;
        s->rows[i].hash = as->hash;
        memcpy(s->rows[i].reason, as->reason, sizeof as->reason);
    }
    free(j.rows);
    free(first);
    return status;
}

enum status gate_round(struct gate_sides *s, size_t round, const bool *wanted)
{
    struct job j = {.sides = s, .rows = calloc(s->row_count + 1, sizeof *j.rows)};
    enum status status = j.rows ? STATUS_OK : status_no_memory("gate");
    for (size_t i = 0; i < s->row_count && status == STATUS_OK; i++) {
        for (size_t side = 0; side < GATE_SIDES_MAX; side++)
            s->rows[i].us[side] = NAN;
        if (gate_case_timed(&s->rows[i]) && (!wanted || wanted[i]))
            j.rows[j.count++] = i;
    }
    if (status == STATUS_OK && j.count)
        status = run_job(&j, round);
    free(j.rows);
    return status;
}

/* ---- the library ---- */

enum status gate_default_library(char *path, size_t size)
{
    char program[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(program, '/');
    if (slash)
        slash[1] = '\0';
    if (!slash || snprintf(path, size, "%slibnf4bench_kernels.so", program) >= (int)size ||
        access(path, R_OK) != 0)
        return status_fail(STATUS_USAGE,
                           "there is no libnf4bench_kernels.so beside the program: name a library with "
                           "--candidate");
    return STATUS_OK;
}
