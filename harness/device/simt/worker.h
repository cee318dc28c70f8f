/*
 * worker.h: the state of a launch and of the OS threads ("workers") that run its blocks, in the child.
 * Private to harness/device/simt/.
 *
 * A worker runs one block at a time. Its CUDA threads are fibers that run in turn; a thread that must wait
 * puts down what for and switches to another (executor_wait()). Nothing of a worker is touched by another
 * one.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_SIMT_WORKER_H
#define NF4BENCH_HARNESS_DEVICE_SIMT_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/random.h"
#include "harness/base/status.h"
#include "harness/device/simt/fiber.h"
#include "harness/device/simt/simt.h"
#include "kernels/device/host.h"

enum {
    WARP = 32,
    WARPS_MAX = LAUNCH_THREADS_MAX / WARP,
    WORKERS_MAX = 64,
    SHARED_ARRAYS_MAX = 64,
    SHARED_GUARD = 128, /* bytes before and after each array of shared memory */
    SHARED_TOTAL_MAX = LAUNCH_DYNAMIC_SHARED_MAX,
    SHARED_ARENA = SHARED_TOTAL_MAX + SHARED_ARRAYS_MAX * (2 * SHARED_GUARD + 128) + LAUNCH_STATIC_SHARED_MAX,
#ifdef FIBER_ASAN
    STACK_BYTES = 512 * 1024, /* frames are larger */
#else
    STACK_BYTES = 128 * 1024,
#endif
    STACK_GUARD =
        64 * 1024,          /* below each stack; wide, for a frame may step over a page without touching it */
    STACKS_MAX = 24 * 1024, /* each is two mappings, of which Linux allows 65,530 */
};

/* The running CUDA thread; `valid` is false outside of a kernel. */
struct executor_thread {
    bool valid;
    const char *stack, *stack_end; /* of its fiber */
};
extern __thread struct executor_thread executor_thread;

/* Of cuda.h, which is C++: here only where it lies matters. */
struct simt_position;
extern __thread const struct simt_position *simt_position;

/* A return address in kernel code, or NULL with file:line. */
struct executor_place {
    const void *pc;
    const char *file;
    int line;
};
static const struct executor_place nowhere = {NULL, NULL, 0};
static inline struct executor_place executor_place(const char *file, int line)
{
    return (struct executor_place){NULL, file, line};
}

/* A call in kernel code. */
struct site {
    const char *operation; /* "__syncthreads" ... */
    const char *file;
    int line;
};

/* ---- what the child tells its parent: memory shared by both ---- */

enum { RECORDS_MAX = 24, WHAT_BYTES = 640 };

struct fault_record {
    enum simt_fault fault;
    struct executor_place place, other;
    char what[WHAT_BYTES];
};

/* Where a thread was when a signal came, the innermost frame first: return addresses. The executor's own
 * frames, or the C library's, may come before the kernel's. */
enum { FRAMES_MAX = 10 };
struct frames {
    unsigned count;
    const void *pc[FRAMES_MAX];
    struct site site; /* in its stead where none is the kernel's: a call of the dialect that has not ended */
};

/* Where a worker stood when time was up. */
struct worker_position {
    atomic_int ready;
    bool running; /* a CUDA thread, else none */
    unsigned thread;
    uint64_t block;
    struct frames frames;
    char others[WHAT_BYTES];
};

struct child_outcome {
    atomic_int ended; /* 1: all blocks ran, 2: executor_abort() */
    unsigned record_count;
    size_t distinct;
    struct fault_record records[RECORDS_MAX];
    atomic_int crashed;
    struct fault_record crash; /* its place is crash_frames */
    struct frames crash_frames;
    unsigned workers;
    struct worker_position standing[WORKERS_MAX];
    char broken[256]; /* the executor could not start: why */
};

/* ---- a launch ---- */

enum { ARGS_BYTES_MAX = 512 };
struct run {
    const struct entry *entry;
    _Alignas(64) char args[ARGS_BYTES_MAX];
    size_t args_size;
    struct launch launch;
    struct simt_options options;
    const struct simt_buffer *buffers;
    size_t buffer_count;
    uint64_t blocks;
    unsigned workers;
    char *stacks; /* workers * threads of them, stack_stride apart */
    size_t stack_stride;
    struct child_outcome *outcome;
    atomic_uint_fast64_t next_block;
    atomic_uint workers_left;
};
extern struct run simt_run;

/* ---- a worker ---- */

/* A cp.async that has been issued. */
struct async_copy {
    struct async_copy *next;
    char *shared;
    const char *global;
    int bytes, source_bytes;
    unsigned group; /* number of commits before it */
    bool performed;
    struct site site;
};

enum thread_state { THREAD_FRESH, THREAD_STARTED, THREAD_AT_BARRIER, THREAD_IN_WARP, THREAD_RETURNED };

struct cuda_thread {
    struct fiber fiber;
    char *stack; /* of the pool; NULL before it starts */
    enum thread_state state;
    struct site site; /* where it waits, or waited last */
    unsigned commits;
    struct async_copy *async_first, **async_last;
};

enum collective {
    COLLECTIVE_SYNCWARP,
    COLLECTIVE_SHUFFLE,
    COLLECTIVE_VOTE,
    COLLECTIVE_MMA,
    COLLECTIVE_LDMATRIX,
};

/* What a lane brings to a collective and takes from it. */
struct mailbox {
    uint32_t value, source, result; /* source: the lane a shuffle reads */
    const uint32_t *a, *b;
    float *d;
    const void *row;
    uint32_t *words;
};

/* A collective that some lanes of its mask have reached. */
struct group {
    uint32_t mask, arrived;
    enum collective kind;
    int variant;
    struct site site;
};

struct warp {
    unsigned group_count;
    struct group groups[WARP];
    struct mailbox lanes[WARP];
};

struct shared_array {
    const void *key;
    const char *name;
    size_t size, offset;
    bool placed; /* in this block */
    struct site site;
};

struct block_position {
    uint32_t thread[3], block[3], block_dim[3], grid_dim[3];
};

struct simt_worker {
    unsigned index;
    unsigned threads, warp_count; /* of a block */
    unsigned current, live, ready_count, barrier_count, barrier_first;
    struct site barrier_site;
    uint64_t ready[LAUNCH_THREADS_MAX / 64]; /* threads that can go on; not the running one */
    uint64_t random;
    uint64_t block;
    struct block_position position;
    struct fiber native;
    unsigned free_count;
    char *free_stacks[LAUNCH_THREADS_MAX];
    struct site reading; /* set while the executor itself touches the kernel's memory */
    bool async_pending;  /* some thread of this block has issued a cp.async */
    struct async_copy *async_free;
    unsigned array_count;
    size_t arena_used, static_used;
    struct shared_array arrays[SHARED_ARRAYS_MAX];
    char *arena;
    struct cuda_thread thread[LAUNCH_THREADS_MAX];
    struct warp warp[WARPS_MAX];
};
extern __thread struct simt_worker *simt_worker;

static inline uint64_t worker_random(struct simt_worker *w)
{
    w->random += 0x9e3779b97f4a7c15u;
    return random_mix(w->random);
}

/* ---- simt.c ---- */

/* Adds a paragraph to the launch's result, once per (fault, place, other); safe from all workers. The format
 * gives a sentence without an end: "thread 5 of block 3 writes out[17] (4 bytes), which thread 9 has
 * written". */
void executor_report(enum simt_fault fault, struct executor_place place, struct executor_place other,
                     const char *format, ...) PRINTF_LIKE(4, 5);
/* Ends the launch at once: for faults after which the kernel cannot go on. Does not return when called on a
 * fiber. */
void executor_abort(void);

/* ---- executor.c ---- */

/* Prepares the worker and runs blocks until there are no more. */
void executor_work(struct simt_worker *w);
/* Lets other threads run until somebody has made the running one ready. */
void executor_wait(struct simt_worker *w);
/* Makes the waiting lanes of `mask` ready. */
void executor_wake(struct simt_worker *w, unsigned warp, uint32_t mask);
/* With a random schedule: lets others go first. */
void executor_yield(struct simt_worker *w);

/* ---- collective.c ---- */

/* No thread of the block can go on: reports why. Does not return. */
void collective_deadlock(struct simt_worker *w) __attribute__((noreturn));
/* Text of where the waiting threads of the block stand. Usable in a signal handler. */
void collective_standing(const struct simt_worker *w, char *text, size_t size);

/* ---- memory.c ---- */

void memory_block_start(struct simt_worker *w);
void memory_block_end(struct simt_worker *w); /* verifies the guards */
/* Whether the running thread may read `bytes` of shared memory at `row` in a collective; reports if not. */
bool memory_shared_row(struct simt_worker *w, const void *row, size_t bytes, const char *operation,
                       const char *file, int line);
/* Random mode: some of the thread's copies take place here. */
void memory_async_chance(struct simt_worker *w);
/* The thread returns: what it has under way takes place. */
void memory_async_finish(struct simt_worker *w, unsigned thread);

#endif
