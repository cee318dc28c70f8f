#include "results/gate_report/gate_report.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tests/test.h"

/* A row that was compared over 12 rounds. */
static struct gate_report_row row(const char *variant, enum gate_outcome outcome, double ratio)
{
    return (struct gate_report_row){
        .case_key = "dequant bf16 n=1 k=1",
        .variant = variant,
        .regime = "cold",
        .threads = 2,
        .outcome = outcome,
        .reason = "",
        .repro = "",
        .base_us = 100,
        .candidate_us = 100 * ratio,
        .first = {12, ratio, ratio - 0.009, ratio + 0.009, 0.001, 0.002},
        .threshold = 0.01,
        .detectable = 0.02,
        .code_known = true,
    };
}

static struct gate_report_row untimed(const char *variant, enum gate_outcome outcome, const char *reason)
{
    struct gate_report_row r = row(variant, outcome, NAN);
    r.first = (struct gate_estimate){0, NAN, NAN, NAN, NAN, NAN, NULL};
    r.base_us = r.candidate_us = r.threshold = r.detectable = NAN;
    r.code_known = false;
    r.reason = reason;
    return r;
}

static struct gate_report report_of(const struct gate_report_row *rows, size_t count)
{
    return (struct gate_report){.suite = "suites/gate.yaml",
                                .device = "a GPU",
                                .baseline = "0123abc",
                                .candidate = "4567def",
                                .command = "nf4bench gate suites/gate.yaml",
                                .calibration = "calibration.h5, 0 of 1500 gates cried wolf",
                                .disabled = "",
                                .seconds = 61.5,
                                .rows = rows,
                                .count = count};
}

/* ---- the forms ---- */

static const struct form {
    const char *name;
    gate_report_form *write; /* NULL: gate_report_summary() */
} forms[] = {{"summary", NULL},
             {"markdown", gate_report_markdown},
             {"json", gate_report_json},
             {"junit", gate_report_junit},
             {"annotations", gate_report_annotations},
             {"smaller_is_better", gate_report_smaller_is_better}};
enum { FORMS = sizeof forms / sizeof forms[0] };

/* The caller's. */
static char *text_of(gate_report_form *write, const struct gate_report *r)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (write)
        EXPECT_EQ(STATUS_OK, gate_report_write(r, write, out));
    else
        gate_report_summary(r, out);
    EXPECT_EQ(0, fclose(out));
    EXPECT_EQ(size, strlen(text)); /* no NUL in it */
    return text;
}

static size_t count_of(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

static json_t *json_of(gate_report_form *write, const struct gate_report *r)
{
    char *text = text_of(write, r);
    json_error_t error;
    json_t *v = json_loads(text, 0, &error);
    if (!v)
        test_note("%s", error.text);
    EXPECT_TRUE(v != NULL);
    test_note(NULL);
    free(text);
    return v;
}

/* What xmllint says of the JUnit form: -1 where there is none. */
static int junit_validity(const struct gate_report *r)
{
    char path[512], command[2048];
    if (system("command -v xmllint >/dev/null 2>&1") != 0)
        return -1;
    snprintf(path, sizeof path, "%s/gate.xml", test_temporary_directory());
    FILE *out = fopen(path, "w");
    EXPECT_TRUE(out != NULL);
    if (!out)
        return 1;
    EXPECT_EQ(STATUS_OK, gate_report_write(r, gate_report_junit, out));
    EXPECT_EQ(0, fclose(out));
    snprintf(command, sizeof command, "xmllint --noout --schema '%s' '%s' 2>&1",
             test_path("fixtures/junit.xsd"), path);
    return system(command);
}

/* ---- the tests ---- */

TEST(gate_report, exit_codes)
{
    enum { WRONG = 1, REGRESSED = 2, INCONCLUSIVE = 4, IMPROVED = 8, SAME = 16, SKIPPED = 32, ALL = 64 };
    for (unsigned set = 0; set < ALL; set++)
        for (unsigned disabled = 0; disabled < 2; disabled++)
            for (unsigned advisory = 0; advisory < 2; advisory++) {
                struct gate_report_row rows[GATE_OUTCOME_COUNT];
                size_t count = 0;
                for (unsigned o = 0; o < GATE_OUTCOME_COUNT; o++)
                    if (set & 1u << o)
                        rows[count++] = row("v", (enum gate_outcome)o, 1);
                struct gate_report r = report_of(rows, count);
                r.disabled = disabled ? "no locked clocks" : "";
                r.advisory = advisory;
                bool compared = set & (IMPROVED | SAME);
                int want = set & WRONG          ? 1
                           : advisory           ? 0
                           : disabled           ? 4
                           : set & REGRESSED    ? 3
                           : set & INCONCLUSIVE ? 4
                           : compared           ? 0
                                                : 2;
                test_note("outcomes 0x%x, disabled %u, advisory %u", set, disabled, advisory);
                EXPECT_EQ(want, gate_report_exit_code(&r));
                char said[32], *line = text_of(NULL, &r);
                snprintf(said, sizeof said, "; exit code %d: ", want);
                EXPECT_CONTAINS(line, said);
                EXPECT_EQ(1, count_of(line, "\n"));
                EXPECT_EQ(disabled, count_of(line, "no locked clocks"));
                free(line);
            }
    test_note(NULL);
}

TEST(gate_report, summary_counts_the_outcomes)
{
    struct gate_report_row rows[] = {row("a", GATE_OUTCOME_SAME, 1), row("b", GATE_OUTCOME_REGRESSED, 1.03),
                                     row("c", GATE_OUTCOME_SAME, 1)};
    struct gate_report r = report_of(rows, 3);
    char *line = text_of(NULL, &r);
    EXPECT_STREQ("1 REGRESSED, 2 SAME; exit code 3: a row is slower, in both runs\n", line);
    free(line);
    r.count = 0;
    line = text_of(NULL, &r);
    EXPECT_STREQ("no rows; exit code 2: no row was compared\n", line);
    free(line);
}

TEST(gate_report, markdown_reads_as_written)
{
    struct gate_report_row rows[] = {row("same", GATE_OUTCOME_SAME, 1.0001),
                                     row("slower", GATE_OUTCOME_REGRESSED, 1.031),
                                     untimed("wrong", GATE_OUTCOME_WRONG, "3 of 7 mismatches")};
    rows[0].first.lo = 0.998;
    rows[0].first.hi = 1.002;
    rows[0].detectable = 0.015;
    rows[1].confirmation = (struct gate_estimate){24, 1.029, 1.02, 1.038, 0.001, 0.001, NULL};
    rows[1].same_code = true;
    rows[2].repro = "nf4bench verify --case 'a `b` c'";
    struct gate_report r = report_of(rows, 3);
    char *text = text_of(gate_report_markdown, &r);
    static const char *const parts[] = {
        "# Gate: 1 WRONG, 1 REGRESSED, 1 SAME\n\nSuite suites/gate.yaml on a GPU: candidate 4567def against "
        "baseline 0123abc, in 62 s. Exit code 1: a variant is wrong.\n\n"
        "- 1 WRONG: the candidate's bits are not right, or it crashed or hung\n"
        "- 1 REGRESSED: slower, in both runs\n"
        "- 1 SAME: no difference that matters\n\n| outcome ",
        "| REGRESSED | slower  | dequant bf16 n=1 k=1 | cold, 2         |  100.00 | 103.10 | "
        "+3.1 % (+2.2 to +4.0) | +2.9 % (+2.0 to +3.8) |       1.0 % |\n",
        "| 100.01 | +0.0 % (-0.2 to +0.2) |                     - |       1.0 % |\n\n"
        "- WRONG wrong, dequant bf16 n=1 k=1, cold, 2 threads: 3 of 7 mismatches. "
        "Again: `` nf4bench verify --case 'a `b` c' ``\n"
        "- REGRESSED slower, dequant bf16 n=1 k=1, cold, 2 threads: the machine code of both sides is "
        "equal: what differs is where it lies, or the machine\n\n"
        "Calibration: calibration.h5, 0 of 1500 gates cried wolf. Slowdowns that it found in 95 % of the "
        "gates or more: from 1.5 % to 2.0 % on, by row.\n\n"
        "The command was `nf4bench gate suites/gate.yaml`\n"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        EXPECT_CONTAINS(text, parts[i]);
    free(text);
    rows[1].confirmation.rounds = 0;
    text = text_of(gate_report_markdown, &r);
    EXPECT_EQ(0, count_of(text, "again "));
    EXPECT_CONTAINS(text, "(+2.2 to +4.0) |       1.0 % |\n");
    free(text);
}

TEST(gate_report, markdown_says_what_the_verdicts_are_worth)
{
    struct gate_report_row rows[] = {row("v", GATE_OUTCOME_SAME, 1)};
    struct gate_report r = report_of(rows, 1);
    char *text = text_of(gate_report_markdown, &r);
    EXPECT_EQ(0, count_of(text, "Advisory") + count_of(text, "No verdict on times"));
    EXPECT_CONTAINS(text, "from 2.0 % on.\n");
    free(text);
    r.calibration = "";
    r.disabled = "the clocks are <not> locked";
    r.advisory = true;
    text = text_of(gate_report_markdown, &r);
    EXPECT_CONTAINS(text, "\nNot calibrated: ");
    EXPECT_CONTAINS(text, "**No verdict on times:** the clocks are \\<not> locked\n");
    EXPECT_CONTAINS(text, "**Advisory:** ");
    free(text);
}

TEST(gate_report, every_row_that_can_be_shown_again_is)
{
    struct gate_report_row rows[] = {untimed("a", GATE_OUTCOME_WRONG, "why"),
                                     untimed("b", GATE_OUTCOME_WRONG, "why"),
                                     untimed("c", GATE_OUTCOME_WRONG, "why")};
    rows[0].repro = "show a";
    rows[1].repro = "show b";
    struct gate_report r = report_of(rows, 3);
    char *text = text_of(gate_report_markdown, &r);
    EXPECT_CONTAINS(text, "- WRONG a, dequant bf16 n=1 k=1, cold, 2 threads: why. Again: `show a`\n"
                          "- WRONG b, dequant bf16 n=1 k=1, cold, 2 threads: why. Again: `show b`\n"
                          "- WRONG c, dequant bf16 n=1 k=1, cold, 2 threads: why\n");
    free(text);
}

/* Of where each name first stands in the text. */
static void expect_order(const char *text, const char *const *names, size_t count)
{
    const char *before = text;
    for (size_t i = 0; i < count; i++) {
        test_note("%s", names[i]);
        const char *at = strstr(text, names[i]);
        EXPECT_TRUE(at != NULL);
        EXPECT_TRUE(at >= before);
        before = at ? at : before;
    }
    test_note(NULL);
}

TEST(gate_report, the_worst_rows_come_first)
{
    struct gate_report_row rows[] = {untimed("v_skipped_b", GATE_OUTCOME_SKIPPED, "why"),
                                     row("v_same_slower", GATE_OUTCOME_SAME, 1.009),
                                     untimed("v_skipped_a", GATE_OUTCOME_SKIPPED, "why"),
                                     row("v_faster", GATE_OUTCOME_IMPROVED, 0.9),
                                     untimed("v_unknown_untimed", GATE_OUTCOME_INCONCLUSIVE, "hangs"),
                                     row("v_unknown", GATE_OUTCOME_INCONCLUSIVE, 1.01),
                                     row("v_slower", GATE_OUTCOME_REGRESSED, 1.03),
                                     row("v_slowest", GATE_OUTCOME_REGRESSED, 2),
                                     untimed("v_bits", GATE_OUTCOME_WRONG, "wrong bits"),
                                     row("v_same", GATE_OUTCOME_SAME, 1)};
    static const char *const want[] = {
        "v_bits",   "v_slowest",     "v_slower", "v_unknown",   "v_unknown_untimed",
        "v_faster", "v_same_slower", "v_same ",  "v_skipped_a", "v_skipped_b"};
    struct gate_report r = report_of(rows, sizeof rows / sizeof rows[0]);
    char *text = text_of(gate_report_markdown, &r);
    expect_order(text, want, sizeof want / sizeof want[0]);
    EXPECT_CONTAINS(text, "\n- SKIPPED (2 rows): why\n"); /* one line for what is alike */
    free(text);
    text = text_of(gate_report_annotations, &r);
    expect_order(text, want, 5);
    EXPECT_EQ(5, count_of(text, "\n"));
    free(text);
    json_t *v = json_of(gate_report_json, &r); /* for programs: as they were given */
    for (size_t i = 0; i < r.count; i++)
        EXPECT_STREQ(rows[i].variant, json_string_value(json_object_get(
                                          json_array_get(json_object_get(v, "rows"), i), "variant")));
    json_decref(v);
}

TEST(gate_report, markdown_stays_under_a_mebibyte)
{
    enum { MANY = 20000 };
    struct gate_report_row *rows = malloc(MANY * sizeof *rows);
    char *long_text = malloc(3000000);
    ASSERT_TRUE(rows && long_text);
    for (size_t i = 0; i < MANY; i++) {
        rows[i] = row("v", i == MANY - 1 ? GATE_OUTCOME_REGRESSED : GATE_OUTCOME_SAME, 1 + 1e-6 * (double)i);
        rows[i].reason = "a reason";
    }
    rows[MANY - 1].variant = "the_worst";
    struct gate_report r = report_of(rows, MANY);
    char left_out[64], *text;
    for (size_t count = MANY; count > MANY / 8; count -= MANY / 8) { /* from the worst on */
        r.rows = rows + MANY - count;
        r.count = count;
        text = text_of(gate_report_markdown, &r);
        size_t listed = count_of(text, ", 2  ");
        test_note("%zu rows, %zu listed", count, listed);
        EXPECT_TRUE(strlen(text) < 1 << 20);
        EXPECT_TRUE(strlen(text) > 800000 || listed == count);
        EXPECT_CONTAINS(text, "| the_worst |");
        EXPECT_CONTAINS(text, "The command was `nf4bench gate suites/gate.yaml`\n");
        snprintf(left_out, sizeof left_out, "\n%zu further rows are left out.\n", count - listed);
        EXPECT_EQ(listed < count, count_of(text, left_out));
        free(text);
    }
    test_note(NULL);
    r.rows = rows;
    /* Texts of any length: a row's are cut, and so are those around the table. */
    memset(long_text, '*', 2999999);
    long_text[2999999] = '\0';
    rows[0].reason = rows[0].variant = rows[0].case_key = rows[0].regime = rows[0].repro = long_text;
    r.count = 1;
    r.suite = r.device = r.command = r.disabled = r.calibration = r.baseline = r.candidate = long_text;
    text = text_of(gate_report_markdown, &r);
    EXPECT_TRUE(strlen(text) < 1 << 20);
    free(text);
    free(long_text);
    free(rows);
}

TEST(gate_report, annotations_are_ten_at_most)
{
    struct gate_report_row rows[30];
    for (size_t i = 0; i < 30; i++)
        rows[i] = row("v",
                      i < 3    ? GATE_OUTCOME_INCONCLUSIVE
                      : i < 25 ? GATE_OUTCOME_REGRESSED
                               : GATE_OUTCOME_WRONG,
                      1.5);
    struct gate_report r = report_of(rows, 30);
    char *text = text_of(gate_report_annotations, &r);
    EXPECT_EQ(10, count_of(text, "\n"));
    EXPECT_EQ(5, count_of(text, "::error title=WRONG v::dequant bf16 n=1 k=1, cold, 2 threads: "));
    EXPECT_EQ(5, count_of(text, "::error title=REGRESSED v::"));
    free(text);
    r.count = 4;
    text = text_of(gate_report_annotations, &r);
    EXPECT_EQ(4, count_of(text, "\n"));
    EXPECT_CONTAINS(text, "::error title=REGRESSED v::dequant bf16 n=1 k=1, cold, 2 threads: +50.0 %25 "
                          "(+49.1 to +50.9) in 12 rounds\n::warning title=INCONCLUSIVE v::");
    free(text);
    r.count = 30;
    r.disabled = "clocks, 50 % of them";
    text = text_of(gate_report_annotations, &r);
    EXPECT_EQ(10, count_of(text, "\n"));
    EXPECT_EQ(1, count_of(text, "::warning title=No verdict on times::clocks, 50 %25 of them\n"));
    EXPECT_EQ(5, count_of(text, "::error title=WRONG "));
    EXPECT_EQ(4, count_of(text, "::warning title=REGRESSED ")); /* no verdict, no error */
    free(text);
    r.disabled = "";
    r.advisory = true;
    text = text_of(gate_report_annotations, &r);
    EXPECT_EQ(5, count_of(text, "::warning title=REGRESSED "));
    free(text);
}

#define HOSTILE "a<b>&\"c'\n%\x01|`*:,\xff]]>\xef\xbf\xbf\xc2\x85"

TEST(gate_report, junit_escapes_everything)
{
    struct gate_report_row rows[] = {row(HOSTILE, GATE_OUTCOME_REGRESSED, 1.03)};
    rows[0].reason = rows[0].repro = rows[0].case_key = rows[0].regime = HOSTILE;
    struct gate_report r = report_of(rows, 1);
    r.suite = r.device = r.baseline = r.candidate = r.command = r.calibration = r.disabled = HOSTILE;
    char *text = text_of(gate_report_junit, &r);
    const char *escaped = "a&lt;b&gt;&amp;&quot;c'&#10;%?|`*:,?]]&gt;?????";
    EXPECT_EQ(15, count_of(text, escaped)); /* wherever one was given */
    EXPECT_EQ(0, count_of(text, "\x01") + count_of(text, "\xff") + count_of(text, "\xc2"));
    EXPECT_EQ(0, count_of(text, "]]>"));
    free(text);
    int validity = junit_validity(&r);
    EXPECT_TRUE(validity <= 0);
}

TEST(gate_report, annotations_escape_everything)
{
    struct gate_report_row rows[] = {row(HOSTILE, GATE_OUTCOME_REGRESSED, 1.03)};
    rows[0].reason = rows[0].repro = HOSTILE "\r::error::forged";
    struct gate_report r = report_of(rows, 1);
    char *text = text_of(gate_report_annotations, &r);
    EXPECT_STREQ("::error title=REGRESSED a<b>&\"c'%0A%25?|`*%3A%2C?]]>?????::dequant bf16 n=1 k=1, cold, "
                 "2 threads: +3.0 %25 (+2.1 to +3.9) in 12 rounds; "
                 "a<b>&\"c'%0A%25?|`*:,?]]>?????%0D::error::forged. Again: "
                 "a<b>&\"c'%0A%25?|`*:,?]]>?????%0D::error::forged\n",
                 text);
    free(text);
}

TEST(gate_report, json_and_markdown_take_any_text)
{
    struct gate_report_row rows[] = {row(HOSTILE, GATE_OUTCOME_REGRESSED, 1.03)};
    rows[0].reason = rows[0].repro = rows[0].case_key = rows[0].regime = HOSTILE;
    struct gate_report r = report_of(rows, 1);
    r.suite = r.device = r.baseline = r.candidate = r.command = r.calibration = r.disabled = HOSTILE;
    const char *cleaned = "a<b>&\"c'\n%?|`*:,?]]>?????";
    json_t *v = json_of(gate_report_json, &r), *first = json_array_get(json_object_get(v, "rows"), 0);
    EXPECT_STREQ(cleaned, json_string_value(json_object_get(v, "disabled")));
    EXPECT_STREQ(cleaned, json_string_value(json_object_get(first, "variant")));
    json_decref(v);
    v = json_of(gate_report_smaller_is_better, &r);
    EXPECT_CONTAINS(json_string_value(json_object_get(json_array_get(v, 0), "name")), cleaned);
    json_decref(v);
    char *text = text_of(gate_report_markdown, &r);
    EXPECT_CONTAINS(text, "| a\\<b>\\&\"c' %?\\|\\`\\*:,?]]>????? |");
    EXPECT_CONTAINS(text, "The command was `` a<b>&\"c' %?|`*:,?]]>????? ``\n");
    free(text);
    text = text_of(NULL, &r);
    EXPECT_STREQ("1 REGRESSED; exit code 4: no verdict on times: a<b>&\"c' %?|`*:,?]]>?????\n", text);
    free(text);
}

TEST(gate_report, junit_outcomes)
{
    struct gate_report_row rows[] = {untimed("bits", GATE_OUTCOME_WRONG, "3 of 7 mismatches"),
                                     row("slower", GATE_OUTCOME_REGRESSED, 1.031),
                                     row("unknown", GATE_OUTCOME_INCONCLUSIVE, 1.01),
                                     row("faster", GATE_OUTCOME_IMPROVED, 0.9),
                                     row("same", GATE_OUTCOME_SAME, 1),
                                     untimed("other", GATE_OUTCOME_SKIPPED, "needs avx512")};
    rows[0].repro = "nf4bench verify again";
    rows[1].confirmation = (struct gate_estimate){24, 1.029, 1.02, 1.038, 0.001, 0.001, NULL};
    struct gate_report r = report_of(rows, 6);
    char *text = text_of(gate_report_junit, &r);
    static const char *const parts[] = {
        " tests=\"6\" failures=\"1\" errors=\"1\" skipped=\"2\" time=\"61.500000000\">\n",
        "<testcase classname=\"suites/gate.yaml.cold\" name=\"bits dequant bf16 n=1 k=1 threads=2\">\n"
        "      <error type=\"WRONG\" message=\"3 of 7 mismatches\">WRONG: ",
        "\nthis row: nf4bench verify again\nthe gate: nf4bench gate suites/gate.yaml\n</error>",
        "name=\"slower dequant bf16 n=1 k=1 threads=2\" time=\"0.000103100\">\n"
        "      <failure type=\"REGRESSED\" message=\"+3.1 % (+2.2 to +4.0) in 12 rounds, again "
        "+2.9 % (+2.0 to +3.8) in 24 rounds\">REGRESSED: slower, in both runs\n"
        "medians: base 100.000 us, candidate 103.100 us\n"
        "change, 95 %: +3.1 % (+2.2 to +4.0) in 12 rounds, p = 0.001, by sign flips 0.002\n"
        "again: +2.9 % (+2.0 to +3.8) in 24 rounds, p = 0.001, by sign flips 0.001\n"
        "counts as slower from 1.0 % on\n",
        "<skipped type=\"INCONCLUSIVE\" message=\"+1.0 % (+0.1 to +1.9) in 12 rounds\">",
        "time=\"0.000090000\">\n      <system-out>IMPROVED: faster, in both runs\n",
        "<skipped type=\"SKIPPED\" message=\"needs avx512\">",
        "<property name=\"device\" value=\"a GPU\"/>",
        "<property name=\"baseline\" value=\"0123abc\"/>",
        "<property name=\"candidate\" value=\"4567def\"/>",
        "<property name=\"command\" value=\"nf4bench gate suites/gate.yaml\"/>",
        "<property name=\"calibration\" value=\"calibration.h5, 0 of 1500 gates cried wolf\"/>"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        EXPECT_CONTAINS(text, parts[i]);
    EXPECT_EQ(6, count_of(text, "<testcase "));
    free(text);
    for (unsigned i = 0; i < 2; i++) { /* both ways, times fail nothing */
        r.advisory = i == 0;
        r.disabled = i == 0 ? "" : "no locked clocks";
        text = text_of(gate_report_junit, &r);
        EXPECT_EQ(2, count_of(text, " failures=\"0\" errors=\"1\" skipped=\"3\""));
        EXPECT_CONTAINS(text, "<skipped type=\"REGRESSED\" ");
        free(text);
    }
}

TEST(gate_report, junit_keeps_to_its_schema)
{
    struct gate_report_row rows[GATE_OUTCOME_COUNT * 2];
    for (unsigned o = 0; o < GATE_OUTCOME_COUNT; o++) {
        rows[2 * o] = row(gate_outcome_word((enum gate_outcome)o), (enum gate_outcome)o, 1.01);
        rows[2 * o + 1] = untimed(gate_outcome_word((enum gate_outcome)o), (enum gate_outcome)o, "why");
        rows[2 * o + 1].threads = 1;
    }
    struct gate_report r = report_of(rows, sizeof rows / sizeof rows[0]);
    int validity = junit_validity(&r);
    if (validity < 0)
        MISSING("there is no xmllint");
    EXPECT_EQ(0, validity);
    r.count = 0;
    EXPECT_EQ(0, junit_validity(&r));
    r.seconds = NAN;
    EXPECT_EQ(0, junit_validity(&r));
    r.suite = ""; /* the schema can refuse */
    EXPECT_TRUE(junit_validity(&r) != 0);
}

/* Everything that can be: of a row that claims rounds as well. */
TEST(gate_report, no_form_writes_nan)
{
    struct gate_report_row rows[] = {untimed("a", GATE_OUTCOME_WRONG, ""),
                                     untimed("b", GATE_OUTCOME_REGRESSED, ""),
                                     row("c", GATE_OUTCOME_SAME, NAN), row("d", GATE_OUTCOME_SAME, INFINITY)};
    rows[1].first.rounds = rows[1].confirmation.rounds = 3;
    rows[1].confirmation.ratio = rows[1].confirmation.lo = rows[1].confirmation.hi = NAN;
    rows[2].first.p_slower = rows[2].threshold = rows[2].detectable = NAN;
    struct gate_report r = report_of(rows, 4);
    r.seconds = NAN;
    r.calibration = "a file";
    for (size_t f = 0; f < FORMS; f++) {
        char *text = text_of(forms[f].write, &r);
        for (char *at = text; *at; at++)
            *at = (char)tolower((unsigned char)*at);
        test_note("%s", forms[f].name);
        EXPECT_EQ(0, count_of(text, "nan"));
        EXPECT_EQ(0, count_of(text, "inf "));
        EXPECT_EQ(0, count_of(text, "+inf"));
        free(text);
    }
    test_note(NULL);
    json_t *v = json_of(gate_report_json, &r), *list = json_object_get(v, "rows");
    EXPECT_TRUE(json_is_null(json_object_get(v, "seconds")));
    EXPECT_TRUE(json_is_null(json_object_get(json_array_get(list, 0), "base_median_us")));
    EXPECT_TRUE(json_is_null(json_object_get(json_array_get(list, 0), "first")));
    EXPECT_TRUE(json_is_null(json_object_get(json_array_get(list, 0), "detectable")));
    EXPECT_TRUE(json_is_null(json_object_get(json_array_get(list, 0), "same_code")));
    EXPECT_TRUE(json_is_null(json_object_get(json_object_get(json_array_get(list, 1), "first"), "ratio")));
    json_decref(v);
}

TEST(gate_report, json_has_everything)
{
    struct gate_report_row rows[] = {row("v", GATE_OUTCOME_REGRESSED, 1.03)};
    static const double differences[] = {0.5, -0.25};
    rows[0].confirmation = (struct gate_estimate){2, 1.029, 1.02, 1.038, 0.003, 0.004, differences};
    rows[0].same_code = true;
    struct gate_report r = report_of(rows, 1);
    json_t *v = json_of(gate_report_json, &r), *one = json_array_get(json_object_get(v, "rows"), 0);
    json_t *want =
        json_pack("{s:s, s:s, s:s, s:s, s:i, s:n, s:n, s:f, s:f, s:{s:i, s:f, s:f, s:f, s:f, s:f, s:n}, "
                  "s:{s:i, s:f, s:f, s:f, s:f, s:f, s:[f, f]}, s:f, s:f, s:b}",
                  "outcome", "REGRESSED", "variant", "v", "case", "dequant bf16 n=1 k=1", "regime", "cold",
                  "threads", 2, "reason", "repro", "base_median_us", 100.0, "candidate_median_us", 100 * 1.03,
                  "first", "rounds", 12, "ratio", 1.03, "ratio_lo", 1.03 - 0.009, "ratio_hi", 1.03 + 0.009,
                  "p_slower", 0.001, "p_sign_flip", 0.002, "differences", "confirmation", "rounds", 2,
                  "ratio", 1.029, "ratio_lo", 1.02, "ratio_hi", 1.038, "p_slower", 0.003, "p_sign_flip",
                  0.004, "differences", 0.5, -0.25, "threshold", 0.01, "detectable", 0.02, "same_code", true);
    ASSERT_TRUE(want != NULL);
    EXPECT_TRUE(json_equal(want, one));
    json_decref(want);
    EXPECT_EQ(3, json_integer_value(json_object_get(v, "exit_code")));
    EXPECT_EQ(1, json_integer_value(json_object_get(json_object_get(v, "counts"), "REGRESSED")));
    EXPECT_EQ(GATE_OUTCOME_COUNT, json_object_size(json_object_get(v, "counts")));
    EXPECT_STREQ("0123abc", json_string_value(json_object_get(v, "baseline")));
    EXPECT_TRUE(json_is_null(json_object_get(v, "disabled")));
    EXPECT_TRUE(json_is_false(json_object_get(v, "advisory")));
    json_decref(v);
}

TEST(gate_report, history_is_of_timed_rows_that_are_right)
{
    struct gate_report_row rows[] = {
        untimed("untimed", GATE_OUTCOME_SKIPPED, "no"), row("slower", GATE_OUTCOME_REGRESSED, 1.03),
        row("timed_and_wrong", GATE_OUTCOME_WRONG, 0.5), row("new", GATE_OUTCOME_SKIPPED, 1)};
    rows[3].first.rounds = 0;
    struct gate_report r = report_of(rows, 4);
    json_t *v = json_of(gate_report_smaller_is_better, &r);
    EXPECT_EQ(2, json_array_size(v));
    json_t *want =
        json_pack("{s:s, s:s, s:f, s:s, s:s}", "name", "slower dequant bf16 n=1 k=1 cold threads=2", "unit",
                  "us", "value", 100 * 1.03, "range", "+3.0 % (+2.1 to +3.9) against the baseline", "extra",
                  "REGRESSED\na GPU\ncandidate 4567def\nbaseline 0123abc");
    EXPECT_TRUE(json_equal(want, json_array_get(v, 0)));
    json_decref(want);
    EXPECT_TRUE(json_object_get(json_array_get(v, 1), "range") == NULL);
    json_decref(v);
    r.count = 0;
    v = json_of(gate_report_smaller_is_better, &r);
    EXPECT_EQ(0, json_array_size(v));
    json_decref(v);
}

TEST(gate_report, no_rows)
{
    struct gate_report r = report_of(NULL, 0);
    char *text = text_of(gate_report_markdown, &r);
    EXPECT_CONTAINS(text, "# Gate: no rows\n");
    EXPECT_CONTAINS(text, "Exit code 2: no row was compared.\n");
    EXPECT_EQ(0, count_of(text, "|"));
    free(text);
    text = text_of(gate_report_annotations, &r);
    EXPECT_STREQ("", text);
    free(text);
    text = text_of(gate_report_junit, &r);
    EXPECT_EQ(2, count_of(text, " tests=\"0\" failures=\"0\" errors=\"0\" skipped=\"0\""));
    free(text);
    json_t *v = json_of(gate_report_json, &r);
    EXPECT_EQ(0, json_array_size(json_object_get(v, "rows")));
    EXPECT_EQ(2, json_integer_value(json_object_get(v, "exit_code")));
    json_decref(v);
}

TEST(gate_report, a_full_disk_is_an_error)
{
    struct gate_report_row rows[] = {row("v", GATE_OUTCOME_REGRESSED, 1.03)};
    struct gate_report r = report_of(rows, 1);
    for (size_t f = 1; f < FORMS; f++) { /* all but the summary */
        FILE *out = fopen("/dev/full", "w");
        if (!out)
            SKIP("there is no /dev/full");
        test_note("%s", forms[f].name);
        EXPECT_EQ(STATUS_IO, gate_report_write(&r, forms[f].write, out));
        fclose(out);
    }
    test_note(NULL);
}
