/*
 * history.h: one results file held against earlier ones, where no library to compare with is at hand. Each
 * file is one process, so this knows of the spread between runs only what the history shows: advisory.
 *
 * A row's time is compared with the median of the same row's in the earlier files (case, variant, regime,
 * threads, device), in deviations, of which one is 1.4826 times the median absolute deviation of their
 * logarithms, or 0.5 % where that is more: the robust z-score (Iglewicz and Hoaglin 1993, who flag beyond
 * 3.5). Earlier files from another environment (unlike.h) are left out. Of each, one after the other, the
 * times are kept, one for each row of the new file: its first such row's.
 */
#ifndef NF4BENCH_RESULTS_HISTORY_H
#define NF4BENCH_RESULTS_HISTORY_H

#include <stddef.h>

#include "harness/base/status.h"
#include "results/gate_report/gate_report.h"
#include "results/load.h"

enum { HISTORY_LEAST = 5 /* earlier times that a row needs */ };

struct history {
    struct result_set now;
    const struct row **rows; /* [row_count] the timed or wrong ones of `now`, in its order */
    size_t row_count;
    double *
        *times; /* [count][now.row_count] ln of the median in each earlier file, NAN where there is none */
    size_t count;
    const char *suite, *device;
    char text[160]; /* what is compared with */
    char *reasons;  /* of history_judge(): [row_count][HISTORY_REASON_MAX] */
};
enum { HISTORY_REASON_MAX = 256 };

/* STATUS_USAGE when no earlier file is of this environment. What is left out is told on stderr. */
enum status history_load(const char *now, const char *const *earlier, size_t count,
                         struct history *out) WARN_UNUSED_RESULT;
/* row_count rows, which point into h; owned: free(). STATUS_USAGE when no row has enough of a history. */
enum status history_judge(struct history *h, struct gate_report_row **rows) WARN_UNUSED_RESULT;
void history_release(struct history *h);

#endif
