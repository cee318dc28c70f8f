#include "harness/measure/settle.h"

#include <math.h>

#include "tests/test.h"

enum { WINDOW = 32 /* calls */ };
static const double call_s = 0.25 / WINDOW; /* exact, so that windows are */

/* Calls until it says stop; the clock of call i is clocks[i % count]. Returns the calls. */
static size_t settle_at(struct settle *s, double cap_s, double us, const double *clocks, size_t count)
{
    double now = 100;
    size_t calls = 0;
    EXPECT_TRUE(settle_init(s, now, cap_s));
    bool more = true;
    while (more && calls < 100000) {
        now += call_s;
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
    EXPECT_NEAR(call_s * (double)calls, s.seconds, 1e-6);
}

/* The last reading of every window is off by far more than what counts as a slowdown, or the first one. */
TEST(settle, the_clock_is_the_median_of_the_window)
{
    static const size_t low[] = {0, WINDOW - 1};
    for (size_t i = 0; i < 2; i++) {
        double clocks[WINDOW];
        struct settle s;
        for (size_t j = 0; j < WINDOW; j++)
            clocks[j] = j == low[i] ? 900 : 1500;
        (void)settle_at(&s, 10, 50, clocks, WINDOW);
        EXPECT_TRUE(s.steady && s.mhz == 1500 && s.seconds < 2);
    }
}

TEST(settle, a_climbing_clock_is_waited_for)
{
    static double ramp[1000];
    struct settle s;
    for (size_t i = 0; i < 1000; i++) /* one MHz a call: 2.2 % in a window; steady from call 300 on */
        ramp[i] = i < 300 ? 1200 + (double)i : 1500;
    size_t calls = settle_at(&s, 10, 50, ramp, 1000);
    EXPECT_TRUE(s.steady && s.mhz == 1500);
    EXPECT_TRUE(calls >= 325 && calls <= 400);
    calls = settle_at(&s, 2, 50, ramp, 1000); /* the cap comes first */
    EXPECT_FALSE(s.steady);
    EXPECT_EQ(8 * WINDOW, calls);
    EXPECT_TRUE(s.mhz > 1400 && s.mhz < 1500);
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
