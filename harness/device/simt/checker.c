/*
 * checker.c: finds an access's array or buffer, holds it against the shadow (shadow.h) and says what is
 * wrong.
 *
 * An access costs most where it is most frequent: so the hooks (checker_hooks.c) drop accesses to the running
 * fiber's own stack, and here come shared arrays, then what the executor lets a kernel read, then buffers,
 * then constant tables. Shared memory is one worker's, and has a shadow for each byte. Global memory has one
 * for each element of the writable buffers, which workers update under a lock for 16 elements, so that of two
 * blocks that touch an element the later one always sees the earlier one.
 */
#include "harness/device/simt/checker.h"

#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "harness/device/simt/shadow.h"

enum {
    ARRAYS_MAX = 64,
    /* Bytes of shared memory of a block: as much as any GPU has, and what rounding up each array may add. */
    SHARED_BYTES_MAX = LAUNCH_STATIC_SHARED_MAX + LAUNCH_DYNAMIC_SHARED_MAX + ARRAYS_MAX * 16,
    LOCKS = 4096,
    LOCK_GROUP = 16, /* elements */
    SITES = 4096,
    REPORTED = 1024,
    NEAR = 1 << 20, /* bytes beyond an end that are still called "past" it */
};
struct array {
    const char *name;
    uintptr_t start;
    size_t size;
    struct shadow shadow; /* atomics: NULL until there are some in this block */
};

struct known_array {
    const char *name;
    uintptr_t start;
    size_t size;
    unsigned granule, shift;
    bool writable;
    size_t cells;
    struct shadow shadow; /* reads, atomics: made at the first; published last */
    pthread_mutex_t lock;
};

struct address_range {
    uintptr_t start;
    size_t size;
};

static struct {
    struct known_array *buffers;
    size_t buffer_count;
} launch;

static uint8_t locks[LOCKS] __attribute__((aligned(64)));

/* What a worker maps at its first block. */
struct worker_memory {
    uint64_t write[SHARED_BYTES_MAX], reads[SHARED_BYTES_MAX], atomics[SHARED_BYTES_MAX];
    uint32_t read_tags[SHARED_BYTES_MAX], atomic_tags[SHARED_BYTES_MAX];
    uint32_t known[SHADOW_WARPS_MAX][32][32], times[SHADOW_TIMES_MAX][32];
    struct executor_place sites[SITES]; /* that have no return address */
    uint64_t reported[REPORTED];
};

static __thread struct checker_worker {
    struct shadow_clock clock;
    struct array arrays[ARRAYS_MAX];
    size_t array_count, array_last, buffer_last;
    struct address_range segment; /* of a loaded file, with constant tables: the latest that was read */
    struct worker_memory *memory;
    struct shadow shared; /* for all arrays, one after the other */
    size_t shared_used, shared_most;
    const void *pc; /* the latest: places are told relative to it */
    struct {
        struct executor_place place; /* pc NULL: none */
        unsigned thread;
        char what[192];
    } index; /* seen by checker_index() and not yet told */
} worker;

/* ---- places ---- */

/* A place in 28 bits: the low ones of a return address (kernels of one module lie within 128 MiB), or a
 * number of a file and line. 0: unknown. */
#define SITE_FILE ((uint32_t)1 << 27)

static uint32_t site_of_file(const struct executor_place *place)
{
    if (!place->file)
        return 0;
    uint32_t at = (uint32_t)((((uintptr_t)place->file >> 3) + (unsigned)place->line) * 0x9e3779b1u) % SITES;
    for (unsigned tries = 0; tries < 16; tries++, at = (at + 1) % SITES) {
        struct executor_place *s = &worker.memory->sites[at];
        if (!s->file)
            *s = *place;
        if (s->file == place->file && s->line == place->line)
            return SITE_FILE | at;
    }
    return 0;
}

static inline uint32_t site_of(const struct executor_place *place)
{
    return place->pc ? (uint32_t)(uintptr_t)place->pc & (SITE_FILE - 1) : site_of_file(place);
}

static struct executor_place place_of(uint32_t site)
{
    if (site & SITE_FILE)
        return worker.memory->sites[site & (SITE_FILE - 1)];
    if (!site || !worker.pc)
        return nowhere;
    uintptr_t anchor = (uintptr_t)worker.pc, pc = (anchor & ~(uintptr_t)(SITE_FILE - 1)) | site;
    if (pc > anchor && pc - anchor > SITE_FILE / 2)
        pc -= SITE_FILE;
    else if (anchor > pc && anchor - pc > SITE_FILE / 2)
        pc += SITE_FILE;
    return (struct executor_place){(const void *)pc, NULL, 0};
}

/* ---- reports ---- */

/* A racing kernel races at each element: only the first of a place is worth a sentence. True if it is. */
static bool first_time(enum simt_fault fault, const struct executor_place *place, uint32_t other)
{
    uint64_t key = (uint64_t)(uintptr_t)place->pc ^ (uint64_t)(uintptr_t)place->file << 8 ^
                   (uint64_t)(unsigned)place->line << 40;
    key = (key ^ (uint64_t)other << 20 ^ (uint64_t)(fault + 1) << 58) * 0x9e3779b97f4a7c15u;
    uint64_t *known = &worker.memory->reported[key >> 32 & (REPORTED - 1)];
    if (*known == key)
        return false;
    *known = key;
    return true;
}

static const char *const verbs[] = {
    [CHECKER_READ] = "reads", [CHECKER_WRITE] = "writes", [CHECKER_ATOMIC] = "atomically updates"};

/* "out[17] (bytes 34 to 35)", "tile (shared, bytes 64 to 67)" */
static void name_bytes(char *text, size_t size, const char *name, unsigned element, size_t first,
                       size_t bytes)
{
    char range[64];
    size_t last = first + bytes - 1;
    snprintf(range, sizeof range, bytes > 1 ? "bytes %zu to %zu" : "byte %zu", first, last);
    if (!element)
        snprintf(text, size, "%s (shared, %s)", name, range);
    else if (first / element == last / element)
        snprintf(text, size, "%s[%zu] (%s)", name, first / element, range);
    else
        snprintf(text, size, "%s[%zu] to %s[%zu] (%s)", name, first / element, name, last / element, range);
}

static void report(enum simt_fault fault, const struct executor_place *place, uint32_t other,
                   const char *verb, const char *object, const char *rest)
{
    executor_report(fault, *place, place_of(other), "thread %u of block %llu %s %s%s", simt_worker->current,
                    (unsigned long long)simt_worker->block, verb, object, rest);
}

static void broken(const char *what)
{
    executor_report(SIMT_BROKEN, nowhere, nowhere, "%s", what);
    executor_abort();
}

/* ---- clashes in words ---- */

/* "2 threads of warp 3", "thread 4", of this block or another. */
static void name_others(char *text, size_t size, const struct clash *clash, bool global)
{
    bool write = clash->kind == CLASH_WRITE || clash->kind == CLASH_IN_FLIGHT;
    uint64_t cell = clash->cell;
    if (clash->thread == SHADOW_NOBODY) {
        if (clash->tag == BLOCKS_SEVERAL)
            snprintf(text, size, "threads of several blocks");
        else if (write)
            snprintf(text, size, "thread %u of block %u", shadow_thread(cell), clash->tag);
        else if (shadow_kind(cell) == SHADOW_TIMES)
            snprintf(text, size, "a thread of block %u", clash->tag);
        else
            snprintf(text, size, "thread %u of block %u", shadow_member(&worker.clock, cell), clash->tag);
        return;
    }
    unsigned thread = (unsigned)clash->thread;
    int used = snprintf(text, size, "thread %u (warp %u", thread, thread / 32);
    int more = write || shadow_kind(cell) != SHADOW_LANES ? 0 : __builtin_popcount((uint32_t)cell) - 1;
    if (!write && shadow_kind(cell) == SHADOW_WARPS)
        used += snprintf(text + used, size - (size_t)used, ", among others of several warps");
    else if (more > 0)
        used += snprintf(text + used, size - (size_t)used, ", among %d lanes of it", more + 1);
    snprintf(text + used, size - (size_t)used, global ? ") of the same block" : ")");
}

static void tell(const struct clash *clash, enum checker_access access, const char *name, unsigned element,
                 size_t bytes_of_cell, const struct executor_place *place)
{
    bool global = element != 0;
    uint32_t other = global ? 0 : clash->tag; /* a block is no place */
    enum simt_fault fault = clash->kind == CLASH_UNINITIALISED ? SIMT_UNINITIALISED
                            : clash->kind == CLASH_IN_FLIGHT   ? SIMT_ASYNC_HAZARD
                                                               : SIMT_RACE;
    if (!first_time(fault, place, other))
        return;
    char object[160], who[160], rest[320];
    name_bytes(object, sizeof object, name, element, clash->first * bytes_of_cell,
               clash->count * bytes_of_cell);
    name_others(who, sizeof who, clash, global);
    switch (clash->kind) {
    case CLASH_UNINITIALISED:
        snprintf(rest, sizeof rest, ", which nothing has written in this block");
        break;
    case CLASH_IN_FLIGHT:
        snprintf(rest, sizeof rest, ", while a cp.async of %s to it is under way", who);
        break;
    default:
        snprintf(rest, sizeof rest, ", which was %s by %s; nothing orders the two",
                 clash->kind == CLASH_WRITE   ? "written"
                 : clash->kind == CLASH_READS ? "read"
                                              : "atomically updated",
                 who);
    }
    report(fault, place, other, verbs[access], object, rest);
}

static ALWAYS_INLINE void array_access(struct array *a, size_t offset, size_t size,
                                       enum checker_access access, const struct executor_place *place)
{
    struct clash clash;
    clash.kind = CLASH_NONE;
    shadow_access(&worker.clock, &a->shadow, offset, size, access, site_of(place), false, &clash);
    if (__builtin_expect(clash.kind != CLASH_NONE, 0))
        tell(&clash, access, a->name, 0, 1, place);
}

/* ---- global memory ---- */

/* Shared, though nobody shares it: a first read then maps the page that a later write goes to. Of private memory it maps
 * the page of zeros, and the write's copy interrupts every processor that runs a worker. */
static void *reserve(size_t bytes)
{
    void *p = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void unreserve(void *p, size_t bytes)
{
    if (p)
        munmap(p, bytes ? bytes : 1);
}

/* Outputs are rarely read and rarely updated: their sets are made at the first such access. */
static bool sets_make(struct known_array *b, struct shadow_sets *sets)
{
    if (__atomic_load_n(&sets->set, __ATOMIC_ACQUIRE))
        return true;
    pthread_mutex_lock(&b->lock);
    bool ok = sets->set != NULL;
    if (!ok) {
        uint64_t *set = reserve(b->cells * sizeof *set);
        sets->tag = reserve(b->cells * sizeof *sets->tag);
        ok = set && sets->tag;
        if (ok)
            __atomic_store_n(&sets->set, set, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&b->lock);
    return ok;
}

static uint8_t *lock_take(const struct known_array *b, size_t group)
{
    uint8_t *lock = &locks[(group ^ (size_t)(b - launch.buffers) * 977) % LOCKS];
    for (unsigned spins = 1; __atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE); spins++)
        if (spins % 64 == 0)
            sched_yield();
    return lock;
}

/* As it is now: another worker may just have made the sets. */
static struct shadow_sets sets_now(const struct shadow_sets *sets)
{
    uint64_t *set = __atomic_load_n(&sets->set, __ATOMIC_ACQUIRE);
    return (struct shadow_sets){set, set ? sets->tag : NULL};
}

static ALWAYS_INLINE void buffer_access(struct known_array *b, size_t offset, size_t size,
                                        enum checker_access access, const struct executor_place *place)
{
    if ((access == CHECKER_READ && !sets_make(b, &b->shadow.reads)) ||
        (access == CHECKER_ATOMIC && !sets_make(b, &b->shadow.atomics))) {
        broken("no memory for the checker");
        return;
    }
    uint32_t block = (uint32_t)simt_worker->block & SHADOW_TAG_MASK;
    struct clash clash;
    clash.kind = CLASH_NONE;
    size_t cell = offset >> b->shift, end = ((offset + size - 1) >> b->shift) + 1;
    while (cell < end) {
        size_t group = cell / LOCK_GROUP, group_end = (group + 1) * LOCK_GROUP;
        size_t count = (group_end < end ? group_end : end) - cell;
        uint8_t *lock = lock_take(b, group);
        const struct shadow s = {b->shadow.write, sets_now(&b->shadow.reads), sets_now(&b->shadow.atomics)};
        shadow_access(&worker.clock, &s, cell, count, access, block, true, &clash);
        __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
        cell += count;
    }
    if (__builtin_expect(clash.kind != CLASH_NONE, 0))
        tell(&clash, access, b->name, b->granule, b->granule, place);
}

#define BUFFER_ACCESS(name, access)                                                                          \
    static __attribute__((noinline)) void name(struct known_array *b, size_t offset, size_t size,            \
                                               const struct executor_place *place)                           \
    {                                                                                                        \
        buffer_access(b, offset, size, access, place);                                                       \
    }
BUFFER_ACCESS(buffer_read, CHECKER_READ)
BUFFER_ACCESS(buffer_write, CHECKER_WRITE)
BUFFER_ACCESS(buffer_atomic, CHECKER_ATOMIC)

/* ---- which memory an address is of ---- */

static struct array *array_at(uintptr_t p)
{
    struct checker_worker *w = &worker;
    if (w->array_last < w->array_count && p - w->arrays[w->array_last].start < w->arrays[w->array_last].size)
        return &w->arrays[w->array_last];
    for (size_t i = 0; i < w->array_count; i++)
        if (p - w->arrays[i].start < w->arrays[i].size) {
            w->array_last = i;
            return &w->arrays[i];
        }
    return NULL;
}

static struct known_array *buffer_at(uintptr_t p)
{
    size_t *last = &worker.buffer_last;
    if (*last < launch.buffer_count && p - launch.buffers[*last].start < launch.buffers[*last].size)
        return &launch.buffers[*last];
    for (size_t i = 0; i < launch.buffer_count; i++)
        if (p - launch.buffers[i].start < launch.buffers[i].size) {
            *last = i;
            return &launch.buffers[i];
        }
    return NULL;
}

static bool within(struct address_range r, uintptr_t p, size_t size)
{
    return p - r.start < r.size && size <= r.size - (p - r.start);
}

/* What kernel code reads of the executor: the arguments, and the position of the thread. */
static bool is_executors(uintptr_t p, size_t size)
{
    const struct address_range known[] = {
        {(uintptr_t)simt_run.args, simt_run.args_size},
        {(uintptr_t)&simt_worker->position, sizeof simt_worker->position},
        {(uintptr_t)&simt_position, sizeof simt_position},
    };
    return within(known[0], p, size) || within(known[1], p, size) || within(known[2], p, size);
}

static int find_segment(struct dl_phdr_info *info, size_t size, void *p)
{
    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        worker.segment = (struct address_range){info->dlpi_addr + h->p_vaddr, h->p_memsz};
        if (h->p_type == PT_LOAD && within(worker.segment, *(const uintptr_t *)p, 1))
            return 1;
    }
    worker.segment.size = 0;
    return 0;
}

static bool is_static(uintptr_t p, size_t size)
{
    if (!within(worker.segment, p, size))
        dl_iterate_phdr(find_segment, &p);
    return within(worker.segment, p, size);
}

/* An access that no array and no buffer holds, told by the one it misses by the least. */
struct miss {
    const char *name, *space;
    size_t size, element, away; /* of the access's far end */
    bool past;
};

static void nearer(struct miss *m, const char *name, const char *space, uintptr_t start, size_t size,
                   size_t element, uintptr_t p, size_t bytes)
{
    bool past = p >= start;
    size_t away = past ? p + bytes - (start + size) : start - p;
    if (away < m->away)
        *m = (struct miss){name, space, size, element, away, past};
}

static void tell_out_of_bounds(uintptr_t p, size_t size, enum checker_access access,
                               const struct executor_place *place)
{
    if (worker.index.thread == simt_worker->current)
        worker.index.place.pc = NULL; /* it was this access, of which more can be said here */
    if (!first_time(SIMT_OUT_OF_BOUNDS, place, 0))
        return;
    struct miss m = {.away = NEAR};
    for (size_t i = 0; i < worker.array_count; i++) {
        const struct array *a = &worker.arrays[i];
        nearer(&m, a->name, "shared ", a->start, a->size, size, p, size);
    }
    for (size_t i = 0; i < launch.buffer_count; i++) {
        const struct known_array *b = &launch.buffers[i];
        nearer(&m, b->name, "", b->start, b->size, b->granule, p, size);
    }
    char rest[320], bytes[48];
    snprintf(bytes, sizeof bytes, size > 1 ? "%zu bytes" : "%zu byte", size);
    if (m.name) {
        size_t elements = (m.away + m.element - 1) / m.element;
        snprintf(rest, sizeof rest, ", %zu byte%s (%zu element%s of %zu) %s %s%s, which has %zu bytes",
                 m.away, m.away > 1 ? "s" : "", elements, elements > 1 ? "s" : "", m.element,
                 m.past ? "past the end of" : "before the start of", m.space, m.name, m.size);
    } else {
        snprintf(rest, sizeof rest, " at %p, which is in no array of shared memory and no buffer", (void *)p);
    }
    report(SIMT_OUT_OF_BOUNDS, place, 0, verbs[access], bytes, rest);
}

/* What is in no array of shared memory. */
static bool other_memory(uintptr_t p, size_t size, enum checker_access access,
                         const struct executor_place *place)
{
    if (access == CHECKER_READ && is_executors(p, size))
        return true;
    struct known_array *b = buffer_at(p);
    if (!b || size > b->size - (p - b->start)) {
        if (!b && access == CHECKER_READ && is_static(p, size))
            return true;
        tell_out_of_bounds(p, size, access, place);
        return false;
    }
    if (b->writable) {
        if (access == CHECKER_READ)
            buffer_read(b, p - b->start, size, place);
        else if (access == CHECKER_WRITE)
            buffer_write(b, p - b->start, size, place);
        else
            buffer_atomic(b, p - b->start, size, place);
        return true;
    }
    if (access == CHECKER_READ)
        return true;
    char object[160];
    name_bytes(object, sizeof object, b->name, b->granule, p - b->start, size);
    if (first_time(SIMT_INPUT_WRITTEN, place, 0))
        report(SIMT_INPUT_WRITTEN, place, 0, verbs[access], object, ", an input");
    return false;
}

static ALWAYS_INLINE bool touch(const void *address, size_t size, enum checker_access access,
                                const struct executor_place *place)
{
    uintptr_t p = (uintptr_t)address;
    struct checker_worker *w = &worker;
    if (!size)
        return true;
    unsigned thread = simt_worker->current;
    w->clock.thread = thread;
    w->clock.warp = thread / 32;
    w->clock.lane = thread % 32;
    if (place->pc)
        w->pc = place->pc;
    struct array *a = array_at(p);
    if (!a)
        return other_memory(p, size, access, place);
    if (__builtin_expect(size > a->size - (p - a->start), 0)) {
        tell_out_of_bounds(p, size, access, place);
        return false;
    }
    array_access(a, p - a->start, size, access, place);
    return true;
}

bool checker_read(const void *address, size_t size, const struct executor_place *place)
{
    return touch(address, size, CHECKER_READ, place);
}

bool checker_write(const void *address, size_t size, const struct executor_place *place)
{
    return touch(address, size, CHECKER_WRITE, place);
}

static bool update(const void *address, size_t size, const struct executor_place *place)
{
    struct array *a = array_at((uintptr_t)address);
    if (a) {
        /* The first in this block: from now on all accesses look for atomics. */
        size_t at = (size_t)(a->shadow.write - worker.shared.write);
        a->shadow.atomics.set = worker.shared.atomics.set + at;
        a->shadow.atomics.tag = worker.shared.atomics.tag + at;
    }
    return touch(address, size, CHECKER_ATOMIC, place);
}

void checker_misaligned(const void *address, size_t alignment, enum checker_access access, const void *pc)
{
    const struct executor_place place = {pc, NULL, 0};
    char object[96];
    snprintf(object, sizeof object, "memory at %p, which is not a multiple of %zu", address, alignment);
    if (first_time(SIMT_MISALIGNED, &place, 0))
        report(SIMT_MISALIGNED, &place, 0, verbs[access], object, "");
    executor_abort();
}

/* An index is told of when its access, if it goes to memory that has a shadow, has had its chance to tell
 * more. */
static void tell_index(void)
{
    if (worker.index.place.pc && first_time(SIMT_OUT_OF_BOUNDS, &worker.index.place, 0))
        executor_report(SIMT_OUT_OF_BOUNDS, worker.index.place, nowhere, "%s", worker.index.what);
    worker.index.place.pc = NULL;
}

void checker_index(const char *array_type, ptrdiff_t index, const void *pc)
{
    tell_index();
    worker.index.place = (struct executor_place){pc, NULL, 0};
    worker.index.thread = simt_worker->current;
    snprintf(worker.index.what, sizeof worker.index.what,
             "thread %u of block %llu uses element %td of an array %.100s", simt_worker->current,
             (unsigned long long)simt_worker->block, index, array_type);
}

bool checker_access(const void *address, size_t size, enum checker_access access, const char *file, int line)
{
    const struct executor_place place = executor_place(file, line);
    uintptr_t stack = (uintptr_t)executor_thread.stack, end = (uintptr_t)executor_thread.stack_end;
    if ((uintptr_t)address - stack < end - stack)
        return true;
    if (access == CHECKER_READ)
        return checker_read(address, size, &place);
    return access == CHECKER_WRITE ? checker_write(address, size, &place) : update(address, size, &place);
}

/* ---- cp.async ---- */

bool checker_async_issue(void *shared, size_t bytes, const void *global, size_t source_bytes,
                         const char *file, int line)
{
    const struct executor_place place = executor_place(file, line);
    struct array *a = array_at((uintptr_t)shared);
    if (!a) {
        if (first_time(SIMT_OUT_OF_BOUNDS, &place, 1))
            report(SIMT_OUT_OF_BOUNDS, &place, 0, "copies", "by cp.async", " to memory that is not shared");
        return false;
    }
    /* At the destination a write, as to what it must come after; then in flight. */
    if (!checker_read(global, source_bytes, &place) || !checker_write(shared, bytes, &place))
        return false;
    uint64_t *write = a->shadow.write + ((uintptr_t)shared - a->start);
    for (size_t i = 0; i < bytes; i++)
        write[i] |= SHADOW_IN_FLIGHT;
    return true;
}

void checker_async_done(unsigned thread, void *shared, size_t bytes)
{
    struct array *a = array_at((uintptr_t)shared);
    if (!a)
        return;
    size_t first = (uintptr_t)shared - a->start;
    for (size_t i = first; i < first + bytes; i++) {
        a->shadow.write[i] = shadow_write(worker.clock.now, thread, shadow_tag(a->shadow.write[i]));
        a->shadow.reads.set[i] = 0;
    }
}

/* ---- start, blocks, synchronisation ---- */

bool checker_start(const struct simt_buffer *buffers, size_t count)
{
    launch.buffer_count = 0;
    launch.buffers = calloc(count ? count : 1, sizeof *launch.buffers);
    if (!launch.buffers)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct known_array *b = &launch.buffers[launch.buffer_count++];
        b->name = buffers[i].name;
        b->start = (uintptr_t)buffers[i].data;
        b->size = buffers[i].size;
        b->writable = buffers[i].writable;
        b->granule = buffers[i].granule ? buffers[i].granule : 1;
        b->shift = (unsigned)__builtin_ctz(b->granule);
        b->cells = (b->size + b->granule - 1) >> b->shift;
        if (b->writable) {
            b->shadow.write = reserve(b->cells * sizeof *b->shadow.write);
            if (!b->shadow.write || pthread_mutex_init(&b->lock, NULL))
                return false;
        }
    }
    return true;
}

void checker_end(void)
{
    for (size_t i = 0; i < launch.buffer_count; i++) {
        struct known_array *b = &launch.buffers[i];
        unreserve(b->shadow.write, b->cells * sizeof *b->shadow.write);
        struct shadow_sets *const sets[] = {&b->shadow.reads, &b->shadow.atomics};
        for (int j = 0; j < 2; j++) {
            unreserve(sets[j]->set, b->cells * sizeof *sets[j]->set);
            unreserve(sets[j]->tag, b->cells * sizeof *sets[j]->tag);
        }
        if (b->writable)
            pthread_mutex_destroy(&b->lock);
    }
    free(launch.buffers);
    launch.buffers = NULL;
    launch.buffer_count = 0;
}

static bool worker_make(struct checker_worker *w)
{
    struct worker_memory *m = w->memory = reserve(sizeof *m);
    if (!m)
        return false;
    w->shared = (struct shadow){m->write, {m->reads, m->read_tags}, {m->atomics, m->atomic_tags}};
    w->clock.known = m->known;
    w->clock.times = m->times;
    w->clock.now = 1;
    return true;
}

void checker_worker_end(void)
{
    if (!worker.memory) /* it ran no block */
        return;
    tell_index();
    unreserve(worker.memory, sizeof *worker.memory);
}

void checker_block_start(void)
{
    struct checker_worker *w = &worker;
    if (!w->memory && !worker_make(w)) {
        broken("no memory for the checker");
        return;
    }
    tell_index();
    w->array_count = 0;
    w->shared_used = 0;
    if (w->clock.now > SHADOW_TIME_MAX / 2) {
        /* Each block has at least half of the times; after some 10^7 synchronisations they start over. */
        memset(w->shared.write, 0, w->shared_most * sizeof *w->shared.write);
        memset(w->shared.reads.set, 0, w->shared_most * sizeof *w->shared.reads.set);
        memset(w->shared.atomics.set, 0, w->shared_most * sizeof *w->shared.atomics.set);
        memset(w->clock.known, 0, SHADOW_WARPS_MAX * sizeof *w->clock.known);
        w->clock.now = 1;
    }
    shadow_tick(&w->clock); /* stamps of the block before are older than this one's base */
    w->clock.base = w->clock.now;
    shadow_barrier(&w->clock);
}

void checker_shared_array(const char *name, const void *data, size_t size)
{
    struct checker_worker *w = &worker;
    if (w->array_count == ARRAYS_MAX || size > SHARED_BYTES_MAX - w->shared_used) {
        broken("more shared memory than the checker has room for");
        return;
    }
    const struct shadow *s = &w->shared;
    size_t at = w->shared_used;
    w->arrays[w->array_count++] = (struct array){
        name, (uintptr_t)data, size, {s->write + at, {s->reads.set + at, s->reads.tag + at}, {NULL, NULL}}};
    w->shared_used += (size + 15) / 16 * 16;
    if (w->shared_used > w->shared_most)
        w->shared_most = w->shared_used;
}

void checker_barrier(void)
{
    shadow_barrier(&worker.clock);
}

void checker_syncwarp(unsigned warp, uint32_t mask)
{
    unsigned threads = simt_worker->threads - warp * 32;
    shadow_syncwarp(&worker.clock, warp, mask, threads >= 32 ? UINT32_MAX : ((uint32_t)1 << threads) - 1);
}
