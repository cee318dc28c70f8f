/*
 * baseline.h: the kernels of another revision of this repository, as a library (kernels/library.c): built
 * once for a commit by the same compilers, with the same options as this program, and kept in a cache.
 *
 *   CACHE/<commit>-<key>/libnf4bench_kernels.so    key: of compilers, flags and options
 *   CACHE/<commit>-<key>/build.log
 *   CACHE/<commit>-<key>.failed.log                of the last build that failed
 *   CACHE/<commit>-<key>.lock                      held while one builds
 *
 * Needs git, tar and cmake, and what the revision needs to be built.
 */
#ifndef NF4BENCH_HARNESS_GATE_BASELINE_H
#define NF4BENCH_HARNESS_GATE_BASELINE_H

#include <stddef.h>

#include "harness/base/status.h"

/* The kernels of `revision`, whatever git takes for a commit, of the repository that the current directory
 * lies in. cache: a folder, which is made where it is not there; NULL: nf4bench in $XDG_CACHE_HOME, or in
 * ~/.cache. library[size] gets the library's path, commit[commit_size] the commit's full name. A build says
 * so on stderr; one that is in the cache is there at once. Two at the same time: the second waits for the
 * first.
 *
 * STATUS_USAGE: the revision is none, or the current directory is in no repository. STATUS_INPUT: it cannot
 * be built; the message has the last lines of the log. STATUS_INTERRUPTED: by Ctrl-C (interrupt.h). */
enum status baseline_build(const char *revision, const char *cache, char *library, size_t size, char *commit,
                           size_t commit_size) WARN_UNUSED_RESULT;

#endif
