/*
 * clock.h: the one clock of all timing: CLOCK_MONOTONIC.
 */
#ifndef NF4BENCH_HARNESS_BASE_CLOCK_H
#define NF4BENCH_HARNESS_BASE_CLOCK_H

#include <time.h>

static inline double clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

static inline double clock_s(void)
{
    return 1e-6 * clock_us();
}

#endif
