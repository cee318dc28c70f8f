/*
 * run.h: takes a plan through prepare, verify, measure and record, group by group.
 */
#ifndef NF4BENCH_HARNESS_RUN_RUN_H
#define NF4BENCH_HARNESS_RUN_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "harness/base/status.h"
#include "harness/suite/plan.h"

struct run_options {
    const char *output;   /* path of the HDF5 file, or NULL: nothing is recorded */
    bool resume;          /* continue the journal of `output` */
    bool other_build;     /* with resume: also one that another build or machine began */
    json_t *environment;  /* root attributes; not owned; required with output */
    bool list_rows;       /* print a line for every row, not only for those that fail */
    bool no_repro_line;   /* the variants are not in the table of every run */
    bool first_failure;   /* stop after the first row that is not right */
    bool quiet;           /* no line for each group; progress on a terminal all the same */
    bool one_at_a_time;   /* several plans: one after the other */
    size_t shard, shards; /* shards not 0: only every shards-th group, from the shard-th (from 0) on */
};

struct run_summary {
    uint64_t launches;                      /* of variants, on devices that count them */
    size_t pass, fail, mistrusted, skipped; /* rows (variant x problem) */
    size_t crashed, hung;                   /* rows as well, none of them a fail */
    size_t faults;                          /* rows whose timed output was wrong */
    size_t groups_done;
    size_t groups_recorded; /* in the journal already: counted once a batch */
};

/* Whether a group is of the run's shard; groups are counted over all plans. */
bool run_in_shard(const struct run_options *options, size_t group);

/* Rows that are not right: of these there must be none. */
size_t run_wrong(const struct run_summary *s);
enum { RUN_SUMMARY_TEXT_MAX = 256 };
/* "3 pass, 1 fail ..."; returns text. */
const char *run_summary_text(const struct run_summary *s, char text[RUN_SUMMARY_TEXT_MAX]);

/* Verifies and times the rows of plans, each of another device, into one `output`: at the same time, each in a child
 * process, or one after the other (one_at_a_time). The columns of a row name its device. A wrong variant is counted,
 * printed with its repro line, and not timed. After STATUS_INTERRUPTED the complete batches are in `output`, after an
 * error in its journal; the message says how to go on. */
enum status run_plans(const struct plan *plans, size_t count, const struct run_options *options,
                      struct run_summary *summary) WARN_UNUSED_RESULT;

/* What a reader of a results file must know about where it was made, whose keys become root attributes of the file: tool,
 * build, devices, machine, load, time and command line. A new reference; NULL when out of memory. */
json_t *environment_json(const struct device *devices, size_t count, int argc, char **argv);

/* One launch of one row on a GPU, for a profiler: makes the operands of the first group that has a row of `variant` which
 * can run, launches it once, unblocked, in an NVTX range of its name, and prints how to have a profiler look at it.
 * STATUS_USAGE when there is no such row or the device is no GPU. */
enum status profile_row(const struct plan *plan, const char *variant) WARN_UNUSED_RESULT;

#endif
