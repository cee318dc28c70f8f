/*
 * plan.h: a suite crossed with the table: what will be run, in which order, and what will not and why. The
 * second stage; allocates nothing but itself.
 *
 * A group is one problem: its rows share operands, are verified once, and are sampled in alternation, so that
 * sample i of one is paired with sample i of another. Groups of one product with weights in several formats
 * are sampled together in the same way.
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

struct plan_row {
    const struct kernel *kernel;
    char *skip; /* why the row will not run, or NULL; owned */
};

struct plan_group {
    struct problem problem;
    size_t together; /* so many groups, from this one on, are timed together; 1: it alone */
    bool cold, hot;  /* regimes to time; neither: verify only */
    unsigned threads;
    struct plan_row *rows;
    size_t row_count;
    double expected_s; /* a guess from bytes and operations: for --dry-run and for the time left */
};

struct plan {
    const struct suite *suite; /* not owned */
    struct device *device;     /* not owned */
    struct plan_group *groups;
    size_t group_count;
    size_t row_count;  /* rows over all groups */
    size_t skip_count; /* of these, will not run */
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
/* 64-bit hash of all that is planned, for --resume: names, problems, regimes, measure settings. */
uint64_t plan_hash(const struct plan *p);
void plan_release(struct plan *p);

#endif
