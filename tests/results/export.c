/*
 * results_export.c: CSV, JSON Lines and Markdown of a results set made in memory.
 */
#include "results/export.h"

#include <math.h>
#include <stdlib.h>

#include <jansson.h>

#include "tests/results/rows.h"
#include "tests/test.h"

enum { SAMPLES = 40 };

static struct row rows[8];
static double samples[3 * SAMPLES];

static struct row *put_row(size_t i, const char *case_key, const char *variant, uint8_t verdict)
{
    static struct record none;
    struct row *r = &rows[i];
    record_init(&none);
    *r = row_of_record(&none);
    r->case_key = case_key;
    r->variant = variant;
    r->verdict = verdict;
    return r;
}

static void time_row(struct row *r, uint64_t group, uint64_t start, double median)
{
    r->regime = REGIME_COLD;
    r->group_id = group;
    r->sample_start = start;
    r->sample_count = SAMPLES;
    r->median_us = median;
    r->median_lo_us = median * 0.99;
    r->median_hi_us = median * 1.01;
    r->bytes_per_s = 2.5e9;
    r->precise = 1;
    r->ceiling_fraction = 0.5;
    r->ceiling_fraction_lo = 0.49;
    r->ceiling_fraction_hi = 0.51;
    r->ceiling = "fill";
}

/* Two cases; in the first three timed variants of one group: 100, 50 and 200 us, with a drift they share. */
static struct result_set make_set(void)
{
    static struct attribute attributes[] = {
        {.name = "schema_version", .value = "1"}, {.name = "cpu", .value = "a | b\nc"}, {.name = "long"}};
    static char text[400];
    for (size_t i = 0; i < 100; i++)
        strcpy(text + 2 * i, "\xc3\xa9");
    attributes[2].value = text;
    for (size_t i = 0; i < SAMPLES; i++) {
        double drift = 1 + 0.01 * (double)i;
        samples[i] = 100 * drift;
        samples[SAMPLES + i] = 50 * drift;
        samples[2 * SAMPLES + i] = 200 * drift;
    }
    time_row(put_row(0, "z first", "base__c", VERDICT_PASS), 1, 0, 100);
    time_row(put_row(1, "z first", "fast__avx2", VERDICT_PASS), 1, SAMPLES, 50);
    struct row *failed = put_row(2, "z first", "wrong__c", VERDICT_FAIL);
    time_row(failed, 1, 2 * SAMPLES, 200);
    failed->check = "decode";
    failed->reason = "says \"a|b\", then\r\nmore";
    failed->mismatch_count = 3;
    failed->compared_count = 7;
    failed->bimodal = 1;
    put_row(3, "a second", "fast__avx2", VERDICT_SKIPPED)->reason = "needs avx2";
    put_row(4, "z first", "base__avx2", VERDICT_SKIPPED)->reason = "needs avx2";
    put_row(5, "a second", "base__c", VERDICT_SUSPECT)->reason = "too fast";
    rows[5].median_us = 0.1234;
    rows[5].seed = UINT64_MAX;
    put_row(6, "a second", "fill", VERDICT_NONE)->median_us = 1234567.8;
    put_row(7, "a second", "slow", VERDICT_CRASHED);
    return (struct result_set){"dir/file.h5", attributes, 3, rows, 8, samples, 3 * SAMPLES, NULL, NULL, NULL};
}

enum format { CSV, JSONL, MARKDOWN };

static char *export(enum format format, const struct result_set *set, const char *against, enum status want)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    enum status s = format == CSV     ? export_csv(set, out)
                    : format == JSONL ? export_jsonl(set, out)
                                      : export_markdown(set, against, out);
    fclose(out);
    EXPECT_EQ(want, s);
    return text;
}

/* Column c of the line that starts at text, quotes undone; *end is where the record ends. */
static void csv_field(const char *text, unsigned wanted, char *field, const char **end)
{
    unsigned column = 0;
    size_t used = 0;
    bool quoted = false;
    for (; *text && (quoted || *text != '\n'); text++) {
        if (*text == '"') {
            if (quoted && text[1] == '"') {
                if (column == wanted)
                    field[used++] = '"';
                text++;
            } else {
                quoted = !quoted;
            }
        } else if (*text == ',' && !quoted) {
            column++;
        } else if (column == wanted) {
            field[used++] = *text;
        }
    }
    field[used] = '\0';
    *end = text + 1;
}

static unsigned column_index(const char *name)
{
    for (unsigned i = 0; i < record_column_count; i++)
        if (strcmp(record_columns[i].name, name) == 0)
            return i;
    abort();
}

TEST(export, csv)
{
    struct result_set set = make_set();
    char *text = export(CSV, &set, NULL, STATUS_OK), field[1024];
    const char *line = text, *next;
    for (unsigned i = 0; i < record_column_count; i++) {
        csv_field(line, i, field, &next);
        EXPECT_STREQ(record_columns[i].name, field);
    }
    for (size_t row = 0; row < set.row_count; row++) {
        line = next;
        csv_field(line, column_index("reason"), field, &next);
        EXPECT_STREQ(rows[row].reason, field);
        csv_field(line, column_index("verdict"), field, &next);
        EXPECT_STREQ(verdict_word(rows[row].verdict), field);
        csv_field(line, column_index("seed"), field, &next);
        EXPECT_EQ_BITS(rows[row].seed, strtoull(field, NULL, 10));
        csv_field(line, column_index("first_mismatch"), field, &next);
        EXPECT_STREQ("-1", field);
        csv_field(line, column_index("verify_s"), field, &next);
        EXPECT_STREQ("", field);
        csv_field(line, column_index("median_us"), field, &next);
        EXPECT_TRUE(isnan(rows[row].median_us) ? !field[0] : strtod(field, NULL) == rows[row].median_us);
    }
    EXPECT_EQ(strlen(text), next - text);
    EXPECT_CONTAINS(text, ",0.1234,");
    free(text);
}

TEST(export, csv_of_random_rows_reads_back)
{
    enum { ROWS = 200 };
    static struct record many[ROWS];
    static struct row read[ROWS];
    double ignored[ROW_SAMPLES_MAX];
    for (size_t i = 0; i < ROWS; i++) {
        make_row(i, &many[i], ignored);
        many[i].sample_count = 0;
        read[i] = row_of_record(&many[i]);
    }
    struct result_set set = {.path = "x", .rows = read, .row_count = ROWS};
    char *text = export(CSV, &set, NULL, STATUS_OK), field[1024], number[32];
    const char *line, *next;
    csv_field(text, 0, field, &next);
    for (size_t row = 0; row < ROWS; row++) {
        line = next;
        for (unsigned i = 0; i < record_column_count; i++) {
            const struct column *c = &record_columns[i];
            const char *at = (const char *)&many[row] + c->offset;
            double d;
            test_note("row %zu, %s", row, c->name);
            csv_field(line, i, field, &next);
            if (c->kind == COLUMN_TEXT)
                EXPECT_STREQ(at, field);
            if (c->kind == COLUMN_ENUM)
                EXPECT_STREQ(c->word(*(const uint8_t *)at), field);
            memcpy(&d, at, c->kind == COLUMN_F64 ? sizeof d : 1);
            if (c->kind == COLUMN_F64)
                EXPECT_TRUE(isnan(d) ? !field[0] : strtod(field, NULL) == d);
            uint64_t u = 0;
            memcpy(&u, at, c->size <= 8 ? c->size : 8);
            snprintf(number, sizeof number, c->kind == COLUMN_I64 ? "%lld" : "%llu", (unsigned long long)u);
            if (c->kind != COLUMN_TEXT && c->kind != COLUMN_ENUM && c->kind != COLUMN_F64)
                EXPECT_STREQ(number, field);
        }
    }
    free(text);
}

TEST(export, jsonl)
{
    struct result_set set = make_set();
    rows[7].max_abs_error = INFINITY;
    samples[1] = NAN;
    char *text = export(JSONL, &set, NULL, STATUS_OK), *line = text, *end;
    for (size_t row = 0; row < set.row_count; row++, line = end + 1) {
        end = strchr(line, '\n');
        ASSERT_TRUE(end != NULL);
        json_error_t error;
        /* jansson's integers are signed: the seed is compared as text. */
        json_t *object = json_loadb(line, (size_t)(end - line), JSON_DECODE_INT_AS_REAL, &error);
        test_note("row %zu: %s", row, object ? "" : error.text);
        ASSERT_TRUE(json_is_object(object));
        EXPECT_EQ(record_column_count + 1, json_object_size(object));
        EXPECT_STREQ(rows[row].reason, json_string_value(json_object_get(object, "reason")));
        EXPECT_STREQ(verdict_word(rows[row].verdict), json_string_value(json_object_get(object, "verdict")));
        EXPECT_TRUE(json_is_null(json_object_get(object, "verify_s")));
        EXPECT_EQ(rows[row].sample_count, json_array_size(json_object_get(object, "samples_us")));
        if (rows[row].sample_count > 0)
            EXPECT_NEAR(samples[rows[row].sample_start + 2],
                        json_real_value(json_array_get(json_object_get(object, "samples_us"), 2)), 0);
        json_decref(object);
    }
    EXPECT_EQ(0, *line);
    EXPECT_CONTAINS(text, "\"seed\": 18446744073709551615");
    EXPECT_CONTAINS(text, "\"samples_us\": [100, null, ");
    EXPECT_CONTAINS(text, "\"max_abs_error\": null");
    free(text);
}

TEST(export, jsonl_has_flags_where_a_sample_has_any)
{
    static uint8_t flags[3 * SAMPLES];
    struct result_set set = make_set();
    size_t first = 0;
    while (rows[first].sample_count == 0)
        first++;
    flags[rows[first].sample_start + 1] = SAMPLE_SLOWDOWN;
    set.flags = flags;
    char *text = export(JSONL, &set, NULL, STATUS_OK);
    EXPECT_CONTAINS(text, ", \"sample_flags\": [0, 2, 0, ");
    const char *one = strstr(text, "sample_flags");
    EXPECT_TRUE(one && !strstr(one + 1, "sample_flags")); /* the other rows have none */
    free(text);
}

static bool in_order(const char *text, const char *first, const char *second)
{
    const char *a = strstr(text, first), *b = strstr(text, second);
    return a && b && a < b;
}

TEST(export, markdown)
{
    struct result_set set = make_set();
    char *text = export(MARKDOWN, &set, NULL, STATUS_OK);
    EXPECT_CONTAINS(text, "# dir/file.h5\n");
    EXPECT_CONTAINS(text, "| cpu            | a \\| b c");
    EXPECT_CONTAINS(text, "\xc3\xa9...");
    EXPECT_CONTAINS(text, "| PASS            |    2 |");
    EXPECT_CONTAINS(text, "| SKIPPED         |    2 |");
    EXPECT_TRUE(in_order(text, "| FAIL    | wrong__c", "| CRASHED | slow"));
    EXPECT_TRUE(in_order(text, "| CRASHED | slow", "| SUSPECT | base__c"));
    EXPECT_CONTAINS(text, "3 of 7");
    EXPECT_CONTAINS(text, "says \"a\\|b\", then  more");
    EXPECT_CONTAINS(text, "|    2 | needs avx2 |");
    EXPECT_TRUE(in_order(text, "### z first", "### a second")); /* the order of the file */
    EXPECT_TRUE(in_order(strstr(text, "### z first"), "| fast__avx2", "| base__c"));
    EXPECT_TRUE(in_order(strstr(text, "### z first"), "| base__c", "| wrong__c"));
    EXPECT_CONTAINS(text, "50.00 us | 49.50 to 50.50 | 2.500 |");
    EXPECT_CONTAINS(text, "50.0 % (49.0 to 51.0) fill");
    EXPECT_CONTAINS(text, "40 bimodal");
    EXPECT_CONTAINS(text, "123.4 ns");
    EXPECT_CONTAINS(text, "1.235 s");
    EXPECT_TRUE(strstr(text, "speed against") == NULL);
    EXPECT_TRUE(strstr(strstr(text, "## Timings"), "base__avx2") == NULL); /* skipped */
    for (const char *line = text; *line;) {
        const char *end = strchr(line, '\n');
        unsigned bars = 0;
        for (const char *c = line; c < end; c++)
            bars += *c == '|' && c[-1] != '\\';
        if (*line == '|' && line > text && line[-1] == '\n') {
            const char *next = end + 1;
            unsigned next_bars = 0;
            for (const char *c = next; *next == '|' && *c != '\n'; c++)
                next_bars += *c == '|' && c[-1] != '\\';
            EXPECT_TRUE(*next != '|' || bars == next_bars);
        }
        line = end + 1;
    }
    free(text);
}

TEST(export, markdown_against_a_variant)
{
    struct result_set set = make_set();
    char *text = export(MARKDOWN, &set, "base__*", STATUS_OK);
    EXPECT_CONTAINS(text, "speed against base__*");
    EXPECT_CONTAINS(text, "2.000x (2.000 to 2.000)"); /* the drift cancels */
    EXPECT_CONTAINS(text, "0.500x (0.500 to 0.500)");
    EXPECT_CONTAINS(text, "1.000x (1.000 to 1.000)");
    free(text);
    text = export(MARKDOWN, &set, "slow", STATUS_USAGE); /* there, but not timed */
    EXPECT_STREQ("", text);
    EXPECT_CONTAINS(status_message(), "no timed variant matches \"slow\"");
    free(text);
}

TEST(export, pairs_only_within_a_group)
{
    struct result_set set = make_set();
    rows[1].group_id = 2;
    char *text = export(MARKDOWN, &set, "base__c", STATUS_OK);
    EXPECT_TRUE(strstr(text, "2.000x") == NULL);
    EXPECT_CONTAINS(text, "0.500x (0.500 to 0.500)");
    free(text);
}

TEST(export, nothing_in_it)
{
    struct result_set set = {.path = "empty.h5"};
    char *text = export(MARKDOWN, &set, NULL, STATUS_OK);
    EXPECT_CONTAINS(text, "# empty.h5");
    free(text);
    free(export(JSONL, &set, NULL, STATUS_OK));
    text = export(CSV, &set, NULL, STATUS_OK);
    EXPECT_CONTAINS(text, "case_key,variant,");
    free(text);
}

TEST(export, full_disk)
{
    struct result_set set = make_set();
    for (enum format format = CSV; format <= MARKDOWN; format++) {
        FILE *full = fopen("/dev/full", "w");
        ASSERT_TRUE(full != NULL);
        enum status s = format == CSV     ? export_csv(&set, full)
                        : format == JSONL ? export_jsonl(&set, full)
                                          : export_markdown(&set, NULL, full);
        EXPECT_EQ(STATUS_IO, s);
        EXPECT_CONTAINS(status_message(), "No space left on device");
        fclose(full);
    }
}
