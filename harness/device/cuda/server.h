/*
 * server.h: a process for each GPU. It owns the context and does all that is asked for on the GPU, so that a
 * kernel that faults, crashes the process or never ends costs that one request: the process is ended, and the
 * next request starts another.
 *
 * Processes are forked, and none of the harness's own code calls CUDA (which does not survive a fork).
 */
#ifndef NF4BENCH_HARNESS_DEVICE_CUDA_SERVER_H
#define NF4BENCH_HARNESS_DEVICE_CUDA_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/base/status.h"
#include "harness/device/cuda/channel.h"
#include "harness/problem/gpu.h"

struct cuda_server;

/* How a request ended. Unless it was answered, the process is gone. */
enum cuda_outcome {
    CUDA_DONE,
    CUDA_FAILED,  /* status, error and text of the channel say how */
    CUDA_CRASHED, /* the process ended; text says how */
    CUDA_HUNG,    /* no answer within the limit */
};

/* All GPUs that the driver sees, in its order; at most GPU_MAX. STATUS_ABSENT: no driver or no GPU;
 * STATUS_DEVICE: a broken driver. Looked up once per process. */
enum status cuda_gpus(const struct gpu **list, size_t *count) WARN_UNUSED_RESULT;

/* NULL when out of memory. Starts nothing yet. */
struct cuda_server *cuda_server_new(const struct gpu *gpu);
void cuda_server_free(struct cuda_server *s); /* NULL is allowed */

bool cuda_server_running(const struct cuda_server *s);
/* Ends the process, if there is one; returns its wait status, 0 for none. */
int cuda_server_stop(struct cuda_server *s);

/* Where a request's arguments go and its answer comes from. */
struct cuda_channel *cuda_server_channel(struct cuda_server *s);
/* Starts the process if there is none. STATUS_DEVICE, with a message, when that fails; *fresh (may be NULL):
 * true if it was started now, and knows nothing of earlier requests. */
enum status cuda_server_ready(struct cuda_server *s, bool *fresh) WARN_UNUSED_RESULT;
/* Carries out channel->request. Requires cuda_server_ready(). */
enum cuda_outcome cuda_server_ask(struct cuda_server *s, enum cuda_request request, double limit_s);
/* Counts the processes started so far: what was told to an earlier one is forgotten. */
unsigned cuda_server_generation(const struct cuda_server *s);

#endif
