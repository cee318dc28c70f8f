/* junit.c: JUnit XML. */
#include <math.h>
#include <string.h>

#include "results/gate_report/form.h"

/* The element that a row's testcase has, or NULL: it passed. */
static const char *junit_element(const struct gate_report *r, const struct gate_report_row *row)
{
    switch (row->outcome) {
    case GATE_OUTCOME_WRONG:
        return "error";
    case GATE_OUTCOME_REGRESSED:
        return is_failure(r, row) ? "failure" : "skipped";
    case GATE_OUTCOME_INCONCLUSIVE:
    case GATE_OUTCOME_SKIPPED:
        return "skipped";
    default:
        return NULL;
    }
}

static void put_attribute(const char *name, const char *value, FILE *out)
{
    fprintf(out, " %s=\"", name);
    text_put(TEXT_XML, value, out);
    fputc('"', out);
}

static void put_seconds(double seconds, FILE *out)
{
    if (isfinite(seconds) && seconds >= 0)
        fprintf(out, " time=\"%.9f\"", seconds);
}

static void put_p(const char *before, double p, FILE *out)
{
    if (isfinite(p))
        fprintf(out, "%s%.2g", before, p);
}

static void put_estimate(const char *what, const struct gate_estimate *e, FILE *out)
{
    char text[CHANGE_SIZE];
    if (e->rounds == 0)
        return;
    fprintf(out, "%s: %s in %zu round%s", what, change_text(e, text), e->rounds, plural(e->rounds));
    put_p(", p = ", e->p_slower, out);
    put_p(", by sign flips ", e->p_sign_flip, out);
    fputc('\n', out);
}

static void put_line(const char *before, const char *text, FILE *out)
{
    if (!*text)
        return;
    put_text(before, text, TEXT_XML, out);
    fputc('\n', out);
}

/* All that is known of a row, for eyes. */
static void put_diagnosis(const struct gate_report *r, const struct gate_report_row *row, FILE *out)
{
    char text[SHARE_SIZE];
    fprintf(out, "%s: %s\n", gate_outcome_word(row->outcome), outcome_meaning(row->outcome));
    put_line("", row->reason, out);
    if (isfinite(row->base_us) && isfinite(row->candidate_us))
        fprintf(out, "medians: base %.3f us, candidate %.3f us\n", row->base_us, row->candidate_us);
    put_estimate("change, 95 %", &row->first, out);
    put_estimate("again", &row->confirmation, out);
    if (row->first.rounds) {
        fprintf(out, "counts as slower from %s on\n", share_text(row->threshold, text));
        if (isfinite(row->detectable))
            fprintf(out, "calibration found slowdowns from %s on in 95 %% of the gates or more\n",
                    share_text(row->detectable, text));
    }
    if (row->code_known)
        fprintf(out, "machine code: %s\n", row->same_code ? "equal on both sides" : "not the same");
    put_line("this row: ", row->repro, out);
    put_line("the gate: ", r->command, out);
}

static void put_testcase(const struct gate_report *r, const struct gate_report_row *row, FILE *out)
{
    const char *element = junit_element(r, row);
    put_text("    <testcase classname=\"", r->suite, TEXT_XML, out);
    put_text(".", row->regime, TEXT_XML, out);
    put_text("\" name=\"", row->variant, TEXT_XML, out);
    put_text(" ", row->case_key, TEXT_XML, out);
    fprintf(out, " threads=%u\"", row->threads);
    put_seconds(row->candidate_us * 1e-6, out);
    if (element) {
        fprintf(out, ">\n      <%s type=\"%s\" message=\"", element, gate_outcome_word(row->outcome));
        put_finding(row, TEXT_XML, out);
        fputs("\">", out);
    } else {
        fputs(">\n      <system-out>", out);
    }
    put_diagnosis(r, row, out);
    fprintf(out, "</%s>\n    </testcase>\n", element ? element : "system-out");
}

enum status gate_report_junit(const struct tidy *t, FILE *out)
{
    const struct gate_report *r = &t->report;
    size_t failures = 0, errors = 0, skipped = 0;
    for (size_t i = 0; i < r->count; i++) {
        const char *element = junit_element(r, &r->rows[i]);
        failures += element && strcmp(element, "failure") == 0;
        errors += element && strcmp(element, "error") == 0;
        skipped += element && strcmp(element, "skipped") == 0;
    }
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", out);
    for (int level = 0; level < 2; level++) {
        fputs(level ? "  <testsuite" : "<testsuites", out);
        put_attribute("name", level ? r->suite : "nf4bench gate", out);
        fprintf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\"", r->count, failures,
                errors, skipped);
        put_seconds(r->seconds, out);
        fputs(">\n", out);
    }
    const struct {
        const char *name, *value;
    } properties[] = {{"device", r->device},
                      {"baseline", r->baseline},
                      {"candidate", r->candidate},
                      {"command", r->command},
                      {"calibration", *r->calibration ? r->calibration : "none"},
                      {"disabled", r->disabled},
                      {"advisory", r->advisory ? "true" : "false"}};
    fputs("    <properties>\n", out);
    for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++) {
        fputs("      <property", out);
        put_attribute("name", properties[i].name, out);
        put_attribute("value", properties[i].value, out);
        fputs("/>\n", out);
    }
    fputs("    </properties>\n", out);
    for (size_t i = 0; i < r->count; i++)
        put_testcase(r, &r->rows[i], out);
    fputs("  </testsuite>\n</testsuites>\n", out);
    return STATUS_OK;
}
