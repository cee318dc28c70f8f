/*
 * measure.c: rounds, order, and when to stop; how a sample is taken is the samplers' business (sampler.h).
 */
#include "harness/measure/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/interrupt.h"
#include "harness/base/random.h"
#include "harness/measure/settle.h"
#include "harness/provider/openblas.h"

enum { PRECISION_EVERY = 8 /* rounds between looks at the stopping rule */ };

/* Whether there is a row to call. */
static bool any_left(const struct measure_group *g)
{
    for (size_t i = 0; i < g->row_count; i++)
        if (!g->rows[i].ended)
            return true;
    return false;
}

/* Calls a row until the machine's speed is steady. */
static enum status settle_device(struct sampling *s)
{
    struct measure_state *state = s->state;
    struct settle settle;
    double us, mhz, cap_s = s->settings->settle_seconds;
    enum status status = STATUS_OK;
    if (cap_s <= 0)
        return STATUS_OK;
    if (!settle_init(&settle, clock_s(), cap_s))
        return status_no_memory("measure");
    do
        status = s->sampler->settle_call(s, &us, &mhz);
    while (status == STATUS_OK && !interrupt_pending() && any_left(s->group) &&
           settle_add(&settle, clock_s(), us, mhz));
    state->unsettled = !settle.steady;
    state->settled_mhz = settle.mhz;
    state->settle_s = settle.seconds;
    settle_release(&settle);
    return status;
}

/* The samples of the rounds that count in statistics: those without an excluding flag, or all of them where
 * nothing would be left. */
static size_t kept_samples(const struct measure_row *r, double *out)
{
    size_t count = 0;
    for (size_t i = 0; i < r->sample_count; i++)
        if (!(r->flags[i] & SAMPLE_EXCLUDED))
            out[count++] = r->samples[i];
    if (count > 0)
        return count;
    memcpy(out, r->samples, r->sample_count * sizeof *out);
    return r->sample_count;
}

static void summarize_row(const struct measure_row *r, double *scratch, struct sample_summary *out)
{
    size_t count = kept_samples(r, scratch);
    summarize(scratch, count, scratch + count, out);
}

static bool row_precise(const struct measure_row *r, double precision, double *scratch)
{
    struct sample_summary s;
    summarize_row(r, scratch, &s);
    return s.median_ci.hi - s.median <= precision * s.median &&
           s.median - s.median_ci.lo <= precision * s.median;
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

static enum status run_rounds(struct sampling *s, uint64_t order_seed, double *scratch,
                              measure_progress_fn *progress, void *context)
{
    const struct measure_settings *m = s->settings;
    struct measure_group *g = s->group;
    size_t *order = malloc(g->row_count * sizeof *order);
    if (!order)
        return status_no_memory("measure");
    for (size_t i = 0; i < g->row_count; i++)
        order[i] = i;
    double start = clock_s();
    enum status status = STATUS_OK;
    for (size_t round = 0; round < m->max_samples && status == STATUS_OK; round++) {
        double elapsed = clock_s() - start;
        if (interrupt_pending()) {
            status = status_fail(STATUS_INTERRUPTED, "interrupted");
            break;
        }
        if (round >= m->min_samples) {
            if (elapsed >= m->max_seconds)
                break;
            bool precise = round % PRECISION_EVERY == 0;
            for (size_t row = 0; precise && row < g->row_count; row++)
                precise = g->rows[row].ended || row_precise(&g->rows[row], m->precision, scratch);
            if (precise)
                break;
        }
        if (progress)
            progress(context, round, fmax(elapsed / m->max_seconds, (double)round / (double)m->max_samples));
        next_order(order, g->row_count, order_seed, round);
        for (size_t i = 0; i < g->row_count && status == STATUS_OK; i++) {
            struct measure_row *r = &g->rows[order[i]];
            if (r->ended)
                continue;
            struct timed_sample sample = {0};
            status = s->sampler->sample(s, order[i], round, &sample);
            if (status != STATUS_OK || r->ended)
                continue;
            r->samples[round] = sample.us;
            r->flags[round] = sample.flags;
            r->sample_count = round + 1;
        }
    }
    free(order);
    return status;
}

/* The samples of a row's rounds, NAN for excluded ones. */
static void mask(const struct measure_row *r, size_t count, double *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = r->flags[i] & SAMPLE_EXCLUDED ? NAN : r->samples[i];
}

static void conclude_row(struct measure_row *r, const struct measure_row *against, double precision,
                         size_t max, double *scratch)
{
    summarize_row(r, scratch, &r->summary);
    r->precise = r->sample_count && row_precise(r, precision, scratch);
    for (size_t i = 0; i < r->sample_count; i++)
        r->excluded += (r->flags[i] & SAMPLE_EXCLUDED) != 0;
    r->ceiling_fraction = (struct paired_ratio){NAN, {NAN, NAN}, 0};
    size_t paired = r->sample_count < against->sample_count ? r->sample_count : against->sample_count;
    if (!r->kernel || r == against || paired == 0)
        return;
    mask(against, paired, scratch);
    mask(r, paired, scratch + max);
    paired_ratio(scratch, scratch + max, paired, scratch + 2 * max, &r->ceiling_fraction);
}

static bool make_room(struct measure_row *r, size_t max)
{
    r->samples = malloc((1 + RETRIES) * max * sizeof *r->samples);
    r->flags = malloc((1 + RETRIES) * max * sizeof *r->flags);
    if (!r->samples || !r->flags)
        return false;
    r->retried_samples = r->samples + max;
    r->retried_flags = r->flags + max;
    return true;
}

/* Puts the retried samples behind the rounds. */
static void close_gap(struct measure_row *r)
{
    memmove(r->samples + r->sample_count, r->retried_samples, r->retried * sizeof *r->samples);
    memmove(r->flags + r->sample_count, r->retried_flags, r->retried * sizeof *r->flags);
    r->retried_samples = NULL;
    r->retried_flags = NULL;
}

static void add_ceilings(struct measure_group *g, bool gpu)
{
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

enum status measure_group(struct measure_state *state, const struct measure_settings *settings,
                          struct measure_group *group, uint64_t order_seed, measure_progress_fn *progress,
                          void *context)
{
    struct sampling *s = NULL;
    const bool gpu = measure_device(group)->kind == DEVICE_CUDA;
    const struct sampler *sampler = gpu ? &sampler_cuda : &sampler_cpu;
    size_t max = settings->max_samples;
    double *scratch = malloc(3 * max * sizeof *scratch);
    enum status status = scratch ? STATUS_OK : status_no_memory("measure");
    add_ceilings(group, gpu);
    for (size_t i = 0; i < group->row_count && status == STATUS_OK; i++)
        if (!make_room(&group->rows[i], max))
            status = status_no_memory("measure");
    if (status == STATUS_OK)
        status = sampler->begin((struct sampling){sampler, settings, group, state}, &s);
    if (status == STATUS_OK && !state->settled_asked) {
        state->settled_asked = true;
        status = sampler->calibrate(s);
        if (status == STATUS_OK && !gpu && !group->no_ceilings)
            state->gemm_flop_per_s = openblas_flop_per_s();
        if (status == STATUS_OK)
            status = settle_device(s);
    }
    for (size_t i = 0; i < group->row_count && status == STATUS_OK; i++)
        if (!group->rows[i].ended)
            status = sampler->choose_calls(s, i);
    if (status == STATUS_OK)
        status = run_rounds(s, order_seed, scratch, progress, context);
    if (status == STATUS_OK || status == STATUS_INTERRUPTED) {
        enum status finished = sampler->finish(s);
        status = finished == STATUS_OK ? status : finished;
        for (size_t i = 0; i < group->row_count; i++)
            conclude_row(&group->rows[i], group->against[group->rows[i].problem], settings->precision, max,
                         scratch);
    }
    for (size_t i = 0; i < group->row_count; i++)
        if (group->rows[i].retried_samples)
            close_gap(&group->rows[i]);
    if (s)
        sampler->end(s);
    free(scratch);
    return status;
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
