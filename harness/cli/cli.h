/*
 * cli.h: the commands of the program. The list here is the only one: dispatch, help and
 * the shell completion are made from it. And what several of them do.
 *
 * Exit codes: 0 fine, 1 a variant is wrong, 2 usage or environment error, 3 a row became slower, 4 the times
 * do not say, 77 nothing could run on this machine, 130 interrupted.
 */
#ifndef NF4BENCH_HARNESS_CLI_CLI_H
#define NF4BENCH_HARNESS_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "harness/base/output.h"
#include "harness/base/status.h"
#include "results/load.h"

/* X(name, one line of help) */
#define COMMAND_MAP(X)                                                                                       \
    X(list, "list the variants, and why those that cannot run here cannot")                                  \
    X(verify, "verify variants on a suite or on one case")                                                   \
    X(try, "verify one .cu file, without building this program")                                             \
    X(run, "verify and time a suite, and write the results to an HDF5 file")                                 \
    X(selftest, "verify kernels that are wrong on purpose: is each rejected, and by what?")                  \
    X(probe, "hold a GPU's tensor cores against the models of mma80 and mma90")                              \
    X(show, "show a results file as Markdown")                                                               \
    X(explain, "say why a row of a results file has its verdict")                                            \
    X(compare, "say what changed from one results file to another")                                          \
    X(gate, "say whether kernels became slower, from two libraries of them")                                 \
    X(calibrate, "measure what a gate finds on this machine, and what it cries wolf about")                  \
    X(merge, "put the files of all shards of a run together")                                                \
    X(report, "make a self-contained HTML report from results files")                                        \
    X(export, "write a results file as CSV or JSON Lines")

#define X(name, help) int command_##name(int argc, char **argv);
COMMAND_MAP(X)
#undef X

enum { EXIT_WRONG = 1, EXIT_USAGE = 2, EXIT_NOTHING_RAN = 77, EXIT_INTERRUPTED = 130 };

int cli_main(int argc, char **argv);

/* Says on standard error why `name`, a command, failed, and returns the exit code. */
int cli_fail(const char *name, enum status s);

/* Loads all results files, in their order. *sets: [count], owned: cli_release(); NULL after a failure. */
enum status cli_load(const char *const *paths, size_t count, struct result_set **sets) WARN_UNUSED_RESULT;
/* Takes NULL. */
void cli_release(struct result_set *sets, size_t count);

typedef enum status cli_write_fn(const void *context, FILE *out);
/* Calls write(context, out) with the file `path`, or standard output where that is NULL or "-". STATUS_IO when the file
 * cannot be written to its end; then it is as it was. The caller has asked output_allowed(). */
enum status cli_write(const char *path, bool append, cli_write_fn *write,
                      const void *context) WARN_UNUSED_RESULT;

#endif
