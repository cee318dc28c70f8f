/*
 * activations.h: other activations in each timed call of a product: the same numbers with other signs.
 *
 * A variant that finds what it computed before, by address or by content, could return at once. So most samples have signs
 * that are drawn, and between the calls of a hot sample ACTIVATIONS_BETWEEN numbers of each row change theirs. Both the caller,
 * which calls, and the judge, which knows what must come out, make them of the sample's salt. To change signs twice is to
 * have them back.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_ACTIVATIONS_H
#define NF4BENCH_HARNESS_DEVICE_ACTIVATIONS_H

#include <stddef.h>
#include <stdint.h>

#include "harness/problem/problem.h"

enum { ACTIVATIONS_BETWEEN = 16 };

/* Changes signs of x, the activations of p, before call `call` of a sample, counted from 0. */
void activations_change(const struct problem *p, void *x, uint64_t salt, size_t call);

#endif
