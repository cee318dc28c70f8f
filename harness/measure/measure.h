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
#ifndef NF4BENCH_HARNESS_MEASURE_MEASURE_H
#define NF4BENCH_HARNESS_MEASURE_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"
#include "harness/device/sampler.h"
#include "harness/suite/suite.h"

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
