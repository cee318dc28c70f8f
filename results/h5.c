#include "results/h5.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char last_reason[512];

static herr_t take_first(unsigned n, const H5E_error2_t *error, void *text)
{
    if (n == 0)
        *(const char **)text = error->desc;
    return 0;
}

/* Called by the library where it would print. Kept here because every later call, the closing ones after a
 * failure too, empties the library's own list of errors. */
static herr_t keep_reason(hid_t stack, void *unused)
{
    static const char mark[] = "error message = '";
    const char *text = NULL;
    (void)unused;
    if (H5Ewalk2(stack, H5E_WALK_UPWARD, take_first, &text) < 0 || !text)
        return 0;
    /* For a failed system call the description holds half a dozen numbers around the one thing of use. */
    const char *inner = strstr(text, mark);
    const char *end = inner ? strchr(inner + sizeof mark - 1, '\'') : NULL;
    if (end)
        snprintf(last_reason, sizeof last_reason, "%.*s", (int)(end - inner - (ptrdiff_t)(sizeof mark - 1)),
                 inner + sizeof mark - 1);
    else
        snprintf(last_reason, sizeof last_reason, "%s", text);
    return 0;
}

void h5_quiet(void)
{
    /* Each may fail without harm: the first when the library is already running. At exit the library would
     * try once more to write what a full disk refused, and print about it. */
    (void)H5dont_atexit();
    (void)H5Eset_auto2(H5E_DEFAULT, keep_reason, NULL);
    (void)H5PLset_loading_state(0);
    last_reason[0] = '\0';
}

const char *h5_reason(void)
{
    return last_reason[0] ? last_reason : "HDF5 gives no reason";
}

hid_t h5_access(void)
{
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    if (list >= 0 && H5Pset_file_locking(list, 0, 1) < 0) {
        H5Pclose(list);
        return -1;
    }
    return list;
}

void h5_close(hid_t handle)
{
    if (handle >= 0)
        H5Idec_ref(handle); /* this is the only reference */
}

bool h5_write_attribute(hid_t object, const char *name, hid_t type, const void *value)
{
    const hid_t space = H5Screate(H5S_SCALAR), list = H5Pcreate(H5P_ATTRIBUTE_CREATE);
    hid_t attribute = -1;
    if (space >= 0 && list >= 0 && H5Pset_char_encoding(list, H5T_CSET_UTF8) >= 0)
        attribute = H5Acreate2(object, name, type, space, list, H5P_DEFAULT);
    const bool ok = attribute >= 0 && H5Awrite(attribute, type, value) >= 0;
    /* The failures of a close are those of the writes before it, which are checked. */
    h5_close(attribute);
    h5_close(list);
    h5_close(space);
    return ok;
}

hid_t h5_text_type(size_t size, H5T_cset_t set, H5T_str_t end)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 &&
        (H5Tset_size(type, size) < 0 || H5Tset_cset(type, set) < 0 || H5Tset_strpad(type, end) < 0)) {
        H5Tclose(type);
        return -1;
    }
    return type;
}

bool h5_write_text(hid_t object, const char *name, const char *value)
{
    hid_t type = h5_text_type(H5T_VARIABLE, H5T_CSET_UTF8, H5T_STR_NULLTERM);
    bool ok = type >= 0 && h5_write_attribute(object, name, type, &value);
    h5_close(type);
    return ok;
}

bool h5_write_json(hid_t object, const char *name, const json_t *value)
{
    if (json_is_string(value))
        return h5_write_text(object, name, json_string_value(value));
    if (json_is_integer(value)) {
        const int64_t number = json_integer_value(value);
        return h5_write_attribute(object, name, H5T_STD_I64LE, &number);
    }
    if (json_is_real(value)) {
        const double number = json_real_value(value);
        return h5_write_attribute(object, name, H5T_IEEE_F64LE, &number);
    }
    if (json_is_boolean(value)) {
        const uint8_t flag = json_is_true(value);
        return h5_write_attribute(object, name, H5T_STD_U8LE, &flag);
    }
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    const bool ok = text && h5_write_text(object, name, text);
    free(text);
    return ok;
}
