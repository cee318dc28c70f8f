/*
 * expect.c: the order of magnitude of the expected times, as ratios: no absolute time is checked.
 */
#include "harness/suite/expect.h"

#include "tests/test.h"

static const struct measure_settings settings = {.min_samples = 5, .max_samples = 10, .max_seconds = 0.2};

static double expect(const char *text, enum device_kind device, size_t rows)
{
    struct plan_group g = {.threads = 2};
    EXPECT_EQ(STATUS_OK, problem_parse(text, &g.problem));
    return expect_seconds(&g, device, &settings, rows);
}

/* Of rows that are verified, the executor's take most of their time in launches: a product has six times
 * as many as a dequantize. */
TEST(expect, the_executor_takes_time_for_each_launch)
{
    static const char dequant[] = "dequant bf16 n=1024 k=1024", gemm[] = "gemm bf16 m=1 n=1024 k=1024";
    const double gemm_row = expect(gemm, DEVICE_SIMT, 2) - expect(gemm, DEVICE_SIMT, 1);
    const double dequant_row = expect(dequant, DEVICE_SIMT, 2) - expect(dequant, DEVICE_SIMT, 1);
    EXPECT_TRUE(gemm_row > 2 * dequant_row && gemm_row < 6 * dequant_row);
    EXPECT_TRUE(expect(gemm, DEVICE_SIMT, 100) > 50 * expect(gemm, DEVICE_SIMT, 1));
    EXPECT_TRUE(expect(gemm, DEVICE_SIMT, 10) > 2 * expect(gemm, DEVICE_CPU, 10));
}

TEST(expect, timing_is_capped_by_the_suite_in_each_regime)
{
    struct plan_group g = {.threads = 1};
    EXPECT_EQ(STATUS_OK, problem_parse("gemm bf16 m=16 n=4096 k=4096", &g.problem));
    const double verified = expect_seconds(&g, DEVICE_CPU, &settings, 50);
    g.cold = true;
    const double cold = expect_seconds(&g, DEVICE_CPU, &settings, 50);
    g.hot = true;
    const double both = expect_seconds(&g, DEVICE_CPU, &settings, 50);
    EXPECT_TRUE(cold - verified > 0.19 && cold - verified < 0.21);
    EXPECT_TRUE(both - cold > 0.19 && both - cold < 0.21);
}
