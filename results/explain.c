#include "results/export.h"

#include <math.h>
#include <string.h>

#include "harness/base/text.h"

static const struct {
    const char *check, *text;
} checks[] = {
#define CHECK(name, operations, applies, sentence) {#name, sentence},
#define GUARD(name, sentence)                      {#name, sentence},
#include "results/checks.inc"
};

static const char *meaning(const char *check)
{
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        if (strcmp(check, checks[i].check) == 0)
            return checks[i].text;
    return NULL;
}

static void put_number(FILE *out, const char *name, double value, const char *unit)
{
    if (!isnan(value))
        fprintf(out, "  %-26s %.6g%s%s\n", name, value, *unit ? " " : "", unit);
}

static void put_statistics(FILE *out, const struct row *r)
{
    const struct {
        const char *name;
        uint64_t count;
    } classes[] = {{"0", r->ulp_0},
                   {"1", r->ulp_1},
                   {"2", r->ulp_2},
                   {"3 to 4", r->ulp_4},
                   {"5 to 8", r->ulp_8},
                   {"9 to 16", r->ulp_16},
                   {"more, or NaN", r->ulp_more}};
    uint64_t total = 0;
    fprintf(out, "  %-26s %llu, of which %llu wrong\n", "elements compared",
            (unsigned long long)r->compared_count, (unsigned long long)r->mismatch_count);
    put_number(out, "max |y - fp64|", r->max_abs_error, "");
    put_number(out, "mean of y - fp64", r->mean_error, "");
    put_number(out, "relative Frobenius error", r->relative_frobenius_error, "");
    put_number(out, "SQNR against fp64", r->output_sqnr_db, "dB");
    put_number(out, "bound, where nearest", r->bound, "");
    put_number(out, "of which reached", r->bound_margin, "");
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        total += classes[i].count;
    if (total == 0)
        return;
    fprintf(out, "  distance on real data, units in the last place (largest %u):\n", r->max_ulp);
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        enum { BAR = 40 };
        double share = (double)classes[i].count / (double)total;
        if (classes[i].count)
            fprintf(out, "    %-14s %12llu  %.*s\n", classes[i].name, (unsigned long long)classes[i].count,
                    (int)ceil(share * BAR), "########################################");
    }
}

enum status explain_row(const struct result_set *s, size_t row, FILE *out)
{
    if (row >= s->row_count)
        return status_fail(STATUS_USAGE, "%s: there is no row %zu: it has rows 0 to %zu", s->path, row,
                           s->row_count - 1);
    const struct row *r = &s->rows[row];
    fprintf(out, "row %zu of %s: %s\n", row, s->path, verdict_word(r->verdict));
    fprintf(out, "  %-12s %s\n  %-12s %s, %u threads\n  %-12s %s\n", "variant", r->variant, "case",
            r->case_key, r->threads, "device", r->device);
    if (r->verdict == VERDICT_NONE)
        return STATUS_OK;
    const char *sought = meaning(r->check);
    if (*r->check)
        fprintf(out, sought ? "  %-12s %s (%s)\n" : "  %-12s %s\n",
                r->verdict == VERDICT_PASS ? "last check" : "check", r->check, sought);
    if (*r->reason)
        fprintf(out, "  %-12s %s\n", "reason", r->reason);
    if (*r->diagnosis) {
        fprintf(out, "  diagnosis\n");
        text_put_lines("    ", r->diagnosis, out);
    }
    if (r->verdict == VERDICT_SKIPPED)
        return STATUS_OK;
    put_statistics(out, r);
    fprintf(out, "  reproduce: nf4bench verify --case '%s' --variant %s --axis threads=%u", r->case_key,
            r->variant, r->threads);
    if (r->device_sm)
        fprintf(out, " --device cuda:%s", r->device_uuid);
    else if (strncmp(r->device, "simt", 4) == 0)
        fprintf(out, " --device %s", r->device);
    fprintf(out, "\n");
    return STATUS_OK;
}

enum status explain_list(const struct result_set *s, FILE *out)
{
    size_t wrong = 0, skipped = 0;
    for (size_t i = 0; i < s->row_count; i++) {
        const struct row *r = &s->rows[i];
        skipped += r->verdict == VERDICT_SKIPPED;
        if (r->verdict == VERDICT_PASS || r->verdict == VERDICT_NONE || r->verdict == VERDICT_SKIPPED)
            continue;
        fprintf(out, "%8zu  %-10s %-48s %s\n", i, verdict_word(r->verdict), r->variant, r->case_key);
        wrong++;
    }
    fprintf(out, "%zu of %zu rows are not PASS%s", wrong, s->row_count, wrong ? "; " : "");
    if (wrong)
        fprintf(out, "nf4bench explain %s ROW says why", s->path);
    if (skipped)
        fprintf(out, " (%zu are SKIPPED)", skipped);
    fprintf(out, "\n");
    return STATUS_OK;
}
