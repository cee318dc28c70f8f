/*
 * memory.c: shared memory (placed, poisoned, guarded), cp.async, atomics.
 */
#include <stdlib.h>
#include <string.h>

#include "harness/device/simt/checker.h"
#include "harness/device/simt/worker.h"

/* ---- shared memory ---- */

static unsigned char guard_byte(size_t i)
{
    return (unsigned char)(0xc3 ^ i * 37);
}

static void fill_guards(const struct simt_worker *w, const struct shared_array *a)
{
    unsigned char *data = (unsigned char *)w->arena + a->offset;
    for (size_t i = 0; i < SHARED_GUARD; i++)
        (data - SHARED_GUARD)[i] = (data + a->size)[i] = guard_byte(i);
}

static void check_guards(const struct simt_worker *w, const struct shared_array *a)
{
    unsigned char whole[SHARED_GUARD];
    const unsigned char *data = (unsigned char *)w->arena + a->offset;
    for (size_t i = 0; i < SHARED_GUARD; i++)
        whole[i] = guard_byte(i);
    for (int after = 0; after < 2; after++) {
        const unsigned char *guard = after ? data + a->size : data - SHARED_GUARD;
        if (memcmp(guard, whole, SHARED_GUARD) == 0)
            continue;
        size_t i = 0;
        while (guard[i] == whole[i])
            i++;
        executor_report(SIMT_OUT_OF_BOUNDS, executor_place(a->site.file, a->site.line), nowhere,
                        "block %llu wrote outside of the shared array %s: byte %+lld of its %zu (found when "
                        "the block had ended)",
                        (unsigned long long)w->block, a->name, (long long)(guard + i - data), a->size);
        fill_guards(w, a);
    }
}

/* A NaN in fp32, fp16 and bf16 wherever one reads; another one in each block. */
static void poison(char *data, size_t size, uint64_t block)
{
    uint64_t word = (random_u64(1, RANDOM_POISON, block) & 0x807f807f807f807fu) | 0x7f817f817f817f81u;
    size_t i = 0;
    for (; i + 8 <= size; i += 8)
        memcpy(data + i, &word, 8);
    memcpy(data + i, &word, size - i);
}

static void place(struct simt_worker *w, struct shared_array *a)
{
    a->placed = true;
    poison(w->arena + a->offset, a->size, w->block);
    if (simt_run.options.checked)
        checker_shared_array(a->name, w->arena + a->offset, a->size);
}

static struct shared_array *add_array(struct simt_worker *w, const void *key, size_t size, const char *name,
                                      const char *file, int line)
{
    const size_t total = (file ? size : 0) + w->static_used; /* a dynamic array has no file */
    const struct executor_place place = executor_place(file, line);
    const bool fits = w->array_count < SHARED_ARRAYS_MAX && total <= LAUNCH_STATIC_SHARED_MAX &&
                      total + simt_run.launch.shared <= SHARED_TOTAL_MAX;
    if (w->array_count == SHARED_ARRAYS_MAX)
        executor_report(SIMT_LIMIT, place, nowhere, "more than %d shared arrays", SHARED_ARRAYS_MAX);
    else if (total > LAUNCH_STATIC_SHARED_MAX)
        executor_report(SIMT_LIMIT, place, nowhere,
                        "%zu bytes of static shared memory with the array %s: %d is the most", total, name,
                        LAUNCH_STATIC_SHARED_MAX);
    else if (!fits)
        executor_report(SIMT_LIMIT, place, nowhere,
                        "%zu bytes of static and %zu of dynamic shared memory: %d is the most", total,
                        simt_run.launch.shared, SHARED_TOTAL_MAX);
    if (!fits)
        executor_abort();
    struct shared_array *a = &w->arrays[w->array_count++];
    size_t offset = (w->arena_used + SHARED_GUARD + 127) & ~(size_t)127;
    *a = (struct shared_array){key, name, size, offset, false, {NULL, file, line}};
    w->arena_used = offset + size + SHARED_GUARD;
    w->static_used = total;
    fill_guards(w, a);
    return a;
}

void *simt_shared(const void *key, size_t size, const char *name, const char *file, int line)
{
    struct simt_worker *w = simt_worker;
    struct shared_array *a = w->arrays;
    while (a < w->arrays + w->array_count && a->key != key)
        a++;
    if (a == w->arrays + w->array_count)
        a = add_array(w, key, size, name, file, line);
    if (!a->placed)
        place(w, a);
    return w->arena + a->offset;
}

void *simt_dynamic_shared(void)
{
    static const char key;
    return simt_shared(&key, simt_run.launch.shared, "dynamic", NULL, 0);
}

/* Whether the bytes lie in one array of the block's shared memory. */
static bool in_shared(const struct simt_worker *w, const void *p, size_t bytes)
{
    size_t offset = (size_t)((uintptr_t)p - (uintptr_t)w->arena);
    for (const struct shared_array *a = w->arrays; a < w->arrays + w->array_count; a++)
        if (a->placed && offset >= a->offset && offset - a->offset <= a->size &&
            a->size - (offset - a->offset) >= bytes)
            return true;
    return false;
}

static void misaligned(const struct simt_worker *w, const char *operation, const void *p, size_t bytes,
                       const char *file, int line)
{
    executor_report(SIMT_MISALIGNED, executor_place(file, line), nowhere,
                    "%s of %zu bytes by thread %u of block %llu at %p, which is not a multiple of %zu",
                    operation, bytes, w->current, (unsigned long long)w->block, p, bytes);
    executor_abort();
}

void simt_misaligned(const void *address, int size, const char *file, int line)
{
    misaligned(simt_worker, "a vector access", address, (size_t)size, file, line);
}

static void not_shared(const struct simt_worker *w, const char *operation, const void *p, size_t bytes,
                       const char *file, int line)
{
    executor_report(SIMT_OUT_OF_BOUNDS, executor_place(file, line), nowhere,
                    "%s of %zu bytes by thread %u of block %llu at %p, which is in no shared array",
                    operation, bytes, w->current, (unsigned long long)w->block, p);
}

bool memory_shared_row(struct simt_worker *w, const void *row, size_t bytes, const char *operation,
                       const char *file, int line)
{
    if ((uintptr_t)row % bytes)
        misaligned(w, operation, row, bytes, file, line);
    if (!in_shared(w, row, bytes)) {
        not_shared(w, operation, row, bytes, file, line);
        return false;
    }
    return !simt_run.options.checked || checker_access(row, bytes, CHECKER_READ, file, line);
}

void memory_block_start(struct simt_worker *w)
{
    for (unsigned i = 0; i < w->array_count; i++)
        w->arrays[i].placed = false;
    w->async_pending = false;
}

void memory_block_end(struct simt_worker *w)
{
    for (unsigned i = 0; i < w->array_count; i++)
        if (w->arrays[i].placed)
            check_guards(w, &w->arrays[i]);
}

/* ---- cp.async ---- */

static void perform(struct simt_worker *w, struct async_copy *c)
{
    if (c->performed)
        return;
    c->performed = true;
    w->reading = c->site;
    memcpy(c->shared, c->global, (size_t)c->source_bytes);
    memset(c->shared + c->source_bytes, 0, (size_t)(c->bytes - c->source_bytes));
    w->reading.file = NULL;
}

void simt_cp_async(void *shared, const void *global, int bytes, int source_bytes, const char *file, int line)
{
    struct simt_worker *w = simt_worker;
    struct cuda_thread *t = &w->thread[w->current];
    memory_async_chance(w);
    if ((uintptr_t)shared % (size_t)bytes)
        misaligned(w, "cp.async to shared memory", shared, (size_t)bytes, file, line);
    if ((uintptr_t)global % (size_t)bytes)
        misaligned(w, "cp.async from global memory", global, (size_t)bytes, file, line);
    if (source_bytes < 0 || source_bytes > bytes) {
        executor_report(SIMT_OUT_OF_BOUNDS, executor_place(file, line), nowhere,
                        "cp.async of %d bytes with %d from the source (thread %u of block %llu)", bytes,
                        source_bytes, w->current, (unsigned long long)w->block);
        return;
    }
    if (!in_shared(w, shared, (size_t)bytes)) {
        not_shared(w, "cp.async", shared, (size_t)bytes, file, line);
        return;
    }
    if (simt_run.options.checked &&
        !checker_async_issue(shared, (size_t)bytes, global, (size_t)source_bytes, file, line))
        return;
    struct async_copy *c = w->async_free;
    if (c) {
        w->async_free = c->next;
    } else if (!(c = malloc(sizeof *c))) {
        executor_report(SIMT_BROKEN, nowhere, nowhere, "no memory for a cp.async");
        executor_abort();
    }
    *c = (struct async_copy){NULL,         shared,     global, bytes,
                             source_bytes, t->commits, false,  {"cp.async", file, line}};
    if (!t->async_first)
        t->async_last = &t->async_first;
    *t->async_last = c;
    t->async_last = &c->next;
    w->async_pending = true;
    if (simt_run.options.async == SIMT_ASYNC_EAGER)
        perform(w, c);
}

void simt_cp_async_commit(void)
{
    struct simt_worker *w = simt_worker;
    w->thread[w->current].commits++;
}

/* All copies of groups before `group` are done. The checker learns it only here, in every mode: it is here
 * that the thread may rely on it. */
static void finish_groups(struct simt_worker *w, unsigned thread, unsigned group)
{
    struct cuda_thread *t = &w->thread[thread];
    while (t->async_first && t->async_first->group < group) {
        struct async_copy *c = t->async_first;
        perform(w, c);
        if (simt_run.options.checked)
            checker_async_done(thread, c->shared, (size_t)c->bytes);
        t->async_first = c->next;
        c->next = w->async_free;
        w->async_free = c;
    }
}

void simt_cp_async_wait(int groups_left, const char *file, int line)
{
    struct simt_worker *w = simt_worker;
    struct cuda_thread *t = &w->thread[w->current];
    t->site = (struct site){"cp.async.wait_group", file, line};
    memory_async_chance(w);
    if (groups_left >= 0 && t->commits > (unsigned)groups_left)
        finish_groups(w, w->current, t->commits - (unsigned)groups_left);
}

void memory_async_finish(struct simt_worker *w, unsigned thread)
{
    finish_groups(w, thread, UINT32_MAX);
}

void memory_async_chance(struct simt_worker *w)
{
    if (!w->async_pending || simt_run.options.async != SIMT_ASYNC_RANDOM)
        return;
    for (struct async_copy *c = w->thread[w->current].async_first; c; c = c->next)
        if (!c->performed && worker_random(w) >> 62 == 0)
            perform(w, c);
}

/* ---- atomics ---- */

uint32_t simt_atomic(int operation, void *address, uint32_t value, uint32_t compare, const char *file,
                     int line)
{
    struct simt_worker *w = simt_worker;
    if ((uintptr_t)address % 4)
        misaligned(w, "an atomic", address, 4, file, line);
    if (simt_run.options.checked && !checker_access(address, 4, CHECKER_ATOMIC, file, line))
        return 0;
    uint32_t *p = address, old;
    /* A GPU's atomics are relaxed, but its __threadfence, which is nothing here, orders them. */
    w->reading = (struct site){"an atomic", file, line};
    switch (operation) {
    case SIMT_ATOMIC_ADD_U32:
        old = __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST);
        break;
    case SIMT_ATOMIC_EXCH_U32:
        old = __atomic_exchange_n(p, value, __ATOMIC_SEQ_CST);
        break;
    case SIMT_ATOMIC_CAS_U32:
        old = compare;
        __atomic_compare_exchange_n(p, &old, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        break;
    default: {
        uint32_t sum;
        float a, b;
        old = __atomic_load_n(p, __ATOMIC_RELAXED);
        do {
            memcpy(&a, &old, 4);
            memcpy(&b, &value, 4);
            a += b;
            memcpy(&sum, &a, 4);
        } while (!__atomic_compare_exchange_n(p, &old, sum, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    }
    }
    w->reading.file = NULL;
    return old;
}
