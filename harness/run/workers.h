/*
 * workers.h: work in child processes, so that a variant that crashes or hangs ends its child and not the run.
 *
 * A child is forked from this process, which must not have used OpenMP before: the threads of libgomp do not
 * survive a fork. A child ends with this process. Results that outlive a child are written to memory that
 * both share.
 */
#ifndef NF4BENCH_HARNESS_RUN_WORKERS_H
#define NF4BENCH_HARNESS_RUN_WORKERS_H

#include <stddef.h>

#include "harness/base/status.h"
#include "results/record.h"

struct kernel;

struct worker {
    const char *name; /* in messages; "" where there is one worker */
    void *context;    /* of the functions */
    /* In the child: all of the work. After exclude() it is called again, in a new child. */
    enum status (*run)(void *context);
    /* In this process: a call of `k` crashed (VERDICT_CRASHED) or exceeded limit_s (VERDICT_TIMEOUT);
     * `reason` says how. The next run() must not call `k`. NULL: calls are not watched. */
    enum status (*exclude)(void *context, const struct kernel *k, enum verdict verdict, const char *reason);
    double limit_s; /* of a call, where calls are watched */
};

/* Runs all workers at the same time, until each has ended. Of several statuses other than OK it returns an
 * error before an interrupt. A child that ends early outside a watched call is STATUS_INTERNAL. An
 * interrupt (interrupt.h) of this process is passed on to the children. */
enum status workers_run(const struct worker *list, size_t count) WARN_UNUSED_RESULT;

#endif
