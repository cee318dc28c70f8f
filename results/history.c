#include "results/history.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/base/stats.h"
#include "results/sort.h"
#include "results/unlike.h"

static const double least_deviation = 0.005, flagged_beyond = 3.5, matters = 0.01;

/* ---- files ---- */

static bool is_counted(const struct row *r)
{
    return r->verdict != VERDICT_NONE && r->verdict != VERDICT_SKIPPED &&
           (r->sample_count || r->verdict != VERDICT_PASS);
}

static bool is_timed(const struct row *r)
{
    return r->sample_count && r->median_us > 0;
}

static int compare_keys(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int order = row_key_order(x, y);
    return order ? order : (x->regime > y->regime) - (x->regime < y->regime);
}

/* Finds the rows of `now`, sorted, in an earlier file, and keeps their times as those of file h->count. */
static enum status keep_times(struct history *h, const struct row *const *now,
                              const struct result_set *earlier)
{
    size_t count, e = 0;
    const struct row **rows = sorted_rows(earlier, is_timed, compare_keys, &count);
    double *times = malloc((h->now.row_count + 1) * sizeof *times);
    for (size_t i = 0; rows && times && i < h->row_count; i++) {
        while (e < count && compare_keys(rows[e], now[i]) < 0)
            e++;
        const bool found = e < count && compare_keys(rows[e], now[i]) == 0;
        times[now[i] - h->now.rows] = found ? log(rows[e]->median_us) : NAN;
    }
    enum status s = rows && times ? STATUS_OK : status_no_memory("history");
    free(rows);
    if (s == STATUS_OK)
        h->times[h->count++] = times;
    else
        free(times);
    return s;
}

/* Takes the times of an earlier file, or leaves it out. */
static enum status load_earlier(struct history *h, const struct row *const *now, const char *path)
{
    struct result_set set;
    enum status s = STATUS_OK;
    TRY(result_set_load(path, &set));
    const char *device = unlike_timed_device(&set, h->device);
    char *unlike = unlike_text(&set, &h->now);
    if (!unlike)
        s = status_no_memory("history");
    else if (device && !*unlike)
        s = keep_times(h, now, &set);
    else
        fprintf(stderr, "left out of the history: %s: %s\n", path,
                device ? unlike : "no times on that device");
    free(unlike);
    result_set_release(&set);
    return s;
}

enum status history_load(const char *now, const char *const *earlier, size_t count, struct history *h)
{
    enum status s = STATUS_OK;
    *h = (struct history){.row_count = 0};
    TRY(result_set_load(now, &h->now));
    h->rows = sorted_rows(&h->now, is_counted, NULL, &h->row_count);
    h->times = calloc(count + 1, sizeof *h->times);
    const struct row **sorted = sorted_rows(&h->now, is_counted, compare_keys, &h->row_count);
    h->device = unlike_timed_device(&h->now, NULL);
    h->suite = h->now.row_count ? h->now.rows[0].suite : "";
    if (!h->rows || !h->times || !sorted)
        s = status_no_memory("history");
    else if (!h->device)
        s = status_fail(STATUS_USAGE, "%s has no timed row", now);
    for (size_t i = 0; i < count && s == STATUS_OK; i++)
        s = load_earlier(h, sorted, earlier[i]);
    if (s == STATUS_OK && h->count == 0)
        s = status_fail(STATUS_USAGE, "no earlier file is of the environment of %s", now);
    snprintf(h->text, sizeof h->text, "the history of %zu file%s", h->count, h->count == 1 ? "" : "s");
    free(sorted);
    if (s != STATUS_OK)
        history_release(h);
    return s;
}

void history_release(struct history *h)
{
    for (size_t i = 0; i < h->count; i++)
        free(h->times[i]);
    free(h->times);
    free(h->rows);
    free(h->reasons);
    result_set_release(&h->now);
}

/* ---- rows ---- */

/* values: room for the times of all files, twice. */
static void judge_row(const struct history *h, const struct row *r, double *values, char *reason,
                      struct gate_report_row *out)
{
    const size_t place = (size_t)(r - h->now.rows);
    size_t count = 0;
    for (size_t i = 0; i < h->count && r->sample_count; i++)
        if (!isnan(h->times[i][place]))
            values[count++] = h->times[i][place];
    *out = (struct gate_report_row){.case_key = r->case_key,
                                    .variant = r->variant,
                                    .regime = r->regime == REGIME_HOT ? "hot" : "cold",
                                    .threads = r->threads,
                                    .reason = reason,
                                    .repro = "",
                                    .base_us = NAN,
                                    .candidate_us = r->sample_count ? r->median_us : NAN,
                                    .threshold = matters,
                                    .detectable = NAN};
    if (r->verdict != VERDICT_PASS && r->verdict != VERDICT_UNSTABLE) {
        out->outcome = GATE_OUTCOME_WRONG;
        snprintf(reason, HISTORY_REASON_MAX, "%s", r->reason);
        return;
    }
    if (count < HISTORY_LEAST || !(r->median_us > 0)) {
        out->outcome = GATE_OUTCOME_SKIPPED;
        snprintf(reason, HISTORY_REASON_MAX, "%zu earlier times; %d are needed", count, HISTORY_LEAST);
        return;
    }
    struct sample_summary earlier;
    summarize(values, count, values + h->count, &earlier);
    const double deviation = fmax(1.4826 * earlier.mad, least_deviation);
    const double d = log(r->median_us) - earlier.median, z = d / deviation;
    out->base_us = exp(earlier.median);
    out->first = (struct gate_estimate){.rounds = count,
                                        .ratio = exp(d),
                                        .lo = exp(d - 1.96 * deviation),
                                        .hi = exp(d + 1.96 * deviation),
                                        .p_slower = NAN,
                                        .p_sign_flip = NAN};
    const bool flagged = fabs(z) > flagged_beyond && fabs(d) > matters;
    out->outcome = flagged ? (d > 0 ? GATE_OUTCOME_REGRESSED : GATE_OUTCOME_IMPROVED) : GATE_OUTCOME_SAME;
    if (flagged)
        snprintf(reason, HISTORY_REASON_MAX, "%.1f robust deviations from %zu earlier runs", z, count);
}

enum status history_judge(struct history *h, struct gate_report_row **rows)
{
    double *values = calloc(2 * h->count + 1, sizeof *values);
    struct gate_report_row *list = calloc(h->row_count + 1, sizeof *list);
    h->reasons = calloc(h->row_count + 1, HISTORY_REASON_MAX);
    enum status s = values && list && h->reasons ? STATUS_OK : status_no_memory("history");
    size_t compared = 0;
    for (size_t i = 0; i < h->row_count && s == STATUS_OK; i++) {
        judge_row(h, h->rows[i], values, h->reasons + i * HISTORY_REASON_MAX, &list[i]);
        compared += list[i].outcome != GATE_OUTCOME_SKIPPED;
    }
    if (s == STATUS_OK && compared == 0)
        s = status_fail(STATUS_USAGE, "%s: no row has %d earlier times in the history", h->now.path,
                        HISTORY_LEAST);
    free(values);
    if (s != STATUS_OK) {
        free(list);
        list = NULL;
    }
    *rows = list;
    return s;
}
