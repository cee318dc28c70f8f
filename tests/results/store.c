/*
 * results_store.c: journal -> HDF5 -> rows again, and every way in which that may fail.
 */
#include "results/store.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <hdf5.h>
#include <jansson.h>

#include "results/journal.h"
#include "results/load.h"
#include "tests/results/rows.h"
#include "tests/test.h"

static const char header[] =
    "{\"schema_version\": 1, \"host\": \"caf\xc3\xa9\", \"argv\": [\"run\", \"a b\"], "
    "\"clock_hz\": 2.5e9, \"threads\": -3, \"dirty\": true, \"empty\": \"\", \"none\": null, "
    "\"cpu\": {\"name\": \"x\", \"flags\": [\"avx2\"]}}";

static char h5_path[512], journal_path[520], temporary_path[520];

/* A fresh directory and a journal with `count` rows in it. */
static bool begin(uint64_t count)
{
    struct journal_writer *w;
    snprintf(h5_path, sizeof h5_path, "%s/run.h5", test_temporary_directory());
    snprintf(journal_path, sizeof journal_path, "%s.journal", h5_path);
    snprintf(temporary_path, sizeof temporary_path, "%s.tmp", h5_path);
    (void)unlink(journal_path);
    if (journal_create(journal_path, header, &w) != STATUS_OK)
        return false;
    bool ok = true;
    for (uint64_t i = 0; i < count; i++) {
        struct record r;
        double samples[ROW_SAMPLES_MAX];
        make_row(i, &r, samples);
        ok = ok && journal_append(w, &r, &(const double *){samples}, NULL, 1) == STATUS_OK;
    }
    return journal_close(w) == STATUS_OK && ok;
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static bool file_is_right(uint64_t count)
{
    struct result_set set;
    uint64_t sample = 0;
    enum status s = result_set_load(h5_path, &set);
    if (!test_equal_string(s == STATUS_OK ? "" : "no message", s == STATUS_OK ? "" : status_message(),
                           __FILE__, __LINE__, "status_message()"))
        return false;
    bool ok = set.row_count == count;
    for (uint64_t i = 0; ok && i < count; i++)
        ok = !row_difference(i, &set.rows[i], set.samples, set.sample_count, &sample);
    ok = ok && sample == set.sample_count;
    result_set_release(&set);
    return ok;
}

TEST(store, every_column_of_every_row_comes_back)
{
    ASSERT_TRUE(begin(1500)); /* more than one block of the reader, more than one chunk of the file */
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    EXPECT_TRUE(file_is_right(1500));
    EXPECT_FALSE(exists(journal_path));
    EXPECT_FALSE(exists(temporary_path));
}

TEST(load, equal_texts_are_one)
{
    struct result_set set;
    struct journal_writer *w;
    struct record rows[2];
    ASSERT_TRUE(begin(0));
    ASSERT_EQ(STATUS_OK, journal_append_open(journal_path, &w));
    record_init(&rows[0]);
    rows[1] = rows[0];
    for (unsigned i = 0; i < 3000; i++) { /* blocks of the reader have different ones */
        snprintf(rows[0].case_key, sizeof rows[0].case_key, "case %u", i % 700);
        snprintf(rows[0].variant, sizeof rows[0].variant, "variant %u", i % 7);
        snprintf(rows[1].reason, sizeof rows[1].reason, "case %u", i % 700);
        EXPECT_EQ(STATUS_OK, journal_append(w, rows, (const double *[]){NULL, NULL}, NULL, 2));
    }
    EXPECT_EQ(STATUS_OK, journal_close(w));
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    ASSERT_EQ(STATUS_OK, result_set_load(h5_path, &set));
    ASSERT_EQ(6000, set.row_count);
    EXPECT_TRUE(set.rows[0].case_key == set.rows[1].reason &&
                set.rows[0].case_key == set.rows[1400].case_key);
    EXPECT_TRUE(set.rows[0].reason == set.rows[5998].diagnosis);
    EXPECT_STREQ("case 199", set.rows[5998].case_key);
    EXPECT_STREQ("variant 3", set.rows[5998].variant);
    EXPECT_EQ(1 + 7 + 700, json_object_size(set.texts));
    result_set_release(&set);
}

TEST(store, no_rows)
{
    ASSERT_TRUE(begin(0));
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    EXPECT_TRUE(file_is_right(0));
}

TEST(store, extreme_values_come_back)
{
    struct journal_writer *w;
    struct result_set set;
    struct record r, back;
    double samples[] = {NAN, INFINITY, -INFINITY, -0.0, 4.9e-324, 1.7976931348623157e308, 0.1};
    ASSERT_TRUE(begin(0));
    ASSERT_EQ(STATUS_OK, journal_append_open(journal_path, &w));
    record_init(&r);
    memset(r.case_key, 'k', sizeof r.case_key - 1);
    memset(r.reason, 'r', sizeof r.reason - 1);
    memcpy(r.reason + sizeof r.reason - 4, "\xe2\x82\xac", 4); /* the last character fills it to the end */
    r.seed = UINT64_MAX;
    r.first_mismatch = INT64_MIN;
    r.max_ulp = UINT32_MAX;
    r.nested = UINT8_MAX;
    r.median_us = INFINITY;
    r.verdict = VERDICT_UNSTABLE;
    r.sample_count = sizeof samples / sizeof samples[0];
    EXPECT_EQ(STATUS_OK, journal_append(w, &r, &(const double *){samples}, NULL, 1));
    EXPECT_EQ(STATUS_OK, journal_close(w));
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    ASSERT_EQ(STATUS_OK, result_set_load(h5_path, &set));
    ASSERT_EQ(1, set.row_count);
    row_to_record(set.rows, &back);
    for (unsigned i = 0; i < record_column_count; i++) {
        const struct column *c = &record_columns[i];
        test_note("%s", c->name);
        EXPECT_EQ(0, memcmp((char *)&r + c->offset, (char *)&back + c->offset, c->size));
    }
    EXPECT_EQ(0, memcmp(samples, set.samples, sizeof samples));
    result_set_release(&set);
}

TEST(store, flags_come_back_and_excluded_samples_are_masked)
{
    struct journal_writer *w;
    struct result_set set;
    struct record rows[3];
    double samples[3][4] = {{1, 2, 3, 4}, {5, 6, 7, 8}, {9, 10, 11, 12}};
    uint8_t flags[4] = {0, SAMPLE_POWER_CAP, SAMPLE_SLOW_CLOCK | SAMPLE_POWER_CAP, SAMPLE_LATE};
    ASSERT_TRUE(begin(0));
    ASSERT_EQ(STATUS_OK, journal_append_open(journal_path, &w));
    for (int i = 0; i < 3; i++) {
        record_init(&rows[i]);
        rows[i].sample_count = 4;
    }
    EXPECT_EQ(STATUS_OK, journal_append(w, rows, (const double *[]){samples[0], samples[1]},
                                        (const uint8_t *[]){NULL, flags}, 2));
    EXPECT_EQ(STATUS_OK, journal_append(w, rows + 2, (const double *[]){samples[2]}, NULL, 1));
    EXPECT_EQ(STATUS_OK, journal_close(w));
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    ASSERT_EQ(STATUS_OK, result_set_load(h5_path, &set));
    ASSERT_TRUE(set.flags && set.kept && set.sample_count == 12);
    for (int i = 0; i < 12; i++) {
        bool flagged = i >= 4 && i < 8, excluded = i == 6 || i == 7;
        EXPECT_EQ(flagged ? flags[i - 4] : 0, set.flags[i]);
        EXPECT_NEAR(i + 1, set.samples[i], 0); /* all of them are there */
        EXPECT_TRUE(excluded ? isnan(result_set_kept(&set)[i]) : result_set_kept(&set)[i] == i + 1);
    }
    result_set_release(&set);
}

TEST(store, the_header_becomes_attributes_in_its_order)
{
    struct result_set set;
    static const char *const want[][2] = {{"schema_version", "1"},
                                          {"host", "caf\xc3\xa9"},
                                          {"argv", "[\"run\",\"a b\"]"},
                                          {"clock_hz", "2500000000"},
                                          {"threads", "-3"},
                                          {"dirty", "1"},
                                          {"empty", ""},
                                          {"none", "null"},
                                          {"cpu", "{\"name\":\"x\",\"flags\":[\"avx2\"]}"}};
    ASSERT_TRUE(begin(1));
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    ASSERT_EQ(STATUS_OK, result_set_load(h5_path, &set));
    ASSERT_EQ(sizeof want / sizeof want[0], set.attribute_count);
    for (size_t i = 0; i < set.attribute_count; i++) {
        EXPECT_STREQ(want[i][0], set.attributes[i].name);
        EXPECT_STREQ(want[i][1], set.attributes[i].value);
    }
    EXPECT_STREQ("-3", result_set_attribute(&set, "threads"));
    EXPECT_TRUE(result_set_attribute(&set, "no such") == NULL);
    EXPECT_STREQ(h5_path, set.path);
    result_set_release(&set);
}

TEST(store, an_attribute_longer_than_64_kilobytes)
{
    enum { LENGTH = 300000 };
    static char json[LENGTH + 64];
    struct journal_writer *w;
    struct result_set set;
    ASSERT_TRUE(begin(0));
    ASSERT_EQ(0, unlink(journal_path));
    strcpy(json, "{\"suite_text\": \"");
    size_t start = strlen(json);
    memset(json + start, 's', LENGTH);
    strcpy(json + start + LENGTH, "\"}");
    ASSERT_EQ(STATUS_OK, journal_create(journal_path, json, &w));
    ASSERT_EQ(STATUS_OK, journal_close(w));
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    ASSERT_EQ(STATUS_OK, result_set_load(h5_path, &set));
    const char *text = result_set_attribute(&set, "suite_text");
    EXPECT_TRUE(text && strlen(text) == LENGTH);
    result_set_release(&set);
}

static uint64_t file_hash(const char *path)
{
    uint64_t hash = 0;
    FILE *f = fopen(path, "rb");
    for (int c; f && (c = fgetc(f)) != EOF;)
        hash = mix64(hash ^ (uint64_t)c);
    if (f)
        fclose(f);
    return hash;
}

TEST(store, one_journal_makes_one_file)
{
    ASSERT_TRUE(begin(20));
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    uint64_t first = file_hash(h5_path);
    sleep(1); /* times of creation would differ now */
    ASSERT_TRUE(begin(20));
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    EXPECT_EQ_BITS(first, file_hash(h5_path));
}

TEST(store, replaces_an_existing_file_whole)
{
    ASSERT_TRUE(begin(3));
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    ASSERT_TRUE(begin(7));
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    EXPECT_TRUE(file_is_right(7));
}

TEST(store, an_unfinished_run_keeps_its_journal)
{
    ASSERT_TRUE(begin(4));
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, true));
    EXPECT_TRUE(file_is_right(4));
    EXPECT_TRUE(exists(journal_path));
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    EXPECT_TRUE(file_is_right(4));
    EXPECT_FALSE(exists(journal_path));
}

TEST(store, leftovers_of_a_killed_build_do_not_matter)
{
    ASSERT_TRUE(begin(3));
    FILE *f = fopen(temporary_path, "wb");
    ASSERT_TRUE(f && fputs("half a file", f) >= 0 && fclose(f) == 0);
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    EXPECT_TRUE(file_is_right(3));
    EXPECT_FALSE(exists(temporary_path));
}

/* What every failure must leave: the journal, the old file, nothing else, and words that help. */
static void expect_kept(enum status s, const char *part, bool had_file)
{
    EXPECT_TRUE(s == STATUS_IO || s == STATUS_INPUT);
    EXPECT_CONTAINS(status_message(), part);
    EXPECT_CONTAINS(status_message(), journal_path);
    EXPECT_CONTAINS(status_message(), "nf4bench run --resume");
    EXPECT_TRUE(exists(journal_path));
    EXPECT_FALSE(exists(temporary_path));
    EXPECT_TRUE(had_file == exists(h5_path));
}

TEST(store, file_size_limit_at_many_places)
{
    struct rlimit old;
    ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &old));
    ASSERT_TRUE(begin(200));
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    struct stat st;
    ASSERT_EQ(0, stat(h5_path, &st));
    uint64_t before = file_hash(h5_path);
    ASSERT_TRUE(begin(200));
    void (*old_handler)(int) = signal(SIGXFSZ, SIG_IGN);
    for (unsigned part = 0; part < 40; part++) {
        rlim_t room = part == 39 ? (rlim_t)st.st_size - 1 : (rlim_t)st.st_size * part / 39;
        test_note("room for %llu of %llu bytes", (unsigned long long)room, (unsigned long long)st.st_size);
        ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &(struct rlimit){room, old.rlim_max}));
        enum status s = store_build(journal_path, h5_path, false);
        ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &old));
        expect_kept(s, "File too large", true);
        EXPECT_EQ_BITS(before, file_hash(h5_path));
    }
    signal(SIGXFSZ, old_handler);
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    EXPECT_TRUE(file_is_right(200));
}

TEST(store, full_file_system)
{
    char mount_point[560], target[600];
    ASSERT_TRUE(begin(200));
    snprintf(mount_point, sizeof mount_point, "%s/disk", test_temporary_directory());
    snprintf(target, sizeof target, "%s/run.h5", mount_point);
    ASSERT_EQ(0, mkdir(mount_point, 0700));
    for (unsigned kilobytes = 4; kilobytes <= 96; kilobytes += 4) {
        char size[32];
        snprintf(size, sizeof size, "size=%uk", kilobytes);
        if (mount("tmpfs", mount_point, "tmpfs", 0, size) != 0)
            SKIP("cannot mount a small file system");
        test_note("a disk of %u kilobytes", kilobytes);
        enum status s = store_build(journal_path, target, false);
        EXPECT_EQ(STATUS_IO, s);
        EXPECT_CONTAINS(status_message(), "No space left on device");
        EXPECT_CONTAINS(status_message(), journal_path);
        EXPECT_FALSE(exists(target));
        EXPECT_TRUE(exists(journal_path));
        EXPECT_TRUE(rmdir(target) != 0 && umount(mount_point) == 0); /* nothing keeps it open */
    }
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    EXPECT_TRUE(file_is_right(200));
}

TEST(store, targets_that_cannot_be)
{
    char odd[600];
    ASSERT_TRUE(begin(2));
    snprintf(odd, sizeof odd, "%s/no/such/run.h5", test_temporary_directory());
    expect_kept(store_build(journal_path, odd, false), "No such file", false);
    snprintf(odd, sizeof odd, "%s/run.h5", journal_path);
    expect_kept(store_build(journal_path, odd, false), "Not a directory", false);
    ASSERT_EQ(0, mkdir(h5_path, 0700));
    expect_kept(store_build(journal_path, h5_path, false), "cannot rename", true);
    ASSERT_EQ(0, rmdir(h5_path));
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    EXPECT_TRUE(file_is_right(2));
}

TEST(store, no_permission)
{
    bool root = geteuid() == 0;
    ASSERT_TRUE(begin(2));
    ASSERT_EQ(0, chmod(journal_path, 0444));
    ASSERT_EQ(0, chmod(test_temporary_directory(), 0555));
    if (root && seteuid(65534) != 0)
        SKIP("cannot give up the rights of root for a moment");
    enum status s = store_build(journal_path, h5_path, false);
    if (root && seteuid(0) != 0)
        abort();
    EXPECT_EQ(0, chmod(test_temporary_directory(), 0700));
    expect_kept(s, "Permission denied", false);
}

TEST(store, a_journal_that_is_not_one)
{
    ASSERT_TRUE(begin(2));
    FILE *f = fopen(journal_path, "wb");
    ASSERT_TRUE(f && fputs("something else", f) >= 0 && fclose(f) == 0);
    EXPECT_EQ(STATUS_INPUT, store_build(journal_path, h5_path, false));
    EXPECT_FALSE(exists(h5_path));
    EXPECT_TRUE(exists(journal_path));
    ASSERT_EQ(0, unlink(journal_path));
    EXPECT_EQ(STATUS_INPUT, store_build(journal_path, h5_path, false));
    EXPECT_CONTAINS(status_message(), journal_path);
}

TEST(store, a_header_of_another_schema)
{
    struct journal_writer *w;
    ASSERT_TRUE(begin(0));
    ASSERT_EQ(0, unlink(journal_path));
    ASSERT_EQ(STATUS_OK, journal_create(journal_path, "{\"schema_version\": 9}", &w));
    ASSERT_EQ(STATUS_OK, journal_close(w));
    expect_kept(store_build(journal_path, h5_path, false), "schema version 9", false);
}

/* ---- files that others wrote ---- */

/* The parts of a file, to be changed by each test; the rest is what an early version might have written. */
struct foreign {
    int64_t version; /* 0: no attribute */
    const char *table, *samples;
    hid_t case_key, verdict, sample_count;
    int rank;
    hsize_t rows;
    uint8_t verdict_value;
    uint64_t sample_count_value;
};

static hid_t ascii(size_t size)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, size);
    return type;
}

static struct foreign foreign_default(void)
{
    return (struct foreign){1, "results", "samples", ascii(16), H5T_STD_U8LE, H5T_STD_U16BE, 1, 2, 1, 2};
}

static void write_foreign(const struct foreign *f)
{
    snprintf(h5_path, sizeof h5_path, "%s/foreign.h5", test_temporary_directory());
    hid_t file = H5Fcreate(h5_path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t scalar = H5Screate(H5S_SCALAR);
    if (f->version != 0) {
        hid_t a = H5Acreate2(file, "schema_version", H5T_STD_I32BE, scalar, H5P_DEFAULT, H5P_DEFAULT);
        H5Awrite(a, H5T_NATIVE_INT64, &f->version);
        H5Aclose(a);
    }
    hsize_t dims[2] = {f->rows, 1};
    hid_t space = H5Screate_simple(f->rank, dims, NULL);
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t chunk[2] = {2, 1};
    H5Pset_chunk(list, f->rank, chunk);
    size_t sizes[] = {H5Tget_size(f->case_key), H5Tget_size(f->verdict), H5Tget_size(f->sample_count)};
    hid_t row = H5Tcreate(H5T_COMPOUND, sizes[0] + sizes[1] + sizes[2] + 8);
    H5Tinsert(row, "unheard_of", 0, H5T_STD_I64LE);
    H5Tinsert(row, "sample_count", 8, f->sample_count);
    H5Tinsert(row, "verdict", 8 + sizes[2], f->verdict);
    H5Tinsert(row, "case_key", 8 + sizes[2] + sizes[1], f->case_key);
    hid_t data = H5Dcreate2(file, f->table, row, space, H5P_DEFAULT, list, H5P_DEFAULT);
    if (f->rows == 2) {
        struct {
            char case_key[16];
            uint64_t sample_count;
            uint8_t verdict;
        } values[2] = {{"from afar", f->sample_count_value, f->verdict_value}, {"", 0, 0}};
        hid_t memory = H5Tcreate(H5T_COMPOUND, sizeof values[0]);
        if (H5Tequal(f->case_key, H5T_STD_I32LE) <= 0 && H5Tis_variable_str(f->case_key) <= 0) {
            hid_t text = ascii(16);
            H5Tset_cset(text, H5Tget_cset(f->case_key));
            H5Tinsert(memory, "case_key", 0, text);
            H5Tclose(text);
        }
        H5Tinsert(memory, "sample_count", offsetof(__typeof__(values[0]), sample_count), H5T_NATIVE_UINT64);
        if (H5Tget_class(f->verdict) == H5T_INTEGER)
            H5Tinsert(memory, "verdict", offsetof(__typeof__(values[0]), verdict), H5T_NATIVE_UINT8);
        H5Dwrite(data, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
        H5Tclose(memory);
    }
    hid_t group = H5Gcreate2(file, f->samples, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    hsize_t two = 2;
    hid_t line = H5Screate_simple(1, &two, NULL);
    hid_t times = H5Dcreate2(group, "time_us", H5T_IEEE_F32BE, line, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(times, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, (double[]){1.5, 2.5});
    H5Dclose(times);
    H5Sclose(line);
    H5Gclose(group);
    H5Dclose(data);
    H5Tclose(row);
    H5Pclose(list);
    H5Sclose(space);
    H5Sclose(scalar);
    EXPECT_EQ(0, H5Fclose(file));
}

static void expect_refused(const char *part)
{
    struct result_set set;
    enum status s = result_set_load(h5_path, &set);
    EXPECT_TRUE(s == STATUS_INPUT || s == STATUS_LIMIT || s == STATUS_IO);
    EXPECT_CONTAINS(status_message(), h5_path);
    EXPECT_CONTAINS(status_message(), part);
    EXPECT_TRUE(strchr(status_message(), '\n') == NULL);
    EXPECT_TRUE(set.rows == NULL && set.path == NULL && set.row_count == 0);
    if (s == STATUS_OK)
        result_set_release(&set);
}

TEST(load, an_older_file_with_fewer_columns)
{
    struct result_set set;
    struct foreign f = foreign_default();
    write_foreign(&f);
    ASSERT_EQ(STATUS_OK, result_set_load(h5_path, &set));
    ASSERT_EQ(2, set.row_count);
    EXPECT_STREQ("from afar", set.rows[0].case_key);
    EXPECT_EQ(VERDICT_PASS, set.rows[0].verdict);
    EXPECT_EQ(2, set.rows[0].sample_count);
    EXPECT_EQ(-1, set.rows[0].first_mismatch);
    EXPECT_TRUE(isnan(set.rows[0].median_us));
    EXPECT_EQ(VERDICT_NONE, set.rows[1].verdict);
    ASSERT_EQ(2, set.sample_count);
    EXPECT_NEAR(2.5, set.samples[1], 0);
    result_set_release(&set);
}

TEST(load, schema_versions)
{
    struct foreign f = foreign_default();
    f.version = 2;
    write_foreign(&f);
    expect_refused("schema version 2; this nf4bench reads up to 1: use a newer one");
    f.version = -1;
    write_foreign(&f);
    expect_refused("schema version -1 does not exist");
    f.version = 0;
    write_foreign(&f);
    expect_refused("no schema_version");
}

TEST(load, hdf5_files_of_others)
{
    struct foreign f = foreign_default();
    f.table = "data";
    write_foreign(&f);
    expect_refused("an HDF5 file, but not results of nf4bench: it has no /results");
    f = foreign_default();
    f.samples = "sample";
    write_foreign(&f);
    expect_refused("it has no /samples/time_us");
    f = foreign_default();
    f.rank = 2;
    write_foreign(&f);
    expect_refused("/results is not a list");
    f = foreign_default();
    f.rows = (hsize_t)1 << 40;
    write_foreign(&f);
    expect_refused("over the limit");
    f.rows = (hsize_t)1 << 20;
    write_foreign(&f);
    expect_refused("not a file of measurements");
}

TEST(load, columns_of_another_type)
{
    struct foreign f = foreign_default();
    f.case_key = H5T_STD_I32LE;
    write_foreign(&f);
    expect_refused("the column case_key of /results has a type that does not fit");
    f = foreign_default();
    f.case_key = ascii(H5T_VARIABLE);
    write_foreign(&f);
    expect_refused("the column case_key of /results has a type that does not fit");
    f = foreign_default();
    f.verdict = H5T_IEEE_F64LE;
    write_foreign(&f);
    expect_refused("the column verdict of /results has a type that does not fit");
    f = foreign_default();
    f.case_key = ascii(4); /* shorter than ours: taken, cut */
    struct result_set set;
    write_foreign(&f);
    ASSERT_EQ(STATUS_OK, result_set_load(h5_path, &set));
    EXPECT_CONTAINS("from", set.rows[0].case_key);
    result_set_release(&set);
}

TEST(load, values_out_of_range)
{
    struct foreign f = foreign_default();
    f.verdict_value = 9;
    write_foreign(&f);
    expect_refused("row 0 of /results has no valid verdict");
    f.verdict = H5T_STD_I8LE; /* a negative one must not become 0 */
    write_foreign(&f);
    hid_t file = H5Fopen(h5_path, H5F_ACC_RDWR, H5P_DEFAULT), data = H5Dopen2(file, "results", H5P_DEFAULT);
    hid_t memory = H5Tcreate(H5T_COMPOUND, 1);
    H5Tinsert(memory, "verdict", 0, H5T_NATIVE_INT8);
    EXPECT_EQ(0, H5Dwrite(data, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, (int8_t[]){-7, -7}));
    H5Tclose(memory);
    H5Dclose(data);
    EXPECT_EQ(0, H5Fclose(file));
    expect_refused("row 0 of /results has no valid verdict");
    f = foreign_default();
    f.sample_count_value = 3;
    write_foreign(&f);
    expect_refused("row 0 of /results names samples that are not in the file");
}

TEST(load, words_that_are_not_utf8_are_replaced)
{
    struct foreign f = foreign_default();
    struct result_set set;
    H5Tset_strpad(f.case_key, H5T_STR_NULLPAD);
    write_foreign(&f);
    hid_t file = H5Fopen(h5_path, H5F_ACC_RDWR, H5P_DEFAULT), data = H5Dopen2(file, "results", H5P_DEFAULT);
    hid_t memory = H5Tcreate(H5T_COMPOUND, 16), text = ascii(16);
    H5Tset_strpad(text, H5T_STR_NULLPAD);
    H5Tinsert(memory, "case_key", 0, text);
    /* 16 bytes without an end, too */
    EXPECT_EQ(0,
              H5Dwrite(data, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, "latin \xe9 0123456789abcdefghijklmn"));
    H5Tclose(text);
    H5Tclose(memory);
    H5Dclose(data);
    EXPECT_EQ(0, H5Fclose(file));
    ASSERT_EQ(STATUS_OK, result_set_load(h5_path, &set));
    EXPECT_CONTAINS(set.rows[0].case_key, "latin ? 012345");
    EXPECT_CONTAINS(set.rows[1].case_key, "89abcdefghijklmn");
    result_set_release(&set);
}

/* Neither a link nor the storage of a dataset may lead to another file. */
TEST(load, what_leads_out_of_the_file_is_not_followed)
{
    struct foreign f = foreign_default();
    char good[520], secret[520];
    write_foreign(&f);
    snprintf(good, sizeof good, "%s/good.h5", test_temporary_directory());
    snprintf(secret, sizeof secret, "%s/secret", test_temporary_directory());
    ASSERT_EQ(0, rename(h5_path, good));
    for (unsigned which = 0; which < 3; which++) {
        write_foreign(&f);
        hid_t file = H5Fopen(h5_path, H5F_ACC_RDWR, H5P_DEFAULT);
        static const char *const replaced[] = {"results", "samples", "samples/time_us"};
        ASSERT_EQ(0, H5Ldelete(file, replaced[which], H5P_DEFAULT));
        if (which < 2) {
            EXPECT_EQ(0, H5Lcreate_external(good, replaced[which], file, replaced[which], H5P_DEFAULT,
                                            H5P_DEFAULT));
        } else {
            FILE *out = fopen(secret, "wb");
            ASSERT_TRUE(out && fputs("sixteen bytes!!!", out) >= 0 && fclose(out) == 0);
            hid_t list = H5Pcreate(H5P_DATASET_CREATE);
            hsize_t two = 2;
            hid_t space = H5Screate_simple(1, &two, NULL);
            H5Pset_external(list, secret, 0, 16);
            hid_t data =
                H5Dcreate2(file, replaced[which], H5T_IEEE_F64LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
            EXPECT_TRUE(data >= 0);
            H5Dclose(data);
            H5Sclose(space);
            H5Pclose(list);
        }
        EXPECT_EQ(0, H5Fclose(file));
        test_note("%s", replaced[which]);
        expect_refused(which == 0   ? "/results is a link to elsewhere"
                       : which == 1 ? "it has no /samples/time_us"
                                    : "/samples/time_us is stored outside the file");
    }
}

TEST(load, files_that_are_no_hdf5)
{
    ASSERT_TRUE(begin(1));
    expect_refused("cannot open: No such file");
    FILE *f = fopen(h5_path, "wb");
    ASSERT_TRUE(f && fclose(f) == 0);
    expect_refused("empty, not a results file");
    f = fopen(h5_path, "wb");
    ASSERT_TRUE(f && fputs("GPU,time\nH100,3.1\n", f) >= 0 && fclose(f) == 0);
    expect_refused("not an HDF5 file");
    ASSERT_EQ(0, rename(journal_path, h5_path));
    expect_refused("the journal of an unfinished run");
    ASSERT_EQ(0, unlink(h5_path));
    ASSERT_EQ(0, mkdir(h5_path, 0700));
    expect_refused("a directory");
    ASSERT_EQ(0, rmdir(h5_path));
    ASSERT_EQ(0, mkfifo(h5_path, 0600));
    expect_refused("not a regular file");
}

TEST(load, no_permission)
{
    bool root = geteuid() == 0;
    ASSERT_TRUE(begin(1));
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    ASSERT_EQ(0, chmod(h5_path, 0));
    if (root && seteuid(65534) != 0)
        SKIP("cannot give up the rights of root for a moment");
    EXPECT_EQ(0, root ? 0 : chmod(h5_path, 0));
    struct result_set set;
    enum status s = result_set_load(h5_path, &set);
    if (root && seteuid(0) != 0)
        abort();
    EXPECT_EQ(STATUS_IO, s);
    EXPECT_CONTAINS(status_message(), "Permission denied");
}

TEST(load, time_is_limited)
{
    struct result_set set;
    ASSERT_TRUE(begin(300));
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    struct load_limits limits = LOAD_LIMITS;
    limits.wall_ms = 0;
    EXPECT_EQ(STATUS_INPUT, result_set_load_limited(h5_path, &limits, &set));
    EXPECT_CONTAINS(status_message(), "took more than 0 ms");
}

TEST(load, works_with_signals_caught_or_ignored)
{
    void (*segv)(int) = signal(SIGSEGV, SIG_IGN), (*chld)(int) = signal(SIGCHLD, SIG_IGN);
    ASSERT_TRUE(begin(3));
    ASSERT_EQ(STATUS_OK, store_build(journal_path, h5_path, false));
    EXPECT_TRUE(file_is_right(3));
    signal(SIGSEGV, segv);
    signal(SIGCHLD, chld);
}
