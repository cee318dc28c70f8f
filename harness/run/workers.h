/*
 * workers.h: work in child processes, side by side: one for each GPU of a run.
 *
 * A child is forked from this process, which must not have used OpenMP before: the threads of libgomp do not
 * survive a fork. A child ends with this process. Results that outlive a child are written to memory that
 * both share.
 */
#ifndef NF4BENCH_HARNESS_RUN_WORKERS_H
#define NF4BENCH_HARNESS_RUN_WORKERS_H

#include <stddef.h>

#include "harness/base/status.h"

struct worker {
    const char *name;                  /* in messages */
    void *context;                     /* of the function */
    enum status (*run)(void *context); /* in the child */
};

/* Runs all workers at the same time, until each has ended. Of several statuses other than OK it returns an
 * error before an interrupt. A child that ends early is STATUS_INTERNAL. An
 * interrupt (interrupt.h) of this process is passed on to the children. */
enum status workers_run(const struct worker *list, size_t count) WARN_UNUSED_RESULT;

#endif
