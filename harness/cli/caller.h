/*
 * cli/caller.h: `nf4bench caller`, which no person types: the process that calls variants (device/caller.h).
 */
#ifndef NF4BENCH_HARNESS_CLI_CALLER_H
#define NF4BENCH_HARNESS_CLI_CALLER_H

/* Whether these are a caller's arguments. */
int is_caller(int argc, char **argv);
/* Loads what it is told to, and serves requests; does not return. */
_Noreturn void caller_main(int argc, char **argv);

#endif
