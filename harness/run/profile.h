/*
 * profile.h: one launch of one row on a GPU, for a profiler, and the command that starts one.
 */
#ifndef NF4BENCH_HARNESS_RUN_PROFILE_H
#define NF4BENCH_HARNESS_RUN_PROFILE_H

#include "harness/base/status.h"
#include "harness/suite/plan.h"

/* Makes the operands of the first group that has a row of `variant` which can run, launches it once,
 * unblocked, in an NVTX range of its name, and prints how to have a profiler look at it. STATUS_USAGE when
 * there is no such row or the device is no GPU. */
enum status profile_row(const struct plan *plan, const char *variant) WARN_UNUSED_RESULT;

#endif
