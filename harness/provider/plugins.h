/*
 * plugins.h: which libraries of others take part. They are loaded by other processes only: what is known here is what those say
 * (device/caller.h), and what the files are.
 */
#ifndef NF4BENCH_HARNESS_PROVIDER_PLUGINS_H
#define NF4BENCH_HARNESS_PROVIDER_PLUGINS_H

#include <stddef.h>

#include <jansson.h>

#include "harness/base/status.h"
#include "harness/problem/variant.h"

/* Adds the variants of the libraries that `paths` names, and then those of NF4BENCH_PLUGINS (separated by colons), to the
 * table. A library that cannot be used is refused as a whole, with a line on stderr that begins with `program` and says why;
 * the others take part all the same. Returns how many were refused. */
size_t plugins_load(const char *program, const char *const *paths, size_t count);

/* One library as a side of a comparison: its variants are *kernels[*count], in the library's order; the array is the caller's
 * to free, what it points to stays until the process ends. A file that takes part already, under whatever name, is
 * STATUS_USAGE: the loader would give the same code and data again. */
enum status plugin_side_load(const char *path, const char *label, struct kernel **kernels,
                             size_t *count) WARN_UNUSED_RESULT;

/* Adds the variants that a process has which loads `value`, a file or "", by an option of the hidden command: all or, when a
 * name is taken or there is no room, none. Callers load it from now on. said: see caller_variants(). */
enum status provider_add(const char *option, const char *value, char *said) WARN_UNUSED_RESULT;

/* Those whose variants are in the table, for the results: a list of objects with name, path, bytes and crc32.
 * The caller's. */
json_t *plugins_json(void);

#endif
