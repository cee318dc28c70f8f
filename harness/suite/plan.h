/*
 * plan.h: a suite crossed with the table: what will be run, in which order, and what will not and why. The
 * second stage; allocates nothing but itself.
 *
 * A group is one problem: its rows share operands and are verified once. A batch is one group, or the groups
 * of one product with weights in several formats. All rows of a batch are sampled in alternation: sample i of
 * one row is paired with sample i of another.
 */
#ifndef NF4BENCH_HARNESS_SUITE_PLAN_H
#define NF4BENCH_HARNESS_SUITE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"
#include "harness/problem/problem.h"
#include "harness/problem/variant.h"
#include "harness/suite/suite.h"

/* More rows than a run of weeks times; about a gigabyte of plan. */
enum { PLAN_ROWS_MAX = 1 << 21 };

struct plan_row {
    const struct kernel *kernel;
    char *skip; /* why the row will not run, or NULL; owned */
};

struct plan_group {
    struct problem problem;
    bool cold, hot; /* regimes to time; neither: verify only. The same in all groups of a batch, as threads */
    unsigned threads;
    struct plan_row *rows;
    size_t row_count;
    double expected_s; /* expect.h */
};

struct plan_batch {
    struct plan_group *groups; /* [count], in the plan's array */
    size_t count;
    size_t first_group; /* number of groups[0] in the plan: what a shard and a group_id are made of */
    size_t row_count;   /* rows over its groups */
    double expected_s;
};

struct plan {
    const struct suite *suite; /* not owned */
    struct device *device;     /* not owned */
    struct plan_group *groups;
    size_t group_count;
    struct plan_batch *batches; /* of all groups, in their order */
    size_t batch_count;
    size_t row_count; /* rows over all groups */
    double expected_s;
};

struct plan_options {
    const char *const *variants; /* globs from the command line, "!" removes; a variant must pass these too */
    size_t variant_count;
    uint64_t seed;
    bool measure;          /* false: one verify-only group per problem */
    struct device *device; /* only variants for it are planned; not owned */
};

/* STATUS_INPUT when a glob names no variant at all (with the closest names), or when nothing is left to run.
 */
enum status plan_make(const struct suite *suite, const struct plan_options *options,
                      struct plan *out) WARN_UNUSED_RESULT;
/* A plan of one problem, as a repro line asks for; regimes and threads as in struct plan_group. `suite` gives
 * the measure settings. */
enum status plan_one(const struct suite *suite, const struct plan_group *group,
                     const struct plan_options *options, struct plan *out) WARN_UNUSED_RESULT;
/* The rows of variants that match one of the globs, which begin with '!', are skipped with that as the reason. */
enum status plan_leave_out(struct plan *p, const char *const *globs, size_t count) WARN_UNUSED_RESULT;
/* 64-bit hash of all that is planned, for --resume: names, problems, regimes, measure settings. */
uint64_t plan_hash(const struct plan *p);
void plan_release(struct plan *p);

#endif
