/*
 * device.h: what a run's kernels run on. One run has one device.
 *
 *   cpu                    this machine's CPU: the C variants
 *   simt[:fast|:checked]   the CUDA variants under the executor (simt/simt.h): verdicts, no times. checked
 * also looks for races, out-of-bounds and the like, and is slower.
 *      [,schedule=N]       always schedule N (0: in order). Default: every launch has another one.
 *      [,async=MODE]       always deferred, eager or random cp.async. Default: in turn.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_H
#define NF4BENCH_HARNESS_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/simt/simt.h"
#include "harness/status.h"

/* Who can run a variant: a CPU function, or a CUDA kernel. */
enum backend { BACKEND_CPU, BACKEND_CUDA };

enum device_kind { DEVICE_CPU, DEVICE_SIMT };

enum { DEVICE_TEXT_MAX = 64 };

struct device {
    enum device_kind kind;
    /* DEVICE_SIMT: */
    bool checked;
    bool fixed_schedule, fixed_async;
    uint64_t schedule;
    enum simt_async async;
    double limit_s;    /* of a launch; 0: SIMT_LIMIT_S */
    uint64_t launches; /* so far; picks schedule and async where they are not fixed */
};

/* For callers that have no other. */
extern struct device device_cpu;

/* STATUS_USAGE, with what there is, for text that names none. */
enum status device_parse(const char *text, struct device *out) WARN_UNUSED_RESULT;
/* In the form that device_parse() takes. */
void device_format(const struct device *d, char text[DEVICE_TEXT_MAX]);
/* Schedule and cp.async mode of launch number `launch`. */
void device_schedule(const struct device *d, uint64_t launch, uint64_t *schedule, enum simt_async *async);
bool device_runs(const struct device *d, enum backend b);

#endif
