#include "results/h5.h"

#include <stdio.h>
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
