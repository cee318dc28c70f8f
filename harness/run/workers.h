/*
 * workers.h: parts of a run in processes of their own, so that a variant that crashes or hangs ends its
 * process and not the run.
 *
 * A process is forked from this one, which must not have used OpenMP before (libgomp's threads do not survive
 * a fork), and ends with it. What it wants to keep it writes into memory that both share.
 */
#ifndef NF4BENCH_HARNESS_RUN_WORKERS_H
#define NF4BENCH_HARNESS_RUN_WORKERS_H

#include <stddef.h>

#include "harness/base/status.h"
#include "results/record.h"

struct kernel;

struct worker {
    const char *name; /* which of several, for messages; "" where there is one */
    void *context;    /* of the functions */
    /* In a process of its own: all that is to be done. After a variant was given up it is called again, in a
     * new process. */
    enum status (*run)(void *context);
    /* In this process: a call of `k` crashed (VERDICT_CRASHED) or did not end (VERDICT_TIMEOUT), and `reason`
     * says how; the next run() must not call it. NULL: calls are not watched. */
    enum status (*give_up)(void *context, const struct kernel *k, enum verdict verdict, const char *reason);
    double limit_s; /* of a call, with give_up */
};

/* Runs all of them at the same time, to their end. Of several statuses other than OK, an error comes before
 * an interrupt. A process that ends early, but not in a call that is watched, is STATUS_INTERNAL. An
 * interrupt (interrupt.h) of this process is passed on. */
enum status workers_run(const struct worker *list, size_t count) WARN_UNUSED_RESULT;

#endif
