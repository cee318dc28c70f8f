/*
 * call_simt.h: calls a CUDA variant under the executor, for device/call.c.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_SIMT_CALL_SIMT_H
#define NF4BENCH_HARNESS_DEVICE_SIMT_CALL_SIMT_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/device/call.h"

/* As call_kernel(): each launch of the variant has a schedule and a cp.async mode of its own. */
bool call_simt(const struct operands *o, size_t i, const struct kernel *k, struct call_fault *fault);

#endif
