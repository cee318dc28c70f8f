#include "harness/measure/judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/random.h"
#include "harness/device/ceiling.h"
#include "tests/test.h"

/* 100 MB in 50 us, a cold row of 40 samples on a GPU. */
static struct record row_of(enum regime regime)
{
    struct record r;
    record_init(&r);
    strcpy(r.variant, "a");
    strcpy(r.case_key, "case");
    r.regime = (uint8_t)regime;
    r.sample_count = 40;
    r.calls_per_sample = regime == REGIME_HOT ? 8 : 1;
    r.median_us = 50;
    r.timer_overhead_us = 1;
    r.cold_ratio = 3;
    r.format_bytes = 100e6;
    r.device_cache_bytes = 40 << 20;
    return r;
}

static const struct judge_ceiling copy = {"copy", 51, 50, 100e6};

static enum verdict verdict_of(const struct record *r, const struct judge_ceiling *ceiling)
{
    char reason[256] = "";
    enum verdict v = judge_gpu_times(r, ceiling, reason, sizeof reason);
    EXPECT_TRUE((v == VERDICT_PASS) == (reason[0] == '\0'));
    return v;
}

TEST(judge, faster_than_its_bytes_allow_is_suspect)
{
    struct record r = row_of(REGIME_COLD);
    EXPECT_EQ(VERDICT_PASS, verdict_of(&r, &copy)); /* 2 % are the ceiling's own error */
    r.median_us = 49.9;
    EXPECT_EQ(VERDICT_SUSPECT, verdict_of(&r, &copy));
    /* The ceiling's bytes are scaled to the row's. */
    EXPECT_EQ(VERDICT_PASS, verdict_of(&r, &(struct judge_ceiling){"read", 51, 50, 110e6}));
    r.regime = REGIME_HOT; /* from the cache */
    EXPECT_EQ(VERDICT_PASS, verdict_of(&r, &copy));
    r.regime = REGIME_COLD;
    r.device_cache_bytes = 60 << 20;
    EXPECT_EQ(VERDICT_PASS, verdict_of(&r, &copy));
}

TEST(judge, more_than_a_fifth_excluded_is_unstable)
{
    struct record r = row_of(REGIME_COLD);
    r.excluded_count = 8;
    EXPECT_EQ(VERDICT_PASS, verdict_of(&r, &copy));
    r.excluded_count = 9;
    EXPECT_EQ(VERDICT_UNSTABLE, verdict_of(&r, &copy));
    r.sample_count = 50; /* the retried ones are not what it is a share of */
    r.retried_count = 10;
    EXPECT_EQ(VERDICT_UNSTABLE, verdict_of(&r, &copy));
}

TEST(judge, flags_and_the_primary_regime)
{
    struct record rows[2] = {row_of(REGIME_COLD), row_of(REGIME_HOT)};
    for (int i = 0; i < 2; i++)
        judge_flags(&rows[i]);
    judge_primary(rows, 2);
    EXPECT_TRUE(!rows[0].overhead_limited && !rows[0].cold_not_achieved && rows[0].primary &&
                !rows[1].primary);

    rows[0].timer_overhead_us = rows[1].timer_overhead_us = 5.1; /* hot: of a sample of eight calls */
    for (int i = 0; i < 2; i++)
        judge_flags(&rows[i]);
    judge_primary(rows, 2);
    EXPECT_TRUE(rows[0].overhead_limited && !rows[1].overhead_limited && !rows[0].primary && rows[1].primary);

    rows[0].timer_overhead_us = rows[1].timer_overhead_us = 1;
    rows[0].cold_ratio = rows[1].cold_ratio = 1.49;
    for (int i = 0; i < 2; i++)
        judge_flags(&rows[i]);
    judge_primary(rows, 2);
    EXPECT_TRUE(rows[0].cold_not_achieved && !rows[1].cold_not_achieved && !rows[0].primary &&
                rows[1].primary);

    strcpy(rows[1].variant, "b"); /* another variant's hot row does not stand for it */
    for (int i = 0; i < 2; i++)
        judge_flags(&rows[i]);
    judge_primary(rows, 2);
    EXPECT_TRUE(rows[0].primary && rows[1].primary);
    rows[0].cold_ratio = NAN; /* as of a CPU */
    judge_flags(&rows[0]);
    EXPECT_FALSE(rows[0].cold_not_achieved);
}

TEST(judge, impossible_times_on_a_cpu)
{
    const struct judge_ceiling fill = {"fill", 100, 90, 32 << 20}, small = {"fill", 1, 1, 31 << 20};
    struct record r;
    char reason[160] = "";
    record_init(&r);
    r.regime = REGIME_COLD;
    r.median_us = 80;
    r.ceiling_fraction = 1.25;
    r.ceiling_fraction_lo = 1.021;
    EXPECT_EQ(VERDICT_SUSPECT, judge_cpu_times(&r, &fill, reason, sizeof reason));
    EXPECT_CONTAINS(reason, "1.25 times as fast as the fill ceiling");
    EXPECT_EQ(VERDICT_PASS, judge_cpu_times(&r, &small, reason, sizeof reason));
    r.median_us = 89; /* the ceiling was as fast at times */
    EXPECT_EQ(VERDICT_PASS, judge_cpu_times(&r, &fill, reason, sizeof reason));
    r.median_us = 80;
    r.ceiling_fraction_lo = 1.019; /* the interval holds what is possible */
    EXPECT_EQ(VERDICT_PASS, judge_cpu_times(&r, &fill, reason, sizeof reason));
    r.ceiling_fraction_lo = NAN;
    EXPECT_EQ(VERDICT_PASS, judge_cpu_times(&r, &fill, reason, sizeof reason));
    r.ceiling_fraction_lo = 2;
    r.regime = REGIME_HOT;
    EXPECT_EQ(VERDICT_PASS, judge_cpu_times(&r, &fill, reason, sizeof reason));
}

TEST(judge, impossible_times_of_bytes_in_the_cache)
{
    const struct judge_ceiling fill = {"fill", 100, 90, 256 << 10}, small = {"fill", 100, 90, 255 << 10};
    struct record r;
    char reason[160] = "";
    record_init(&r);
    r.regime = REGIME_HOT;
    r.sample_count = 5;
    r.median_us = 40;
    r.ceiling_fraction = 2.5;
    r.ceiling_fraction_lo = 2.01;
    EXPECT_EQ(VERDICT_SUSPECT, judge_cpu_times(&r, &fill, reason, sizeof reason));
    EXPECT_CONTAINS(reason, "2.5 times as fast as the fill ceiling");
    EXPECT_EQ(VERDICT_SUSPECT, judge_gpu_times(&r, &fill, reason, sizeof reason));
    EXPECT_EQ(VERDICT_PASS, judge_cpu_times(&r, &small, reason, sizeof reason));
    r.ceiling_fraction_lo = 1.99;
    EXPECT_EQ(VERDICT_PASS, judge_cpu_times(&r, &fill, reason, sizeof reason));
    EXPECT_EQ(VERDICT_PASS, judge_gpu_times(&r, &fill, reason, sizeof reason));
}

/* Every byte of both is touched, whatever their sizes and the number of threads: the same sum as a read. */
TEST(ceiling, copy_reads_and_writes_everything)
{
    static const size_t sizes[][2] = {
        {64, 64}, {4096, 65536}, {100000, 100}, {1 << 18, 1 << 20}, {1000, 77777}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *from = aligned_alloc(64, (sizes[i][0] + 63) / 64 * 64),
                *to = aligned_alloc(64, (sizes[i][1] + 63) / 64 * 64);
        for (size_t j = 0; j < sizes[i][0]; j++)
            from[j] = (uint8_t)random_u64(1, RANDOM_CODES, j);
        for (int around = 0; around < 2; around++) {
            test_note("%zu to %zu, %d", sizes[i][0], sizes[i][1], around);
            memset(to, 0, sizes[i][1]);
            EXPECT_TRUE(ceiling_copy(from, sizes[i][0], to, sizes[i][1], around) ==
                        ceiling_read(from, sizes[i][0]));
            size_t written = 0;
            for (size_t j = 0; j < sizes[i][1]; j++)
                written += to[j] == 0x5a;
            EXPECT_TRUE(written >= sizes[i][1] / 64 * 64);
        }
        free(from);
        free(to);
    }
    test_note(NULL);
}

TEST(ceiling, copy_has_the_bytes_of_a_dequantize)
{
    struct problem p;
    enum ceiling list[CEILING_COUNT];
    ASSERT_EQ(STATUS_OK, problem_parse("dequant bf16 n=64 k=128 blocksize=64", &p));
    EXPECT_NEAR(64 * 128 * 2.5625, ceiling_bytes(CEILING_COPY, &p), 0);
    EXPECT_NEAR((double)problem_format_bytes(&p), ceiling_bytes(CEILING_COPY, &p), 0);
    EXPECT_NEAR(64 * 128 * 2, ceiling_bytes(CEILING_FILL, &p), 0);
    ASSERT_EQ(2, ceilings_of(&p, true, list));
    EXPECT_EQ(CEILING_COPY, list[1]);
    ASSERT_EQ(2, ceilings_of(&p, false, list));
    EXPECT_TRUE(list[0] == CEILING_COPY && list[1] == CEILING_FILL);
    ASSERT_EQ(STATUS_OK, problem_parse("gemm bf16 m=1 n=64 k=128 blocksize=64", &p));
    ASSERT_EQ(1, ceilings_of(&p, true, list));
    EXPECT_EQ(CEILING_READ, list[0]);
    EXPECT_NEAR(64 * 128 * 0.5625, ceiling_bytes(CEILING_READ, &p), 0);
    EXPECT_STREQ("copy", ceiling_word(CEILING_COPY));
    EXPECT_STREQ("", ceiling_word(CEILING_NONE));
}
