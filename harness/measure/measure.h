/*
 * measure.h: timing; the fifth stage. Only rows that passed verification are timed.
 *
 * A group has rows of one problem, or of several that are compared (one product with weights in several
 * formats), and the ceilings that fit them. All are sampled in rounds, in an order that is shuffled every
 * second round and reversed in the next (two rows: ABBA or BAAB). Sample i of every row belongs to round i, so
 * two rows are compared by the ratios of their samples, round by round; the ratios hold while the machine's
 * speed drifts. stop.h has the stopping rule.
 *
 * CPU
 *   cold   Each call takes the next of several operand sets; together they are four times the last-level
 *          cache.
 *   hot    One operand set: an untimed call, then as many timed calls as make a sample of 200 us or more.
 *   check  The output is poisoned before each sample: all of it up to a megabyte, else both ends and stripes that are drawn.
 *          After the sample it is looked at: all of it up to 64 KiB, else both ends and 30 places that are drawn, and all of
 *          it in samples that are drawn. At the end of the group one more output of each row is hashed whole.
 *
 * GPU
 *   cold   The next operand set; the output is poisoned whole; twice the L2 cache is written, and these lines
 *          are discarded, so that none is left to be written back. A kernel holds the stream while event,
 *          launch and event are queued, so that the host's speed is not measured.
 *   hot    A graph of the calls (a loop where there can be none), once untimed and once timed.
 *   check  The whole output of every sample is hashed on the GPU.
 *   retry  A sample under a thermal or hardware slowdown, or at a clock under 97 % of the settled one, is
 *          taken again, three times at most.
 *
 * Every sample is kept, with flags (record.h). The statistics leave out samples with an excluding flag, unless
 * all have one.
 */
#ifndef NF4BENCH_HARNESS_MEASURE_MEASURE_H
#define NF4BENCH_HARNESS_MEASURE_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"
#include "harness/device/sampler.h"
#include "harness/suite/suite.h"

/* Called between rounds. `share`: of the measurement that is done, 0 to 1. */
typedef void measure_progress_fn(void *context, size_t round, double share);

/* Times the rows of a group. group->rows is the caller's array: variant_count rows with kernel, problem and
 * output_hash set, then zeroed room for CEILING_COUNT ceilings a problem. After STATUS_INTERRUPTED the rounds
 * measured so far are in the results, which are owned: measure_group_release(). */
enum status measure_group(struct measure_state *state, const struct measure_settings *settings,
                          struct measure_group *group, uint64_t order_seed, measure_progress_fn *progress,
                          void *context) WARN_UNUSED_RESULT;
void measure_group_release(struct measure_group *group);

#endif
