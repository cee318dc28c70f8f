/*
 * sample.c: samples, which a caller takes (caller.h; cpu/serve_time.c, cuda/serve_time.c).
 *
 * A row whose call ends the process is out, with its fault. A new process is then told of the other rows
 * again.
 *
 * After a sample its output is looked at: on a GPU its hash, on a CPU both ends and places that are drawn, and in samples that
 * are drawn all of it. Nobody but this process knows which, or where, before the sample is taken. On a CPU a hot sample has a
 * drawn number of calls, and a drawn place of the output is poisoned between them: what is returned from without computing shows.
 * Three of four samples of a product on a CPU have other activations (activations.h): of their outputs, elements are computed.
 * On a GPU such calls follow some samples, untimed.
 */
#include "harness/device/sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "harness/base/clock.h"
#include "harness/base/random.h"
#include "harness/device/activations.h"
#include "harness/device/request.h"
#include "harness/device/sample_product.h"

enum {
    SENSORS_EVERY = 16,
    CHECKED_OF_HOT = 3,
    PLACES = 32,
    PLACE_BYTES = HOT_POISON_BYTES,
    SMALL_OUTPUT = 64 << 10
};
enum { AS_VERIFIED_OF = 4, ELEMENTS = PLACES, ELEMENTS_LEAST = 4 /* of a product, computed */ };
static const double throttled_share = 0.97; /* of the settled clock */
static const double look_share = 0.25;      /* of the time of samples, for outputs that are looked at whole */

/* An output that verify() found right; rows of one problem and one contract share it. */
struct right_output {
    const struct operands *of;
    uint64_t hash;
    unsigned char *bytes;
};

struct caller_sampling {
    struct sampling base;
    struct caller *caller;
    struct channel *channel;
    unsigned generation; /* of the process that knows the rows */
    unsigned restarts;
    bool interrupted; /* in a request: what was measured is not checked any more */
    uint64_t salt;
    /* On a CPU: */
    struct right_output *right;    /* [right_count], up to one a row */
    size_t right_count, *right_of; /* [row_count] */
    uint64_t secret, drawn;
    size_t last_call; /* of the sample that was taken */
    bool as_verified; /* its activations were */
    void *x;          /* activations of a sample: room for the largest */
    double sampled_us, looked_us;
};

static struct caller_sampling *of(struct sampling *s)
{
    return (struct caller_sampling *)s;
}

static bool is_gpu(const struct caller_sampling *s)
{
    return measure_device(s->base.group)->kind == DEVICE_CUDA;
}

/* The operands of a row; what is asked next is of them. */
static const struct operands *operands_of(const struct caller_sampling *s, size_t row)
{
    s->channel->slot = s->base.group->rows[row].problem;
    return measure_operands(s->base.group, row);
}

static bool hot(const struct caller_sampling *s)
{
    return s->base.group->regime == REGIME_HOT;
}

/* ---- faults ---- */

/* The row is out; the process that it ended, if it did, is started again by the next ready(). */
static void end_row(struct caller_sampling *s, size_t row, const char *when, const struct call_fault *f)
{
    struct measure_row *r = &s->base.group->rows[row];
    r->ended = true;
    if (r->fault[0])
        return;
    r->ours = f->ours;
    r->crashed = f->crashed;
    r->hung = f->endless;
    if (f->sentence)
        snprintf(r->fault, sizeof r->fault, "%s timing: %.140s", when, f->text);
    else
        snprintf(r->fault, sizeof r->fault, "%.8s timing: %s: %.110s", when, f->word, f->text);
}

/* A process that is killed from outside, as by the kernel for memory, is started again once a row. */
static void end_row_or_repeat(struct caller_sampling *s, size_t row, const char *when,
                              const struct call_fault *f)
{
    struct measure_row *r = &s->base.group->rows[row];
    if (strcmp(f->word, "crash") != 0 || !caller_was_killed(s->caller) || r->was_killed)
        end_row(s, row, when, f);
    else
        r->was_killed = true;
}

static void end_all(struct caller_sampling *s, const char *when, const struct call_fault *f)
{
    for (size_t row = 0; row < s->base.group->row_count; row++)
        if (!s->base.group->rows[row].ended)
            end_row(s, row, when, f);
}

/* Asks for something of a row. False: the row is out, or its process was killed. */
static bool ask_row(struct caller_sampling *s, size_t row, enum request what, const char *when)
{
    struct call_fault fault;
    s->channel->row = row;
    if (request(s->caller, operands_of(s, row), what, &fault))
        return true;
    s->interrupted = fault.status == STATUS_INTERRUPTED;
    if (!s->interrupted)
        end_row_or_repeat(s, row, when, &fault);
    return false;
}

/* ---- rows ---- */

static uint64_t next_salt(struct caller_sampling *s)
{
    return s->salt = random_mix(s->salt + s->secret);
}

/* Keeps the output of `o` as row `row`'s right one. */
static bool keep_right(struct caller_sampling *s, size_t row, const struct operands *o)
{
    const struct buffer *out = &o->sets[0].out;
    const uint64_t hash = s->base.group->rows[row].output_hash;
    for (size_t i = 0; i < s->right_count; i++)
        if (s->right[i].of == o && s->right[i].hash == hash) {
            s->right_of[row] = i;
            return true;
        }
    unsigned char *bytes = malloc(out->size + 1);
    if (!bytes)
        return false;
    memcpy(bytes, out->data, out->size);
    s->right_of[row] = s->right_count;
    s->right[s->right_count++] = (struct right_output){o, hash, bytes};
    return true;
}

static bool pinned(const struct measure_row *r)
{
    return r->kernel->contract.accumulation != ACC_ANY;
}

/* Of the first call of a row. False: it cannot be compared with later ones. */
static bool look_at_first(struct caller_sampling *s, size_t row, const char *when)
{
    const struct operands *o = measure_operands(s->base.group, row);
    struct measure_row *r = &s->base.group->rows[row];
    char what[120];
    if (!operands_intact(o, 0, what, sizeof what)) {
        snprintf(r->fault, sizeof r->fault, "%s timing: %s", when, what);
        r->ended = true;
        /* The others would be timed on these, and be called wrong. */
        end_all(s, "during",
                &(struct call_fault){.ours = true, .word = "operands", .text = "damaged by another variant"});
        return false;
    }
    if (!pinned(r))
        return true;
    if (bytes_hash(o->sets[0].out.data, o->sets[0].out.size) != r->output_hash && !r->fault[0])
        snprintf(r->fault, sizeof r->fault, "the output %s timing is not the verified one", when);
    if (r->fault[0] || !is_gpu(s))
        return r->fault[0] || keep_right(s, row, o);
    return ask_row(s, row, REQUEST_row_hash, when);
}

/* Tells the process of a row, and looks at the output of its first call. False: the row is out, or the
 * process is gone. */
static bool tell_row(struct caller_sampling *s, size_t row, const char *when)
{
    struct measure_row *r = &s->base.group->rows[row];
    struct call_fault fault;
    struct channel *c = s->channel;
    c->salt = next_salt(s);
    c->hot = hot(s);
    c->ceiling = r->ceiling;
    if (r->kernel)
        request_variant(c, r->kernel);
    if (!ask_row(s, row, REQUEST_row, when))
        return false;
    if (!r->kernel)
        return true;
    r->code = c->code;
    if (!request_output(s->caller, operands_of(s, row), &fault)) {
        end_row_or_repeat(s, row, when, &fault);
        return false;
    }
    return look_at_first(s, row, when) && !r->ended;
}

static bool repeat_row(struct caller_sampling *s, size_t row)
{
    struct measure_row *r = &s->base.group->rows[row];
    r->calls_per_sample = 1;
    if (!hot(s))
        return true;
    if (!ask_row(s, row, REQUEST_row_repeat, "during"))
        return false;
    r->calls_per_sample = s->channel->count;
    r->graph = s->channel->graph;
    return true;
}

static bool same_process(const struct caller_sampling *s)
{
    return caller_generation(s->caller) == s->generation;
}

/* Puts the operands of all problems there. */
static bool bind_all(struct caller_sampling *s, struct call_fault *fault)
{
    struct measure_group *g = s->base.group;
    s->channel->slot = 0;
    if (!request(s->caller, g->problems[0], REQUEST_end_rows, fault))
        return false;
    for (size_t p = 0; p < g->problem_count; p++) {
        s->channel->slot = p;
        if (!request_bind(s->caller, g->problems[p], hot(s), fault))
            return false;
        for (size_t row = 0; row < g->row_count; row++)
            if (g->rows[row].problem == p)
                g->rows[row].copies = s->channel->copies;
    }
    return true;
}

/* Makes sure that there is a process which knows all rows that are not out. */
static enum status ready(struct caller_sampling *s)
{
    struct call_fault fault;
    for (;;) {
        bool fresh;
        if (s->interrupted)
            return status_fail(STATUS_INTERRUPTED, "interrupted");
        enum status status = caller_ready(s->caller, CALLER_ALL, &fresh);
        if (status != STATUS_OK || (!fresh && same_process(s)))
            return status;
        bool again = s->generation != 0;
        s->generation = caller_generation(s->caller);
        if (again && ++s->restarts > s->base.group->row_count) { /* each costs a row */
            end_all(s, "during", &(struct call_fault){.ours = true, .word = "restarts", .text = "too many"});
            return STATUS_OK;
        }
        if (!bind_all(s, &fault)) {
            end_all(s, "during", &fault); /* not the doing of any row */
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
        caller_stop(s->caller);
    }
}

/* ---- the sampler ---- */

static void release(struct caller_sampling *s)
{
    for (size_t i = 0; i < s->right_count; i++)
        free(s->right[i].bytes);
    free(s->right);
    free(s->right_of);
    free(s->x);
    free(s);
}

static void end(struct sampling *base)
{
    struct caller_sampling *s = of(base);
    struct call_fault fault;
    s->channel->slot = 0;
    if (caller_running(s->caller) && same_process(s) &&
        !request(s->caller, base->group->problems[0], REQUEST_end_rows, &fault))
        caller_stop(s->caller); /* the next group starts its own */
    release(s);
}

static enum status make_room(struct caller_sampling *s, struct sampling base)
{
    s->base = base;
    s->caller = caller_of(base.group->problems[0]->device, true);
    s->right = calloc(base.group->row_count, sizeof *s->right);
    s->right_of = calloc(base.group->row_count, sizeof *s->right_of);
    size_t most = 1;
    for (size_t p = 0; p < base.group->problem_count; p++)
        most =
            base.group->problems[p]->sets[0].x.size > most ? base.group->problems[p]->sets[0].x.size : most;
    s->x = malloc(most);
    if (!s->caller || !s->right || !s->right_of || !s->x)
        return status_no_memory("measure");
    s->channel = caller_channel(s->caller);
    if (getrandom(&s->secret, sizeof s->secret, 0) != sizeof s->secret)
        s->secret = (uint64_t)(uintptr_t)s ^ (uint64_t)clock_us();
    return STATUS_OK;
}

static enum status begin(struct sampling base, struct sampling **out)
{
    struct caller_sampling *s = calloc(1, sizeof *s);
    if (!s)
        return status_no_memory("measure");
    enum status status = make_room(s, base);
    for (size_t row = 0; row < base.group->variant_count && status == STATUS_OK; row++)
        status = operands_prepare_for(measure_operands(base.group, row), 0, base.group->rows[row].kernel);
    if (status == STATUS_OK)
        status = ready(s);
    if (status != STATUS_OK) {
        release(s);
        return status;
    }
    *out = &s->base;
    return STATUS_OK;
}

static enum status calibrate(struct sampling *base)
{
    struct caller_sampling *s = of(base);
    struct call_fault fault;
    enum status status = ready(s);
    base->state->timer_overhead_us = base->state->cold_ratio = base->state->settled_mhz = NAN;
    base->state->gemm_flop_per_s = NAN;
    s->channel->slot = 0;
    if (status != STATUS_OK || !request(s->caller, base->group->problems[0], REQUEST_self_test, &fault))
        return status;
    base->state->timer_overhead_us = s->channel->overhead_us;
    base->state->cold_ratio = s->channel->cold_ratio;
    base->state->gemm_flop_per_s = s->channel->gemm_flop_per_s;
    return STATUS_OK;
}

/* One sample, and how fast the GPU was. False: the row is out. */
static bool take(struct caller_sampling *s, size_t row, double *us)
{
    s->channel->hot = hot(s);
    s->channel->salt = next_salt(s);
    s->channel->slower = is_gpu(s) ? 0 : s->base.group->rows[row].slowdown;
    const size_t least = s->base.group->rows[row].calls_per_sample;
    const uint64_t draw = random_u64(s->secret, RANDOM_ORDER, s->drawn++);
    s->channel->more_calls = !hot(s)                      ? 0
                             : !is_gpu(s)                 ? draw % (least / 4 + 2)
                             : draw % CHECKED_OF_HOT == 0 ? 1 + draw / CHECKED_OF_HOT % least
                                                          : 0;
    s->last_call = hot(s) ? least + s->channel->more_calls - 1 : 0;
    s->as_verified = s->channel->as_verified =
        is_gpu(s) || !s->base.group->rows[row].kernel ||
        random_u64(s->secret, RANDOM_SIGNS, s->drawn++) % AS_VERIFIED_OF == 0;
    const double calls = (double)(least + s->channel->more_calls), start = clock_us();
    if (!ask_row(s, row, REQUEST_sample, "during"))
        return false;
    *us = s->channel->time_us;
    /* The clock of a process in which a variant runs is not this one's. */
    if (is_gpu(s) || (*us >= 0 && *us * calls <= 1.01 * (clock_us() - start)))
        return true;
    end_row(s, row, "during",
            &(struct call_fault){.word = "clock",
                                 .text = "a sample took longer than its request, or less than nothing"});
    return false;
}

static enum status settle_call(struct sampling *base, double *us, double *mhz)
{
    *mhz = NAN;
    struct caller_sampling *s = of(base);
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
    for (int i = 0; i < 2; i++) {
        enum status status = ready(of(base));
        if (status != STATUS_OK || base->group->rows[row].ended || repeat_row(of(base), row))
            return status;
    }
    return STATUS_OK;
}

static uint8_t flags_of(const struct caller_sampling *s)
{
    const struct nvml_sensors *now = &s->channel->sensors;
    double settled = s->base.state->settled_mhz;
    uint8_t flags = 0;
    if (!is_gpu(s))
        return 0;
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

/* What GPUs say beside the time. */
static void take_sensors(struct caller_sampling *s, struct measure_row *r)
{
    const struct nvml_sensors *now = &s->channel->sensors;
    const uint64_t reasons = r->sensors.reasons | now->reasons;
    if (s->channel->all_sensors)
        r->sensors = *now;
    r->sensors.sm_mhz = now->sm_mhz;
    r->sensors.reasons = reasons;
}

/* ---- outputs of samples, on a CPU ---- */

static bool afford(const struct caller_sampling *s)
{
    return s->looked_us <= look_share * s->sampled_us;
}

/* The places to look at: all of the output where that is small or drawn, or both ends, places that are drawn, and where it was
 * poisoned last. */
static size_t choose_places(struct caller_sampling *s, size_t size, struct piece places[PLACES])
{
    if (size <= SMALL_OUTPUT || (afford(s) && random_u64(s->secret, RANDOM_ORDER, s->drawn++) % 4 == 0)) {
        places[0] = (struct piece){OPERAND_OUT, 0, size};
        return 1;
    }
    const size_t last = (size - PLACE_BYTES) / PLACE_BYTES;
    for (size_t i = 0; i < PLACES; i++) {
        const size_t place = i == 0 ? 0 : random_u64(s->secret, RANDOM_POSITIONS, s->drawn++) % (last + 1);
        places[i] = (struct piece){OPERAND_OUT, PLACE_BYTES * place, PLACE_BYTES};
    }
    places[1].offset = size - PLACE_BYTES;
    if (s->last_call > 0)
        places[2].offset = hot_poison_place(s->salt, s->last_call, size);
    return PLACES;
}

/* Whether these bytes are what buffer_poison() writes. */
static bool is_poison(const unsigned char *bytes, size_t size)
{
    static const uint64_t set = 0x7f817f817f817f81u;
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t v;
        memcpy(&v, bytes + i, 8);
        if ((v & set) != set)
            return false;
    }
    return size >= 8;
}

/* The output of the sample is not the verified one, or the contract leaves its order open: elements are computed. */
static bool computed(const struct caller_sampling *s, size_t row)
{
    return op_is_product(operands_of(s, row)->problem.op) &&
           (!s->as_verified || !pinned(&s->base.group->rows[row]));
}

/* The activations of the last call of a sample. */
static void make_activations(struct caller_sampling *s, const struct operands *o)
{
    memcpy(s->x, o->sets[0].x.data, o->sets[0].x.size);
    for (size_t call = 0; call <= s->last_call && !s->as_verified; call++)
        activations_change(&o->problem, s->x, s->salt, call);
}

/* Of `count` elements that are drawn. */
static bool elements_right(struct caller_sampling *s, size_t row, const struct piece *p,
                           const unsigned char *got, size_t count, size_t *wrong)
{
    const struct operands *o = operands_of(s, row);
    const size_t size = dtype_size(o->problem.out);
    for (size_t i = 0; i < count; i++) {
        *wrong = random_u64(s->secret, RANDOM_POSITIONS, s->drawn++) % (p->size / size) * size;
        if (!sample_product_right(&s->base.group->rows[row].kernel->contract, o, s->x,
                                  (p->offset + *wrong) / size, got + *wrong))
            return false;
    }
    *wrong = 0;
    return true;
}

static bool look_at_place(struct caller_sampling *s, size_t row, const struct piece *p,
                          const unsigned char *got, size_t elements, size_t round)
{
    struct measure_row *r = &s->base.group->rows[row];
    size_t at = 0;
    const bool unwritten = is_poison(got, p->size < PLACE_BYTES ? p->size : PLACE_BYTES);
    if (computed(s, row)) {
        if (elements_right(s, row, p, got, elements, &at) && !unwritten)
            return true;
    } else if (pinned(r)) {
        const unsigned char *want = s->right[s->right_of[row]].bytes + p->offset;
        if (memcmp(got, want, p->size) == 0)
            return true;
        while (got[at] == want[at])
            at++;
    } else if (!unwritten) {
        return true;
    }
    snprintf(r->fault, sizeof r->fault, "timed output of round %zu is wrong at byte %zu%s", round,
             p->offset + at,
             is_poison(got + at / 8 * 8, p->size - at / 8 * 8 < 8 ? 0 : 8) ? ": never written" : "");
    return false;
}

/* False: the row is out. */
static bool look_at_output(struct caller_sampling *s, size_t row, size_t round)
{
    const struct operands *o = operands_of(s, row);
    struct piece places[PLACES];
    struct call_fault fault;
    const unsigned char *out;
    const double start = clock_us();
    const size_t count = choose_places(s, o->sets[0].out.size, places),
                 elements = computed(s, row) ? (afford(s) ? ELEMENTS : ELEMENTS_LEAST) : 0;
    if (!request_pieces(s->caller, o, places, count, &out, &fault)) {
        end_row_or_repeat(s, row, "during", &fault);
        return false;
    }
    if (elements)
        make_activations(s, o);
    for (size_t i = 0; i < count; i++)
        if (!look_at_place(s, row, &places[i], out + places[i].offset, count == 1 ? elements : i < elements,
                           round))
            break;
    s->looked_us += clock_us() - start;
    return true;
}

static enum status sample(struct sampling *base, size_t row, size_t round, struct timed_sample *out)
{
    struct caller_sampling *s = of(base);
    struct measure_row *r = &base->group->rows[row];
    for (int i = 0; i <= RETRIES; i++) {
        enum status status = ready(s);
        if (status != STATUS_OK || r->ended)
            return status;
        s->channel->all_sensors = round % SENSORS_EVERY == 0;
        if (!take(s, row, &out->us)) {
            if (s->interrupted)
                return status_fail(STATUS_INTERRUPTED, "interrupted");
            i--; /* it is out, or was killed once */
            continue;
        }
        if (is_gpu(s)) {
            out->us *= 1 + r->slowdown;
            take_sensors(s, r);
            if (s->channel->wrong_hash && !r->fault[0])
                snprintf(r->fault, sizeof r->fault, "timed output of round %zu is not the verified one",
                         round);
        } else if (r->kernel && !r->fault[0]) {
            s->sampled_us += out->us * (double)r->calls_per_sample;
            if (!look_at_output(s, row, round)) {
                i--;
                continue;
            }
        }
        out->flags = flags_of(s);
        if (!(out->flags & SAMPLE_EXCLUDED))
            return STATUS_OK;
        if (i < RETRIES)
            sampling_retry(r, *out);
    }
    if (out->flags & SAMPLE_LATE)
        end_row(
            s, row, "during",
            &(struct call_fault){.ours = true, .word = "late", .text = "the stream could not be held back"});
    return STATUS_OK;
}

static enum status finish(struct sampling *base)
{
    struct caller_sampling *s = of(base);
    enum status status = ready(s);
    for (size_t row = 0; row < base->group->row_count && s->interrupted; row++)
        base->group->rows[row].sample_count = 0; /* they could not be looked at again */
    for (size_t row = 0; row < base->group->variant_count && status == STATUS_OK; row++) {
        if (!base->group->rows[row].ended && !base->group->rows[row].fault[0])
            tell_row(s, row, "after");
        status = ready(s);
    }
    return status;
}

const struct sampler sampler_callers = {begin, calibrate, settle_call, choose_calls, sample, finish, end};
