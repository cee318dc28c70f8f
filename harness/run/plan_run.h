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

struct plan_run {
    const struct plan *plan;
    const struct run_options *options;
    size_t first_group;             /* number of the plan's first group over all plans */
    bool several_devices;           /* at the same time: lines begin with the device's name */
    char name[DEVICE_TEXT_MAX];     /* of the device; "" unless several_devices */
    unsigned threads;               /* for the harness's own work beside a GPU */
    struct run_summary summary;     /* of the rows verified so far */
    struct run_summary *result;     /* where it goes at the end: memory that outlives a child process */
    struct journal_writer *journal; /* NULL: nothing is recorded */
    bool *recorded; /* [group_count], shared: at the first group of a batch, whether the batch is left out:
                       recorded already, or of another shard */
    struct verifier *verifier;
    struct measure_state measure;
    struct progress line; /* the progress line on stderr */
};

/* resume.c: creates the journal at `path`, with options->environment as its header; with options->resume, opens it and
 * sets recorded[g] where it has rows of the batch whose first group is number g over all plans, and
 * *batch_count to the number of these batches. STATUS_INPUT: the journal is of other plans or plugins. On
 * success *out is owned: journal_close(). */
enum status run_journal_open(const char *path, const struct plan *plans, size_t count,
                             const struct run_options *options, bool *recorded, size_t *batch_count,
                             struct journal_writer **out) WARN_UNUSED_RESULT;

/* group.c: batch number `batch` of the plan through operands, verify, measure and record. */
enum status run_batch(struct plan_run *run, size_t batch) WARN_UNUSED_RESULT;
/* Whether --first-failure ends the run here. */
bool run_stops_early(const struct plan_run *run);

/* console.c: the first line of a batch. */
void console_begin_batch(struct plan_run *run, const struct plan_batch *batch);
/* A line of a row. `detail` may have several lines; "" for none. */
void console_row(struct plan_run *run, const struct plan_group *g, size_t row, enum verdict verdict,
                 const char *reason, const char *detail);
void console_end_batch(struct plan_run *run, size_t pass, size_t wrong, double seconds);

#endif
