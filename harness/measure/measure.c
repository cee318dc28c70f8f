/*
 * measure.c: the protocol of a measurement: begin, calibrate, settle, choose_calls, run_rounds, finish,
 * conclude. The samplers take the samples (sampler.h).
 */
#include "harness/measure/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/interrupt.h"
#include "harness/base/random.h"
#include "harness/measure/settle.h"
#include "harness/measure/stop.h"

struct measurement {
    struct sampling base; /* that the sampler starts from */
    struct sampling *s;   /* of the sampler: base and more; NULL before begin() */
    double *scratch;      /* [3 * max_samples] */
    size_t *order;        /* [row_count] of a round */
    uint64_t order_seed;
    measure_progress_fn *progress;
    void *progress_context;
};

/* ---- begin ---- */

static void add_ceilings(struct measure_group *g)
{
    const bool gpu = measure_device(g)->kind == DEVICE_CUDA;
    enum ceiling ceilings[CEILING_COUNT];
    g->row_count = g->variant_count;
    for (size_t p = 0; p < g->problem_count; p++) {
        size_t count = g->no_ceilings ? 0 : ceilings_of(&g->problems[p]->problem, gpu, ceilings);
        for (size_t i = 0; i < count; i++) {
            g->rows[g->row_count].problem = p;
            g->rows[g->row_count++].ceiling = ceilings[i];
        }
        g->against[p] = &g->rows[g->row_count - 1];
    }
}

static bool make_room(struct measure_row *r, size_t max_samples)
{
    r->samples = malloc((1 + RETRIES) * max_samples * sizeof *r->samples);
    r->flags = malloc((1 + RETRIES) * max_samples * sizeof *r->flags);
    if (!r->samples || !r->flags)
        return false;
    r->retried_samples = r->samples + max_samples;
    r->retried_flags = r->flags + max_samples;
    return true;
}

static enum status begin(struct measurement *m)
{
    struct measure_group *g = m->base.group;
    const size_t max_samples = m->base.settings->max_samples;
    add_ceilings(g);
    m->scratch = malloc(3 * max_samples * sizeof *m->scratch);
    m->order = malloc(g->row_count * sizeof *m->order);
    bool room = m->scratch && m->order;
    for (size_t i = 0; i < g->row_count && room; i++) {
        m->order[i] = i;
        room = make_room(&g->rows[i], max_samples);
    }
    return room ? m->base.sampler->begin(m->base, &m->s) : status_no_memory("measure");
}

/* ---- calibrate and settle: with the first group of a run only ---- */

static enum status calibrate(struct measurement *m)
{
    if (m->base.state->calibrated)
        return STATUS_OK;
    m->base.state->calibrated = true;
    return m->base.sampler->calibrate(m->s);
}

static bool any_row_left(const struct measure_group *g)
{
    for (size_t i = 0; i < g->row_count; i++)
        if (!g->rows[i].ended)
            return true;
    return false;
}

/* Calls a row until the machine's speed is steady. */
static enum status settle(struct measurement *m)
{
    struct measure_state *state = m->base.state;
    struct settle settle;
    double us, mhz;
    const double cap_s = m->base.settings->settle_seconds;
    if (state->settled || cap_s <= 0)
        return STATUS_OK;
    state->settled = true;
    if (!settle_init(&settle, clock_s(), cap_s))
        return status_no_memory("measure");
    enum status s;
    do
        s = m->base.sampler->settle_call(m->s, &us, &mhz);
    while (s == STATUS_OK && !interrupt_pending() && any_row_left(m->base.group) &&
           settle_add(&settle, clock_s(), us, mhz));
    state->unsettled = !settle.steady;
    state->settled_mhz = settle.mhz;
    settle_release(&settle);
    return s;
}

/* ---- choose_calls and run_rounds ---- */

static enum status choose_calls(struct measurement *m)
{
    for (size_t i = 0; i < m->base.group->row_count; i++)
        if (!m->base.group->rows[i].ended)
            TRY(m->base.sampler->choose_calls(m->s, i));
    return STATUS_OK;
}

/* A new order every second round, and then the same backward (ABBA): what drifts evenly hits all rows alike.
 */
static void next_order(size_t *order, size_t count, uint64_t seed, size_t round)
{
    for (size_t i = count; i-- > 1;) {
        size_t j =
            round % 2 == 0 ? random_u64(seed, RANDOM_ORDER, round * count + i) % (i + 1) : count - 1 - i;
        if (round % 2 != 0 && j >= i)
            break;
        size_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

static enum status run_round(struct measurement *m, size_t round)
{
    struct measure_group *g = m->base.group;
    next_order(m->order, g->row_count, m->order_seed, round);
    for (size_t i = 0; i < g->row_count; i++) {
        const size_t row = m->order[i];
        struct measure_row *r = &g->rows[row];
        if (r->ended)
            continue;
        struct timed_sample sample = {0};
        TRY(m->base.sampler->sample(m->s, row, round, &sample));
        if (r->ended)
            continue;
        r->samples[round] = sample.us;
        r->flags[round] = sample.flags;
        r->sample_count = round + 1;
    }
    return STATUS_OK;
}

static enum status run_rounds(struct measurement *m)
{
    const struct measure_settings *settings = m->base.settings;
    const double start = clock_s();
    for (size_t round = 0;; round++) {
        const double elapsed_s = clock_s() - start;
        if (stop_now(settings, m->base.group, round, elapsed_s, m->scratch))
            return STATUS_OK;
        if (interrupt_pending())
            return status_fail(STATUS_INTERRUPTED, "interrupted");
        if (m->progress)
            m->progress(
                m->progress_context, round,
                fmax(elapsed_s / settings->max_seconds, (double)round / (double)settings->max_samples));
        TRY(run_round(m, round));
    }
}

static enum status take_samples(struct measurement *m)
{
    TRY(begin(m));
    TRY(calibrate(m));
    TRY(settle(m));
    TRY(choose_calls(m));
    return run_rounds(m);
}

/* ---- finish and conclude ---- */

/* The samples of a row's rounds, NAN for excluded ones. */
static void mask(const struct measure_row *r, size_t count, double *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = r->flags[i] & SAMPLE_EXCLUDED ? NAN : r->samples[i];
}

static void conclude_row(const struct measurement *m, struct measure_row *r)
{
    const struct measure_row *against = m->base.group->against[r->problem];
    double *mine = m->scratch, *other = mine + m->base.settings->max_samples,
           *ratios = other + m->base.settings->max_samples;
    const bool precise = stop_row_precise(r, m->base.settings->precision, m->scratch, &r->summary);
    r->precise = r->sample_count && precise;
    for (size_t i = 0; i < r->sample_count; i++)
        r->excluded += (r->flags[i] & SAMPLE_EXCLUDED) != 0;
    r->ceiling_fraction = (struct paired_ratio){NAN, {NAN, NAN}, 0};
    size_t paired = r->sample_count < against->sample_count ? r->sample_count : against->sample_count;
    if (!r->kernel || r == against || paired == 0)
        return;
    mask(against, paired, other);
    mask(r, paired, mine);
    paired_ratio(other, mine, paired, ratios, &r->ceiling_fraction);
}

static void end(struct measurement *m)
{
    for (size_t i = 0; i < m->base.group->row_count; i++) {
        struct measure_row *r = &m->base.group->rows[i];
        if (!r->retried_samples)
            continue;
        /* The retried samples come behind those of the rounds. */
        memmove(r->samples + r->sample_count, r->retried_samples, r->retried * sizeof *r->samples);
        memmove(r->flags + r->sample_count, r->retried_flags, r->retried * sizeof *r->flags);
        r->retried_samples = NULL;
        r->retried_flags = NULL;
    }
    if (m->s)
        m->base.sampler->end(m->s);
    free(m->order);
    free(m->scratch);
}

enum status measure_group(struct measure_state *state, const struct measure_settings *settings,
                          struct measure_group *group, uint64_t order_seed, measure_progress_fn *progress,
                          void *context)
{
    struct measurement m = {.base = {&sampler_callers, settings, group, state},
                            .order_seed = order_seed,
                            .progress = progress,
                            .progress_context = context};
    enum status s = take_samples(&m);
    if (m.s && (s == STATUS_OK || s == STATUS_INTERRUPTED)) {
        const enum status finished = m.base.sampler->finish(m.s);
        s = finished == STATUS_OK ? s : finished; /* an error of the sampler comes before an interrupt */
        for (size_t i = 0; i < group->row_count; i++)
            conclude_row(&m, &group->rows[i]);
    }
    end(&m);
    return s;
}

void measure_group_release(struct measure_group *group)
{
    for (size_t i = 0; i < group->row_count; i++) {
        free(group->rows[i].samples);
        free(group->rows[i].flags);
    }
    free(group->rows);
    group->rows = NULL;
    group->row_count = 0;
}
