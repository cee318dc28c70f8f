/*
 * changes.h: what changed between two results files, row by row.
 *
 * Rows are joined by case, variant, regime, threads and device. Times are compared by the ratio of their
 * medians, new over base, above 1 is slower. Its interval runs from the least to the largest ratio of what
 * the two 95 % intervals of the medians hold; it knows of the spread within each run alone. Two runs are two
 * processes, and identical code has been seen percents apart between processes: a change here is a reason to
 * look, not a verdict.
 */
#ifndef NF4BENCH_RESULTS_CHANGES_H
#define NF4BENCH_RESULTS_CHANGES_H

#include <stddef.h>
#include <stdio.h>

#include "harness/base/status.h"
#include "results/load.h"

/* X(enumerator, word, meaning): the order is that of what matters, the first comes first. */
#define CHANGE_MAP(X)                                                                                        \
    X(BROKEN, "BROKEN", "it was right, and is not any more")                                                 \
    X(MENDED, "MENDED", "it was not right, and is now")                                                      \
    X(SLOWER, "SLOWER", "by more than 1 %, beyond both intervals")                                           \
    X(FASTER, "FASTER", "by more than 1 %, beyond both intervals")                                           \
    X(UNSURE, "UNSURE", "the intervals do not say")                                                          \
    X(SAME, "SAME", "within 1 %")                                                                            \
    X(UNTIMED, "UNTIMED", "no times in one of them, or in both")
enum change_kind {
#define X(name, word, meaning) CHANGE_##name,
    CHANGE_MAP(X)
#undef X
        CHANGE_COUNT
};
const char *change_word(enum change_kind kind);

struct change {
    enum change_kind kind;
    const struct row *base, *now; /* in the sets */
    double ratio, lo, hi;         /* NAN where there are no times */
};

/* Geometric mean of the ratios of one operation and regime. */
struct change_mean {
    uint8_t op, regime;
    size_t count;
    double ratio;
};

enum { CHANGE_MEANS_MAX = 32 };

struct changes {
    const struct result_set *base, *now; /* not owned */
    struct change *list;                 /* by kind, then by how much */
    size_t count, kinds[CHANGE_COUNT];
    size_t base_only, now_only; /* rows that have no other */
    struct change_mean means[CHANGE_MEANS_MAX];
    size_t mean_count;
    char *unlike; /* a line for each thing in which the two environments differ, or ""; owned */
};

/* STATUS_USAGE for one file named twice, for files of other devices, when no row has another, and when there
 * are times, but of no row in both. */
enum status changes_find(const struct result_set *base, const struct result_set *now,
                         struct changes *out) WARN_UNUSED_RESULT;
void changes_release(struct changes *c);

/* For people, here and in plots/report.h: no more rows than these, the first ones, and a sentence that
 * says so. */
enum { CHANGES_SHOWN = 10000 };

enum status changes_markdown(const struct changes *c, FILE *out) WARN_UNUSED_RESULT;
/* An object: base, new, unlike, means, and all rows. A NAN is null. */
enum status changes_json(const struct changes *c, FILE *out) WARN_UNUSED_RESULT;

#endif
