/*
 * stop.h: the stopping rule of a group's rounds.
 *
 * Sampling ends after a round from min_samples on, as soon as max_seconds have passed, or when all rows are
 * precise: the 95 % interval of the median of each lies within the share `precision` of the median, on both
 * sides. The intervals are looked at every 8th round only, because they are computed from all samples so far.
 * It ends after max_samples rounds at the latest.
 */
#ifndef NF4BENCH_HARNESS_MEASURE_STOP_H
#define NF4BENCH_HARNESS_MEASURE_STOP_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/device/sampler.h"

/* Whether sampling ends after `rounds` rounds, which took elapsed_s. scratch: [2 * max_samples]. */
bool stop_now(const struct measure_settings *settings, const struct measure_group *g, size_t rounds,
              double elapsed_s, double *scratch);
/* Summarizes the samples of a row's rounds without the excluded ones (record.h), or all of them if all are
 * excluded. Returns whether the row is precise. scratch: [2 * sample_count]. */
bool stop_row_precise(const struct measure_row *r, double precision, double *scratch,
                      struct sample_summary *out);

#endif
