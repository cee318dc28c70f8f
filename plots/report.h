/*
 * report.h: one self-contained HTML file from one or more results files, and from nothing else.
 *
 * Failures first; then the fastest variants, the environment, figures (speed against M, share of the measured
 * ceiling, samples, how well NF4 fits the weights), the verdict table and a timing table per problem. Figures
 * are SVG by gnuplot, inlined; without gnuplot (NF4BENCH_GNUPLOT names another one) the tables stand alone
 * and the report says so. No request leaves the file. Files are never compared with each other: they are
 * different runs.
 */
#ifndef NF4BENCH_PLOTS_REPORT_H
#define NF4BENCH_PLOTS_REPORT_H

#include <stddef.h>

#include "harness/status.h"
#include "results/load.h"

/* Written to PATH.tmp and renamed. STATUS_IO with the path when that fails: what stood at path is then
 * untouched. STATUS_USAGE without a set. A failing gnuplot is no error of the report. */
enum status report_write(const struct result_set *sets, size_t set_count,
                         const char *path) WARN_UNUSED_RESULT;

#endif
