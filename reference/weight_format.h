/*
 * weight_format.h: how a matrix of weights is quantized: its format and what varies within the format.
 */
#ifndef NF4BENCH_REFERENCE_WEIGHT_FORMAT_H
#define NF4BENCH_REFERENCE_WEIGHT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

#include "reference/contract.h"

struct weight_format {
    enum format kind;
    size_t blocksize; /* weights of a block; of dense weights k */
    bool nested;      /* nf4: the scales are quantized as well */
    bool zeros;       /* int4: blocks have zero points */
    bool act_order;   /* int4: a column's block is drawn, or read from the checkpoint */
};

static inline bool weight_format_equal(const struct weight_format *a, const struct weight_format *b)
{
    return a->kind == b->kind && a->blocksize == b->blocksize && a->nested == b->nested &&
           a->zeros == b->zeros && a->act_order == b->act_order;
}

#endif
