/*
 * command.h: what to type to get something again.
 */
#ifndef NF4BENCH_PLOTS_COMMAND_H
#define NF4BENCH_PLOTS_COMMAND_H

#include <stdio.h>

#include "results/load.h"

/* One word for a POSIX shell, quoted where it must be: a name from a file may hold anything, and a reader
 * pastes this. */
void command_word(FILE *out, const char *text);
/* "nf4bench run suites/gpu.yaml -o gpu.h5": how a file was made, as it says itself; folders of absolute paths
 * are left out, which are of that machine alone. Caller frees; NULL where the file does not say. */
char *command_of(const struct result_set *set);

#endif
