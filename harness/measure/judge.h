/*
 * judge.h: what a row's times are worth, from its record alone.
 */
#ifndef NF4BENCH_HARNESS_MEASURE_JUDGE_H
#define NF4BENCH_HARNESS_MEASURE_JUDGE_H

#include <stddef.h>

#include "results/record.h"

/* The ceiling that a row is held against. */
struct judge_ceiling {
    const char *word;
    double median_us, min_us;
    double bytes; /* that it moves */
};

/* Sets overhead_limited, cold_not_achieved and primary; needs everything else about the times. */
void judge_flags(struct record *r);
/* UNSTABLE: too many samples were excluded. SUSPECT: a cold row is faster than moving its compulsory bytes
 * (format_bytes) at the ceiling's speed, a hot one is more than twice as fast as the hot ceiling. PASS otherwise, and
 * `reason` is left alone. */
enum verdict judge_gpu_times(const struct record *r, const struct judge_ceiling *ceiling, char *reason,
                             size_t size);
/* SUSPECT: a cold row is faster than its ceiling, even at the lower end of the interval of their paired
 * ratio, a hot one more than twice as fast. PASS otherwise. */
enum verdict judge_cpu_times(const struct record *r, const struct judge_ceiling *ceiling, char *reason,
                             size_t size);
/* Of the two regimes of a variant and problem one is to be quoted: where both are among the rows and cold is
 * flagged, it is hot. */
void judge_primary(struct record *rows, size_t count);

#endif
