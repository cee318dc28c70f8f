/*
 * plugin.h: variants from shared libraries of others (kernels/plugin.h is what those are written against), in the process that
 * calls them. plugins.h is for the one that judges.
 */
#ifndef NF4BENCH_HARNESS_PROVIDER_PLUGIN_H
#define NF4BENCH_HARNESS_PROVIDER_PLUGIN_H

#include "harness/base/status.h"

/* Loads the library for good and adds its variants: to the table, their source the library's file name, or, of a side of a
 * comparison, as the table `label`. There they may have the names of those in the program's; their sources, and the names of
 * their device code (problem/image.h), begin with the label. Both texts are kept by pointer. STATUS_INPUT: it is refused as
 * a whole, and why. */
enum status plugin_load(const char *path, const char *label) WARN_UNUSED_RESULT;

/* What the last one that was loaded calls itself. */
extern const char *plugin_name;

#endif
