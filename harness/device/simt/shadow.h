/*
 * shadow.h: what the checker remembers of the accesses to one byte of shared memory, or one element of global
 * memory, and which of them precede the running thread's. Private to checker.c.
 *
 * Three cells each: the last plain write, the plain reads since it, and the atomics since it. Atomics have
 * their own cell because they are ordered against plain accesses but not against each other: kept as writes,
 * the second atomic would hide that the first plain write is unordered with it.
 *
 * A write is time, thread and a tag; for global memory the tag is the block, for shared memory the place in
 * the code (sites are told apart by checker.c). A set (of reads, of atomics) is the accesses that no later
 * one of the set comes after: what comes after one of those comes after all. In 8 bytes this is exact:
 *  - Lanes of one warp: a mask and the time of the latest. A synchronisation of the warp comes either before
 *    all of them or after all; SHADOW_TIMES takes over where one came between.
 *  - Threads of several warps, since the last barrier: only a barrier orders warps, so until then a write is
 *    a race whoever writes. Two of them, of different warps, are remembered, to be named.
 *  - Lanes that syncs of parts of the warp came between: an entry of a table that holds a time for each.
 *
 * Whatever is older than the last barrier precedes everything and is forgotten at the next access.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_SIMT_SHADOW_H
#define NF4BENCH_HARNESS_DEVICE_SIMT_SHADOW_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "harness/device/simt/checker.h"

enum {
    SHADOW_TIME_SHIFT = 39, /* of both cells: 25 bits of time on top */
    SHADOW_TIME_MAX = (1 << 25) - 1,
    SHADOW_THREAD_SHIFT = 28,
    SHADOW_TAG_MASK = (1 << 28) - 1,
    SHADOW_WARPS_MAX = 32,
    SHADOW_TIMES_MAX = 4096,
    SHADOW_NOBODY = -1
};

/* A write: time, in flight (cp.async), thread (10 bits), tag (28). */
#define SHADOW_IN_FLIGHT ((uint64_t)1 << 38)

/* A set: time, kind (2 bits), warp (5), 32 bits by kind. */
enum shadow_kind {
    SHADOW_LANES, /* mask */
    SHADOW_WARPS, /* two threads, 16 bits each; the later one in the low half */
    SHADOW_TIMES  /* index of the table's entry */
};

/* What the running thread is and knows. Times are of one worker and go on from block to block, so that
 * nothing is cleared between blocks. */
struct shadow_clock {
    uint32_t now, base; /* base: when the block started */
    uint32_t barrier;   /* the time of the last one; the block's start if there was none */
    unsigned thread, warp, lane;
    uint32_t full[SHADOW_WARPS_MAX];    /* the last time that all lanes of the warp met, barriers included */
    uint32_t segment[SHADOW_WARPS_MAX]; /* that any of them met */
    uint32_t (*known)[32][32]; /* warp, lane: up to when it knows of each lane, where later than full */
    uint32_t (*times)[32];
    unsigned times_used;
};

static inline uint32_t shadow_time(uint64_t cell)
{
    return (uint32_t)(cell >> SHADOW_TIME_SHIFT);
}

static inline unsigned shadow_thread(uint64_t write)
{
    return (unsigned)(write >> SHADOW_THREAD_SHIFT) & 1023;
}

static inline uint32_t shadow_tag(uint64_t write)
{
    return (uint32_t)write & SHADOW_TAG_MASK;
}

static inline enum shadow_kind shadow_kind(uint64_t set)
{
    return (enum shadow_kind)(set >> 37 & 3);
}

static inline unsigned shadow_warp(uint64_t set)
{
    return (unsigned)(set >> 32) & 31;
}

static inline uint64_t shadow_write(uint32_t time, unsigned thread, uint32_t tag)
{
    return (uint64_t)time << SHADOW_TIME_SHIFT | (uint64_t)thread << SHADOW_THREAD_SHIFT | tag;
}

static inline uint64_t shadow_set(uint32_t time, enum shadow_kind kind, unsigned warp, uint32_t value)
{
    return (uint64_t)time << SHADOW_TIME_SHIFT | (uint64_t)kind << 37 | (uint64_t)warp << 32 | value;
}

/* Whether an access of this block, by a lane of the running thread's warp or a thread of any, precedes now.
 */
static inline bool shadow_lane_precedes(const struct shadow_clock *c, unsigned lane, uint32_t time)
{
    return lane == c->lane || time <= c->full[c->warp] ||
           (c->segment[c->warp] != c->full[c->warp] && time <= c->known[c->warp][c->lane][lane]);
}

static inline bool shadow_precedes(const struct shadow_clock *c, unsigned thread, uint32_t time)
{
    return time <= c->barrier || (thread / 32 == c->warp && shadow_lane_precedes(c, thread % 32, time));
}

/* A thread of a set of this block that the running thread is not ordered after, or SHADOW_NOBODY. */
static inline int shadow_unordered(const struct shadow_clock *c, uint64_t set)
{
    uint32_t time = shadow_time(set), value = (uint32_t)set;
    if (time <= c->barrier)
        return SHADOW_NOBODY;
    enum shadow_kind kind = shadow_kind(set);
    if (kind == SHADOW_WARPS)
        return (int)((value & 0xffff) / 32 != c->warp ? value & 0xffff : value >> 16);
    unsigned warp = shadow_warp(set);
    if (kind == SHADOW_LANES) {
        uint32_t lanes = warp == c->warp ? value & ~((uint32_t)1 << c->lane) : value;
        for (; lanes; lanes &= lanes - 1) {
            unsigned lane = (unsigned)__builtin_ctz(lanes);
            if (warp != c->warp || !shadow_lane_precedes(c, lane, time))
                return (int)(warp * 32 + lane);
        }
        return SHADOW_NOBODY;
    }
    for (unsigned lane = 0; lane < 32; lane++) {
        time = c->times[value][lane];
        if (time > c->barrier && (warp != c->warp || !shadow_lane_precedes(c, lane, time)))
            return (int)(warp * 32 + lane);
    }
    return SHADOW_NOBODY;
}

/* One thread of a set, to be named. */
static inline unsigned shadow_member(const struct shadow_clock *c, uint64_t set)
{
    uint32_t value = (uint32_t)set;
    switch (shadow_kind(set)) {
    case SHADOW_LANES:
        return shadow_warp(set) * 32 + (value ? (unsigned)__builtin_ctz(value) : 0);
    case SHADOW_WARPS:
        return value & 0xffff;
    case SHADOW_TIMES:
        for (unsigned lane = 0; lane < 32; lane++)
            if (c->times[value][lane])
                return shadow_warp(set) * 32 + lane;
    }
    return 0;
}

/* The set of the same block with an entry of the table, of those of `set` that do not precede now, and now.
 */
static inline uint64_t shadow_join_times(struct shadow_clock *c, uint64_t set)
{
    const uint64_t self = shadow_set(c->now, SHADOW_LANES, c->warp, (uint32_t)1 << c->lane);
    uint32_t time[32], value = (uint32_t)set;
    bool alone = true;
    for (unsigned lane = 0; lane < 32; lane++) {
        if (shadow_kind(set) == SHADOW_TIMES)
            time[lane] = c->times[value][lane];
        else
            time[lane] = value >> lane & 1 ? shadow_time(set) : 0;
        if (shadow_lane_precedes(c, lane, time[lane]))
            time[lane] = 0;
        else
            alone = false;
    }
    time[c->lane] = c->now;
    /* An entry is never changed: several cells may name it. When the table is full, others are forgotten:
     * that may miss a race, and never makes one up. */
    if (alone || c->times_used == SHADOW_TIMES_MAX)
        return self;
    if (shadow_kind(set) == SHADOW_TIMES && !memcmp(time, c->times[value], sizeof time))
        return set;
    memcpy(c->times[c->times_used], time, sizeof time);
    return shadow_set(c->now, SHADOW_TIMES, c->warp, c->times_used++);
}

/* The set of the same block with the running thread's access at this time. */
static inline uint64_t shadow_join(struct shadow_clock *c, uint64_t set)
{
    uint32_t time = shadow_time(set), self = (uint32_t)1 << c->lane;
    enum shadow_kind kind = shadow_kind(set);
    if (time <= c->barrier)
        return shadow_set(c->now, SHADOW_LANES, c->warp, self);
    if (kind == SHADOW_WARPS)
        return set;
    if (shadow_warp(set) != c->warp)
        return shadow_set(c->now, SHADOW_WARPS, 0, shadow_member(c, set) << 16 | c->thread);
    if (kind == SHADOW_LANES) {
        if (time <= c->full[c->warp])
            return shadow_set(c->now, SHADOW_LANES, c->warp, self);
        /* No sync of the warp since then: the same time serves for both. */
        if (time > c->segment[c->warp])
            return set | self;
    }
    return shadow_join_times(c, set);
}

/* ---- what moves the clock ---- */

static inline void shadow_tick(struct shadow_clock *c)
{
    /* A clock that has run out orders everything: races may be missed then, none made up. */
    if (c->now < SHADOW_TIME_MAX)
        c->now++;
}

static inline void shadow_barrier(struct shadow_clock *c)
{
    c->barrier = c->now;
    for (unsigned w = 0; w < SHADOW_WARPS_MAX; w++)
        c->full[w] = c->segment[w] = c->now;
    c->times_used = 0; /* cells that name entries are older than this barrier */
    shadow_tick(c);
}

/* `lanes`: those that the warp has. */
static inline void shadow_syncwarp(struct shadow_clock *c, unsigned warp, uint32_t mask, uint32_t lanes)
{
    c->segment[warp] = c->now;
    if ((mask & lanes) == lanes) {
        c->full[warp] = c->now;
        shadow_tick(c);
        return;
    }
    uint32_t joined[32] = {0};
    for (uint32_t m = mask; m; m &= m - 1) {
        const uint32_t *known = c->known[warp][__builtin_ctz(m)];
        for (unsigned x = 0; x < 32; x++)
            joined[x] = known[x] > joined[x] ? known[x] : joined[x];
    }
    for (uint32_t m = mask; m; m &= m - 1)
        joined[__builtin_ctz(m)] = c->now;
    for (uint32_t m = mask; m; m &= m - 1)
        memcpy(c->known[warp][__builtin_ctz(m)], joined, sizeof joined);
    shadow_tick(c);
}

/* ---- one access ---- */

#define ALWAYS_INLINE  inline __attribute__((always_inline))
#define BLOCKS_SEVERAL UINT32_MAX /* tag of a set of accesses of more than one block */

/* The sets of reads, or of atomics; tags are a place or a block, as for writes. NULL: there were none. */
struct shadow_sets {
    uint64_t *set;
    uint32_t *tag;
};

struct shadow {
    uint64_t *write;
    struct shadow_sets reads, atomics;
};

enum clash_kind { CLASH_NONE, CLASH_UNINITIALISED, CLASH_IN_FLIGHT, CLASH_WRITE, CLASH_READS, CLASH_ATOMICS };

struct clash {
    enum clash_kind kind;
    size_t first, count; /* elements of the shadow */
    uint64_t cell;       /* what was there, */
    uint32_t tag;        /* and its place or block */
    int thread;          /* who is not ordered before the access; SHADOW_NOBODY: of another block */
};

static ALWAYS_INLINE void clash_set(const struct shadow_clock *c, uint64_t set, uint32_t tag, uint32_t block,
                                    bool global, enum clash_kind kind, struct clash *clash)
{
    if (clash->kind != CLASH_NONE || !set)
        return;
    bool foreign = global && tag != block;
    int thread = foreign ? SHADOW_NOBODY : shadow_unordered(c, set);
    if (foreign || thread != SHADOW_NOBODY)
        *clash = (struct clash){.kind = kind, .cell = set, .tag = tag, .thread = thread};
}

static ALWAYS_INLINE uint64_t join(struct shadow_clock *c, uint64_t set, uint32_t *tag, uint32_t own,
                                   bool global)
{
    if (global && set && *tag != own) {
        *tag = BLOCKS_SEVERAL;
        return set;
    }
    uint64_t joined = shadow_join(c, set);
    if (global || joined != set)
        *tag = own;
    return joined;
}

/* Checks an access to cells first .. first + count - 1 and enters it; the first clash is told. `tag`: the
 * place for shared memory, the block for global. Neighbouring cells mostly have the same past: they are
 * decided together. */
static ALWAYS_INLINE void shadow_access(struct shadow_clock *c, const struct shadow *s, size_t first,
                                        size_t count, enum checker_access access, uint32_t tag, bool global,
                                        struct clash *told)
{
    for (size_t i = first, end = first + count, next; i < end; i = next) {
        uint64_t write = s->write[i], reads = s->reads.set ? s->reads.set[i] : 0;
        uint64_t atomics = s->atomics.set ? s->atomics.set[i] : 0;
        uint32_t reads_tag = reads ? s->reads.tag[i] : 0, atomics_tag = atomics ? s->atomics.tag[i] : 0;
        next = i + 1;
        if (!global || !(reads | atomics))
            while (next < end && s->write[next] == write && (!s->reads.set || s->reads.set[next] == reads) &&
                   (!s->atomics.set || s->atomics.set[next] == atomics))
                next++;

        struct clash clash = {.kind = CLASH_NONE};
        const uint32_t time = shadow_time(write);
        const bool foreign = global && write && shadow_tag(write) != tag;
        if (!global && time < c->base) {
            if (access != CHECKER_WRITE)
                clash.kind = CLASH_UNINITIALISED;
        } else if (foreign || (write & SHADOW_IN_FLIGHT) || !shadow_precedes(c, shadow_thread(write), time)) {
            clash = (struct clash){.kind = write & SHADOW_IN_FLIGHT ? CLASH_IN_FLIGHT : CLASH_WRITE,
                                   .cell = write,
                                   .tag = shadow_tag(write),
                                   .thread = foreign ? SHADOW_NOBODY : (int)shadow_thread(write)};
        }
        if (access != CHECKER_READ)
            clash_set(c, reads, reads_tag, tag, global, CLASH_READS, &clash);
        if (access != CHECKER_ATOMIC)
            clash_set(c, atomics, atomics_tag, tag, global, CLASH_ATOMICS, &clash);
        if (clash.kind != CLASH_NONE) {
            if (told->kind == CLASH_NONE) {
                *told = clash;
                told->first = i;
                told->count = next - i;
            }
            if (clash.kind == CLASH_IN_FLIGHT)
                continue; /* it stays in flight */
        }

        if (access == CHECKER_WRITE) {
            uint64_t own = shadow_write(c->now, c->thread, tag);
            for (size_t j = i; j < next; j++)
                s->write[j] = own;
            if (reads)
                memset(s->reads.set + i, 0, (next - i) * sizeof *s->reads.set);
            if (atomics)
                memset(s->atomics.set + i, 0, (next - i) * sizeof *s->atomics.set);
            continue;
        }
        const struct shadow_sets *sets = access == CHECKER_READ ? &s->reads : &s->atomics;
        uint64_t set = access == CHECKER_READ ? reads : atomics;
        uint32_t set_tag = access == CHECKER_READ ? reads_tag : atomics_tag, old_tag = set_tag;
        uint64_t joined = join(c, set, &set_tag, tag, global);
        if (joined != set || set_tag != old_tag)
            for (size_t j = i; j < next; j++) {
                sets->set[j] = joined;
                sets->tag[j] = set_tag;
            }
    }
}

#endif
