/*
 * checks.h: the table of checks: which checks verify() runs, on which variants, in which order.
 */
#ifndef NF4BENCH_HARNESS_VERIFY_CHECKS_H
#define NF4BENCH_HARNESS_VERIFY_CHECKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "harness/base/status.h"
#include "harness/problem/variant.h"

struct check_run;

struct check {
    const char *name, *catches; /* a word, and a sentence (results/checks.inc) */
    unsigned operations;        /* bit i: enum op i */
    bool (*applies)(const struct kernel *k);
    /* Sets the verdict and the reason of a variant that is wrong, and returns; a status is a failure of the
     * harness. NULL: not run by verify(). */
    enum status (*run)(struct check_run *c);
};
extern const struct check checks[];
extern const size_t check_count;

/* Whether verify() runs the check on variant k. */
bool check_applies(const struct check *check, const struct kernel *k);
/* A line for each check: name, operations, what it catches. */
void checks_print(FILE *out);

#endif
