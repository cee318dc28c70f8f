/* sample_product.h: is an output of a timed product right, whose activations have other signs than the verified ones? */
#ifndef NF4BENCH_HARNESS_DEVICE_SAMPLE_PRODUCT_H
#define NF4BENCH_HARNESS_DEVICE_SAMPLE_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/problem/operands.h"

/* Whether element i of an output is what contract c makes of set 0 of o, with x for activations: bit for bit, or within
 * matmul_bound() where the contract leaves the order open. */
bool sample_product_right(const struct contract *c, const struct operands *o, const void *x, size_t i,
                          const void *element);

#endif
