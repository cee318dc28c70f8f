/*
 * measure.h: timing; the fifth stage. Times nothing that has not been verified.
 *
 * The rows of a group, be they of one problem or of several that are to be compared (the same product with
 * weights in other formats), and the ceilings that fit them are sampled in rounds, in an order that is
 * shuffled every second round and turned around in the other (of two rows, ABBA or BAAB): sample i of every
 * row belongs to round i, so two rows are compared by the ratios of their samples, round by round, which
 * holds while the machine's speed drifts.
 *
 * cold: each call takes the next of several operand sets that together exceed the last-level cache four
 * times. hot:  one operand set; an untimed call, then as many timed ones as make a sample of at least 200 us.
 *
 * Every sample is kept. Each timed output is looked at in 32 places that were poisoned before the call, and
 * at the end of the group one more output of each row is hashed whole.
 *
 * On a GPU. cold: the next operand set; the output is poisoned whole; twice the L2 cache is written, and
 * these lines are discarded, so that none is left to be written back. A kernel then holds the stream while
 * event, launch and event are queued, so that the host's speed is not measured. hot: a graph of the calls (a
 * loop where there can be none), once untimed and once timed. The whole output of every sample is hashed on
 * the GPU. A sample under a thermal or hardware slowdown, or at a clock under 97 % of the settled one, is
 * taken again, three times at most. All of them are kept, with flags (record.h); what has an excluding flag
 * is left out of the statistics, unless nothing were left.
 */
#ifndef NF4BENCH_HARNESS_MEASURE_H
#define NF4BENCH_HARNESS_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/ceiling.h"
#include "harness/cuda/gpu.h"
#include "harness/cuda/nvml.h"
#include "harness/kernel_table.h"
#include "harness/prepare.h"
#include "harness/stats.h"
#include "harness/status.h"
#include "harness/suite.h"
#include "results/record.h"

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
    bool settled_asked, unsettled;
    double settle_s;          /* time it took */
    double timer_overhead_us; /* median of an empty pair of clock readings, or of events */
    double gemm_flop_per_s;   /* of cuBLAS, a bf16 product of 4096 in each direction, or of OpenBLAS
                                 (provider/openblas.h); NAN: not to be had */
    /* GPUs: */
    double
        cold_ratio; /* time of a read of half the L2 cache, less a launch's, cold over hot; NAN: not tested */
    double settled_mhz; /* the SM clock, median of the window that was steady; NAN or 0 where unknown */
};

/* Called between rounds; progress for a person. */
typedef void measure_progress_fn(void *context, size_t round, double share);

/* variant_count rows are the caller's, kernel, problem and output_hash set, in an array with zeroed room for
 * CEILING_COUNT more for each problem, which are made the ceilings. STATUS_INTERRUPTED keeps the rounds
 * measured so far. Results are owned: measure_group_release().
 */
enum status measure_group(struct measure_state *state, const struct measure_settings *settings,
                          struct measure_group *group, uint64_t order_seed, measure_progress_fn *progress,
                          void *context) WARN_UNUSED_RESULT;
void measure_group_release(struct measure_group *group);

#endif
