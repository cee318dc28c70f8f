/*
 * calibration.h: how well a gate does on this machine, measured: its false alarms and what it finds, in an
 * HDF5 file.
 *
 *   /rows     a compound for each row, of the fields of struct calibration_row
 *   /us       [rows][gates][rounds][sides], medians of each round: the baseline, then the candidate once for
 *             each of `levels`, its samples made longer by that share
 *   /levels   [sides - 1] shares; the first is 0: the candidate is a copy of the baseline (A/A)
 *   root      the attributes of a results file's environment, and kind, device_name, schema_version,
 *             false_alarms, row_gates, false_alarm_rate, and its 95 % bounds, one-sided each:
 *             false_alarm_rate_lower, _upper
 */
#ifndef NF4BENCH_RESULTS_CALIBRATION_H
#define NF4BENCH_RESULTS_CALIBRATION_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "harness/base/status.h"

enum { CALIBRATION_SCHEMA = 1, CALIBRATION_LEVELS = 5 };
/* 0, 1, 2, 3 and 5 %. */
extern const double calibration_levels[CALIBRATION_LEVELS];

/* X(member, doc): all are double. */
#define CALIBRATION_NUMBERS(X)                                                                               \
    X(median_us, "median of the baseline over all rounds")                                                   \
    X(noise_floor, "median over gates of the half-width of the mean's 95 % interval, a share")               \
    X(aa_p99, "99th percentile over A/A gates of |mean|, a share")                                           \
    X(detectable, "the smallest level that was found in 95 % of the gates, as were all above it; or NaN")    \
    X(found_0, "share of gates in which the level 0 was flagged: false alarms")                              \
    X(found_1, "share in which 1 % was")                                                                     \
    X(found_2, "2 %")                                                                                        \
    X(found_3, "3 %")                                                                                        \
    X(found_5, "5 %")

struct calibration_row {
    char case_text[256], variant[128], regime[8];
    uint32_t threads;
#define X(name, doc) double name;
    CALIBRATION_NUMBERS(X)
#undef X
};

struct calibration {
    char device[128]; /* name of what was timed */
    struct calibration_row *rows;
    size_t row_count;
    /* A/A, after confirmation: */
    uint64_t false_alarms, row_gates;
    double rate_lower, rate_upper;
};

/* us: as /us. `environment` becomes root attributes. */
enum status calibration_write(const char *path, const struct calibration *c, const double *us, size_t gates,
                              size_t rounds, const json_t *environment) WARN_UNUSED_RESULT;
/* What a gate needs of it. STATUS_INPUT says what is wrong with the file. Owned: calibration_release(). */
enum status calibration_read(const char *path, struct calibration *out) WARN_UNUSED_RESULT;
void calibration_release(struct calibration *c);
const struct calibration_row *calibration_find(const struct calibration *c, const char *case_text,
                                               const char *variant, const char *regime, unsigned threads);

#endif
