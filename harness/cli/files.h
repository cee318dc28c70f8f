/*
 * cli/files.h: the results files that a command reads, and where it writes what it was asked for.
 */
#ifndef NF4BENCH_HARNESS_CLI_FILES_H
#define NF4BENCH_HARNESS_CLI_FILES_H

#include <stdbool.h>
#include <stdio.h>

#include "harness/base/output.h"
#include "results/load.h"

/* Loads all of them, in their order. *sets: [count], owned: cli_release(); NULL after a failure. */
enum status cli_load(const char *const *paths, size_t count, struct result_set **sets) WARN_UNUSED_RESULT;
/* Takes NULL. */
void cli_release(struct result_set *sets, size_t count);

typedef enum status cli_write_fn(const void *context, FILE *out);
/* Calls write(context, out) with the file `path`, or standard output where that is NULL or "-". STATUS_IO when the file
 * cannot be written to its end; then it is as it was. The caller has asked output_allowed(). */
enum status cli_write(const char *path, bool append, cli_write_fn *write,
                      const void *context) WARN_UNUSED_RESULT;

#endif
