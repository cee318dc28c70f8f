/*
 * call_cuda.h: calls a variant on operands, on a GPU: for call.c, and for those who time there.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_CUDA_CALL_CUDA_H
#define NF4BENCH_HARNESS_DEVICE_CUDA_CALL_CUDA_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/device/call.h"
#include "harness/device/cuda/mma_tile.h"
#include "harness/device/cuda/server.h"

#define CUDA_LIMIT_S 30.0 /* of a request that launches a variant, unless the device says otherwise */

/* As call_kernel(), on the GPU of o->device, whose process is started where there is none: everything but the
 * workspace's inside is copied to the GPU, canaries included, and all of it back, so that the harness's
 * guards hold there as well. A process that cannot be started is a fault of ours, with fault->status. */
bool call_cuda(const struct operands *o, const struct kernel *k, struct call_fault *fault);

/* The steps of it. Each needs cuda_server_ready(). copies: of the operands; 0 for as many as a cold
 * measurement wants. */
bool cuda_bind(const struct operands *o, size_t copies, struct call_fault *fault);
bool cuda_upload(const struct operands *o, struct call_fault *fault);
bool cuda_download(const struct operands *o, struct call_fault *fault);
/* Makes k the argument of the next request. */
void cuda_set_kernel(struct cuda_channel *c, const struct kernel *k);
/* Asks, and fills in *fault when that fails. */
bool cuda_ask(const struct operands *o, enum cuda_request request, struct call_fault *fault);
/* d of `count` tiles (as many as fit into the window, 4,096), by the tensor cores of d: t is F16 or BF16. */
enum status cuda_mma(struct device *d, enum dtype t, struct mma_tile *tiles, size_t count) WARN_UNUSED_RESULT;

#endif
