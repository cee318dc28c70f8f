/*
 * sort.h: the order of pointers is that of what they point to.
 */
#ifndef NF4BENCH_RESULTS_SORT_H
#define NF4BENCH_RESULTS_SORT_H

#include <stddef.h>

/* Sorts pointers by compare() of their targets. Of equals, the one at the lower address comes first: there is
 * one answer, and rows of a file keep its order. */
void sort_pointers(void *list, size_t count, int (*compare)(const void *a, const void *b));

#endif
