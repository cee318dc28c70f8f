/*
 * sort.h: the order of pointers is that of what they point to.
 */
#ifndef NF4BENCH_RESULTS_SORT_H
#define NF4BENCH_RESULTS_SORT_H

#include <stddef.h>

#include "results/load.h"

/* Ascending, for a compare(). */
static inline int by_number(double a, double b)
{
    return (a > b) - (a < b);
}

/* Sorts pointers by compare() of their targets. Of equals, the one at the lower address comes first: there is
 * one answer, and rows of a file keep its order. */
void sort_pointers(void *list, size_t count, int (*compare)(const void *a, const void *b));

/* The rows of a set that are counted (NULL: all), sorted (NULL: as in the file). The caller's; NULL when out of
 * memory. */
const struct row **sorted_rows(const struct result_set *s, bool (*counts)(const struct row *),
                               int (*compare)(const void *a, const void *b), size_t *count);

#endif
