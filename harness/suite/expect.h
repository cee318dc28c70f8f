/*
 * expect.h: how long a group takes: for --dry-run and for the time left. A guess within a factor of three or
 * four on a plain CPU, from the numbers of rows, calls, weights and operations.
 */
#ifndef NF4BENCH_HARNESS_SUITE_EXPECT_H
#define NF4BENCH_HARNESS_SUITE_EXPECT_H

#include "harness/suite/plan.h"

/* Seconds to verify `rows` rows of a group on a device, and to time them in its regimes. */
double expect_seconds(const struct plan_group *g, enum device_kind device, const struct measure_settings *m,
                      size_t rows);

#endif
