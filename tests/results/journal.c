/*
 * results_journal.c: the journal keeps what was appended, whatever happens to the process, the disk or the
 * file.
 */
#include "results/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <zlib.h>

#include "tests/results/rows.h"
#include "tests/test.h"

static const char header[] = "{\"schema_version\": 1, \"host\": \"caf\xc3\xa9\"}";

enum { MAGIC_SIZE = 19, ENTRY_HEAD = 12 };

static const char *in_directory(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", test_temporary_directory(), name);
    return path;
}

/* Appends rows first .. first+count-1 as one entry. */
static enum status append(struct journal_writer *w, uint64_t first, size_t count)
{
    struct record rows[8];
    double samples[8][ROW_SAMPLES_MAX];
    const double *pointers[8];
    for (size_t i = 0; i < count; i++) {
        make_row(first + i, &rows[i], samples[i]);
        pointers[i] = rows[i].sample_count > 0 ? samples[i] : NULL;
    }
    return journal_append(w, rows, pointers, NULL, count);
}

/* A journal with one entry of each of the given sizes, zero-ended. False when that fails. */
static bool write_journal(const char *path, const size_t *entries)
{
    struct journal_writer *w;
    uint64_t row = 0;
    if (!test_equal_i64(STATUS_OK, journal_create(path, header, &w), __FILE__, __LINE__, "OK",
                        status_message()))
        return false;
    bool ok = true;
    for (; *entries; row += *entries++)
        ok = ok && append(w, row, *entries) == STATUS_OK;
    return (journal_close(w) == STATUS_OK) && ok;
}

static bool rows_are_right(const struct journal *j, size_t count)
{
    uint64_t sample = 0;
    if (j->row_count != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct row row = row_of_record(&j->rows[i]);
        if (row_difference(i, &row, j->samples, j->sample_count, &sample))
            return false;
    }
    return sample == j->sample_count;
}

static uint8_t *slurp(const char *path, size_t *size)
{
    static uint8_t bytes[1 << 17];
    FILE *f = fopen(path, "rb");
    *size = f ? fread(bytes, 1, sizeof bytes, f) : 0;
    if (f)
        fclose(f);
    return bytes;
}

static void spill(const char *path, const uint8_t *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    if (!test_check(f && fwrite(bytes, 1, size, f) == size && fclose(f) == 0, __FILE__, __LINE__, "spill"))
        abort();
}

static off_t file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : -1;
}

TEST(journal, round_trip)
{
    const char *path = in_directory("a.journal");
    struct journal j;
    ASSERT_TRUE(write_journal(path, (size_t[]){1, 3, 2, 8, 0}));
    ASSERT_EQ(STATUS_OK, journal_read(path, &j));
    EXPECT_STREQ(header, j.header_json);
    EXPECT_TRUE(rows_are_right(&j, 14));
    EXPECT_FALSE(j.torn);
    EXPECT_EQ(file_size(path), j.whole_size);
    journal_release(&j);
    EXPECT_EQ(0, j.row_count);
}

TEST(journal, no_rows)
{
    const char *path = in_directory("a.journal");
    struct journal j;
    ASSERT_TRUE(write_journal(path, (size_t[]){0}));
    ASSERT_EQ(STATUS_OK, journal_read(path, &j));
    EXPECT_EQ(0, j.row_count);
    EXPECT_EQ(0, j.sample_count);
    EXPECT_STREQ(header, j.header_json);
    journal_release(&j);
}

TEST(journal, continues_where_it_ended)
{
    const char *path = in_directory("a.journal");
    struct journal_writer *w;
    struct journal j;
    ASSERT_TRUE(write_journal(path, (size_t[]){2, 0}));
    for (uint64_t row = 2; row < 6; row++) {
        ASSERT_EQ(STATUS_OK, journal_append_open(path, &w));
        EXPECT_EQ(STATUS_OK, append(w, row, 1));
        EXPECT_EQ(STATUS_OK, journal_close(w));
    }
    ASSERT_EQ(STATUS_OK, journal_read(path, &j));
    EXPECT_TRUE(rows_are_right(&j, 6));
    journal_release(&j);
    EXPECT_EQ(STATUS_OK, journal_close(NULL));
}

/* A kill or a loss of power may leave any part of the last entry. */
TEST(journal, torn_at_every_length)
{
    const char *path = in_directory("a.journal"), *torn_path = in_directory("b.journal");
    struct journal_writer *w;
    struct journal j;
    size_t whole, size;
    ASSERT_TRUE(write_journal(path, (size_t[]){1, 2, 0}));
    whole = (size_t)file_size(path);
    ASSERT_EQ(STATUS_OK, journal_append_open(path, &w));
    ASSERT_EQ(STATUS_OK, append(w, 3, 2));
    ASSERT_EQ(STATUS_OK, journal_close(w));
    uint8_t *bytes = slurp(path, &size);
    for (size_t length = whole; length < size; length++) {
        test_note("%zu of %zu bytes", length, size);
        ASSERT_EQ(STATUS_OK, journal_parse(bytes, length, "torn", &j));
        ASSERT_TRUE(rows_are_right(&j, 3) && j.torn == (length > whole) && j.whole_size == whole);
        journal_release(&j);
        if (length % 97 > 1 && length - whole > 16)
            continue; /* the rest goes through the file system: a sample of the lengths is enough */
        spill(torn_path, bytes, length);
        ASSERT_EQ(STATUS_OK, journal_append_open(torn_path, &w));
        ASSERT_EQ(whole, file_size(torn_path));
        ASSERT_EQ(STATUS_OK, append(w, 3, 1));
        ASSERT_EQ(STATUS_OK, journal_close(w));
        ASSERT_EQ(STATUS_OK, journal_read(torn_path, &j));
        ASSERT_TRUE(rows_are_right(&j, 4) && !j.torn);
        journal_release(&j);
    }
}

/* After a loss of power a file may have its length but not its content. */
TEST(journal, last_entry_of_zeros)
{
    struct journal j;
    size_t size;
    const char *path = in_directory("a.journal");
    ASSERT_TRUE(write_journal(path, (size_t[]){1, 0}));
    uint8_t *bytes = slurp(path, &size);
    memset(bytes + size, 0, 5000);
    ASSERT_EQ(STATUS_OK, journal_parse(bytes, size + 5000, "zeros", &j));
    EXPECT_TRUE(rows_are_right(&j, 1) && j.torn && j.whole_size == size);
    journal_release(&j);
}

TEST(journal, torn_header_is_no_journal_and_may_be_replaced)
{
    const char *path = in_directory("a.journal"), *other = in_directory("b.journal");
    struct journal_writer *w;
    struct journal j;
    size_t size;
    ASSERT_TRUE(write_journal(path, (size_t[]){0}));
    uint8_t *bytes = slurp(path, &size);
    for (size_t length = 0; length < size; length++) {
        test_note("%zu of %zu bytes", length, size);
        spill(other, bytes, length);
        ASSERT_EQ(STATUS_INPUT, journal_read(other, &j));
        EXPECT_CONTAINS(status_message(), "nothing is recorded");
        ASSERT_EQ(STATUS_INPUT, journal_append_open(other, &w));
        ASSERT_EQ(STATUS_OK, journal_create(other, header, &w));
        ASSERT_EQ(STATUS_OK, append(w, 0, 1));
        ASSERT_EQ(STATUS_OK, journal_close(w));
        ASSERT_EQ(STATUS_OK, journal_read(other, &j));
        ASSERT_TRUE(rows_are_right(&j, 1));
        journal_release(&j);
    }
}

/* Each bit of a small journal: an error, or the same rows; fewer only when the last entry itself was hit, and
 * then the journal says that it is torn. */
TEST(journal, every_bit_flip_is_seen)
{
    const char *path = in_directory("a.journal");
    struct journal j;
    size_t size, last;
    unsigned errors = 0, torn = 0;
    ASSERT_TRUE(write_journal(path, (size_t[]){1, 1, 0}));
    last = (size_t)file_size(path);
    ASSERT_TRUE(unlink(path) == 0 && write_journal(path, (size_t[]){1, 1, 2, 0}));
    uint8_t *bytes = slurp(path, &size);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        test_note("bit %zu of byte %zu of %zu, last entry at %zu", bit % 8, bit / 8, size, last);
        if (journal_parse(bytes, size, "flipped", &j) != STATUS_OK) {
            ASSERT_TRUE(bit / 8 < last);
            errors++;
        } else {
            ASSERT_TRUE(bit / 8 >= last && j.torn && j.whole_size == last && rows_are_right(&j, 2));
            torn++;
            journal_release(&j);
        }
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    EXPECT_EQ(8 * last, errors);
    EXPECT_EQ(8 * (size - last), torn);
}

TEST(journal, foreign_bytes_of_every_length)
{
    struct journal j;
    for (size_t length = 1; length < 64; length++) {
        uint8_t *bytes = malloc(length); /* of its own size, so that a sanitizer sees a read past it */
        memset(bytes, 'n', length);
        bytes[length - 1] = 'x';
        EXPECT_EQ(STATUS_INPUT, journal_parse(bytes, length, "foreign", &j));
        EXPECT_CONTAINS(status_message(), "not a journal");
        free(bytes);
    }
}

/* The message leads to the place. */
TEST(journal, damage_before_whole_entries_is_an_error_with_its_offset)
{
    const char *path = in_directory("a.journal");
    struct journal_writer *w;
    char offset[64];
    size_t size, at;
    ASSERT_TRUE(write_journal(path, (size_t[]){1, 0}));
    at = (size_t)file_size(path);
    ASSERT_TRUE(unlink(path) == 0 && write_journal(path, (size_t[]){1, 1, 1, 0}));
    uint8_t *bytes = slurp(path, &size);
    bytes[at + 3] = 0x7f; /* a length that runs past the end: alone it would look like a torn entry */
    spill(path, bytes, size);
    ASSERT_EQ(STATUS_INPUT, journal_append_open(path, &w));
    snprintf(offset, sizeof offset, "entry at offset %zu is damaged", at);
    EXPECT_CONTAINS(status_message(), offset);
    EXPECT_EQ(size, file_size(path));
}

/* The entries around the damage are kept, and the damaged file as well. */
TEST(journal, salvage)
{
    const char *path = in_directory("a.journal"), *aside = in_directory("a.journal.damaged");
    struct journal_writer *w;
    struct journal j;
    size_t size, begin, end, left_out;
    ASSERT_TRUE(write_journal(path, (size_t[]){1, 0}));
    begin = (size_t)file_size(path);
    ASSERT_TRUE(unlink(path) == 0 && write_journal(path, (size_t[]){1, 1, 0}));
    end = (size_t)file_size(path);
    ASSERT_TRUE(unlink(path) == 0 && write_journal(path, (size_t[]){1, 1, 1, 0}));
    ASSERT_EQ(STATUS_OK, journal_salvage(path, &left_out));
    EXPECT_EQ(0, left_out);
    EXPECT_EQ(-1, file_size(aside));
    uint8_t *bytes = slurp(path, &size);
    bytes[begin + 40] ^= 1;
    spill(path, bytes, size);
    ASSERT_EQ(STATUS_INPUT, journal_read(path, &j));
    ASSERT_EQ(STATUS_OK, journal_salvage(path, &left_out));
    EXPECT_EQ(end - begin, left_out);
    EXPECT_EQ(size, file_size(aside));
    EXPECT_EQ(size - left_out, file_size(path));
    ASSERT_EQ(STATUS_OK, journal_append_open(path, &w));
    EXPECT_EQ(STATUS_OK, append(w, 1, 1));
    EXPECT_EQ(STATUS_OK, journal_close(w));
    ASSERT_EQ(STATUS_OK, journal_read(path, &j));
    EXPECT_EQ(3, j.row_count);
    journal_release(&j);
    bytes[begin + 40] ^= 1;
    bytes[MAGIC_SIZE + ENTRY_HEAD + 20] ^= 1; /* the header */
    spill(path, bytes, size);
    EXPECT_EQ(STATUS_INPUT, journal_salvage(path, &left_out));
    EXPECT_EQ(size, file_size(path));
    bytes[MAGIC_SIZE + ENTRY_HEAD + 20] ^= 1;
    bytes[size - 1] ^= 1;
    spill(path, bytes, size);
    EXPECT_EQ(STATUS_IO, journal_salvage(path, &left_out)); /* what is aside is not lost */
    EXPECT_CONTAINS(status_message(), ".damaged");
    EXPECT_EQ(size, file_size(path));
}

static void seal(uint8_t *entry)
{
    uint32_t length, crc;
    memcpy(&length, entry, 4);
    crc = (uint32_t)crc32(crc32(0, entry, 8), entry + ENTRY_HEAD, length);
    memcpy(entry + 8, &crc, 4);
}

/* Entries whose CRC is right and whose content is not. */
TEST(journal, lies_with_a_right_crc)
{
    const char *path = in_directory("a.journal");
    struct journal j;
    size_t size, at;
    uint8_t kept[64];
    static const struct {
        size_t where; /* in the entry */
        uint32_t value;
        const char *message;
    } lies[] = {{4, 1, "unknown type 1"},
                {4, 77, "unknown type 77"},
                {12, 0, "contradict its length"},
                {12, 2, "contradict its length"},
                {12, 0xffffffff, "contradict its length"}};
    ASSERT_TRUE(write_journal(path, (size_t[]){0}));
    at = (size_t)file_size(path);
    ASSERT_TRUE(unlink(path) == 0 && write_journal(path, (size_t[]){1, 1, 0}));
    uint8_t *bytes = slurp(path, &size);
    memcpy(kept, bytes + at, sizeof kept);
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        test_note("lie %zu", i);
        memcpy(bytes + at, kept, sizeof kept);
        memcpy(bytes + at + lies[i].where, &lies[i].value, 4);
        seal(bytes + at);
        EXPECT_EQ(STATUS_INPUT, journal_parse(bytes, size, "lie", &j));
        EXPECT_CONTAINS(status_message(), lies[i].message);
    }
    memcpy(bytes + at, kept, sizeof kept);
    for (unsigned i = 0; i < record_column_count; i++) {
        const struct column *c = &record_columns[i];
        uint8_t *value = bytes + at + ENTRY_HEAD + 4 + record_packed_offset(c), old[sizeof(struct record)];
        if (c->kind != COLUMN_TEXT && c->kind != COLUMN_ENUM && strcmp(c->name, "sample_count") != 0)
            continue;
        test_note("%s", c->name);
        memcpy(old, value, c->size);
        memset(value, c->kind == COLUMN_TEXT ? 'x' : 0xff, c->size);
        seal(bytes + at);
        EXPECT_EQ(STATUS_INPUT, journal_parse(bytes, size, "lie", &j));
        memcpy(value, old, c->size);
        seal(bytes + at);
    }
    /* A count that, times the size of a double, wraps round to the right length. */
    for (unsigned i = 0; i < record_column_count; i++) {
        uint8_t *value = bytes + at + ENTRY_HEAD + 4 + record_packed_offset(&record_columns[i]);
        if (strcmp(record_columns[i].name, "sample_count") != 0)
            continue;
        value[7] ^= 0x20;
        seal(bytes + at);
        EXPECT_EQ(STATUS_INPUT, journal_parse(bytes, size, "lie", &j));
        EXPECT_CONTAINS(status_message(), "contradict its length");
        value[7] ^= 0x20;
        seal(bytes + at);
    }
    EXPECT_EQ(STATUS_OK, journal_parse(bytes, size, "truth", &j));
    journal_release(&j);
}

TEST(journal, other_columns_are_refused)
{
    const char *path = in_directory("a.journal");
    struct journal_writer *w;
    struct journal j;
    size_t size;
    for (unsigned word = 0; word < 2; word++) {
        (void)unlink(path);
        ASSERT_TRUE(write_journal(path, (size_t[]){1, 0}));
        uint8_t *bytes = slurp(path, &size);
        bytes[MAGIC_SIZE + ENTRY_HEAD + 4 * word] ^= 1;
        seal(bytes + MAGIC_SIZE);
        spill(path, bytes, size);
        EXPECT_EQ(STATUS_INPUT, journal_read(path, &j));
        EXPECT_CONTAINS(status_message(), "other columns");
        EXPECT_EQ(STATUS_INPUT, journal_append_open(path, &w));
        EXPECT_EQ(size, file_size(path));
    }
}

TEST(journal, an_existing_file_is_kept)
{
    const char *path = in_directory("a.journal"), *other = in_directory("notes.txt");
    struct journal_writer *w;
    struct journal j;
    ASSERT_TRUE(write_journal(path, (size_t[]){2, 0}));
    EXPECT_EQ(STATUS_USAGE, journal_create(path, header, &w));
    EXPECT_CONTAINS(status_message(), "--resume");
    ASSERT_EQ(STATUS_OK, journal_read(path, &j));
    EXPECT_TRUE(rows_are_right(&j, 2));
    journal_release(&j);
    spill(other, (const uint8_t *)"do not lose me", 14);
    EXPECT_EQ(STATUS_USAGE, journal_create(other, header, &w));
    EXPECT_EQ(14, file_size(other));
    EXPECT_EQ(STATUS_INPUT, journal_append_open(other, &w));
    EXPECT_EQ(14, file_size(other));
}

TEST(journal, two_writers_are_one_too_many)
{
    const char *path = in_directory("a.journal");
    struct journal_writer *w, *second;
    ASSERT_EQ(STATUS_OK, journal_create(path, header, &w));
    EXPECT_EQ(STATUS_USAGE, journal_append_open(path, &second));
    EXPECT_CONTAINS(status_message(), "another nf4bench");
    EXPECT_EQ(STATUS_USAGE, journal_create(path, header, &second));
    EXPECT_EQ(STATUS_OK, journal_close(w));
    ASSERT_EQ(STATUS_OK, journal_append_open(path, &w));
    EXPECT_EQ(STATUS_OK, journal_close(w));
}

TEST(journal, paths_that_cannot_be)
{
    struct journal_writer *w;
    struct journal j;
    const char *fifo = in_directory("fifo"), *missing = in_directory("no/such/a.journal");
    ASSERT_EQ(0, mkfifo(fifo, 0600));
    const char *const odd[] = {fifo, "/dev/null", "/dev/full", test_temporary_directory()};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        test_note("%s", odd[i]);
        EXPECT_TRUE(journal_read(odd[i], &j) != STATUS_OK);
        EXPECT_CONTAINS(status_message(), odd[i]);
        EXPECT_TRUE(journal_append_open(odd[i], &w) != STATUS_OK);
        EXPECT_TRUE(journal_create(odd[i], header, &w) != STATUS_OK);
    }
    EXPECT_EQ(0, access("/dev/full", F_OK)); /* creating there must not remove it */
    EXPECT_EQ(0, access(fifo, F_OK));
    EXPECT_EQ(STATUS_IO, journal_create(missing, header, &w));
    EXPECT_EQ(STATUS_INPUT, journal_read(missing, &j));
    EXPECT_CONTAINS(status_message(), "No such file");
}

TEST(journal, no_permission)
{
    const char *path = in_directory("a.journal"), *fresh = in_directory("b.journal");
    struct journal_writer *w;
    struct journal j;
    bool root = geteuid() == 0;
    ASSERT_TRUE(write_journal(path, (size_t[]){1, 0}));
    ASSERT_EQ(0, chmod(path, 0));
    ASSERT_EQ(0, chmod(test_temporary_directory(), 0555));
    if (root && seteuid(65534) != 0)
        SKIP("cannot give up the rights of root for a moment");
    enum status read = journal_read(path, &j), open = journal_append_open(path, &w);
    enum status create = journal_create(fresh, header, &w);
    if (root && seteuid(0) != 0)
        abort();
    EXPECT_EQ(0, chmod(test_temporary_directory(), 0700));
    EXPECT_EQ(STATUS_IO, read);
    EXPECT_EQ(STATUS_IO, open);
    EXPECT_EQ(STATUS_IO, create);
    EXPECT_CONTAINS(status_message(), "Permission denied");
}

/* A limit on the file size stands in for a full disk, at every place where the disk may end. */
TEST(journal, full_disk_keeps_every_row_before)
{
    const char *path = in_directory("a.journal");
    struct journal_writer *w;
    struct journal j;
    struct rlimit old;
    uint64_t rows = 2;
    ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &old));
    void (*old_handler)(int) = signal(SIGXFSZ, SIG_IGN);
    ASSERT_TRUE(write_journal(path, (size_t[]){2, 0}));
    ASSERT_EQ(STATUS_OK, journal_append_open(path, &w));
    for (rlim_t room = 0; room < 1500; room += 1 + room / 3, rows++) {
        off_t before = file_size(path);
        test_note("room for %llu bytes", (unsigned long long)room);
        ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &(struct rlimit){(rlim_t)before + room, old.rlim_max}));
        enum status s = append(w, rows, 1);
        ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &old));
        EXPECT_EQ(STATUS_IO, s);
        EXPECT_CONTAINS(status_message(), "the file size limit is reached");
        EXPECT_CONTAINS(status_message(), "is kept");
        EXPECT_EQ(before, file_size(path));
        EXPECT_EQ(STATUS_OK, append(w, rows, 1)); /* room was made */
    }
    EXPECT_EQ(STATUS_OK, journal_close(w));
    signal(SIGXFSZ, old_handler);
    ASSERT_EQ(STATUS_OK, journal_read(path, &j));
    EXPECT_TRUE(rows_are_right(&j, rows) && !j.torn);
    journal_release(&j);
}

TEST(journal, full_disk_when_created)
{
    const char *path = in_directory("a.journal");
    struct journal_writer *w;
    struct rlimit old;
    ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &old));
    void (*old_handler)(int) = signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &(struct rlimit){20, old.rlim_max}));
    enum status s = journal_create(path, header, &w);
    ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &old));
    signal(SIGXFSZ, old_handler);
    EXPECT_EQ(STATUS_IO, s);
    EXPECT_EQ(-1, file_size(path));
}

TEST(journal, full_file_system)
{
    char mount_point[512], path[600];
    struct journal_writer *w;
    struct journal j;
    uint64_t rows = 0;
    snprintf(mount_point, sizeof mount_point, "%s", in_directory("disk"));
    snprintf(path, sizeof path, "%s/a.journal", mount_point);
    ASSERT_EQ(0, mkdir(mount_point, 0700));
    if (mount("tmpfs", mount_point, "tmpfs", 0, "size=64k") != 0)
        SKIP("cannot mount a small file system");
    enum status s = journal_create(path, header, &w);
    while (s == STATUS_OK && (s = append(w, rows, 1)) == STATUS_OK)
        rows++;
    EXPECT_EQ(STATUS_IO, s);
    EXPECT_CONTAINS(status_message(), "the disk is full");
    EXPECT_TRUE(rows > 10 && rows < 64);
    EXPECT_EQ(STATUS_OK, journal_close(w));
    EXPECT_EQ(STATUS_OK, journal_read(path, &j));
    EXPECT_TRUE(rows_are_right(&j, rows) && !j.torn);
    journal_release(&j);
    EXPECT_EQ(0, umount(mount_point));
}

/* Ends this process in the middle of an entry, as a kill does: `torn` bytes of it reach the file. */
_Noreturn static void die_in_an_entry(const char *path, const uint8_t *entry, size_t torn)
{
    int fd = open(path, O_WRONLY | O_APPEND);
    if (fd < 0 || write(fd, entry, torn) != (ssize_t)torn)
        _exit(1);
    raise(SIGKILL);
    _exit(2);
}

/* One process for each GPU appends to one journal: the others' entries outlive a killed one. */
TEST(journal, a_writer_killed_in_an_entry_does_not_harm_the_others)
{
    const char *path = in_directory("a.journal"), *other = in_directory("b.journal");
    struct journal_writer *w;
    struct journal j;
    size_t size;
    ASSERT_TRUE(write_journal(other, (size_t[]){0}));
    off_t begin = file_size(other);
    unlink(other);
    ASSERT_TRUE(write_journal(other, (size_t[]){2, 0}));
    const uint8_t *entry = slurp(other, &size) + begin;
    size -= (size_t)begin;
    for (size_t torn = 1; torn < size; torn = torn < 16 ? torn + 1 : 2 * torn) {
        test_note("%zu bytes", torn);
        unlink(path);
        ASSERT_EQ(STATUS_OK, journal_create(path, header, &w));
        EXPECT_EQ(STATUS_OK, append(w, 0, 1));
        int status;
        pid_t pid = fork();
        if (pid == 0)
            _exit(append(w, 1, 1) == STATUS_OK ? 0 : 1);
        ASSERT_TRUE(waitpid(pid, &status, 0) == pid && status == 0);
        EXPECT_EQ(STATUS_OK, append(w, 2, 2)); /* behind the other's, which this process did not see */
        pid = fork();
        if (pid == 0)
            die_in_an_entry(path, entry, torn);
        ASSERT_TRUE(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
        EXPECT_EQ(STATUS_OK, append(w, 4, 3));
        EXPECT_EQ(STATUS_OK, journal_close(w));
        ASSERT_EQ(STATUS_OK, journal_read(path, &j));
        EXPECT_TRUE(rows_are_right(&j, 7) && !j.torn);
        journal_release(&j);
    }
}

TEST(journal, rows_that_no_reader_would_take_are_refused)
{
    const char *path = in_directory("a.journal");
    struct journal_writer *w;
    struct journal j;
    struct record r;
    double samples[ROW_SAMPLES_MAX];
    const double *none = NULL;
    ASSERT_EQ(STATUS_OK, journal_create(path, header, &w));
    make_row(0, &r, samples);
    r.sample_count = 3;
    EXPECT_EQ(STATUS_INTERNAL, journal_append(w, &r, &none, NULL, 1));
    EXPECT_EQ(STATUS_INTERNAL, journal_append(w, &r, NULL, NULL, 1));
    r.sample_count = UINT64_MAX / 8 + 2; /* times 8 it would be 8 */
    EXPECT_EQ(STATUS_LIMIT, journal_append(w, &r, &(const double *){samples}, NULL, 1));
    r.sample_count = 0;
    EXPECT_EQ(STATUS_LIMIT, journal_append(w, &r, NULL, NULL, (size_t)1 << 40));
    r.verdict = 200;
    EXPECT_EQ(STATUS_INTERNAL, journal_append(w, &r, NULL, NULL, 1));
    EXPECT_CONTAINS(status_message(), "verdict");
    r.verdict = 0;
    memset(r.arch, 'x', sizeof r.arch);
    EXPECT_EQ(STATUS_INTERNAL, journal_append(w, &r, NULL, NULL, 1));
    EXPECT_CONTAINS(status_message(), "arch");
    EXPECT_EQ(STATUS_OK, journal_append(w, NULL, NULL, NULL, 0));
    EXPECT_EQ(STATUS_OK, append(w, 0, 1));
    EXPECT_EQ(STATUS_OK, journal_close(w));
    ASSERT_EQ(STATUS_OK, journal_read(path, &j));
    EXPECT_TRUE(rows_are_right(&j, 1));
    journal_release(&j);
}

TEST(journal, a_header_that_the_store_could_not_take_is_refused_at_once)
{
    const char *path = in_directory("a.journal");
    struct journal_writer *w;
    static const char *const bad[] = {"",
                                      "{",
                                      "[1]",
                                      "7",
                                      "{\"a\": 1} x",
                                      "{\"\": 1}",
                                      "{\"a\": 99999999999999999999}",
                                      "{\"a\": \"\xff\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        test_note("%s", bad[i]);
        EXPECT_EQ(STATUS_INTERNAL, journal_create(path, bad[i], &w));
        EXPECT_EQ(-1, file_size(path));
    }
}

TEST(record, columns_describe_the_struct)
{
    struct record r;
    memset(&r, 0xff, sizeof r);
    record_init(&r);
    size_t packed = 0;
    for (unsigned i = 0; i < record_column_count; i++) {
        const struct column *c = &record_columns[i];
        double d;
        test_note("%s", c->name);
        EXPECT_TRUE(c->offset + c->size <= sizeof r);
        EXPECT_EQ(packed, record_packed_offset(c));
        EXPECT_TRUE((c->kind == COLUMN_ENUM) == (c->word != NULL));
        EXPECT_TRUE(c->doc && c->doc[0] && c->unit);
        packed += c->size;
        if (c->kind != COLUMN_F64)
            continue;
        memcpy(&d, (char *)&r + c->offset, sizeof d);
        EXPECT_TRUE(c->size == 8 && isnan(d));
    }
    EXPECT_EQ(packed, record_packed_size());
    EXPECT_EQ(-1, r.first_mismatch);
    EXPECT_STREQ("MISTRUSTED", verdict_word(VERDICT_MISTRUSTED));
    EXPECT_STREQ("?", verdict_word(99));
    EXPECT_STREQ("cold", regime_word(REGIME_COLD));
    EXPECT_STREQ("?", regime_word(99));
}
