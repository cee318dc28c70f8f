/*
 * executor.h: what executor.c and checker.c of one worker share. Private to harness/device/simt/.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_SIMT_EXECUTOR_H
#define NF4BENCH_HARNESS_DEVICE_SIMT_EXECUTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"
#include "harness/device/simt/simt.h"

/* The running CUDA thread; `valid` is false outside of a kernel. */
struct executor_thread {
    bool valid;
    unsigned thread;               /* 0 .. threads - 1; warp = thread / 32, lane = thread % 32 */
    uint64_t block;                /* linear */
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

/* Adds a paragraph to the launch's result, once per (fault, place, other); safe from all workers. The format
 * gives a sentence without an end: "thread 5 of block 3 writes out[17] (4 bytes), which thread 9 has
 * written". */
void executor_report(enum simt_fault fault, struct executor_place place, struct executor_place other,
                     const char *format, ...) PRINTF_LIKE(4, 5);
/* Ends the launch at once: for faults after which the kernel cannot go on. Does not return when called on a
 * fiber. */
void executor_abort(void);

#endif
