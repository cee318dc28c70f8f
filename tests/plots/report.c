/* Tests of plots/: reports of result sets that are made here. */
#include "plots/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plots/html.h"
#include "tests/plots/report_rows.h"
#include "tests/test.h"

/* A small run as it should be: two variants, a peer, a ceiling; m 1 and 8; cold and hot; one failure, one
 * skip. */
static void fixture_run(struct fixture *f)
{
    fixture_init(f);
    add_attribute(f, "schema_version", "1");
    add_attribute(f, "cpu_model", "Made Processor 9000");
    add_attribute(f, "git_revision", "0123abcd");
    add_attribute(f, "git_dirty", "1");
    add_attribute(f, "started_utc", "2025-01-02T03:04:05Z");
    add_attribute(f, "some_detail", "folded away");
    for (int regime = REGIME_COLD; regime <= REGIME_HOT; regime++)
        for (uint64_t m = 1; m <= 8; m *= 8) {
            add_timed(f, "nf4_gemm_bf16_acc8__avx512_quick", m, (enum regime)regime, 12.34);
            add_timed(f, "nf4_gemm_bf16_acc8__avx512_slow", m, (enum regime)regime, 24.68);
            add_timed(f, "bitsandbytes_gemm_bf16", m, (enum regime)regime, 37.02);
            struct record *ceiling = add_row(f, "ceiling_read", m);
            ceiling->verdict = VERDICT_NONE;
            add_times(f, ceiling, (enum regime)regime, 8 * m + (uint64_t)regime, 5);
            ceiling->ceiling_fraction = NAN;
            ceiling->ceiling[0] = '\0';
        }
    struct record *r = add_row(f, "nf4_gemm_bf16_acc8__avx512_wrong", 8);
    r->verdict = VERDICT_FAIL;
    strcpy(r->check, "exact_sums");
    strcpy(r->reason, "element [0,7]: expected 0x4228, got 0x0000");
    r->mismatch_count = 17;
    r->first_mismatch = 7;
    r = add_row(f, "nf4_gemm_bf16_acc8__amx", 8);
    r->verdict = VERDICT_SKIPPED;
    strcpy(r->reason, "needs amx_tile");
}

/* ---- reports ---- */

static const char *const hostile =
    "</style></title><script>alert('1')</script>\"' onload=\"x` `touch /tmp/nf4bench_pwned` "
    "$(id) ~0~ ]]> <!-- \xff\xc0\xaf \xed\xa0\x80 \x01 \xe2\x80\xae &amp; http&colon;";

TEST(report, shows_a_run)
{
    struct fixture f;
    fixture_run(&f);
    char *text = write_report("run", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    check_report(text);
    EXPECT_CONTAINS(text, "<h1>nf4bench: made</h1>");
    EXPECT_CONTAINS(text, "Made Processor 9000 &#183; 2 threads &#183; 2025-01-02T03:04:05Z");
    EXPECT_CONTAINS(text, "<b>with local changes</b>");
    EXPECT_CONTAINS(text, "folded away");
    /* Pairs of variant and problem, not rows: cold and hot are one. */
    EXPECT_CONTAINS(text, "<b>1</b> FAIL");
    EXPECT_CONTAINS(text, "<b>6</b> PASS");
    EXPECT_CONTAINS(text, "<b>1</b> SKIPPED");
    EXPECT_CONTAINS(text, "5 variants; 7 pairs");
    EXPECT_CONTAINS(text, "needs amx_tile");
    free(text);
    fixture_release(&f);
}

TEST(report, puts_failures_first_with_reason_and_repro)
{
    struct fixture f;
    fixture_run(&f);
    strcpy(f.records[f.set.row_count - 2].weights, "it's");
    strcpy(f.records[f.set.row_count - 2].case_key, "gemm bf16 m=8 weights=it's");
    char *text = write_report("failures", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    EXPECT_CONTAINS(text, "<pre>element [0,7]: expected 0x4228, got 0x0000</pre>");
    EXPECT_CONTAINS(text, "17 of 1\xe2\x80\xaf"
                          "000 elements wrong, the first at index 7");
    EXPECT_CONTAINS(
        text, "<pre>nf4bench verify --case &#39;gemm bf16 m=8 weights=it&#39;\\&#39;&#39;s&#39; --variant "
              "nf4_gemm_bf16_acc8__avx512_wrong --axis threads=2</pre>");
    const char *failures = strstr(text, "id=\"failures\""), *summary = strstr(text, "id=\"summary\"");
    EXPECT_TRUE(failures && summary && failures < summary);
    free(text);
    fixture_release(&f);
}

TEST(report, tables_hold_the_medians_in_order)
{
    struct fixture f;
    fixture_run(&f);
    char *text = write_report("medians", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    const char *timings = strstr(text, "id=\"timings\"");
    ASSERT_TRUE(timings != NULL);
    const char *table = strstr(timings, "<tbody>"), *end = strstr(table, "</tbody>");
    ASSERT_TRUE(table && end);
    char *rows = strndup(table, (size_t)(end - table));
    ASSERT_TRUE(rows != NULL);
    const char *quick = strstr(rows, "avx512_quick"), *slow = strstr(rows, "avx512_slow");
    const char *peer = strstr(rows, "bitsandbytes_"), *ceiling = strstr(rows, "ceiling_read");
    EXPECT_TRUE(quick && slow && peer && ceiling && quick < slow && slow < peer && peer < ceiling);
    EXPECT_CONTAINS(
        rows, "<tr class=\"top\"><td class=\"v\">nf4_gemm_bf16_acc8__<wbr/>avx512_quick</td><td>12.34</td>");
    EXPECT_CONTAINS(rows, "<wbr/>avx512_slow</td><td>24.68</td>");
    EXPECT_CONTAINS(rows, "<td>37.02</td>");
    EXPECT_CONTAINS(rows, "measured ceiling, not a variant</small></td><td>5.00</td>");
    /* 37.02 / 12.34, from samples of one group */
    EXPECT_CONTAINS(rows, "<td>3.00 <small>[");
    EXPECT_CONTAINS(rows, ">0.405 <small>[0.397, 0.413]</small></td>");
    free(rows);
    free(text);
    fixture_release(&f);
}

TEST(report, says_that_a_fake_drivers_times_are_not_a_gpus)
{
    struct fixture f;
    fixture_run(&f);
    char *text = write_report("not-fake", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    EXPECT_TRUE(!strstr(text, "Not a GPU's times") && !strstr(text, "a model's time"));
    free(text);
    for (size_t i = 0; i < f.set.row_count; i++) {
        strcpy(f.records[i].device, RECORD_FAKE_GPU " (executor)");
        strcpy(f.records[i].arch, "sm75");
    }
    text = write_report("fake", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    const char *note = strstr(text, "Not a GPU's times"), *summary = strstr(text, "id=\"summary\"");
    EXPECT_TRUE(note && summary && note < summary);
    EXPECT_CONTAINS(summary, "on no GPU but the model of a fake driver");
    EXPECT_CONTAINS(summary, "a model's time, not a GPU's");
    EXPECT_FALSE(strstr(text, "on a GPU, ") != NULL);
    free(text);
    fixture_release(&f);
}

TEST(report, ranks_only_what_is_right)
{
    struct fixture f;
    fixture_init(&f);
    add_timed(&f, "nf4_gemm_bf16_acc8__fast_but_wrong", 1, REGIME_COLD, 1);
    f.records[0].verdict = VERDICT_FAIL;
    add_timed(&f, "nf4_gemm_bf16_acc8__too_fast", 1, REGIME_COLD, 2);
    f.records[1].verdict = VERDICT_SUSPECT;
    add_timed(&f, "nf4_gemm_bf16_acc8__right", 1, REGIME_COLD, 30);
    char *text = write_report("ranks", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    check_report(text);
    EXPECT_CONTAINS(text, "<tr class=\"top\"><td class=\"v\">nf4_gemm_bf16_acc8__<wbr/>right");
    EXPECT_EQ(1, count_of(text, "<tr class=\"top\">"));
    EXPECT_EQ(2, count_of(text, "<tr class=\"not\">"));
    EXPECT_CONTAINS(text, "fast_but_wrong <span class=\"w bad\">FAIL</span>");
    free(text);
    fixture_release(&f);
}

TEST(report, says_when_a_ratio_is_not_paired)
{
    struct fixture f;
    fixture_init(&f);
    add_timed(&f, "nf4_gemm_bf16_acc8__quick", 1, REGIME_COLD, 10);
    add_timed(&f, "bitsandbytes_gemm_bf16", 1, REGIME_COLD, 25);
    f.records[1].group_id++;
    char *text = write_report("unpaired", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    EXPECT_CONTAINS(text, "<td>2.50 <small>unpaired</small></td>");
    free(text);
    fixture_release(&f);
}

TEST(report, marks_ties_and_doubts)
{
    struct fixture f;
    fixture_init(&f);
    for (int i = 0; i < 3; i++)
        add_timed(&f,
                  i == 2 ? "nf4_gemm_bf16_acc8__slow"
                  : i    ? "nf4_gemm_bf16_acc8__tied"
                         : "nf4_gemm_bf16_acc8__first",
                  1, REGIME_COLD, i == 2 ? 20 : 10 + 0.001 * i);
    struct record *r = &f.records[2];
    r->bimodal = 1;
    r->precise = 0;
    r->settled = 0;
    r->lag1_autocorrelation = 0.75;
    r->timer_overhead_us = 5;
    char *text = write_report("doubts", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    EXPECT_CONTAINS(text, "<wbr/>tied<small>\xe2\x89\x88 fastest</small></td>");
    EXPECT_CONTAINS(
        text, "<wbr/>slow<small>bimodal, not precise, autocorrelated 0.75, machine not settled, reading the "
              "clock is 25 % of a sample</small></td>");
    EXPECT_CONTAINS(text, "<wbr/>first</td>");
    EXPECT_EQ(1, count_of(text, "<small>a tie</small>"));

    /* A lead that is clear is no tie. */
    f.set.row_count = 1;
    add_timed(&f, "nf4_gemm_bf16_acc8__slow", 1, REGIME_COLD, 20);
    free(text);
    text = write_report("no_tie", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    EXPECT_EQ(0, count_of(text, "a tie"));
    free(text);
    fixture_release(&f);
}

TEST(report, folds_away_long_attributes)
{
    struct fixture f;
    char value[1000];
    fixture_init(&f);
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    add_attribute(&f, "argv", value);
    add_attribute(&f, "compiler", "GNU 12.2.0");
    add_row(&f, "nf4_gemm_bf16_acc8__only", 1);
    char *text = write_report("attributes", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    EXPECT_CONTAINS(text, "<details><summary>999 characters</summary>vvv");
    EXPECT_CONTAINS(text, "<td>GNU 12.2.0</td>");
    free(text);
    fixture_release(&f);
}

TEST(report, folds_the_regimes_of_a_problem_by_the_worst)
{
    struct fixture f;
    fixture_init(&f);
    add_timed(&f, "nf4_gemm_bf16_acc8__flaky", 1, REGIME_COLD, 10);
    add_timed(&f, "nf4_gemm_bf16_acc8__flaky", 1, REGIME_HOT, 10);
    f.records[1].verdict = VERDICT_FAIL;
    strcpy(f.records[1].check, "timed_output");
    char *text = write_report("folded", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    EXPECT_CONTAINS(text, "<b>1</b> FAIL");
    EXPECT_EQ(0, count_of(text, "</b> PASS"));
    EXPECT_CONTAINS(text, "timed_output");
    free(text);
    fixture_release(&f);
}

TEST(report, hostile_text_stays_text)
{
    struct fixture f;
    fixture_run(&f);
    add_attribute(&f, hostile, hostile);
    for (size_t i = 0; i < f.set.row_count; i++) {
        struct record *r = &f.records[i];
        memset(r->reason, 'x', sizeof r->reason - 1);
        memcpy(r->reason, hostile, strlen(hostile));
        snprintf(r->variant, sizeof r->variant, "v%zu%.100s", i % 4, hostile);
        snprintf(r->case_key, sizeof r->case_key, "%s", hostile);
        snprintf(r->weights, sizeof r->weights, "%.100s", hostile);
        snprintf(r->suite, sizeof r->suite, "%.60s", hostile);
        snprintf(r->check, sizeof r->check, "%.40s", hostile);
        memcpy(r->ceiling, "</td><script>!!", sizeof r->ceiling);
        r->weight_sqnr_db = 20;
    }
    f.set.path = (char *)hostile;
    (void)unlink("/tmp/nf4bench_pwned");
    char *text = write_report("hostile", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    check_report(text);
    EXPECT_EQ(0, count_of(text, "<script>alert"));
    EXPECT_CONTAINS(text, "xxx</pre>");
    EXPECT_EQ(0, count_of(text, "\xff"));
    EXPECT_EQ(0, count_of(text, "\xe2\x80\xae"));
    EXPECT_CONTAINS(text, "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;");
    EXPECT_TRUE(access("/tmp/nf4bench_pwned", F_OK) != 0);
    free(text);
    fixture_release(&f);
}

TEST(report, survives_values_that_are_no_values)
{
    static const double odd[] = {NAN, INFINITY, -INFINITY, -1, 0, 1e308, 5e-324};
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        for (uint64_t m = 1; m < 3; m++) {
            add_timed(&f, i % 2 ? "nf4_gemm_bf16_acc8__a" : "nf4_gemm_bf16_acc8__b", m, REGIME_COLD, 10);
            struct record *r = &f.records[f.set.row_count - 1];
            r->group_id = 7;
            for (double *d = f.set.samples + r->sample_start; d < f.set.samples + f.set.sample_count; d += 3)
                *d = odd[i];
            if (i % 3 == 0)
                r->median_us = odd[i];
            r->median_lo_us = r->p10_us = r->bytes_per_s = r->weights_per_s = odd[i];
            r->ceiling_fraction = r->ceiling_fraction_hi = odd[i];
            r->bound_margin = r->relative_frobenius_error = r->verify_s = odd[i];
            r->weight_sqnr_db = r->int4_sqnr_db = odd[i];
            r->verdict = (uint8_t)(i == 3 ? 200 : VERDICT_PASS);
            r->op = (uint8_t)(i == 4 ? 77 : 1);
            r->out_type = (uint8_t)(i == 5 ? 255 : 2);
        }
    f.records[0].sample_start = UINT64_MAX; /* outside the samples: must not be read */
    f.records[1].sample_count = UINT64_MAX;
    char *text = write_report("odd", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    check_report(text);
    free(text);
    fixture_release(&f);
}

TEST(report, stands_without_timings)
{
    struct fixture f;
    fixture_init(&f);
    add_row(&f, "nf4_gemm_bf16_acc8__only", 1);
    char *text = write_report("untimed", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    check_report(text);
    EXPECT_CONTAINS(text, "Nothing was timed");
    EXPECT_EQ(0, count_of(text, "id=\"figures\""));
    free(text);
    fixture_release(&f);
}

TEST(report, stands_with_one_row)
{
    struct fixture f;
    fixture_init(&f);
    add_timed(&f, "nf4_gemm_bf16_acc8__only", 1, REGIME_HOT, 10);
    char *text = write_report("one", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    check_report(text);
    EXPECT_CONTAINS(text, "an unnamed machine");
    EXPECT_CONTAINS(text, "<td>10.00</td>");
    free(text);
    fixture_release(&f);
}

TEST(report, stands_with_nothing)
{
    struct fixture f;
    fixture_init(&f);
    f.set.path = NULL;
    char *text = write_report("nothing", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    check_report(text);
    EXPECT_CONTAINS(text, "variants checked");
    EXPECT_EQ(STATUS_USAGE, report_write(fixture_set(&f), 0, "/nonexistent"));
    free(text);
    fixture_release(&f);
}

TEST(report, keeps_files_apart)
{
    struct fixture f[2];
    for (int i = 0; i < 2; i++) {
        fixture_init(&f[i]);
        add_attribute(&f[i], "cpu_model", i ? "Second" : "First");
        add_timed(&f[i], "nf4_gemm_bf16_acc8__quick", 1, REGIME_COLD, i ? 20 : 10);
    }
    f[1].set.path = (char *)"other/second.h5";
    add_attribute(&f[1], "compiler", "only here");
    struct result_set sets[2] = {*fixture_set(&f[0]), *fixture_set(&f[1])};
    char *text = write_report("two", sets, 2);
    ASSERT_TRUE(text != NULL);
    check_report(text);
    EXPECT_EQ(2, count_of(text, "<tr class=\"top\">")); /* the same problem, but nobody's rival */
    EXPECT_CONTAINS(text, "made.h5");
    EXPECT_CONTAINS(text, "second.h5");
    EXPECT_CONTAINS(text, "not recorded");
    free(text);
    fixture_release(&f[0]);
    fixture_release(&f[1]);
}

TEST(report, two_thousand_rows_stay_small)
{
    struct fixture f;
    char variant[64];
    fixture_init(&f);
    for (uint64_t m = 1; m <= 128; m *= 2)
        for (int shape = 0; shape < 10; shape++)
            for (int v = 0; v < 13; v++)
                for (int regime = REGIME_COLD; regime <= REGIME_HOT; regime++) {
                    snprintf(variant, sizeof variant, "nf4_gemm_bf16_c16_sblk_dpbf16__avx512bf16_n%d_k64", v);
                    add_timed(&f, variant, m, (enum regime)regime, 10 + 3 * v + 40 * noise(&f));
                    struct record *r = &f.records[f.set.row_count - 1];
                    r->n = 1024 * (uint64_t)(shape + 1);
                    r->verdict = noise(&f) < 0.02 ? VERDICT_FAIL : VERDICT_PASS;
                    snprintf(r->case_key, sizeof r->case_key,
                             "gemm bf16 m=%d n=%d k=512 blocksize=64 nested=0 bias=0 seed=1 weights=normal",
                             (int)m, (int)r->n);
                }
    EXPECT_TRUE(f.set.row_count >= 2000);
    char *text = write_report("large", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    check_report(text);
    EXPECT_TRUE(strlen(text) < 2000000);
    EXPECT_TRUE(count_of(text, "<figure>") <= 24);
    EXPECT_TRUE(count_of(text, "<details class=\"facet\">") == 20);
    EXPECT_CONTAINS(text, "Not drawn, to keep this file small");
    free(text);
    fixture_release(&f);
}

/* Whether every link leads to an id of the page. */
static bool links_lead_somewhere(const char *text)
{
    for (const char *p = strstr(text, "href=\"#"); p; p = strstr(p + 1, "href=\"#")) {
        char id[64];
        snprintf(id, sizeof id, " id=\"%.*s\"", (int)strcspn(p + 7, "\""), p + 7);
        test_note("%s", id);
        if (!strstr(text, id))
            return false;
    }
    test_note(NULL);
    return true;
}

TEST(report, says_how_many_of_too_many_rows_it_shows)
{
    enum { SHAPES = 400, VARIANTS = 15, FAULTS = 1100 };
    struct fixture f;
    char variant[64];
    fixture_init(&f);
    for (int i = 0; i < SHAPES * 3 * VARIANTS; i++) {
        const int v = i % VARIANTS, shape = i / VARIANTS / 3;
        const int ms[] = {1, 4, 100 + shape}; /* the last is of one shape alone */
        snprintf(variant, sizeof variant, "nf4_gemm_bf16_acc8__v%d", v);
        add_timed(&f, variant, (uint64_t)ms[i / VARIANTS % 3], REGIME_COLD, 10 + v);
        struct record *r = &f.records[f.set.row_count - 1];
        r->n = 64 * (uint64_t)(shape + 1);
        r->out_type = v < 3 ? 1 : 2; /* a small family has room for all */
        snprintf(r->case_key, sizeof r->case_key, "gemm m=%d n=%d", (int)r->m, (int)r->n);
    }
    for (int i = 0; i < FAULTS; i++) {
        struct record *r = add_row(&f, "nf4_gemm_bf16_acc8__wrong", 8);
        r->verdict = VERDICT_FAIL;
        snprintf(r->case_key, sizeof r->case_key, "gemm seed=%d", i);
    }
    char *text = write_report("many", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    check_report(text);
    const char *timings = strstr(text, "id=\"timings\"");
    ASSERT_TRUE(timings != NULL);
    EXPECT_EQ(3 * 3 * SHAPES,
              count_of(timings, "v0</td>") + count_of(timings, "v1</td>") + count_of(timings, "v2</td>"));
    const size_t shown = count_of(timings, "<td class=\"v\">");
    EXPECT_TRUE(shown <= 10000 && shown > 5000);
    EXPECT_CONTAINS(timings, "of 18\xe2\x80\xaf"
                             "000 timed rows are shown");
    EXPECT_CONTAINS(timings, "n=64<");
    EXPECT_CONTAINS(text, "1000 of 1100 are shown, the gravest");
    EXPECT_CONTAINS(text, "400 of 400</td>"); /* the summary is of all */
    EXPECT_TRUE(links_lead_somewhere(text));
    free(text);
    fixture_release(&f);
}

/* ---- figures ---- */

TEST(report, draws_each_kind_of_figure)
{
    struct fixture f;
    fixture_run(&f);
    f.records[0].weight_sqnr_db = 20;
    f.records[0].int4_sqnr_db = 18.5;
    char *text = write_report("figures", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    check_report(text);
    EXPECT_EQ(0, count_of(text, "No memory"));
    EXPECT_EQ(2, count_of(text, "<b>Speed against M</b>"));
    EXPECT_EQ(4, count_of(text, "<b>Share of the measured ceiling</b>"));
    EXPECT_EQ(4, count_of(text, "<b>Samples</b>"));
    EXPECT_EQ(11, count_of(text, "<svg "));
    EXPECT_CONTAINS(text, "+1.50 dB");
    /* The key and a mark of each kind: a point of a line, a bar, a box and a tensor. */
    EXPECT_CONTAINS(text, ">acc8__avx512_quick</text>");
    EXPECT_CONTAINS(text, ">absmax int4</text>");
    EXPECT_CONTAINS(text, "<title>nf4_gemm_bf16_acc8__avx512_quick, M 8: ");
    EXPECT_CONTAINS(
        text,
        "<title>nf4_gemm_bf16_acc8__avx512_quick: 0.405 [0.397, 0.413] of the measured ceiling</title>");
    EXPECT_CONTAINS(text, "<title>nf4_gemm_bf16_acc8__avx512_quick: median 12.34 \xc2\xb5s, IQR ");
    EXPECT_CONTAINS(text, "blocksize 64: NF4 20.00 dB</title>");
    EXPECT_CONTAINS(text, "blocksize 64: absmax int4 18.50 dB</title>");
    free(text);
    fixture_release(&f);
}

/* ---- parts ---- */

static const char *written(void (*write)(FILE *))
{
    static char text[256];
    FILE *out = fmemopen(text, sizeof text, "w");
    if (!out)
        return "(no memory)";
    write(out);
    fclose(out);
    return text;
}

static void write_bad_text(FILE *out)
{
    html_text(out, "a<\xff>\xf0\x9f\x98\x80\xc3\xa9\xe2\x80\xae\x1b'\xe2\x82");
}
static void write_numbers(FILE *out)
{
    html_number(out, 1.005, 2);
    fputc(' ', out);
    html_number(out, NAN, 2);
    fputc(' ', out);
    html_number(out, -1e300, 2);
    html_print(out, " %'u %'zu", 1234567u, (size_t)999);
}

TEST(report_html, text_and_numbers)
{
    EXPECT_STREQ(
        "a&lt;\xef\xbf\xbd&gt;\xf0\x9f\x98\x80\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd&#39;\xef\xbf\xbd\xef\xbf\xbd",
        written(write_bad_text));
    EXPECT_STREQ("1.00 \xe2\x80\x93 -1e+300 1\xe2\x80\xaf"
                 "234\xe2\x80\xaf"
                 "567 999",
                 written(write_numbers));
    EXPECT_EQ(2, html_decimals(12.34, 4));
    EXPECT_EQ(0, html_decimals(123456, 4));
    EXPECT_EQ(6, html_decimals(1e-9, 4));
    EXPECT_EQ(0, html_decimals(NAN, 4));
}

/* ---- the file ---- */

TEST(report, failing_to_write_leaves_what_was_there)
{
    struct fixture f;
    char path[512];
    fixture_run(&f);
    EXPECT_EQ(STATUS_IO, report_write(fixture_set(&f), 1, "/nonexistent/directory/r.html"));
    EXPECT_CONTAINS(status_message(), "/nonexistent/directory/r.html");

    /* A directory stands where the report should go. */
    snprintf(path, sizeof path, "%s/taken", test_temporary_directory());
    ASSERT_EQ(0, mkdir(path, 0700));
    EXPECT_EQ(STATUS_IO, report_write(fixture_set(&f), 1, path));
    EXPECT_CONTAINS(status_message(), path);
    fixture_release(&f);
}
