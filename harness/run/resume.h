/*
 * resume.h: the journal of a run, new, or continued after an interrupt or a kill.
 */
#ifndef NF4BENCH_HARNESS_RUN_RESUME_H
#define NF4BENCH_HARNESS_RUN_RESUME_H

#include "harness/run/run.h"
#include "results/journal.h"

/* Creates the journal at `path`, with options->environment as its header; with options->resume, opens it and
 * sets recorded[g] where it has rows of the batch whose first group is number g over all plans, and
 * *batch_count to the number of these batches. STATUS_INPUT: the journal is of other plans or plugins. On
 * success *out is owned: journal_close(). */
enum status run_journal_open(const char *path, const struct plan *plans, size_t count,
                             const struct run_options *options, bool *recorded, size_t *batch_count,
                             struct journal_writer **out) WARN_UNUSED_RESULT;

#endif
