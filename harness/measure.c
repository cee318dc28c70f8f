#include "harness/measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/call.h"
#include "harness/ceiling.h"
#include "harness/clock.h"
#include "harness/interrupt.h"
#include "harness/random.h"

enum {
    PLACES = 32,         /* looked at in every timed output */
    HOT_SAMPLE_US = 200, /* a hot sample is at least this long */
    CALLS_MAX = 1024,
    SETTLE_WINDOW_MS = 250,
    SETTLE_MIN_MS = 1000,
    TIMER_PAIRS = 1001,
    PRECISION_EVERY = 8, /* rounds between looks at the stopping rule */
};
static const double settle_tolerance = 0.005; /* two windows' medians differ by less: settled */

/* One group in progress. */
struct session {
    const struct measure_settings *settings;
    struct measure_group *group;
    void **prepared;          /* [row_count - 1][copies] */
    size_t next_set;          /* of the rotation */
    size_t places[PLACES];    /* byte offsets of 4-byte windows in the output */
    uint32_t (*want)[PLACES]; /* [row_count - 1] of each row's right output: contracts differ in bits */
    volatile unsigned long long sink;
};

static void *prepared_for(const struct session *s, size_t row, size_t set)
{
    return s->prepared[row * s->group->operands->copies + set];
}

static bool is_ceiling(const struct session *s, size_t row)
{
    return row == s->group->row_count - 1;
}

/* One call of a row on a set; the ceiling touches the bytes of that set. */
static void call(struct session *s, size_t row, size_t set)
{
    const struct operands *o = s->group->operands;
    const struct operand_set *bytes = &o->sets[set];
    if (!is_ceiling(s, row)) {
        call_kernel(o, set, s->group->rows[row].kernel, prepared_for(s, row, set), NULL);
    } else if (o->problem.op == OP_DEQUANT) {
        ceiling_fill(bytes->out.data, bytes->out.size, s->group->regime == REGIME_COLD);
    } else {
        s->sink += ceiling_read(bytes->packed.data, bytes->packed.size);
        const struct buffer *scales = o->problem.nested ? &bytes->absmax_code : &bytes->absmax;
        s->sink += ceiling_read(scales->data, scales->size);
    }
}

/* ---- timed outputs ---- */

static void choose_places(struct session *s)
{
    const struct operands *o = s->group->operands;
    size_t words = o->sets[0].out.size / 4;
    for (size_t i = 0; i < PLACES; i++) {
        /* Both ends and random places between. */
        size_t word = i == 0   ? 0
                      : i == 1 ? words - 1
                               : random_u64(o->problem.seed, RANDOM_ORDER, i) % (words ? words : 1);
        s->places[i] = words ? word * 4 : SIZE_MAX;
    }
}

static void poison_places(struct session *s, size_t set)
{
    for (size_t i = 0; i < PLACES && s->places[i] != SIZE_MAX; i++)
        memset((char *)s->group->operands->sets[set].out.data + s->places[i], 0xff, 4);
}

static void look_at_places(struct session *s, size_t row, size_t set, size_t round)
{
    struct measure_row *r = &s->group->rows[row];
    if (is_ceiling(s, row) || r->fault[0])
        return;
    bool pinned = r->kernel->contract.accumulation != ACC_ANY;
    for (size_t i = 0; i < PLACES && s->places[i] != SIZE_MAX; i++) {
        uint32_t got;
        memcpy(&got, (char *)s->group->operands->sets[set].out.data + s->places[i], 4);
        if (got == 0xffffffff || (pinned && got != s->want[row][i])) {
            snprintf(r->fault, sizeof r->fault, "timed output of round %zu is wrong at byte %zu%s", round,
                     s->places[i], got == 0xffffffff ? ": never written" : "");
            return;
        }
    }
}

/* One output of each row is hashed whole; also gives the places' right values at the start. */
static void check_whole_outputs(struct session *s, bool first)
{
    const struct operands *o = s->group->operands;
    for (size_t row = 0; row + 1 < s->group->row_count; row++) {
        struct measure_row *r = &s->group->rows[row];
        buffer_poison(&o->sets[0].out, o->problem.seed + row + (first ? 0 : 1000));
        call(s, row, 0);
        char what[120];
        if (r->fault[0])
            continue;
        if (r->kernel->contract.accumulation != ACC_ANY) {
            if (bytes_hash(o->sets[0].out.data, o->sets[0].out.size) != r->output_hash)
                snprintf(r->fault, sizeof r->fault, "the output %s timing is not the verified one",
                         first ? "before" : "after");
            else
                for (size_t i = 0; first && i < PLACES && s->places[i] != SIZE_MAX; i++)
                    memcpy(&s->want[row][i], (char *)o->sets[0].out.data + s->places[i], 4);
        }
        if (!r->fault[0] && !operands_intact(o, 0, what, sizeof what))
            snprintf(r->fault, sizeof r->fault, "during timing: %s", what);
    }
}

/* ---- samples ---- */

static double sample(struct session *s, size_t row, size_t round)
{
    struct measure_row *r = &s->group->rows[row];
    size_t set = 0;
    if (s->group->regime == REGIME_COLD)
        set = s->next_set++ % s->group->operands->copies;
    else
        call(s, row, set); /* the others have been there since: warm up again */
    if (!is_ceiling(s, row))
        poison_places(s, set);
    double start = clock_us();
    for (size_t i = 0; i < r->calls_per_sample; i++)
        call(s, row, set);
    double end = clock_us();
    look_at_places(s, row, set, round);
    return (end - start) / (double)r->calls_per_sample;
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

/* Runs the first row until the machine's speed is steady. */
static void settle(struct measure_state *state, struct session *s)
{
    enum { WINDOW_MAX = 100000 };
    state->settled_asked = true;
    double start = clock_s(), cap = s->settings->settle_seconds, before = 0;
    double *window = malloc(2 * WINDOW_MAX * sizeof *window);
    if (!window || cap <= 0) {
        free(window);
        return;
    }
    state->unsettled = true;
    while (clock_s() - start < cap && !interrupt_pending()) {
        size_t count = 0;
        double window_start = clock_us();
        while (count < WINDOW_MAX && (count < 5 || clock_us() - window_start < 1e3 * SETTLE_WINDOW_MS)) {
            double t = clock_us();
            call(s, 0, s->next_set++ % s->group->operands->copies);
            window[count++] = clock_us() - t;
        }
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
}

static void choose_calls(struct session *s)
{
    for (size_t row = 0; row < s->group->row_count; row++) {
        struct measure_row *r = &s->group->rows[row];
        r->calls_per_sample = 1;
        if (s->group->regime != REGIME_HOT)
            continue;
        call(s, row, 0);
        double best = INFINITY;
        for (int i = 0; i < 3; i++) {
            double start = clock_us();
            call(s, row, 0);
            best = fmin(best, clock_us() - start);
        }
        double calls = ceil(HOT_SAMPLE_US / fmax(best, 0.05));
        r->calls_per_sample = calls < 1 ? 1 : calls > CALLS_MAX ? CALLS_MAX : (size_t)calls;
    }
}

static bool row_precise(const struct measure_row *r, double precision, double *scratch)
{
    struct sample_summary s;
    summarize(r->samples, r->sample_count, scratch, &s);
    return s.median_ci.hi - s.median <= precision * s.median &&
           s.median - s.median_ci.lo <= precision * s.median;
}

static enum status run_rounds(struct session *s, uint64_t order_seed, double *scratch,
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
    for (size_t round = 0; round < m->max_samples; round++) {
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
                precise = row_precise(&g->rows[row], m->precision, scratch);
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
        for (size_t i = 0; i < g->row_count; i++) {
            struct measure_row *r = &g->rows[order[i]];
            r->samples[round] = sample(s, order[i], round);
            r->sample_count = round + 1;
        }
    }
    free(order);
    return status;
}

static enum status prepare_peers(struct session *s)
{
    struct measure_group *g = s->group;
    size_t copies = g->operands->copies;
    s->prepared = calloc((g->row_count) * copies, sizeof *s->prepared);
    if (!s->prepared)
        return status_fail(STATUS_MEMORY, "measure: out of memory");
    enum status status = STATUS_OK;
    for (size_t row = 0; row + 1 < g->row_count; row++)
        for (size_t set = 0; set < copies && status == STATUS_OK; set++)
            status = operands_prepare_peer(g->operands, set, g->rows[row].kernel,
                                           &s->prepared[row * copies + set]);
    return status;
}

static void unprepare_peers(struct session *s)
{
    struct measure_group *g = s->group;
    for (size_t row = 0; s->prepared && row + 1 < g->row_count; row++)
        for (size_t set = 0; g->rows[row].kernel->unprepare && set < g->operands->copies; set++)
            g->rows[row].kernel->unprepare(prepared_for(s, row, set));
    free(s->prepared);
}

enum status measure_group(struct measure_state *state, const struct measure_settings *settings,
                          struct measure_group *group, uint64_t order_seed, measure_progress_fn *progress,
                          void *context)
{
    struct session s = {.settings = settings, .group = group};
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
    s.want = calloc(group->row_count, sizeof *s.want);
    if (status == STATUS_OK && !s.want)
        status = status_fail(STATUS_MEMORY, "measure: out of memory");
    if (status == STATUS_OK)
        status = prepare_peers(&s);
    if (status == STATUS_OK) {
        choose_places(&s);
        check_whole_outputs(&s, true);
        if (!state->settled_asked) {
            state->timer_overhead_us = timer_overhead();
            settle(state, &s);
        }
        choose_calls(&s);
        status = run_rounds(&s, order_seed, scratch, progress, context);
        check_whole_outputs(&s, false);
        const struct measure_row *ceiling = &group->rows[group->row_count - 1];
        for (size_t i = 0; i < group->row_count; i++) {
            struct measure_row *r = &group->rows[i];
            summarize(r->samples, r->sample_count, scratch, &r->summary);
            r->precise = r->sample_count && row_precise(r, settings->precision, scratch);
            r->ceiling_fraction = (struct paired_ratio){NAN, {NAN, NAN}, 0};
            if (r != ceiling && r->sample_count)
                paired_ratio(ceiling->samples, r->samples, r->sample_count, scratch, &r->ceiling_fraction);
        }
    }
    unprepare_peers(&s);
    free(s.want);
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
