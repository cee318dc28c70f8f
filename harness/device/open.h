/*
 * open.h: finds the GPUs that a device (problem/device.h) means, and starts and ends what runs for them.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_OPEN_H
#define NF4BENCH_HARNESS_DEVICE_OPEN_H

#include <stddef.h>

#include "harness/base/status.h"
#include "harness/problem/device.h"

/* Finds the GPUs that `asked` means: devices that can be run on, `list[count]`, owned by the caller
 * (device_close). A device that is no GPU is its own list. STATUS_ABSENT: the machine has no GPU;
 * STATUS_USAGE, with what there is, when it has others than the one asked for; STATUS_DEVICE: a broken
 * driver. */
enum status device_open(const struct device *asked, struct device **list, size_t *count) WARN_UNUSED_RESULT;
void device_close(struct device *list, size_t count);
/* Ends what runs for d, in this process; the next call starts it again. */
void device_stop(struct device *d);
/* The same for good, and gives its memory back; for a device that is in no list. */
void device_release(struct device *d);

#endif
