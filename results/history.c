#include "results/history.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/stats.h"
#include "results/unlike.h"

static const double least_deviation = 0.005, flagged_beyond = 3.5, matters = 0.01;

/* ---- files ---- */

static bool is_counted(const struct row *r)
{
    return r->verdict != VERDICT_NONE && r->verdict != VERDICT_SKIPPED &&
           (r->sample_count || r->verdict != VERDICT_PASS);
}

static void release_sets(struct history *h)
{
    for (size_t i = 0; i < h->count; i++)
        result_set_release(&h->earlier[i]);
    free(h->earlier);
    result_set_release(&h->now);
}

/* Loads earlier[h->count], or leaves it out. */
static enum status load_earlier(struct history *h, const char *path)
{
    struct result_set *set = &h->earlier[h->count];
    enum status s = result_set_load(path, set);
    if (s != STATUS_OK)
        return s;
    const char *device = unlike_timed_device(set, h->device);
    char *unlike = unlike_text(set, &h->now);
    if (!unlike)
        s = status_fail(STATUS_MEMORY, "history: out of memory");
    if (s == STATUS_OK && device && !*unlike) {
        h->count++;
    } else {
        if (s == STATUS_OK)
            fprintf(stderr, "left out of the history: %s: %s\n", path,
                    device ? unlike : "no times on that device");
        result_set_release(set);
    }
    free(unlike);
    return s;
}

enum status history_load(const char *now, const char *const *earlier, size_t count, struct history *out)
{
    struct history h = {.row_count = 0};
    enum status s = result_set_load(now, &h.now);
    if (s != STATUS_OK)
        return s;
    for (size_t i = 0; i < h.now.row_count; i++)
        h.row_count += is_counted(&h.now.rows[i]);
    h.device = unlike_timed_device(&h.now, NULL);
    h.suite = h.now.row_count ? h.now.rows[0].suite : "";
    h.earlier = calloc(count + 1, sizeof *h.earlier);
    if (!h.earlier)
        s = status_fail(STATUS_MEMORY, "history: out of memory");
    else if (!h.device)
        s = status_fail(STATUS_USAGE, "%s has no timed row", now);
    for (size_t i = 0; i < count && s == STATUS_OK; i++)
        s = load_earlier(&h, earlier[i]);
    if (s == STATUS_OK && h.count == 0)
        s = status_fail(STATUS_USAGE, "no earlier file is of the environment of %s", now);
    snprintf(h.text, sizeof h.text, "the history of %zu file%s", h.count, h.count == 1 ? "" : "s");
    if (s != STATUS_OK) {
        release_sets(&h);
        return s;
    }
    *out = h;
    return STATUS_OK;
}

void history_release(struct history *h)
{
    release_sets(h);
    free(h->reasons);
}

/* ---- rows ---- */

static bool same_row(const struct row *a, const struct row *b)
{
    return a->regime == b->regime && a->threads == b->threads && a->sample_count && b->sample_count &&
           strcmp(a->case_key, b->case_key) == 0 && strcmp(a->variant, b->variant) == 0 &&
           strcmp(a->device, b->device) == 0;
}

/* values: room for the times of all files, twice. */
static void judge_row(const struct history *h, const struct row *r, double *values, char *reason,
                      struct gate_report_row *out)
{
    size_t count = 0;
    for (size_t i = 0; i < h->count; i++)
        for (size_t j = 0; j < h->earlier[i].row_count; j++)
            if (same_row(r, &h->earlier[i].rows[j]) && h->earlier[i].rows[j].median_us > 0 &&
                count < h->count)
                values[count++] = log(h->earlier[i].rows[j].median_us);
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
    enum status s =
        values && list && h->reasons ? STATUS_OK : status_fail(STATUS_MEMORY, "history: out of memory");
    size_t compared = 0;
    for (size_t i = 0, row = 0; i < h->now.row_count && s == STATUS_OK; i++) {
        if (!is_counted(&h->now.rows[i]))
            continue;
        judge_row(h, &h->now.rows[i], values, h->reasons + row * HISTORY_REASON_MAX, &list[row]);
        compared += list[row++].outcome != GATE_OUTCOME_SKIPPED;
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
