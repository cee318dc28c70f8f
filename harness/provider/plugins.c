#include "harness/provider/plugins.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <zlib.h>

#include "harness/device/caller.h"

enum { LIBRARIES_MAX = 64, FILE_NAME_MAX = 100 };

static struct library {
    char path[PATH_MAX]; /* as realpath() gives it */
    dev_t device;        /* the file, however it is named */
    ino_t inode;
    const char *label; /* of a side; NULL: its variants are in the table */
    char name[CHANNEL_NAME];
    long long bytes;
    uint32_t crc;
} libraries[LIBRARIES_MAX];
static size_t library_count;

/* ---- what another process says ---- */

static enum status check_room(const struct kernel *kernels, size_t count)
{
    if (count > kernel_room())
        return status_fail(STATUS_INPUT,
                           "it has %zu variants, and there is room for %zu more: load fewer libraries", count,
                           kernel_room());
    for (size_t i = 0; i < count; i++)
        if (kernel_find(kernels[i].name))
            return status_fail(STATUS_INPUT,
                               "variant %zu, %s: the name is taken, by %s: give it another knob", i,
                               kernels[i].name, kernel_find(kernels[i].name)->source);
    return STATUS_OK;
}

enum status provider_add(const char *option, const char *value, char *said)
{
    char name[CHANNEL_NAME];
    struct kernel *kernels;
    size_t count;
    enum status s = caller_variants(option, value, "", &kernels, &count, said ? said : name);
    if (s == STATUS_OK)
        s = check_room(kernels, count);
    const unsigned library = s == STATUS_OK ? caller_loads_apart(option, value) : 0;
    for (size_t i = 0; i < count && s == STATUS_OK; i++) {
        kernels[i].library = library;
        if (kernels[i].dequantize) /* of the list, or of the table */
            kernels[i].dequantize = kernel_find(kernels[i].dequantize->name);
        s = kernel_add(&kernels[i]);
    }
    free(kernels);
    return s;
}

/* ---- files ---- */

/* What the file is, for the results. */
static void describe_file(struct library *l)
{
    unsigned char piece[65536];
    size_t n;
    FILE *f = fopen(l->path, "rb");
    l->crc = (uint32_t)crc32(0, NULL, 0);
    while (f && (n = fread(piece, 1, sizeof piece, f)) > 0) {
        l->crc = (uint32_t)crc32(l->crc, piece, (uInt)n);
        l->bytes += (long long)n;
    }
    if (f)
        fclose(f);
}

/* The file that `path` names, as the next of the libraries. *same: one that is it already, if any. */
static enum status find_file(const char *path, const char *label, struct library **l,
                             const struct library **same)
{
    struct stat file;
    *same = NULL;
    if (library_count == LIBRARIES_MAX)
        return status_fail(STATUS_LIMIT, "no more than %d libraries can be loaded", LIBRARIES_MAX);
    *l = &libraries[library_count];
    **l = (struct library){.label = label};
    if (!realpath(path, (*l)->path) || stat((*l)->path, &file) != 0)
        return status_fail(STATUS_INPUT, "%s", strerror(errno));
    (*l)->device = file.st_dev;
    (*l)->inode = file.st_ino;
    for (size_t i = 0; i < library_count && !*same; i++)
        if (libraries[i].device == file.st_dev && libraries[i].inode == file.st_ino)
            *same = &libraries[i];
    if (strlen(strrchr((*l)->path, '/') + 1) > FILE_NAME_MAX)
        return status_fail(STATUS_INPUT, "its file name has more than %d characters: rename it",
                           FILE_NAME_MAX);
    return STATUS_OK;
}

static void keep(struct library *l)
{
    describe_file(l);
    library_count++;
}

static enum status load_library(const char *path)
{
    struct library *l;
    const struct library *same;
    TRY(find_file(path, NULL, &l, &same));
    if (same)
        return STATUS_OK;
    TRY(provider_add("--plugin", l->path, l->name));
    keep(l);
    return STATUS_OK;
}

static enum status load_side(struct library *l, const struct library *same, struct kernel **kernels,
                             size_t *count)
{
    if (same)
        return status_fail(STATUS_USAGE,
                           "this file is loaded already%s%s, and both would share one handle, so that there "
                           "would be nothing to tell apart: copy the file",
                           same->label ? " as " : "", same->label ? same->label : "");
    TRY(caller_variants(l->label, l->path, l->label, kernels, count, l->name));
    const unsigned library = caller_loads_apart(l->label, l->path);
    for (size_t i = 0; i < *count; i++) {
        (*kernels)[i].table = l->label;
        (*kernels)[i].library = library;
    }
    keep(l);
    return STATUS_OK;
}

enum status plugin_side_load(const char *path, const char *label, struct kernel **kernels, size_t *count)
{
    struct library *l;
    const struct library *same;
    *kernels = NULL;
    *count = 0;
    enum status s = find_file(path, label, &l, &same);
    if (s == STATUS_OK)
        s = load_side(l, same, kernels, count);
    return s == STATUS_OK ? s : status_fail(s, "%s: %s", path, status_message());
}

/* ---- all of them ---- */

static size_t load_or_refuse(const char *program, const char *path)
{
    if (load_library(path) == STATUS_OK)
        return 0;
    fprintf(stderr, "%s: plugin %s is refused: %s\n", program, path, status_message());
    return 1;
}

size_t plugins_load(const char *program, const char *const *paths, size_t count)
{
    size_t refused = 0;
    for (size_t i = 0; i < count; i++)
        refused += load_or_refuse(program, paths[i]);
    const char *list = getenv("NF4BENCH_PLUGINS");
    while (list && *list) {
        size_t length = strcspn(list, ":");
        char *path = length ? strndup(list, length) : NULL;
        if (path)
            refused += load_or_refuse(program, path);
        free(path);
        list += length + (list[length] == ':');
    }
    return refused;
}

json_t *plugins_json(void)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < library_count; i++) {
        if (libraries[i].label)
            continue;
        char crc[16];
        snprintf(crc, sizeof crc, "%08x", libraries[i].crc);
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:s}", "name", libraries[i].name, "path",
                                              libraries[i].path, "bytes", (json_int_t)libraries[i].bytes,
                                              "crc32", crc));
    }
    return list;
}
