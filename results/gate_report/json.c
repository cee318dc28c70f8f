/* json.c: for programs: everything, and the list of benchmark-action/github-action-benchmark. */
#include <jansson.h>
#include <math.h>

#include "results/gate_report/form.h"

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *text_or_null(const char *text)
{
    return *text ? json_string(text) : json_null();
}

static json_t *estimate_json(const struct gate_estimate *e)
{
    if (e->rounds == 0)
        return json_null();
    json_t *differences = e->differences ? json_array() : json_null();
    for (size_t k = 0; e->differences && k < e->rounds; k++)
        json_array_append_new(differences, number(e->differences[k]));
    return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "rounds", (json_int_t)e->rounds, "ratio",
                     number(e->ratio), "ratio_lo", number(e->lo), "ratio_hi", number(e->hi), "p_slower",
                     number(e->p_slower), "p_sign_flip", number(e->p_sign_flip), "differences", differences);
}

static json_t *row_json(const struct gate_report_row *row)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "outcome",
                     gate_outcome_word(row->outcome), "variant", row->variant, "case", row->case_key,
                     "regime", row->regime, "threads", (json_int_t)row->threads, "reason",
                     text_or_null(row->reason), "repro", text_or_null(row->repro), "base_median_us",
                     number(row->base_us), "candidate_median_us", number(row->candidate_us), "first",
                     estimate_json(&row->first), "confirmation", estimate_json(&row->confirmation),
                     "threshold", number(row->threshold), "detectable", number(row->detectable), "same_code",
                     row->code_known ? json_boolean(row->same_code) : json_null());
}

static json_t *counts_json(const struct gate_report *r)
{
    size_t counts[GATE_OUTCOME_COUNT];
    json_t *o = json_object();
    count_outcomes(r, counts);
    for (unsigned i = 0; i < GATE_OUTCOME_COUNT; i++)
        if (json_object_set_new(o, gate_outcome_word((enum gate_outcome)i),
                                json_integer((json_int_t)counts[i])) != 0) {
            json_decref(o);
            return NULL;
        }
    return o;
}

/* Appends to an array and gives that back, or frees it: NULL stays NULL, so that memory is checked once. */
static json_t *append(json_t *array, json_t *item)
{
    if (json_array_append_new(array, item) == 0)
        return array;
    json_decref(array);
    return NULL;
}

/* Takes v. */
static enum status dump(json_t *v, FILE *out)
{
    if (!v)
        return status_no_memory("gate: the JSON");
    const bool written =
        json_dumpf(v, out, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) == 0 && fputc('\n', out) != EOF;
    json_decref(v);
    return written ? STATUS_OK : status_fail(STATUS_IO, "gate: cannot write the JSON");
}

enum status gate_report_json(const struct tidy *t, FILE *out)
{
    const struct gate_report *r = &t->report;
    json_t *rows = json_array();
    for (size_t i = 0; i < r->count; i++)
        rows = append(rows, row_json(&r->rows[i]));
    json_t *whole =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:b, s:o, s:i, s:o, s:o}", "suite", r->suite, "device",
                  r->device, "baseline", r->baseline, "candidate", r->candidate, "command", r->command,
                  "calibration", text_or_null(r->calibration), "disabled", text_or_null(r->disabled),
                  "advisory", r->advisory, "seconds", number(r->seconds), "exit_code",
                  gate_report_exit_code(r), "counts", counts_json(r), "rows", rows);
    return dump(whole, out);
}

static json_t *history_json(const struct gate_report *r, const struct gate_report_row *row)
{
    char change[CHANGE_SIZE];
    json_t *name =
        json_sprintf("%s %s %s threads=%u", row->variant, row->case_key, row->regime, row->threads);
    json_t *range =
        row->first.rounds ? json_sprintf("%s against the baseline", change_text(&row->first, change)) : NULL;
    json_t *extra = json_sprintf("%s\n%s\ncandidate %s\nbaseline %s", gate_outcome_word(row->outcome),
                                 r->device, r->candidate, r->baseline);
    return json_pack("{s:o, s:s, s:f, s:o*, s:o}", "name", name, "unit", "us", "value", row->candidate_us,
                     "range", range, "extra", extra);
}

enum status gate_report_smaller_is_better(const struct tidy *t, FILE *out)
{
    const struct gate_report *r = &t->report;
    json_t *list = json_array();
    for (size_t i = 0; i < r->count; i++)
        if (isfinite(r->rows[i].candidate_us) && r->rows[i].outcome != GATE_OUTCOME_WRONG)
            list = append(list, history_json(r, &r->rows[i]));
    return dump(list, out);
}
