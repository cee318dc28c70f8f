/*
 * ceiling.h: the fastest plain memory operations of this machine, as measured beside the rows: what a row's
 * speed is a fraction of. On the OpenMP team, each thread its own contiguous part.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_CEILING_H
#define NF4BENCH_HARNESS_DEVICE_CEILING_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/problem/problem.h"

/* X(name, word): what a row may be held against. copy reads the packed weights and scales and writes the
 * output, at the problem's own ratio of bytes. */
#define CEILING_MAP(X)                                                                                       \
    X(FILL, "fill")                                                                                          \
    X(READ, "read")                                                                                          \
    X(COPY, "copy")
enum ceiling {
    CEILING_NONE,
#define X(name, word) CEILING_##name,
    CEILING_MAP(X)
#undef X
        CEILING_COUNT
};
const char *ceiling_word(enum ceiling c); /* "" for CEILING_NONE */
/* What it moves for a problem. */
double ceiling_bytes(enum ceiling c, const struct problem *p);
/* The ceilings that are measured beside a problem's rows; the last one is what these are held against: for a
 * dequantize the copy on a GPU, and the fill on a CPU. */
size_t ceilings_of(const struct problem *p, bool gpu, enum ceiling list[CEILING_COUNT]);

/* Writes every byte once: around the caches (streaming stores where the CPU has them) or through them. */
void ceiling_fill(void *data, size_t size, bool around_caches);
/* Reads every byte once; the result depends on all of them, so that no read can be left out. */
unsigned long long ceiling_read(const void *data, size_t size);

/* Reads all of `from` and writes all of `to`, piece by piece in turn: both around the caches, or through
 * them. */
unsigned long long ceiling_copy(const void *from, size_t from_size, void *to, size_t to_size,
                                bool around_caches);

#endif
