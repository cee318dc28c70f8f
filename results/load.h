/*
 * load.h: reads a results file. HDF5 1.10 can be crashed by a hostile file, so the library runs in a child
 * process with limits on memory, time and output; the parent checks what it sends and reports what went
 * wrong.
 */
#ifndef NF4BENCH_RESULTS_LOAD_H
#define NF4BENCH_RESULTS_LOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/base/status.h"
#include "results/row.h"

struct json_t;

struct attribute {
    char *name, *value; /* UTF-8 */
    bool number;        /* it is one in the file; else a text */
};

/* A results file in memory. Owned: result_set_release(). */
struct result_set {
    char *path;
    struct attribute *attributes; /* root attributes, in file order; numbers as decimal text */
    size_t attribute_count;
    struct row *rows; /* sample_start + sample_count <= sample_count of the set, checked */
    size_t row_count;
    double *samples; /* microseconds */
    size_t sample_count;
    uint8_t *flags;       /* of each sample, bits of enum sample_flag; NULL: the file has none */
    double *kept;         /* the samples, NAN for excluded ones; NULL: none is excluded */
    struct json_t *texts; /* of the rows, each once; each is shorter than its column in struct record */
};

/* Columns that an older file lacks keep record_init()'s value; columns this version does not know are left
 * out; a newer schema is refused by version. Texts that are not UTF-8 are repaired (text_repair()). */
enum status result_set_load(const char *path, struct result_set *out) WARN_UNUSED_RESULT;

/* What the child may use. result_set_load() sets LOAD_LIMITS, and a second more of processor time for each
 * LOAD_BYTES_A_SECOND of the file: a million rows, 195 MB, took 5. Tests with hostile files set less. */
struct load_limits {
    size_t memory;    /* bytes of address space above what the program has; not set under a sanitizer */
    unsigned cpu_s;   /* seconds of processor time */
    unsigned wall_ms; /* milliseconds until the parent gives up */
};
#define LOAD_LIMITS ((struct load_limits){.memory = (size_t)512 << 20, .cpu_s = 10, .wall_ms = 600000})
enum { LOAD_BYTES_A_SECOND = 4 << 20 };
enum status result_set_load_limited(const char *path, const struct load_limits *limits,
                                    struct result_set *out) WARN_UNUSED_RESULT;

void result_set_release(struct result_set *s);
/* The samples as statistics take them: NAN for excluded ones. */
static inline const double *result_set_kept(const struct result_set *s)
{
    return s->kept ? s->kept : s->samples;
}
/* Value of a root attribute, or NULL. */
const char *result_set_attribute(const struct result_set *s, const char *name);

#endif
