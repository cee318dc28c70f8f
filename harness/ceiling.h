/*
 * ceiling.h: the fastest plain memory operations of this machine, as measured beside the rows: what a row's
 * speed is a fraction of. On the OpenMP team, each thread its own contiguous part.
 */
#ifndef NF4BENCH_HARNESS_CEILING_H
#define NF4BENCH_HARNESS_CEILING_H

#include <stdbool.h>
#include <stddef.h>

/* Writes every byte once: around the caches (streaming stores where the CPU has them) or through them. */
void ceiling_fill(void *data, size_t size, bool around_caches);
/* Reads every byte once; the result depends on all of them, so that no read can be left out. */
unsigned long long ceiling_read(const void *data, size_t size);

#endif
