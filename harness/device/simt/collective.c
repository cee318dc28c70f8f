/*
 * collective.c: collectives of a warp. Each lane puts its operands into its mailbox; the last one to come
 * computes the results of all. Also the diagnosis of blocks in which nobody can go on.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "harness/device/simt/checker.h"
#include "harness/device/simt/symbolize.h"
#include "harness/device/simt/tensor_core.h"
#include "harness/device/simt/worker.h"

static const char *const collective_names[] = {
    [COLLECTIVE_SYNCWARP] = "__syncwarp", [COLLECTIVE_SHUFFLE] = "a shuffle",
    [COLLECTIVE_VOTE] = "a vote",         [COLLECTIVE_MMA] = "mma",
    [COLLECTIVE_LDMATRIX] = "ldmatrix",
};

/* ---- reports ---- */

struct text {
    char *at;
    size_t left; /* always room for the end */
};

static void PRINTF_LIKE(2, 3) add(struct text *t, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(t->at, t->left, format, ap);
    va_end(ap);
    size_t length = n < 0 ? 0 : (size_t)n < t->left ? (size_t)n : t->left - 1;
    t->at += length;
    t->left -= length;
}

static void add_lanes(struct text *t, uint32_t mask)
{
    add(t, mask & (mask - 1) ? "lanes " : "lane ");
    const char *separator = "";
    for (int lane = 0; lane < WARP; lane++) {
        if (!(mask >> lane & 1))
            continue;
        int last = lane;
        while (last + 1 < WARP && (mask >> (last + 1) & 1))
            last++;
        add(t, last > lane ? "%s%d-%d" : "%s%d", separator, lane, last);
        separator = ",";
        lane = last;
    }
}

static bool same_site(const struct site *a, const struct site *b)
{
    return a->line == b->line && a->operation == b->operation &&
           (a->file == b->file || strcmp(a->file, b->file) == 0);
}

static bool same_state(const struct cuda_thread *a, const struct cuda_thread *b)
{
    if (a->state != b->state)
        return false;
    return a->state == THREAD_FRESH || a->state == THREAD_RETURNED || same_site(&a->site, &b->site);
}

static void add_state(struct text *t, const struct cuda_thread *c, bool many)
{
    switch (c->state) {
    case THREAD_FRESH:
        add(t, many ? " have not started" : " has not started");
        break;
    case THREAD_STARTED:
        add(t, " can go on");
        break;
    case THREAD_RETURNED:
        add(t, many ? " have returned" : " has returned");
        break;
    case THREAD_AT_BARRIER:
    case THREAD_IN_WARP:
        add(t, " wait%s at %s (%s:%d)", many ? "" : "s", c->site.operation, symbolize_path(c->site.file),
            c->site.line);
        break;
    }
}

/* Where the lanes of `mask` are. */
static void add_whereabouts(struct text *t, const struct simt_worker *w, unsigned warp, uint32_t mask)
{
    unsigned lanes = w->threads - warp * WARP;
    uint32_t exist = lanes >= WARP ? UINT32_MAX : ((uint32_t)1 << lanes) - 1;
    if (mask & ~exist) {
        add(t, "; ");
        add_lanes(t, mask & ~exist);
        add(t, " do not exist (the block has %u threads)", w->threads);
    }
    for (uint32_t left = mask & exist; left;) {
        const struct cuda_thread *first = &w->thread[warp * WARP + (unsigned)__builtin_ctz(left)];
        uint32_t same = 0;
        for (unsigned lane = 0; lane < WARP; lane++)
            if ((left >> lane & 1) && same_state(first, &w->thread[warp * WARP + lane]))
                same |= (uint32_t)1 << lane;
        add(t, "; ");
        add_lanes(t, same);
        add_state(t, first, same & (same - 1));
        left &= ~same;
    }
}

void collective_standing(const struct simt_worker *w, char *text, size_t size)
{
    struct text t = {text, size};
    *text = 0;
    bool told[LAUNCH_THREADS_MAX] = {false};
    const char *separator = "";
    int kinds = 0;
    for (unsigned i = 0; i < w->threads && kinds < 6; i++) {
        if (told[i] || i == w->current)
            continue;
        unsigned count = 0;
        for (unsigned j = i; j < w->threads; j++) {
            if (j != w->current && same_state(&w->thread[i], &w->thread[j])) {
                told[j] = true;
                count++;
            }
        }
        add(&t, "%s%u thread%s (%u%s)", separator, count, count > 1 ? "s" : "", i, count > 1 ? " ..." : "");
        add_state(&t, &w->thread[i], count > 1);
        separator = "; ";
        kinds++;
    }
}

static void report_group(const struct simt_worker *w, unsigned warp, const struct group *g)
{
    char what[WHAT_BYTES];
    struct text t = {what, sizeof what};
    add(&t, "warp %u of block %llu: %s with mask 0x%08x was reached by ", warp, (unsigned long long)w->block,
        g->site.operation, g->mask);
    add_lanes(&t, g->arrived);
    add(&t, " only");
    add_whereabouts(&t, w, warp, g->mask & ~g->arrived);
    executor_report(SIMT_COLLECTIVE, executor_place(g->site.file, g->site.line), nowhere, "%s", what);
}

static void report_barrier(const struct simt_worker *w)
{
    const struct cuda_thread *other = NULL;
    unsigned index = 0, missing = 0;
    for (unsigned i = 0; i < w->threads; i++) {
        if (w->thread[i].state == THREAD_AT_BARRIER)
            continue;
        missing++;
        /* A thread that waits elsewhere says more than one that has returned. */
        if (!other || (other->state == THREAD_RETURNED && w->thread[i].state != THREAD_RETURNED)) {
            other = &w->thread[i];
            index = i;
        }
    }
    if (!other)
        return;
    char what[WHAT_BYTES];
    struct text t = {what, sizeof what};
    add(&t,
        "block %llu: %u of %u threads wait at __syncthreads (thread %u is one); %u will not come: thread %u",
        (unsigned long long)w->block, w->barrier_count, w->threads, w->barrier_first, missing, index);
    add_state(&t, other, false);
    executor_report(SIMT_BARRIER, executor_place(w->barrier_site.file, w->barrier_site.line),
                    other->state == THREAD_RETURNED ? nowhere
                                                    : executor_place(other->site.file, other->site.line),
                    "%s", what);
}

void collective_deadlock(struct simt_worker *w)
{
    /* When all that the warps wait for stand at the barrier, the barrier is what divides them. */
    bool barrier_first = w->barrier_count > 0;
    for (unsigned i = 0; i < w->warp_count; i++) {
        for (unsigned g = 0; g < w->warp[i].group_count; g++) {
            uint32_t missing = w->warp[i].groups[g].mask & ~w->warp[i].groups[g].arrived;
            for (unsigned lane = 0; lane < WARP; lane++) {
                unsigned thread = i * WARP + lane;
                if ((missing >> lane & 1) &&
                    (thread >= w->threads || w->thread[thread].state != THREAD_AT_BARRIER))
                    barrier_first = false;
            }
        }
    }
    if (barrier_first)
        report_barrier(w);
    for (unsigned i = 0; i < w->warp_count; i++)
        for (unsigned g = 0; g < w->warp[i].group_count; g++)
            report_group(w, i, &w->warp[i].groups[g]);
    if (!barrier_first && w->barrier_count)
        report_barrier(w);
    executor_abort();
    __builtin_unreachable();
}

/* ---- rendezvous ---- */

static struct mailbox *own_mailbox(struct simt_worker *w)
{
    return &w->warp[w->current / WARP].lanes[w->current % WARP];
}

/* The running lane has come, with its operands in its mailbox. Returns its warp when it is the last one: it
 * then fills all results and calls complete(). NULL: the results are there. */
static struct warp *arrive(struct simt_worker *w, enum collective kind, int variant, uint32_t mask,
                           const char *file, int line)
{
    unsigned lane = w->current % WARP;
    struct warp *warp = &w->warp[w->current / WARP];
    struct cuda_thread *t = &w->thread[w->current];
    if (w->async_pending)
        memory_async_chance(w);
    t->site = (struct site){collective_names[kind], file, line};
    if (!(mask >> lane & 1)) {
        executor_report(SIMT_COLLECTIVE, executor_place(file, line), nowhere,
                        "thread %u of block %llu (lane %u) is not in its own mask 0x%08x of %s", w->current,
                        (unsigned long long)w->block, lane, mask, t->site.operation);
        executor_abort();
    }
    struct group *g = warp->groups;
    while (g < warp->groups + warp->group_count && g->mask != mask)
        g++;
    if (g == warp->groups + warp->group_count) {
        warp->group_count++;
        *g = (struct group){mask, 0, kind, variant, t->site};
    } else if (g->kind != kind || g->variant != variant || !same_site(&g->site, &t->site)) {
        char what[WHAT_BYTES];
        struct text s = {what, sizeof what};
        add(&s, "warp %u of block %llu, mask 0x%08x: ", w->current / WARP, (unsigned long long)w->block,
            mask);
        add_lanes(&s, g->arrived);
        add(&s, " came to %s at line %d, lane %u to %s at line %d%s", g->site.operation, g->site.line, lane,
            t->site.operation, line, g->kind == kind && g->variant != variant ? " of another form" : "");
        executor_report(SIMT_COLLECTIVE, executor_place(file, line),
                        executor_place(g->site.file, g->site.line), "%s", what);
        executor_abort();
    }
    g->arrived |= (uint32_t)1 << lane;
    if (g->arrived == mask)
        return warp;
    t->state = THREAD_IN_WARP;
    executor_wait(w);
    return NULL;
}

/* The results of all lanes of `mask` are there. */
static void complete(struct simt_worker *w, struct warp *warp, uint32_t mask)
{
    struct group *g = warp->groups;
    while (g->mask != mask)
        g++;
    *g = warp->groups[--warp->group_count];
    executor_wake(w, w->current / WARP, mask & ~((uint32_t)1 << w->current % WARP));
    executor_yield(w);
}

void simt_syncwarp(uint32_t mask, const char *file, int line)
{
    struct simt_worker *w = simt_worker;
    struct warp *warp = arrive(w, COLLECTIVE_SYNCWARP, 0, mask, file, line);
    if (!warp)
        return;
    if (simt_run.options.checked)
        checker_syncwarp(w->current / WARP, mask);
    complete(w, warp, mask);
}

/* ---- shuffles and votes ---- */

/* The lane that `lane` reads; as PTX's shfl.sync has it (its clamp and segment mask are what CUDA's functions
 * make of width). The operand's low five bits count. */
static uint32_t shuffle_source(int mode, uint32_t lane, uint32_t operand, uint32_t width)
{
    uint32_t segment = lane & ~(width - 1), last = segment + width - 1;
    operand &= 31;
    switch (mode) {
    case SIMT_SHUFFLE_INDEX:
        return segment + (operand & (width - 1));
    case SIMT_SHUFFLE_UP:
        return lane >= segment + operand ? lane - operand : lane;
    case SIMT_SHUFFLE_DOWN:
        return lane + operand <= last ? lane + operand : lane;
    default: /* an earlier segment may be read, a later one not */
        return (lane ^ operand) <= last ? lane ^ operand : lane;
    }
}

uint32_t simt_shuffle(int mode, uint32_t mask, uint32_t value, uint32_t lane, int width, const char *file,
                      int line)
{
    struct simt_worker *w = simt_worker;
    uint32_t self = w->current % WARP;
    struct mailbox *m = own_mailbox(w);
    if (width < 1 || width > WARP || (width & (width - 1))) {
        executor_report(SIMT_COLLECTIVE, executor_place(file, line), nowhere,
                        "a shuffle of width %d (thread %u of block %llu): not a power of two up to 32", width,
                        w->current, (unsigned long long)w->block);
        executor_abort();
    }
    m->value = value;
    m->source = shuffle_source(mode, self, lane, (uint32_t)width);
    struct warp *warp = arrive(w, COLLECTIVE_SHUFFLE, mode, mask, file, line);
    if (!warp)
        return m->result;
    uint32_t absent = 0;
    for (uint32_t left = mask; left; left &= left - 1) {
        struct mailbox *to = &warp->lanes[__builtin_ctz(left)];
        if (mask >> to->source & 1)
            to->result = warp->lanes[to->source].value;
        else
            absent |= left & -left;
    }
    if (absent) {
        uint32_t first = (uint32_t)__builtin_ctz(absent);
        executor_report(
            SIMT_COLLECTIVE, executor_place(file, line), nowhere,
            "lane %u of warp %u of block %llu reads by a shuffle from lane %u, which is not in the "
            "mask 0x%08x: the value is undefined",
            first, w->current / WARP, (unsigned long long)w->block, warp->lanes[first].source, mask);
        for (; absent; absent &= absent - 1)
            warp->lanes[__builtin_ctz(absent)].result = 0x7fc1ffc1u; /* a NaN in any type */
    }
    uint32_t result = m->result; /* a yield may bring the next value */
    complete(w, warp, mask);
    return result;
}

uint32_t simt_vote(int mode, uint32_t mask, int predicate, const char *file, int line)
{
    struct simt_worker *w = simt_worker;
    struct mailbox *m = own_mailbox(w);
    m->value = predicate != 0;
    struct warp *warp = arrive(w, COLLECTIVE_VOTE, mode, mask, file, line);
    if (!warp)
        return m->result;
    uint32_t ballot = 0;
    for (uint32_t left = mask; left; left &= left - 1) {
        unsigned lane = (unsigned)__builtin_ctz(left);
        ballot |= warp->lanes[lane].value << lane;
    }
    uint32_t result = mode == SIMT_VOTE_BALLOT ? ballot
                      : mode == SIMT_VOTE_ANY  ? ballot != 0
                                               : ballot == mask;
    for (uint32_t left = mask; left; left &= left - 1)
        warp->lanes[__builtin_ctz(left)].result = result;
    complete(w, warp, mask);
    return result;
}

/* ---- matrices ---- */

void simt_mma_m16n8k16(int type, float *d, const uint32_t *a, const uint32_t *b, const char *file, int line)
{
    struct simt_worker *w = simt_worker;
    struct mailbox *m = own_mailbox(w);
    m->a = a;
    m->b = b;
    m->d = d;
    struct warp *warp = arrive(w, COLLECTIVE_MMA, type, UINT32_MAX, file, line);
    if (!warp)
        return;
    struct tensor_core_tile tile;
    for (unsigned lane = 0; lane < WARP; lane++) {
        const struct mailbox *from = &warp->lanes[lane];
        unsigned group = lane / 4, pair = lane % 4;
        for (unsigned i = 0; i < 2; i++) {
            for (unsigned j = 0; j < 2; j++) {
                unsigned k = 2 * pair + 8 * i + j;
                tile.a[group][k] = (uint16_t)(from->a[2 * i] >> 16 * j);
                tile.a[group + 8][k] = (uint16_t)(from->a[2 * i + 1] >> 16 * j);
                tile.b[k][group] = (uint16_t)(from->b[i] >> 16 * j);
                tile.d[group + 8 * i][2 * pair + j] = from->d[2 * i + j];
            }
        }
    }
    tensor_core_mma(simt_run.options.tensor_core, type ? TENSOR_CORE_BF16 : TENSOR_CORE_F16, &tile);
    for (unsigned lane = 0; lane < WARP; lane++)
        for (unsigned i = 0; i < 2; i++)
            for (unsigned j = 0; j < 2; j++)
                warp->lanes[lane].d[2 * i + j] = tile.d[lane / 4 + 8 * i][2 * (lane % 4) + j];
    complete(w, warp, UINT32_MAX);
}

void simt_ldmatrix(int count, int transposed, uint32_t *r, const void *row, const char *file, int line)
{
    struct simt_worker *w = simt_worker;
    unsigned self = w->current % WARP;
    struct mailbox *m = own_mailbox(w);
    m->row = row;
    m->words = r;
    if (self < 8u * (unsigned)count && !memory_shared_row(w, row, 16, "ldmatrix", file, line))
        m->row = NULL;
    struct warp *warp = arrive(w, COLLECTIVE_LDMATRIX, 2 * count + (transposed != 0), UINT32_MAX, file, line);
    if (!warp)
        return;
    for (unsigned matrix = 0; matrix < (unsigned)count; matrix++) {
        uint16_t element[8][8];
        for (unsigned i = 0; i < 8; i++) {
            if (warp->lanes[8 * matrix + i].row)
                memcpy(element[i], warp->lanes[8 * matrix + i].row, 16);
            else
                memset(element[i], 0, 16);
        }
        for (unsigned lane = 0; lane < WARP; lane++) {
            unsigned i = lane / 4, j = 2 * (lane % 4);
            uint16_t low = transposed ? element[j][i] : element[i][j];
            uint16_t high = transposed ? element[j + 1][i] : element[i][j + 1];
            warp->lanes[lane].words[matrix] = (uint32_t)high << 16 | low;
        }
    }
    complete(w, warp, UINT32_MAX);
}
