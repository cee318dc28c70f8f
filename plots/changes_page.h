/*
 * changes_page.h: the changes between two results files as one self-contained HTML page, in the form of a
 * report.
 */
#ifndef NF4BENCH_PLOTS_CHANGES_PAGE_H
#define NF4BENCH_PLOTS_CHANGES_PAGE_H

#include <stdio.h>

#include "results/changes.h"

enum status changes_page(const struct changes *c, FILE *out) WARN_UNUSED_RESULT;

#endif
