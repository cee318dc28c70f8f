/*
 * report.h: one self-contained HTML file from one or more results files, and from nothing else.
 *
 * Environment, verdict table, failures, timing table, speed against M, fraction of the measured ceiling per
 * variant, how well NF4 fits the weights (where they came from a dense file). Figures are SVG by gnuplot,
 * inlined; without gnuplot the tables stand alone and the report says so. No request leaves the file.
 */
#ifndef NF4BENCH_PLOTS_REPORT_H
#define NF4BENCH_PLOTS_REPORT_H

#include <stddef.h>

#include "harness/status.h"
#include "results/load.h"

/* Written to PATH.tmp and renamed. */
enum status report_write(const struct result_set *sets, size_t set_count,
                         const char *path) WARN_UNUSED_RESULT;

#endif
