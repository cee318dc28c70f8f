#include "harness/gate/judge.h"

#include <math.h>
#include <stdlib.h>

#include "harness/base/random.h"
#include "harness/base/student.h"

const struct gate_limits gate_limits_default = {
    .margin = 0.0025, .matters = 0.01, .same = 0.02, .min_us = 0.2, .p_each = 0.01, .discovery = 0.05};

/* ---- one row ---- */

struct moments {
    double mean, error; /* standard error of the mean */
};

static struct moments moments_of(const double *d, size_t count)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++)
        sum += d[i];
    const double mean = sum / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += (d[i] - mean) * (d[i] - mean);
    return (struct moments){mean, sqrt(squares / (double)(count - 1) / (double)count)};
}

/* P(T >= t), with rounds that do not differ at all as infinitely sure. */
static double tail(double distance, double error, double df)
{
    if (error == 0)
        return distance > 0 ? 0 : 1;
    return student_cdf(-distance / error, df);
}

double sign_flip_p(const double *d, size_t count, unsigned long long seed)
{
    enum { EXACT = 16 };
    double observed = 0;
    size_t as_large = 0, patterns = (size_t)1 << (count < EXACT ? count : EXACT);
    for (size_t i = 0; i < count; i++)
        observed += d[i];
    for (size_t pattern = 0; pattern < patterns; pattern++) {
        double sum = 0;
        for (size_t i = 0; i < count; i++) {
            bool minus = count <= EXACT
                             ? pattern >> i & 1
                             : pattern && (random_u64(seed, RANDOM_POSITIONS, pattern * count + i) & 1);
            sum += minus ? -d[i] : d[i];
        }
        as_large += sum >= observed - 1e-12 * fabs(observed);
    }
    return (double)as_large / (double)patterns;
}

static void judge_row(struct gate_row *r, const struct gate_limits *l)
{
    const double df = (double)(r->rounds - 1), reach = student_quantile(0.975, df);
    const struct moments m = moments_of(r->differences, r->rounds);
    const double margin = fmax(l->margin, r->margin), matters = fmax(l->matters, r->matters);
    r->mean = m.mean;
    r->lo = m.mean - reach * m.error;
    r->hi = m.mean + reach * m.error;
    r->p_slower = tail(m.mean - margin, m.error, df);
    r->p_faster = tail(-m.mean - margin, m.error, df);
    const bool counts = fabs(expm1(m.mean)) * r->base_us > l->min_us && fabs(m.mean) > matters;
    /* Two one-sided tests at 5 %: the 90 % interval lies within the bounds. */
    const double inner = student_quantile(0.95, df) * m.error;
    if (counts && r->p_slower < l->p_each)
        r->outcome = GATE_OUTCOME_REGRESSED;
    else if (counts && r->p_faster < l->p_each)
        r->outcome = GATE_OUTCOME_IMPROVED;
    else
        r->outcome = m.mean - inner > -l->same && m.mean + inner < l->same ? GATE_OUTCOME_SAME
                                                                           : GATE_OUTCOME_INCONCLUSIVE;
}

/* ---- all rows ---- */

struct ranked {
    double p;
    size_t index;
};

static int by_p(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return (x->p > y->p) - (x->p < y->p);
}

void benjamini_hochberg(const double *p, size_t count, double q, bool *passed)
{
    struct ranked *ranked = malloc((count + 1) * sizeof *ranked);
    size_t last = 0; /* how many pass */
    for (size_t i = 0; i < count; i++)
        passed[i] = false;
    if (!ranked)
        return;
    for (size_t i = 0; i < count; i++)
        ranked[i] = (struct ranked){p[i], i};
    qsort(ranked, count, sizeof *ranked, by_p);
    for (size_t i = 0; i < count; i++)
        if (ranked[i].p <= q * (double)(i + 1) / (double)count)
            last = i + 1;
    for (size_t i = 0; i < last; i++)
        passed[ranked[i].index] = true;
    free(ranked);
}

void gate_judge(struct gate_row *rows, size_t count, const struct gate_limits *limits)
{
    double *p = calloc(count + 1, sizeof *p);
    bool *passed = malloc(count + 1);
    for (size_t i = 0; i < count; i++)
        judge_row(&rows[i], limits);
    for (int faster = 0; p && passed && faster < 2; faster++) {
        const enum gate_outcome flag = faster ? GATE_OUTCOME_IMPROVED : GATE_OUTCOME_REGRESSED;
        for (size_t i = 0; i < count; i++)
            p[i] = faster ? rows[i].p_faster : rows[i].p_slower;
        benjamini_hochberg(p, count, limits->discovery, passed);
        for (size_t i = 0; i < count; i++)
            if (rows[i].outcome == flag && !passed[i])
                rows[i].outcome = GATE_OUTCOME_INCONCLUSIVE;
    }
    free(p);
    free(passed);
}

/* ---- rates ---- */

/* P(at most `hits` of `trials`) at rate r. */
static double binomial_at_most(size_t hits, size_t trials, double r)
{
    double sum = 0;
    for (size_t k = 0; k <= hits; k++)
        sum += exp(lgamma((double)trials + 1) - lgamma((double)k + 1) - lgamma((double)(trials - k) + 1) +
                   (k ? (double)k * log(r) : 0) + (k < trials ? (double)(trials - k) * log1p(-r) : 0));
    return sum;
}

/* The rate at which the chance of what was seen, or less (upper) or more (lower), is 5 %. */
static double rate_bound(size_t hits, size_t trials, bool upper)
{
    double lo = 0, hi = 1;
    for (int i = 0; i < 100; i++) {
        const double middle = (lo + hi) / 2;
        const bool likely = upper ? binomial_at_most(hits, trials, middle) > 0.05
                                  : 1 - binomial_at_most(hits - 1, trials, middle) > 0.05;
        *(likely == upper ? &lo : &hi) = middle;
    }
    return (lo + hi) / 2;
}

double rate_upper_95(size_t hits, size_t trials)
{
    return hits >= trials ? 1 : rate_bound(hits, trials, true);
}

double rate_lower_95(size_t hits, size_t trials)
{
    return hits == 0 ? 0 : rate_bound(hits, trials, false);
}
