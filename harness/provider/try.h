/*
 * try.h: the entries of one file of the dialect (kernels/device/cuda.h), which `nf4bench try` has compiled, as variants.
 */
#ifndef NF4BENCH_HARNESS_PROVIDER_TRY_H
#define NF4BENCH_HARNESS_PROVIDER_TRY_H

#include <stdbool.h>

#include "harness/base/status.h"
#include "harness/problem/variant.h"

enum { TRY_ENTRIES_MAX = 128 };

/* Of the compiled builds: in try's folder. */
#define TRY_FAST    "fast.so"
#define TRY_CHECKED "checked.so"

/* Loads what the folder has of both builds, and adds the entries to the table, each as NAME_try, with the constraints of a row
 * of the same name. Once per process; both texts are kept by pointer. STATUS_INPUT: a build cannot be loaded, has no
 * entries, or one whose name is no contract. */
enum status try_load(const char *folder, const char *source) WARN_UNUSED_RESULT;

/* Their names, in the order of the file; whether there is a checked build. */
extern const char *try_names[TRY_ENTRIES_MAX];
extern size_t try_count;
extern bool try_checked;

#endif
