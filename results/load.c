/*
 * load.c: reads a results file that may be damaged or made to do harm. HDF5 1.10.8 crashes on such files, so
 * it runs in a child (load_child.c) that sends what it read through a pipe (load_stream.h).
 *
 * The parent believes nothing: a child taken over by the file can make it report an error or wrong numbers,
 * which the file could have held anyway, but not write outside its buffers or wait for ever.
 */
#include "results/load.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "results/load_stream.h"

struct child_reader {
    const char *path;
    int fd;
    double deadline_s; /* of clock_s() */
    bool counted, timed_out;
    size_t rows_got, samples_got, flags_got;
    size_t text_bytes; /* of the different texts, with their NULs */
    uint8_t *block;
};

/* Bytes read: size, or fewer at the end of the stream or when the time is up. */
static size_t read_some(struct child_reader *r, void *out, size_t size)
{
    size_t got = 0;
    while (got < size) {
        struct pollfd p = {.fd = r->fd, .events = POLLIN};
        const double left_ms = 1e3 * (r->deadline_s - clock_s());
        int ready = poll(&p, 1, left_ms < 0 ? 0 : left_ms > 1000000 ? 1000000 : (int)left_ms);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0) {
            r->timed_out = ready == 0;
            break;
        }
        ssize_t n = read(r->fd, (char *)out + got, size - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return got;
}

static enum status garbled(const struct child_reader *r)
{
    return status_fail(
        STATUS_INPUT, "%s: the process that read it sent something senseless: the file is damaged or hostile",
        r->path);
}

static enum status take_counts(struct child_reader *r, size_t length, struct result_set *out)
{
    uint64_t counts[2];
    if (r->counted || length != sizeof counts)
        return garbled(r);
    memcpy(counts, r->block, sizeof counts);
    if (counts[0] > ROW_MAX || counts[1] > SAMPLE_MAX)
        return garbled(r);
    /* Bounded above: pages are only used when data arrives for them. */
    out->rows = malloc((counts[0] + 1) * sizeof *out->rows);
    out->samples = malloc((counts[1] + 1) * sizeof *out->samples);
    out->texts = json_object();
    if (!out->rows || !out->samples || !out->texts)
        return status_no_memory("%s: %llu rows and %llu samples", r->path, (unsigned long long)counts[0],
                                (unsigned long long)counts[1]);
    out->row_count = counts[0];
    out->sample_count = counts[1];
    r->counted = true;
    return STATUS_OK;
}

static enum status take_attribute(struct child_reader *r, size_t length, struct result_set *out)
{
    if (length < 1)
        return garbled(r);
    const char *kind = (const char *)r->block, *name = kind + 1;
    length--;
    const char *value = memchr(name, '\0', length);
    if (!value || (size_t)(value + 1 - name) >= length || name[length - 1] != '\0' ||
        out->attribute_count >= ATTRIBUTE_MAX)
        return garbled(r);
    value++;
    struct attribute *a = &out->attributes[out->attribute_count];
    *a = (struct attribute){strdup(name), strdup(value), *kind == KIND_NUMBER};
    out->attribute_count++; /* counted at once: half a pair is released too */
    if (!a->name || !a->value)
        return status_no_memory("%s: attributes", r->path);
    text_repair(a->name, strlen(a->name) + 1);
    text_repair(a->value, strlen(a->value) + 1);
    return STATUS_OK;
}

/* Equal texts of a set are one pointer. NULL when out of memory. */
static const char *shared_text(struct child_reader *r, struct result_set *out, const char *text)
{
    json_t *known = json_object_get(out->texts, text);
    if (!known) {
        known = json_string_nocheck(text);
        if (json_object_set_new_nocheck(out->texts, text, known) != 0)
            return NULL;
        r->text_bytes += strlen(text) + 1;
    }
    return json_string_value(known);
}

/* Rows that follow each other have most texts in common: what the row before has is not looked up again. */
static enum status share_texts(struct child_reader *r, struct record *from, struct result_set *out)
{
    struct row *row = &out->rows[r->rows_got];
    for (unsigned i = 0; i < record_column_count; i++) {
        const struct column *c = &record_columns[i];
        char *text = (char *)from + c->offset;
        const char *shared = NULL;
        if (c->kind != COLUMN_TEXT)
            continue;
        if (r->rows_got > 0)
            memcpy(&shared, (const char *)(row - 1) + c->row_offset, sizeof shared);
        if (!shared || strcmp(shared, text) != 0) {
            text_repair(text, c->size);
            shared = shared_text(r, out, text);
        }
        if (!shared)
            return status_no_memory("%s: texts", r->path);
        memcpy((char *)row + c->row_offset, &shared, sizeof shared);
    }
    if (r->text_bytes > TEXTS_MAX)
        return status_fail(STATUS_LIMIT, "%s: the texts of /results have more than %d bytes", r->path,
                           TEXTS_MAX);
    return STATUS_OK;
}

static enum status take_row(struct child_reader *r, struct record *from, struct result_set *out)
{
    const struct column *bad = record_fault(from);
    if (bad)
        return status_fail(STATUS_INPUT, "%s: row %zu of /results has no valid %s", r->path, r->rows_got,
                           bad->name);
    if (from->sample_start > out->sample_count || from->sample_count > out->sample_count - from->sample_start)
        return status_fail(STATUS_INPUT, "%s: row %zu of /results names samples that are not in the file",
                           r->path, r->rows_got);
    out->rows[r->rows_got] = row_of_record(from);
    TRY(share_texts(r, from, out));
    r->rows_got++;
    return STATUS_OK;
}

static enum status take_rows(struct child_reader *r, size_t length, struct result_set *out)
{
    struct record *records = (struct record *)r->block;
    const size_t count = length / sizeof *records;
    if (!r->counted || length % sizeof *records != 0 || count > out->row_count - r->rows_got)
        return garbled(r);
    for (size_t i = 0; i < count; i++)
        TRY(take_row(r, &records[i], out));
    return STATUS_OK;
}

static enum status take_samples(struct child_reader *r, size_t length, struct result_set *out)
{
    size_t count = length / sizeof(double);
    if (!r->counted || length % sizeof(double) != 0 || count > out->sample_count - r->samples_got)
        return garbled(r);
    memcpy(out->samples + r->samples_got, r->block, length);
    r->samples_got += count;
    return STATUS_OK;
}

static enum status take_flags(struct child_reader *r, size_t length, struct result_set *out)
{
    if (!r->counted || length > out->sample_count - r->flags_got)
        return garbled(r);
    if (!out->flags && !(out->flags = malloc(out->sample_count + 1)))
        return status_no_memory("%s: flags", r->path);
    memcpy(out->flags + r->flags_got, r->block, length);
    r->flags_got += length;
    return STATUS_OK;
}

/* Where any sample is excluded: the samples without those. */
static enum status mask_samples(const struct child_reader *r, struct result_set *out)
{
    bool any = false;
    for (size_t i = 0; out->flags && i < out->sample_count && !any; i++)
        any = out->flags[i] & SAMPLE_EXCLUDED;
    if (!any)
        return STATUS_OK;
    out->kept = malloc(out->sample_count * sizeof *out->kept);
    if (!out->kept)
        return status_no_memory("%s: %zu samples", r->path, out->sample_count);
    for (size_t i = 0; i < out->sample_count; i++)
        out->kept[i] = out->flags[i] & SAMPLE_EXCLUDED ? NAN : out->samples[i];
    return STATUS_OK;
}

static enum status take_end(struct child_reader *r, size_t length, struct result_set *out)
{
    (void)length;
    if (!r->counted || r->rows_got != out->row_count || r->samples_got != out->sample_count ||
        (out->flags && r->flags_got != out->sample_count))
        return garbled(r);
    return mask_samples(r, out);
}

static enum status take_error(struct child_reader *r, size_t length, struct result_set *out)
{
    (void)out;
    uint32_t code;
    if (length < sizeof code)
        return garbled(r);
    memcpy(&code, r->block, sizeof code);
    if (code != STATUS_MEMORY && code != STATUS_LIMIT && code != STATUS_INPUT)
        return garbled(r);
    char *text = (char *)r->block + sizeof code;
    size_t size = length - sizeof code;
    for (size_t i = 0; i < size; i++) /* it may quote the file: no terminal codes, no second line */
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = '?';
    text[size] = '\0'; /* the buffer has one byte more than the largest block */
    text_repair(text, size + 1);
    return status_fail((enum status)code, "%s", text);
}

/* Reads blocks until the end. *complete: the child said that it was done, or reported an error. */
static enum status read_stream(struct child_reader *r, struct result_set *out, bool *complete)
{
    static enum status (*const take[])(struct child_reader *, size_t, struct result_set *) = {
        [BLOCK_COUNTS] = take_counts,   [BLOCK_ATTRIBUTE] = take_attribute, [BLOCK_ROWS] = take_rows,
        [BLOCK_SAMPLES] = take_samples, [BLOCK_FLAGS] = take_flags,         [BLOCK_END] = take_end,
        [BLOCK_ERROR] = take_error};
    enum status s = STATUS_OK;
    *complete = false;
    while (s == STATUS_OK && !*complete) {
        uint32_t head[2];
        if (read_some(r, head, sizeof head) != sizeof head)
            return STATUS_OK; /* the child's end says why */
        size_t length = head[1];
        if (length > BLOCK_MAX)
            return garbled(r);
        if (read_some(r, r->block, length) != length)
            return STATUS_OK;
        *complete = head[0] == BLOCK_END || head[0] == BLOCK_ERROR;
        s = head[0] < sizeof take / sizeof take[0] && take[head[0]] ? take[head[0]](r, length, out)
                                                                    : garbled(r);
    }
    return s;
}

/* Why a child ended without having said so. */
static enum status explain_end(const struct child_reader *r, const struct load_limits *limits, bool waited,
                               int wait_status)
{
    if (r->timed_out)
        return status_fail(STATUS_INPUT,
                           "%s: reading it took more than %u ms: the file is damaged or hostile", r->path,
                           limits->wall_ms);
    if (waited && WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGXCPU)
        return status_fail(
            STATUS_INPUT,
            "%s: reading it took more than %u s of processor time: the file is damaged or hostile", r->path,
            limits->cpu_s);
    if (waited && WIFSIGNALED(wait_status))
        return status_fail(
            STATUS_INPUT,
            "%s: the HDF5 library crashed (signal %d) while reading: the file is damaged or hostile", r->path,
            WTERMSIG(wait_status));
    return status_fail(STATUS_INPUT,
                       "%s: the process that read it stopped half-way: the file is damaged or hostile",
                       r->path);
}

/* Reaps the child; false when that cannot be (the program ignores SIGCHLD). One that is done has a moment to
 * end by itself, because a kill would hide the signal it is dying of. */
static bool reap(pid_t child, bool kill_now, int *wait_status)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    pid_t ended = 0;
    for (int i = 0; i < 2000 && ended == 0 && !kill_now; i++) {
        ended = waitpid(child, wait_status, WNOHANG);
        if (ended == 0)
            (void)nanosleep(&pause, NULL);
    }
    if (ended == 0) {
        (void)kill(child, SIGKILL);
        do
            ended = waitpid(child, wait_status, 0);
        while (ended < 0 && errno == EINTR);
    }
    return ended == child;
}

static enum status run_child(const char *path, const struct load_limits *limits, struct result_set *out)
{
    enum status s = STATUS_OK;
    int ends[2] = {-1, -1}, wait_status = 0;
    pid_t child = -1;
    bool complete = false, waited = false;
    struct child_reader r = {.path = path, .fd = -1, .block = malloc(BLOCK_MAX + 1)};
    if (!r.block)
        s = status_no_memory("%s", path);
    else if (pipe2(ends, O_CLOEXEC) != 0)
        s = status_fail(STATUS_IO, "%s: cannot make a pipe to read it through: %s", path, strerror(errno));
    else if ((child = fork()) < 0)
        s = status_fail(STATUS_IO, "%s: cannot start a process to read it: %s", path, strerror(errno));
    if (s != STATUS_OK)
        goto out;
    r.fd = ends[0];
    r.deadline_s = clock_s() + 1e-3 * limits->wall_ms;
    if (child == 0) {
        close(ends[0]);
        load_child_main(path, ends[1], limits);
    }
    close(ends[1]);
    ends[1] = -1;
    s = read_stream(&r, out, &complete);
    waited = reap(child, complete || s != STATUS_OK || r.timed_out, &wait_status);
    if (s == STATUS_OK && !complete)
        s = explain_end(&r, limits, waited, wait_status);
out:
    if (ends[0] >= 0)
        close(ends[0]);
    if (ends[1] >= 0)
        close(ends[1]);
    free(r.block);
    return s;
}

/* What can be said without HDF5, in words that fit. */
static enum status check_file(const char *path)
{
    enum status s = STATUS_OK;
    struct stat st;
    char start[16] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return status_fail(errno == ENOENT ? STATUS_INPUT : STATUS_IO, "%s: cannot open: %s", path,
                           strerror(errno));
    if (fstat(fd, &st) != 0)
        s = status_fail(STATUS_IO, "%s: cannot stat: %s", path, strerror(errno));
    else if (S_ISDIR(st.st_mode))
        s = status_fail(STATUS_INPUT, "%s: a directory, not a results file", path);
    else if (!S_ISREG(st.st_mode))
        s = status_fail(STATUS_INPUT, "%s: not a regular file", path);
    else if (st.st_size == 0)
        s = status_fail(STATUS_INPUT, "%s: empty, not a results file", path);
    else if (pread(fd, start, sizeof start - 1, 0) > 0 && strcmp(start, "nf4bench journa") == 0)
        s = status_fail(STATUS_INPUT,
                        "%s: the journal of an unfinished run: finish that with `nf4bench run --resume`",
                        path);
    close(fd);
    return s;
}

enum status result_set_load_limited(const char *path, const struct load_limits *limits,
                                    struct result_set *out)
{
    *out = (struct result_set){0};
    TRY(check_file(path));
    out->path = strdup(path);
    out->attributes = malloc(ATTRIBUTE_MAX * sizeof *out->attributes);
    enum status s =
        out->path && out->attributes ? run_child(path, limits, out) : status_no_memory("%s", path);
    if (s != STATUS_OK)
        result_set_release(out);
    return s;
}

enum status result_set_load(const char *path, struct result_set *out)
{
    struct load_limits limits = LOAD_LIMITS;
    struct stat st;
    if (stat(path, &st) == 0) /* else it cannot be read, which is said there */
        limits.cpu_s +=
            (unsigned)(st.st_size / LOAD_BYTES_A_SECOND < 3600 ? st.st_size / LOAD_BYTES_A_SECOND : 3600);
    return result_set_load_limited(path, &limits, out);
}

void result_set_release(struct result_set *s)
{
    for (size_t i = 0; i < s->attribute_count; i++) {
        free(s->attributes[i].name);
        free(s->attributes[i].value);
    }
    free(s->attributes);
    free(s->path);
    free(s->rows);
    free(s->samples);
    free(s->flags);
    free(s->kept);
    json_decref(s->texts);
    *s = (struct result_set){0};
}

const char *result_set_attribute(const struct result_set *s, const char *name)
{
    for (size_t i = 0; i < s->attribute_count; i++)
        if (strcmp(s->attributes[i].name, name) == 0)
            return s->attributes[i].value;
    return NULL;
}
