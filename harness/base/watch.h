/*
 * watch.h: which variant this process is calling. Told to the process that looks after it (workers.h),
 * through memory that both share; where nobody looks it costs two stores.
 */
#ifndef NF4BENCH_HARNESS_BASE_WATCH_H
#define NF4BENCH_HARNESS_BASE_WATCH_H

#include <stdint.h>

struct kernel;

struct watch {
    const struct kernel *_Atomic kernel; /* being called, or NULL */
    const char *_Atomic what;            /* "a call", "a timed sample" ... */
    const struct kernel *_Atomic last;   /* the last one called, or NULL */
    _Atomic uint64_t begun;              /* calls so far: tells one from the next */
};

/* From now on calls of this process are noted in *shared, which must stay. */
void watch_share(struct watch *shared);

/* Around a call, or around a timed sample of several calls; not nested. `what` is a literal. */
void watch_begin(const struct kernel *k, const char *what);
void watch_end(void);

#endif
