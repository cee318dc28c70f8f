/*
 * sampler.h: how a device takes samples: what measure.c, which knows rounds, order and when to stop, asks of
 * the CPU (sample_cpu.c) and of a GPU (cuda/sample_cuda.c).
 */
#ifndef NF4BENCH_HARNESS_SAMPLER_H
#define NF4BENCH_HARNESS_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/measure.h"
#include "harness/status.h"
#include "harness/suite.h"

struct sampler;

struct timed_sample {
    double us;     /* of a call */
    uint8_t flags; /* bits of enum sample_flag */
};

/* A group in progress. Each sampler has a struct of its own that begins with this one. */
struct sampling {
    const struct sampler *sampler;
    const struct measure_settings *settings;
    struct measure_group *group;
    struct measure_state *state;
};

/* A row that turns out wrong, or that ends its device, gets its `fault` (and `ended`) set; an error is of the
 * harness or of the device as a whole. */
struct sampler {
    /* Makes ready, and looks at the whole output of each row first. On success *out is owned: end(). */
    enum status (*begin)(struct sampling base, struct sampling **out);
    /* Once per run: what the clock costs, and the like, into s->state. */
    enum status (*calibrate)(struct sampling *s);
    /* Time of one call of some row, in us, and the clock of the device, NAN where unknown: for settling. */
    enum status (*settle_call)(struct sampling *s, double *us, double *mhz);
    /* Sets calls_per_sample of a row. */
    enum status (*choose_calls)(struct sampling *s, size_t row);
    /* What is taken again goes to sampling_retry() first. */
    enum status (*sample)(struct sampling *s, size_t row, size_t round, struct timed_sample *out);
    /* Looks at the whole output of each row again. */
    enum status (*finish)(struct sampling *s);
    void (*end)(struct sampling *s);
};

extern const struct sampler sampler_cpu, sampler_cuda;

/* What a hot sample is made of. */
enum { HOT_SAMPLE_US = 200, /* at least this long */ HOT_CALLS_MAX = 1024 };

static inline bool row_is_ceiling(const struct measure_group *g, size_t row)
{
    return row >= g->variant_count;
}

enum { RETRIES = 3 /* of a sample that is flagged as one to be excluded */ };

/* Keeps a sample that is taken again. */
static inline void sampling_retry(struct measure_row *r, struct timed_sample sample)
{
    r->retried_samples[r->retried] = sample.us;
    r->retried_flags[r->retried++] = sample.flags;
}

#endif
