/*
 * load_stream.h: what the child that reads a results file (load_child.c) sends to its parent (load.c) through
 * a pipe, as blocks:
 *
 *   { u32 kind, u32 length of the payload }, payload
 *
 *   COUNTS     u64 rows, u64 samples        first, once
 *   ATTRIBUTE  kind, name NUL value NUL     any number
 *   ROWS       struct records               until there are as many as COUNTS says
 *   SAMPLES    doubles                      likewise
 *   FLAGS      bytes                        likewise, or none at all
 *   END                                     last, once
 *   ERROR      u32 status, message          instead of any of these, and then nothing more
 */
#ifndef NF4BENCH_RESULTS_LOAD_STREAM_H
#define NF4BENCH_RESULTS_LOAD_STREAM_H

#include <stdnoreturn.h>

#include "results/load.h"
#include "results/record.h"

enum block_kind {
    BLOCK_COUNTS = 1,
    BLOCK_ATTRIBUTE,
    BLOCK_ROWS,
    BLOCK_SAMPLES,
    BLOCK_FLAGS,
    BLOCK_END,
    BLOCK_ERROR
};

enum {
    BLOCK_MAX = 4 << 20,
    ATTRIBUTE_MAX = 4096,
    ROW_MAX = 1 << 20,      /* 700 MB in memory, and their texts */
    TEXTS_MAX = 1 << 30,    /* bytes of different texts */
    SAMPLE_MAX = 1 << 28,   /* 2 GB */
    CLAIM_FREE = 64 << 20,  /* bytes that rows and samples may take in memory, */
    CLAIM_RATIO = 256,      /* and so many more for each byte of the file */
    ROWS_AT_ONCE = 1024,    /* under BLOCK_MAX bytes */
    SAMPLES_AT_ONCE = 65536 /* 512 KB */
};

/* The first byte of ATTRIBUTE. */
enum { KIND_TEXT = 's', KIND_NUMBER = 'n' };

_Static_assert(ROWS_AT_ONCE * sizeof(struct record) < BLOCK_MAX, "a block of rows");

/* Confines this process to the limits, reads the file, writes the blocks to fd, and exits. */
noreturn void load_child_main(const char *path, int fd, const struct load_limits *limits);

#endif
