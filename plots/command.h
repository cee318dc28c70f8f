/*
 * command.h: how a results file was made.
 */
#ifndef NF4BENCH_PLOTS_COMMAND_H
#define NF4BENCH_PLOTS_COMMAND_H

#include "results/load.h"

/* "nf4bench run suites/gpu.yaml -o gpu.h5": how a file was made, as it says itself; folders of absolute paths
 * are left out, which are of that machine alone. Caller frees; NULL where the file does not say. */
char *command_of(const struct result_set *set);

#endif
