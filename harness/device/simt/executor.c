/*
 * executor.c: runs the blocks of a launch: fibers, their order, and __syncthreads.
 *
 * A thread that never waits runs to its end on the stack of the thread before it: a kernel without barriers
 * touches one stack and makes no switch at all.
 */
#include "harness/device/simt/worker.h"

#include <string.h>

#include "harness/device/simt/checker.h"

__thread struct executor_thread executor_thread;
__thread struct simt_worker *simt_worker;
__thread const struct simt_position *simt_position;
struct run simt_run;

/* ---- order ---- */

/* Block `i` of the launch in the order of the seed: a Feistel network over the next power of four, walked
 * until it hits a block (Black and Rogaway, CT-RSA 2002), so that no table is needed. */
static uint64_t block_in_order(uint64_t i, uint64_t blocks, uint64_t seed)
{
    if (seed == 0 || blocks < 2)
        return i;
    unsigned half = 1;
    while (half < 31 && (uint64_t)1 << 2 * half < blocks)
        half++;
    uint64_t low = ((uint64_t)1 << half) - 1;
    do {
        uint64_t left = i >> half, right = i & low;
        for (uint64_t round = 0; round < 4; round++) {
            uint64_t next = left ^ (random_u64(seed + round * 0x51, RANDOM_ORDER, right) & low);
            left = right;
            right = next;
        }
        i = left << half | right;
    } while (i >= blocks);
    return i;
}

/* The thread that goes on next, taken from the ready ones; -1: there is none. */
static int take_next(struct simt_worker *w)
{
    if (w->ready_count == 0)
        return -1;
    unsigned word = 0, turn = 0, words = (w->threads + 63) / 64;
    if (simt_run.options.seed != 0) {
        /* The first ready one from a random place on: quick, and random enough. */
        uint64_t random = worker_random(w);
        word = (unsigned)((random >> 32) * words >> 32);
        turn = (unsigned)random % 64;
    }
    while (!w->ready[word])
        word = word + 1 == words ? 0 : word + 1;
    uint64_t bits = w->ready[word];
    if (turn)
        bits = bits >> turn | bits << (64 - turn);
    unsigned bit = ((unsigned)__builtin_ctzll(bits) + turn) % 64;
    w->ready[word] &= ~((uint64_t)1 << bit);
    w->ready_count--;
    return (int)(word * 64 + bit);
}

void executor_wake(struct simt_worker *w, unsigned warp, uint32_t mask)
{
    w->ready[warp / 2] |= (uint64_t)mask << 32 * (warp % 2);
    w->ready_count += (unsigned)__builtin_popcount(mask);
    for (uint32_t left = mask; left; left &= left - 1)
        w->thread[warp * WARP + (unsigned)__builtin_ctz(left)].state = THREAD_STARTED;
}

/* ---- fibers ---- */

static void set_current(struct simt_worker *w, unsigned thread)
{
    const struct cuda_thread *t = &w->thread[thread];
    w->current = thread;
    w->position.thread[0] = thread;
    executor_thread.stack = t->stack;
    executor_thread.stack_end = t->stack + STACK_BYTES;
}

static void fiber_main(void);

static void switch_to(struct simt_worker *w, struct fiber *from, unsigned thread, bool ends)
{
    struct cuda_thread *t = &w->thread[thread];
    if (t->state == THREAD_FRESH) {
        t->state = THREAD_STARTED;
        t->stack = w->free_stacks[--w->free_count];
        /* At the same offset all stacks would compete for a few sets of the caches. */
        size_t index = (size_t)(t->stack - simt_run.stacks) / simt_run.stack_stride;
        fiber_prepare(&t->fiber, t->stack, STACK_BYTES - index % 32 * 320, fiber_main);
    }
    set_current(w, thread);
    fiber_switch(from, &t->fiber, ends);
}

/* A fiber: the thread it was made for, and after it others that have not started yet. */
static void fiber_main(void)
{
    fiber_entered();
    struct simt_worker *w = simt_worker;
    for (;;) {
        struct cuda_thread *t = &w->thread[w->current];
        executor_thread.valid = true;
        t->commits = 0;
        simt_run.entry->run(simt_run.args);
        if (t->async_first)
            memory_async_finish(w, w->current);
        t->state = THREAD_RETURNED;
        w->live--;
        int next = take_next(w);
        if (next >= 0 && w->thread[next].state == THREAD_FRESH) {
            struct cuda_thread *n = &w->thread[next];
            n->state = THREAD_STARTED;
            n->stack = t->stack;
            n->fiber.stack = t->fiber.stack;
            n->fiber.size = t->fiber.size;
            t->stack = NULL;
            set_current(w, (unsigned)next);
            continue;
        }
        if (next < 0 && w->live)
            collective_deadlock(w);
        w->free_stacks[w->free_count++] = t->stack;
        t->stack = NULL;
        if (next >= 0) {
            switch_to(w, &t->fiber, (unsigned)next, true);
        } else {
            executor_thread.valid = false;
            fiber_switch(&t->fiber, &w->native, true);
        }
        __builtin_unreachable();
    }
}

void executor_wait(struct simt_worker *w)
{
    struct cuda_thread *t = &w->thread[w->current];
    int next = take_next(w);
    if (next < 0)
        collective_deadlock(w);
    switch_to(w, &t->fiber, (unsigned)next, false);
}

void executor_yield(struct simt_worker *w)
{
    if (simt_run.options.seed == 0)
        return;
    unsigned self = w->current;
    executor_wake(w, self / WARP, (uint32_t)1 << self % WARP);
    int next = take_next(w);
    if ((unsigned)next != self)
        switch_to(w, &w->thread[self].fiber, (unsigned)next, false);
}

/* ---- blocks ---- */

static void run_block(struct simt_worker *w, uint64_t block)
{
    const struct launch *l = &simt_run.launch;
    w->block = block;
    w->position.block[0] = (uint32_t)(block % l->grid[0]);
    w->position.block[1] = (uint32_t)(block / l->grid[0] % l->grid[1]);
    w->position.block[2] = (uint32_t)(block / l->grid[0] / l->grid[1]);
    w->random = random_u64(simt_run.options.seed, RANDOM_ORDER, block);
    for (unsigned i = 0; i < w->threads; i++)
        w->thread[i].state = THREAD_FRESH;
    memset(w->ready, 0, sizeof w->ready);
    for (unsigned i = 0; i < w->threads / 64; i++)
        w->ready[i] = UINT64_MAX;
    if (w->threads % 64)
        w->ready[w->threads / 64] = ((uint64_t)1 << w->threads % 64) - 1;
    w->live = w->ready_count = w->threads;
    w->barrier_count = 0;
    memory_block_start(w);
    if (simt_run.options.checked)
        checker_block_start();

    switch_to(w, &w->native, (unsigned)take_next(w), false);

    memory_block_end(w);
}

void executor_work(struct simt_worker *w)
{
    const struct launch *l = &simt_run.launch;
    simt_worker = w;
    simt_position = (const struct simt_position *)&w->position;
    w->threads = l->threads;
    w->warp_count = (l->threads + WARP - 1) / WARP;
    w->position = (struct block_position){
        {0, 0, 0}, {0, 0, 0}, {l->threads, 1, 1}, {l->grid[0], l->grid[1], l->grid[2]}};
    fiber_from_thread(&w->native);
    w->free_count = l->threads;
    for (unsigned i = 0; i < l->threads; i++)
        w->free_stacks[i] =
            simt_run.stacks + ((size_t)w->index * l->threads + (l->threads - 1 - i)) * simt_run.stack_stride;
    for (;;) {
        uint64_t i = atomic_fetch_add_explicit(&simt_run.next_block, 1, memory_order_relaxed);
        if (i >= simt_run.blocks)
            break;
        run_block(w, block_in_order(i, simt_run.blocks, simt_run.options.seed));
    }
}

/* ---- __syncthreads ---- */

void simt_syncthreads(const char *file, int line)
{
    struct simt_worker *w = simt_worker;
    struct cuda_thread *t = &w->thread[w->current];
    memory_async_chance(w);
    t->site = (struct site){"__syncthreads", file, line};
    if (w->barrier_count == 0) {
        w->barrier_site = t->site;
        w->barrier_first = w->current;
    } else if (w->barrier_site.line != line ||
               (w->barrier_site.file != file && strcmp(w->barrier_site.file, file) != 0)) {
        executor_report(SIMT_BARRIER, executor_place(w->barrier_site.file, w->barrier_site.line),
                        executor_place(file, line),
                        "__syncthreads at different lines: thread %u of block %llu has reached the one at "
                        "line %d, thread %u the one at line %d",
                        w->barrier_first, (unsigned long long)w->block, w->barrier_site.line, w->current,
                        line);
        executor_abort();
    }
    if (++w->barrier_count < w->threads) {
        t->state = THREAD_AT_BARRIER;
        executor_wait(w);
        return;
    }
    if (simt_run.options.checked)
        checker_barrier();
    w->barrier_count = 0;
    for (unsigned i = 0; i < w->warp_count; i++) {
        unsigned first = i * WARP, left = w->threads - first;
        uint32_t mask = left >= WARP ? UINT32_MAX : ((uint32_t)1 << left) - 1;
        if (w->current / WARP == i)
            mask &= ~((uint32_t)1 << w->current % WARP);
        executor_wake(w, i, mask);
    }
    executor_yield(w);
}
