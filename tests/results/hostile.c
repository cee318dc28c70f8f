/*
 * results_hostile.c: result files that are damaged or made to do harm. Whatever HDF5 does with one,
 * result_set_load() returns in time, with rows that are safe to use or an error that names the file.
 *
 * NF4BENCH_HOSTILE_COUNT=120000 (default 2000) and NF4BENCH_HOSTILE_SEED=n make a longer campaign of it; a
 * file that breaks an expectation is kept as hostile-<n>.h5 in the working directory.
 */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "results/export.h"
#include "results/journal.h"
#include "results/load.h"
#include "results/store.h"
#include "tests/results/rows.h"
#include "tests/test.h"

enum { FILE_MAX = 1 << 18, SECONDS_MAX = 45 };

static uint8_t original[FILE_MAX], mutated[FILE_MAX];
static size_t original_size;
static char path[512];

/* A results file of a few rows in `original`, and the path for its mutants. */
static bool begin(void)
{
    char journal[520];
    struct journal_writer *w;
    snprintf(path, sizeof path, "%s/mutant.h5", test_temporary_directory());
    snprintf(journal, sizeof journal, "%s.journal", path);
    if (journal_create(journal,
                       "{\"schema_version\": 1, \"host\": \"here\", \"argv\": [\"a\"], \"clock_hz\": 2.5e9}",
                       &w) != STATUS_OK)
        return false;
    bool ok = true;
    for (uint64_t i = 0; i < 70; i++) { /* two chunks */
        struct record r;
        double samples[ROW_SAMPLES_MAX];
        make_row(i, &r, samples);
        ok = ok && journal_append(w, &r, &(const double *){samples}, NULL, 1) == STATUS_OK;
    }
    ok = journal_close(w) == STATUS_OK && ok && store_build(journal, path, false) == STATUS_OK;
    FILE *f = fopen(path, "rb");
    original_size = f ? fread(original, 1, FILE_MAX, f) : 0;
    if (f)
        fclose(f);
    return ok && original_size > 0 && original_size < FILE_MAX;
}

static void spill(const char *to, const uint8_t *bytes, size_t size)
{
    FILE *f = fopen(to, "wb");
    if (!f || fwrite(bytes, 1, size, f) != size || fclose(f) != 0)
        abort();
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct tally {
    unsigned ok, refused, crashed, slow;
    double slowest_s;
};

/* Uses everything that a loaded set offers. */
static bool set_is_sound(const struct result_set *set)
{
    bool ok = true;
    FILE *null = fopen("/dev/null", "w");
    if (!null)
        return false;
    for (size_t i = 0; i < set->row_count; i++) {
        const struct row *r = &set->rows[i];
        ok = ok && r->sample_start <= set->sample_count &&
             r->sample_count <= set->sample_count - r->sample_start;
        for (unsigned c = 0; c < record_column_count; c++) {
            const struct column *column = &record_columns[c];
            const char *at = (const char *)r + column->row_offset, *text;
            memcpy(&text, at, column->kind == COLUMN_TEXT ? sizeof text : 0);
            ok = ok && (column->kind != COLUMN_TEXT || strlen(text) < column->size);
            ok = ok && (column->kind != COLUMN_ENUM || column->word(*(const uint8_t *)at));
        }
    }
    /* Not JSON Lines: every row may name every sample, which is right but long. */
    ok = ok && export_csv(set, null) == STATUS_OK && export_markdown(set, NULL, null) == STATUS_OK;
    fclose(null);
    return ok;
}

/* Loads a mutant. False when an expectation does not hold. */
static bool load_mutant(const uint8_t *bytes, size_t size, struct tally *t)
{
    const struct load_limits limits = {.memory = LOAD_LIMITS.memory, .cpu_s = 1, .wall_ms = 400};
    struct result_set set;
    bool ok;
    spill(path, bytes, size);
    double start = now();
    enum status s = result_set_load_limited(path, &limits, &set);
    double took = now() - start;
    if (took > t->slowest_s)
        t->slowest_s = took;
    if (s == STATUS_OK) {
        t->ok++;
        ok = set_is_sound(&set);
        result_set_release(&set);
    } else {
        bool crashed = strstr(status_message(), "the HDF5 library crashed (signal ");
        bool slow = strstr(status_message(), "took more than");
        t->crashed += crashed;
        t->slow += slow;
        t->refused += !crashed && !slow;
        /* The library quotes what it found: one line all the same. */
        ok = strncmp(status_message(), path, strlen(path)) == 0 && !strchr(status_message(), '\n') &&
             (s == STATUS_INPUT || s == STATUS_LIMIT || s == STATUS_MEMORY);
    }
    return ok && took < 10;
}

static void print_tally(const char *what, unsigned count, const struct tally *t)
{
    printf("%u %s: %u read, %u refused, %u crashed HDF5, %u stopped for time; the slowest took %.2f s\n",
           count, what, t->ok, t->refused, t->crashed, t->slow, t->slowest_s);
}

TEST(hostile, truncated_files)
{
    struct tally t = {0};
    unsigned count = 0;
    ASSERT_TRUE(begin());
    /* Every length in the first kilobyte, where the superblock and the root are, then 300 more. */
    for (size_t length = 1; length < original_size;
         length += length < 1024 ? 7 : original_size / 300, count++) {
        test_note("%zu of %zu bytes", length, original_size);
        ASSERT_TRUE(load_mutant(original, length, &t));
    }
    EXPECT_EQ(0, t.ok); /* HDF5 knows how long the file must be */
    print_tally("truncated files", count, &t);
}

static uint64_t state;

static uint64_t random_below(uint64_t limit)
{
    state = mix64(state);
    return state % limit;
}

/* Changes that find different faults: bits, bytes, whole numbers at their limits, moved blocks. */
static void mutate_once(void)
{
    static const uint64_t numbers[] = {0,          1,          0xff,       0x7f,       0xffff,    0x7fff,
                                       0xffffffff, 0x7fffffff, 0x80000000, UINT64_MAX, INT64_MAX, 1u << 20};
    /* Metadata decides what HDF5 does: half of the changes go to the first eighth of the file. */
    size_t reach = random_below(2) ? original_size : original_size / 8;
    size_t at = random_below(reach), from, length;
    switch (random_below(6)) {
    case 0:
        mutated[at] ^= (uint8_t)(1u << random_below(8));
        break;
    case 1:
        mutated[at] = (uint8_t)random_below(256);
        break;
    case 2:
    case 3:
        length = (size_t)1 << random_below(4);
        if (at + length <= original_size)
            memcpy(mutated + at, &numbers[random_below(sizeof numbers / sizeof numbers[0])], length);
        break;
    case 4:
        from = random_below(original_size);
        length = 1 + random_below(64);
        if (at + length <= original_size && from + length <= original_size)
            memmove(mutated + at, original + from, length);
        break;
    case 5: /* a small step of a number, which keeps it plausible */
        mutated[at] = (uint8_t)(mutated[at] + 1 + random_below(4) - 2);
        break;
    }
}

TEST(hostile, mutated_files)
{
    const char *want = getenv("NF4BENCH_HOSTILE_COUNT"), *seed = getenv("NF4BENCH_HOSTILE_SEED");
    unsigned long count = want ? strtoul(want, NULL, 10) : 2000, done = 0, broken = 0;
    struct tally t = {0};
    double start = now();
    ASSERT_TRUE(begin());
    state = seed ? strtoul(seed, NULL, 10) : 1;
    while (done < count && (want || now() - start < SECONDS_MAX)) {
        memcpy(mutated, original, original_size);
        for (uint64_t changes = 1 + random_below(8); changes > 0; changes--)
            mutate_once();
        done++;
        if (!load_mutant(mutated, original_size, &t)) {
            char keep[64];
            snprintf(keep, sizeof keep, "hostile-%lu.h5", done);
            spill(keep, mutated, original_size);
            test_note("mutant %lu, kept as %s: %s", done, keep, status_message());
            EXPECT_TRUE(!"a mutant broke an expectation");
            if (++broken == 10)
                break;
        }
    }
    test_note(NULL);
    EXPECT_TRUE(done == count || done >= 200); /* a loaded machine may do fewer; not next to none */
    EXPECT_TRUE(t.refused > 0 && t.ok > 0);
    print_tally("mutated files", (unsigned)done, &t);
}
