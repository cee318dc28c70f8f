#include "results/gate_report/form.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "results/sort.h"

/* ---- texts, which may come from plugins, files and the command line ---- */

void form_clean(char *text)
{
    text_repair(text, strlen(text) + 1);
    uint32_t code = 0;
    for (unsigned length; *text; text += length) {
        length = text_sequence(text, &code);
        if (text_is_control(code))
            memset(text, '?', length);
    }
}

static const size_t head_texts[] = {
    offsetof(struct gate_report, suite),    offsetof(struct gate_report, device),
    offsetof(struct gate_report, baseline), offsetof(struct gate_report, candidate),
    offsetof(struct gate_report, command),  offsetof(struct gate_report, calibration),
    offsetof(struct gate_report, disabled)};
static const size_t row_texts[] = {
    offsetof(struct gate_report_row, case_key), offsetof(struct gate_report_row, variant),
    offsetof(struct gate_report_row, regime), offsetof(struct gate_report_row, reason),
    offsetof(struct gate_report_row, repro)};
enum {
    HEAD_TEXTS = sizeof head_texts / sizeof head_texts[0],
    ROW_TEXTS = sizeof row_texts / sizeof row_texts[0]
};

/* Puts clean copies in the place of a struct's texts. False: out of memory. */
static bool clean_texts(struct tidy *t, void *of, const size_t *offsets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char **text = (const char **)((char *)of + offsets[i]);
        char *copy = t->texts[t->text_count++] = strdup(*text ? *text : "");
        if (!copy)
            return false;
        form_clean(copy);
        *text = copy;
    }
    return true;
}

static double row_ratio(const struct gate_report_row *row)
{
    return row->first.rounds && isfinite(row->first.ratio) ? row->first.ratio : -INFINITY;
}

/* By outcome, then the slowest first; what has no ratio comes last, by its reason. */
static int by_weight(const void *a, const void *b)
{
    const struct gate_report_row *x = a, *y = b;
    int order = by_number(x->outcome, y->outcome);
    order = order ? order : by_number(row_ratio(y), row_ratio(x));
    order = order ? order : strcmp(x->reason, y->reason);
    return order ? order : strcmp(x->variant, y->variant);
}

static void tidy_release(struct tidy *t)
{
    for (size_t i = 0; i < t->text_count; i++)
        free(t->texts[i]);
    free(t->rows);
    free(t->worst);
    free(t->texts);
}

static enum status tidy_init(struct tidy *t, const struct gate_report *r)
{
    *t = (struct tidy){.report = *r};
    t->rows = malloc((r->count + 1) * sizeof *t->rows);
    t->worst = malloc((r->count + 1) * sizeof *t->worst);
    t->texts = malloc((HEAD_TEXTS + r->count * ROW_TEXTS) * sizeof *t->texts);
    bool whole = t->rows && t->worst && t->texts && clean_texts(t, &t->report, head_texts, HEAD_TEXTS);
    for (size_t i = 0; i < r->count && whole; i++) {
        t->rows[i] = r->rows[i];
        t->worst[i] = &t->rows[i];
        whole = clean_texts(t, &t->rows[i], row_texts, ROW_TEXTS);
    }
    if (!whole) {
        tidy_release(t);
        return status_no_memory("gate: a report of %zu rows", r->count);
    }
    t->report.rows = t->rows;
    sort_pointers(t->worst, r->count, by_weight);
    return STATUS_OK;
}

enum status gate_report_write(const struct gate_report *r, gate_report_form *form, FILE *out)
{
    struct tidy t;
    TRY(tidy_init(&t, r));
    enum status s = form(&t, out);
    tidy_release(&t);
    if (s == STATUS_OK && (fflush(out) != 0 || ferror(out)))
        s = status_fail(STATUS_IO, "gate: cannot write the report");
    return s;
}

/* ---- numbers and remarks ---- */

void put_text(const char *before, const char *text, enum text_form form, FILE *out)
{
    fputs(before, out);
    text_put(form, text, out);
}

/* "+3.1", in percent; "?" for what is no number. */
static const char *percent(double ratio, char text[SHARE_SIZE])
{
    double p = 100 * (ratio - 1);
    if (fabs(p) < 0.05)
        p = 0; /* no "-0.0" */
    snprintf(text, SHARE_SIZE, !isfinite(p) ? "?" : fabs(p) < 1e6 ? "%+.1f" : "%+.2g", p);
    return text;
}

const char *change_text(const struct gate_estimate *e, char text[CHANGE_SIZE])
{
    char ratio[SHARE_SIZE], lo[SHARE_SIZE], hi[SHARE_SIZE];
    snprintf(text, CHANGE_SIZE, "%.28s %% (%.28s to %.28s)", percent(e->ratio, ratio), percent(e->lo, lo),
             percent(e->hi, hi));
    return text;
}

const char *share_text(double share, char text[SHARE_SIZE])
{
    snprintf(text, SHARE_SIZE, isfinite(share) ? "%.1f %%" : "-", 100 * share);
    return text;
}

const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

bool same_code_matters(const struct gate_report_row *row)
{
    return row->code_known && row->same_code &&
           (row->outcome == GATE_OUTCOME_REGRESSED || row->outcome == GATE_OUTCOME_INCONCLUSIVE ||
            row->outcome == GATE_OUTCOME_IMPROVED);
}

bool has_remark(const struct gate_report_row *row)
{
    return *row->reason || same_code_matters(row);
}

const char *same_code_remark(const struct gate_report_row *row)
{
    static const char after_reason[] =
        "; the machine code of both sides is equal: what differs is where it lies, or the machine";
    return !same_code_matters(row) ? "" : after_reason + (*row->reason ? 0 : strlen("; "));
}

static void put_change(const char *before, const struct gate_estimate *e, enum text_form form, FILE *out)
{
    char change[CHANGE_SIZE], text[CHANGE_SIZE + 64];
    if (e->rounds == 0)
        return;
    snprintf(text, sizeof text, "%s%s in %zu round%s", before, change_text(e, change), e->rounds,
             plural(e->rounds));
    text_put(form, text, out);
}

void put_finding(const struct gate_report_row *row, enum text_form form, FILE *out)
{
    put_change("", &row->first, form, out);
    put_change(", again ", &row->confirmation, form, out);
    if (has_remark(row)) {
        fputs(row->first.rounds ? "; " : "", out);
        text_put(form, row->reason, out);
        text_put(form, same_code_remark(row), out);
    } else if (!row->first.rounds) {
        text_put(form, outcome_meaning(row->outcome), out);
    }
}
