#include "harness/settle.h"

#include <math.h>

#include "tests/test.h"

/* Calls of 10 ms each, until it says stop; the clock of call i is clocks[i % count]. Returns the calls. */
static size_t settle_at(struct settle *s, double cap_s, double us, const double *clocks, size_t count)
{
    double now = 100;
    size_t calls = 0;
    EXPECT_TRUE(settle_init(s, now, cap_s));
    bool more = true;
    while (more && calls < 100000) {
        now += 0.01;
        more = settle_add(s, now, us, clocks[calls++ % count]);
    }
    settle_release(s);
    return calls;
}

TEST(settle, a_steady_clock_takes_a_second)
{
    struct settle s;
    size_t calls = settle_at(&s, 10, 50, (double[]){1500}, 1);
    EXPECT_TRUE(s.steady && s.mhz == 1500);
    EXPECT_TRUE(calls >= 100 && calls <= 130);
    EXPECT_NEAR(0.01 * (double)calls, s.seconds, 1e-6);
}

/* One reading in four is off by far more than what counts as a slowdown; the last one of a window is often
 * one of these. */
TEST(settle, the_clock_is_the_median_of_the_window)
{
    static const double low_last[] = {1500, 1500, 1500, 900}, low_first[] = {900, 1500, 1500, 1500};
    struct settle s;
    (void)settle_at(&s, 10, 50, low_last, 4);
    EXPECT_TRUE(s.steady && s.mhz == 1500);
    (void)settle_at(&s, 10, 50, low_first, 4);
    EXPECT_TRUE(s.steady && s.mhz == 1500);
}

TEST(settle, a_climbing_clock_is_waited_for)
{
    static double ramp[1000];
    struct settle s;
    for (size_t i = 0; i < 1000; i++) /* one MHz a call: 1.7 % in a window; steady from call 300 on */
        ramp[i] = i < 300 ? 1200 + (double)i : 1500;
    size_t calls = settle_at(&s, 10, 50, ramp, 1000);
    EXPECT_TRUE(s.steady && s.mhz == 1500);
    EXPECT_TRUE(calls >= 325 && calls <= 400);
    calls = settle_at(&s, 2, 50, ramp, 1000); /* the cap comes first */
    EXPECT_FALSE(s.steady);
    EXPECT_EQ(200, calls);
    EXPECT_TRUE(s.mhz > 1300 && s.mhz < 1400);
}

TEST(settle, without_a_clock_the_time_of_a_call_decides)
{
    struct settle s;
    double now = 0, us = 100;
    (void)settle_at(&s, 10, 50, (double[]){NAN}, 1);
    EXPECT_TRUE(s.steady && isnan(s.mhz));
    EXPECT_TRUE(settle_init(&s, now, 5));
    bool more = true;
    while (more) {
        us *= 0.999;
        more = settle_add(&s, now += 0.01, us, NAN);
    }
    EXPECT_FALSE(s.steady);
    settle_release(&s);
}

TEST(settle, a_window_has_five_calls_however_long_they_take)
{
    struct settle s;
    double now = 0;
    size_t calls = 1;
    EXPECT_TRUE(settle_init(&s, now, 100));
    while (settle_add(&s, now += 2, 2e6, 1500))
        calls++;
    EXPECT_TRUE(s.steady);
    EXPECT_EQ(10, calls);
    settle_release(&s);
}
