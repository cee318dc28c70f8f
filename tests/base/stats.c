/*
 * stats.c: harness/base/stats.h against published values and against what the words mean.
 */
#include "harness/base/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

enum { MTCARS = 32, LH = 48 };

/* R's mtcars$mpg: quantile() prints 10.40 15.425 19.20 22.80 33.90, IQR() 7.375, mad() 5.41149. */
static const double mpg[MTCARS] = {21.0, 21.0, 22.8, 21.4, 18.7, 18.1, 14.3, 24.4, 22.8, 19.2, 17.8,
                                   16.4, 17.3, 15.2, 10.4, 10.4, 14.7, 32.4, 30.4, 33.9, 21.5, 15.5,
                                   15.2, 13.3, 19.2, 27.3, 26.0, 30.4, 15.8, 19.7, 15.0, 21.4};
/* R's lh: acf(lh) prints 0.576 at lag 1. */
static const double lh[LH] = {2.4, 2.4, 2.4, 2.2, 2.1, 1.5, 2.3, 2.3, 2.5, 2.0, 1.9, 1.7, 2.2, 1.8, 3.2, 3.2,
                              2.7, 2.2, 2.2, 1.9, 1.9, 1.8, 2.7, 3.0, 2.3, 2.0, 2.0, 2.9, 2.9, 2.7, 2.7, 2.3,
                              2.6, 2.4, 1.8, 1.7, 1.5, 1.4, 2.1, 3.3, 3.5, 3.5, 3.1, 2.6, 2.1, 3.4, 3.0, 2.9};

static uint64_t state;

static double uniform(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) * 0x1p-53;
}

static double normal(void)
{
    double u = 1 - uniform();
    return sqrt(-2 * log(u)) * cos(2 * M_PI * uniform());
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

TEST(stats, quantile_is_type_7)
{
    const double ten[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    EXPECT_NEAR(1, quantile_sorted(ten, 10, 0), 0);
    EXPECT_NEAR(3.25, quantile_sorted(ten, 10, 0.25), 1e-12); /* R: quantile(1:10) */
    EXPECT_NEAR(5.5, quantile_sorted(ten, 10, 0.5), 1e-12);
    EXPECT_NEAR(7.75, quantile_sorted(ten, 10, 0.75), 1e-12);
    EXPECT_NEAR(1.9, quantile_sorted(ten, 10, 0.1), 1e-12);
    EXPECT_NEAR(10, quantile_sorted(ten, 10, 1), 0);
    EXPECT_NEAR(1, quantile_sorted(ten, 1, 0.9), 0);
    EXPECT_TRUE(isnan(quantile_sorted(ten, 0, 0.5)));
}

TEST(stats, quantile_beside_an_infinity)
{
    const double x[] = {1, 2, 3, INFINITY, INFINITY};
    EXPECT_NEAR(3, quantile_sorted(x, 5, 0.5), 0);
    EXPECT_TRUE(isinf(quantile_sorted(x, 5, 0.7)));
}

TEST(stats, summary_of_a_published_set)
{
    struct sample_summary s;
    double scratch[MTCARS];
    summarize(mpg, MTCARS, scratch, &s);
    EXPECT_EQ(MTCARS, s.count);
    EXPECT_NEAR(19.2, s.median, 1e-12);
    EXPECT_NEAR(10.4, s.min, 0);
    EXPECT_NEAR(14.34, s.p10, 1e-12);
    EXPECT_NEAR(30.09, s.p90, 1e-12);
    EXPECT_NEAR(7.375, s.iqr, 1e-12);
    EXPECT_NEAR(5.41149 / 1.4826, s.mad, 1e-5); /* R scales by 1.4826, we do not */
    EXPECT_NEAR(15.8, s.median_ci.lo, 0);       /* ranks 10 and 23 */
    EXPECT_NEAR(21.5, s.median_ci.hi, 0);
    EXPECT_FALSE(s.bimodal);
}

TEST(stats, published_ranks_of_the_median_interval)
{
    static const struct {
        size_t count, rank;
    } rows[] = {{0, 0},   {5, 0},   {6, 1},   {8, 1},   {9, 2},    {10, 2},     {11, 2},     {12, 3},
                {15, 4},  {16, 4},  {17, 5},  {20, 6},  {25, 8},   {30, 10},    {40, 14},    {50, 18},
                {70, 27}, {80, 31}, {90, 36}, {99, 40}, {100, 40}, {1000, 469}, {2000, 956}, {100000, 49690}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_note("count %zu", rows[i].count);
        EXPECT_EQ(rows[i].rank, median_interval_rank(rows[i].count));
    }
}

/* Against integer arithmetic: sum of binomial coefficients up to r-1 <= 0.025 * 2^n < sum up to r. */
TEST(stats, ranks_agree_with_exact_integers)
{
    for (unsigned n = 1; n <= 56; n++) {
        uint64_t sum = 0, coefficient = 1;
        size_t rank = 0;
        for (unsigned k = 0; k <= n; k++) {
            sum += coefficient;
            if (sum > (UINT64_C(1) << n) / 40) /* 2^n / 40 is never whole */
                break;
            rank++;
            coefficient = (uint64_t)((unsigned __int128)coefficient * (n - k) / (k + 1));
        }
        test_note("count %u", n);
        EXPECT_EQ(rank, median_interval_rank(n));
    }
}

TEST(stats, median_interval_of_few_samples_is_their_range)
{
    const double x[] = {1, 2, 3, 4, 5};
    struct interval i = median_interval_sorted(x, 5);
    EXPECT_NEAR(1, i.lo, 0);
    EXPECT_NEAR(5, i.hi, 0);
    i = median_interval_sorted(x, 1);
    EXPECT_NEAR(1, i.lo, 0);
    EXPECT_NEAR(1, i.hi, 0);
    EXPECT_TRUE(isnan(median_interval_sorted(x, 0).lo));
}

/* The promise itself, on a skewed distribution whose median is ln 2; the exact chances. */
TEST(stats, median_interval_covers_as_promised)
{
    enum { TRIALS = 20000 };
    static const struct {
        size_t count;
        double chance;
    } rows[] = {{30, 0.9572}, {101, 0.9540}};
    state = 88172645463325252u;
    for (size_t row = 0; row < 2; row++) {
        unsigned covered = 0;
        double x[101];
        for (unsigned t = 0; t < TRIALS; t++) {
            for (size_t i = 0; i < rows[row].count; i++)
                x[i] = -log(1 - uniform());
            qsort(x, rows[row].count, sizeof *x, ascending);
            struct interval ci = median_interval_sorted(x, rows[row].count);
            covered += ci.lo <= M_LN2 && M_LN2 <= ci.hi;
        }
        test_note("count %zu", rows[row].count);
        /* Four standard errors of the share. */
        EXPECT_NEAR(rows[row].chance, (double)covered / TRIALS, 4 * sqrt(0.05 * 0.95 / TRIALS));
    }
}

TEST(stats, lag1_autocorrelation)
{
    struct sample_summary s;
    double scratch[400], x[400];
    summarize(lh, LH, scratch, &s);
    EXPECT_NEAR(0.576, s.lag1_autocorrelation, 0.0005);
    for (int i = 0; i < 400; i++)
        x[i] = i % 2;
    summarize(x, 400, scratch, &s);
    EXPECT_NEAR(-399.0 / 400, s.lag1_autocorrelation, 1e-12);
    state = 1;
    for (int i = 0; i < 400; i++)
        x[i] = 1e9 + normal(); /* a large common part must not drown it */
    summarize(x, 400, scratch, &s);
    EXPECT_NEAR(0, s.lag1_autocorrelation, 0.15);
    for (int i = 1; i < 400; i++)
        x[i] = x[i - 1] * 0.9 + normal();
    x[0] = 0;
    summarize(x + 100, 300, scratch, &s);
    EXPECT_NEAR(0.9, s.lag1_autocorrelation, 0.1);
    summarize(x, 1, scratch, &s);
    EXPECT_TRUE(isnan(s.lag1_autocorrelation));
}

TEST(stats, nothing_and_one_and_equal_samples)
{
    struct sample_summary s;
    double scratch[40], x[40];
    summarize(NULL, 0, scratch, &s);
    EXPECT_EQ(0, s.count);
    EXPECT_TRUE(isnan(s.median) && isnan(s.min) && isnan(s.p10) && isnan(s.p90) && isnan(s.mad) &&
                isnan(s.iqr));
    EXPECT_TRUE(isnan(s.median_ci.lo) && isnan(s.median_ci.hi) && isnan(s.lag1_autocorrelation));
    EXPECT_FALSE(s.bimodal);
    for (int i = 0; i < 40; i++)
        x[i] = 7;
    summarize(x, 40, scratch, &s);
    EXPECT_NEAR(7, s.median, 0);
    EXPECT_NEAR(0, s.mad, 0);
    EXPECT_NEAR(0, s.iqr, 0);
    EXPECT_NEAR(7, s.median_ci.lo, 0);
    EXPECT_TRUE(isnan(s.lag1_autocorrelation));
    EXPECT_FALSE(s.bimodal);
}

TEST(stats, samples_keep_their_order)
{
    struct sample_summary s;
    double scratch[5], x[] = {5, 1, 4, 2, 3};
    const double before[] = {5, 1, 4, 2, 3};
    summarize(x, 5, scratch, &s);
    EXPECT_EQ(0, memcmp(x, before, sizeof x));
    EXPECT_NEAR(3, s.median, 0);
    EXPECT_NEAR(1, s.mad, 0);
}

enum shape { NORMAL, UNIFORM, EXPONENTIAL, TWO_EQUAL, TWO_UNEQUAL, TWO_TICKS, CLOSE_TICKS, ONE_OUTLIER };

static double draw(enum shape shape, size_t i)
{
    switch (shape) {
    case NORMAL:
        return 100 + normal();
    case UNIFORM:
        return 100 + 10 * uniform();
    case EXPONENTIAL:
        return 100 - 5 * log(1 - uniform());
    case TWO_EQUAL:
        return 100 + normal() + (uniform() < 0.5 ? 8 : 0);
    case TWO_UNEQUAL:
        return 100 + normal() + (i % 5 == 0 ? 10 : 0);
    case TWO_TICKS:
        return i % 3 == 0 ? 110 : 100;
    case CLOSE_TICKS: /* the steps of a coarse clock */
        return i % 2 == 0 ? 100.5 : 100;
    case ONE_OUTLIER:
        return i == 17 ? 1000 : 100 + normal();
    }
    return 0;
}

TEST(stats, bimodality_of_synthetic_sets)
{
    enum { TRIALS = 1000, COUNT = 100 };
    static const struct {
        enum shape shape;
        const char *name;
        unsigned least, most; /* of TRIALS sets called bimodal */
    } rows[] = {{NORMAL, "normal", 0, 5},
                {UNIFORM, "uniform", 0, 5},
                {EXPONENTIAL, "exponential", 0, 25},
                {TWO_EQUAL, "two equal modes", 990, TRIALS},
                {TWO_UNEQUAL, "a mode of a fifth", 990, TRIALS},
                {TWO_TICKS, "two values", TRIALS, TRIALS},
                {CLOSE_TICKS, "two values half a percent apart", 0, 0},
                {ONE_OUTLIER, "one outlier", 0, 5}};
    state = 12345;
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        unsigned called = 0;
        double x[COUNT], scratch[COUNT];
        for (unsigned t = 0; t < TRIALS; t++) {
            struct sample_summary s;
            for (size_t i = 0; i < COUNT; i++)
                x[i] = draw(rows[row].shape, i);
            summarize(x, COUNT, scratch, &s);
            called += s.bimodal;
        }
        test_note("%s: %u of %d", rows[row].name, called, TRIALS);
        EXPECT_TRUE(called >= rows[row].least && called <= rows[row].most);
    }
}

/* Both sides drift by a factor of two together; the ratio is 1.25 all the while. */
TEST(stats, paired_ratio_leaves_out_pairs_with_a_nan)
{
    double a[] = {2, NAN, 6, 8, 100}, b[] = {1, 2, 3, 4, NAN}, scratch[5];
    struct paired_ratio p;
    paired_ratio(a, b, 5, scratch, &p);
    EXPECT_TRUE(p.count == 3 && p.ratio == 2 && p.ci.lo == 2 && p.ci.hi == 2);
    paired_ratio(a + 1, b + 1, 1, scratch, &p);
    EXPECT_TRUE(p.count == 0 && isnan(p.ratio));
}

TEST(stats, paired_ratio_cancels_what_both_sides_share)
{
    enum { COUNT = 60 };
    double a[COUNT], b[COUNT], scratch[COUNT];
    struct paired_ratio p;
    state = 99;
    for (int i = 0; i < COUNT; i++) {
        double drift = 1 + (double)i / COUNT;
        a[i] = 125 * drift * (1 + 0.001 * normal());
        b[i] = 100 * drift * (1 + 0.001 * normal());
    }
    paired_ratio(a, b, COUNT, scratch, &p);
    EXPECT_EQ(COUNT, p.count);
    EXPECT_NEAR(1.25, p.ratio, 0.001);
    EXPECT_TRUE(p.ci.lo <= 1.25 && 1.25 <= p.ci.hi);
    EXPECT_TRUE(p.ci.hi - p.ci.lo < 0.003);
    paired_ratio(a, b, 0, scratch, &p);
    EXPECT_TRUE(isnan(p.ratio) && isnan(p.ci.lo) && isnan(p.ci.hi));
}
