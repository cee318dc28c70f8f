/*
 * measure.c: rounds, order, and when to stop; how a sample is taken is the samplers' business (sampler.h).
 */
#include "harness/measure.h"

#include <math.h>
#include <stdlib.h>

#include "harness/clock.h"
#include "harness/interrupt.h"
#include "harness/random.h"
#include "harness/sampler.h"

enum {
    SETTLE_WINDOW_MS = 250,
    SETTLE_MIN_MS = 1000,
    PRECISION_EVERY = 8, /* rounds between looks at the stopping rule */
};
static const double settle_tolerance = 0.005; /* two windows' medians differ by less: settled */

/* Calls a row until the machine's speed is steady. */
static enum status settle(struct sampling *s)
{
    enum { WINDOW_MAX = 100000 };
    struct measure_state *state = s->state;
    double start = clock_s(), cap = s->settings->settle_seconds, before = 0;
    double *window = malloc(2 * WINDOW_MAX * sizeof *window);
    enum status status = STATUS_OK;
    if (!window || cap <= 0) {
        free(window);
        return STATUS_OK;
    }
    state->unsettled = true;
    while (clock_s() - start < cap && !interrupt_pending() && status == STATUS_OK) {
        size_t count = 0;
        double window_start = clock_us();
        while (status == STATUS_OK && count < WINDOW_MAX &&
               (count < 5 || clock_us() - window_start < 1e3 * SETTLE_WINDOW_MS))
            status = s->sampler->settle_call(s, &window[count++]);
        struct sample_summary summary;
        summarize(window, count, window + WINDOW_MAX, &summary);
        bool steady = fabs(summary.median - before) < settle_tolerance * summary.median;
        before = summary.median;
        if (steady && clock_s() - start >= 1e-3 * SETTLE_MIN_MS) {
            state->unsettled = false;
            break;
        }
    }
    state->settle_s = clock_s() - start;
    free(window);
    return status;
}

static bool row_precise(const struct measure_row *r, double precision, double *scratch)
{
    struct sample_summary s;
    summarize(r->samples, r->sample_count, scratch, &s);
    return s.median_ci.hi - s.median <= precision * s.median &&
           s.median - s.median_ci.lo <= precision * s.median;
}

static enum status run_rounds(struct sampling *s, uint64_t order_seed, double *scratch,
                              measure_progress_fn *progress, void *context)
{
    const struct measure_settings *m = s->settings;
    struct measure_group *g = s->group;
    size_t *order = malloc(g->row_count * sizeof *order);
    if (!order)
        return status_fail(STATUS_MEMORY, "measure: out of memory");
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
        for (size_t i = g->row_count; i-- > 1;) {
            size_t j = random_u64(order_seed, RANDOM_ORDER, round * g->row_count + i) % (i + 1),
                   swap = order[i];
            order[i] = order[j];
            order[j] = swap;
        }
        for (size_t i = 0; i < g->row_count && status == STATUS_OK; i++) {
            struct measure_row *r = &g->rows[order[i]];
            if (r->ended)
                continue;
            status = s->sampler->sample(s, order[i], round, &r->samples[round]);
            if (status == STATUS_OK && !r->ended)
                r->sample_count = round + 1;
        }
    }
    free(order);
    return status;
}

enum status measure_group(struct measure_state *state, const struct measure_settings *settings,
                          struct measure_group *group, uint64_t order_seed, measure_progress_fn *progress,
                          void *context)
{
    struct sampling *s = NULL;
    const struct sampler *sampler =
        group->operands->device->kind == DEVICE_CUDA ? &sampler_cuda : &sampler_cpu;
    size_t max = settings->max_samples;
    double *scratch = malloc(2 * max * sizeof *scratch);
    enum status status = scratch ? STATUS_OK : status_fail(STATUS_MEMORY, "measure: out of memory");
    group->ceiling = group->operands->problem.op == OP_DEQUANT ? "fill" : "read";
    group->rows[group->row_count - 1].kernel = NULL;
    for (size_t i = 0; i < group->row_count && status == STATUS_OK; i++) {
        group->rows[i].samples = malloc(max * sizeof(double));
        if (!group->rows[i].samples)
            status = status_fail(STATUS_MEMORY, "measure: out of memory");
    }
    if (status == STATUS_OK)
        status = sampler->begin((struct sampling){sampler, settings, group, state}, &s);
    if (status == STATUS_OK && !state->settled_asked) {
        state->settled_asked = true;
        status = sampler->calibrate(s);
        if (status == STATUS_OK)
            status = settle(s);
    }
    for (size_t i = 0; i < group->row_count && status == STATUS_OK; i++)
        if (!group->rows[i].ended)
            status = sampler->choose_calls(s, i);
    if (status == STATUS_OK)
        status = run_rounds(s, order_seed, scratch, progress, context);
    if (status == STATUS_OK || status == STATUS_INTERRUPTED) {
        enum status finished = sampler->finish(s);
        status = finished == STATUS_OK ? status : finished;
        const struct measure_row *ceiling = &group->rows[group->row_count - 1];
        for (size_t i = 0; i < group->row_count; i++) {
            struct measure_row *r = &group->rows[i];
            summarize(r->samples, r->sample_count, scratch, &r->summary);
            r->precise = r->sample_count && row_precise(r, settings->precision, scratch);
            r->ceiling_fraction = (struct paired_ratio){NAN, {NAN, NAN}, 0};
            size_t paired = r->sample_count < ceiling->sample_count ? r->sample_count : ceiling->sample_count;
            if (r != ceiling && paired)
                paired_ratio(ceiling->samples, r->samples, paired, scratch, &r->ceiling_fraction);
        }
    }
    if (s)
        sampler->end(s);
    free(scratch);
    return status;
}

void measure_group_release(struct measure_group *group)
{
    for (size_t i = 0; i < group->row_count; i++)
        free(group->rows[i].samples);
    free(group->rows);
    group->rows = NULL;
    group->row_count = 0;
}
