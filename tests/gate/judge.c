#include "harness/gate/judge.h"
#include "harness/gate/protocol.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/base/random.h"
#include "harness/base/student.h"
#include "tests/test.h"

/* Published: NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2, critical values of Student's t. */
TEST(student, quantiles_are_the_published_ones)
{
    static const struct {
        double df, p, t;
    } table[] = {{1, 0.90, 3.078},   {2, 0.95, 2.920},  {5, 0.975, 2.571},   {9, 0.95, 1.833},
                 {9, 0.975, 2.262},  {9, 0.99, 2.821},  {9, 0.999, 4.297},   {15, 0.99, 2.602},
                 {30, 0.995, 2.750}, {60, 0.95, 1.671}, {100, 0.975, 1.984}, {100, 0.999, 3.174}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        test_note("df %g p %g", table[i].df, table[i].p);
        EXPECT_NEAR(table[i].t, student_quantile(table[i].p, table[i].df), 0.0006);
        EXPECT_NEAR(-table[i].t, student_quantile(1 - table[i].p, table[i].df), 0.0006);
    }
    test_note(NULL);
    EXPECT_NEAR(0.5, student_cdf(0, 7), 1e-15);
    EXPECT_NEAR(0.75, student_cdf(1, 1), 1e-14); /* Cauchy: 1/2 + atan(t) / pi */
    EXPECT_NEAR(0.5 + atan(3.0) / acos(-1.0), student_cdf(3, 1), 1e-14);
    EXPECT_NEAR(tan(acos(-1.0) * 0.499), student_quantile(0.999, 1), 1e-6);
}

/* Benjamini and Hochberg 1995, the example of their section 3.2: 15 p-values, of which 4 are rejected at 5 %.
 */
TEST(gate, benjamini_hochberg_is_the_published_example)
{
    static const double p[] = {0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
                               0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000};
    bool passed[15];
    benjamini_hochberg(p, 15, 0.05, passed);
    for (size_t i = 0; i < 15; i++)
        EXPECT_EQ(i < 4, passed[i]);
}

/* Clopper and Pearson: with none of n, the upper bound is 1 - 0.05^(1/n); the rule of three. */
TEST(gate, bounds_of_a_rate)
{
    EXPECT_NEAR(1 - pow(0.05, 1.0 / 200), rate_upper_95(0, 200), 1e-12);
    EXPECT_NEAR(0.0149, rate_upper_95(0, 200), 0.0001); /* 200 clean gates prove at most 1.5 % */
    EXPECT_TRUE(rate_upper_95(0, 1500) < 0.002 && rate_upper_95(0, 1400) > 0.002);
    EXPECT_NEAR(pow(0.05, 1.0 / 10), rate_lower_95(10, 10), 1e-12);
    EXPECT_TRUE(rate_lower_95(0, 10) == 0 && rate_upper_95(10, 10) == 1);
    /* 2 of 10: 0.0368 and 0.5069 (Clopper and Pearson, one-sided 95 %, as R's binom.test gives them). */
    EXPECT_NEAR(0.0368, rate_lower_95(2, 10), 0.0001);
    EXPECT_NEAR(0.5069, rate_upper_95(2, 10), 0.0001);
}

TEST(gate, sign_flips)
{
    static const double all_plus[] = {1, 2, 3, 4, 5, 6};
    static const double mixed[] = {1, -1, 2, -2};
    double many[40];
    EXPECT_NEAR(1.0 / 64, sign_flip_p(all_plus, 6, 1), 1e-15); /* K = 6 cannot go below */
    EXPECT_TRUE(sign_flip_p(mixed, 4, 1) > 0.5);
    for (size_t i = 0; i < 40; i++)
        many[i] = i % 2 ? 1 : -1;
    EXPECT_NEAR(0.56, sign_flip_p(many, 40, 1), 0.02); /* P(Binomial(40, 1/2) >= 20) = 0.5627 */
}

TEST(gate, verdicts)
{
    static const double slower[] = {0.030, 0.031, 0.029, 0.030, 0.032, 0.028};
    static const double faster[] = {-0.030, -0.031, -0.029, -0.030, -0.032, -0.028};
    static const double same[] = {0.001, -0.001, 0.002, -0.002, 0.000, 0.001};
    static const double wild[] = {0.10, -0.10, 0.08, -0.05, 0.06, -0.09};
    static const double slight[] = {0.006, 0.0061, 0.0059, 0.006, 0.0062, 0.0058};
    struct gate_row rows[] = {{.differences = slower, .rounds = 6, .base_us = 100},
                              {.differences = faster, .rounds = 6, .base_us = 100},
                              {.differences = same, .rounds = 6, .base_us = 100},
                              {.differences = wild, .rounds = 6, .base_us = 100},
                              {.differences = slight, .rounds = 6, .base_us = 100},
                              {.differences = slower, .rounds = 6, .base_us = 5}};
    static const enum gate_outcome want[] = {GATE_OUTCOME_REGRESSED, GATE_OUTCOME_IMPROVED,
                                             GATE_OUTCOME_SAME,      GATE_OUTCOME_INCONCLUSIVE,
                                             GATE_OUTCOME_SAME,      GATE_OUTCOME_INCONCLUSIVE};
    gate_judge(rows, sizeof rows / sizeof rows[0], &gate_limits_default);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_note("row %zu", i);
        EXPECT_EQ(want[i], rows[i].outcome);
    }
    test_note(NULL);
    EXPECT_NEAR(0.03, rows[0].mean, 1e-12);
    EXPECT_TRUE(rows[0].lo < 0.03 && rows[0].hi > 0.03);
}

/* A row that is known to be noisy needs more. */
TEST(gate, a_row_may_have_limits_of_its_own)
{
    static const double slower[] = {0.030, 0.031, 0.029, 0.030, 0.032, 0.028};
    struct gate_row rows[] = {{.differences = slower, .rounds = 6, .base_us = 100, .matters = 0.029},
                              {.differences = slower, .rounds = 6, .base_us = 100, .matters = 0.031},
                              {.differences = slower, .rounds = 6, .base_us = 100, .margin = 0.0295}};
    gate_judge(rows, 3, &gate_limits_default);
    EXPECT_EQ(GATE_OUTCOME_REGRESSED, rows[0].outcome);
    EXPECT_EQ(GATE_OUTCOME_INCONCLUSIVE, rows[1].outcome);
    EXPECT_EQ(GATE_OUTCOME_INCONCLUSIVE, rows[2].outcome);
}

TEST(gate, both_runs_must_flag)
{
    static const enum gate_outcome all[] = {GATE_OUTCOME_SAME, GATE_OUTCOME_REGRESSED, GATE_OUTCOME_IMPROVED,
                                            GATE_OUTCOME_INCONCLUSIVE};
    for (size_t i = 0; i < 4; i++) {
        EXPECT_EQ(all[i] == GATE_OUTCOME_IMPROVED ? GATE_OUTCOME_INCONCLUSIVE : all[i],
                  gate_confirmed(GATE_OUTCOME_REGRESSED, all[i]));
        EXPECT_EQ(GATE_OUTCOME_SAME, gate_confirmed(GATE_OUTCOME_SAME, all[i])); /* was not flagged */
    }
    EXPECT_EQ(GATE_OUTCOME_INCONCLUSIVE, gate_confirmed(GATE_OUTCOME_IMPROVED, GATE_OUTCOME_REGRESSED));
}

/* ---- how often it is right ---- */

/* The model of the design's table: log-normal noise of 1 % within a run, 0.8 % between processes (of each
 * side), 0.5 % of drift between runs, which alternation takes out of a round. */
enum { SAMPLES = 20, RUN_SAMPLES = 100, ROWS = 12 };
#define WITHIN  0.01
#define PROCESS 0.008
#define DRIFT   0.005

static uint64_t drawn;
static double normal(void)
{
    return random_normal(99, RANDOM_WEIGHTS, drawn++);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(double *x, size_t n)
{
    qsort(x, n, sizeof *x, by_value);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

static void one_run(double centre, double *x, size_t n)
{
    double process = PROCESS * normal();
    for (size_t i = 0; i < n; i++)
        x[i] = centre + process + WITHIN * normal();
}

static double one_round(double slowdown)
{
    double a[SAMPLES], b[SAMPLES];
    one_run(0, a, SAMPLES);
    one_run(slowdown, b, SAMPLES);
    return median_of(b, SAMPLES) - median_of(a, SAMPLES);
}

/* Share of `trials` in which a row with this slowdown, among ROWS - 1 that did not change, is flagged; twice:
 * in two independent runs. Alone: without the others and their correction. */
static double flagged(double slowdown, size_t rounds, size_t trials, bool alone, bool twice)
{
    size_t hits = 0;
    double *d = malloc(ROWS * rounds * sizeof *d);
    for (size_t t = 0; t < trials; t++) {
        bool all = true;
        for (int run = 0; run < (twice ? 2 : 1) && all; run++) {
            struct gate_row rows[ROWS];
            size_t count = alone ? 1 : ROWS;
            for (size_t r = 0; r < count; r++) {
                for (size_t k = 0; k < rounds; k++)
                    d[r * rounds + k] = one_round(r == 0 ? log1p(slowdown) : 0);
                rows[r] = (struct gate_row){.differences = d + r * rounds, .rounds = rounds, .base_us = 1000};
            }
            gate_judge(rows, count, &gate_limits_default);
            all = rows[0].outcome == GATE_OUTCOME_REGRESSED;
        }
        hits += all;
    }
    free(d);
    return (double)hits / (double)trials;
}

/* What others do with one run of each side. */
struct legacy {
    double noise, u_test, two_percent;
};

static struct legacy legacy_flags(double slowdown, size_t trials)
{
    struct legacy l = {0};
    for (size_t t = 0; t < trials; t++) {
        double a[RUN_SAMPLES], b[RUN_SAMPLES], u = 0, n = RUN_SAMPLES;
        one_run(DRIFT * normal(), a, RUN_SAMPLES);
        one_run(log1p(slowdown), b, RUN_SAMPLES);
        for (size_t i = 0; i < RUN_SAMPLES; i++)
            for (size_t j = 0; j < RUN_SAMPLES; j++)
                u += (b[i] > a[j]);
        double d = median_of(b, RUN_SAMPLES) - median_of(a, RUN_SAMPLES);
        l.noise += d > log1p(WITHIN);
        l.u_test += (u - n * n / 2) / sqrt(n * n * (2 * n + 1) / 12) > 1.645;
        l.two_percent += d > log1p(0.02);
    }
    l.noise /= (double)trials;
    l.u_test /= (double)trials;
    l.two_percent /= (double)trials;
    return l;
}

TEST(gate, simulation_gives_the_table_of_the_design)
{
    enum { TRIALS = 1500, TRIALS_OF_ALL = 200 };
    /* Shares of the design's table; the tolerance is three standard errors of the trials. */
    static const struct {
        double slowdown, noise, u_test, two_percent, k10, k16;
    } table[] = {{0, 0.216, 0.409, 0.053, 0.0015, 0.0003},
                 {0.02, 0.81, 0.92, 0.52, 0.94, 0.998},
                 {0.03, 0.95, 0.99, 0.80, 1, 1}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct legacy l = legacy_flags(table[i].slowdown, TRIALS);
        const double k10 = flagged(table[i].slowdown, 10, TRIALS, true, false),
                     k16 = flagged(table[i].slowdown, 16, TRIALS, true, false);
        printf("slowdown %.0f %%: difference > noise %.1f %%, U test %.1f %%, median > 2 %% %.1f %%, gate "
               "K=10 %.2f %%, "
               "K=16 %.2f %%\n",
               100 * table[i].slowdown, 100 * l.noise, 100 * l.u_test, 100 * l.two_percent, 100 * k10,
               100 * k16);
        test_note("slowdown %g", table[i].slowdown);
        EXPECT_NEAR(table[i].noise, l.noise, 0.04);
        EXPECT_NEAR(table[i].u_test, l.u_test, 0.04);
        EXPECT_NEAR(table[i].two_percent, l.two_percent, 0.04);
        EXPECT_NEAR(table[i].k10, k10, table[i].slowdown ? 0.03 : 0.004);
        EXPECT_NEAR(table[i].k16, k16, table[i].slowdown ? 0.01 : 0.002);
    }
    test_note(NULL);
    /* The power that is really there: with the correction over rows, and with a second run that must agree.
     */
    for (size_t i = 1; i < sizeof table / sizeof table[0]; i++)
        printf("slowdown %.0f %%, one of %d rows, K=10: corrected %.1f %%, and confirmed %.1f %%\n",
               100 * table[i].slowdown, ROWS,
               100 * flagged(table[i].slowdown, 10, TRIALS_OF_ALL, false, false),
               100 * flagged(table[i].slowdown, 10, TRIALS_OF_ALL, false, true));
}
