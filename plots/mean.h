/*
 * mean.h: ratios of several sizes as one: their geometric mean, with an interval.
 */
#ifndef NF4BENCH_PLOTS_MEAN_H
#define NF4BENCH_PLOTS_MEAN_H

#include <stddef.h>

#include "harness/base/stats.h"

/* A ratio of one task. Those of one shape are of one sample: sizes of M on one matrix say little more than
 * one does. */
struct mean_part {
    size_t shape;
    struct paired_ratio ratio;
};

struct mean {
    double ratio, lo, hi; /* lo and hi NAN where there is no interval */
    size_t shapes, parts;
};

/* First over the parts of each shape, then over shapes. 95 % interval: Student's t over the shapes'
 * logarithms, where there are MEAN_SHAPES of them. Of fewer, where that would say next to nothing, from the
 * lowest to the highest of what their paired ratios leave open (of several parts, the means of their lower
 * and of their upper ends, as if they erred together); none where a part is unpaired. Parts of one shape are
 * neighbours; ratios are above 0. */
enum { MEAN_SHAPES = 4 };
struct mean mean_of(const struct mean_part *parts, size_t count);

#endif
