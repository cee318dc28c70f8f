/*
 * journal.c: writes and reads the journal. journal_parse() takes any bytes: every length is checked against
 * what is left of the file before it is used, so what it allocates is bounded by the size of its input.
 */
#include "results/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <zlib.h>

#include "results/durable.h"

static const char magic[] = "nf4bench journal 2\n";

enum {
    MAGIC_SIZE = sizeof magic - 1,
    ENTRY_HEAD = 12,        /* length, type, crc */
    HEADER_HEAD = 8,        /* layout hash, row size */
    SAMPLE_SIZE = 9,        /* a double and its flags */
    ENTRY_MAX = 256u << 20, /* of a payload; a row has some thousand samples */
};

enum entry_type { ENTRY_HEADER = 1, ENTRY_ROWS = 2 };

static uint32_t load_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static void store_u32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}

static uint32_t entry_crc(const uint8_t *entry, size_t length)
{
    uLong crc = crc32(0, entry, 8);
    return (uint32_t)crc32(crc, entry + ENTRY_HEAD, (uInt)length);
}

/* ---- reading ---- */

struct journal_entry {
    uint32_t type, length;
    const uint8_t *payload;
};

/* Whether a whole entry that checks stands at the offset. */
static bool entry_at(const uint8_t *bytes, size_t size, size_t offset, struct journal_entry *e)
{
    if (size - offset < ENTRY_HEAD)
        return false;
    const uint8_t *p = bytes + offset;
    *e = (struct journal_entry){.length = load_u32(p), .type = load_u32(p + 4), .payload = p + ENTRY_HEAD};
    return e->length <= ENTRY_MAX && e->length <= size - offset - ENTRY_HEAD &&
           load_u32(p + 8) == entry_crc(p, e->length);
}

/* Whether the counts inside a rows payload agree with its length; sets them. */
static bool rows_counts(const uint8_t *payload, size_t length, size_t *row_count, size_t *sample_count)
{
    size_t packed = record_packed_size(), at_count = 0;
    if (length < 4)
        return false;
    for (unsigned i = 0; i < record_column_count; i++)
        if (strcmp(record_columns[i].name, "sample_count") == 0)
            at_count = record_packed_offset(&record_columns[i]);
    size_t rows = load_u32(payload);
    if (rows == 0 || rows > (length - 4) / packed)
        return false;
    size_t room = (length - 4 - rows * packed) / SAMPLE_SIZE, samples = 0;
    for (size_t i = 0; i < rows; i++) {
        uint64_t n;
        memcpy(&n, payload + 4 + i * packed + at_count, sizeof n);
        if (n > room - samples)
            return false;
        samples += n;
    }
    *row_count = rows;
    *sample_count = samples;
    return length == 4 + rows * packed + samples * SAMPLE_SIZE;
}

/* The offset of a whole rows entry that begins at `from` or later, or 0. What only looks like one costs a
 * CRC, so bytes made to look like many are given up on: the place is then reported as if it held an entry,
 * which makes the journal an error and never a shorter one. */
static size_t whole_entry_from(const uint8_t *bytes, size_t size, size_t from)
{
    uint64_t work = 0, work_limit = 16 * (uint64_t)size + (1 << 20);
    for (size_t at = from; at < size && size - at >= ENTRY_HEAD; at++) {
        uint32_t length = load_u32(bytes + at);
        size_t rows, samples;
        struct journal_entry e;
        if (load_u32(bytes + at + 4) != ENTRY_ROWS || length > size - at - ENTRY_HEAD ||
            !rows_counts(bytes + at + ENTRY_HEAD, length, &rows, &samples))
            continue;
        work += length;
        if (work > work_limit || entry_at(bytes, size, at, &e))
            return at;
    }
    return 0;
}

/* Whether the file is what remains when a run is killed before its header was whole: nothing was recorded. */
static bool is_blank(const uint8_t *bytes, size_t size)
{
    if (size < MAGIC_SIZE)
        return memcmp(bytes, magic, size) == 0;
    if (memcmp(bytes, magic, MAGIC_SIZE) != 0)
        return false;
    if (size < MAGIC_SIZE + ENTRY_HEAD)
        return true;
    return load_u32(bytes + MAGIC_SIZE + 4) == ENTRY_HEADER &&
           load_u32(bytes + MAGIC_SIZE) > size - MAGIC_SIZE - ENTRY_HEAD;
}

static enum status parse_header(const uint8_t *bytes, size_t size, const char *name, struct journal *out)
{
    struct journal_entry e;
    if (is_blank(bytes, size))
        return status_fail(
            STATUS_INPUT,
            "%s: the run was killed before its journal had a header: nothing is recorded; start the run anew",
            name);
    if (size < MAGIC_SIZE || memcmp(bytes, magic, MAGIC_SIZE) != 0)
        return status_fail(STATUS_INPUT,
                           "%s: not a journal of this version of nf4bench (its first line is not \"%.*s\")",
                           name, MAGIC_SIZE - 1, magic);
    if (!entry_at(bytes, size, MAGIC_SIZE, &e) || e.type != ENTRY_HEADER || e.length < HEADER_HEAD)
        return status_fail(STATUS_INPUT, "%s: the header at offset %d is damaged", name, MAGIC_SIZE);
    uint32_t hash = load_u32(e.payload), row_size = load_u32(e.payload + 4);
    if (hash != record_layout_hash() || row_size != record_packed_size())
        return status_fail(
            STATUS_INPUT,
            "%s: written by an nf4bench with other columns (layout %08x, %u bytes a row; this one has %08x, "
            "%zu): finish it with that build, or remove it and start the run anew",
            name, hash, row_size, record_layout_hash(), record_packed_size());
    size_t json_size = e.length - HEADER_HEAD;
    if (memchr(e.payload + HEADER_HEAD, '\0', json_size))
        return status_fail(STATUS_INPUT, "%s: the header has a NUL in its JSON", name);
    out->header_json = malloc(json_size + 1);
    if (!out->header_json)
        return status_no_memory("%s: a header of %zu bytes", name, json_size);
    memcpy(out->header_json, e.payload + HEADER_HEAD, json_size);
    out->header_json[json_size] = '\0';
    out->whole_size = MAGIC_SIZE + ENTRY_HEAD + e.length;
    return STATUS_OK;
}

/* Walks the entries: sets the counts, where the whole ones end, and whether a torn one follows. */
static enum status count_entries(const uint8_t *bytes, size_t size, const char *name, struct journal *out)
{
    while (out->whole_size < size) {
        size_t at = out->whole_size, rows, samples;
        struct journal_entry e;
        if (!entry_at(bytes, size, at, &e)) {
            size_t later = whole_entry_from(bytes, size, at + 1);
            if (later != 0)
                return status_fail(STATUS_INPUT,
                                   "%s: the entry at offset %zu is damaged, and whole entries follow it (at "
                                   "offset %zu): this is not the mark of a killed run",
                                   name, at, later);
            out->torn = true;
            return STATUS_OK;
        }
        if (e.type != ENTRY_ROWS)
            return status_fail(STATUS_INPUT, "%s: the entry at offset %zu has the unknown type %u", name, at,
                               e.type);
        if (!rows_counts(e.payload, e.length, &rows, &samples))
            return status_fail(STATUS_INPUT,
                               "%s: the counts in the entry at offset %zu contradict its length", name, at);
        out->row_count += rows;
        out->sample_count += samples;
        out->whole_size += ENTRY_HEAD + (size_t)e.length;
    }
    return STATUS_OK;
}

static enum status fill_rows(const uint8_t *bytes, const char *name, struct journal *out)
{
    size_t packed = record_packed_size(), row = 0, sample = 0;
    size_t at = MAGIC_SIZE + ENTRY_HEAD + (size_t)load_u32(bytes + MAGIC_SIZE);
    while (at < out->whole_size) {
        const uint8_t *p = bytes + at + ENTRY_HEAD;
        uint32_t count = load_u32(p);
        size_t entry_samples = 0;
        p += 4;
        for (uint32_t i = 0; i < count; i++, row++, p += packed) {
            struct record *r = &out->rows[row];
            const struct column *bad = record_unpack(p, r);
            if (bad)
                return status_fail(STATUS_INPUT, "%s: row %u of the entry at offset %zu has no valid %s",
                                   name, i, at, bad->name);
            r->sample_start = sample + entry_samples;
            entry_samples += r->sample_count;
        }
        memcpy(out->samples + sample, p, entry_samples * sizeof(double));
        memcpy(out->flags + sample, p + entry_samples * sizeof(double), entry_samples);
        sample += entry_samples;
        at += ENTRY_HEAD + (size_t)load_u32(bytes + at);
    }
    return STATUS_OK;
}

enum status journal_parse(const uint8_t *bytes, size_t size, const char *name, struct journal *out)
{
    *out = (struct journal){0};
    enum status s = parse_header(bytes, size, name, out);
    if (s == STATUS_OK)
        s = count_entries(bytes, size, name, out);
    if (s == STATUS_OK) {
        /* Both counts were held against the bytes that carry them, so neither product can overflow. */
        out->rows = malloc((out->row_count + 1) * sizeof *out->rows);
        out->samples = malloc((out->sample_count + 1) * sizeof *out->samples);
        out->flags = malloc(out->sample_count + 1);
        if (!out->rows || !out->samples || !out->flags)
            s = status_no_memory("%s: %zu rows and %zu samples", name, out->row_count, out->sample_count);
    }
    if (s == STATUS_OK)
        s = fill_rows(bytes, name, out);
    if (s != STATUS_OK)
        journal_release(out);
    return s;
}

void journal_release(struct journal *j)
{
    free(j->header_json);
    free(j->rows);
    free(j->samples);
    free(j->flags);
    *j = (struct journal){0};
}

/* The whole file behind fd. *bytes is the caller's to free, also after a failure. */
static enum status read_file(int fd, const char *path, uint8_t **bytes, size_t *size)
{
    struct stat st;
    *bytes = NULL;
    *size = 0;
    if (fstat(fd, &st) != 0)
        return status_fail(STATUS_IO, "%s: cannot stat: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return status_fail(STATUS_INPUT, "%s: not a regular file", path);
    if (st.st_size < 0 || (uint64_t)st.st_size > SIZE_MAX / 4)
        return status_fail(STATUS_LIMIT, "%s: too large to read", path);
    size_t expected = (size_t)st.st_size;
    *bytes = malloc(expected + 1);
    if (!*bytes)
        return status_no_memory("%s: a journal of %zu bytes", path, expected);
    while (*size < expected) {
        ssize_t n = pread(fd, *bytes + *size, expected - *size, (off_t)*size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return status_fail(STATUS_IO, "%s: cannot read: %s", path, strerror(errno));
        if (n == 0)
            break; /* cut by somebody meanwhile: what was read is parsed */
        *size += (size_t)n;
    }
    return STATUS_OK;
}

enum status journal_read(const char *path, struct journal *out)
{
    *out = (struct journal){0};
    uint8_t *bytes = NULL;
    size_t size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* opening a FIFO must not wait for a writer */
    if (fd < 0)
        return status_fail(errno == ENOENT ? STATUS_INPUT : STATUS_IO, "%s: cannot open the journal: %s",
                           path, strerror(errno));
    enum status s = read_file(fd, path, &bytes, &size);
    if (s == STATUS_OK)
        s = journal_parse(bytes, size, path, out);
    free(bytes);
    close(fd);
    return s;
}

/* ---- writing ---- */

struct journal_writer {
    int fd;
    char *path;
    uint64_t *end; /* of the last whole entry: where the next one begins; shared with forked writers */
    bool broken;   /* a torn entry could not be cut off: nothing may follow it */
    uint8_t *buffer;
    size_t capacity;
};

static void writer_free(struct journal_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        close(w->fd);
    if (w->end)
        munmap(w->end, sizeof *w->end);
    free(w->path);
    free(w->buffer);
    free(w);
}

/* Gives the writer to the caller, unless something failed. */
static enum status hand_over(struct journal_writer *w, enum status s, struct journal_writer **out)
{
    if (s != STATUS_OK)
        writer_free(w);
    *out = s == STATUS_OK ? w : NULL;
    return s;
}

/* Whether the file behind fd still has this name: a run that ends removes its journal. */
static bool is_named(int fd, const char *path)
{
    struct stat open_file, named;
    return fstat(fd, &open_file) == 0 && stat(path, &named) == 0 && open_file.st_dev == named.st_dev &&
           open_file.st_ino == named.st_ino;
}

/* Opens and locks path. Two writers would cut off each other's entries. */
static enum status writer_new(const char *path, int flags, struct journal_writer **out)
{
    enum status s = STATUS_OK;
    struct journal_writer *w = calloc(1, sizeof *w);
    if (!w)
        return status_no_memory("%s", path);
    w->fd = -1;
    w->path = strdup(path);
    w->end = mmap(NULL, sizeof *w->end, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (w->end == MAP_FAILED)
        w->end = NULL;
    if (!w->path || !w->end)
        s = status_no_memory("%s", path);
    else if ((w->fd = open(path, flags | O_RDWR | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666)) < 0)
        s = status_fail(STATUS_IO, "%s: cannot %s the journal: %s", path, flags & O_CREAT ? "create" : "open",
                        strerror(errno));
    /* Some network file systems have no locks: going on without is better than not running there. */
    else if (flock(w->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        s = status_fail(STATUS_USAGE, "%s: another nf4bench is writing this journal", path);
    else if (!is_named(w->fd, path))
        s = status_fail(STATUS_USAGE, "%s: another nf4bench has just ended this run", path);
    return hand_over(w, s, out);
}

bool journal_is_being_written(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const bool locked = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (fd >= 0)
        close(fd);
    return locked;
}

/* Room for an entry with `length` bytes of payload in w->buffer. */
static enum status writer_reserve(struct journal_writer *w, size_t length)
{
    if (length > ENTRY_MAX)
        return status_fail(STATUS_LIMIT,
                           "%s: an entry of %zu bytes is over the limit of %u: record fewer samples", w->path,
                           length, (unsigned)ENTRY_MAX);
    size_t need = MAGIC_SIZE + ENTRY_HEAD + length;
    if (need <= w->capacity)
        return STATUS_OK;
    uint8_t *grown = realloc(w->buffer, need);
    if (!grown)
        return status_no_memory("%s: an entry of %zu bytes", w->path, length);
    w->buffer = grown;
    w->capacity = need;
    return STATUS_OK;
}

static void seal_entry(uint8_t *entry, enum entry_type type, size_t length)
{
    store_u32(entry, (uint32_t)length);
    store_u32(entry + 4, type);
    store_u32(entry + 8, entry_crc(entry, length));
}

/* Appends size bytes of the buffer by one write(2): a kill leaves all of them or, at worst, a torn entry. */
static enum status append_alone(struct journal_writer *w, size_t size)
{
    if (!durable_write_all(w->fd, w->buffer, size)) {
        int error = errno;
        /* The disk may have taken a part: without this the next entry would stand behind a torn one. */
        w->broken = ftruncate(w->fd, (off_t)*w->end) != 0;
        const char *why = error == ENOSPC || error == EDQUOT ? "the disk is full: "
                          : error == EFBIG                   ? "the file size limit is reached: "
                                                             : "";
        return status_fail(STATUS_IO,
                           "%s: cannot write: %s%s; everything recorded before this row is kept: make room, "
                           "then finish the run with --resume",
                           w->path, why, strerror(error));
    }
    *w->end += size;
    return STATUS_OK;
}

static enum status writer_write(struct journal_writer *w, size_t size)
{
    /* Forked writers share the file's position. This lock is a process's own: flock(2)'s they share. */
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat now;
    int locked;
    if (w->broken)
        return status_fail(
            STATUS_IO, "%s: an earlier append failed and could not be undone; nothing was added", w->path);
    while ((locked = fcntl(w->fd, F_SETLKW, &lock)) != 0 && errno == EINTR)
        ;
    if (locked != 0 || fstat(w->fd, &now) != 0)
        return status_fail(STATUS_IO, "%s: cannot lock the journal: %s", w->path, strerror(errno));
    enum status s = STATUS_OK;
    /* Another writer was killed in the middle of its entry: behind a torn one, ours would make the whole
     * journal look damaged. */
    if ((uint64_t)now.st_size > *w->end && ftruncate(w->fd, (off_t)*w->end) != 0)
        s = status_fail(STATUS_IO, "%s: cannot cut off the torn entry at offset %llu: %s", w->path,
                        (unsigned long long)*w->end, strerror(errno));
    if (s == STATUS_OK)
        s = append_alone(w, size);
    lock.l_type = F_UNLCK;
    (void)fcntl(w->fd, F_SETLK, &lock);
    return s;
}

/* Whether the locked file may be (re)used for a new journal. */
static enum status check_unused(const struct journal_writer *w)
{
    struct stat st;
    uint8_t *bytes = NULL;
    size_t size;
    if (fstat(w->fd, &st) != 0)
        return status_fail(STATUS_IO, "%s: cannot stat: %s", w->path, strerror(errno));
    if (st.st_nlink == 0) /* removed between open and lock */
        return status_fail(STATUS_USAGE, "%s: another nf4bench has just removed this journal; try again",
                           w->path);
    enum status s = read_file(w->fd, w->path, &bytes, &size);
    if (s == STATUS_OK && !is_blank(bytes, size))
        s = status_fail(STATUS_USAGE,
                        "%s: exists: it may hold the rows of an unfinished run; finish that with --resume, "
                        "or remove the file",
                        w->path);
    free(bytes);
    return s;
}

static enum status check_header_json(const char *path, const char *header_json)
{
    json_error_t error;
    json_t *object = json_loads(header_json, 0, &error);
    enum status s = STATUS_OK;
    if (!object)
        s = status_fail(STATUS_INTERNAL, "%s: the header is not JSON: %s at byte %d", path, error.text,
                        error.position);
    else if (!json_is_object(object))
        s = status_fail(STATUS_INTERNAL, "%s: the header is not a JSON object", path);
    else if (json_object_get(object, ""))
        s = status_fail(STATUS_INTERNAL, "%s: the header has a key without a name", path);
    json_decref(object);
    return s;
}

enum status journal_create(const char *path, const char *header_json, struct journal_writer **out)
{
    struct journal_writer *w = NULL;
    *out = NULL;
    /* Checked now, because the store needs it: after hours of measuring is too late. */
    TRY(check_header_json(path, header_json));
    TRY(writer_new(path, O_CREAT, &w));
    enum status s = check_unused(w);
    if (s == STATUS_OK && ftruncate(w->fd, 0) != 0)
        s = status_fail(STATUS_IO, "%s: cannot empty the journal: %s", path, strerror(errno));
    if (s != STATUS_OK)
        goto out;
    size_t json_size = strlen(header_json), length = HEADER_HEAD + json_size;
    s = writer_reserve(w, length);
    if (s == STATUS_OK) {
        uint8_t *entry = w->buffer + MAGIC_SIZE;
        memcpy(w->buffer, magic, MAGIC_SIZE);
        store_u32(entry + ENTRY_HEAD, record_layout_hash());
        store_u32(entry + ENTRY_HEAD + 4, (uint32_t)record_packed_size());
        memcpy(entry + ENTRY_HEAD + HEADER_HEAD, header_json, json_size);
        seal_entry(entry, ENTRY_HEADER, length);
        s = writer_write(w, MAGIC_SIZE + ENTRY_HEAD + length);
    }
    if (s == STATUS_OK)
        s = durable_sync_directory(path);
    if (s != STATUS_OK)
        unlink(path); /* still locked, and without a row: nobody misses it */
out:
    return hand_over(w, s, out);
}

enum status journal_append_open(const char *path, struct journal_writer **out)
{
    struct journal_writer *w = NULL;
    struct journal j = {0};
    uint8_t *bytes = NULL;
    size_t size = 0;
    *out = NULL;
    TRY(writer_new(path, 0, &w));
    enum status s = read_file(w->fd, path, &bytes, &size);
    if (s == STATUS_OK)
        s = journal_parse(bytes, size, path, &j);
    if (s == STATUS_OK) {
        *w->end = j.whole_size;
        if (j.torn && ftruncate(w->fd, (off_t)*w->end) != 0)
            s = status_fail(STATUS_IO, "%s: cannot cut off the torn entry at offset %zu: %s", path,
                            j.whole_size, strerror(errno));
    }
    journal_release(&j);
    free(bytes);
    return hand_over(w, s, out);
}

enum status journal_append(struct journal_writer *w, const struct record *rows, const double *const *samples,
                           const uint8_t *const *flags, size_t row_count)
{
    size_t packed = record_packed_size(), length = 4, row_limit = ENTRY_MAX / packed;
    if (row_count == 0)
        return STATUS_OK;
    if (row_count > row_limit)
        return status_fail(STATUS_LIMIT, "%s: %zu rows in one entry are over the limit of %zu", w->path,
                           row_count, row_limit);
    length += row_count * packed;
    for (size_t i = 0; i < row_count; i++) {
        if (rows[i].sample_count > 0 && (!samples || !samples[i]))
            return status_fail(STATUS_INTERNAL, "%s: row %zu has %llu samples but no array of them", w->path,
                               i, (unsigned long long)rows[i].sample_count);
        if (rows[i].sample_count > ENTRY_MAX / SAMPLE_SIZE)
            return status_fail(STATUS_LIMIT, "%s: %llu samples in one row are over the limit of %zu", w->path,
                               (unsigned long long)rows[i].sample_count, (size_t)(ENTRY_MAX / SAMPLE_SIZE));
        length += rows[i].sample_count * SAMPLE_SIZE;
    }
    TRY(writer_reserve(w, length));
    uint8_t *p = w->buffer + ENTRY_HEAD;
    store_u32(p, (uint32_t)row_count);
    p += 4;
    for (size_t i = 0; i < row_count; i++, p += packed) {
        const struct column *bad = record_pack(&rows[i], p);
        if (bad)
            return status_fail(STATUS_INTERNAL, "%s: row %zu has no valid %s", w->path, i, bad->name);
    }
    for (size_t i = 0; i < row_count; i++) {
        if (rows[i].sample_count == 0)
            continue;
        memcpy(p, samples[i], rows[i].sample_count * sizeof(double));
        p += rows[i].sample_count * sizeof(double);
    }
    for (size_t i = 0; i < row_count; i++) {
        if (flags && flags[i])
            memcpy(p, flags[i], rows[i].sample_count);
        else
            memset(p, 0, rows[i].sample_count);
        p += rows[i].sample_count;
    }
    seal_entry(w->buffer, ENTRY_ROWS, length);
    return writer_write(w, ENTRY_HEAD + length);
}

enum status journal_flush(struct journal_writer *w)
{
    return fsync(w->fd) == 0 ? STATUS_OK
                             : status_fail(STATUS_IO, "%s: cannot force the journal to the disk: %s", w->path,
                                           strerror(errno));
}

enum status journal_close(struct journal_writer *w)
{
    if (!w)
        return STATUS_OK;
    enum status s = journal_flush(w);
    int fd = w->fd;
    w->fd = -1;
    if (close(fd) != 0 && s == STATUS_OK)
        s = status_fail(STATUS_IO, "%s: cannot close the journal: %s", w->path, strerror(errno));
    writer_free(w);
    return s;
}

/* ---- salvage ---- */

/* Writes the header and every whole entry. *left_out: bytes that are in none. */
static enum status write_whole_entries(int fd, const uint8_t *bytes, size_t size, const char *path,
                                       size_t *left_out)
{
    struct journal_entry e;
    struct journal header = {0};
    enum status s = parse_header(bytes, size, path, &header);
    size_t at = header.whole_size, rows, samples;
    bool written = s != STATUS_OK || durable_write_all(fd, bytes, at);
    *left_out = 0;
    while (s == STATUS_OK && written && at < size) {
        if (entry_at(bytes, size, at, &e) && e.type == ENTRY_ROWS &&
            rows_counts(e.payload, e.length, &rows, &samples)) {
            written = durable_write_all(fd, bytes + at, ENTRY_HEAD + (size_t)e.length);
            at += ENTRY_HEAD + (size_t)e.length;
            continue;
        }
        const size_t later = whole_entry_from(bytes, size, at + 1), next = later ? later : size;
        *left_out += next - at;
        at = next;
    }
    journal_release(&header);
    if (s == STATUS_OK && (!written || fsync(fd) != 0))
        s = status_fail(STATUS_IO, "%s: what is whole of it cannot be written beside it: %s", path,
                        strerror(errno));
    return s;
}

enum status journal_salvage(const char *path, size_t *left_out)
{
    struct journal_writer *w = NULL;
    char *salvaged = NULL, *aside = NULL;
    uint8_t *bytes = NULL;
    size_t size = 0;
    int fd = -1;
    *left_out = 0;
    TRY(writer_new(path, 0, &w));
    enum status s = STATUS_OK;
    if (asprintf(&salvaged, "%s.XXXXXX", path) < 0 || asprintf(&aside, "%s.damaged", path) < 0)
        s = status_no_memory("%s", path);
    if (s == STATUS_OK)
        s = read_file(w->fd, path, &bytes, &size);
    if (s == STATUS_OK && (fd = mkostemp(salvaged, O_CLOEXEC)) < 0)
        s = status_fail(STATUS_IO, "%s: cannot write a file beside it: %s", path, strerror(errno));
    if (s == STATUS_OK)
        s = write_whole_entries(fd, bytes, size, path, left_out);
    if (s == STATUS_OK && *left_out > 0)
        s = link(path, aside) == 0 && rename(salvaged, path) == 0
                ? durable_sync_directory(path)
                : status_fail(STATUS_IO, "%s: cannot be kept as %s: %s", path, aside, strerror(errno));
    if (fd >= 0) {
        close(fd);
        if (s != STATUS_OK || *left_out == 0)
            (void)unlink(salvaged);
    }
    free(salvaged);
    free(aside);
    free(bytes);
    writer_free(w);
    return s;
}
