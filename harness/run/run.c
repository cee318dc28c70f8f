#include "harness/device/open.h"
#include "harness/run/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <omp.h>

#include "harness/base/clock.h"
#include "harness/base/interrupt.h"
#include "harness/base/machine.h"
#include "harness/base/nvtx.h"
#include "harness/base/progress.h"
#include "harness/base/random.h"
#include "harness/measure/judge.h"
#include "harness/measure/measure.h"
#include "harness/problem/operands.h"
#include "harness/run/record.h"
#include "harness/run/workers.h"
#include "harness/verify/verify.h"
#include "results/journal.h"
#include "results/store.h"

/* Records of one group, appended to the journal as one entry: a kill keeps all of a group or none. */
struct group_records {
    struct record *rows;
    const double **samples;
    const uint8_t **flags;
    size_t count, capacity;
};

/* What a person was told of a row: its verdict, then what came of its times. */
enum told { TOLD_VERDICT, TOLD_COLD, TOLD_HOT, TOLD_COUNT };

/* What is done of a plan, in memory that outlives the process that did it. */
struct done {
    struct run_summary summary; /* of groups that ended */
    size_t group;               /* the last one that was begun; SIZE_MAX: none */
    size_t row_max;             /* rows in groups that are timed together, at most */
    size_t size;                /* bytes of all this */
    bool told[]; /* [row_max][TOLD_COUNT] of that group and those timed with it: one that is begun again
                    repeats nothing */
};

/* A variant that is not called any more. */
struct given_up {
    const struct kernel *kernel;
    enum verdict verdict;
    char reason[200];
    size_t group; /* where that was seen */
};

struct runner {
    const struct plan *plan;
    char name[DEVICE_TEXT_MAX]; /* "" where it is the only one */
    size_t first_group;         /* its groups are numbered from here */
    bool together;              /* with others: says of which device it speaks */
    unsigned threads;           /* for the harness's own work, beside a device that is not the CPU */
    const struct run_options *options;
    struct run_summary summary;     /* with what of a group in work is counted already */
    struct journal_writer *journal; /* NULL: not recorded */
    bool *kept; /* [group_count] in the journal, or done; shared as `done` is. Of groups that are timed
                   together the first counts */
    struct done *done;
    struct given_up *given_up;
    size_t given_up_count;
    struct verifier *verifier;
    struct measure_state measure;
    struct progress progress;
};

static struct record *add_record(struct group_records *g)
{
    if (g->count == g->capacity) {
        size_t capacity = g->capacity ? 2 * g->capacity : 64;
        struct record *rows = realloc(g->rows, capacity * sizeof *rows);
        if (!rows)
            return NULL;
        g->rows = rows;
        const double **samples = realloc(g->samples, capacity * sizeof *samples);
        if (!samples)
            return NULL;
        g->samples = samples;
        const uint8_t **flags = realloc(g->flags, capacity * sizeof *flags);
        if (!flags)
            return NULL;
        g->flags = flags;
        g->capacity = capacity;
    }
    struct record *r = &g->rows[g->count];
    record_init(r);
    g->samples[g->count] = NULL;
    g->flags[g->count++] = NULL;
    return r;
}

/* ---- telling a person ---- */

/* One of the groups that are timed together, in work. */
struct part {
    const struct plan_group *plan;
    size_t index;     /* in the plan */
    size_t first_row; /* among the rows of all parts */
    struct operands operands;
    struct verification *results;     /* [row_count] */
    char skip_all[KERNEL_REASON_MAX]; /* why none of its rows can run, or "" */
};

static void print_row(struct runner *run, const struct part *part, size_t row, enum told kind,
                      enum verdict verdict, const char *reason, const char *detail)
{
    const struct plan_group *g = part->plan;
    const struct kernel *k = g->rows[row].kernel;
    bool wrong = verdict != VERDICT_PASS && verdict != VERDICT_SKIPPED;
    bool *told = &run->done->told[(part->first_row + row) * TOLD_COUNT + kind];
    if (*told || (!wrong && !run->options->list_rows))
        return;
    *told = true;
    char text[PROBLEM_TEXT_MAX], device[DEVICE_TEXT_MAX];
    problem_format(&g->problem, text, sizeof text);
    device_format(run->plan->device, device);
    progress_clear(&run->progress);
    printf("%-10s %-48s %s%s%s\n", verdict_word((uint8_t)verdict), k->name, text,
           *reason ? "\n           " : "", reason);
    for (const char *line = detail; *line;) {
        size_t length = strcspn(line, "\n");
        printf("           %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
    if (wrong && !run->options->no_repro_line) {
        char threads[32] = "";
        if (run->plan->device->kind != DEVICE_CUDA)
            snprintf(threads, sizeof threads, " --axis threads=%u", g->threads);
        printf("           reproduce: nf4bench verify --case '%s' --variant %s%s%s%s%s%s\n", text, k->name,
               threads, strcmp(device, "cpu") == 0 ? "" : " --device ",
               strcmp(device, "cpu") == 0 ? "" : device, k->option ? " " : "", k->option ? k->option : "");
    }
    fflush(stdout);
}

static void on_measure(void *context, size_t round, double share)
{
    struct runner *run = context;
    char what[48];
    snprintf(what, sizeof what, "sample %zu", round + 1);
    progress_update(&run->progress, 0.3 + 0.7 * share, what);
}

/* ---- one group ---- */

static enum status no_memory(void)
{
    return status_no_memory("run");
}

static bool stop_early(const struct runner *run)
{
    return run->options->first_failure && run_wrong(&run->summary) > 0;
}

static void count_row(struct run_summary *s, enum verdict verdict)
{
    switch (verdict) {
    case VERDICT_PASS:
        s->pass++;
        break;
    case VERDICT_SKIPPED:
        s->skipped++;
        break;
    case VERDICT_MISTRUSTED:
        s->mistrusted++;
        break;
    case VERDICT_CRASHED:
        s->crashed++;
        break;
    case VERDICT_TIMEOUT:
        s->hung++;
        break;
    default:
        s->fail++;
    }
}

/* Whether k was given up; then *out is what that makes of its row in group `index`, the first of those that
 * are timed together. */
static bool is_given_up(const struct runner *run, size_t index, const struct kernel *k,
                        struct verification *out)
{
    for (size_t i = 0; i < run->given_up_count; i++) {
        const struct given_up *g = &run->given_up[i];
        if (g->kernel != k)
            continue;
        *out = (struct verification){.verdict = g->verdict, .first_mismatch = -1};
        SET_TEXT(out->check, g->verdict == VERDICT_CRASHED ? "crash" : "hang");
        snprintf(out->reason, sizeof out->reason, "%s%s", g->group == index ? "" : "not called after ",
                 g->reason);
        return true;
    }
    return false;
}

static enum status verify_rows(struct runner *run, struct part *part)
{
    const struct plan_group *g = part->plan;
    struct operands *o = &part->operands;
    struct verification *results = part->results;
    enum status s = STATUS_OK;
    for (size_t i = 0; i < g->row_count && s == STATUS_OK && !stop_early(run); i++) {
        const struct plan_row *row = &g->rows[i];
        if (interrupt_pending())
            return status_fail(STATUS_INTERRUPTED, "interrupted");
        if (row->skip || *part->skip_all) {
            results[i] = (struct verification){.verdict = VERDICT_SKIPPED, .first_mismatch = -1};
            SET_TEXT(results[i].reason, row->skip ? row->skip : part->skip_all);
        } else if (!is_given_up(run, run->done->group, row->kernel, &results[i])) {
            progress_update(&run->progress, 0.3 * (double)i / (double)g->row_count, row->kernel->name);
            s = verify(run->verifier, row->kernel, o, &results[i]);
        }
        if (s != STATUS_OK)
            return s;
        char what[160];
        if (results[i].verdict != VERDICT_PASS && results[i].verdict != VERDICT_SKIPPED &&
            !operands_intact(o, 0, what, sizeof what)) {
            /* It wrote where it must not: the next variant gets fresh operands. */
            struct problem p = o->problem;
            size_t copies = o->copies;
            operands_release(o);
            s = operands_init(&p, copies, run->plan->device, o);
        }
        print_row(run, part, i, TOLD_VERDICT, results[i].verdict, results[i].reason, results[i].detail);
        count_row(&run->summary, results[i].verdict);
    }
    return s;
}

static uint64_t group_id(const struct runner *run, const struct part *parts)
{
    return run_record_group_id(run->first_group + parts[0].index);
}

/* The record of a measured row; `row`: of its part's plan, where it is no ceiling. */
static void set_timed(struct runner *run, struct record *r, const struct measure_group *timed,
                      const struct measure_row *m, const struct part *parts, size_t row)
{
    const struct part *part = &parts[m->problem];
    const struct plan_group *g = part->plan;
    const struct measure_row *ceiling = timed->against[m->problem];
    const enum told told = timed->regime == REGIME_HOT ? TOLD_HOT : TOLD_COLD;
    const bool gpu = run->plan->device->kind == DEVICE_CUDA;
    run_record_problem(r, run->plan, part->index, group_id(run, parts), &part->operands);
    if (m->kernel) /* before what is computed of its bytes */
        run_record_kernel(r, m->kernel, &g->problem);
    run_record_measurement(r, timed, m, &run->measure, &g->problem);
    if (!m->kernel) {
        snprintf(r->variant, sizeof r->variant, "ceiling_%s", ceiling_word(m->ceiling));
        SET_TEXT(r->arch, gpu ? "gpu" : "cpu");
        return;
    }
    struct verification v = part->results[row];
    struct judge_ceiling against = {ceiling_word(ceiling->ceiling), ceiling->summary.median,
                                    ceiling->summary.min, ceiling_bytes(ceiling->ceiling, &g->problem)};
    if (m->fault[0]) {
        v.verdict = m->ours      ? VERDICT_MISTRUSTED
                    : m->hung    ? VERDICT_TIMEOUT
                    : m->crashed ? VERDICT_CRASHED
                                 : VERDICT_FAIL;
        SET_TEXT(v.check, "timed_output");
        SET_TEXT(v.reason, m->fault);
        run->summary.faults++;
        print_row(run, part, row, told, v.verdict, m->fault, "");
    } else {
        v.verdict = gpu ? judge_gpu_times(r, &against, v.reason, sizeof v.reason)
                        : judge_cpu_times(r, &against, v.reason, sizeof v.reason);
        if (v.verdict != VERDICT_PASS)
            print_row(run, part, row, told, v.verdict, v.reason, "");
    }
    run_record_verification(r, &v);
}

/* Times the rows that passed, in one regime, and adds a record for each and for the ceilings. */
static enum status measure_regime(struct runner *run, enum regime regime, const struct part *parts,
                                  size_t count, struct group_records *records, struct measure_group *timed,
                                  const struct operands *problems[])
{
    size_t rows = 0;
    for (size_t p = 0; p < count; p++)
        rows += parts[p].plan->row_count;
    *timed = (struct measure_group){.problems = problems, .problem_count = count, .regime = regime};
    timed->rows = calloc(rows + count * CEILING_COUNT, sizeof *timed->rows);
    size_t *of = calloc(rows, sizeof *of); /* rows of their plans */
    if (!timed->rows || !of) {
        free(of);
        return no_memory();
    }
    for (size_t p = 0; p < count; p++)
        for (size_t i = 0; i < parts[p].plan->row_count; i++) {
            if (parts[p].results[i].verdict != VERDICT_PASS)
                continue;
            of[timed->variant_count] = i;
            struct measure_row *m = &timed->rows[timed->variant_count++];
            m->kernel = parts[p].plan->rows[i].kernel;
            m->problem = p;
            m->output_hash = parts[p].results[i].output_hash;
        }
    enum status s = STATUS_OK;
    if (timed->variant_count > 0)
        s = measure_group(&run->measure, &run->plan->suite->measure, timed,
                          parts[0].plan->problem.seed + parts[0].index, on_measure, run);
    /* An interrupted group is recorded if it has what its suite asks for at least, else it is left for
     * --resume. */
    bool enough =
        s == STATUS_OK || (s == STATUS_INTERRUPTED && timed->against[0] &&
                           timed->against[0]->sample_count >= run->plan->suite->measure.min_samples);
    for (size_t i = 0; enough && i < timed->row_count; i++) {
        const struct measure_row *m = &timed->rows[i];
        struct record *r = add_record(records);
        if (!r) {
            s = no_memory();
            break;
        }
        set_timed(run, r, timed, m, parts, i < timed->variant_count ? of[i] : 0);
        records->samples[records->count - 1] = m->samples;
        records->flags[records->count - 1] = m->flags;
    }
    free(of);
    return s;
}

/* What a person is told of the work that begins. */
static void announce(struct runner *run, const struct part *parts, size_t count)
{
    char text[PROBLEM_TEXT_MAX], label[PROBLEM_TEXT_MAX + sizeof run->name + 64], more[64] = "";
    double expected = 0;
    for (size_t p = 0; p < count; p++)
        expected += parts[p].plan->expected_s;
    problem_format(&parts[0].plan->problem, text, sizeof text);
    if (count > 1)
        snprintf(more, sizeof more, ", and in %zu other formats", count - 1);
    snprintf(label, sizeof label, "%s%s%s%s", run->together ? run->name : "", run->together ? ": " : "", text,
             more);
    progress_step(&run->progress, expected, label);
}

/* The operands of each part, then all rows verified. Too large for this machine: its rows say so, the run
 * goes on. */
static enum status verify_parts(struct runner *run, struct part *parts, size_t count)
{
    enum status s = STATUS_OK;
    size_t round_bytes = 0; /* that a round touches */
    for (size_t p = 0; p < count; p++)
        round_bytes += parts[p].plan->row_count * operands_set_bytes(&parts[p].plan->problem);
    for (size_t p = 0; p < count && s == STATUS_OK; p++) {
        const struct plan_group *g = parts[p].plan;
        const bool rotate = g->cold && run->plan->device->kind == DEVICE_CPU;
        const size_t copies = rotate ? operands_cold_copies(&g->problem, round_bytes / g->row_count) : 1;
        s = operands_init(&g->problem, copies, run->plan->device, &parts[p].operands);
        if (s == STATUS_MEMORY) {
            SET_TEXT(parts[p].skip_all, status_message());
            s = STATUS_OK;
        }
    }
    for (size_t p = 0; p < count && s == STATUS_OK; p++)
        s = verify_rows(run, &parts[p]);
    return s;
}

/* Rows that were not timed, and all rows of a verify-only group, have a record without a regime. */
static enum status add_untimed(struct runner *run, const struct part *parts, size_t count,
                               struct group_records *records)
{
    for (size_t p = 0; p < count; p++) {
        const struct plan_group *g = parts[p].plan;
        for (size_t i = 0; i < g->row_count; i++) {
            if ((g->cold || g->hot) && parts[p].results[i].verdict == VERDICT_PASS)
                continue;
            struct record *r = add_record(records);
            if (!r)
                return no_memory();
            run_record_problem(r, run->plan, parts[p].index, group_id(run, parts),
                               *parts[p].skip_all ? NULL : &parts[p].operands);
            run_record_kernel(r, g->rows[i].kernel, &g->problem);
            run_record_verification(r, &parts[p].results[i]);
        }
    }
    return STATUS_OK;
}

/* Group `index` and those that are timed with it. */
static enum status run_group(struct runner *run, size_t index)
{
    const struct plan_group *first = &run->plan->groups[index];
    const size_t count = first->together;
    struct part parts[MEASURE_PROBLEMS_MAX] = {{0}};
    const struct operands *problems[MEASURE_PROBLEMS_MAX];
    struct group_records records = {0};
    struct measure_group timed[2] = {{0}, {0}};
    char text[PROBLEM_TEXT_MAX], line[128];
    size_t pass_before = run->summary.pass, wrong_before = run_wrong(&run->summary), rows = 0;
    double start = clock_s();
    enum status s = STATUS_OK;

    for (size_t p = 0; p < count; p++) {
        const struct plan_group *g = &first[p];
        parts[p] = (struct part){.plan = g,
                                 .index = index + p,
                                 .first_row = rows,
                                 .results = calloc(g->row_count, sizeof *parts[p].results)};
        problems[p] = &parts[p].operands;
        rows += g->row_count;
        if (!parts[p].results)
            s = no_memory();
    }
    if (run->done->group != index)
        memset(run->done->told, 0, run->done->row_max * TOLD_COUNT * sizeof run->done->told[0]);
    run->done->group = index;
    announce(run, parts, count);
    problem_format(&first->problem, text, sizeof text);
    /* The executor's launches use all processors; threads of ours that wait for work by spinning, or a pinned
     * main thread, would take them away. */
    enum device_kind kind = run->plan->device->kind;
    if (kind == DEVICE_SIMT)
        omp_set_num_threads(1);
    else if (kind == DEVICE_CUDA)
        omp_set_num_threads((int)run->threads);
    else
        cpu_pin_threads(first->threads);
    nvtx_push(text);
    nvtx_push("verify");
    if (s == STATUS_OK)
        s = verify_parts(run, parts, count);
    nvtx_pop();
    const bool asked[2] = {first->cold, first->hot};
    for (int i = 0; i < 2 && s == STATUS_OK; i++)
        if (asked[i]) {
            nvtx_push(i ? "hot" : "cold");
            s = measure_regime(run, i ? REGIME_HOT : REGIME_COLD, parts, count, &records, &timed[i],
                               problems);
            nvtx_pop();
        }
    nvtx_pop();
    bool complete = s == STATUS_OK;
    if (complete)
        s = add_untimed(run, parts, count, &records);
    if ((s == STATUS_OK || s == STATUS_INTERRUPTED) && run->journal && records.count) {
        judge_primary(records.rows, records.count);
        enum status appended =
            journal_append_flagged(run->journal, records.rows, records.samples, records.flags, records.count);
        s = appended != STATUS_OK ? appended : s;
    }
    if (complete && s == STATUS_OK) {
        run->kept[index] = true;
        run->summary.groups_done += count;
        run->done->summary = run->summary;
        snprintf(line, sizeof line, "%zu pass, %zu fail, %.1f s", run->summary.pass - pass_before,
                 run_wrong(&run->summary) - wrong_before, clock_s() - start);
        progress_step_done(&run->progress, run->options->quiet ? NULL : line);
    }
    for (int i = 0; i < 2; i++)
        measure_group_release(&timed[i]);
    free(records.rows);
    free(records.samples);
    free(records.flags);
    for (size_t p = 0; p < count; p++) {
        free(parts[p].results);
        operands_release(&parts[p].operands);
    }
    return s;
}

/* ---- the journal ---- */

enum { PATH_TEXT_MAX = 4096 };

/* The numbers of all that is planned. */
struct totals {
    size_t groups;
    uint64_t hash;
};

static struct totals add_up(const struct plan *plans, size_t count)
{
    struct totals t = {0, plan_hash(&plans[0])};
    for (size_t i = 0; i < count; i++) {
        t.groups += plans[i].group_count;
        if (i > 0)
            t.hash = random_mix(t.hash ^ plan_hash(&plans[i]));
    }
    return t;
}

/* Opens the journal; kept[group]: what it holds already. */
static enum status open_journal(const char *path, const struct plan *plans, const struct totals *t,
                                const struct run_options *options, bool *kept, struct run_summary *summary,
                                struct journal_writer **out)
{
    char hash[32];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)t->hash);
    if (!options->resume) {
        json_object_set_new(options->environment, "plan_hash", json_string(hash));
        json_object_set_new(options->environment, "suite", json_string(plans[0].suite->path));
        char *text = json_dumps(options->environment, JSON_COMPACT);
        enum status s = text ? journal_create(path, text, JOURNAL_SYNC_END, out) : no_memory();
        free(text);
        return s;
    }
    struct journal done;
    enum status s = journal_read(path, &done);
    if (s != STATUS_OK)
        return s;
    json_t *header = json_loads(done.header_json, 0, NULL);
    const char *stored = json_string_value(json_object_get(header, "plan_hash"));
    if (!stored || strcmp(stored, hash) != 0)
        s = status_fail(STATUS_INPUT,
                        "%s: the suite, the table of variants, the machine's threads or its GPUs have "
                        "changed since this run "
                        "began; finish it with the same, or start anew",
                        path);
    const json_t *plugins = json_object_get(header, "plugins");
    if (s == STATUS_OK && plugins && !json_equal(plugins, json_object_get(options->environment, "plugins")))
        s = status_fail(
            STATUS_INPUT,
            "%s: the plugins, or their files, have changed since this run began; finish it with the same, "
            "or start anew",
            path);
    for (size_t i = 0; i < done.row_count && s == STATUS_OK; i++) {
        size_t group = done.rows[i].group_id / 4;
        if (group >= t->groups) {
            s = status_fail(STATUS_INPUT, "%s: row %zu belongs to group %zu of %zu", path, i, group,
                            t->groups);
        } else if (!kept[group]) {
            kept[group] = true;
            summary->groups_kept++;
        }
    }
    json_decref(header);
    journal_release(&done);
    return s == STATUS_OK ? journal_append_open(path, JOURNAL_SYNC_END, out) : s;
}

/* ---- a plan, and several ---- */

/* Runs the groups of one plan that are not kept. Again, after a process that did so was lost. */
static enum status run_groups(void *context)
{
    struct runner *run = context;
    const struct plan *plan = run->plan;
    double expected = 0;
    size_t steps = 0;
    uint64_t launches = plan->device->launches;
    run->summary = run->done->summary;
    run->verifier = verifier_new();
    enum status s = run->verifier ? STATUS_OK : no_memory();
    for (size_t i = 0; i < plan->group_count; i += plan->groups[i].together) {
        for (size_t j = i; j < i + plan->groups[i].together; j++)
            expected += run->kept[i] ? 0 : plan->groups[j].expected_s;
        steps += !run->kept[i];
    }
    progress_init(&run->progress, expected, steps);
    if (run->together)
        run->progress.terminal = false; /* several would draw over each other */
    nvtx_push(plan->suite->name);
    for (size_t i = 0; s == STATUS_OK && i < plan->group_count && !stop_early(run);
         i += plan->groups[i].together)
        if (!run->kept[i])
            s = run_group(run, i);
    nvtx_pop();
    progress_clear(&run->progress);
    verifier_free(run->verifier);
    run->summary.launches += plan->device->launches - launches;
    run->done->summary = run->summary;
    return s;
}

/* In a process of its own, which takes what runs for the device with it. */
static enum status run_groups_apart(void *context)
{
    const struct runner *run = context;
    enum status s = run_groups(context);
    device_stop(run->plan->device);
    return s;
}

/* The group in work is begun again without k, of whose row nothing has been told yet that counts. */
static enum status give_up(void *context, const struct kernel *k, enum verdict verdict, const char *reason)
{
    struct runner *run = context;
    struct given_up *grown = realloc(run->given_up, (run->given_up_count + 1) * sizeof *grown);
    if (!grown)
        return no_memory();
    run->given_up = grown;
    struct given_up *one = &grown[run->given_up_count++];
    *one = (struct given_up){.kernel = k, .verdict = verdict, .group = run->done->group};
    SET_TEXT(one->reason, reason);
    const struct plan_group *first = &run->plan->groups[run->done->group];
    size_t place = 0; /* of the row, among all that are timed together */
    for (size_t p = 0; p < first->together; p++)
        for (size_t row = 0; row < first[p].row_count; row++, place++)
            if (first[p].rows[row].kernel == k)
                run->done->told[place * TOLD_COUNT + TOLD_VERDICT] = false;
    return STATUS_OK;
}

static void add_summary(struct run_summary *to, const struct run_summary *from)
{
    to->launches += from->launches;
    to->pass += from->pass;
    to->fail += from->fail;
    to->mistrusted += from->mistrusted;
    to->skipped += from->skipped;
    to->crashed += from->crashed;
    to->hung += from->hung;
    to->faults += from->faults;
    to->groups_done += from->groups_done;
}

size_t run_wrong(const struct run_summary *s)
{
    return s->fail + s->faults + s->mistrusted + s->crashed + s->hung;
}

const char *run_summary_text(const struct run_summary *s, char text[RUN_SUMMARY_TEXT_MAX])
{
    int n = snprintf(text, RUN_SUMMARY_TEXT_MAX, "%zu pass, %zu fail, %zu mistrusted, %zu skipped", s->pass,
                     s->fail + s->faults, s->mistrusted, s->skipped);
    if (s->crashed + s->hung)
        snprintf(text + n, RUN_SUMMARY_TEXT_MAX - (size_t)n, ", %zu crashed and %zu hung, which is wrong",
                 s->crashed, s->hung);
    return text;
}

bool run_in_shard(const struct run_options *options, size_t group)
{
    return options->shards == 0 || group % options->shards == options->shard;
}

static void *shared_alloc(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static struct done *done_new(const struct plan *plan)
{
    size_t rows = 0;
    for (size_t i = 0; i < plan->group_count; i++) {
        size_t here = 0;
        for (size_t j = i; j < i + plan->groups[i].together; j++)
            here += plan->groups[j].row_count;
        rows = here > rows ? here : rows;
    }
    size_t size = sizeof(struct done) + rows * TOLD_COUNT * sizeof(bool);
    struct done *d = shared_alloc(size);
    if (d) {
        d->group = SIZE_MAX;
        d->row_max = rows;
        d->size = size;
    }
    return d;
}

static void runners_free(struct runner *runners, size_t count)
{
    for (size_t i = 0; runners && i < count; i++) {
        if (runners[i].done)
            munmap(runners[i].done, runners[i].done->size);
        free(runners[i].given_up);
    }
    free(runners);
}

/* Runners [begin, end), each in a process of its own, all at once. */
static enum status run_apart(struct runner *runners, size_t begin, size_t end)
{
    struct worker *workers = calloc(end - begin, sizeof *workers);
    if (!workers)
        return no_memory();
    for (size_t i = begin; i < end; i++) {
        const struct device *d = runners[i].plan->device;
        /* Other devices have processes of their own for what a variant does. */
        workers[i - begin] = (struct worker){.name = runners[i].name,
                                             .context = &runners[i],
                                             .run = run_groups_apart,
                                             .give_up = d->kind == DEVICE_CPU ? give_up : NULL,
                                             .limit_s = d->limit_s > 0 ? d->limit_s : CPU_LIMIT_S};
    }
    enum status s = workers_run(workers, end - begin);
    free(workers);
    return s;
}

static enum status run_all(const struct plan *plans, size_t count, const struct run_options *options,
                           struct journal_writer *journal, bool *kept, struct run_summary *summary)
{
    struct runner *runners = calloc(count, sizeof *runners);
    bool together = count > 1 && !options->one_at_a_time;
    /* A GPU's server process has a processor for itself: threads that wait by spinning would take it away. */
    const unsigned each = cpu_available() / (together ? (unsigned)count : 1),
                   threads = each > 2 ? each - 1 : each;
    enum status s = runners ? STATUS_OK : no_memory();
    size_t first = 0;
    for (size_t i = 0; i < count && s == STATUS_OK; i++) {
        runners[i] = (struct runner){.plan = &plans[i],
                                     .first_group = first,
                                     .together = together,
                                     .threads = threads ? threads : 1,
                                     .options = options,
                                     .journal = journal,
                                     .kept = kept + first,
                                     .done = done_new(&plans[i])};
        if (together)
            device_format(plans[i].device, runners[i].name);
        first += plans[i].group_count;
        if (!runners[i].done)
            s = no_memory();
        else if (!together)
            s = plans[i].device->kind == DEVICE_CPU ? run_apart(runners, i, i + 1) : run_groups(&runners[i]);
    }
    if (s == STATUS_OK && together)
        s = run_apart(runners, 0, count);
    for (size_t i = 0; runners && i < count; i++)
        if (runners[i].done)
            add_summary(summary, &runners[i].done->summary);
    runners_free(runners, count);
    return s;
}

enum status run_plans(const struct plan *plans, size_t count, const struct run_options *options,
                      struct run_summary *summary)
{
    char journal_path[PATH_TEXT_MAX];
    struct journal_writer *journal = NULL;
    struct totals t = add_up(plans, count);
    bool *kept = shared_alloc(t.groups * sizeof *kept);
    *summary = (struct run_summary){0};
    enum status s = kept ? STATUS_OK : no_memory();
    if (s == STATUS_OK && options->output) {
        if (snprintf(journal_path, sizeof journal_path, "%s.journal", options->output) >=
            (int)sizeof journal_path)
            s = status_fail(STATUS_USAGE, "%s: the path is too long", options->output);
        else
            s = open_journal(journal_path, plans, &t, options, kept, summary, &journal);
    }
    size_t group = 0;
    for (size_t p = 0; s == STATUS_OK && p < count; group += plans[p++].group_count)
        for (size_t i = 0; i < plans[p].group_count; i += plans[p].groups[i].together)
            kept[group + i] = kept[group + i] || !run_in_shard(options, group + i);
    if (s == STATUS_OK)
        s = run_all(plans, count, options, journal, kept, summary);

    if (journal) {
        enum status closed = journal_close(journal);
        s = s == STATUS_OK || s == STATUS_INTERRUPTED ? (closed != STATUS_OK ? closed : s) : s;
        if (s == STATUS_OK || s == STATUS_INTERRUPTED) {
            /* After an interrupt the journal stays, so that --resume can complete the run. */
            enum status built = store_build(journal_path, options->output, s == STATUS_INTERRUPTED);
            s = built != STATUS_OK ? built : s;
        } else {
            char why[1024];
            snprintf(why, sizeof why, "%s", status_message());
            s = status_fail(s, "%s\nwhat was measured is in %s; go on with `nf4bench run --resume %s`", why,
                            journal_path, options->output);
        }
        if (s == STATUS_INTERRUPTED)
            s = status_fail(s,
                            "interrupted: the rows so far are in %s; go on with `nf4bench run --resume %s`",
                            options->output, options->output);
    }
    if (kept)
        munmap(kept, t.groups * sizeof *kept);
    return s;
}

enum status run_plan(const struct plan *plan, const struct run_options *options, struct run_summary *summary)
{
    return run_plans(plan, 1, options, summary);
}
