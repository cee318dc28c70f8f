/*
 * explain.h: one row of a results file for a person: what was run, what decided the verdict and what that
 * check looks for, the first mismatch decoded, the error statistics, and the command that gives it again.
 */
#ifndef NF4BENCH_RESULTS_EXPLAIN_H
#define NF4BENCH_RESULTS_EXPLAIN_H

#include <stdio.h>

#include "results/load.h"

/* Row `row` of the set, counted from 0 as in /results. STATUS_USAGE when there is none such. */
enum status explain_row(const struct result_set *s, size_t row, FILE *out) WARN_UNUSED_RESULT;
/* A line for each row that is not PASS, with its number: what to ask explain_row() for. */
enum status explain_list(const struct result_set *s, FILE *out) WARN_UNUSED_RESULT;

#endif
