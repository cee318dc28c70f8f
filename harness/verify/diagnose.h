/*
 * diagnose.h: what kind of error explains the mismatches of a comparison, in words for a person. An
 * explanation is given only if it accounts for every mismatch that the comparison has kept (compare.h): for
 * weights by computing what that error would have written, to the bit.
 */
#ifndef NF4BENCH_HARNESS_VERIFY_DIAGNOSE_H
#define NF4BENCH_HARNESS_VERIFY_DIAGNOSE_H

#include <stddef.h>

#include "harness/verify/compare.h"
#include "reference/contract.h"
#include "reference/quantized.h"

/* Outputs each of which is one weight. */
struct diagnose_weights {
    const struct contract *contract;
    const struct quantized *w;
    size_t columns; /* of W */
    /* What output `index` shows: the weight's place, and what is added to it. */
    size_t (*element)(const void *context, size_t index);
    float (*bias)(const void *context, size_t index); /* NULL: nothing, and no sum either: a -0 stays */
    const void *context;
};

/* By the weight that was written instead: the other nibble, another block's scale, one wrong codebook entry,
 * and so on. "" if nothing fits. */
const char *diagnose_weights(const struct comparison *c, const struct diagnose_weights *d);
/* By the values alone: truncated, flushed to zero, not written, and so on. "" if nothing fits. */
const char *diagnose_values(const struct comparison *c, enum dtype t);
/* By where the mismatches lie: the tail, every second element, one lane of each warp, one block, and so on.
 * "" if they make no pattern. `count`: of all elements; `blocksize`: 0 where elements are not weights. */
const char *diagnose_places(const struct comparison *c, size_t blocksize, size_t count);

#endif
