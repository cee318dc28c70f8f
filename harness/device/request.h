/*
 * request.h: what call.c and sample.c ask callers for, device by device, and what a failed request means for a variant.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_REQUEST_H
#define NF4BENCH_HARNESS_DEVICE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/device/call.h"
#include "harness/device/caller.h"
#include "harness/device/cuda/mma_tile.h"

#define CUDA_LIMIT_S 30.0 /* of a request that launches a variant, unless the device says otherwise */

/* Makes k the argument of the next request. */
void request_variant(struct channel *c, const struct kernel *k);
/* Asks for something that has to do with o, and fills in *fault when that fails. */
bool request(struct caller *s, const struct operands *o, enum request what, struct call_fault *fault);

/* One call on set i, whose output is then in o. On a CPU, and under the executor, each call has a copy of the operands, and
 * there each launch of the variant has a schedule and a cp.async mode of its own; on a GPU everything but the
 * workspace's inside is copied there, canaries included, and all of it back, so that the harness's guards hold there as
 * well. */
bool request_call_cpu(const struct operands *o, size_t i, const struct kernel *k, struct call_fault *fault);
bool request_call_simt(const struct operands *o, size_t i, const struct kernel *k, struct call_fault *fault);
bool request_call_cuda(const struct operands *o, const struct kernel *k, struct call_fault *fault);

/* For timing: as many sets as a measurement of that regime rotates through, made of set 0. */
bool request_bind(struct caller *s, const struct operands *o, bool hot, struct call_fault *fault);
/* The output of set 0 of the caller into o, and whether its operands are as they were. */
bool request_output(struct caller *s, const struct operands *o, struct call_fault *fault);
/* On a CPU: pieces of the output of the last sample. *out: the whole output, of which only these are there. */
bool request_pieces(struct caller *s, const struct operands *o, const struct piece *pieces, size_t count,
                    const unsigned char **out, struct call_fault *fault);

/* d of `count` tiles (as many as fit into the window, 4,096), by the tensor cores of d: t is F16 or BF16. */
enum status request_mma(struct device *d, enum dtype t, struct mma_tile *tiles,
                        size_t count) WARN_UNUSED_RESULT;

#endif
