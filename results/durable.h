/*
 * durable.h: how the journal and the store write files that outlast a kill and a loss of power.
 */
#ifndef NF4BENCH_RESULTS_DURABLE_H
#define NF4BENCH_RESULTS_DURABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/base/status.h"

/* Writes all bytes, by one write(2) unless that takes only a part. False: errno says why. Nothing is synced. */
bool durable_write_all(int fd, const void *bytes, size_t size) WARN_UNUSED_RESULT;
/* Makes the name of a new file as durable as its content: syncs the directory of `path`. */
enum status durable_sync_directory(const char *path) WARN_UNUSED_RESULT;

#endif
