/*
 * cli/output.h: where a command writes what it was asked for.
 */
#ifndef NF4BENCH_HARNESS_CLI_OUTPUT_H
#define NF4BENCH_HARNESS_CLI_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "harness/base/output.h"

typedef enum status cli_write_fn(const void *context, FILE *out);

/* Calls write(context, out) with the file `path`, or standard output where that is NULL or "-". STATUS_IO when the file
 * cannot be written to its end; then it is as it was. The caller has asked output_allowed(). */
enum status cli_write(const char *path, bool append, cli_write_fn *write,
                      const void *context) WARN_UNUSED_RESULT;

#endif
