/*
 * checker_hooks.h: what checker_hooks.c calls. Private to it and checker.c.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_SIMT_CHECKER_HOOKS_H
#define NF4BENCH_HARNESS_DEVICE_SIMT_CHECKER_HOOKS_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/device/simt/checker.h"
#include "harness/device/simt/executor.h"

/* An access of the running thread that is not to its own stack. False, after a report, if it must not be
 * made. */
bool checker_read(const void *address, size_t size, const struct executor_place *place);
bool checker_write(const void *address, size_t size, const struct executor_place *place);
/* The address is not a multiple of `alignment`: reports it and ends the launch. */
void checker_misaligned(const void *address, size_t alignment, enum checker_access access, const void *pc);
/* The index is none of an array of this type: reports it, unless the access that follows is reported itself.
 */
void checker_index(const char *array_type, ptrdiff_t index, const void *pc);

#endif
