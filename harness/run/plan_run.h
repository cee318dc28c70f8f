/*
 * run/plan_run.h: a plan that is being run on its device: what the files of this folder share. run.c starts
 * it, group.c takes one batch through the stages, console.c prints, resume.c reads what an earlier run
 * recorded.
 */
#ifndef NF4BENCH_HARNESS_RUN_PLAN_RUN_H
#define NF4BENCH_HARNESS_RUN_PLAN_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/base/progress.h"
#include "harness/device/sampler.h"
#include "harness/run/run.h"
#include "harness/suite/plan.h"
#include "harness/verify/verify.h"
#include "results/journal.h"

/* The lines that the console prints of a row: its verdict, then what its times came to. */
enum row_line { LINE_VERDICT, LINE_COLD, LINE_HOT, LINE_COUNT };

/* The progress of a plan, in memory that outlives the child process which runs the plan. */
struct shared_progress {
    struct run_summary summary; /* of the batches that are complete */
    size_t batch;               /* the last one begun; SIZE_MAX: none */
    size_t row_max;             /* rows of a batch, at most */
    size_t size;                /* bytes of this struct with its array */
    bool printed[];             /* [row_max][LINE_COUNT] of that batch: a restart prints no line twice */
};

/* A variant that is no longer called. */
struct excluded_variant {
    const struct kernel *kernel;
    enum verdict verdict; /* CRASHED or TIMEOUT */
    char reason[200];
    size_t batch; /* in which it crashed or hung */
};

struct plan_run {
    const struct plan *plan;
    const struct run_options *options;
    size_t first_group;             /* number of the plan's first group over all plans */
    bool several_devices;           /* at the same time: lines begin with the device's name */
    char name[DEVICE_TEXT_MAX];     /* of the device; "" unless several_devices */
    unsigned threads;               /* for the harness's own work beside a GPU */
    struct run_summary summary;     /* of the complete batches and of the rows verified so far in this one */
    struct journal_writer *journal; /* NULL: nothing is recorded */
    bool *recorded; /* [group_count], shared: at the first group of a batch, whether the batch is left out:
                       recorded already, or of another shard */
    struct shared_progress *progress;
    struct excluded_variant *excluded; /* [excluded_count], owned */
    size_t excluded_count;
    struct verifier *verifier;
    struct measure_state measure;
    struct progress line; /* the progress line on stderr */
};

/* group.c: batch number `batch` of the plan through operands, verify, measure and record. */
enum status run_batch(struct plan_run *run, size_t batch) WARN_UNUSED_RESULT;
/* Whether --first-failure ends the run here. */
bool run_stops_early(const struct plan_run *run);

/* console.c: the first line of a batch. */
void console_begin_batch(struct plan_run *run, const struct plan_batch *batch);
/* A line of a row, unless it is printed already. `detail` may have several lines; "" for none. */
void console_row(struct plan_run *run, const struct plan_group *g, size_t row, enum row_line line,
                 enum verdict verdict, const char *reason, const char *detail);
void console_end_batch(struct plan_run *run, size_t pass, size_t wrong, double seconds);

#endif
