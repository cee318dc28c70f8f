/*
 * device.h: names and describes what the kernels of a run run on. device/open.h opens it. A run has one
 * device, or all GPUs, each with a process and a plan of its own.
 *
 *   cpu                    this machine's CPU: the C variants
 *      [,limit=SECONDS]    a call, or a timed sample, that takes longer has hung. Default: 60.
 *   simt[:fast|:checked]   the CUDA variants under the executor (device/simt/simt.h): verdicts, no times.
 *                          checked also looks for races, accesses out of bounds and the like, and is slower.
 *      [,schedule=N]       always schedule N (0: in order). Default: every launch has another one.
 *      [,async=MODE]       always deferred, eager or random cp.async. Default: in turn.
 *   cuda[:WHICH]           the CUDA variants on a GPU: the first one, or the one of that number, UUID (or the
 *                          start of it), PCI bus id or name.
 *      [,limit=SECONDS]    a launch that takes longer has hung. Default: 30.
 *   all                    the CUDA variants on every GPU
 */
#ifndef NF4BENCH_HARNESS_PROBLEM_DEVICE_H
#define NF4BENCH_HARNESS_PROBLEM_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"
#include "harness/problem/gpu.h"

/* Who can run a variant: a CPU function, or a CUDA kernel. */
enum backend { BACKEND_CPU, BACKEND_CUDA };

/* When a cp.async takes place under the executor (device/simt/simt.h). */
enum simt_async { SIMT_ASYNC_DEFERRED, SIMT_ASYNC_EAGER, SIMT_ASYNC_RANDOM, SIMT_ASYNC_COUNT };

enum device_kind { DEVICE_CPU, DEVICE_SIMT, DEVICE_CUDA };

enum { DEVICE_TEXT_MAX = 128 };

#define CPU_LIMIT_S 60.0

struct caller;

struct device {
    enum device_kind kind;
    /* DEVICE_SIMT: */
    bool checked;
    bool fixed_schedule, fixed_async;
    uint64_t schedule;
    enum simt_async async;
    /* DEVICE_CUDA: */
    char which[96];    /* "" for the first GPU */
    bool all;          /* every GPU: device_open() makes one device for each */
    struct gpu gpu;    /* set by device_open() */
    bool beside;       /* the next calls run while others do, on another stream */
    double limit_s;    /* of a call or launch; 0: CPU_LIMIT_S, SIMT_LIMIT_S, CUDA_LIMIT_S */
    uint64_t launches; /* so far, on a CPU calls; picks schedule and async where they are not fixed */
    /* DEVICE_CPU: where operands of the next calls lie (enum placement), and the threads that variants have; 0: as many as
     * there are processors. */
    unsigned placement, threads;
    struct caller *callers
        [2]; /* of verified and of timed calls (device/caller.h), owned: device_stop(), device_close() */
};

/* For callers that have no other. */
extern struct device device_cpu;

/* Reads the text; looks for no GPU. STATUS_USAGE, with what there is, for text that names none. */
enum status device_parse(const char *text, struct device *out) WARN_UNUSED_RESULT;
/* In the form that device_parse() takes. */
void device_format(const struct device *d, char text[DEVICE_TEXT_MAX]);
/* Its name as results have it: of the CPU, or of the GPU, or simt:fast, simt:checked. */
const char *device_model(const struct device *d);
/* Schedule and cp.async mode of launch number `launch`. */
void device_schedule(const struct device *d, uint64_t launch, uint64_t *schedule, enum simt_async *async);
bool device_runs(const struct device *d, enum backend b);
/* Whether a launch takes milliseconds: under the executor, and on a GPU of one multiprocessor (the tests'
 * fake one). */
bool device_slow(const struct device *d);

#endif
