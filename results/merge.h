/*
 * merge.h: the results files of a run's shards (`nf4bench run --shard I/N`) as one file, as the whole run
 * would have made it.
 *
 * Root attributes are those of the first part, but for `shard`; `shards` is a list with the file, the number
 * and all attributes of each part. Rows keep their order within a part, parts stand in the order of their
 * numbers.
 */
#ifndef NF4BENCH_RESULTS_MERGE_H
#define NF4BENCH_RESULTS_MERGE_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/base/status.h"
#include "results/load.h"

struct merge_options {
    bool partial; /* some shards may be missing */
    bool unlike;  /* parts may have been timed on devices of other names */
};

/* Checks and sorts the parts, and writes `path`, by way of its journal. STATUS_USAGE: parts of other plans,
 * one shard twice or missing, a case in two parts, devices that differ. In what else the environments differ
 * is told on stderr, by lines that begin with `program`. */
enum status merge_parts(const struct result_set *parts, size_t count, const char *path,
                        const struct merge_options *options, const char *program) WARN_UNUSED_RESULT;

#endif
