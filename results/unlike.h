/*
 * unlike.h: in what the environments of two results files differ, of what changes times without a change of
 * the code.
 */
#ifndef NF4BENCH_RESULTS_UNLIKE_H
#define NF4BENCH_RESULTS_UNLIKE_H

#include "results/load.h"

/* `device` itself if some timed row of `s` ran on that; NULL for `device`: the device of the first timed row.
 * NULL when there is none. */
const char *unlike_timed_device(const struct result_set *s, const char *device);

/* A line for each difference, "compiler: gcc 12, then gcc 13", or "". The caller's; NULL when out of memory.
 */
char *unlike_text(const struct result_set *base, const struct result_set *now);

#endif
