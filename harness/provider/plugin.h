/*
 * plugin.h: variants from shared libraries of others (kernels/plugin.h is what those are written against).
 */
#ifndef NF4BENCH_HARNESS_PROVIDER_PLUGIN_H
#define NF4BENCH_HARNESS_PROVIDER_PLUGIN_H

#include <stddef.h>

#include <jansson.h>

/* Loads the libraries that `paths` names, and then those of NF4BENCH_PLUGINS (separated by colons), and adds
 * their variants to the table, their source the library's file name. A library that cannot be used is refused
 * as a whole, with a line on stderr that begins with `program` and says why; the others are loaded all the
 * same. Each is first loaded by a process that may crash or hang. Before any use of OpenMP. Returns how many
 * were refused. */
size_t plugins_load(const char *program, const char *const *paths, size_t count);

/* Those in use, for the results: a list of objects with name, path, bytes and crc32. The caller's. */
json_t *plugins_json(void);

#endif
