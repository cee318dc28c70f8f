/*
 * plugin.h: variants from shared libraries of others (kernels/plugin.h is what those are written against).
 */
#ifndef NF4BENCH_HARNESS_PROVIDER_PLUGIN_H
#define NF4BENCH_HARNESS_PROVIDER_PLUGIN_H

#include <stddef.h>

#include <jansson.h>

#include "harness/base/status.h"
#include "harness/problem/variant.h"

/* Loads the libraries that `paths` names, and then those of NF4BENCH_PLUGINS (separated by colons), and adds
 * their variants to the table, their source the library's file name. A library that cannot be used is refused
 * as a whole, with a line on stderr that begins with `program` and says why; the others are loaded all the
 * same. Each is first loaded by a process that may crash or hang. Before any use of OpenMP. Returns how many
 * were refused. */
size_t plugins_load(const char *program, const char *const *paths, size_t count);

/* Loads one library as a side of a comparison: as above, but its variants are not added to the table, and may
 * have the names of those in it. They are *kernels[*count], in the library's order; the array is the
 * caller's to free, what it points to stays until the process ends. Their sources, and the names of their
 * device code (problem/image.h), begin with `label`, which is kept by pointer. A file that is loaded already,
 * under whatever name, is STATUS_USAGE: the loader would give the same code and data again. */
enum status plugin_side_load(const char *path, const char *label, struct kernel **kernels,
                             size_t *count) WARN_UNUSED_RESULT;

/* Those whose variants are in the table, for the results: a list of objects with name, path, bytes and crc32.
 * The caller's. */
json_t *plugins_json(void);

#endif
