#include "harness/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <omp.h>

#include "harness/clock.h"
#include "harness/cpu.h"
#include "harness/interrupt.h"
#include "harness/judge.h"
#include "harness/measure.h"
#include "harness/nvtx.h"
#include "harness/prepare.h"
#include "harness/progress.h"
#include "harness/random.h"
#include "harness/verify.h"
#include "harness/workers.h"
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
    size_t row_max;             /* rows in a group, at most */
    size_t size;                /* bytes of all this */
    bool told[]; /* [row_max][TOLD_COUNT] of that group: a group that is begun again repeats nothing */
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
    bool *kept;                     /* [group_count] in the journal, or done; shared as `done` is */
    struct done *done;
    struct given_up *given_up;
    size_t given_up_count;
    struct verifier *verifier;
    struct measure_state measure;
    struct progress progress;
};

/* ---- records ---- */

static void set_text(char *field, size_t size, const char *text)
{
    snprintf(field, size, "%.*s", (int)size - 1, text);
}
#define SET_TEXT(field, text) set_text(field, sizeof(field), text)

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

static void set_device(struct record *r, const struct device *d)
{
    SET_TEXT(r->device, device_model(d));
    if (d->kind != DEVICE_CUDA)
        return;
    SET_TEXT(r->device_uuid, d->gpu.uuid);
    r->device_number = (uint32_t)d->gpu.ordinal;
    r->device_sm = d->gpu.sm;
    r->device_sm_count = d->gpu.sm_count;
    r->device_cache_bytes = d->gpu.l2_bytes;
    r->device_ecc = d->gpu.ecc;
}

/* The problem's columns. group_id tells groups and regimes apart: 4 * group + regime. */
static void set_problem(struct record *r, const struct runner *run, size_t group_index,
                        const struct operands *o)
{
    const struct plan *plan = run->plan;
    set_device(r, plan->device);
    const struct plan_group *g = &plan->groups[group_index];
    const struct problem *p = &g->problem;
    problem_format(p, r->case_key, sizeof r->case_key);
    SET_TEXT(r->suite, plan->suite->name);
    SET_TEXT(r->weights, p->weights);
    r->op = (uint8_t)p->op;
    r->out_type = (uint8_t)p->out;
    r->m = p->m;
    r->n = p->n;
    r->k = p->k;
    r->blocksize = (uint32_t)p->blocksize;
    r->nested = p->nested;
    r->bias = p->bias;
    r->threads = g->threads;
    r->seed = p->seed;
    r->group_id = 4 * (run->first_group + group_index);
    r->bits_per_weight =
        8.0 * (double)(problem_packed_bytes(p) + problem_scale_bytes(p)) / (double)problem_weight_count(p);
    r->format_bytes = (double)problem_format_bytes(p);
    if (o) {
        r->weight_sqnr_db = o->fit.sqnr_db;
        r->weight_max_abs_error = o->fit.max_abs_error;
        r->int4_sqnr_db = o->fit.int4_sqnr_db;
        r->int4_max_abs_error = o->fit.int4_max_abs_error;
    }
}

static void set_kernel(struct record *r, const struct kernel *k)
{
    SET_TEXT(r->variant, k->name);
    SET_TEXT(r->format, k->blas == BLAS_DENSE ? "dense" : format_word(k->contract.format));
    SET_TEXT(r->arch, k->arch);
    SET_TEXT(r->layout, k->blas == BLAS_DENSE                                  ? "dense"
                        : (k->prepare && !k->blas) || kernel_takes_repacked(k) ? "repacked"
                                                                               : "checkpoint");
    if (!contract_format(&k->contract, r->contract, sizeof r->contract))
        r->contract[0] = '\0';
    if (k->source_hash)
        SET_TEXT(r->source_hash, k->source_hash);
    /* That of a CUDA variant is its host build's; the GPU says what it ran. */
    if (k->code_hash && k->backend == BACKEND_CPU)
        SET_TEXT(r->code_hash, k->code_hash);
    if (k->blas == BLAS_DENSE) { /* it reads dense weights instead of packed ones and scales */
        double bits = 8.0 * (double)dtype_size(k->contract.out);
        r->format_bytes += (double)r->n * (double)r->k * (bits - r->bits_per_weight) / 8;
        r->bits_per_weight = bits;
    }
}

static void set_verification(struct record *r, const struct verification *v)
{
    r->verdict = (uint8_t)v->verdict;
    SET_TEXT(r->check, v->check);
    SET_TEXT(r->reason, v->reason);
    SET_TEXT(r->diagnosis, v->detail);
    r->compared_count = v->compared;
    r->mismatch_count = v->mismatches;
    r->first_mismatch = v->first_mismatch;
    r->max_ulp = v->real.max_ulp;
    uint64_t *const classes[ULP_CLASSES] = {&r->ulp_0, &r->ulp_1,  &r->ulp_2,   &r->ulp_4,
                                            &r->ulp_8, &r->ulp_16, &r->ulp_more};
    for (int i = 0; i < ULP_CLASSES; i++)
        *classes[i] = v->real.ulp[i];
    r->max_abs_error = v->max_abs_error;
    r->relative_frobenius_error = v->relative_frobenius_error;
    r->mean_error = v->mean_error;
    r->output_sqnr_db = v->output_sqnr_db;
    r->bound = v->bound;
    r->bound_margin = v->bound_margin;
    r->verify_s = v->seconds;
}

static void set_gpu_measurement(struct record *r, const struct measure_row *m,
                                const struct measure_state *state)
{
    r->sm_mhz = m->sensors.sm_mhz;
    r->memory_mhz = m->sensors.memory_mhz;
    r->power_w = m->sensors.power_w;
    r->temperature_c = m->sensors.temperature_c;
    r->throttle_reasons = m->sensors.reasons;
    r->settled_mhz = state->settled_mhz;
    r->cold_ratio = state->cold_ratio;
    r->hot_graph = m->graph;
    if (!m->kernel)
        return;
    r->registers = (uint32_t)m->code.registers;
    r->shared_bytes = (uint64_t)m->code.shared_bytes + m->code.dynamic_shared_bytes;
    r->local_bytes = (uint32_t)m->code.local_bytes;
    r->blocks_per_sm = (uint32_t)m->code.blocks_per_sm;
    if (m->code.code_hash)
        snprintf(r->code_hash, sizeof r->code_hash, "%016llx", (unsigned long long)m->code.code_hash);
}

static void set_measurement(struct record *r, const struct measure_group *g, const struct measure_row *m,
                            const struct measure_state *state, const struct problem *p)
{
    const struct sample_summary *s = &m->summary;
    r->regime = (uint8_t)g->regime;
    r->group_id += (uint64_t)g->regime;
    r->sample_count = m->sample_count + m->retried;
    r->retried_count = m->retried;
    r->excluded_count = m->excluded;
    r->calls_per_sample = m->calls_per_sample;
    r->operand_copies = g->copies;
    r->median_us = s->median;
    r->median_lo_us = s->median_ci.lo;
    r->median_hi_us = s->median_ci.hi;
    r->min_us = s->min;
    r->p10_us = s->p10;
    r->p90_us = s->p90;
    r->mad_us = s->mad;
    r->iqr_us = s->iqr;
    r->lag1_autocorrelation = s->lag1_autocorrelation;
    r->bimodal = s->bimodal;
    r->settled = !state->unsettled;
    r->timer_overhead_us = state->timer_overhead_us;
    r->precise = m->precise;
    r->gemm_flop_per_s = state->gemm_flop_per_s;
    if (g->operands->device->kind == DEVICE_CUDA)
        set_gpu_measurement(r, m, state);
    double second = 1e-6 * s->median, weights = (double)problem_weight_count(p);
    if (!m->kernel) {
        /* The ceiling's own bytes, not the format's. */
        r->format_bytes = ceiling_bytes(m->ceiling, p);
        r->bytes_per_s = r->format_bytes / second;
        judge_flags(r);
        return;
    }
    r->bytes_per_s = r->format_bytes / second;
    r->weights_per_s = weights / second;
    r->flop_per_s = 2.0 * (double)p->m * weights / second;
    SET_TEXT(r->ceiling, ceiling_word(g->against->ceiling));
    r->ceiling_fraction = m->ceiling_fraction.ratio;
    r->ceiling_fraction_lo = m->ceiling_fraction.ci.lo;
    r->ceiling_fraction_hi = m->ceiling_fraction.ci.hi;
    judge_flags(r);
}

/* ---- telling a person ---- */

static void print_row(struct runner *run, const struct plan_group *g, size_t row, enum told kind,
                      enum verdict verdict, const char *reason, const char *detail)
{
    const struct kernel *k = g->rows[row].kernel;
    bool wrong = verdict != VERDICT_PASS && verdict != VERDICT_SKIPPED;
    bool *told = &run->done->told[row * TOLD_COUNT + kind];
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
    if (wrong && !run->options->no_repro_line)
        printf("           reproduce: nf4bench verify --case '%s' --variant %s --axis threads=%u%s%s%s%s\n",
               text, k->name, g->threads, strcmp(device, "cpu") == 0 ? "" : " --device ",
               strcmp(device, "cpu") == 0 ? "" : device, k->option ? " " : "", k->option ? k->option : "");
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
    return status_fail(STATUS_MEMORY, "run: out of memory");
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

/* Whether k was given up; then *out is what that makes of its row in group `index`. */
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

/* `skip_all`: why no row of the group can run, or "". */
static enum status verify_rows(struct runner *run, size_t index, struct operands *o, const char *skip_all,
                               struct verification *results)
{
    const struct plan_group *g = &run->plan->groups[index];
    enum status s = STATUS_OK;
    for (size_t i = 0; i < g->row_count && s == STATUS_OK && !stop_early(run); i++) {
        const struct plan_row *row = &g->rows[i];
        if (interrupt_pending())
            return status_fail(STATUS_INTERRUPTED, "interrupted");
        if (row->skip || *skip_all) {
            results[i] = (struct verification){.verdict = VERDICT_SKIPPED, .first_mismatch = -1};
            SET_TEXT(results[i].reason, row->skip ? row->skip : skip_all);
        } else if (!is_given_up(run, index, row->kernel, &results[i])) {
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
        print_row(run, g, i, TOLD_VERDICT, results[i].verdict, results[i].reason, results[i].detail);
        count_row(&run->summary, results[i].verdict);
    }
    return s;
}

/* Times the rows that passed, in one regime, and adds a record for each and for the ceiling. */
static enum status measure_regime(struct runner *run, size_t index, enum regime regime,
                                  const struct operands *o, const struct verification *results,
                                  struct group_records *records, struct measure_group *timed)
{
    const struct plan_group *g = &run->plan->groups[index];
    const enum told told = regime == REGIME_HOT ? TOLD_HOT : TOLD_COLD;
    *timed = (struct measure_group){.operands = o, .regime = regime};
    timed->rows = calloc(g->row_count + CEILING_COUNT, sizeof *timed->rows);
    size_t *plan_row = calloc(g->row_count, sizeof *plan_row);
    if (!timed->rows || !plan_row) {
        free(plan_row);
        return no_memory();
    }
    for (size_t i = 0; i < g->row_count; i++) {
        if (results[i].verdict != VERDICT_PASS)
            continue;
        plan_row[timed->variant_count] = i;
        timed->rows[timed->variant_count].kernel = g->rows[i].kernel;
        timed->rows[timed->variant_count++].output_hash = results[i].output_hash;
    }
    enum status s = STATUS_OK;
    if (timed->variant_count > 0)
        s = measure_group(&run->measure, &run->plan->suite->measure, timed, o->problem.seed + index,
                          on_measure, run);
    /* An interrupted group is recorded if it has what its suite asks for at least, else it is left for
     * --resume. */
    bool enough = s == STATUS_OK || (s == STATUS_INTERRUPTED && timed->against &&
                                     timed->against->sample_count >= run->plan->suite->measure.min_samples);
    for (size_t i = 0; enough && i < timed->row_count; i++) {
        const struct measure_row *m = &timed->rows[i];
        struct record *r = add_record(records);
        if (!r) {
            s = no_memory();
            break;
        }
        set_problem(r, run, index, o);
        if (m->kernel) /* before what is computed of its bytes */
            set_kernel(r, m->kernel);
        set_measurement(r, timed, m, &run->measure, &g->problem);
        if (m->kernel) {
            struct verification v = results[plan_row[i]];
            struct judge_ceiling against = {ceiling_word(timed->against->ceiling),
                                            timed->against->summary.median, timed->against->summary.min,
                                            ceiling_bytes(timed->against->ceiling, &g->problem)};
            if (m->fault[0]) {
                v.verdict = m->ours      ? VERDICT_MISTRUSTED
                            : m->hung    ? VERDICT_TIMEOUT
                            : m->crashed ? VERDICT_CRASHED
                                         : VERDICT_FAIL;
                SET_TEXT(v.check, "timed_output");
                SET_TEXT(v.reason, m->fault);
                run->summary.faults++;
                print_row(run, g, plan_row[i], told, v.verdict, m->fault, "");
            } else {
                v.verdict = o->device->kind == DEVICE_CUDA
                                ? judge_gpu_times(r, &against, v.reason, sizeof v.reason)
                                : judge_cpu_times(r, &against, v.reason, sizeof v.reason);
                if (v.verdict != VERDICT_PASS)
                    print_row(run, g, plan_row[i], told, v.verdict, v.reason, "");
            }
            set_verification(r, &v);
        } else {
            snprintf(r->variant, sizeof r->variant, "ceiling_%s", ceiling_word(m->ceiling));
            SET_TEXT(r->arch, o->device->kind == DEVICE_CUDA ? "gpu" : "cpu");
        }
        records->samples[records->count - 1] = m->samples;
        records->flags[records->count - 1] = m->flags;
    }
    free(plan_row);
    return s;
}

static enum status run_group(struct runner *run, size_t index)
{
    const struct plan_group *g = &run->plan->groups[index];
    struct operands operands = {0};
    struct group_records records = {0};
    struct measure_group timed[2] = {{0}, {0}};
    struct verification *results = calloc(g->row_count, sizeof *results);
    char text[PROBLEM_TEXT_MAX], line[128];
    size_t pass_before = run->summary.pass, wrong_before = run_wrong(&run->summary);
    double start = clock_s();
    enum status s = results ? STATUS_OK : no_memory();

    if (run->done->group != index)
        memset(run->done->told, 0, run->done->row_max * TOLD_COUNT * sizeof run->done->told[0]);
    run->done->group = index;
    problem_format(&g->problem, text, sizeof text);
    if (run->together) {
        char label[sizeof text + sizeof run->name + 2];
        snprintf(label, sizeof label, "%s: %s", run->name, text);
        progress_step(&run->progress, g->expected_s, label);
    } else {
        progress_step(&run->progress, g->expected_s, text);
    }
    /* The executor's launches use all processors; threads of ours that wait for work by spinning, or a pinned
     * main thread, would take them away. */
    enum device_kind kind = run->plan->device->kind;
    if (kind == DEVICE_SIMT)
        omp_set_num_threads(1);
    else if (kind == DEVICE_CUDA)
        omp_set_num_threads((int)run->threads);
    else
        cpu_pin_threads(g->threads);
    if (s == STATUS_OK)
        s = operands_init(&g->problem, g->cold && kind == DEVICE_CPU ? operands_cold_copies(&g->problem) : 1,
                          run->plan->device, &operands);
    /* Too large for this machine: its rows say so, the run goes on. */
    char too_large[KERNEL_REASON_MAX] = "";
    if (s == STATUS_MEMORY && results) {
        SET_TEXT(too_large, status_message());
        s = STATUS_OK;
    }
    nvtx_push(text);
    nvtx_push("verify");
    if (s == STATUS_OK)
        s = verify_rows(run, index, &operands, too_large, results);
    nvtx_pop();
    const bool asked[2] = {g->cold, g->hot};
    for (int i = 0; i < 2 && s == STATUS_OK; i++)
        if (asked[i]) {
            nvtx_push(i ? "hot" : "cold");
            s = measure_regime(run, index, i ? REGIME_HOT : REGIME_COLD, &operands, results, &records,
                               &timed[i]);
            nvtx_pop();
        }
    nvtx_pop();
    /* Rows that were not timed, and all rows of a verify-only group, have a record without a regime. */
    bool complete = s == STATUS_OK;
    for (size_t i = 0; complete && i < g->row_count && s == STATUS_OK; i++) {
        if ((g->cold || g->hot) && results[i].verdict == VERDICT_PASS)
            continue;
        struct record *r = add_record(&records);
        if (!r) {
            s = no_memory();
            break;
        }
        set_problem(r, run, index, *too_large ? NULL : &operands);
        set_kernel(r, g->rows[i].kernel);
        set_verification(r, &results[i]);
    }
    if ((s == STATUS_OK || s == STATUS_INTERRUPTED) && run->journal && records.count) {
        judge_primary(records.rows, records.count);
        enum status appended =
            journal_append_flagged(run->journal, records.rows, records.samples, records.flags, records.count);
        s = appended != STATUS_OK ? appended : s;
    }
    if (complete && s == STATUS_OK) {
        run->kept[index] = true;
        run->summary.groups_done++;
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
    free(results);
    operands_release(&operands);
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
    for (size_t i = 0; i < plan->group_count; i++) {
        expected += run->kept[i] ? 0 : plan->groups[i].expected_s;
        steps += !run->kept[i];
    }
    progress_init(&run->progress, expected, steps);
    if (run->together)
        run->progress.terminal = false; /* several would draw over each other */
    nvtx_push(plan->suite->name);
    for (size_t i = 0; s == STATUS_OK && i < plan->group_count && !stop_early(run); i++)
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
    const struct plan_group *g = &run->plan->groups[run->done->group];
    struct given_up *grown = realloc(run->given_up, (run->given_up_count + 1) * sizeof *grown);
    if (!grown)
        return no_memory();
    run->given_up = grown;
    struct given_up *one = &grown[run->given_up_count++];
    *one = (struct given_up){.kernel = k, .verdict = verdict, .group = run->done->group};
    SET_TEXT(one->reason, reason);
    for (size_t row = 0; row < g->row_count; row++)
        if (g->rows[row].kernel == k)
            run->done->told[row * TOLD_COUNT + TOLD_VERDICT] = false;
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
    for (size_t i = 0; i < plan->group_count; i++)
        rows = plan->groups[i].row_count > rows ? plan->groups[i].row_count : rows;
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
    unsigned threads = cpu_available() / (together ? (unsigned)count : 1);
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
    for (size_t i = 0; s == STATUS_OK && i < t.groups; i++)
        kept[i] = kept[i] || !run_in_shard(options, i);
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
