/*
 * report.h: what one or more results files say, and nothing else: one self-contained HTML file, or the
 * comparison of formats alone as Markdown or CSV.
 *
 * First NF4 against the other formats, where there are others (plots/sections.h); then what each run found:
 * failures, the fastest variants, the environment, figures (speed against M, share of the measured ceiling,
 * samples, how well NF4 fits the weights), the verdict table and a timing table per problem. Figures are
 * SVG, inlined. No request leaves the file. Files are never compared with each other: they are
 * different runs.
 */
#ifndef NF4BENCH_PLOTS_REPORT_H
#define NF4BENCH_PLOTS_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "harness/base/output.h"
#include "harness/base/status.h"
#include "results/changes.h"
#include "results/load.h"

/* The form that the ending of the path names: Markdown (.md, .markdown), CSV (.csv), else HTML. */
enum output_form report_form(const char *path);

/* Writes a report in the form of its path. CSV is one table of all: a field is empty where a row of that kind has no such
 * column, and values are not rounded. STATUS_IO with the path when it cannot be written: what stood there is then
 * untouched. STATUS_USAGE without a set. */
enum status report_write(const struct result_set *sets, size_t set_count,
                         const char *path) WARN_UNUSED_RESULT;

/* Writes "nf4bench run suites/gpu.yaml -o gpu.h5": how a file was made, as it says itself; folders of absolute paths
 * are left out, which are of that machine alone. False where the file does not say. */
bool report_command(FILE *out, const struct result_set *set);

/* The changes between two results files as one self-contained HTML page, in the form of a report. */
enum status changes_page(const struct changes *c, FILE *out) WARN_UNUSED_RESULT;

#endif
