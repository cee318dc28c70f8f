/*
 * simt.h: the executor: runs a CUDA kernel's host build (kernels/device/cuda.h) on the CPU and says what is
 * wrong with it.
 *
 * Every CUDA thread is a fiber; a block runs on one OS thread, blocks are spread over OS threads. A launch
 * runs in a forked child, so that a kernel that faults, overflows its stack or never ends costs that launch
 * alone: the buffers a kernel may write must therefore be memory that children share. A child that
 * had no fault serves further launches of the same entry on the same buffers, if all of them are shared
 * memory. Operands and results have the bits that a GPU gives them; times mean nothing.
 *
 * Schedules. Seed 0 runs blocks and threads in order of their index, each until it waits. Other seeds start
 * blocks and threads in a random order and, wherever a thread waits, go on with a random one that can: the
 * same seed gives the same order within a block. A right kernel gives the same bits under every seed.
 *
 * cp.async. Deferred: a copy takes place at the wait for its group, so a missing wait shows stale data;
 * eager: at once, so an overwritten source or a reused stage shows; random: any time between.
 *
 * Checked builds are instrumented (checker.h): races, out-of-bounds, uninitialised shared memory, writes to
 * inputs, cp.async hazards.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_SIMT_SIMT_H
#define NF4BENCH_HARNESS_DEVICE_SIMT_SIMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/problem/device.h"
#include "kernels/device/entry.h"

/* What a launch may touch in global memory. */
struct simt_buffer {
    const char *name; /* "packed", "out" ... */
    void *data;
    size_t size;      /* bytes */
    bool writable;    /* then data lies in memory shared with children */
    unsigned granule; /* bytes that are always written together (an element): 1, 2 or 4 */
};

/* Which tensor cores mma is computed as (reference/mma.h has the scalar models). */
enum simt_tensor_core { SIMT_TENSOR_CORE_80, SIMT_TENSOR_CORE_90 };

struct simt_options {
    bool checked;  /* the entry is of a checked build: check it */
    uint64_t seed; /* 0: in order */
    enum simt_async async;
    enum simt_tensor_core tensor_core;
    unsigned workers; /* OS threads; 0: one for each CPU this process may use */
    double limit_s;   /* wall-clock limit of the launch; 0: SIMT_LIMIT_S */
    bool shared;      /* all buffers are memory that children share, and stays mapped where it is */
    /* Called between the launch function, which has no use for operands, and the kernel; may be NULL. */
    void (*launched)(void);
};
#define SIMT_LIMIT_S 60.0

/* X(fault, word): words are stable. */
#define SIMT_FAULT_MAP(X)                                                                                    \
    X(OK, "ok")                                                                                              \
    X(LIMIT, "limit")           /* asks for more threads, blocks or shared memory than there is */           \
    X(BARRIER, "barrier")       /* __syncthreads not reached by all threads, or at different lines */        \
    X(COLLECTIVE, "collective") /* lanes named in a mask did not come, or came to something else */          \
    X(RACE, "race")                                                                                          \
    X(OUT_OF_BOUNDS, "out-of-bounds")                                                                        \
    X(UNINITIALISED, "uninitialised") /* shared memory read before it was written */                         \
    X(INPUT_WRITTEN, "input-written")                                                                        \
    X(ASYNC_HAZARD, "async-hazard") /* memory touched while a cp.async to it is under way */                 \
    X(MISALIGNED, "misaligned")                                                                              \
    X(CRASH, "crash") /* SIGSEGV, SIGBUS, SIGFPE, SIGILL in the kernel */                                    \
    X(STACK_OVERFLOW, "stack-overflow")                                                                      \
    X(TIMEOUT, "timeout")                                                                                    \
    X(BROKEN, "broken") /* the executor itself failed (no memory, no child): not the kernel's fault */
enum simt_fault {
#define X(name, word) SIMT_##name,
    SIMT_FAULT_MAP(X)
#undef X
        SIMT_FAULT_COUNT
};
const char *simt_fault_word(enum simt_fault f);

enum { SIMT_REPORT_TEXT = 4096 };
struct simt_result {
    enum simt_fault fault;       /* the first one, SIMT_OK for none */
    size_t faults;               /* distinct ones seen */
    char text[SIMT_REPORT_TEXT]; /* a paragraph for each of the first few: kernel, file:line, thread, block,
                                    address; "" for none */
};

/* Runs one launch of `e` with a copy of args (args_size bytes) to its end. True if it was without fault. Not
 * for use from several OS threads at once. */
bool simt_launch(const struct entry *e, const void *args, size_t args_size, const struct simt_buffer *buffers,
                 size_t buffer_count, const struct simt_options *options, struct simt_result *result);

#endif
