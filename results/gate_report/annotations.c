/* annotations.c: GitHub workflow commands. */
#include "results/gate_report/form.h"

enum { ANNOTATIONS = 10 }; /* of a kind, GitHub shows no more of a step */

enum status gate_report_annotations(const struct tidy *t, FILE *out)
{
    size_t left = ANNOTATIONS;
    if (*t->report.disabled) {
        put_text("::warning title=No verdict on times::", t->report.disabled, TEXT_GITHUB_MESSAGE, out);
        fputc('\n', out);
        left--;
    }
    for (size_t i = 0; i < t->report.count && left > 0; i++) {
        const struct gate_report_row *row = t->worst[i];
        if (row->outcome > GATE_OUTCOME_INCONCLUSIVE)
            break;
        fprintf(out, "::%s title=%s ", is_failure(&t->report, row) ? "error" : "warning",
                gate_outcome_word(row->outcome));
        text_put(TEXT_GITHUB_PROPERTY, row->variant, out);
        put_text("::", row->case_key, TEXT_GITHUB_MESSAGE, out);
        put_text(", ", row->regime, TEXT_GITHUB_MESSAGE, out);
        fprintf(out, ", %u thread%s: ", row->threads, plural(row->threads));
        put_finding(row, TEXT_GITHUB_MESSAGE, out);
        if (*row->repro)
            put_text(". Again: ", row->repro, TEXT_GITHUB_MESSAGE, out);
        fputc('\n', out);
        left--;
    }
    return STATUS_OK;
}
