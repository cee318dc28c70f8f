#include "results/changes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

/* A row of variant `name`, timed at median `us` with an interval of +-`half`; us 0: not timed. */
static struct row row(const char *name, double us, double half)
{
    static struct record none;
    record_init(&none);
    struct row r = row_of_record(&none);
    r.variant = name;
    r.case_key = "dequant bf16 n=1 k=1";
    r.device = "a CPU";
    r.verdict = VERDICT_PASS;
    r.regime = us > 0 ? REGIME_COLD : REGIME_NONE;
    r.threads = 2;
    if (us > 0) {
        r.sample_count = 30;
        r.median_us = us;
        r.median_lo_us = us - half;
        r.median_hi_us = us + half;
    }
    return r;
}

static struct result_set set_of(char *path, struct row *rows, size_t count)
{
    return (struct result_set){.path = path, .rows = rows, .row_count = count};
}

static const struct change *find(const struct changes *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->list[i].base->variant, name) == 0)
            return &c->list[i];
    return NULL;
}

TEST(changes, rows_are_joined_and_sorted_by_what_matters)
{
    struct row base[] = {row("same", 100, 1),   row("slower", 100, 1), row("faster", 100, 1),
                         row("unsure", 100, 5), row("broken", 100, 1), row("gone", 100, 1),
                         row("mended", 0, 0),   row("untimed", 0, 0),  row("much_slower", 10, 0.1)};
    struct row now[] = {row("untimed", 0, 0),  row("slower", 103, 1), row("faster", 90, 1),
                        row("unsure", 104, 5), row("broken", 0, 0),   row("came", 1, 0.1),
                        row("mended", 100, 1), row("same", 100.5, 1), row("much_slower", 20, 0.2)};
    base[6].verdict = now[4].verdict = VERDICT_FAIL;
    struct result_set b = set_of("base.h5", base, 9), n = set_of("new.h5", now, 9);
    struct changes c;
    ASSERT_EQ(STATUS_OK, changes_find(&b, &n, &c));
    EXPECT_EQ(8, c.count);
    EXPECT_EQ(1, c.base_only);
    EXPECT_EQ(1, c.now_only);
    static const struct {
        const char *name;
        enum change_kind kind;
    } want[] = {{"broken", CHANGE_BROKEN}, {"mended", CHANGE_MENDED},  {"much_slower", CHANGE_SLOWER},
                {"slower", CHANGE_SLOWER}, {"faster", CHANGE_FASTER},  {"unsure", CHANGE_UNSURE},
                {"same", CHANGE_SAME},     {"untimed", CHANGE_UNTIMED}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        test_note("place %zu", i);
        EXPECT_STREQ(want[i].name, c.list[i].base->variant);
        EXPECT_EQ(want[i].kind, c.list[i].kind);
    }
    test_note(NULL);
    const struct change *slower = find(&c, "slower");
    EXPECT_NEAR(1.03, slower->ratio, 1e-12);
    EXPECT_NEAR(102.0 / 101, slower->lo, 1e-12);
    EXPECT_NEAR(104.0 / 99, slower->hi, 1e-12);
    EXPECT_EQ(1, c.mean_count);
    EXPECT_EQ(5, c.means[0].count);
    EXPECT_NEAR(pow(1.005 * 1.03 * 0.9 * 1.04 * 2, 0.2), c.means[0].ratio, 1e-12);
    changes_release(&c);
}

TEST(changes, other_devices_are_refused)
{
    struct row base = row("v", 100, 1), now = row("v", 50, 1);
    struct result_set b = set_of("base.h5", &base, 1), n = set_of("new.h5", &now, 1);
    struct changes c;
    now.device = "another CPU";
    EXPECT_EQ(STATUS_USAGE, changes_find(&b, &n, &c));
    EXPECT_CONTAINS(status_message(), "no verdict is called between devices");
    EXPECT_CONTAINS(status_message(), "another CPU");
}

TEST(changes, nothing_in_common_is_an_error)
{
    struct row base = row("v", 100, 1), now = row("w", 50, 1);
    struct result_set b = set_of("base.h5", &base, 1), n = set_of("new.h5", &now, 1);
    struct changes c;
    EXPECT_EQ(STATUS_USAGE, changes_find(&b, &n, &c));
    EXPECT_CONTAINS(status_message(), "no row in common");
    n.row_count = 0;
    EXPECT_EQ(STATUS_USAGE, changes_find(&b, &n, &c));
}

TEST(changes, unlike_environments_are_told)
{
    struct row base = row("v", 100, 1), now = row("v", 100, 1);
    struct result_set b = set_of("base.h5", &base, 1), n = set_of("new.h5", &now, 1);
    struct attribute of_base[] = {
        {.name = "compiler", .value = "gcc 12"},
        {.name = "gpus", .value = "[{\"driver_version\": \"580.1\", \"ecc\": true}]"}};
    struct attribute of_now[] = {
        {.name = "compiler", .value = "gcc 13"},
        {.name = "gpus", .value = "[{\"driver_version\": \"590.2\", \"ecc\": true}]"}};
    struct changes c;
    ASSERT_EQ(STATUS_OK, changes_find(&b, &n, &c));
    EXPECT_STREQ("", c.unlike);
    changes_release(&c);
    b.attributes = of_base;
    n.attributes = of_now;
    b.attribute_count = n.attribute_count = 2;
    ASSERT_EQ(STATUS_OK, changes_find(&b, &n, &c));
    EXPECT_STREQ("compiler: gcc 12, then gcc 13\nGPU 0 driver_version: \"580.1\", then \"590.2\"\n",
                 c.unlike);
    changes_release(&c);
}
