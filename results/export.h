/*
 * export.h: a results file for people and for other programs. Except in Markdown, values are written
 * unrounded (with the fewest digits that read back to the same double), and NAN as an empty CSV field and a
 * JSON null (an infinity is null too: JSON has none); units stay in the column names. A failure to write is
 * an IO error.
 */
#ifndef NF4BENCH_RESULTS_EXPORT_H
#define NF4BENCH_RESULTS_EXPORT_H

#include <stdio.h>

#include "results/load.h"

/* A line of column names, then a line a row, quoted after RFC 4180; lines end in "\n". No samples. */
enum status export_csv(const struct result_set *s, FILE *out) WARN_UNUSED_RESULT;
/* One JSON object a row, with its samples as the array "samples_us". */
enum status export_jsonl(const struct result_set *s, FILE *out) WARN_UNUSED_RESULT;
/* The columns of /results as a Markdown table: name, type, unit, meaning. */
enum status export_columns(FILE *out) WARN_UNUSED_RESULT;
/* Markdown for a terminal: environment, verdict counts, failures with reasons, then a timing table per case,
 * the fastest first. `against`: a variant glob; a column then shows the paired speed ratio to the first timed
 * match in the row's group (group_id), time of the match / time of the row, with its 95 % interval: above 1
 * is faster than the match. NULL for none. A glob that matches no timed variant is a USAGE error. */
enum status export_markdown(const struct result_set *s, const char *against, FILE *out) WARN_UNUSED_RESULT;

/* One row for a person: what was run, what decided the verdict and what that check looks for, the first mismatch decoded,
 * the error statistics, and the command that gives it again. Row `row` of the set, counted from 0 as in /results.
 * STATUS_USAGE when there is none such. */
enum status explain_row(const struct result_set *s, size_t row, FILE *out) WARN_UNUSED_RESULT;
/* A line for each row that is not PASS, with its number: what to ask explain_row() for. */
enum status explain_list(const struct result_set *s, FILE *out) WARN_UNUSED_RESULT;

#endif
