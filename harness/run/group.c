/*
 * group.c: one batch through the stages: operands, verify, measure, record.
 */
#include "harness/run/plan_run.h"

#include <stdlib.h>

#include <omp.h>

#include "harness/base/clock.h"
#include "harness/base/interrupt.h"
#include "harness/base/machine.h"
#include "harness/base/nvtx.h"
#include "harness/measure/judge.h"
#include "harness/measure/measure.h"
#include "harness/problem/operands.h"
#include "harness/run/record.h"

enum { REGIMES = 2 /* cold, hot */ };
static const double verify_share = 0.3; /* of a batch's time, for the progress line */

/* A group of the batch. */
struct active_group {
    const struct plan_group *plan;
    struct operands operands;
    struct verification *results;     /* [row_count] */
    char skip_all[KERNEL_REASON_MAX]; /* why none of its rows can run, or "" */
};

/* The batch in work. Its records are appended to the journal as one entry: a kill leaves all of them or
 * none. */
struct active_batch {
    struct plan_run *run;
    const struct plan_batch *plan;
    struct active_group groups[MEASURE_PROBLEMS_MAX];
    const struct operands *problems[MEASURE_PROBLEMS_MAX];
    struct measure_group timed[REGIMES];
    size_t *timed_rows;  /* [row_count] of the regime in work: the row in its group's plan */
    struct record *rows; /* [record_count]; room for every row and ceiling in each regime */
    const double **samples;
    const uint8_t **flags;
    size_t record_count;
};

bool run_stops_early(const struct plan_run *run)
{
    return run->options->first_failure && run_wrong(&run->summary) > 0;
}

static enum status begin(struct plan_run *run, const struct plan_batch *plan, struct active_batch *b)
{
    const size_t records = REGIMES * (plan->row_count + plan->count * CEILING_COUNT);
    *b = (struct active_batch){.run = run,
                               .plan = plan,
                               .timed_rows = calloc(plan->row_count, sizeof *b->timed_rows),
                               .rows = calloc(records, sizeof *b->rows),
                               .samples = calloc(records, sizeof *b->samples),
                               .flags = calloc(records, sizeof *b->flags)};
    bool whole = b->timed_rows && b->rows && b->samples && b->flags;
    for (size_t i = 0; i < plan->count; i++) {
        struct active_group *g = &b->groups[i];
        g->plan = &plan->groups[i];
        g->results = calloc(g->plan->row_count, sizeof *g->results);
        b->problems[i] = &g->operands;
        whole = whole && g->results;
    }
    return whole ? STATUS_OK : status_no_memory("run");
}

static void release(struct active_batch *b)
{
    for (size_t i = 0; i < REGIMES; i++)
        measure_group_release(&b->timed[i]);
    for (size_t i = 0; i < b->plan->count; i++) {
        free(b->groups[i].results);
        operands_release(&b->groups[i].operands);
    }
    free(b->timed_rows);
    free(b->rows);
    free(b->samples);
    free(b->flags);
}

/* The threads of the variants, on a CPU, and of this process. Launches of the executor use all processors, and the process of
 * a GPU has one: threads that wait by spinning would take them away. */
static void set_threads(const struct plan_run *run, unsigned cpu_threads)
{
    struct device *d = run->plan->device;
    d->threads = cpu_threads;
    omp_set_num_threads(d->kind == DEVICE_SIMT  ? 1
                        : d->kind == DEVICE_CPU ? (int)cpu_available()
                                                : (int)run->threads);
}

/* ---- verify ---- */

static void count_row(struct run_summary *s, enum verdict verdict)
{
    size_t *const counts[] = {[VERDICT_PASS] = &s->pass,       [VERDICT_MISTRUSTED] = &s->mistrusted,
                              [VERDICT_SKIPPED] = &s->skipped, [VERDICT_CRASHED] = &s->crashed,
                              [VERDICT_TIMEOUT] = &s->hung,    [VERDICT_UNSTABLE] = NULL};
    ++*(counts[verdict] ? counts[verdict] : &s->fail);
}

/* After a variant wrote where it must not: the next variant gets fresh operands. */
static enum status renew_operands(struct operands *o, struct device *device)
{
    const struct problem p = o->problem;
    const size_t copies = o->copies;
    operands_release(o);
    return operands_init(&p, copies, device, o);
}

static enum status verify_rows(struct plan_run *run, struct active_group *group)
{
    const struct plan_group *g = group->plan;
    for (size_t i = 0; i < g->row_count && !run_stops_early(run); i++) {
        const struct plan_row *row = &g->rows[i];
        struct verification *v = &group->results[i];
        char what[160];
        if (interrupt_pending())
            return status_fail(STATUS_INTERRUPTED, "interrupted");
        if (row->skip || *group->skip_all) {
            *v = (struct verification){.verdict = VERDICT_SKIPPED, .first_mismatch = -1};
            SET_TEXT(v->reason, row->skip ? row->skip : group->skip_all);
        } else {
            progress_update(&run->line, verify_share * (double)i / (double)g->row_count, row->kernel->name);
            TRY(verify(run->verifier, row->kernel, &group->operands, v));
        }
        console_row(run, g, i, v->verdict, v->reason, v->detail);
        count_row(&run->summary, v->verdict);
        if (v->verdict != VERDICT_PASS && v->verdict != VERDICT_SKIPPED &&
            !operands_intact(&group->operands, 0, what, sizeof what))
            TRY(renew_operands(&group->operands, run->plan->device));
    }
    return STATUS_OK;
}

/* The operands of each group, then all rows verified. The rows of a group that is too large for this
 * machine are SKIPPED. */
static enum status verify_batch(struct active_batch *b)
{
    enum status s = STATUS_OK;
    struct device *device = b->run->plan->device;
    size_t round_bytes = 0; /* that a round touches */
    for (size_t i = 0; i < b->plan->count; i++)
        round_bytes += b->groups[i].plan->row_count * operands_set_bytes(&b->groups[i].plan->problem);
    for (size_t i = 0; i < b->plan->count && s == STATUS_OK; i++) {
        const struct plan_group *g = b->groups[i].plan;
        const bool rotate = g->cold && device->kind == DEVICE_CPU;
        const size_t copies = rotate ? operands_cold_copies(&g->problem, round_bytes / g->row_count) : 1;
        s = operands_init(&g->problem, copies, device, &b->groups[i].operands);
        if (s == STATUS_MEMORY) {
            SET_TEXT(b->groups[i].skip_all, status_message());
            s = STATUS_OK;
        }
    }
    for (size_t i = 0; i < b->plan->count && s == STATUS_OK; i++)
        s = verify_rows(b->run, &b->groups[i]);
    return s;
}

/* ---- measure and record ---- */

static void on_round(void *context, size_t round, double share)
{
    struct plan_run *run = context;
    char what[48];
    snprintf(what, sizeof what, "sample %zu", round + 1);
    progress_update(&run->line, verify_share + (1 - verify_share) * share, what);
}

/* A new record of a row or ceiling of a group. `regime`: REGIME_NONE where it is not timed. */
static struct record *add_record(struct active_batch *b, const struct active_group *g, enum regime regime)
{
    struct record *r = &b->rows[b->record_count++];
    record_init(r);
    run_record_problem(r, b->run->plan, g->plan, b->run->first_group + b->plan->first_group, regime,
                       *g->skip_all ? NULL : &g->operands);
    return r;
}

/* The verdict of a timed row: FAIL and the like for what was wrong with a timed call, else what its times are
 * worth. */
static void judge_row(struct plan_run *run, const struct measure_group *timed, const struct measure_row *m,
                      const struct plan_group *g, const struct record *r, struct verification *v)
{
    const struct measure_row *ceiling = timed->against[m->problem];
    const struct judge_ceiling against = {ceiling_word(ceiling->ceiling), ceiling->summary.median,
                                          ceiling->summary.min, ceiling_bytes(ceiling->ceiling, &g->problem)};
    if (m->fault[0]) {
        v->verdict = m->ours      ? VERDICT_MISTRUSTED
                     : m->hung    ? VERDICT_TIMEOUT
                     : m->crashed ? VERDICT_CRASHED
                                  : VERDICT_FAIL;
        SET_TEXT(v->check, m->hung ? "hang" : m->crashed ? "crash" : "timed_output");
        SET_TEXT(v->reason, m->fault);
        run->summary.faults++;
    } else {
        v->verdict = run->plan->device->kind == DEVICE_CUDA
                         ? judge_gpu_times(r, &against, v->reason, sizeof v->reason)
                         : judge_cpu_times(r, &against, v->reason, sizeof v->reason);
    }
}

/* `row`: in its group's plan; of a ceiling it means nothing. */
static void record_timed(struct active_batch *b, const struct measure_group *timed,
                         const struct measure_row *m, size_t row)
{
    struct plan_run *run = b->run;
    const struct active_group *group = &b->groups[m->problem];
    const struct plan_group *g = group->plan;
    struct record *r = add_record(b, group, timed->regime);
    b->samples[b->record_count - 1] = m->samples;
    b->flags[b->record_count - 1] = m->flags;
    if (m->kernel) /* before what is computed of its bytes */
        run_record_kernel(r, m->kernel, &g->problem);
    run_record_measurement(r, timed, m, &run->measure, &g->problem);
    if (!m->kernel) {
        snprintf(r->variant, sizeof r->variant, "ceiling_%s", ceiling_word(m->ceiling));
        SET_TEXT(r->arch, run->plan->device->kind == DEVICE_CUDA ? "gpu" : "cpu");
        return;
    }
    struct verification v = group->results[row];
    judge_row(run, timed, m, g, r, &v);
    if (v.verdict != VERDICT_PASS)
        console_row(run, g, row, v.verdict, v.reason, "");
    run_record_verification(r, &v);
}

/* Times the rows that passed, in one regime, and adds a record of each and of the ceilings. */
static enum status measure_regime(struct active_batch *b, enum regime regime, struct measure_group *timed)
{
    struct plan_run *run = b->run;
    const struct measure_settings *settings = &run->plan->suite->measure;
    *timed =
        (struct measure_group){.problems = b->problems, .problem_count = b->plan->count, .regime = regime};
    timed->rows = calloc(b->plan->row_count + b->plan->count * CEILING_COUNT, sizeof *timed->rows);
    if (!timed->rows)
        return status_no_memory("run");
    for (size_t i = 0; i < b->plan->count; i++)
        for (size_t row = 0; row < b->groups[i].plan->row_count; row++) {
            const struct verification *v = &b->groups[i].results[row];
            if (v->verdict != VERDICT_PASS)
                continue;
            b->timed_rows[timed->variant_count] = row;
            timed->rows[timed->variant_count++] = (struct measure_row){
                .kernel = b->groups[i].plan->rows[row].kernel, .problem = i, .output_hash = v->output_hash};
        }
    if (timed->variant_count == 0)
        return STATUS_OK;
    enum status s = measure_group(&run->measure, settings, timed,
                                  b->plan->groups[0].problem.seed + b->plan->first_group, on_round, run);
    /* An interrupted batch is recorded if it has what its suite asks for at least, else --resume repeats
     * it. */
    const bool enough = s == STATUS_OK || (s == STATUS_INTERRUPTED && timed->against[0] &&
                                           timed->against[0]->sample_count >= settings->min_samples);
    for (size_t i = 0; enough && i < timed->row_count; i++)
        record_timed(b, timed, &timed->rows[i], i < timed->variant_count ? b->timed_rows[i] : 0);
    return s;
}

static enum status measure_batch(struct active_batch *b)
{
    const struct {
        bool asked;
        enum regime regime;
        const char *name;
    } regimes[REGIMES] = {{b->plan->groups[0].cold, REGIME_COLD, "cold"},
                          {b->plan->groups[0].hot, REGIME_HOT, "hot"}};
    enum status s = STATUS_OK;
    for (size_t i = 0; i < REGIMES && s == STATUS_OK; i++)
        if (regimes[i].asked) {
            nvtx_push(regimes[i].name);
            s = measure_regime(b, regimes[i].regime, &b->timed[i]);
            nvtx_pop();
        }
    return s;
}

/* Rows that were not timed, and all rows of a verify-only group, have a record without a regime. */
static void record_untimed(struct active_batch *b)
{
    for (size_t i = 0; i < b->plan->count; i++) {
        const struct active_group *group = &b->groups[i];
        const struct plan_group *g = group->plan;
        for (size_t row = 0; row < g->row_count; row++) {
            const struct verification *v = &group->results[row];
            if ((g->cold || g->hot) && v->verdict == VERDICT_PASS)
                continue;
            struct record *r = add_record(b, group, REGIME_NONE);
            run_record_kernel(r, g->rows[row].kernel, &g->problem);
            run_record_verification(r, v);
        }
    }
}

enum status run_batch(struct plan_run *run, size_t batch)
{
    const struct plan_batch *plan = &run->plan->batches[batch];
    struct active_batch b;
    char text[PROBLEM_TEXT_MAX];
    const size_t pass_before = run->summary.pass, wrong_before = run_wrong(&run->summary);
    const double start = clock_s();
    enum status s = begin(run, plan, &b);
    console_begin_batch(run, plan);
    problem_format(&plan->groups[0].problem, text, sizeof text);
    set_threads(run, plan->groups[0].threads);
    nvtx_push(text);
    nvtx_push("verify");
    if (s == STATUS_OK)
        s = verify_batch(&b);
    nvtx_pop();
    if (s == STATUS_OK)
        s = measure_batch(&b);
    nvtx_pop();
    const bool complete = s == STATUS_OK;
    if (complete)
        record_untimed(&b);
    if ((s == STATUS_OK || s == STATUS_INTERRUPTED) && run->journal && b.record_count > 0) {
        judge_primary(b.rows, b.record_count);
        enum status appended = journal_append(run->journal, b.rows, b.samples, b.flags, b.record_count);
        s = appended != STATUS_OK ? appended : s;
    }
    if (complete && s == STATUS_OK) {
        run->recorded[plan->first_group] = true;
        run->summary.groups_done += plan->count;
        console_end_batch(run, run->summary.pass - pass_before, run_wrong(&run->summary) - wrong_before,
                          clock_s() - start);
    }
    release(&b);
    return s;
}
