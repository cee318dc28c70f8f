/*
 * device/cuda/sample.c: samples on a GPU, which its server process takes (serve_time.c).
 *
 * A row whose call ends the process is out, with its fault. A new process is then told of the other rows
 * again.
 */
#include "harness/device/sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/device/cuda/call_cuda.h"

enum { RESTARTS = 16, SENSORS_EVERY = 16 };
static const double throttled_share = 0.97; /* of the settled clock */

struct cuda_sampling {
    struct sampling base;
    struct cuda_server *server;
    struct cuda_channel *channel;
    unsigned generation; /* of the process that knows the rows */
    unsigned restarts;
    uint64_t salt;
};

static struct cuda_sampling *of(struct sampling *s)
{
    return (struct cuda_sampling *)s;
}

/* The operands of a row; what is asked next is of them. */
static const struct operands *operands_of(const struct cuda_sampling *s, size_t row)
{
    s->channel->slot = s->base.group->rows[row].problem;
    return measure_operands(s->base.group, row);
}

static bool hot(const struct cuda_sampling *s)
{
    return s->base.group->regime == REGIME_HOT;
}

/* ---- faults ---- */

/* The row is out; the process that it ended, if it did, is started again by the next ready(). */
static void end_row(struct cuda_sampling *s, size_t row, const char *when, const struct call_fault *f)
{
    struct measure_row *r = &s->base.group->rows[row];
    r->ended = true;
    if (r->fault[0])
        return;
    r->ours = f->ours;
    r->crashed = f->crashed;
    r->hung = f->endless;
    snprintf(r->fault, sizeof r->fault, "%s: %s: %.120s", when, f->word, f->text);
}

static void end_all(struct cuda_sampling *s, const char *when, const struct call_fault *f)
{
    for (size_t row = 0; row < s->base.group->row_count; row++)
        if (!s->base.group->rows[row].ended)
            end_row(s, row, when, f);
}

/* Asks for something of a row. False: the row is out. */
static bool ask_row(struct cuda_sampling *s, size_t row, enum cuda_request request, const char *when)
{
    struct call_fault fault;
    s->channel->row = row;
    if (cuda_ask(operands_of(s, row), request, &fault))
        return true;
    end_row(s, row, when, &fault);
    return false;
}

/* ---- rows ---- */

/* Tells the process of a row, and looks at the output of its first call. False: the row is out, or the
 * process is gone. */
static bool tell_row(struct cuda_sampling *s, size_t row, const char *when)
{
    const struct operands *o = operands_of(s, row);
    struct measure_row *r = &s->base.group->rows[row];
    struct call_fault fault;
    struct cuda_channel *c = s->channel;
    c->salt = ++s->salt;
    c->hot = hot(s);
    c->ceiling = r->ceiling;
    if (r->kernel)
        cuda_set_kernel(c, r->kernel);
    if (!ask_row(s, row, CUDA_REQUEST_row, when))
        return false;
    if (!r->kernel)
        return true;
    r->code = c->code;
    if (!cuda_download(o, &fault)) {
        end_row(s, row, when, &fault);
        return false;
    }
    char what[120];
    const struct buffer *out = &o->sets[0].out;
    bool pinned = r->kernel->contract.accumulation != ACC_ANY;
    if (!operands_intact(o, 0, what, sizeof what)) {
        snprintf(r->fault, sizeof r->fault, "%s timing: %s", when, what);
        r->ended = true;
        /* The others would be timed on these, and be called wrong. */
        end_all(s, "timing",
                &(struct call_fault){.ours = true, .word = "operands", .text = "damaged by another variant"});
    } else if (pinned && bytes_hash(out->data, out->size) != r->output_hash && !r->fault[0]) {
        snprintf(r->fault, sizeof r->fault, "the output %s timing is not the verified one", when);
    }
    if (pinned && !r->fault[0] && !ask_row(s, row, CUDA_REQUEST_row_hash, when))
        return false;
    return !r->ended;
}

static bool repeat_row(struct cuda_sampling *s, size_t row)
{
    struct measure_row *r = &s->base.group->rows[row];
    r->calls_per_sample = 1;
    if (!hot(s))
        return true;
    if (!ask_row(s, row, CUDA_REQUEST_row_repeat, "timing"))
        return false;
    r->calls_per_sample = s->channel->count;
    r->graph = s->channel->graph;
    return true;
}

static bool same_process(const struct cuda_sampling *s)
{
    return cuda_server_generation(s->server) == s->generation;
}

/* Puts the operands of all problems there. */
static bool bind_all(struct cuda_sampling *s, struct call_fault *fault)
{
    struct measure_group *g = s->base.group;
    s->channel->slot = 0;
    if (!cuda_ask(g->problems[0], CUDA_REQUEST_end_rows, fault))
        return false;
    for (size_t p = 0; p < g->problem_count; p++) {
        const struct operands *o = g->problems[p];
        s->channel->slot = p;
        if (!cuda_bind(o, hot(s) ? 1 : 0, fault))
            return false;
        for (size_t row = 0; row < g->row_count; row++)
            if (g->rows[row].problem == p)
                g->rows[row].copies = s->channel->count;
        if (!cuda_upload(o, fault) || !cuda_ask(o, CUDA_REQUEST_replicate, fault))
            return false;
    }
    return true;
}

/* Makes sure that there is a process which knows all rows that are not out. */
static enum status ready(struct cuda_sampling *s)
{
    struct call_fault fault;
    for (;;) {
        bool fresh;
        enum status status = cuda_server_ready(s->server, &fresh);
        if (status != STATUS_OK || (!fresh && same_process(s)))
            return status;
        bool again = s->generation != 0;
        s->generation = cuda_server_generation(s->server);
        if (again && ++s->restarts > RESTARTS) {
            end_all(s, "timing", &(struct call_fault){.ours = true, .word = "restarts", .text = "too many"});
            return STATUS_OK;
        }
        if (!bind_all(s, &fault)) {
            end_all(s, "timing", &fault); /* not the doing of any row */
            return STATUS_OK;
        }
        bool whole = true;
        for (size_t row = 0; row < s->base.group->row_count && whole; row++)
            if (!s->base.group->rows[row].ended && !tell_row(s, row, again ? "during" : "before"))
                whole = false;
            else if (again && !s->base.group->rows[row].ended)
                whole = repeat_row(s, row);
        if (whole)
            return STATUS_OK;
        /* A row is out: whatever it left behind, the others begin with a new process. */
        cuda_server_stop(s->server);
    }
}

/* ---- the sampler ---- */

static void end(struct sampling *base)
{
    struct cuda_sampling *s = of(base);
    struct call_fault fault;
    if (cuda_server_running(s->server) && same_process(s) &&
        !cuda_ask(base->group->problems[0], CUDA_REQUEST_end_rows, &fault))
        cuda_server_stop(s->server); /* the next group starts its own */
    free(s);
}

static enum status begin(struct sampling base, struct sampling **out)
{
    struct cuda_sampling *s = calloc(1, sizeof *s);
    if (!s)
        return status_no_memory("measure");
    s->base = base;
    s->server = measure_device(base.group)->server;
    s->channel = cuda_server_channel(s->server);
    s->salt = base.group->problems[0]->problem.seed;
    enum status status = STATUS_OK;
    for (size_t row = 0; row < base.group->variant_count && status == STATUS_OK; row++) {
        void *prepared; /* no peer runs here */
        status = operands_prepare_for(measure_operands(base.group, row), 0, base.group->rows[row].kernel,
                                      &prepared);
    }
    if (status == STATUS_OK)
        status = ready(s);
    if (status != STATUS_OK) {
        free(s);
        return status;
    }
    *out = &s->base;
    return STATUS_OK;
}

static enum status calibrate(struct sampling *base)
{
    struct cuda_sampling *s = of(base);
    struct call_fault fault;
    enum status status = ready(s);
    base->state->timer_overhead_us = base->state->cold_ratio = base->state->settled_mhz = NAN;
    base->state->gemm_flop_per_s = NAN;
    if (status != STATUS_OK || !cuda_ask(base->group->problems[0], CUDA_REQUEST_self_test, &fault))
        return status;
    base->state->timer_overhead_us = s->channel->overhead_us;
    base->state->cold_ratio = s->channel->cold_ratio;
    base->state->gemm_flop_per_s = s->channel->gemm_flop_per_s;
    return STATUS_OK;
}

/* One sample, and how fast the GPU was. False: the row is out. */
static bool take(struct cuda_sampling *s, size_t row, double *us)
{
    s->channel->hot = hot(s);
    s->channel->salt = ++s->salt;
    if (!ask_row(s, row, CUDA_REQUEST_sample, "timing"))
        return false;
    *us = s->channel->time_us;
    return true;
}

static enum status settle_call(struct sampling *base, double *us, double *mhz)
{
    *mhz = NAN;
    struct cuda_sampling *s = of(base);
    *us = 0;
    enum status status = ready(s);
    size_t row = 0;
    while (row < base->group->row_count && base->group->rows[row].ended)
        row++;
    if (status != STATUS_OK || row == base->group->row_count)
        return status;
    if (hot(s) && base->group->rows[row].calls_per_sample == 0 && !repeat_row(s, row))
        return STATUS_OK;
    if (take(s, row, us))
        *mhz = s->channel->sensors.sm_mhz;
    return STATUS_OK;
}

static enum status choose_calls(struct sampling *base, size_t row)
{
    enum status status = ready(of(base));
    if (status == STATUS_OK && !base->group->rows[row].ended)
        repeat_row(of(base), row);
    return status;
}

static uint8_t flags_of(const struct cuda_sampling *s)
{
    const struct nvml_sensors *now = &s->channel->sensors;
    double settled = s->base.state->settled_mhz;
    uint8_t flags = 0;
    if (settled > 0 && now->sm_mhz < throttled_share * settled)
        flags |= SAMPLE_SLOW_CLOCK;
    if (now->reasons & NVML_REASONS_BAD)
        flags |= SAMPLE_SLOWDOWN;
    if (now->reasons & NVML_REASON_POWER_CAP)
        flags |= SAMPLE_POWER_CAP;
    if (s->channel->late)
        flags |= SAMPLE_LATE;
    return flags;
}

static enum status sample(struct sampling *base, size_t row, size_t round, struct timed_sample *out)
{
    struct cuda_sampling *s = of(base);
    struct measure_row *r = &base->group->rows[row];
    for (int i = 0; i <= RETRIES; i++) {
        enum status status = ready(s);
        if (status != STATUS_OK || r->ended)
            return status;
        s->channel->all_sensors = round % SENSORS_EVERY == 0;
        if (!take(s, row, &out->us))
            return STATUS_OK;
        out->us *= 1 + r->slowdown;
        const struct nvml_sensors *now = &s->channel->sensors;
        uint64_t reasons = r->sensors.reasons | now->reasons;
        if (s->channel->all_sensors)
            r->sensors = *now;
        r->sensors.sm_mhz = now->sm_mhz;
        r->sensors.reasons = reasons;
        if (s->channel->wrong_hash && !r->fault[0])
            snprintf(r->fault, sizeof r->fault, "timed output of round %zu is not the verified one", round);
        out->flags = flags_of(s);
        if (!(out->flags & SAMPLE_EXCLUDED))
            return STATUS_OK;
        if (i < RETRIES)
            sampling_retry(r, *out);
    }
    if (out->flags & SAMPLE_LATE)
        end_row(
            s, row, "timing",
            &(struct call_fault){.ours = true, .word = "late", .text = "the stream could not be held back"});
    return STATUS_OK;
}

static enum status finish(struct sampling *base)
{
    struct cuda_sampling *s = of(base);
    enum status status = ready(s);
    for (size_t row = 0; row < base->group->variant_count && status == STATUS_OK; row++) {
        if (!base->group->rows[row].ended && !base->group->rows[row].fault[0])
            tell_row(s, row, "after");
        status = ready(s);
    }
    return status;
}

const struct sampler sampler_cuda = {begin, calibrate, settle_call, choose_calls, sample, finish, end};
