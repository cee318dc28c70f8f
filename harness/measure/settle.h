/*
 * settle.h: whether a machine's speed is steady: calls are made for at least a second, until the medians of
 * two windows of 250 ms differ by less than 0.5 %. The speed is the clock, where it can be read, else the
 * time of a call. The caller passes the time, so that tests do not wait.
 */
#ifndef NF4BENCH_HARNESS_MEASURE_SETTLE_H
#define NF4BENCH_HARNESS_MEASURE_SETTLE_H

#include <stdbool.h>
#include <stddef.h>

struct settle {
    bool steady;    /* false once settle_add() returned false: the cap came first */
    double mhz;     /* median clock of the last whole window; NAN where unknown */
    double seconds; /* that it took */
    /* private: */
    double start_s, cap_s, window_s, before;
    double *us, *clocks, *scratch;
    size_t count;
};

/* now_s: of any steady clock. False when out of memory. Owned: settle_release(). */
bool settle_init(struct settle *s, double now_s, double cap_s);
/* A call that took `us` has ended now, at the clock `mhz` (NAN: unknown). True: go on. */
bool settle_add(struct settle *s, double now_s, double us, double mhz);
void settle_release(struct settle *s);

#endif
