/*
 * environment.h: what a reader of a results file must know about where it was made, as a JSON object whose
 * keys become root attributes of the file.
 */
#ifndef NF4BENCH_HARNESS_RUN_ENVIRONMENT_H
#define NF4BENCH_HARNESS_RUN_ENVIRONMENT_H

#include <jansson.h>

#include "harness/problem/device.h"

/* Tool, build, devices, machine, load, time and command line. A new reference; NULL when out of memory. */
json_t *environment_json(const struct device *devices, size_t count, int argc, char **argv);

#endif
