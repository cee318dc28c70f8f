#include "results/calibration.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "results/h5.h"

const double calibration_levels[CALIBRATION_LEVELS] = {0, 0.01, 0.02, 0.03, 0.05};

enum { ROWS_MAX = 100000 };

static const struct number {
    const char *name, *doc;
    size_t offset;
} numbers[] = {
#define X(name, doc) {#name, doc, offsetof(struct calibration_row, name)},
    CALIBRATION_NUMBERS(X)
#undef X
};
enum { NUMBERS = sizeof numbers / sizeof numbers[0] };

static bool insert_text(hid_t type, const char *name, size_t offset, size_t size)
{
    const hid_t text = h5_text_type(size, H5T_CSET_UTF8, H5T_STR_NULLPAD);
    const bool ok = text >= 0 && H5Tinsert(type, name, offset, text) >= 0;
    h5_close(text);
    return ok;
}

/* Of struct calibration_row in memory, which is what the file has, without what pads it. */
static hid_t row_type(void)
{
    const struct calibration_row *r = NULL;
    const hid_t type = H5Tcreate(H5T_COMPOUND, sizeof *r);
    bool ok =
        type >= 0 &&
        insert_text(type, "case_key", offsetof(struct calibration_row, case_text), sizeof r->case_text) &&
        insert_text(type, "variant", offsetof(struct calibration_row, variant), sizeof r->variant) &&
        insert_text(type, "regime", offsetof(struct calibration_row, regime), sizeof r->regime) &&
        H5Tinsert(type, "threads", offsetof(struct calibration_row, threads), H5T_NATIVE_UINT32) >= 0;
    for (size_t i = 0; i < NUMBERS && ok; i++)
        ok = H5Tinsert(type, numbers[i].name, numbers[i].offset, H5T_NATIVE_DOUBLE) >= 0;
    if (!ok && type >= 0)
        H5Tclose(type);
    return ok ? type : -1;
}

/* ---- writing ---- */

static bool write_dataset(hid_t file, const char *name, hid_t type, int rank, const hsize_t *size,
                          const void *data)
{
    const hid_t space = H5Screate_simple(rank, size, NULL);
    const hid_t set =
        space < 0 ? -1 : H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    bool ok = set >= 0 && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0;
    for (size_t i = 0; i < NUMBERS && ok && strcmp(name, "rows") == 0; i++) {
        char attribute[64];
        snprintf(attribute, sizeof attribute, "doc_%s", numbers[i].name);
        ok = h5_write_text(set, attribute, numbers[i].doc);
    }
    h5_close(set);
    h5_close(space);
    return ok;
}

static bool write_attributes(hid_t file, const struct calibration *c, const json_t *environment)
{
    const int64_t schema = CALIBRATION_SCHEMA, alarms = (int64_t)c->false_alarms,
                  gates = (int64_t)c->row_gates;
    const double rate = c->row_gates ? (double)c->false_alarms / (double)c->row_gates : NAN;
    const char *key;
    json_t *value;
    bool ok = true;
    json_object_foreach((json_t *)environment, key, value) ok = ok && h5_write_json(file, key, value);
    return ok && h5_write_text(file, "kind", "calibration") &&
           h5_write_text(file, "device_name", c->device) &&
           h5_write_attribute(file, "schema_version", H5T_STD_I64LE, &schema) &&
           h5_write_attribute(file, "false_alarms", H5T_STD_I64LE, &alarms) &&
           h5_write_attribute(file, "row_gates", H5T_STD_I64LE, &gates) &&
           h5_write_attribute(file, "false_alarm_rate", H5T_IEEE_F64LE, &rate) &&
           h5_write_attribute(file, "false_alarm_rate_lower", H5T_IEEE_F64LE, &c->rate_lower) &&
           h5_write_attribute(file, "false_alarm_rate_upper", H5T_IEEE_F64LE, &c->rate_upper);
}

enum status calibration_write(const char *path, const struct calibration *c, const double *us, size_t gates,
                              size_t rounds, const json_t *environment)
{
    const hsize_t row_count[1] = {c->row_count}, levels[1] = {CALIBRATION_LEVELS};
    const hsize_t size[4] = {c->row_count, gates, rounds, 1 + CALIBRATION_LEVELS};
    bool ok = false;
    char *temporary;
    if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
        return status_no_memory("%s", path);
    const int free_name = mkstemp(temporary);
    if (free_name < 0) {
        const enum status s = status_fail(STATUS_IO, "%s: cannot be written: %s", path, strerror(errno));
        free(temporary);
        return s;
    }
    (void)fchmod(free_name, 0644);
    close(free_name);
    h5_quiet();
    const hid_t access = h5_access(), type = row_type();
    const hid_t file =
        access >= 0 && type >= 0 ? H5Fcreate(temporary, H5F_ACC_TRUNC, H5P_DEFAULT, access) : -1;
    if (file >= 0) {
        ok = write_attributes(file, c, environment) &&
             write_dataset(file, "rows", type, 1, row_count, c->rows) &&
             write_dataset(file, "levels", H5T_NATIVE_DOUBLE, 1, levels, calibration_levels) &&
             write_dataset(file, "us", H5T_NATIVE_DOUBLE, 4, size, us);
        ok = H5Fclose(file) >= 0 && ok;
    }
    h5_close(type);
    h5_close(access);
    enum status s = ok ? STATUS_OK : status_fail(STATUS_IO, "%s: cannot be written: %s", path, h5_reason());
    if (ok && rename(temporary, path) != 0)
        s = status_fail(STATUS_IO, "%s: cannot be written: %s", path, strerror(errno));
    if (s != STATUS_OK)
        (void)unlink(temporary); /* what was there stays */
    free(temporary);
    return s;
}

/* ---- reading ---- */

static bool read_attribute(hid_t file, const char *name, hid_t type, void *out)
{
    const hid_t attribute = H5Aexists(file, name) > 0 ? H5Aopen(file, name, H5P_DEFAULT) : -1;
    const hid_t space = attribute >= 0 ? H5Aget_space(attribute) : -1;
    const bool ok =
        space >= 0 && H5Sget_simple_extent_npoints(space) == 1 && H5Aread(attribute, type, out) >= 0;
    h5_close(space);
    h5_close(attribute);
    return ok;
}

static bool read_device(hid_t file, struct calibration *c)
{
    const hid_t type = h5_text_type(H5T_VARIABLE, H5T_CSET_UTF8, H5T_STR_NULLTERM);
    char *text = NULL;
    const bool ok = type >= 0 && read_attribute(file, "device_name", type, &text) && text;
    if (ok)
        snprintf(c->device, sizeof c->device, "%s", text);
    if (text)
        H5free_memory(text);
    h5_close(type);
    return ok;
}

static enum status read_rows(hid_t file, const char *path, struct calibration *c)
{
    const hid_t set = H5Dopen2(file, "rows", H5P_DEFAULT), type = row_type();
    const hid_t space = set >= 0 ? H5Dget_space(set) : -1;
    const hssize_t count = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
    enum status s = STATUS_OK;
    if (count < 1 || count > ROWS_MAX) {
        s = status_fail(STATUS_INPUT, "%s: it has no rows of a calibration", path);
    } else {
        c->rows = calloc((size_t)count, sizeof *c->rows);
        c->row_count = (size_t)count;
        if (!c->rows)
            s = status_no_memory("%s", path);
        else if (type < 0 || H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, c->rows) < 0)
            s = status_fail(STATUS_INPUT, "%s: its rows cannot be read: %s", path, h5_reason());
    }
    for (size_t i = 0; i < c->row_count && s == STATUS_OK; i++) {
        struct calibration_row *r = &c->rows[i];
        r->case_text[sizeof r->case_text - 1] = r->variant[sizeof r->variant - 1] =
            r->regime[sizeof r->regime - 1] = '\0';
        if (!(r->noise_floor >= 0) || !(r->aa_p99 >= 0))
            s = status_fail(STATUS_INPUT, "%s: row %zu has no noise floor: calibrate again", path, i);
    }
    h5_close(space);
    h5_close(type);
    h5_close(set);
    return s;
}

static enum status read_file(hid_t file, const char *path, struct calibration *c)
{
    int64_t schema, alarms, gates;
    if (!read_attribute(file, "schema_version", H5T_NATIVE_INT64, &schema) ||
        !read_attribute(file, "false_alarms", H5T_NATIVE_INT64, &alarms) ||
        !read_attribute(file, "row_gates", H5T_NATIVE_INT64, &gates) || !read_device(file, c) || alarms < 0 ||
        gates < 1 || alarms > gates)
        return status_fail(STATUS_INPUT, "%s: not a file of `nf4bench calibrate`", path);
    if (schema > CALIBRATION_SCHEMA)
        return status_fail(
            STATUS_INPUT,
            "%s: calibration schema version %lld; this nf4bench reads up to %d: use a newer one", path,
            (long long)schema, CALIBRATION_SCHEMA);
    if (!read_attribute(file, "false_alarm_rate_lower", H5T_NATIVE_DOUBLE, &c->rate_lower) ||
        !read_attribute(file, "false_alarm_rate_upper", H5T_NATIVE_DOUBLE, &c->rate_upper) ||
        !(c->rate_lower >= 0 && c->rate_lower <= c->rate_upper && c->rate_upper <= 1))
        return status_fail(STATUS_INPUT, "%s: its rate of false alarms has no bounds", path);
    c->false_alarms = (uint64_t)alarms;
    c->row_gates = (uint64_t)gates;
    return read_rows(file, path, c);
}

enum status calibration_read(const char *path, struct calibration *out)
{
    *out = (struct calibration){.rows = NULL};
    h5_quiet();
    const hid_t access = h5_access(), file = access < 0 ? -1 : H5Fopen(path, H5F_ACC_RDONLY, access);
    enum status s = file < 0 ? status_fail(STATUS_INPUT, "%s: cannot be read: %s", path, h5_reason())
                             : read_file(file, path, out);
    h5_close(file);
    h5_close(access);
    if (s != STATUS_OK)
        calibration_release(out);
    return s;
}

void calibration_release(struct calibration *c)
{
    free(c->rows);
    c->rows = NULL;
    c->row_count = 0;
}

const struct calibration_row *calibration_find(const struct calibration *c, const char *case_text,
                                               const char *variant, const char *regime, unsigned threads)
{
    for (size_t i = 0; i < c->row_count; i++) {
        const struct calibration_row *r = &c->rows[i];
        if (r->threads == threads && strcmp(r->regime, regime) == 0 && strcmp(r->variant, variant) == 0 &&
            strcmp(r->case_text, case_text) == 0)
            return r;
    }
    return NULL;
}
