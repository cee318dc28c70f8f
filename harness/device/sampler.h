/*
 * sampler.h: how a device takes samples: what measure.c, which knows rounds, order and when to stop, asks for (sample.c).
 */
#ifndef NF4BENCH_HARNESS_DEVICE_SAMPLER_H
#define NF4BENCH_HARNESS_DEVICE_SAMPLER_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/random.h"
#include "harness/base/stats.h"
#include "harness/base/status.h"
#include "harness/device/ceiling.h"
#include "harness/device/cuda/nvml.h"
#include "harness/problem/gpu.h"
#include "harness/problem/operands.h"
#include "harness/problem/variant.h"
#include "harness/suite/suite.h"
#include "results/record.h"

struct sampler;

struct measure_row {
    const struct kernel *kernel; /* NULL: a ceiling */
    size_t problem;              /* whose operands it is called on: index into the group's */
    enum ceiling ceiling;
    uint64_t output_hash; /* that verify() found right */
    /* To see what finds it, every timed sample is made this share longer: by waiting, or, on a GPU, where
     * kernels are shorter than the launch of one that waits, by adding it to the time. */
    double slowdown;
    /* results: */
    double *samples; /* us per call: of each round, then the `retried` ones that were taken again */
    uint8_t *flags;  /* of each of them, bits of enum sample_flag */
    size_t sample_count, calls_per_sample; /* rounds */
    size_t retried, excluded;              /* excluded: of the rounds */
    double *retried_samples;               /* while measuring: where the retried ones wait */
    uint8_t *retried_flags;
    struct sample_summary summary;
    size_t copies; /* operand sets that were rotated through */
    struct paired_ratio
        ceiling_fraction; /* ceiling time / this row's time; ratio NAN for the ceiling itself */
    bool precise;
    char fault[160];    /* "" or what was wrong with a timed output, or how a timed call ended */
    bool ended;         /* no more samples are taken of it */
    bool ours;          /* the fault is the harness's or the device's, not the variant's */
    bool crashed, hung; /* the fault is that */
    bool was_killed;    /* its process was, from outside, and was started again */
    /* GPUs: */
    struct gpu_code code;
    struct nvml_sensors sensors; /* the clock and, of every 16th round, the rest; `reasons` of all */
    bool graph;                  /* hot samples are graphs */
};

enum { MEASURE_PROBLEMS_MAX = 16 };

struct measure_group {
    const struct operands *const *problems; /* [problem_count], all for one device */
    size_t problem_count;                   /* up to MEASURE_PROBLEMS_MAX */
    enum regime regime;
    bool no_ceilings;         /* the variants alone */
    struct measure_row *rows; /* variant_count variants, then the ceilings of each problem */
    size_t variant_count, row_count;
    /* Of each problem, the ceiling that fits its variants; without ceilings the last row, which means
     * nothing. */
    const struct measure_row *against[MEASURE_PROBLEMS_MAX];
};

static inline const struct operands *measure_operands(const struct measure_group *g, size_t row)
{
    return g->problems[g->rows[row].problem];
}
static inline const struct device *measure_device(const struct measure_group *g)
{
    return g->problems[0]->device;
}

/* What is measured once per run. */
struct measure_state {
    bool calibrated; /* the sampler's calibrate() was called */
    bool settled;    /* calls were made until the speed was steady, or the cap of the suite came first: */
    bool unsettled;
    double timer_overhead_us; /* median of an empty pair of clock readings, or of events */
    double gemm_flop_per_s;   /* of cuBLAS, a bf16 product of 4096 in each direction, or of OpenBLAS
                                 (provider/openblas.h); NAN: not to be had */
    /* GPUs: */
    double
        cold_ratio; /* time of a read of half the L2 cache, less a launch's, cold over hot; NAN: not tested */
    double settled_mhz; /* the SM clock, median of the window that was steady; NAN or 0 where unknown */
};

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

extern const struct sampler sampler_callers;

/* The calls of a hot sample, which is to take 200 us at least, by the time of one. Shorter calls than 50 ns
 * are noise of the clock. */
static inline size_t hot_calls(double call_us)
{
    enum { SAMPLE_US = 200, CALLS_MAX = 1024 };
    double calls = ceil(SAMPLE_US / fmax(call_us, 0.05));
    return calls < 1 ? 1 : calls > CALLS_MAX ? CALLS_MAX : (size_t)calls;
}

enum { HOT_POISON_BYTES = 64 };
/* Where the output is poisoned before the ith call of a hot sample: else a variant that finds its output as it left
 * it could return at once. */
static inline size_t hot_poison_place(uint64_t salt, size_t i, size_t size)
{
    const size_t places = size / HOT_POISON_BYTES;
    return places ? HOT_POISON_BYTES * (random_u64(salt, RANDOM_POISON, i) % places) : 0;
}

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
