/*
 * Tests of what reports say about several formats of weights, on rows whose times are chosen: what is
 * compared, what is left out, and what it adds up to. Numbers are read from the CSV form, which does not
 * round.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plots/mean.h"
#include "plots/pairing.h"
#include "plots/report.h"
#include "plots/task.h"
#include "tests/plots/report_rows.h"
#include "tests/test.h"

/* ---- rows ---- */

struct made {
    const char *variant, *format, *layout;
    uint32_t blocksize;
    int nested, zeros;
    double bits;
};

static const struct made nf4_nested = {
    "nf4_gemm_bf16_mma80_fused__sm80_x", "nf4", "checkpoint", 64, 1, 0, 4.127};
static const struct made nf4_plain = {"nf4_gemm_bf16_mma80__sm80_x", "nf4", "checkpoint", 64, 0, 0, 4.5};
static const struct made nf4_repacked = {
    "nf4_gemm_bf16_mma80_fused__sm80_repacked_x", "nf4", "repacked", 64, 1, 0, 4.127};
static const struct made int4_rows = {"int4_gemm_bf16_mma80__sm80_x", "int4", "rows", 128, 0, 0, 4.125};
static const struct made int4_gptq = {
    "int4_gemm_bf16_mma80__sm80_y_gptq", "int4", "checkpoint", 128, 0, 1, 4.15625};
static const struct made int4_marlin = {
    "int4_gemm_bf16_mma80__sm80_y_marlin", "int4", "repacked", 128, 0, 0, 4.125};
static const struct made int4_wide = {
    "int4_gemm_bf16_mma80__sm80_y_awq", "int4", "checkpoint", 32, 0, 1, 4.625};
static const struct made int8_rows = {"int8_gemm_bf16_mma80__sm80_x", "int8", "rows", 128, 0, 0, 8.125};
static const struct made dense_rows = {"dense_gemm_bf16_mma80__sm80_x", "dense", "dense", 0, 0, 0, 16};
static const struct made dense_cublas = {"cublas_gemm_bf16", "dense", "dense", 0, 0, 0, 16};

/* A size on a device: what the rows of one group have in common. */
struct place {
    const char *device, *uuid; /* no uuid: a CPU */
    uint64_t m, n, k, group;
};
static const struct place gpu = {"Made GPU", "GPU-1", 1, 4096, 4096, 41};

/* A right cold row whose samples drift as all of its group do, so that ratios within the group are exact. The
 * pointer holds until the next row. */
static struct record *add_made(struct fixture *f, struct place at, struct made what, double us)
{
    struct record *r = add_row(f, what.variant, at.m);
    add_times(f, r, REGIME_COLD, at.group, us);
    double *samples = f->set.samples + r->sample_start;
    for (int i = 0; i < SAMPLES; i++)
        samples[i] = us * (1 + 0.01 * ((i * 7) % SAMPLES - (SAMPLES / 2)));
    strcpy(r->format, what.format);
    strcpy(r->layout, what.layout);
    strcpy(r->device, at.device);
    strcpy(r->device_uuid, at.uuid);
    strcpy(r->arch, at.uuid[0] ? "sm80" : "avx512");
    snprintf(r->case_key, sizeof r->case_key, "gemm bf16 m=%d n=%d k=%d %s %d", (int)at.m, (int)at.n,
             (int)at.k, what.format, (int)what.blocksize);
    r->n = at.n;
    r->k = at.k;
    r->blocksize = what.blocksize;
    r->nested = (uint8_t)what.nested;
    r->zeros = (uint8_t)what.zeros;
    r->threads = at.uuid[0] ? 0 : 8;
    r->bits_per_weight = what.bits;
    r->format_bytes = (double)at.n * (double)at.k * what.bits / 8;
    r->bytes_per_s = r->format_bytes / (1e-6 * us);
    r->flop_per_s = 2.0 * (double)at.m * (double)at.n * (double)at.k / (1e-6 * us);
    r->gemm_flop_per_s = 1e15;
    r->ceiling_fraction = 0.9;
    r->primary = 1;
    return r;
}

/* ---- reading CSV ---- */

enum { FIELDS = 128, FIELD_BYTES = 512 };

/* One line into fields; returns where the next one starts, or NULL at the end. */
static const char *split(const char *p, char fields[FIELDS][FIELD_BYTES], size_t *count)
{
    *count = 0;
    if (!*p)
        return NULL;
    for (;;) {
        size_t used = 0;
        char *field = fields[*count];
        const bool quoted = *p == '"';
        p += quoted;
        while (*p && (quoted ? !(*p == '"' && p[1] != '"') : *p != ',' && *p != '\n')) {
            p += quoted && *p == '"';
            if (used < FIELD_BYTES - 1)
                field[used++] = *p;
            p++;
        }
        field[used] = '\0';
        p += quoted;
        ++*count;
        if (*p != ',' || *count == FIELDS)
            return *p ? p + 1 : p;
        p++;
    }
}

/* The value of `column` in the only row in which each named column has its value: pairs of texts, NULL ends.
 * "" where there is none, "(several)" where there are more. Static buffer. */
static const char *csv_text(const char *csv, const char *column, ...)
{
    static char heads[FIELDS][FIELD_BYTES], fields[FIELDS][FIELD_BYTES], answer[FIELD_BYTES];
    size_t head_count, count, found = 0;
    const char *p = split(csv, heads, &head_count);
    answer[0] = '\0';
    while (p && (p = split(p, fields, &count)) != NULL) {
        bool fits = count == head_count;
        va_list ap;
        va_start(ap, column);
        for (const char *key; (key = va_arg(ap, const char *)) != NULL;) {
            const char *value = va_arg(ap, const char *);
            bool equal = false;
            for (size_t i = 0; i < head_count; i++)
                equal = equal || (strcmp(heads[i], key) == 0 && strcmp(fields[i], value) == 0);
            fits = fits && equal;
        }
        va_end(ap);
        for (size_t i = 0; fits && i < head_count; i++)
            if (strcmp(heads[i], column) == 0)
                snprintf(answer, sizeof answer, "%s", found++ ? "(several)" : fields[i]);
    }
    return answer;
}

#define CSV(column, ...)          strtod(csv_text(csv, column, __VA_ARGS__, NULL), NULL)
#define CSV_TEXT(column, ...)     csv_text(csv, column, __VA_ARGS__, NULL)
#define LINE(what, track, regime) "table", "headline", "attribution", what, "layout", track, "use", regime

/* ---- the headline ---- */

TEST(report_formats, headline_is_the_geometric_mean_over_shapes_with_a_t_interval)
{
    struct fixture f;
    fixture_init(&f);
    struct place at = gpu;
    add_made(&f, at, nf4_nested, 100);
    add_made(&f, at, int4_gptq, 90);
    for (at.n = 8192; at.n <= 32768; at.n *= 2) {
        at.group++;
        add_made(&f, at, nf4_nested, 200);
        add_made(&f, at, int4_gptq, 190);
    }
    char *csv = write_report("headline.csv", fixture_set(&f), 1);
    ASSERT_TRUE(csv != NULL);
    /* Four logarithms, one of which is d below the others: their deviation is d / 2. */
    const double mean = (log(0.9) + 3 * log(0.95)) / 4,
                 half = 3.182446305284263 * fabs(log(0.9) - log(0.95)) / 2 / 2;
    EXPECT_NEAR(exp(mean), CSV("nf4_speed_over_int4", LINE("best in class", "checkpoint", "M = 1")), 1e-12);
    EXPECT_NEAR(exp(mean - half), CSV("nf4_speed_over_int4_lo", LINE("best in class", "checkpoint", "M = 1")),
                1e-9);
    EXPECT_NEAR(exp(mean + half), CSV("nf4_speed_over_int4_hi", LINE("best in class", "checkpoint", "M = 1")),
                1e-9);
    EXPECT_NEAR(4, CSV("shapes", LINE("best in class", "checkpoint", "M = 1")), 0);
    EXPECT_STREQ("NF4 64 nested", CSV_TEXT("nf4", LINE("best in class", "checkpoint", "M = 1")));
    free(csv);
    fixture_release(&f);
}

TEST(report_formats, sizes_of_one_shape_count_once)
{
    struct fixture f;
    fixture_init(&f);
    struct place at = gpu;
    for (at.m = 2; at.m <= 32; at.m *= 2, at.group++) { /* five sizes of M at 0.5, one shape at 0.8 */
        add_made(&f, at, nf4_nested, 100);
        add_made(&f, at, int4_gptq, 50);
    }
    at.m = 2, at.k = 512;
    add_made(&f, at, nf4_nested, 100);
    add_made(&f, at, int4_gptq, 80);
    char *csv = write_report("sizes.csv", fixture_set(&f), 1);
    ASSERT_TRUE(csv != NULL);
    EXPECT_NEAR(sqrt(0.5 * 0.8),
                CSV("nf4_speed_over_int4", LINE("best in class", "checkpoint",
                                                "M 2\xe2\x80\x93"
                                                "32")),
                1e-12);
    EXPECT_NEAR(6,
                CSV("pairs", LINE("best in class", "checkpoint",
                                  "M 2\xe2\x80\x93"
                                  "32")),
                0);
    free(csv);
    fixture_release(&f);
}

TEST(report_formats, few_shapes_have_the_interval_of_their_paired_samples)
{
    const struct mean_part one = {3, {0.9, {0.85, 0.93}, 40}}, unpaired = {3, {0.9, {NAN, NAN}, 0}};
    struct mean m = mean_of(&one, 1);
    EXPECT_NEAR(0.9, m.ratio, 1e-12);
    EXPECT_NEAR(0.85, m.lo, 1e-12);
    EXPECT_NEAR(0.93, m.hi, 1e-12);
    const struct mean_part two[] = {{3, {0.9, {0.8, 1.0}, 40}}, {3, {0.4, {0.2, 0.5}, 40}}};
    m = mean_of(two, 2);
    EXPECT_EQ(1, m.shapes);
    EXPECT_NEAR(0.6, m.ratio, 1e-12);
    EXPECT_NEAR(0.4, m.lo, 1e-12);
    EXPECT_NEAR(sqrt(0.5), m.hi, 1e-12);
    const struct mean_part shapes[] = {{3, {0.8, {0.7, 0.85}, 40}}, {4, {0.9, {0.88, 0.95}, 40}}};
    m = mean_of(shapes, 2);
    EXPECT_EQ(2, m.shapes);
    EXPECT_NEAR(sqrt(0.72), m.ratio, 1e-12);
    EXPECT_NEAR(0.7, m.lo, 1e-12);
    EXPECT_NEAR(0.95, m.hi, 1e-12);
    for (int first = 0; first < 2; first++) { /* whichever of them is unpaired */
        const struct mean_part half[] = {first ? shapes[0] : unpaired, first ? unpaired : shapes[1]};
        m = mean_of(half, 2);
        EXPECT_TRUE(isnan(m.lo) && isnan(m.hi));
    }
    m = mean_of(&unpaired, 1);
    EXPECT_NEAR(0.9, m.ratio, 1e-12);
    EXPECT_TRUE(isnan(m.lo) && isnan(m.hi));
    EXPECT_TRUE(isnan(mean_of(NULL, 0).ratio));
}

TEST(report_formats, nothing_but_equal_bits_is_compared)
{
    struct fixture f;
    fixture_init(&f);
    add_made(&f, gpu, nf4_nested, 100);
    add_made(&f, gpu, nf4_plain, 99); /* 4.5 bits: no int4 has them */
    add_made(&f, gpu, int4_wide, 50); /* 4.625 bits: faster, and no rival of either */
    add_made(&f, gpu, int4_gptq, 90);
    char *csv = write_report("bits.csv", fixture_set(&f), 1);
    ASSERT_TRUE(csv != NULL);
    EXPECT_NEAR(0.9, CSV("nf4_speed_over_int4", LINE("best in class", "checkpoint", "M = 1")), 1e-12);
    EXPECT_NEAR(4.15625, CSV("int4_bits_per_weight_max", LINE("best in class", "checkpoint", "M = 1")), 0);
    EXPECT_STREQ("", CSV_TEXT("nf4", "table", "headline", "nf4", "NF4 64"));
    free(csv);
    fixture_release(&f);
}

TEST(report_formats, nothing_at_equal_bits_is_said)
{
    struct fixture f;
    fixture_init(&f);
    add_made(&f, gpu, nf4_plain, 99);
    add_made(&f, gpu, int4_gptq, 90);
    char *text = write_report("unequal", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    check_report(text);
    EXPECT_CONTAINS(text, "nothing can be said at equal bits");
    free(text);
    fixture_release(&f);
}

TEST(report_formats, layouts_are_not_mixed)
{
    struct fixture f;
    fixture_init(&f);
    add_made(&f, gpu, nf4_nested, 100);
    add_made(&f, gpu, nf4_repacked, 80);
    add_made(&f, gpu, int4_rows, 40); /* no package stores it so: a rival of the same skeleton alone */
    add_made(&f, gpu, int4_gptq, 90);
    add_made(&f, gpu, int4_marlin, 60);
    char *csv = write_report("layouts.csv", fixture_set(&f), 1);
    ASSERT_TRUE(csv != NULL);
    EXPECT_NEAR(0.9, CSV("nf4_speed_over_int4", LINE("best in class", "checkpoint", "M = 1")), 1e-12);
    EXPECT_NEAR(0.75, CSV("nf4_speed_over_int4", LINE("best in class", "repacked", "M = 1")), 1e-12);
    EXPECT_NEAR(0.4, CSV("nf4_speed_over_int4", LINE("isolated decode", "rows", "M = 1")), 1e-12);
    EXPECT_STREQ("", CSV_TEXT("nf4", LINE("best in class", "rows", "M = 1")));
    EXPECT_NEAR(0.4, CSV("isolated_decode", "table", "causes", "layout", "checkpoint"), 1e-12);
    EXPECT_CONTAINS(CSV_TEXT("why", "table", "causes", "layout", "checkpoint"), "decode \xe2\x88\x92"
                                                                                "60.0 %; kernels +125.0 %");
    free(csv);
    fixture_release(&f);
}

TEST(report_formats, a_row_far_from_its_ceiling_is_left_out_on_a_cpu_and_flagged_on_a_gpu)
{
    static const struct place cpu = {"Made CPU", "", 1, 4096, 4096, 77};
    struct fixture f;
    fixture_init(&f);
    add_made(&f, gpu, nf4_nested, 100)->ceiling_fraction = 0.5;
    add_made(&f, gpu, int4_gptq, 90);
    add_made(&f, cpu, nf4_nested, 100)->ceiling_fraction = 0.79;
    add_made(&f, cpu, int4_gptq, 80);
    char *csv = write_report("shares.csv", fixture_set(&f), 1),
         *text = write_report("shares", fixture_set(&f), 1);
    ASSERT_TRUE(csv && text);
    EXPECT_NEAR(0.9, CSV("nf4_speed_over_int4", "table", "headline", "device", "Made GPU"), 1e-12);
    EXPECT_NEAR(1, CSV("flagged", "table", "headline", "device", "Made GPU"), 0);
    EXPECT_STREQ("", CSV_TEXT("nf4_speed_over_int4", "table", "headline", "device", "Made CPU"));
    EXPECT_NEAR(1, CSV("left_out", "table", "headline", "device", "Made CPU"), 0);
    EXPECT_NEAR(0.8, CSV("nf4_speed_over_int4", "table", "pairs", "device", "Made CPU"), 1e-12);
    EXPECT_STREQ("no: under 0.8 of its ceiling",
                 CSV_TEXT("in_headline", "table", "pairs", "device", "Made CPU"));
    check_report(text);
    EXPECT_CONTAINS(
        text, "1 pair is left out of the headline: a row reached less than 0.80 of its measured ceiling");
    EXPECT_CONTAINS(text, "left out: 1 of 1");
    EXPECT_CONTAINS(text, "Made CPU: no number for the headline");
    free(text);
    free(csv);
    /* Far from the speed of memory, near to that of a dense product: it computes. */
    for (size_t i = 0; i < f.set.row_count; i++)
        f.records[i].gemm_flop_per_s = f.records[i].flop_per_s / 0.85;
    csv = write_report("computes.csv", fixture_set(&f), 1);
    ASSERT_TRUE(csv != NULL);
    EXPECT_NEAR(0.8, CSV("nf4_speed_over_int4", "table", "headline", "device", "Made CPU"), 1e-12);
    free(csv);
    fixture_release(&f);
}

TEST(report_formats, wrong_rows_and_other_regimes_have_no_say)
{
    struct fixture f;
    fixture_init(&f);
    add_made(&f, gpu, nf4_nested, 100);
    add_made(&f, gpu, int4_gptq, 10)->verdict = VERDICT_FAIL;
    add_made(&f, gpu, int4_gptq, 90);
    struct record *hot = add_made(&f, gpu, int4_gptq, 20);
    hot->regime = REGIME_HOT;
    hot->primary = 0;
    char *csv = write_report("wrong.csv", fixture_set(&f), 1),
         *text = write_report("wrong", fixture_set(&f), 1);
    ASSERT_TRUE(csv && text);
    EXPECT_NEAR(0.9, CSV("nf4_speed_over_int4", LINE("best in class", "checkpoint", "M = 1")), 1e-12);
    EXPECT_CONTAINS(text, "1 timed row that did not pass, 1 of the regime of timing");
    free(text);
    free(csv);

    /* The file quotes hot of one row, whose cold time is a launch: all rows are compared hot, also those of
     * which it quotes cold. */
    for (size_t i = 0; i < 4; i++)
        f.records[i].primary = i == 3;
    struct record *nf4 = add_made(&f, gpu, nf4_nested, 40);
    nf4->regime = REGIME_HOT;
    nf4->primary = 0;
    csv = write_report("hot.csv", fixture_set(&f), 1);
    ASSERT_TRUE(csv != NULL);
    EXPECT_NEAR(0.5, CSV("nf4_speed_over_int4", LINE("best in class", "checkpoint", "M = 1")), 1e-12);
    free(csv);
    fixture_release(&f);
}

TEST(report_formats, pairs_of_two_groups_have_no_interval)
{
    struct fixture f;
    struct place other = gpu;
    fixture_init(&f);
    other.group++;
    add_made(&f, gpu, nf4_nested, 100);
    add_made(&f, other, int4_gptq, 90);
    char *csv = write_report("unpaired.csv", fixture_set(&f), 1);
    ASSERT_TRUE(csv != NULL);
    EXPECT_NEAR(0.9, CSV("nf4_speed_over_int4", LINE("best in class", "checkpoint", "M = 1")), 1e-12);
    EXPECT_STREQ("", CSV_TEXT("nf4_speed_over_int4_lo", LINE("best in class", "checkpoint", "M = 1")));
    free(csv);
    /* The same variant once more in NF4's group, where it is a little slower: that one is paired. */
    add_made(&f, gpu, int4_gptq, 95);
    csv = write_report("paired.csv", fixture_set(&f), 1);
    ASSERT_TRUE(csv != NULL);
    EXPECT_NEAR(0.95, CSV("nf4_speed_over_int4", LINE("best in class", "checkpoint", "M = 1")), 1e-12);
    EXPECT_NEAR(0.95, CSV("nf4_speed_over_int4_lo", LINE("best in class", "checkpoint", "M = 1")), 1e-9);
    free(csv);
    fixture_release(&f);
}

TEST(report_formats, devices_stand_side_by_side_and_are_not_mixed)
{
    static const struct place second = {"Made GPU", "GPU-2", 1, 4096, 4096, 41};
    struct fixture f;
    fixture_init(&f);
    add_made(&f, gpu, nf4_nested, 100);
    add_made(&f, gpu, int4_gptq, 90);
    add_made(&f, second, nf4_nested, 100);
    add_made(&f, second, int4_gptq, 60);
    char *csv = write_report("devices.csv", fixture_set(&f), 1),
         *text = write_report("devices", fixture_set(&f), 1);
    ASSERT_TRUE(csv && text);
    EXPECT_NEAR(0.9, CSV("nf4_speed_over_int4", "table", "headline", "device", "Made GPU GPU-1"), 1e-12);
    EXPECT_NEAR(0.6, CSV("nf4_speed_over_int4", "table", "headline", "device", "Made GPU GPU-2"), 1e-12);
    check_report(text);
    EXPECT_EQ(1, count_of(text, "<th>Made GPU GPU-1<small>"));
    EXPECT_EQ(1, count_of(text, "<th>Made GPU GPU-2<small>"));
    free(text);
    free(csv);
    fixture_release(&f);
}

TEST(report_formats, who_the_opponents_were)
{
    static const struct made theirs = {"bitsandbytes_cuda_gemm_bf16", "nf4", "checkpoint", 64, 1, 0, 4.127};
    struct fixture f;
    fixture_init(&f);
    add_made(&f, gpu, nf4_nested, 100);
    add_made(&f, gpu, theirs, 120);
    add_made(&f, gpu, int4_gptq, 90);
    char *text = write_report("opponents", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    EXPECT_CONTAINS(text, "int4 none; NF4 bitsandbytes_cuda_gemm_bf16");
    EXPECT_CONTAINS(text, "No Marlin-class opponent ran on this device.");
    free(text);
    add_made(&f, gpu, int4_marlin, 50);
    text = write_report("marlin", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    EXPECT_EQ(0, count_of(text, "No Marlin-class opponent"));
    EXPECT_CONTAINS(text, "No Marlin-class kernel of a package ran on this device");
    free(text);
    fixture_release(&f);
}

TEST(report_formats, without_rival_kernels_the_decode_alone_is_told)
{
    struct fixture f;
    fixture_init(&f);
    add_made(&f, gpu, nf4_nested, 100);
    add_made(&f, gpu, int4_rows, 80);
    char *text = write_report("alone_decode", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    EXPECT_CONTAINS(
        text, "NF4 64 nested (4.127 bits a weight) runs at 0.800 [0.800, 0.800] of the speed of int4 (4.125 "
              "bits) in one kernel with nothing but the decode swapped, 1 shape.");
    EXPECT_EQ(0, count_of(text, "best int4 ("));
    free(text);
    fixture_release(&f);
}

TEST(report_formats, a_fake_gpu_is_called_one)
{
    static const struct place fake = {RECORD_FAKE_GPU " (executor)", "GPU-1", 1, 4096, 4096, 5};
    struct fixture f;
    fixture_init(&f);
    add_made(&f, fake, nf4_nested, 100);
    add_made(&f, fake, int4_gptq, 90);
    char *text = write_report("fake", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    EXPECT_CONTAINS(text, "no ratio of these times says anything about a GPU");
    free(text);
    fixture_release(&f);
}

/* ---- speed-up, isolated decode ---- */

TEST(report_formats, speed_up_is_over_the_fastest_dense_product)
{
    struct fixture f;
    fixture_init(&f);
    struct place at = gpu;
    for (at.m = 1; at.m <= 16; at.m *= 16, at.group++) {
        add_made(&f, at, nf4_nested, 100);
        add_made(&f, at, nf4_plain, 125);
        add_made(&f, at, dense_rows, 400);
        add_made(&f, at, dense_cublas, 300);
    }
    char *csv = write_report("speedup.csv", fixture_set(&f), 1),
         *text = write_report("speedup", fixture_set(&f), 1);
    ASSERT_TRUE(csv && text);
    EXPECT_NEAR(3, CSV("speedup_over_dense", "table", "speedup", "m", "16", "weights_kind", "NF4 64 nested"),
                1e-12);
    EXPECT_NEAR(2.4, CSV("speedup_over_dense", "table", "speedup", "m", "1", "weights_kind", "NF4 64"),
                1e-12);
    EXPECT_NEAR(16 / 4.127,
                CSV("ideal_speedup", "table", "speedup", "m", "1", "weights_kind", "NF4 64 nested"), 1e-12);
    check_report(text);
    EXPECT_EQ(1, count_of(text, "<b>Speed-up over dense against M</b>"));
    EXPECT_CONTAINS(
        text,
        "data-value=\"2.3999999999999999\" data-file=\"0\" data-row=\"1\" data-us=\"125\" data-over=\"3\"");
    free(text);
    free(csv);
    fixture_release(&f);
}

TEST(report_formats, the_ideal_ends_where_flops_bind)
{
    struct fixture f;
    struct place at = gpu;
    fixture_init(&f);
    at.m = 4096;
    for (int i = 0; i < 2; i++) {
        struct record *r = add_made(&f, at, i ? dense_cublas : nf4_nested, 100);
        r->gemm_flop_per_s = 1e12; /* 137 ms of flops, against fractions of one of bytes */
        r->flop_per_s = 1e11;
    }
    struct record *ceiling = add_made(&f, at, nf4_nested, 100);
    strcpy(ceiling->variant, "ceiling_read");
    ceiling->verdict = VERDICT_NONE;
    ceiling->bytes_per_s = 1e12;
    char *csv = write_report("flops.csv", fixture_set(&f), 1);
    ASSERT_TRUE(csv != NULL);
    EXPECT_NEAR(1, CSV("ideal_speedup", "table", "speedup"), 1e-12);
    free(csv);
    f.records[0].flop_per_s = 1e18; /* then that product is no ceiling */
    csv = write_report("no_ceiling.csv", fixture_set(&f), 1);
    ASSERT_TRUE(csv != NULL);
    EXPECT_NEAR(16 / 4.127, CSV("ideal_speedup", "table", "speedup"), 1e-12);
    free(csv);
    fixture_release(&f);
}

TEST(report_formats, decodes_of_one_skeleton_are_held_against_nf4)
{
    struct fixture f;
    fixture_init(&f);
    add_made(&f, gpu, nf4_nested, 100);
    add_made(&f, gpu, nf4_plain, 110);
    add_made(&f, gpu, int4_rows, 80);
    add_made(&f, gpu, int8_rows, 132);
    add_made(&f, gpu, dense_rows, 330);
    add_made(&f, gpu, int4_gptq, 10); /* another skeleton */
    char *csv = write_report("decode.csv", fixture_set(&f), 1),
         *text = write_report("decode", fixture_set(&f), 1);
    ASSERT_TRUE(csv && text);
    /* Of as many bits where there is such an NF4, else the one with the smallest blocks, scales not
     * quantized. */
    EXPECT_NEAR(0.8, CSV("time_over_base", "table", "decode", "weights_kind", "int4 g128 symmetric"), 1e-12);
    EXPECT_STREQ("NF4 64 nested",
                 CSV_TEXT("base_kind", "table", "decode", "weights_kind", "int4 g128 symmetric"));
    EXPECT_NEAR(1.2, CSV("time_over_base", "table", "decode", "weights_kind", "int8 g128"), 1e-12);
    EXPECT_NEAR(3, CSV("time_over_base", "table", "decode", "weights_kind", "dense"), 1e-12);
    EXPECT_STREQ("gemm_bf16_mma80__sm80_x", CSV_TEXT("skeleton", "table", "decode", "weights_kind", "dense"));
    check_report(text);
    EXPECT_EQ(2, count_of(text, "<b>Isolated decode</b>"));
    free(text);
    free(csv);
    fixture_release(&f);
}

/* ---- roofline, the map, quality, models ---- */

TEST(report_formats, roofline_has_the_measured_ceilings)
{
    struct fixture f;
    fixture_init(&f);
    add_made(&f, gpu, nf4_nested, 100);
    add_made(&f, gpu, int4_gptq, 90);
    struct record *ceiling = add_made(&f, gpu, nf4_nested, 10);
    strcpy(ceiling->variant, "ceiling_read");
    strcpy(ceiling->format, "");
    ceiling->verdict = VERDICT_NONE;
    ceiling->bytes_per_s = 3e12;
    ceiling = add_made(&f, gpu, nf4_nested, 9); /* of a cache */
    strcpy(ceiling->variant, "ceiling_read");
    ceiling->verdict = VERDICT_NONE;
    ceiling->regime = REGIME_HOT;
    ceiling->bytes_per_s = 9e12;
    char *csv = write_report("roofline.csv", fixture_set(&f), 1),
         *text = write_report("roofline", fixture_set(&f), 1);
    ASSERT_TRUE(csv && text);
    EXPECT_NEAR(3e12, CSV("bytes_per_s", "table", "ceilings", "ceiling", "read"), 0);
    EXPECT_NEAR(1e15, CSV("gemm_flop_per_s", "table", "ceilings", "ceiling", "dense product"), 0);
    EXPECT_NEAR(2 * 8 / 4.127, CSV("flop_per_byte", "table", "roofline", "weights_kind", "NF4 64 nested"),
                1e-12);
    EXPECT_NEAR(2.0 * 4096 * 4096 / 1e-4,
                CSV("flop_per_s", "table", "roofline", "weights_kind", "NF4 64 nested"), 1);
    check_report(text);
    EXPECT_EQ(1, count_of(text, "<b>Roofline</b>"));
    EXPECT_CONTAINS(text, "read 3000 GB/s");
    EXPECT_CONTAINS(text, "data-row=\"1\" data-us=\"90\"");
    free(text);
    free(csv);
    fixture_release(&f);
}

TEST(report_formats, the_map_names_the_fastest_format_and_its_lead)
{
    struct fixture f;
    struct place at = gpu;
    fixture_init(&f);
    add_made(&f, at, nf4_nested, 100);
    add_made(&f, at, nf4_plain, 90); /* the lead is over another format */
    add_made(&f, at, int4_gptq, 135);
    at.m = 64, at.group++;
    add_made(&f, at, nf4_nested, 100);
    add_made(&f, at, dense_cublas, 80);
    char *csv = write_report("winners.csv", fixture_set(&f), 1),
         *text = write_report("winners", fixture_set(&f), 1);
    ASSERT_TRUE(csv && text);
    EXPECT_STREQ("NF4 64", CSV_TEXT("weights_kind", "table", "winners", "m", "1"));
    EXPECT_NEAR(1.5, CSV("lead", "table", "winners", "m", "1"), 1e-12);
    EXPECT_STREQ("dense", CSV_TEXT("weights_kind", "table", "winners", "m", "64"));
    EXPECT_NEAR(1.25, CSV("lead", "table", "winners", "m", "64"), 1e-12);
    check_report(text);
    EXPECT_CONTAINS(text, "tint t-s0\">NF4 64, 1.50 \xc3\x97 as fast as int4 g128 asymmetric (sm80_x)<");
    EXPECT_CONTAINS(text, "tint t-text\">dense, 1.25 \xc3\x97 as fast as NF4 64 nested (cublas_gemm_bf16)<");
    free(text);
    free(csv);
    fixture_release(&f);
}

TEST(report_formats, quality_is_of_real_weights_alone)
{
    struct fixture f;
    struct place at = gpu;
    fixture_init(&f);
    for (int tensor = 0; tensor < 2; tensor++, at.group++)
        for (int i = 0; i < 3; i++) {
            struct record *r = add_made(&f, at,
                                        i == 0   ? nf4_nested
                                        : i == 1 ? int4_gptq
                                                 : dense_cublas,
                                        tensor ? 400 : 100);
            snprintf(r->weights, sizeof r->weights, "model.safetensors:%d", tensor);
            r->weight_sqnr_db = i == 2 ? NAN : (i == 0 ? 20 : 18) + tensor;
            r->weight_max_abs_error = i == 2 ? NAN : 0.25 * (1 + tensor);
        }
    at.n = 1024, at.group++;
    add_made(&f, at, nf4_nested, 3);
    char *csv = write_report("quality.csv", fixture_set(&f), 1),
         *text = write_report("quality", fixture_set(&f), 1);
    ASSERT_TRUE(csv && text);
    EXPECT_NEAR(20.5, CSV("weight_sqnr_db", "table", "quality", "weights_kind", "NF4 64 nested"), 1e-12);
    EXPECT_NEAR(0.5, CSV("weight_max_abs_error", "table", "quality", "weights_kind", "NF4 64 nested"), 1e-12);
    EXPECT_NEAR(200, CSV("mean_us", "table", "quality", "weights_kind", "NF4 64 nested"), 1e-9);
    EXPECT_NEAR(2, CSV("tensors", "table", "quality", "weights_kind", "NF4 64 nested"), 0);
    EXPECT_STREQ("round to nearest: layout and throughput only",
                 CSV_TEXT("remark", "table", "quality", "weights_kind", "int4 g128 asymmetric"));
    EXPECT_STREQ("", CSV_TEXT("weight_sqnr_db", "table", "quality", "weights_kind", "dense"));
    check_report(text);
    EXPECT_CONTAINS(text, "Sizes without a tensor&#39;s name are of layout and throughput only");
    EXPECT_EQ(1, count_of(text, "<b>Quality against time</b>"));
    free(text);
    free(csv);
    fixture_release(&f);

    fixture_init(&f);
    add_made(&f, gpu, nf4_nested, 100);
    add_made(&f, gpu, int4_gptq, 90);
    text = write_report("synthetic", fixture_set(&f), 1);
    ASSERT_TRUE(text != NULL);
    EXPECT_CONTAINS(text, "All sizes are of layout and throughput only: their weights are synthetic.");
    EXPECT_EQ(0, count_of(text, "<b>Quality against time</b>"));
    free(text);
    fixture_release(&f);
}

/* The shapes of Llama-3-8B: qkv, o, gate_up, down. */
static const uint64_t llama[][2] = {{6144, 4096}, {4096, 4096}, {28672, 4096}, {4096, 14336}};

TEST(report_formats, models_add_up_measured_projections)
{
    struct fixture f;
    struct place at = gpu;
    fixture_init(&f);
    for (int layer = 0; layer < 4; layer++) {
        at.n = llama[layer][0], at.k = llama[layer][1], at.group++;
        add_made(&f, at, nf4_nested, 100 * (layer + 1));
        add_made(&f, at, nf4_nested, 900); /* a slower variant */
        if (layer != 2)
            add_made(&f, at, int4_gptq, 10 * (layer + 1));
    }
    char *csv = write_report("models.csv", fixture_set(&f), 1),
         *text = write_report("models", fixture_set(&f), 1);
    ASSERT_TRUE(csv && text);
#define LLAMA "table", "models", "model", "Llama-3-8B", "weights_kind", "NF4 64 nested"
    const double bytes = (6144.0 * 4096 + 4096.0 * 4096 + 28672.0 * 4096 + 4096.0 * 14336) * 4.127 / 8;
    EXPECT_NEAR(1000, CSV("block_us", LLAMA), 1e-9);
    EXPECT_NEAR(32000, CSV("all_blocks_us", LLAMA), 1e-9);
    EXPECT_NEAR(32000, CSV("token_us", LLAMA), 1e-9);
    EXPECT_NEAR(32 * bytes, CSV("weight_bytes", LLAMA), 1);
    EXPECT_TRUE(CSV("block_us_lo", LLAMA) < 1000 && CSV("block_us_hi", LLAMA) > 1000);
    /* Two experts of eight run, and all are held. */
#define MIXTRAL "table", "models", "model", "Mixtral-8x7B", "weights_kind", "NF4 64 nested"
    EXPECT_NEAR(100 + 200 + 2 * (300 + 400), CSV("block_us", MIXTRAL), 1e-9);
    EXPECT_NEAR(32 * (6144.0 * 4096 + 4096.0 * 4096 + 8 * (28672.0 * 4096 + 4096.0 * 14336)) * 4.127 / 8,
                CSV("weight_bytes", MIXTRAL), 1);
    EXPECT_STREQ("qkv, o, gate_up, down; 2 of 8 experts run, all of them held", CSV_TEXT("counted", MIXTRAL));
    /* What was not measured is named, and no total is made of the rest. */
    EXPECT_STREQ("gate_up", CSV_TEXT("missing", "table", "models_incomplete", "model", "Llama-3-8B"));
    EXPECT_STREQ("qkv, o, down", CSV_TEXT("measured", "table", "models_incomplete", "model", "Llama-3-8B"));
    EXPECT_STREQ("", CSV_TEXT("block_us", "table", "models", "model", "Llama-3-8B", "weights_kind",
                              "int4 g128 asymmetric"));
    check_report(text);
    EXPECT_CONTAINS(text,
                    "all 80 blocks: 33.4 GB as NF4 of blocksize 64 with nested scales (4.127 bits a weight), "
                    "129.5 GB in 16 bits");
    EXPECT_EQ(0, count_of(text, "DeepSeek-V3"));
    free(text);
    free(csv);
    fixture_release(&f);
}

TEST(report_formats, models_take_parts_for_what_is_fused_and_refuse_experts_of_many_tokens)
{
    static const uint64_t parts[][2] = {{4096, 4096}, {1024, 4096}, {14336, 4096}, {4096, 14336}};
    struct fixture f;
    struct place at = gpu;
    fixture_init(&f);
    at.m = 16;
    for (int layer = 0; layer < 4; layer++) {
        at.n = parts[layer][0], at.k = parts[layer][1], at.group++;
        add_made(&f, at, nf4_nested, layer == 0 ? 4 : layer == 1 ? 1 : 14);
    }
    char *csv = write_report("parts.csv", fixture_set(&f), 1);
    ASSERT_TRUE(csv != NULL);
    EXPECT_NEAR(4 + 1 + 1 + 4 + 14 + 14 + 14, CSV("block_us", LLAMA), 1e-9); /* q, k, v, o, gate, up, down */
    EXPECT_NEAR(32 * 52.0 / 16, CSV("token_us", LLAMA), 1e-9);
    EXPECT_STREQ("q, k, v, o, gate, up, down", CSV_TEXT("counted", LLAMA));
    EXPECT_STREQ("", CSV_TEXT("block_us", MIXTRAL));
    EXPECT_STREQ("which experts the tokens go to decides the M of each product",
                 CSV_TEXT("missing", "table", "models_incomplete", "model", "Mixtral-8x7B"));
    free(csv);
    fixture_release(&f);
}

TEST(report_formats, deepseek_has_no_total)
{
    static const uint64_t shapes[][2] = {{1536, 7168}, {24576, 1536}, {576, 7168},
                                         {32768, 512}, {7168, 16384}, {4096, 7168},
                                         {7168, 2048}, {36864, 7168}, {7168, 18432}};
    struct fixture f;
    struct place at = gpu;
    fixture_init(&f);
    for (int i = 0; i < 9; i++) {
        at.n = shapes[i][0], at.k = shapes[i][1], at.group++;
        add_made(&f, at, nf4_nested, 10);
    }
    char *csv = write_report("deepseek.csv", fixture_set(&f), 1);
    ASSERT_TRUE(csv != NULL);
    EXPECT_STREQ("", CSV_TEXT("block_us", "table", "models", "model", "DeepSeek-V3"));
    EXPECT_CONTAINS(CSV_TEXT("missing", "table", "models_incomplete", "model", "DeepSeek-V3"),
                    "its blocks are of two sorts");
    free(csv);
    fixture_release(&f);
}

/* ---- all forms ---- */

TEST(report_formats, one_format_makes_the_report_of_before)
{
    struct fixture f;
    fixture_init(&f);
    add_timed(&f, "nf4_gemm_bf16_acc8__avx512_quick", 1, REGIME_COLD, 12);
    add_timed(&f, "nf4_gemm_bf16_acc8__avx512_slow", 1, REGIME_COLD, 24);
    char *text = write_report("alone", fixture_set(&f), 1),
         *csv = write_report("alone.csv", fixture_set(&f), 1);
    ASSERT_TRUE(text && csv);
    static const char *const ids[] = {"headline", "speedup", "roofline", "winners",
                                      "decode",   "quality", "models"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        char id[32];
        snprintf(id, sizeof id, "id=\"%s\"", ids[i]);
        test_note("%s", id);
        EXPECT_EQ(0, count_of(text, id));
    }
    test_note(NULL);
    EXPECT_STREQ("table\n", csv);
    free(csv);
    free(text);
    fixture_release(&f);
}

TEST(report_formats, thirty_thousand_rows_stay_small)
{
    static const struct made *const kinds[] = {&nf4_nested, &nf4_plain,   &nf4_repacked, &int4_rows,
                                               &int4_gptq,  &int4_marlin, &int8_rows,    &dense_cublas};
    struct fixture f;
    struct place at = gpu;
    fixture_init(&f);
    for (int shape = 1; shape <= 460; shape++)
        for (at.m = 1; at.m <= 128; at.m *= 2, at.group++)
            for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
                at.n = 64 * (uint64_t)shape;
                add_made(&f, at, *kinds[i], 10 + (double)shape + (double)i);
            }
    EXPECT_TRUE(f.set.row_count > 29000);
    char *csv = write_report("many.csv", fixture_set(&f), 1),
         *text = write_report("many.md", fixture_set(&f), 1);
    ASSERT_TRUE(csv && text);
    EXPECT_TRUE(strlen(text) < 2000000);
    EXPECT_CONTAINS(text, "The first 500 of 29440 rows; the report as CSV has all.");
    EXPECT_EQ(29440, count_of(csv, "\nroofline,"));
    free(text);
    free(csv);
    fixture_release(&f);
}

TEST(report_formats, hostile_names_stay_text_in_every_form)
{
    static const char *const bad = "</td><script>alert(1)</script>\"',`|\n\xff](http&colon;//x)";
    struct fixture f;
    fixture_init(&f);
    struct place at = gpu;
    for (at.m = 1; at.m <= 2; at.m++, at.group++) {
        add_made(&f, at, nf4_nested, 100);
        add_made(&f, at, int4_gptq, 90);
        add_made(&f, at, int4_rows, 95);
        add_made(&f, at, dense_rows, 300);
    }
    add_attribute(&f, "argv",
                  "[\"nf4bench run\", \"</pre><script>alert(2)</script>\", \"/home/me/$(x).h5\", 7]");
    for (size_t i = 0; i < f.set.row_count; i++) {
        struct record *r = &f.records[i];
        snprintf(r->variant + strlen(r->variant), 60, "%s", bad);
        snprintf(r->device, sizeof r->device, "%s", bad);
        snprintf(r->weights, sizeof r->weights, "%s", bad);
    }
    char *text = write_report("hostile_formats", fixture_set(&f), 1),
         *csv = write_report("hostile.csv", fixture_set(&f), 1),
         *markdown = write_report("hostile.md", fixture_set(&f), 1);
    ASSERT_TRUE(text && csv && markdown);
    check_report(text);
    EXPECT_EQ(0, count_of(text, "<script>alert"));
    EXPECT_CONTAINS(
        text, "nf4bench run &#39;&lt;/pre&gt;&lt;script&gt;alert(2)&lt;/script&gt;&#39; &#39;$(x).h5&#39;");
    EXPECT_EQ(0, count_of(text, "/home/me/$(x).h5&#39;")); /* but as a recorded fact, in its JSON */
    for (const char *p = strstr(markdown, "<script>"); p; p = strstr(p + 1, "<script>")) {
        const char *cell = p; /* in code, or held back */
        while (cell > markdown && !(cell[0] == ' ' && cell[-1] == '|'))
            cell--;
        EXPECT_TRUE(p[-1] == '\\' || cell[1] == '`');
    }
    static char heads[FIELDS][FIELD_BYTES], fields[FIELDS][FIELD_BYTES];
    size_t head_count, count;
    for (const char *p = split(csv, heads, &head_count); p && (p = split(p, fields, &count)) != NULL;)
        EXPECT_EQ(head_count, count);
    free(markdown);
    free(csv);
    free(text);
    fixture_release(&f);
}

/* ---- parts ---- */

TEST(report_formats, skeletons)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"nf4_gemm_bf16_c16__avx2_x", "int4_gemm_bf16_c16__avx2_x", true},
        {"nf4_gemm_bf16_mma80_fused_ftz__sm80_x", "int4_gemm_bf16_mma80_ftz__sm80_x", true},
        {"nf4_dequant_bf16_twostep__avx512", "fp8_dequant_bf16__avx512", true},
        {"nf4_gemm_bf16__avx2_x", "int4_gemm_bf16__avx2_x_gptq", false},
        {"nf4_gemm_bf16__avx2_fused_x", "int4_gemm_bf16__avx2_x", false}, /* a knob, no contract */
        {"nf4_gemm_bf16_sblk_acc32w8_twostep__sm75_shuffle", "int4_gemm_bf16_sblk_acc32w8__sm75_rows", true},
        {"nf4_gemm_bf16_sblk_acc32w8__sm75_prmt", "int4_gemm_bf16_sblk_acc32w8__sm75_rows", true},
        {"nf4_dequant_bf16__sm75_prmt_scaled", "int4_dequant_bf16__sm75_tiles", true},
        {"nf4_dequant_bf16__sm75_prmt", "int4_dequant_bf16__sm75_tiles", false},
        {"nf4_gemm_bf16_sblk_acc32w8__sm75_prmt_x", "int4_gemm_bf16_sblk_acc32w8__sm75_rows", false},
        {"nf4_gemm_bf16__avx2", "int4_gemm_bf16__avx2", true},
        {"bitsandbytes_gemm_bf16", "cublas_gemm_bf16", false},
        {"nf4", "int4", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row ra = {.variant = rows[i].a}, rb = {.variant = rows[i].b};
        const struct view_row a = {.r = &ra}, b = {.r = &rb};
        test_note("%s, %s", rows[i].a, rows[i].b);
        EXPECT_EQ(rows[i].same, same_skeleton(&a, &b));
    }
    test_note(NULL);
}

TEST(report_formats, rows_of_packages_by_name)
{
    static const struct {
        const char *variant;
        bool package;
    } rows[] = {
        {"bitsandbytes_cuda_nf4_gemm_bf16_cublas", true},
        {"cublas_gemm_bf16", true},
        {"cublaslt_gemm_bf16_nested", true},
        {"openblas_gemm_f32", true},
        {"nf4_gemm_bf16_any__sm80_cublaslt_whole", false}, /* the dequantize is ours */
        {"dense_gemm_bf16_mma90__sm80_stages_64x32x128", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row r = {.variant = rows[i].variant};
        const struct view_row v = {.r = &r};
        test_note("%s", rows[i].variant);
        EXPECT_EQ(rows[i].package, is_package(&v));
    }
    test_note(NULL);
}

TEST(report_formats, kinds)
{
    static const struct {
        const char *format;
        uint32_t blocksize, k;
        uint8_t nested, zeros, act_order;
        const char *text;
    } rows[] = {
        {"nf4", 64, 64, 1, 0, 0, "NF4 64 nested"},
        {"", 64, 64, 0, 0, 0, "NF4 64"},
        {"int4", 128, 512, 0, 1, 1, "int4 g128 asymmetric act-order"},
        {"int8", 4096, 4096, 0, 0, 0, "int8 by row"},
        {"fp8", 128, 4096, 0, 0, 0, "fp8 g128"},
        {"dense", 0, 512, 0, 0, 0, "dense"},
        {"ternary", 128, 512, 0, 0, 0, "another format g128"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[KIND_TEXT];
        const struct row r = {.format = rows[i].format,
                              .layout = "",
                              .blocksize = rows[i].blocksize,
                              .k = rows[i].k,
                              .nested = rows[i].nested,
                              .zeros = rows[i].zeros,
                              .act_order = rows[i].act_order};
        EXPECT_STREQ(rows[i].text, kind_text(kind_of(&(struct view_row){.r = &r}), text));
    }
}

TEST(report_formats, commands)
{
    struct attribute argv = {.name = (char *)"argv"};
    struct result_set set = {.attributes = &argv, .attribute_count = 1};
    static const struct {
        const char *json, *text;
    } rows[] = {
        {"[\"/opt/bin/nf4bench run\", \"suites/a b.yaml\", \"-o\", \"/tmp/x/y.h5\"]",
         "nf4bench run 'suites/a b.yaml' -o y.h5"},
        {"[\"nf4bench run\",\"it's\"]", "nf4bench run 'it'\\''s'"},
        {"[]", NULL},
        {"{", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        argv.value = (char *)rows[i].json;
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);
        test_note("%s", rows[i].json);
        EXPECT_EQ(rows[i].text != NULL, report_command(out, &set));
        EXPECT_EQ(0, fclose(out));
        if (rows[i].text)
            EXPECT_STREQ(rows[i].text, text);
        free(text);
    }
    test_note(NULL);
}
