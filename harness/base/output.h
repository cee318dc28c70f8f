/*
 * output.h: the files that commands write. An output never replaces measurements, and a file that cannot be written to
 * its end leaves the one that was there.
 */
#ifndef NF4BENCH_HARNESS_BASE_OUTPUT_H
#define NF4BENCH_HARNESS_BASE_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "harness/base/status.h"

/* The forms of output, each with the endings that belong to it (output.c). */
enum output_form {
    OUTPUT_HTML,
    OUTPUT_MARKDOWN,
    OUTPUT_CSV,
    OUTPUT_JSON,
    OUTPUT_JSON_LINES,
    OUTPUT_JUNIT,
    OUTPUT_HDF5,
    OUTPUT_FORMS,
};

/* Whether a command may write this form to `path`. Standard output (NULL, "-") always, but no HDF5.
 *   STATUS_USAGE   the ending belongs to another form, such as .h5 for a report, or to a file that no command writes (.yaml);
 *                  or the file holds measurements: HDF5, or the journal of a run. Of OUTPUT_HDF5: any file is there.
 * `force` (--force) lets OUTPUT_HDF5 replace an HDF5 file, and nothing else. */
enum status output_allowed(const char *path, enum output_form form, bool force) WARN_UNUSED_RESULT;

/* Whether both names are of one file, which is there. */
bool output_is(const char *path, const char *input);

/* An output that is being written. A regular file is written beside the one that is there, without a name where the file
 * system can (O_TMPFILE), so that a process that is killed leaves nothing. */
struct output {
    FILE *stream;
    const char *path; /* not owned; NULL: standard output */
    char *target, *temporary;
    bool unnamed; /* the file has no name yet */
};

/* Opens `path`, or standard output where that is NULL or "-". append: at the end of what is there. */
enum status output_begin(const char *path, bool append, struct output *out) WARN_UNUSED_RESULT;
/* Closes it. Where `written` is STATUS_OK the file gets its name, or else is removed. Returns `written`, or STATUS_IO
 * when not all could be written. */
enum status output_end(struct output *out, enum status written) WARN_UNUSED_RESULT;

#endif
