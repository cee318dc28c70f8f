/*
 * gate/protocol.h: takes two libraries through a regression gate: verify, rounds, judge, and the flagged rows
 * once more. What gate/judge.h judges, of what gate/rounds.h measures.
 */
#ifndef NF4BENCH_HARNESS_GATE_PROTOCOL_H
#define NF4BENCH_HARNESS_GATE_PROTOCOL_H

#include <stddef.h>

#include "harness/base/status.h"
#include "harness/gate/judge.h"
#include "harness/gate/rounds.h"
#include "results/calibration.h"
#include "results/gate_report/gate_report.h"

/* The protocol's numbers, in this one place. */
enum {
    GATE_ROUNDS = 10,
    GATE_CONFIRM_ROUNDS = 16,
    GATE_SAMPLES = 20,
    GATE_ROUNDS_LEAST = 3,
    GATE_ROUNDS_MAX = 1000
};

/* A gate whose rate of false alarms is above this, by the lower end of its 95 % interval, gives no verdicts.
 */
#define GATE_FALSE_ALARMS_MAX 0.01

struct gate_settings {
    size_t rounds, confirm_rounds;
    const struct calibration *calibration; /* or NULL */
};

/* Sets what a row's calibration asks for. */
void gate_row_calibrate(struct gate_row *row, const struct calibration_row *calibrated);

/* The verdict of two runs: both must flag. */
enum gate_outcome gate_confirmed(enum gate_outcome first, enum gate_outcome second);

/* One run of rounds over some of the rows. */
struct gate_run {
    size_t count; /* rounds */
    double *differences, *base_us,
        *candidate_us;       /* [row * count + round] ln(candidate / base), and medians */
    struct gate_row *judged; /* [row]; rounds 0: the row is not in it */
};

struct gate_comparison {
    struct gate_report_row *rows; /* one for each of sides->rows; they point into these, and into the runs */
    struct gate_run first, second;
};

/* *out is owned: gate_comparison_release(). */
enum status gate_compare(struct gate_sides *sides, const struct gate_settings *settings,
                         struct gate_comparison *out) WARN_UNUSED_RESULT;
void gate_comparison_release(struct gate_comparison *c);

#endif
