/*
 * gate/judge.h: has a row become slower? The statistics of a regression gate: of numbers alone, it times nothing.
 *
 * A round is a process in which both sides were loaded and sampled in alternation (ABBA); its difference is
 * d = ln(median of the candidate / median of the base). Rounds, not samples, are what is independent: the
 * spread between processes is what makes comparisons of single runs cry wolf.
 *
 * A row is flagged as REGRESSED when the one-sided 99 % lower bound of the mean difference (Student's t over
 * rounds) is above a small margin AND the mean itself is above what matters. Only rows that also pass
 * Benjamini and Hochberg's procedure at 5 % over all rows stay flagged, and the caller measures these again:
 * both runs must flag.
 */
#ifndef NF4BENCH_HARNESS_GATE_JUDGE_H
#define NF4BENCH_HARNESS_GATE_JUDGE_H

#include <stdbool.h>
#include <stddef.h>

#include "results/gate_report/gate_report.h"

/* What a difference must exceed; all but min_us are of ln ratios. */
struct gate_limits {
    double margin;    /* of the lower bound: 0.25 %, or half of the row's noise floor */
    double matters;   /* of the mean: 1 %, or the row's 99th percentile of A/A runs */
    double same;      /* equivalence: within +- this is SAME; 2 % */
    double min_us;    /* absolute; less is nobody's concern */
    double p_each;    /* one-sided level of a row: 0.01 */
    double discovery; /* false discovery rate over rows: 0.05 */
};
extern const struct gate_limits gate_limits_default;

struct gate_row {
    const double *differences; /* [rounds] */
    size_t rounds;             /* 2 or more */
    double base_us;            /* median of the base, for min_us */
    double margin, matters;    /* this row's own, where they are above the limits; else 0 */
    /* results of gate_judge(): */
    double mean, lo, hi;       /* two-sided 95 % interval */
    double p_slower;           /* of the hypothesis that the mean is at most `margin` */
    double p_faster;           /* and that it is at least -margin */
    enum gate_outcome outcome; /* SAME, REGRESSED, IMPROVED or INCONCLUSIVE */
};

/* Judges each row and then all together. */
void gate_judge(struct gate_row *rows, size_t count, const struct gate_limits *limits);

/* A cross-check without normality: the one-sided p-value of sum(d) under random signs: exact to 2^16 sign
 * patterns, then by that many drawn from `seed`. */
double sign_flip_p(const double *d, size_t count, unsigned long long seed);
/* passed[i]: p[i] is among those that Benjamini and Hochberg's procedure rejects at rate q. */
void benjamini_hochberg(const double *p, size_t count, double q, bool *passed);
/* Largest rate r for which `hits` or fewer of `trials` have a chance of 5 % (upper, Clopper and Pearson,
 * one-sided 95 %), and the smallest for which `hits` or more have (lower). */
double rate_upper_95(size_t hits, size_t trials);
double rate_lower_95(size_t hits, size_t trials);

#endif
