#include "harness/gate/protocol.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/progress.h"
#include "harness/base/stats.h"

static enum status rounds_init(struct gate_run *r, size_t rows, size_t count)
{
    *r = (struct gate_run){.count = count};
    r->differences = calloc(rows * count + 1, sizeof *r->differences);
    r->base_us = calloc(rows * count + 1, sizeof *r->base_us);
    r->candidate_us = calloc(rows * count + 1, sizeof *r->candidate_us);
    r->judged = calloc(rows + 1, sizeof *r->judged);
    const bool all = r->differences && r->base_us && r->candidate_us && r->judged;
    return all ? STATUS_OK : status_no_memory("gate");
}

static void rounds_release(struct gate_run *r)
{
    free(r->differences);
    free(r->base_us);
    free(r->candidate_us);
    free(r->judged);
}

static enum status measure(struct gate_sides *s, struct gate_run *r, size_t first_round, const bool *wanted,
                           const char *what)
{
    struct progress progress;
    progress_init(&progress, 1, 1);
    progress_step(&progress, 1, what);
    enum status status = STATUS_OK;
    char text[80];
    for (size_t k = 0; k < r->count && status == STATUS_OK; k++) {
        snprintf(text, sizeof text, "round %zu of %zu", k + 1, r->count);
        progress_update(&progress, (double)k / (double)r->count, text);
        status = gate_round(s, first_round + k, wanted);
        for (size_t i = 0; i < s->row_count && status == STATUS_OK; i++) {
            r->base_us[i * r->count + k] = s->rows[i].us[0];
            r->candidate_us[i * r->count + k] = s->rows[i].us[1];
            r->differences[i * r->count + k] = log(s->rows[i].us[1] / s->rows[i].us[0]);
        }
    }
    snprintf(text, sizeof text, "%zu rounds", r->count);
    if (status == STATUS_OK)
        progress_step_done(&progress, text);
    progress_clear(&progress);
    return status;
}

static double median_of(const double *values, size_t count)
{
    double scratch[GATE_ROUNDS_MAX];
    memcpy(scratch, values, count * sizeof *scratch);
    return quantile(scratch, count, 0.5);
}

void gate_row_calibrate(struct gate_row *row, const struct calibration_row *calibrated)
{
    row->margin = calibrated ? calibrated->noise_floor / 2 : 0;
    row->matters = calibrated ? calibrated->aa_p99 : 0;
}

static const struct calibration_row *calibrated_row(const struct gate_settings *settings,
                                                    const struct gate_case *c)
{
    return settings->calibration ? calibration_find(settings->calibration, c->case_text, c->variant,
                                                    regime_word(c->regime), c->threads)
                                 : NULL;
}

/* All rows that were measured in all rounds, judged together. */
static enum status judge(const struct gate_sides *s, const struct gate_settings *settings, struct gate_run *r,
                         const bool *wanted)
{
    struct gate_row *rows = calloc(s->row_count + 1, sizeof *rows);
    size_t count = 0;
    if (!rows)
        return status_no_memory("gate");
    for (size_t i = 0; i < s->row_count; i++) {
        bool whole = gate_case_timed(&s->rows[i]) && (!wanted || wanted[i]);
        for (size_t k = 0; k < r->count; k++)
            whole = whole && isfinite(r->differences[i * r->count + k]);
        if (!whole)
            continue;
        rows[count] = (struct gate_row){.differences = r->differences + i * r->count,
                                        .rounds = r->count,
                                        .base_us = median_of(r->base_us + i * r->count, r->count)};
        gate_row_calibrate(&rows[count++], calibrated_row(settings, &s->rows[i]));
    }
    gate_judge(rows, count, &gate_limits_default);
    for (size_t j = 0; j < count; j++)
        r->judged[(size_t)(rows[j].differences - r->differences) / r->count] = rows[j];
    free(rows);
    return STATUS_OK;
}

static bool is_flagged(enum gate_outcome v)
{
    return v == GATE_OUTCOME_REGRESSED || v == GATE_OUTCOME_IMPROVED;
}

enum gate_outcome gate_confirmed(enum gate_outcome first, enum gate_outcome second)
{
    if (!is_flagged(first) || first == second)
        return first;
    return is_flagged(second) ? GATE_OUTCOME_INCONCLUSIVE : second;
}

/* ---- the report ---- */

static struct gate_estimate estimate_of(const struct gate_row *r)
{
    return (struct gate_estimate){.rounds = r->rounds,
                                  .differences = r->differences,
                                  .ratio = exp(r->mean),
                                  .lo = exp(r->lo),
                                  .hi = exp(r->hi),
                                  .p_slower = r->p_slower,
                                  .p_sign_flip = sign_flip_p(r->differences, r->rounds, 1)};
}

/* What there is to say of a row that was timed. The case's `reason` is free: it is right. */
static void remark(struct gate_case *c, const struct gate_report_row *row, enum gate_outcome first,
                   enum gate_outcome second)
{
    char *text = c->reason;
    const size_t size = sizeof c->reason;
    text[0] = '\0';
    if (row->confirmation.rounds && first != second)
        snprintf(text, size, "not confirmed: %s in the first run, %s in the second", gate_outcome_word(first),
                 gate_outcome_word(second));
    else if (row->outcome == GATE_OUTCOME_INCONCLUSIVE)
        snprintf(text, size,
                 "the interval holds differences that matter and none at all: more rounds, or a quieter "
                 "machine");
}

static void report_row(struct gate_sides *s, const struct gate_settings *settings, size_t i,
                       const struct gate_run *first, const struct gate_run *second,
                       struct gate_report_row *out)
{
    struct gate_case *c = &s->rows[i];
    /* Of the program's own variants, a program of the same sources has each. */
    const bool own = kernel_find(c->variant) != NULL;
    snprintf(c->repro, sizeof c->repro,
             "nf4bench verify --case '%s' --variant %s --axis threads=%u%s%s%s%s%s", c->case_text, c->variant,
             c->threads, strcmp(s->device, "cpu") == 0 ? "" : " --device ",
             strcmp(s->device, "cpu") == 0 ? "" : s->device, own ? "" : " --plugin '",
             own ? "" : s->candidate, own ? "" : "'");
    const struct gate_row *a = &first->judged[i], *b = &second->judged[i];
    const struct calibration_row *calibrated = calibrated_row(settings, c);
    *out = (struct gate_report_row){.case_key = c->case_text,
                                    .variant = c->variant,
                                    .regime = regime_word(c->regime),
                                    .threads = c->threads,
                                    .reason = c->reason,
                                    .repro = "",
                                    .base_us = NAN,
                                    .candidate_us = NAN,
                                    .threshold = fmax(gate_limits_default.matters, a->matters),
                                    .detectable = calibrated ? calibrated->detectable : NAN,
                                    .code_known = c->code[0][0] && c->code[1][0]};
    out->same_code = out->code_known && strcmp(c->code[0], c->code[1]) == 0;
    if (!gate_case_timed(c)) {
        const bool skipped = c->skip[0] && (c->verdict == VERDICT_PASS || c->verdict == VERDICT_NONE);
        out->outcome = skipped ? GATE_OUTCOME_SKIPPED : GATE_OUTCOME_WRONG;
        out->reason = skipped ? c->skip : c->reason;
        if (!skipped)
            out->repro = c->repro;
        return;
    }
    if (a->rounds == 0) {
        out->outcome = GATE_OUTCOME_INCONCLUSIVE;
        snprintf(c->reason, sizeof c->reason, "a round has no time of it");
        return;
    }
    out->base_us = median_of(first->base_us + i * first->count, first->count);
    out->candidate_us = median_of(first->candidate_us + i * first->count, first->count);
    out->first = estimate_of(a);
    if (b->rounds)
        out->confirmation = estimate_of(b);
    out->outcome = b->rounds ? gate_confirmed(a->outcome, b->outcome) : a->outcome;
    remark(c, out, a->outcome, b->outcome);
}

/* ---- the whole ---- */

static enum status verify_all(struct gate_sides *s)
{
    struct progress progress;
    char text[80];
    progress_init(&progress, 1, 1);
    progress_step(&progress, 1, "verifying");
    const enum status status = gate_verify(s);
    snprintf(text, sizeof text, "%zu rows", s->row_count);
    if (status == STATUS_OK)
        progress_step_done(&progress, text);
    progress_clear(&progress);
    return status;
}

static enum status run(struct gate_sides *s, const struct gate_settings *settings, struct gate_run *first,
                       struct gate_run *second, bool *flagged)
{
    bool any = false;
    TRY(rounds_init(first, s->row_count, settings->rounds));
    TRY(rounds_init(second, s->row_count, settings->confirm_rounds));
    TRY(verify_all(s));
    TRY(measure(s, first, 0, NULL, "timing"));
    TRY(judge(s, settings, first, NULL));
    for (size_t i = 0; i < s->row_count; i++) {
        flagged[i] = first->judged[i].rounds && is_flagged(first->judged[i].outcome);
        any = any || flagged[i];
    }
    if (!any)
        return STATUS_OK;
    TRY(measure(s, second, first->count, flagged, "confirming"));
    return judge(s, settings, second, flagged);
}

enum status gate_compare(struct gate_sides *s, const struct gate_settings *settings,
                         struct gate_comparison *out)
{
    *out = (struct gate_comparison){.rows = calloc(s->row_count + 1, sizeof *out->rows)};
    bool *flagged = calloc(s->row_count + 1, sizeof *flagged);
    enum status status = flagged && out->rows ? STATUS_OK : status_no_memory("gate");
    if (status == STATUS_OK)
        status = run(s, settings, &out->first, &out->second, flagged);
    for (size_t i = 0; i < s->row_count && status == STATUS_OK; i++)
        report_row(s, settings, i, &out->first, &out->second, &out->rows[i]);
    free(flagged);
    if (status != STATUS_OK)
        gate_comparison_release(out);
    return status;
}

void gate_comparison_release(struct gate_comparison *c)
{
    rounds_release(&c->first);
    rounds_release(&c->second);
    free(c->rows);
    *c = (struct gate_comparison){.rows = NULL};
}
