/*
 * row.h: what a row of the table demands of the file that it names. The build includes a list of ROW(name, op)
 * (generated/rows/) before the first line of that file. A file that gives a variant another signature or
 * operation, or lacks one, or has one without a row, does not compile.
 */
#ifndef NF4BENCH_KERNELS_ROW_H
#define NF4BENCH_KERNELS_ROW_H

/* An alias of what is not defined in the same file is an error; it leaves nothing in the object file. */
#ifdef __cplusplus
/* Each ENTRY then looks for the struct (device/cuda.h). */
#define SIMT_TABLE
#include "kernels/device/cuda.h"
#define ROW(name, op)                                                                                        \
    struct row_##name##_##op;                                                                                \
    static struct entry row_##name __attribute__((alias(SIMT_TEXT(SIMT_SYMBOL(name))), unused));
#else
#include "kernels/kernel.h"
/* A function without a prototype is an error of its own (-Werror=missing-prototypes). */
#define ROW(name, op)                                                                                        \
    op##_fn name;                                                                                            \
    static op##_fn row_##name __attribute__((alias(#name), unused));
#endif

#endif
