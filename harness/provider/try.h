/*
 * try.h: the entries of one file of the dialect (kernels/device/cuda.h), which `nf4bench try` has compiled, as variants, in the
 * process that calls them.
 */
#ifndef NF4BENCH_HARNESS_PROVIDER_TRY_H
#define NF4BENCH_HARNESS_PROVIDER_TRY_H

#include "harness/base/status.h"

/* Of the compiled builds: in try's folder. */
#define TRY_FAST    "fast.so"
#define TRY_CHECKED "checked.so"

/* Loads what the folder, which is kept by pointer, has of both builds, and adds the entries to the table, each as NAME_try,
 * with the constraints of a row of the same name. Once per process. STATUS_INPUT: a build cannot be loaded, has no entries,
 * or one whose name is no contract. */
enum status try_load(const char *folder) WARN_UNUSED_RESULT;

#endif
