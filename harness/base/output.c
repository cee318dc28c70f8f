#include "harness/base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NO_FORM = OUTPUT_FORMS };

static const char *const form_words[OUTPUT_FORMS] = {"HTML",       "Markdown",  "CSV", "JSON",
                                                     "JSON Lines", "JUnit XML", "HDF5"};

/* NO_FORM: files that no command writes. */
static const struct {
    const char *text;
    int form;
} endings[] = {
    {".html", OUTPUT_HTML},
    {".htm", OUTPUT_HTML},
    {".md", OUTPUT_MARKDOWN},
    {".markdown", OUTPUT_MARKDOWN},
    {".csv", OUTPUT_CSV},
    {".json", OUTPUT_JSON},
    {".jsonl", OUTPUT_JSON_LINES},
    {".xml", OUTPUT_JUNIT},
    {".h5", OUTPUT_HDF5},
    {".hdf5", OUTPUT_HDF5},
    {".journal", NO_FORM},
    {".yaml", NO_FORM},
    {".yml", NO_FORM},
    {".so", NO_FORM},
    {".c", NO_FORM},
    {".cu", NO_FORM},
    {".safetensors", NO_FORM},
};

static bool is_stdout(const char *path)
{
    return !path || strcmp(path, "-") == 0;
}

/* `file`: what the path is, through links. */
static enum status check_ending(const char *path, const char *file, enum output_form form)
{
    const size_t length = strlen(file);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        const size_t end = strlen(endings[i].text);
        if (length < end || strcasecmp(file + length - end, endings[i].text) != 0 ||
            endings[i].form == (int)form)
            continue;
        if (endings[i].form == NO_FORM)
            return status_fail(STATUS_USAGE,
                               "%s: would be %s; a name that ends in %s is no output's: choose another", path,
                               form_words[form], endings[i].text);
        return status_fail(STATUS_USAGE, "%s: would be %s, and %s is the ending of %s: choose another name",
                           path, form_words[form], endings[i].text, form_words[endings[i].form]);
    }
    return STATUS_OK;
}

/* What measurements a file holds, by its first bytes; NULL: none. The signature of HDF5 stands at 0, or at a power of
 * two from 512 on (HDF5 file format specification, III.A). */
static const char *measurements_in(FILE *f)
{
    static const char hdf5[] = "\211HDF\r\n\032\n", journal[] = "nf4bench journal ";
    char bytes[sizeof journal - 1];
    for (long at = 0; at >= 0; at = at ? 2 * at : 512) {
        if (fseek(f, at, SEEK_SET) != 0)
            return NULL;
        const size_t n = fread(bytes, 1, sizeof bytes, f);
        if (n >= sizeof hdf5 - 1 && memcmp(bytes, hdf5, sizeof hdf5 - 1) == 0)
            return "measurements (HDF5)";
        if (at == 0 && n == sizeof bytes && memcmp(bytes, journal, n) == 0)
            return "the journal of a run";
        if (n < sizeof hdf5 - 1)
            return NULL;
    }
    return NULL;
}

enum status output_allowed(const char *path, enum output_form form, bool force)
{
    struct stat there;
    if (is_stdout(path))
        return form != OUTPUT_HDF5 || !path
                   ? STATUS_OK
                   : status_fail(STATUS_USAGE, "HDF5 is not written to standard output: name a file");
    enum status s = check_ending(path, path, form);
    char *target = s == STATUS_OK ? realpath(path, NULL) : NULL; /* through links */
    if (target)
        s = check_ending(path, target, form);
    free(target);
    if (s != STATUS_OK || stat(path, &there) != 0)
        return s;
    if (S_ISDIR(there.st_mode))
        return status_fail(STATUS_USAGE, "%s is a folder", path);
    if (form == OUTPUT_HDF5 && !force)
        return status_fail(STATUS_USAGE, "%s exists; --force replaces it", path);
    if (form == OUTPUT_HDF5 && !S_ISREG(there.st_mode))
        return status_fail(STATUS_USAGE, "%s is no regular file: --force replaces no other", path);
    if (!S_ISREG(there.st_mode) || there.st_size == 0)
        return STATUS_OK;
    FILE *f = fopen(path, "re");
    if (!f)
        return status_fail(STATUS_IO, "%s: is there, and cannot be read: %s", path, strerror(errno));
    const char *holds = measurements_in(f);
    fclose(f);
    if (form == OUTPUT_HDF5 && (!holds || strcmp(holds, "measurements (HDF5)") != 0))
        return status_fail(STATUS_USAGE, "%s is not an HDF5 file: --force replaces no other", path);
    if (form != OUTPUT_HDF5 && holds)
        return status_fail(STATUS_USAGE, "%s holds %s: choose another name for the %s", path, holds,
                           form_words[form]);
    return STATUS_OK;
}

bool output_is(const char *path, const char *input)
{
    struct stat a, b;
    return stat(path, &a) == 0 && stat(input, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* The rights of a new file: mkstemp() gives fewer. */
static mode_t new_file_mode(void)
{
    const mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

/* A regular file, or none yet: written beside it. */
static enum status begin_beside(struct output *out, bool there, mode_t mode)
{
    /* Through links: the file that they name is replaced, not the link. */
    out->target = there ? realpath(out->path, NULL) : strdup(out->path);
    if (!out->target || asprintf(&out->temporary, "%s.XXXXXX", out->target) < 0) {
        out->temporary = NULL;
        return there && !out->target
                   ? status_fail(STATUS_IO, "%s: cannot write: %s", out->path, strerror(errno))
                   : status_no_memory("%s", out->path);
    }
    /* A file without a name in the folder of the target: gone with this process unless it gets one. */
    char *copy = strdup(out->target);
    int fd = copy ? open(dirname(copy), O_TMPFILE | O_WRONLY | O_CLOEXEC, mode) : -1;
    free(copy);
    out->unnamed = fd >= 0;
    if (fd < 0)
        fd = mkostemp(out->temporary, O_CLOEXEC); /* file systems without O_TMPFILE */
    if (fd < 0)
        return status_fail(STATUS_IO, "%s: cannot write a file beside it: %s", out->path, strerror(errno));
    (void)fchmod(fd, mode);
    out->stream = fdopen(fd, "w");
    if (out->stream)
        return STATUS_OK;
    close(fd);
    return status_no_memory("%s", out->path);
}

/* Gives the written file its name. */
static bool put_in_place(struct output *out)
{
    if (out->unnamed) {
        char file[32];
        const int named = mkostemp(out->temporary, O_CLOEXEC); /* a name that is free */
        if (named < 0 || close(named) != 0 || unlink(out->temporary) != 0)
            return false;
        snprintf(file, sizeof file, "/proc/self/fd/%d", fileno(out->stream));
        if (linkat(AT_FDCWD, file, AT_FDCWD, out->temporary, AT_SYMLINK_FOLLOW) != 0)
            return false;
        out->unnamed = false;
    }
    return rename(out->temporary, out->target) == 0;
}

static void release(struct output *out)
{
    free(out->target);
    free(out->temporary);
    *out = (struct output){NULL};
}

enum status output_begin(const char *path, bool append, struct output *out)
{
    struct stat there;
    *out = (struct output){.stream = stdout};
    if (is_stdout(path))
        return STATUS_OK;
    *out = (struct output){.path = path};
    const bool exists = stat(path, &there) == 0;
    enum status s = STATUS_OK;
    if (!append && (!exists || S_ISREG(there.st_mode)))
        s = begin_beside(out, exists, exists ? there.st_mode & 0777 : new_file_mode());
    else if (!(out->stream = fopen(path, append ? "ae" : "we")))
        s = status_fail(STATUS_IO, "%s: cannot write: %s", path, strerror(errno));
    if (s != STATUS_OK)
        release(out);
    return s;
}

enum status output_end(struct output *out, enum status written)
{
    const char *name = out->path ? out->path : "standard output";
    errno = 0;
    bool whole = fflush(out->stream) == 0 && !ferror(out->stream);
    if (whole && out->temporary)
        whole = fsync(fileno(out->stream)) == 0;
    if (whole && written == STATUS_OK && out->temporary)
        whole = put_in_place(out);
    int e = errno;
    if (out->path && fclose(out->stream) != 0 && whole) {
        whole = false;
        e = errno;
    }
    if (out->temporary && !out->unnamed && !(written == STATUS_OK && whole))
        (void)unlink(out->temporary); /* fails where it has its name already */
    if (written == STATUS_OK && !whole)
        written =
            status_fail(STATUS_IO, "%s: cannot write: %s", name, e ? strerror(e) : "an earlier write failed");
    release(out);
    return written;
}
