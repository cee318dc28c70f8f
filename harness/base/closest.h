/*
 * closest.h: "did you mean ...?": the known word nearest to a mistyped one.
 */
#ifndef NF4BENCH_HARNESS_BASE_CLOSEST_H
#define NF4BENCH_HARNESS_BASE_CLOSEST_H

#include <stddef.h>

/* Number of edits (insert, delete, replace, swap neighbours; letters compare without case) from a to b. Words
 * are compared up to their first 128 bytes. */
size_t closest_distance(const char *a, const char *b);

/* The candidate with the fewest edits, the first of equals; NULL when all are further than a third of the
 * longer word (at least 1), where a suggestion would be noise. */
const char *closest(const char *word, const char *const *candidates, size_t count);

#endif
