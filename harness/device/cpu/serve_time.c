/*
 * cpu/serve_time.c: samples on the CPU. Operands that are timed are this process's own, as shared memory has no huge pages on
 * most systems; the judge reads outputs by way of the arena.
 */
#include "harness/device/cpu/serve.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <omp.h>

#include "harness/base/call_state.h"
#include "harness/base/clock.h"
#include "harness/base/random.h"
#include "harness/base/stats.h"
#include "harness/device/activations.h"
#include "harness/device/ceiling.h"
#include "harness/device/sampler.h"

enum { TIMER_PAIRS = 1001, TRIAL_CALLS = 3 /* before the calls of a hot sample are chosen */ };

struct row {
    const struct kernel *kernel; /* NULL: a ceiling */
    enum ceiling ceiling;
    size_t slot, calls;
    void **prepared; /* of each set */
};

static struct operands slots[CHANNEL_SLOTS];
static size_t next_set[CHANNEL_SLOTS];
static uint64_t activations_hash[CHANNEL_SLOTS]; /* of every set, between samples */
static struct row rows[CHANNEL_ROWS_MAX];
static volatile unsigned long long sink;

double (*cpu_gemm_flop_per_s)(void);

/* ---- operands ---- */

/* Inputs are read-only while they are timed, but for activations, which change: they are compared after each sample. Of very
 * many small sets, for which the system would not have maps enough, all are compared only. */
static void set_inputs(struct operands *o, int protection)
{
    enum { MAPS_MAX = 4096 };
    struct buffer *list[OPERAND_BUFFERS];
    for (size_t i = 0; i < o->copies && o->copies * OPERAND_OWN <= MAPS_MAX; i++) {
        operands_buffers(o, i, list);
        for (size_t j = 0; j < (i == 0 ? (size_t)OPERAND_BUFFERS : OPERAND_OWN); j++)
            if (j != OPERAND_X && j != OPERAND_OUT && j != OPERAND_WORKSPACE && list[j]->allocation)
                mprotect(list[j]->allocation, list[j]->allocation_bytes, protection);
    }
}

static void forget_operands(struct operands *o)
{
    set_inputs(o, PROT_READ | PROT_WRITE); /* the allocator writes to what is free */
    operands_release(o);
}

bool cpu_bind(struct channel *c)
{
    struct operands *o = &slots[c->slot];
    forget_operands(o);
    cpu_set_threads(c);
    *o = (struct operands){.problem = c->problem, .nested_offset = c->nested_offset};
    o->sets = calloc(c->copies, sizeof *o->sets);
    enum status s = o->sets ? STATUS_OK : status_no_memory("operands");
    o->copies = o->sets ? c->copies : 0;
    for (size_t i = 0; i < o->copies; i++) {
        struct buffer *list[OPERAND_BUFFERS];
        operands_buffers(o, i, list);
        for (size_t j = 0; j < (i == 0 ? (size_t)OPERAND_BUFFERS : OPERAND_OWN) && s == STATUS_OK; j++)
            if (c->sizes[j] || j < OPERAND_STORED)
                s = buffer_init(list[j], c->sizes[j], operand_name(j));
    }
    if (s != STATUS_OK) {
        operands_release(o);
        return serve_fail_with(c, s, "%s", status_message());
    }
    c->count = o->copies;
    return true;
}

static struct operands *bound(struct channel *c)
{
    struct operands *o = &slots[c->slot];
    if (o->copies)
        return o;
    serve_fail_with(c, STATUS_INTERNAL, "nothing is bound");
    return NULL;
}

static void arena_access(const struct arena_operand *r, int protection)
{
    mprotect(r->window, (size_t)(r->window_end - r->window), protection);
}

bool cpu_upload(struct channel *c)
{
    struct buffer *list[OPERAND_BUFFERS];
    struct operands *o = bound(c);
    if (!o)
        return false;
    operands_buffers(o, 0, list);
    for (size_t j = 0; j < OPERAND_BUFFERS; j++) {
        const struct arena_operand *r = &c->arena.operands[j];
        if (!r->data || j == OPERAND_WORKSPACE || r->size != list[j]->size || !r->size)
            continue;
        arena_access(r, PROT_READ);
        memcpy(list[j]->data, r->data, r->size);
        arena_access(r, PROT_NONE);
    }
    return true;
}

bool cpu_replicate(struct channel *c)
{
    struct buffer *from[OPERAND_BUFFERS], *to[OPERAND_BUFFERS];
    struct operands *o = bound(c);
    if (!o)
        return false;
    operands_buffers(o, 0, from);
    for (size_t i = 1; i < o->copies; i++) {
        operands_buffers(o, i, to);
        for (size_t j = 0; j < OPERAND_OWN; j++)
            if (from[j]->size)
                memcpy(to[j]->data, from[j]->data, from[j]->size);
    }
    operands_rehash(o);
    activations_hash[c->slot] = bytes_hash(o->sets[0].x.data, o->sets[0].x.size);
    set_inputs(o, PROT_READ);
    return true;
}

/* Pieces of an output to where the judge reads them; without pieces all of it, and whether the operands are as they were. */
bool cpu_download(struct channel *c)
{
    const struct arena_operand *r = &c->arena.operands[OPERAND_OUT];
    struct operands *o = bound(c);
    char what[160];
    if (!o || c->set >= o->copies)
        return o ? serve_fail_with(c, STATUS_INTERNAL, "no such set") : false;
    const struct buffer *out = &o->sets[c->set].out;
    const struct piece all = {OPERAND_OUT, 0, out->size};
    arena_access(r, PROT_READ | PROT_WRITE);
    for (size_t i = 0; i < (c->piece_count ? c->piece_count : 1); i++) {
        const struct piece *p = c->piece_count ? &c->pieces[i] : &all;
        if (p->offset > out->size || p->size > out->size - p->offset)
            return serve_fail_with(c, STATUS_INTERNAL, "a piece is outside of the output");
        memcpy(r->data + p->offset, (char *)out->data + p->offset, p->size);
    }
    arena_access(r, PROT_NONE);
    if (c->piece_count || operands_intact(o, c->set, what, sizeof what))
        return true;
    return cpu_fault(c, "operands", what);
}

/* ---- calls ---- */

/* Those of the problem's format; the others are of size 0. */
static void read_scales(const struct operand_set *set)
{
    const struct buffer *const all[] = {&set->absmax, &set->absmax_code, &set->scale, &set->zero};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i]->size)
            sink += ceiling_read(all[i]->data, all[i]->size);
}

/* The ceiling touches the bytes of that set. */
static void call_row(const struct row *r, size_t set, bool cold)
{
    const struct operands *o = &slots[r->slot];
    const struct operand_set *bytes = &o->sets[set];
    switch (r->ceiling) {
    case CEILING_NONE:
        cpu_call(o, set, r->kernel, r->prepared[set]);
        break;
    case CEILING_FILL:
        ceiling_fill(bytes->out.data, bytes->out.size, cold);
        break;
    case CEILING_COPY:
        sink += ceiling_copy(bytes->packed.data, bytes->packed.size, bytes->out.data, bytes->out.size, cold);
        read_scales(bytes);
        break;
    default:
        sink += ceiling_read(bytes->packed.data, bytes->packed.size);
        read_scales(bytes);
    }
}

/* Around calls. A team of no more threads than the row has: others would be awake while it is timed. A ceiling is no
 * variant. */
static struct call_state begin_calls(struct channel *c, const struct row *r, const char *doing)
{
    const struct call_state before = call_state_set(omp_get_max_threads());
    if (r->kernel)
        cpu_variant_begins(c, doing);
    return before;
}

static bool end_calls(struct channel *c, const struct row *r, const struct call_state *before)
{
    char changed[96], what[160];
    cpu_variant_ended(c);
    if (!call_state_changed(before, changed, sizeof changed) || !r->kernel)
        return true;
    snprintf(what, sizeof what, "changed what runs after it: %s", changed);
    return cpu_fault(c, "call_state", what);
}

/* The beginning of the workspace, in which a variant would find what an earlier call left; what is timed stays in place. */
static void poison_workspace(const struct operands *o)
{
    enum { BEGINNING = 4096 };
    const struct buffer *b = &o->workspace;
    if (b->data)
        memset(b->data, 0xff, b->size < BEGINNING ? b->size : BEGINNING);
}

/* Both ends of the output and stripes that are drawn, or all of a small one: so that what is not written shows. */
static void poison_output(const struct buffer *out, uint64_t salt)
{
    enum { STRIPE = 64 << 10, STRIPES = 16 };
    struct buffer part = *out;
    if (out->size <= STRIPES * STRIPE) {
        buffer_poison(&part, salt);
        return;
    }
    part.size = STRIPE;
    for (size_t i = 0; i < STRIPES; i++) {
        const size_t last = (out->size - STRIPE) / 64,
                     place = i == 0   ? 0
                             : i == 1 ? last
                                      : random_u64(salt, RANDOM_POSITIONS, i) % last;
        part.data = (char *)out->data + 64 * place;
        buffer_poison(&part, salt);
    }
}

/* The calls of a sample, in memory that the variant does not share with the judge. */
struct calls {
    const struct row *row;
    size_t set, count;
    uint64_t salt;
    bool hot, change; /* signs of activations */
    double slower;
};

static struct operand_set *set_of(const struct calls *s)
{
    return &slots[s->row->slot].sets[s->set];
}

/* Changes signs as before the first `count` calls, or gives them back. Before a cold call they do not stay in a cache. */
static void change_activations(const struct calls *s, size_t count)
{
    const struct buffer *x = &set_of(s)->x;
    for (size_t i = 0; i < count && s->change; i++)
        activations_change(&slots[s->row->slot].problem, x->data, s->salt, i);
#if defined(__x86_64__)
    for (size_t i = 0; i < x->size && s->change && !s->hot; i += 64)
        __builtin_ia32_clflush((char *)x->data + i);
#endif
}

/* Their time, in us. Between two, a place of the output is poisoned, and signs change. */
static double take_calls(const struct calls *s)
{
    const struct operand_set *set = set_of(s);
    const double start = clock_us();
    for (size_t i = 0; i < s->count; i++) {
        if (i > 0 && s->row->kernel)
            memset((char *)set->out.data + hot_poison_place(s->salt, i, set->out.size), 0xff,
                   set->out.size < HOT_POISON_BYTES ? set->out.size : +HOT_POISON_BYTES);
        if (i > 0 && s->change)
            activations_change(&slots[s->row->slot].problem, set->x.data, s->salt, i);
        call_row(s->row, s->set, !s->hot);
    }
    double end = clock_us();
    if (s->slower > 0)
        for (const double late = end + s->slower * (end - start); end < late;)
            end = clock_us();
    return end - start;
}

/* ---- rows ---- */

static struct row *row_of(struct channel *c)
{
    if (c->row < CHANNEL_ROWS_MAX)
        return &rows[c->row];
    serve_fail_with(c, STATUS_LIMIT, "row %zu: more than %d rows in a group", c->row, CHANNEL_ROWS_MAX);
    return NULL;
}

static void forget_row(struct row *r)
{
    for (size_t set = 0; r->prepared && r->kernel->unprepare && set < slots[r->slot].copies; set++)
        r->kernel->unprepare(r->prepared[set]);
    free(r->prepared);
    *r = (struct row){.calls = 0};
}

bool cpu_end_rows(struct channel *c)
{
    (void)c;
    for (size_t i = 0; i < CHANNEL_ROWS_MAX; i++)
        forget_row(&rows[i]);
    for (size_t i = 0; i < CHANNEL_SLOTS; i++)
        forget_operands(&slots[i]);
    return true;
}

static enum status prepare_row(struct channel *c, struct row *r)
{
    const struct operands *o = &slots[r->slot];
    enum status s = STATUS_OK;
    r->prepared = calloc(o->copies, sizeof *r->prepared);
    if (!r->prepared)
        return status_no_memory("a row");
    cpu_variant_begins(c, "the preparation of its weights");
    for (size_t set = 0; set < o->copies && s == STATUS_OK; set++)
        s = cpu_prepare(o, operands_prepared_set(o, set, r->kernel), r->kernel, &r->prepared[set]);
    cpu_variant_ended(c);
    return s;
}

bool cpu_row(struct channel *c)
{
    struct row *r = row_of(c);
    struct operands *o = bound(c);
    if (!r || !o)
        return false;
    forget_row(r);
    *r = (struct row){.ceiling = c->ceiling, .slot = c->slot, .calls = 1};
    if (c->ceiling != CEILING_NONE)
        return true;
    r->kernel = serve_variant(c);
    if (!r->kernel)
        return false;
    const enum status s = prepare_row(c, r);
    if (s != STATUS_OK)
        return serve_fail_with(c, s, "%s", status_message());
    buffer_poison(&o->sets[0].out, c->salt);
    const struct call_state before = begin_calls(c, r, "a call before or after timing");
    call_row(r, 0, !c->hot);
    return end_calls(c, r, &before);
}

bool cpu_row_repeat(struct channel *c)
{
    const struct row *r = row_of(c);
    if (!r)
        return false;
    const struct call_state before = begin_calls(c, r, "a call before or after timing");
    call_row(r, 0, false);
    double best = INFINITY;
    for (int i = 0; i < TRIAL_CALLS; i++) {
        const double start = clock_us();
        call_row(r, 0, false);
        best = fmin(best, clock_us() - start);
    }
    rows[c->row].calls = c->count = hot_calls(best);
    c->graph = false;
    return end_calls(c, r, &before);
}

bool cpu_sample(struct channel *c)
{
    const struct row *r = row_of(c);
    if (!r || !bound(c))
        return false;
    const struct operands *o = &slots[r->slot];
    c->set = c->hot ? 0 : next_set[r->slot]++ % o->copies;
    const struct calls calls = {.row = r,
                                .set = c->set,
                                .count = r->calls + (c->hot ? c->more_calls : 0),
                                .salt = c->salt,
                                .hot = c->hot,
                                .change = r->kernel && !c->as_verified,
                                .slower = c->slower};
    const struct buffer *x = &set_of(&calls)->x;
    const struct call_state before = begin_calls(
        c, r, "a timed sample"); /* as a whole: nothing of ours but poison and signs is between the calls */
    if (calls.hot)
        call_row(r, 0, false); /* the others have been there since: warm up again */
    change_activations(&calls, 1);
    if (r->kernel) {
        poison_output(&set_of(&calls)->out, calls.salt);
        poison_workspace(o);
    }
    c->time_us = take_calls(&calls) / (double)calls.count;
    c->late = c->wrong_hash = false;
    if (!end_calls(c, r, &before))
        return false;
    change_activations(&calls, calls.count);
    return bytes_hash(x->data, x->size) == activations_hash[r->slot] ||
           cpu_fault(c, "operands", "wrote to its activations");
}

/* ---- what the clock costs ---- */

bool cpu_self_test(struct channel *c)
{
    double pairs[TIMER_PAIRS], scratch[TIMER_PAIRS];
    struct sample_summary summary;
    for (size_t i = 0; i < TIMER_PAIRS; i++) {
        const double start = clock_us();
        pairs[i] = clock_us() - start;
    }
    summarize(pairs, TIMER_PAIRS, scratch, &summary);
    c->overhead_us = summary.median;
    c->cold_ratio = NAN; /* nothing is written around the cache to make it cold */
    c->gemm_flop_per_s = cpu_gemm_flop_per_s ? cpu_gemm_flop_per_s() : NAN;
    return true;
}
