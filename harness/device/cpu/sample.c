/*
 * device/cpu/sample.c: samples on the CPU, where the harness calls the variants itself.
 */
#include "harness/device/sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <omp.h>

#include "harness/base/clock.h"
#include "harness/base/call_state.h"
#include "harness/base/random.h"
#include "harness/base/stats.h"
#include "harness/base/watch.h"
#include "harness/device/call.h"
#include "harness/device/ceiling.h"

enum {
    PLACES = 32, /* checked in every timed output */
    TIMER_PAIRS = 1001,
    TRIAL_CALLS = 3,  /* before calls_per_sample of a hot row is chosen */
    SEED_AFTER = 1000 /* of the poison after timing; before: 0 */
};

struct cpu_sampling {
    struct sampling base;
    void ***prepared;         /* [variant_count][copies of the row's operands] */
    size_t *next_set;         /* [problem_count] of the rotation */
    size_t (*places)[PLACES]; /* [problem_count] byte offsets of 4-byte windows in the output */
    uint32_t (*want)[PLACES]; /* [variant_count] of each row's right output: contracts differ in bits */
    volatile unsigned long long sink;
};

static struct cpu_sampling *of(struct sampling *s)
{
    return (struct cpu_sampling *)s;
}

static const struct operands *operands_of(const struct cpu_sampling *s, size_t row)
{
    return measure_operands(s->base.group, row);
}

static const size_t *places_of(const struct cpu_sampling *s, size_t row)
{
    return s->places[s->base.group->rows[row].problem];
}

/* The operand set whose turn it is. */
static size_t rotate(struct cpu_sampling *s, size_t row)
{
    return s->next_set[s->base.group->rows[row].problem]++ % operands_of(s, row)->copies;
}

/* Those of the problem's format; the others are of size 0. */
static void read_scales(struct cpu_sampling *s, const struct operand_set *set)
{
    const struct buffer *const all[] = {&set->absmax, &set->absmax_code, &set->scale, &set->zero};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i]->size)
            s->sink += ceiling_read(all[i]->data, all[i]->size);
}

/* One call of a row on a set; the ceiling touches the bytes of that set. Within watch_row(). */
static void call_bare(struct cpu_sampling *s, size_t row, size_t set)
{
    const struct operands *o = operands_of(s, row);
    const struct operand_set *bytes = &o->sets[set];
    if (!row_is_ceiling(s->base.group, row)) {
        call_cpu(o, set, s->base.group->rows[row].kernel, s->prepared[row][set]);
    } else if (s->base.group->rows[row].ceiling == CEILING_FILL) {
        ceiling_fill(bytes->out.data, bytes->out.size, s->base.group->regime == REGIME_COLD);
    } else if (s->base.group->rows[row].ceiling == CEILING_COPY) {
        s->sink += ceiling_copy(bytes->packed.data, bytes->packed.size, bytes->out.data, bytes->out.size,
                                s->base.group->regime == REGIME_COLD);
        read_scales(s, bytes);
    } else {
        s->sink += ceiling_read(bytes->packed.data, bytes->packed.size);
        read_scales(s, bytes);
    }
}

/* A ceiling is no variant: it is not watched. */
static void watch_row(const struct cpu_sampling *s, size_t row, const char *what)
{
    if (!row_is_ceiling(s->base.group, row))
        watch_begin(s->base.group->rows[row].kernel, what);
}

/* A team of no more threads than the row has: others would be awake while it is timed. */
static void blame_call_state(struct cpu_sampling *s, size_t row, const struct call_state *before)
{
    struct measure_row *r = &s->base.group->rows[row];
    char changed[96];
    if (call_state_changed(before, changed, sizeof changed) && !row_is_ceiling(s->base.group, row) &&
        !r->fault[0])
        snprintf(r->fault, sizeof r->fault, "changed what runs after it: %s", changed);
}

static void call(struct cpu_sampling *s, size_t row, size_t set)
{
    const struct call_state before = call_state_set(omp_get_max_threads());
    watch_row(s, row, "a call before or after timing");
    call_bare(s, row, set);
    watch_end();
    blame_call_state(s, row, &before);
}

/* ---- timed outputs ---- */

static void choose_places(struct cpu_sampling *s, size_t problem)
{
    const struct operands *o = s->base.group->problems[problem];
    size_t words = o->sets[0].out.size / 4;
    for (size_t i = 0; i < PLACES; i++) {
        /* Both ends and random places between. */
        size_t word = i == 0   ? 0
                      : i == 1 ? words - 1
                               : random_u64(o->problem.seed, RANDOM_ORDER, i) % (words ? words : 1);
        s->places[problem][i] = words ? word * 4 : SIZE_MAX;
    }
}

static void poison_places(struct cpu_sampling *s, size_t row, size_t set)
{
    const size_t *places = places_of(s, row);
    for (size_t i = 0; i < PLACES && places[i] != SIZE_MAX; i++)
        memset((char *)operands_of(s, row)->sets[set].out.data + places[i], 0xff, 4);
}

/* Its beginning, in which a variant would find what an earlier call left; what is timed stays in place. */
static void poison_workspace(const struct cpu_sampling *s, size_t row)
{
    enum { BEGINNING = 4096 };
    const struct buffer *b = &operands_of(s, row)->workspace;
    memset(b->data, 0xff, b->size < BEGINNING ? b->size : BEGINNING);
}

static void look_at_places(struct cpu_sampling *s, size_t row, size_t set, size_t round)
{
    struct measure_row *r = &s->base.group->rows[row];
    if (row_is_ceiling(s->base.group, row) || r->fault[0])
        return;
    bool pinned = r->kernel->contract.accumulation != ACC_ANY;
    const size_t *places = places_of(s, row);
    for (size_t i = 0; i < PLACES && places[i] != SIZE_MAX; i++) {
        uint32_t got;
        memcpy(&got, (char *)operands_of(s, row)->sets[set].out.data + places[i], 4);
        if (got == 0xffffffff || (pinned && got != s->want[row][i])) {
            snprintf(r->fault, sizeof r->fault, "timed output of round %zu is wrong at byte %zu%s", round,
                     places[i], got == 0xffffffff ? ": never written" : "");
            return;
        }
    }
}

/* One output of each row is hashed whole; also gives the places' right values at the start. */
static void check_whole_outputs(struct cpu_sampling *s, bool first)
{
    for (size_t row = 0; row < s->base.group->variant_count; row++) {
        const struct operands *o = operands_of(s, row);
        const size_t *places = places_of(s, row);
        struct measure_row *r = &s->base.group->rows[row];
        buffer_poison(&o->sets[0].out, o->problem.seed + row + (first ? 0 : SEED_AFTER));
        call(s, row, 0);
        char what[120];
        if (r->fault[0])
            continue;
        if (r->kernel->contract.accumulation != ACC_ANY) {
            if (bytes_hash(o->sets[0].out.data, o->sets[0].out.size) != r->output_hash)
                snprintf(r->fault, sizeof r->fault, "the output %s timing is not the verified one",
                         first ? "before" : "after");
            else
                for (size_t i = 0; first && i < PLACES && places[i] != SIZE_MAX; i++)
                    memcpy(&s->want[row][i], (char *)o->sets[0].out.data + places[i], 4);
        }
        if (!r->fault[0] && !operands_intact(o, 0, what, sizeof what))
            snprintf(r->fault, sizeof r->fault, "during timing: %s", what);
    }
}

/* ---- samples ---- */

static enum status sample(struct sampling *base, size_t row, size_t round, struct timed_sample *out)
{
    struct cpu_sampling *s = of(base);
    struct measure_row *r = &base->group->rows[row];
    size_t set = 0;
    const struct call_state before = call_state_set(omp_get_max_threads());
    watch_row(s, row, "a timed sample"); /* as a whole: nothing of ours is between the calls */
    if (s->base.group->regime == REGIME_COLD)
        set = rotate(s, row);
    else
        call_bare(s, row, set); /* the others have been there since: warm up again */
    if (!row_is_ceiling(s->base.group, row)) {
        poison_places(s, row, set);
        poison_workspace(s, row);
    }
    double start = clock_us();
    for (size_t i = 0; i < r->calls_per_sample; i++)
        call_bare(s, row, set);
    double end = clock_us();
    if (r->slowdown > 0)
        for (const double late = end + r->slowdown * (end - start); end < late;)
            end = clock_us();
    watch_end();
    blame_call_state(s, row, &before);
    look_at_places(s, row, set, round);
    out->us = (end - start) / (double)r->calls_per_sample;
    return STATUS_OK;
}

static double timer_overhead(void)
{
    double pairs[TIMER_PAIRS], scratch[TIMER_PAIRS];
    struct sample_summary summary;
    for (size_t i = 0; i < TIMER_PAIRS; i++) {
        double start = clock_us();
        pairs[i] = clock_us() - start;
    }
    summarize(pairs, TIMER_PAIRS, scratch, &summary);
    return summary.median;
}

static enum status prepare_row(struct cpu_sampling *s, size_t row)
{
    const struct operands *o = operands_of(s, row);
    enum status status = STATUS_OK;
    s->prepared[row] = calloc(o->copies, sizeof **s->prepared);
    if (!s->prepared[row])
        return status_no_memory("measure");
    for (size_t set = 0; set < o->copies && status == STATUS_OK; set++)
        status = operands_prepare_for(o, set, s->base.group->rows[row].kernel, &s->prepared[row][set]);
    return status;
}

static void unprepare_row(struct cpu_sampling *s, size_t row)
{
    const struct kernel *k = s->base.group->rows[row].kernel;
    for (size_t set = 0; s->prepared[row] && k->unprepare && set < operands_of(s, row)->copies; set++)
        k->unprepare(s->prepared[row][set]);
    free(s->prepared[row]);
}

/* ---- the sampler ---- */

static enum status begin(struct sampling base, struct sampling **out)
{
    struct cpu_sampling *s = calloc(1, sizeof *s);
    if (!s)
        return status_no_memory("measure");
    s->base = base;
    struct measure_group *g = base.group;
    s->want = calloc(g->row_count, sizeof *s->want);
    s->prepared = calloc(g->row_count, sizeof *s->prepared);
    s->places = calloc(g->problem_count, sizeof *s->places);
    s->next_set = calloc(g->problem_count, sizeof *s->next_set);
    enum status status =
        s->want && s->prepared && s->places && s->next_set ? STATUS_OK : status_no_memory("measure");
    for (size_t row = 0; row < g->variant_count && status == STATUS_OK; row++)
        status = prepare_row(s, row);
    if (status != STATUS_OK) {
        base.sampler->end(&s->base);
        return status;
    }
    for (size_t row = 0; row < g->row_count; row++)
        g->rows[row].copies = g->regime == REGIME_COLD ? operands_of(s, row)->copies : 1;
    for (size_t problem = 0; problem < g->problem_count; problem++)
        choose_places(s, problem);
    check_whole_outputs(s, true);
    *out = &s->base;
    return STATUS_OK;
}

static enum status calibrate(struct sampling *base)
{
    base->state->timer_overhead_us = timer_overhead();
    base->state->gemm_flop_per_s = NAN; /* not the CPU's own: measure.c asks OpenBLAS */
    return STATUS_OK;
}

static enum status settle_call(struct sampling *base, double *us, double *mhz)
{
    *mhz = NAN;
    struct cpu_sampling *s = of(base);
    double start = clock_us();
    call(s, 0, rotate(s, 0));
    *us = clock_us() - start;
    return STATUS_OK;
}

static enum status choose_calls(struct sampling *base, size_t row)
{
    struct measure_row *r = &base->group->rows[row];
    struct cpu_sampling *s = of(base);
    r->calls_per_sample = 1;
    if (base->group->regime != REGIME_HOT)
        return STATUS_OK;
    call(s, row, 0);
    double best = INFINITY;
    for (int i = 0; i < TRIAL_CALLS; i++) {
        double start = clock_us();
        call(s, row, 0);
        best = fmin(best, clock_us() - start);
    }
    r->calls_per_sample = hot_calls(best);
    return STATUS_OK;
}

static enum status finish(struct sampling *base)
{
    check_whole_outputs(of(base), false);
    return STATUS_OK;
}

static void end(struct sampling *base)
{
    struct cpu_sampling *s = of(base);
    for (size_t row = 0; s->prepared && row < base->group->variant_count; row++)
        unprepare_row(s, row);
    free(s->prepared);
    free(s->places);
    free(s->next_set);
    free(s->want);
    free(s);
}

const struct sampler sampler_cpu = {begin, calibrate, settle_call, choose_calls, sample, finish, end};
