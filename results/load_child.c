/*
 * load_child.c: the process that reads a results file: everything that calls HDF5 on a file that may be
 * damaged or made to do harm. It sends what it read to load.c; the blocks are described in load_stream.h.
 * The end of the process releases what is used until then.
 */
#include "results/load_stream.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "results/h5.h"
#include "results/store.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(NF4BENCH_SANITIZED)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

struct child {
    const char *path;
    FILE *pipe;
};

static void send_block(const struct child *c, enum block_kind kind, const void *payload, size_t length)
{
    uint32_t head[2] = {kind, (uint32_t)length};
    if (fwrite(head, sizeof head, 1, c->pipe) != 1 ||
        (length > 0 && fwrite(payload, length, 1, c->pipe) != 1))
        _exit(1); /* the parent is gone */
}

static void send_error(const struct child *c, enum status s)
{
    char payload[4 + 4096];
    uint32_t code = s;
    memcpy(payload, &code, sizeof code);
    snprintf(payload + 4, sizeof payload - 4, "%s", status_message());
    send_block(c, BLOCK_ERROR, payload, 4 + strlen(payload + 4));
}

static enum status fail_h5(const char *path, const char *what)
{
    return status_fail(STATUS_INPUT, "%s: cannot read %s: %s", path, what, h5_reason());
}

/* The value of a scalar text attribute; NULL when it cannot be read. To be freed. */
static char *read_text_attribute(hid_t attribute, hid_t type)
{
    const htri_t variable = H5Tis_variable_str(type);
    const size_t size = variable > 0 ? H5T_VARIABLE : H5Tget_size(type) + 1;
    hid_t memory = -1;
    char *buffer = NULL, *text = NULL;
    if (variable > 0 || (variable == 0 && size <= BLOCK_MAX && (buffer = calloc(1, size))))
        memory = h5_text_type(size, H5Tget_cset(type), H5T_STR_NULLTERM);
    /* A copy of the library's string is made, and never freed by the library: the child ends soon. */
    if (memory >= 0 && H5Aread(attribute, memory, variable > 0 ? (void *)&buffer : (void *)buffer) >= 0)
        text = strdup(buffer ? buffer : "");
    if (variable == 0)
        free(buffer);
    h5_close(memory);
    return text;
}

/* The value as text, or NULL for forms that nf4bench does not write: those are left out. */
static char *attribute_text(hid_t attribute, char *kind)
{
    char *text = NULL;
    *kind = KIND_NUMBER;
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    if (type < 0 || space < 0 || H5Sget_simple_extent_npoints(space) != 1)
        goto out;
    switch (H5Tget_class(type)) {
    case H5T_STRING:
        *kind = KIND_TEXT;
        text = read_text_attribute(attribute, type);
        break;
    case H5T_INTEGER: {
        bool is_signed = H5Tget_sign(type) != H5T_SGN_NONE;
        uint64_t bits = 0;
        if (H5Aread(attribute, is_signed ? H5T_NATIVE_INT64 : H5T_NATIVE_UINT64, &bits) < 0)
            break;
        if ((is_signed ? asprintf(&text, "%lld", (long long)bits)
                       : asprintf(&text, "%llu", (unsigned long long)bits)) < 0)
            text = NULL;
        break;
    }
    case H5T_FLOAT: {
        double value = 0;
        if (H5Aread(attribute, H5T_NATIVE_DOUBLE, &value) >= 0 && asprintf(&text, "%.17g", value) < 0)
            text = NULL;
        break;
    }
    default:
        break;
    }
out:
    h5_close(space);
    h5_close(type);
    return text;
}

struct attribute_walk {
    const struct child *c;
    unsigned count;
    bool has_version;
    long long version;
};

static herr_t send_attribute(hid_t location, const char *name, const H5A_info_t *info, void *data)
{
    struct attribute_walk *walk = data;
    (void)info;
    hid_t attribute = H5Aopen(location, name, H5P_DEFAULT);
    if (attribute < 0)
        return -1;
    char kind, *value = attribute_text(attribute, &kind);
    H5Aclose(attribute);
    if (!value)
        return 0;
    if (strcmp(name, "schema_version") == 0) {
        char *end;
        walk->version = strtoll(value, &end, 10);
        walk->has_version = end != value && *end == '\0';
    }
    size_t name_size = strlen(name) + 1, value_size = strlen(value) + 1;
    char *payload = NULL;
    if (1 + name_size + value_size <= BLOCK_MAX && walk->count < ATTRIBUTE_MAX &&
        (payload = malloc(1 + name_size + value_size))) {
        payload[0] = kind;
        memcpy(payload + 1, name, name_size);
        memcpy(payload + 1 + name_size, value, value_size);
        send_block(walk->c, BLOCK_ATTRIBUTE, payload, 1 + name_size + value_size);
        walk->count++;
    }
    free(payload);
    free(value);
    return 0;
}

static enum status send_attributes(const struct child *c, hid_t file)
{
    struct attribute_walk walk = {.c = c};
    hsize_t at = 0;
    /* Files of h5py do not track the order of creation. */
    if (H5Aiterate2(file, H5_INDEX_CRT_ORDER, H5_ITER_INC, &at, send_attribute, &walk) < 0) {
        walk = (struct attribute_walk){.c = c};
        at = 0;
        if (H5Aiterate2(file, H5_INDEX_NAME, H5_ITER_NATIVE, &at, send_attribute, &walk) < 0)
            return fail_h5(c->path, "the attributes");
    }
    if (!walk.has_version)
        return status_fail(STATUS_INPUT, "%s: not a results file of nf4bench: it has no schema_version",
                           c->path);
    if (walk.version > STORE_SCHEMA_VERSION)
        return status_fail(STATUS_INPUT,
                           "%s: schema version %lld; this nf4bench reads up to %d: use a newer one", c->path,
                           walk.version, STORE_SCHEMA_VERSION);
    if (walk.version < 1)
        return status_fail(STATUS_INPUT, "%s: schema version %lld does not exist", c->path, walk.version);
    return STATUS_OK;
}

/* Opens a dataset that lies in this file as a list of known, bearable length. Links and storage that lead to
 * other files would let a results file make us read any file of the user. */
static enum status open_list(const struct child *c, hid_t file, const char *name, hsize_t limit, hid_t *data,
                             hsize_t *count)
{
    H5L_info_t link;
    if (H5Lget_info(file, name, &link, H5P_DEFAULT) < 0)
        return status_fail(STATUS_INPUT, "%s: an HDF5 file, but not results of nf4bench: it has no %s",
                           c->path, name);
    if (link.type != H5L_TYPE_HARD)
        return status_fail(STATUS_INPUT, "%s: %s is a link to elsewhere, which is not followed", c->path,
                           name);
    *data = H5Dopen2(file, name, H5P_DEFAULT);
    if (*data < 0)
        return fail_h5(c->path, name);
    const hid_t space = H5Dget_space(*data), list = H5Dget_create_plist(*data);
    if (space < 0 || list < 0)
        return fail_h5(c->path, name);
    const H5D_layout_t layout = H5Pget_layout(list);
    if (H5Pget_external_count(list) != 0 ||
        (layout != H5D_CHUNKED && layout != H5D_CONTIGUOUS && layout != H5D_COMPACT))
        return status_fail(STATUS_INPUT, "%s: %s is stored outside the file, which is not followed", c->path,
                           name);
    if (H5Sget_simple_extent_ndims(space) != 1 || H5Sget_simple_extent_dims(space, count, NULL) != 1)
        return status_fail(STATUS_INPUT, "%s: %s is not a list", c->path, name);
    if (*count > limit)
        return status_fail(STATUS_LIMIT, "%s: %s has %llu elements, over the limit of %llu", c->path, name,
                           (unsigned long long)*count, (unsigned long long)limit);
    return STATUS_OK;
}

/* Reads elements start .. start+count-1 into buffer. */
static bool read_part(hid_t data, hid_t memory_type, hsize_t start, hsize_t count, void *buffer)
{
    hid_t in_file = H5Dget_space(data), in_memory = H5Screate_simple(1, &count, NULL);
    bool ok = in_file >= 0 && in_memory >= 0 &&
              H5Sselect_hyperslab(in_file, H5S_SELECT_SET, &start, NULL, &count, NULL) >= 0 &&
              H5Dread(data, memory_type, in_memory, in_file, H5P_DEFAULT, buffer) >= 0;
    h5_close(in_memory);
    h5_close(in_file);
    return ok;
}

/* The type to read a column with, or negative when the file's type is no such thing. A new handle. */
static hid_t reading_type(const struct column *c, hid_t in_file)
{
    /* H5T_... are not constants: the list is built at each call. */
    const hid_t numbers[] = {
        [COLUMN_ENUM] = H5T_NATIVE_INT64, [COLUMN_U8] = H5T_NATIVE_UINT8,  [COLUMN_U32] = H5T_NATIVE_UINT32,
        [COLUMN_U64] = H5T_NATIVE_UINT64, [COLUMN_I64] = H5T_NATIVE_INT64, [COLUMN_F64] = H5T_NATIVE_DOUBLE};
    const H5T_class_t class = H5Tget_class(in_file);
    if (c->kind == COLUMN_TEXT)
        return class == H5T_STRING && H5Tis_variable_str(in_file) == 0
                   ? h5_text_type(c->size, H5Tget_cset(in_file), H5T_STR_NULLTERM)
                   : -1;
    const bool fits = class == (c->kind == COLUMN_F64 ? H5T_FLOAT : H5T_INTEGER) ||
                      (c->kind == COLUMN_ENUM && class == H5T_ENUM);
    return fits ? H5Tcopy(numbers[c->kind]) : -1;
}

/* Where a column is read to: a buffer row is a struct record, and behind it a signed number for each column, of
 * which enums are read, so that a value out of range is seen and not clipped into range. */
static size_t place_of(const struct column *c)
{
    const size_t number = (size_t)(c - record_columns);
    return c->kind == COLUMN_ENUM ? sizeof(struct record) + number * sizeof(int64_t) : c->offset;
}

/* The columns that both the file and record.inc have, and the compound to read them with. */
static enum status match_columns(const struct child *c, hid_t in_file, const struct column **present,
                                 size_t *count, hid_t *compound)
{
    const size_t stride = sizeof(struct record) + record_column_count * sizeof(int64_t);
    *count = 0;
    *compound = H5Tget_class(in_file) == H5T_COMPOUND ? H5Tcreate(H5T_COMPOUND, stride) : -1;
    if (*compound < 0)
        return status_fail(STATUS_INPUT, "%s: /results is not a table", c->path);
    for (unsigned i = 0; i < record_column_count; i++) {
        const struct column *column = &record_columns[i];
        int index = H5Tget_member_index(in_file, column->name);
        if (index < 0)
            continue;
        hid_t member = H5Tget_member_type(in_file, (unsigned)index);
        hid_t type = member >= 0 ? reading_type(column, member) : -1;
        bool ok = type >= 0 && H5Tinsert(*compound, column->name, place_of(column), type) >= 0;
        h5_close(type);
        h5_close(member);
        if (!ok)
            return status_fail(STATUS_INPUT, "%s: the column %s of /results has a type that does not fit",
                               c->path, column->name);
        present[(*count)++] = column;
    }
    if (*count == 0)
        return status_fail(STATUS_INPUT, "%s: /results has no column of nf4bench", c->path);
    return STATUS_OK;
}

/* Makes a record of a buffer row. What no reader would take for a value of an enum is passed on: the parent
 * names it. */
static void make_record(const uint8_t *from, const struct column *const *present, size_t count,
                        struct record *to)
{
    record_init(to);
    for (size_t i = 0; i < count; i++) {
        const struct column *c = present[i];
        uint8_t *at = (uint8_t *)to + c->offset;
        int64_t value;
        if (c->kind == COLUMN_ENUM) {
            memcpy(&value, from + place_of(c), sizeof value);
            *at = value >= 0 && value < UINT8_MAX ? (uint8_t)value : UINT8_MAX;
        } else {
            memcpy(at, from + place_of(c), c->size);
        }
    }
}

static enum status send_rows(const struct child *c, hid_t data, hsize_t row_count)
{
    const hid_t in_file = H5Dget_type(data);
    const struct column **present = calloc(record_column_count, sizeof *present);
    size_t present_count;
    hid_t compound;
    if (in_file < 0)
        return fail_h5(c->path, "/results");
    if (!present)
        return status_no_memory("%s", c->path);
    TRY(match_columns(c, in_file, present, &present_count, &compound));
    const size_t stride = H5Tget_size(compound);
    uint8_t *buffer = calloc(ROWS_AT_ONCE, stride);
    struct record *records = malloc(ROWS_AT_ONCE * sizeof *records);
    if (!buffer || !records)
        return status_no_memory("%s", c->path);
    for (hsize_t start = 0; start < row_count; start += ROWS_AT_ONCE) {
        hsize_t part = row_count - start < ROWS_AT_ONCE ? row_count - start : ROWS_AT_ONCE;
        if (!read_part(data, compound, start, part, buffer))
            return fail_h5(c->path, "/results");
        for (size_t row = 0; row < part; row++)
            make_record(buffer + row * stride, present, present_count, &records[row]);
        send_block(c, BLOCK_ROWS, records, part * sizeof *records);
    }
    return STATUS_OK;
}

/* Sends a list of /samples, whose elements are of `size` bytes in memory. */
static enum status send_list(const struct child *c, enum block_kind kind, const char *name, hid_t data,
                             hsize_t count, hid_t memory_type, size_t size)
{
    void *buffer = malloc(SAMPLES_AT_ONCE * size);
    if (!buffer)
        return status_no_memory("%s", c->path);
    for (hsize_t start = 0; start < count; start += SAMPLES_AT_ONCE) {
        hsize_t part = count - start < SAMPLES_AT_ONCE ? count - start : SAMPLES_AT_ONCE;
        if (!read_part(data, memory_type, start, part, buffer))
            return fail_h5(c->path, name);
        send_block(c, kind, buffer, part * size);
    }
    return STATUS_OK;
}

/* Older files have none. */
static enum status send_flags(const struct child *c, hid_t file, hsize_t sample_count)
{
    hid_t data;
    hsize_t count;
    if (H5Lexists(file, "/samples/flags", H5P_DEFAULT) <= 0)
        return STATUS_OK;
    TRY(open_list(c, file, "/samples/flags", SAMPLE_MAX, &data, &count));
    if (count != sample_count)
        return status_fail(STATUS_INPUT, "%s: /samples/flags has not one byte for each sample", c->path);
    return send_list(c, BLOCK_FLAGS, "/samples/flags", data, count, H5T_NATIVE_UINT8, 1);
}

/* Measurements hardly compress; a small file that claims gigabytes is no results file. */
static enum status check_claims(const struct child *c, hid_t file, const hsize_t counts[2])
{
    hsize_t size = 0;
    const hsize_t claimed = counts[0] * sizeof(struct record) + counts[1] * (sizeof(double) + 1);
    if (H5Fget_filesize(file, &size) < 0)
        return fail_h5(c->path, "its size");
    if (claimed <= CLAIM_FREE + CLAIM_RATIO * size)
        return STATUS_OK;
    return status_fail(
        STATUS_LIMIT,
        "%s: claims %llu rows and %llu samples, which are %llu MB, and has %llu kB: not a file of "
        "measurements",
        c->path, (unsigned long long)counts[0], (unsigned long long)counts[1],
        (unsigned long long)(claimed >> 20), (unsigned long long)(size >> 10));
}

static enum status send_all(const struct child *c)
{
    hid_t rows, samples;
    hsize_t counts[2];
    h5_quiet();
    (void)H5Lunregister(H5L_TYPE_EXTERNAL); /* what leads to other files fails wherever it stands */
    const hid_t access = h5_access(), file = access < 0 ? -1 : H5Fopen(c->path, H5F_ACC_RDONLY, access);
    if (file < 0)
        return status_fail(STATUS_INPUT, "%s: not an HDF5 file, or a damaged one: %s", c->path, h5_reason());
    TRY(open_list(c, file, "/results", ROW_MAX, &rows, &counts[0]));
    TRY(send_attributes(c, file));
    TRY(open_list(c, file, "/samples/time_us", SAMPLE_MAX, &samples, &counts[1]));
    TRY(check_claims(c, file, counts));
    const uint64_t wire_counts[2] = {counts[0], counts[1]};
    send_block(c, BLOCK_COUNTS, wire_counts, sizeof wire_counts);
    TRY(send_rows(c, rows, counts[0]));
    TRY(send_list(c, BLOCK_SAMPLES, "/samples/time_us", samples, counts[1], H5T_NATIVE_DOUBLE,
                  sizeof(double)));
    return send_flags(c, file, counts[1]);
}

/* Address space in use, in bytes; 0 when the system does not say. */
static size_t address_space(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f) {
        if (fscanf(f, "%lu", &pages) != 1)
            pages = 0;
        fclose(f);
    }
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void limit(int what, rlim_t value)
{
    /* Only ever downwards: a stricter limit of the user stays. */
    struct rlimit old;
    if (getrlimit(what, &old) != 0 || value >= old.rlim_cur)
        return;
    /* One above for the hard limit: with both equal, too much processor time is a SIGKILL without a name. */
    (void)setrlimit(what, &(struct rlimit){value, value + 1 < old.rlim_max ? value + 1 : old.rlim_max});
}

/* The program may catch signals (kernels under test crash): a crash here must be one. */
static void confine(const struct load_limits *limits)
{
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_DUMPABLE, 0);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_CPU, limits->cpu_s);
    if (!SANITIZED)
        limit(RLIMIT_AS, address_space() + limits->memory);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        /* glibc and HDF5 write about their deaths; the parent reports. A sanitizer's words are wanted. */
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        if (!SANITIZED)
            (void)dup2(null, STDERR_FILENO);
    }
}

void load_child_main(const char *path, int fd, const struct load_limits *limits)
{
    struct child c = {path, NULL};
    confine(limits);
    c.pipe = fdopen(fd, "wb");
    if (!c.pipe)
        _exit(1);
    enum status s = send_all(&c);
    if (s == STATUS_OK)
        send_block(&c, BLOCK_END, NULL, 0);
    else
        send_error(&c, s);
    _exit(fflush(c.pipe) != 0);
}
