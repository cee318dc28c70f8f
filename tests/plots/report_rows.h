/*
 * report_rows.h: made rows for the tests of reports, and what holds for every report.
 *
 * With NF4BENCH_TEST_REPORT_DIR set, the reports stay there for tests/end_to_end/test_report.py and for eyes.
 */
#ifndef NF4BENCH_TESTS_PLOTS_REPORT_ROWS_H
#define NF4BENCH_TESTS_PLOTS_REPORT_ROWS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/base/stats.h"
#include "plots/report.h"
#include "tests/test.h"

enum { SAMPLES = 40 };

/* A result set that grows. */
struct fixture {
    struct result_set set; /* as fixture_set() left it */
    struct record *records;
    struct attribute attributes[8];
    size_t row_capacity, sample_capacity;
    uint64_t random;
};

static inline void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.random = 88172645463325252u};
    f->set.path = (char *)"results/made.h5";
    f->set.attributes = f->attributes;
}

static inline void fixture_release(struct fixture *f)
{
    free(f->records);
    free(f->set.rows);
    free(f->set.samples);
}

/* The set of the records as they are now. */
static inline const struct result_set *fixture_set(struct fixture *f)
{
    free(f->set.rows);
    f->set.rows = calloc(f->set.row_count + 1, sizeof f->set.rows[0]);
    if (!f->set.rows)
        abort();
    for (size_t i = 0; i < f->set.row_count; i++)
        f->set.rows[i] = row_of_record(&f->records[i]);
    return &f->set;
}

static inline void add_attribute(struct fixture *f, const char *name, const char *value)
{
    f->attributes[f->set.attribute_count++] =
        (struct attribute){.name = (char *)name, .value = (char *)value};
}

static inline double noise(struct fixture *f)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return (double)(f->random >> 11) * 0x1p-53;
}

/* A row of "gemm bf16 m=... n=512 k=512", right but not timed. The pointer holds until the next row. */
static inline struct record *add_row(struct fixture *f, const char *variant, uint64_t m)
{
    struct result_set *set = &f->set;
    if (set->row_count == f->row_capacity) {
        f->row_capacity = f->row_capacity ? 2 * f->row_capacity : 16;
        f->records = realloc(f->records, f->row_capacity * sizeof f->records[0]);
        if (!f->records)
            abort();
    }
    struct record *r = &f->records[set->row_count++];
    record_init(r);
    snprintf(r->case_key, sizeof r->case_key, "gemm bf16 m=%d n=512 k=512 blocksize=64 seed=1", (int)m);
    snprintf(r->variant, sizeof r->variant, "%s", variant);
    strcpy(r->arch, "avx512");
    strcpy(r->suite, "made");
    strcpy(r->weights, "normal");
    strcpy(r->check, "real_data");
    r->op = 1;
    r->out_type = 2;
    r->m = m;
    r->n = r->k = 512;
    r->blocksize = 64;
    r->threads = 2;
    r->bits_per_weight = 4.5;
    r->verdict = VERDICT_PASS;
    r->compared_count = 1000;
    r->ulp_0 = 1000;
    return r;
}

/* Gives a row samples whose median is exactly median_us. */
static inline void add_times(struct fixture *f, struct record *r, enum regime regime, uint64_t group,
                             double median_us)
{
    struct result_set *set = &f->set;
    if (set->sample_count + SAMPLES > f->sample_capacity) {
        f->sample_capacity = 2 * f->sample_capacity + SAMPLES;
        set->samples = realloc(set->samples, f->sample_capacity * sizeof set->samples[0]);
        if (!set->samples)
            abort();
    }
    double *samples = set->samples + set->sample_count;
    for (int i = 0; i < SAMPLES; i += 2) {
        const double spread = 0.02 * noise(f);
        samples[i] = median_us * (1 - spread);
        samples[i + 1] = median_us * (1 + spread);
    }
    samples[0] = samples[1] = median_us;
    struct sample_summary summary;
    double scratch[SAMPLES];
    summarize(samples, SAMPLES, scratch, &summary);
    r->regime = (uint8_t)regime;
    r->group_id = group;
    r->sample_start = set->sample_count;
    r->sample_count = SAMPLES;
    set->sample_count += SAMPLES;
    r->calls_per_sample = 1;
    r->median_us = median_us;
    r->median_lo_us = summary.median_ci.lo;
    r->median_hi_us = summary.median_ci.hi;
    r->min_us = summary.min;
    r->p10_us = summary.p10;
    r->p90_us = summary.p90;
    r->precise = r->settled = 1;
    r->timer_overhead_us = 0.01;
    r->format_bytes = 512.0 * 512 * 4.5 / 8;
    r->bytes_per_s = r->format_bytes / (1e-6 * median_us);
    r->weights_per_s = 512.0 * 512 / (1e-6 * median_us);
    strcpy(r->ceiling, "read");
    r->ceiling_fraction = 5 / median_us;
    r->ceiling_fraction_lo = 4.9 / median_us;
    r->ceiling_fraction_hi = 5.1 / median_us;
}

static inline void add_timed(struct fixture *f, const char *variant, uint64_t m, enum regime regime,
                             double median_us)
{
    add_times(f, add_row(f, variant, m), regime, 8 * m + regime, median_us);
}

/* Writes a report, NAME.html unless the name has a suffix, and returns its text, or NULL after reporting a
 * failure. Caller frees. */
static inline char *write_report(const char *name, const struct result_set *sets, size_t count)
{
    char path[512];
    const char *keep = getenv("NF4BENCH_TEST_REPORT_DIR");
    snprintf(path, sizeof path, strchr(name, '.') ? "%s/%s" : "%s/%s.html",
             keep ? keep : test_temporary_directory(), name);
    if (report_write(sets, count, path) != STATUS_OK) {
        EXPECT_STREQ("", status_message());
        return NULL;
    }
    char *text = NULL;
    struct stat info;
    FILE *in = fopen(path, "rb");
    if (in && fstat(fileno(in), &info) == 0 && (text = calloc(1, (size_t)info.st_size + 1)) != NULL &&
        fread(text, 1, (size_t)info.st_size, in) != (size_t)info.st_size) {
        free(text);
        text = NULL;
    }
    if (in)
        fclose(in);
    EXPECT_TRUE(text != NULL);
    return text;
}

static inline size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *p = strstr(text, part); p; p = strstr(p + 1, part))
        count++;
    return count;
}

/* Whether every tag is closed in order, every attribute quoted and every & an entity: XML, but for the
 * doctype. Says where it is not. */
static inline bool is_well_formed(const char *text)
{
    enum { DEPTH = 64 };
    const char *open[DEPTH];
    size_t lengths[DEPTH];
    int depth = 0;
    static char where[96];
    const char *p = strncmp(text, "<!DOCTYPE html>", 15) ? text : text + 15;
    for (; *p; p++) {
        snprintf(where, sizeof where, "at '%.60s'", p);
        test_note("%s", where);
        if (*p == '&') {
            size_t length = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz#0123456789");
            if (length == 0 || p[1 + length] != ';')
                return false;
        }
        if ((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t')
            return false;
        if (*p == '>')
            continue;
        if (*p != '<')
            continue;
        const bool closing = p[1] == '/';
        const char *name = p + 1 + closing;
        const size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
        if (length == 0)
            return false;
        for (p = name + length; *p && *p != '>'; p++)
            if (*p == '"') {
                p += 1 + strcspn(p + 1, "\"<");
                if (*p != '"')
                    return false;
            } else if (*p == '=' && p[1] != '"') {
                return false;
            }
        if (*p != '>')
            return false;
        if (closing) {
            depth--;
            if (depth < 0 || lengths[depth] != length || strncmp(open[depth], name, length))
                return false;
        } else if (p[-1] != '/') {
            if (depth == DEPTH)
                return false;
            open[depth] = name;
            lengths[depth++] = length;
        }
    }
    test_note(NULL);
    return depth == 0;
}

/* What every report must be. */
static inline void check_report(const char *text)
{
    EXPECT_TRUE(is_well_formed(text));
    EXPECT_EQ(0, count_of(text, "http://"));
    EXPECT_EQ(0, count_of(text, "https://"));
    EXPECT_EQ(0, count_of(text, "<img"));
    EXPECT_EQ(0, count_of(text, "<link"));
    EXPECT_EQ(0, count_of(text, "@import"));
    EXPECT_EQ(1, count_of(text, "<script>"));
    EXPECT_EQ(1, count_of(text, "</html>"));
    EXPECT_EQ(0, count_of(text, ">nan<"));
    EXPECT_EQ(0, count_of(text, ">inf<"));
}

#endif
