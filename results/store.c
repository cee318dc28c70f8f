/*
 * store.c: the HDF5 file of a finished run. Three readers set its form: h5py and h5dump (plain HDF5 types,
 * committed enums, units and meanings as attributes), PyTables (the attributes of a TABLE) and, through it,
 * pandas.
 */
#include "results/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "results/durable.h"
#include "results/h5.h"
#include "results/journal.h"

enum {
    ROWS_CHUNK = 64,      /* about 100 KB before compression */
    SAMPLES_CHUNK = 4096, /* 32 KB */
    DEFLATE_LEVEL = 1,    /* the texts are mostly NULs: higher levels gain little and cost time */
};

static enum status fail_h5(const char *path, const char *what)
{
    return status_fail(STATUS_IO, "%s: cannot write %s: %s", path, what, h5_reason());
}

/* ---- attributes ---- */

/* Fixed length and no NUL at its end, as PyTables wants its own attributes. */
static bool write_fixed_text(hid_t object, const char *name, const char *value)
{
    hid_t type = h5_text_type(value[0] ? strlen(value) : 1, H5T_CSET_UTF8, H5T_STR_NULLPAD);
    bool ok = type >= 0 && h5_write_attribute(object, name, type, value);
    h5_close(type);
    return ok;
}

static enum status write_root_attributes(hid_t file, const char *path, const char *header_json)
{
    enum status s = STATUS_OK;
    json_error_t error;
    json_t *header = json_loads(header_json, 0, &error), *value;
    const char *key;
    hid_t root = -1;
    int64_t version = STORE_SCHEMA_VERSION;
    value = json_object_get(header, "schema_version");
    if (!json_is_object(header))
        s = status_fail(STATUS_INPUT, "%s: the journal's header is not a JSON object", path);
    else if (value && json_integer_value(value) != version)
        s = status_fail(STATUS_INPUT, "%s: the journal has schema version %lld, this nf4bench writes %lld",
                        path, (long long)json_integer_value(value), (long long)version);
    else if ((root = H5Gopen2(file, "/", H5P_DEFAULT)) < 0 ||
             !h5_write_attribute(root, "schema_version", H5T_STD_I64LE, &version))
        s = fail_h5(path, "the schema version");
    json_object_foreach(header, key, value)
    {
        /* Where it was begun is for --resume, which reads the journal: a file is handed around. */
        if (s == STATUS_OK && strcmp(key, "schema_version") && strcmp(key, "directory") &&
            !h5_write_json(root, key, value)) {
            char what[160];
            snprintf(what, sizeof what, "the attribute \"%.100s\"", key);
            s = fail_h5(path, what);
        }
    }
    h5_close(root);
    json_decref(header);
    return s;
}

/* ---- the table ---- */

/* The enum of a column: its words and their values. */
static hid_t enum_type(const struct column *c)
{
    hid_t type = H5Tenum_create(H5T_STD_U8LE);
    for (unsigned v = 0; type >= 0 && v <= UINT8_MAX; v++) {
        uint8_t value = (uint8_t)v;
        if (c->word(value) && H5Tenum_insert(type, c->word(value), &value) < 0) {
            H5Tclose(type);
            return -1;
        }
    }
    return type;
}

/* The type a column has in the file; always a new handle. */
static hid_t column_type(const struct column *c)
{
    /* H5T_... are not constants: the list is built at each call. */
    const hid_t types[] = {
#define TEXT(name, bytes, doc)             H5I_INVALID_HID,
#define ENUM(name, map, doc)               H5I_INVALID_HID,
#define NUMBER(ctype, name, h5, unit, doc) h5,
#include "results/record.inc"
    };
    if (c->kind == COLUMN_TEXT)
        return h5_text_type(c->size, H5T_CSET_UTF8,
                            H5T_STR_NULLTERM); /* of padding, h5dump would print every NUL */
    if (c->kind == COLUMN_ENUM)
        return enum_type(c);
    return H5Tcopy(types[c - record_columns]);
}

/* The compound of a row: `packed` as in the file, else at the offsets of struct record. The members are the
 * same in both, because this machine is little-endian (record.c asserts it): only the place of a value
 * differs. */
static hid_t row_type(bool packed)
{
    hid_t row = H5Tcreate(H5T_COMPOUND, packed ? record_packed_size() : sizeof(struct record));
    for (unsigned i = 0; row >= 0 && i < record_column_count; i++) {
        const struct column *c = &record_columns[i];
        hid_t type = column_type(c);
        bool ok = type >= 0 && H5Tget_size(type) == c->size &&
                  H5Tinsert(row, c->name, packed ? record_packed_offset(c) : c->offset, type) >= 0;
        h5_close(type);
        if (!ok) {
            H5Tclose(row);
            return -1;
        }
    }
    return row;
}

/* /types/<column>: a reader of the file finds the words without opening the table. */
static enum status write_types(hid_t file, const char *path)
{
    enum status s = STATUS_OK;
    hid_t group = H5Gcreate2(file, "types", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (group < 0)
        return fail_h5(path, "/types");
    for (unsigned i = 0; s == STATUS_OK && i < record_column_count; i++) {
        const struct column *c = &record_columns[i];
        if (c->kind != COLUMN_ENUM)
            continue;
        hid_t type = enum_type(c);
        if (type < 0 || H5Tcommit2(group, c->name, type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT) < 0)
            s = fail_h5(path, "/types");
        h5_close(type);
    }
    H5Gclose(group);
    return s;
}

/* One-dimensional and extendible, as PyTables wants it; chunked, compressed with what every reader has.
 * Without times of creation, so that one journal always makes the same file. */
static hid_t create_dataset(hid_t location, const char *name, hid_t type, hsize_t count, hsize_t chunk)
{
    hid_t space = -1, list = -1, data = -1;
    hsize_t unlimited = H5S_UNLIMITED;
    space = H5Screate_simple(1, &count, &unlimited);
    list = H5Pcreate(H5P_DATASET_CREATE);
    if (space >= 0 && list >= 0 && H5Pset_chunk(list, 1, &chunk) >= 0 && H5Pset_shuffle(list) >= 0 &&
        H5Pset_deflate(list, DEFLATE_LEVEL) >= 0 && H5Pset_obj_track_times(list, 0) >= 0)
        data = H5Dcreate2(location, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    h5_close(list);
    h5_close(space);
    return data;
}

static bool write_values(hid_t data, hid_t memory_type, size_t count, const void *values)
{
    return count == 0 || H5Dwrite(data, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
}

static bool write_table_attributes(hid_t data)
{
    bool ok = write_fixed_text(data, "CLASS", "TABLE") && write_fixed_text(data, "VERSION", "3.0") &&
              write_fixed_text(data, "TITLE", "nf4bench results, one row per case, variant and regime");
    char name[96];
    for (unsigned i = 0; ok && i < record_column_count; i++) {
        const struct column *c = &record_columns[i];
        snprintf(name, sizeof name, "FIELD_%u_NAME", i);
        ok = write_fixed_text(data, name, c->name);
    }
    for (unsigned i = 0; ok && i < record_column_count; i++) {
        const struct column *c = &record_columns[i];
        snprintf(name, sizeof name, "doc_%s", c->name);
        ok = h5_write_text(data, name, c->doc);
        snprintf(name, sizeof name, "unit_%s", c->name);
        ok = ok && (!c->unit[0] || h5_write_text(data, name, c->unit));
    }
    return ok;
}

static enum status write_rows(hid_t file, const char *path, const struct journal *j)
{
    hid_t in_file = row_type(true), in_memory = row_type(false), data = -1;
    if (in_file >= 0 && in_memory >= 0)
        data = create_dataset(file, "results", in_file, j->row_count, ROWS_CHUNK);
    bool ok =
        data >= 0 && write_table_attributes(data) && write_values(data, in_memory, j->row_count, j->rows);
    enum status s = ok ? STATUS_OK : fail_h5(path, "/results");
    h5_close(data);
    h5_close(in_memory);
    h5_close(in_file);
    return s;
}

static enum status write_samples(hid_t file, const char *path, const struct journal *j)
{
    static const char flags_doc[] = "bits of each sample in time_us"
#define X(bit, name, excluded, word, doc) "; " #bit ": " word ", " doc EXCLUDED_##excluded
#define EXCLUDED_0
#define EXCLUDED_1 " (excluded from the statistics)"
        RECORD_SAMPLE_MAP(X);
#undef X
    static const char times_doc[] = "time of one call; a row of /results has sample_start and sample_count";
    hid_t data = -1, flags = -1, group = H5Gcreate2(file, "samples", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (group >= 0)
        data = create_dataset(group, "time_us", H5T_IEEE_F64LE, j->sample_count, SAMPLES_CHUNK);
    bool ok = data >= 0 && h5_write_text(data, "unit", "us") && h5_write_text(data, "doc", times_doc) &&
              write_values(data, H5T_NATIVE_DOUBLE, j->sample_count, j->samples);
    if (ok)
        flags = create_dataset(group, "flags", H5T_STD_U8LE, j->sample_count, SAMPLES_CHUNK);
    ok = flags >= 0 && h5_write_text(flags, "doc", flags_doc) &&
         write_values(flags, H5T_NATIVE_UINT8, j->sample_count, j->flags);
    enum status s = ok ? STATUS_OK : fail_h5(path, "/samples");
    h5_close(flags);
    h5_close(data);
    h5_close(group);
    return s;
}

/* ---- the file ---- */

/* A file that HDF5 keeps in memory. On a disk the library makes a full one hard to see (H5Fclose() returns 0)
 * and keeps what it could not write, and its handles, until the program ends. The attributes of the root keep
 * the order of the header. */
static hid_t create_in_memory(const char *path)
{
    const size_t step = 4 << 20;
    hid_t file = -1, creation = H5Pcreate(H5P_FILE_CREATE), access = h5_access();
    if (creation >= 0 && access >= 0 && H5Pset_fapl_core(access, step, 0) >= 0 &&
        H5Pset_attr_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED) >= 0 &&
        H5Pset_obj_track_times(creation, 0) >= 0)
        file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
    h5_close(access);
    h5_close(creation);
    return file;
}

/* The bytes of the file. *image is the caller's to free, also after a failure. */
static enum status build_image(const char *path, const struct journal *j, void **image, size_t *size)
{
    enum status s;
    *image = NULL;
    h5_quiet();
    hid_t file = create_in_memory(path);
    if (file < 0)
        return fail_h5(path, "the file");
    s = write_root_attributes(file, path, j->header_json);
    if (s == STATUS_OK)
        s = write_types(file, path);
    if (s == STATUS_OK)
        s = write_rows(file, path, j);
    if (s == STATUS_OK)
        s = write_samples(file, path, j);
    ssize_t length = -1;
    if (s == STATUS_OK &&
        (H5Fflush(file, H5F_SCOPE_GLOBAL) < 0 || (length = H5Fget_file_image(file, NULL, 0)) <= 0))
        s = fail_h5(path, "the file");
    if (s == STATUS_OK && !(*image = malloc((size_t)length)))
        s = status_no_memory("%s: a file of %zd bytes", path, length);
    if (s == STATUS_OK && H5Fget_file_image(file, *image, (size_t)length) != length)
        s = fail_h5(path, "the file");
    if (H5Fclose(file) < 0 && s == STATUS_OK)
        s = fail_h5(path, "the file");
    *size = s == STATUS_OK ? (size_t)length : 0;
    return s;
}

static enum status write_file(const char *path, const char *bytes, size_t size)
{
    enum status s = STATUS_OK;
    /* What a killed build left goes; what somebody else makes meanwhile, or a link, is no file of ours. */
    (void)unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return status_fail(STATUS_IO, "%s: cannot create: %s", path, strerror(errno));
    if (!durable_write_all(fd, bytes, size) || fsync(fd) != 0)
        s = status_fail(STATUS_IO, "%s: cannot write %zu bytes: %s", path, size, strerror(errno));
    /* Network file systems may report a full disk only here. */
    if (close(fd) != 0 && s == STATUS_OK)
        s = status_fail(STATUS_IO, "%s: cannot close: %s", path, strerror(errno));
    return s;
}

enum status store_build(const char *journal_path, const char *h5_path, bool keep_journal)
{
    struct journal j = {0};
    char *temporary = NULL;
    void *image = NULL;
    size_t size = 0;
    enum status s = STATUS_OK;
    TRY(journal_read(journal_path, &j));
    if (asprintf(&temporary, "%s.tmp", h5_path) < 0) {
        temporary = NULL;
        s = status_no_memory("%s", h5_path);
        goto out;
    }
    s = build_image(h5_path, &j, &image, &size);
    if (s == STATUS_OK)
        s = write_file(temporary, image, size);
    /* A reader sees the old file or the whole new one, also after a loss of power. */
    if (s == STATUS_OK && rename(temporary, h5_path) != 0)
        s = status_fail(STATUS_IO, "%s: cannot rename %s to it: %s", h5_path, temporary, strerror(errno));
    if (s == STATUS_OK)
        s = durable_sync_directory(h5_path);
    if (s != STATUS_OK) {
        unlink(temporary);
        s = status_fail(s,
                        "%s; the results are kept in %s: make room or mend the cause, then finish with "
                        "`nf4bench run --resume %s`",
                        status_message(), journal_path, h5_path);
        goto out;
    }
    if (!keep_journal && unlink(journal_path) != 0)
        s = status_fail(STATUS_IO, "%s is complete, but its journal %s cannot be removed (%s): remove it",
                        h5_path, journal_path, strerror(errno));
out:
    free(image);
    free(temporary);
    journal_release(&j);
    return s;
}
