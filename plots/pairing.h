/*
 * pairing.h: NF4 against int4 at equal bits per weight, by regime of use: the pairs of rows, and what they
 * add up to.
 */
#ifndef NF4BENCH_PLOTS_PAIRING_H
#define NF4BENCH_PLOTS_PAIRING_H

#include <stdbool.h>
#include <stddef.h>

#include "plots/mean.h"
#include "plots/task.h"

/* A CPU's row below this share of its measured ceiling says more about the kernel than about the format. */
#define PAIRING_SHARE 0.8

/* Two rows of one task whose weights take as many bits. */
struct pair {
    size_t task;
    const struct view_row *nf4, *int4;
    struct paired_ratio ratio; /* of times, int4 over NF4: NF4's speed as a fraction of int4's */
    bool isolated;             /* one skeleton, only the decode swapped; else the fastest of each format */
    enum track track;          /* of int4 */
    bool low;                  /* one of the two is under PAIRING_SHARE, or has no measured ceiling */
    bool out;                  /* left out of the headline for that: on CPUs */
};

/* What has one number on each device. */
struct line {
    const struct pair *like; /* the first one */
    enum use use;
};

struct pairing {
    const struct tasks *tasks;
    struct pair *pairs; /* in the order of tasks */
    size_t pair_count;
    struct line *lines;
    size_t line_count;
    struct mean_part *parts; /* scratch */
    bool both;               /* some device has rows of both formats */
};

enum status pairing_init(struct pairing *h, const struct tasks *tasks) WARN_UNUSED_RESULT;
void pairing_release(struct pairing *h);

/* The pairs of a line on a device. */
struct line_sum {
    struct mean mean;             /* of the pairs that are not left out */
    size_t pairs, out, low;       /* all of them, those left out, and those kept that are low */
    double bytes;                 /* int4's bytes over NF4's; geometric means over pairs kept */
    double nf4_share, int4_share; /* of their ceilings */
    double nf4_bits, int4_bits_lo, int4_bits_hi; /* per weight */
    const struct pair *first;                    /* NULL where the line has no pair on the device */
};
struct line_sum pairing_sum(struct pairing *h, const struct line *line, size_t device);
/* The isolated line of the same use, type and NF4, of the same layout if there is one; NULL when there is
 * none. */
const struct line *pairing_isolated(const struct pairing *h, const struct line *line);

#endif
