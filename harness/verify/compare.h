/*
 * compare.h: comparison of outputs on integer bits, and the decoding of a mismatch for a person.
 */
#ifndef NF4BENCH_HARNESS_VERIFY_COMPARE_H
#define NF4BENCH_HARNESS_VERIFY_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reference/contract.h"
#include "reference/quantized.h"

/* Upper ends of the histogram's classes of ULP distance; the last one holds the rest. */
enum { ULP_CLASSES = 7 };
extern const uint32_t ulp_class_limits[ULP_CLASSES - 1]; /* 0 1 2 4 8 16 */

/* Mismatches kept of a comparison, spread over all of them in the same way however the work was divided.
 * Enough to tell one kind of error from another. */
enum { MISMATCHES_KEPT = 16 };
struct mismatch {
    size_t index;
    uint32_t want, got; /* bits */
};

/* All zero: nothing is compared yet. */
struct comparison {
    size_t compared, mismatches;
    size_t first;                   /* flat index of the first mismatch */
    uint32_t first_want, first_got; /* bits there */
    uint32_t max_ulp;
    size_t ulp[ULP_CLASSES];
    /* Where the mismatches lie, for the pattern: */
    size_t odd_mismatches, last; /* number at odd flat indices; last one */
    uint32_t lanes;              /* bit i: one has an index of i modulo 32 */
    struct mismatch kept[MISMATCHES_KEPT];
    size_t kept_count;
};

/* Adds `count` elements, the first of which has flat index `base`. Patterns must be equal; two NaNs are. */
void compare_bits(struct comparison *c, enum dtype t, const void *got, const void *want, size_t count,
                  size_t base);
/* Adds one element that was judged elsewhere. */
void compare_one(struct comparison *c, enum dtype t, uint32_t got, uint32_t want, bool ok, size_t index);
void comparison_merge(struct comparison *into, const struct comparison *from);

/* Running sums of the error against fp64; all zero: none. Pairs that are not finite are left out. */
struct error_sums {
    double squared_error, squared_value, error, max;
    size_t count;
};
void error_sums_add(struct error_sums *e, double got, double want);

/* One line: "element 17: expected 0x3f80 (1), got 0x0000 (0)". */
void describe_bits(enum dtype t, size_t index, uint32_t want, uint32_t got, char *text, size_t size);
/* One line about where a weight lies: row, column, block, byte, nibble, code, absmax. */
void describe_weight(const struct contract *c, const struct quantized *w, size_t columns, size_t element,
                     char *text, size_t size);
#endif
