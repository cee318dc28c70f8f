/*
 * ratio.h: how a ratio of two times is written and judged, the same in all tables.
 */
#ifndef NF4BENCH_PLOTS_RATIO_H
#define NF4BENCH_PLOTS_RATIO_H

#include <stdbool.h>
#include <stdio.h>

#include "harness/base/stats.h"

/* The interval of the ratio reaches 1: the two cannot be told apart. */
bool ratio_is_tied(struct paired_ratio ratio);
/* "1.08 [1.06, 1.10]", or "1.08 unpaired" where the samples were not taken in alternation. */
void ratio_write(FILE *out, struct paired_ratio ratio);

#endif
