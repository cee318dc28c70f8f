/*
 * stats.h: statistics of timing samples. Nothing is discarded here; every function takes the samples as
 * given.
 */
#ifndef NF4BENCH_HARNESS_BASE_STATS_H
#define NF4BENCH_HARNESS_BASE_STATS_H

#include <stdbool.h>
#include <stddef.h>

struct interval {
    double lo, hi;
};

struct sample_summary {
    size_t count;
    double median, min, p10, p90, mad, iqr;
    struct interval median_ci; /* 95 %, from order statistics (binomial); the range of the data when n < 6 */
    double lag1_autocorrelation; /* as R's acf(); NAN when all samples are equal or count < 2 */
    /* The best two-way split has sides of at least 10 % each, whose means lie more than 4 pooled deviations
     * and 1 % of the median apart, with at most 5 % of the samples in the middle third between them. Never
     * under 20. */
    bool bimodal;
};

/* p in [0,1], linear interpolation between order statistics (type 7 of Hyndman and Fan, the default of R and
 * NumPy). `sorted` ascending; NAN when count is 0. */
double quantile_sorted(const double *sorted, size_t count, double p);
/* The same of values in any order, which it sorts in place. */
double quantile(double *values, size_t count, double p);
/* The largest rank r (from 1) for which the r-th smallest and the r-th largest of `count` samples enclose the
 * median of their distribution with a chance of at least 95 %: exact, by Binomial(count, 1/2). 0 when there
 * is none (count < 6). */
size_t median_interval_rank(size_t count);
/* 95 % interval of the median by order statistics; the range of the data when count < 6, NAN when it is 0. */
struct interval median_interval_sorted(const double *sorted, size_t count);
/* All fields NAN when count is 0. Uses scratch of `count` doubles. */
void summarize(const double *samples, size_t count, double *scratch, struct sample_summary *out);
/* Median over i of a[i]/b[i] and its interval: the two were sampled in alternation. A pair with a NAN does
 * not count. */
struct paired_ratio {
    double ratio;
    struct interval ci;
    size_t count;
};
void paired_ratio(const double *a, const double *b, size_t count, double *scratch, struct paired_ratio *out);

#endif
