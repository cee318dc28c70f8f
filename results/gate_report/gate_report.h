/*
 * gate_report.h: what a regression gate found, in the forms that people and CI systems read. Of rows that are
 * judged already (harness/gate/judge.h); decides nothing but the exit code.
 */
#ifndef NF4BENCH_RESULTS_GATE_REPORT_GATE_REPORT_H
#define NF4BENCH_RESULTS_GATE_REPORT_GATE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "harness/base/status.h"

/* X(enumerator, word, meaning): the order is that of what matters, the first comes first. */
#define GATE_OUTCOME_MAP(X)                                                                                  \
    X(WRONG, "WRONG", "the candidate's bits are not right, or it crashed or hung")                           \
    X(REGRESSED, "REGRESSED", "slower, in both runs")                                                        \
    X(INCONCLUSIVE, "INCONCLUSIVE", "the rounds do not say")                                                 \
    X(IMPROVED, "IMPROVED", "faster, in both runs")                                                          \
    X(SAME, "SAME", "no difference that matters")                                                            \
    X(SKIPPED, "SKIPPED", "not compared; the reason says why")
enum gate_outcome {
#define X(name, word, meaning) GATE_OUTCOME_##name,
    GATE_OUTCOME_MAP(X)
#undef X
        GATE_OUTCOME_COUNT
};
const char *gate_outcome_word(enum gate_outcome o);

/* Of one run of rounds: ratios are candidate over baseline, above 1 is slower; lo and hi a 95 % interval. */
struct gate_estimate {
    size_t rounds; /* 0: there was no such run, and the rest means nothing */
    double ratio, lo, hi;
    double p_slower, p_sign_flip; /* gate/judge.h */
    const double *differences;    /* [rounds] ln(candidate / baseline) of each; NULL: not kept */
};

struct gate_report_row {
    const char *case_key, *variant, *regime; /* "cold" or "hot" */
    unsigned threads;
    enum gate_outcome outcome;
    const char *reason;           /* one line: why, or a remark; "" for none */
    const char *repro;            /* the command that shows a WRONG row again; "" for none */
    double base_us, candidate_us; /* medians over the rounds; NAN where not timed */
    struct gate_estimate first, confirmation;
    double threshold;  /* the least mean that counts as REGRESSED for this row, as a share: 0.01 */
    double detectable; /* the smallest slowdown that calibration found in 95 % of the gates or more, as a
                          share; NAN: not calibrated, or none */
    bool code_known, same_code; /* whether the machine code of both sides could be compared, and is equal */
};

/* Strings and rows are not owned. */
struct gate_report {
    const char *suite, *device, *baseline, *candidate; /* paths or revisions, for people */
    const char *command;                               /* that was given */
    const char *calibration; /* a line: of what file and with which false-alarm rate; "": not calibrated */
    const char *disabled;    /* why no verdict on times is given; "" where it is */
    bool advisory;           /* from recorded history: never a failure */
    double seconds;
    const struct gate_report_row *rows;
    size_t count;
};

/* 2 is every other command's for usage and environment. */
enum gate_exit {
    GATE_EXIT_PASS = 0,
    GATE_EXIT_WRONG = 1,
    GATE_EXIT_NOTHING = 2, /* no row was compared */
    GATE_EXIT_REGRESSED = 3,
    GATE_EXIT_UNKNOWN = 4 /* disabled or inconclusive */
};
/* The first that holds: 1, a WRONG row; 0, advisory; 4, disabled; 3, a REGRESSED row; 4, an INCONCLUSIVE row;
 * 2, no row but SKIPPED ones, or none; else 0. */
int gate_report_exit_code(const struct gate_report *r);

/* One line for the end: "1 REGRESSED, 11 SAME; exit code 3: a row is slower, in both runs". */
void gate_report_summary(const struct gate_report *r, FILE *out);

/* A form of the report, which gate_report_write() writes of clean texts: bytes that are not UTF-8, and control
 * characters but tabs and line ends, become question marks. */
struct tidy;
typedef enum status gate_report_form(const struct tidy *t, FILE *out);
enum status gate_report_write(const struct gate_report *r, gate_report_form *form,
                              FILE *out) WARN_UNUSED_RESULT;

/* For a terminal, and GITHUB_STEP_SUMMARY (under 1 MiB: further rows are counted, not listed). The worst rows
 * first. */
gate_report_form gate_report_markdown;
/* Everything, rows in the order given; a NAN is null, and so is an empty text of those that can be "". */
gate_report_form gate_report_json;
/* One testcase a row, in the order given: WRONG is an error, REGRESSED a failure (skipped where the report is
 * advisory or disabled), SKIPPED and INCONCLUSIVE skipped with the reason; tests/fixtures/junit.xsd is what
 * it keeps to. */
gate_report_form gate_report_junit;
/* GitHub workflow commands for the worst ten rows, for GitHub shows no more of a step: ::error for what
 * fails, ::warning for INCONCLUSIVE, for REGRESSED where the report is advisory or disabled, and one of the
 * ten for why it is disabled. */
gate_report_form gate_report_annotations;
/* The list that the action benchmark-action/github-action-benchmark reads as customSmallerIsBetter: name,
 * unit, value, range, extra; timed rows alone, and none that is WRONG. */
gate_report_form gate_report_smaller_is_better;

#endif
