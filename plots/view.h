/*
 * view.h: the rows of all files, put in the order in which a report shows them.
 *
 *   case     rows of one problem in one regime from one file: what may be compared with each other
 *   facet    cases that differ in m only: one curve over m
 *   family   facets of one operation and output type from one file
 *
 * Nothing is compared across files: they are different runs, perhaps of different machines.
 */
#ifndef NF4BENCH_PLOTS_VIEW_H
#define NF4BENCH_PLOTS_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/stats.h"
#include "harness/base/status.h"
#include "plots/html.h"
#include "results/load.h"

static inline int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

struct view_row {
    const struct row *r;   /* in its set */
    const double *samples; /* r.sample_count of them; NULL when none */
    const double *kept;    /* the same, NAN for those that statistics leave out */
    uint32_t set, number;  /* index of the file, and of the row in it */
};

struct view_case {
    /* Right rows by ascending median, then rows that were timed but are not right, then ceilings. */
    const struct view_row *const *rows;
    size_t count;
    size_t shown; /* of these, the first so many have room in a table; 0: the case has no table */
    const struct view_row *fastest; /* of the right rows; NULL when none is */
    const struct view_row *peer;    /* fastest right row of a bitsandbytes_* variant; NULL when none */
};

struct view_facet {
    const struct view_case *cases; /* by ascending m, distinct unless the problems differ in their seed */
    size_t case_count;
    size_t row_count;
    size_t shown; /* rows that have room in tables */
};

struct view_family {
    const struct view_facet *facets;
    size_t facet_count;
    const char *palette[INK_SERIES]; /* variants that have a colour, the best first; NULL when fewer */
};

/* One variant on one problem of one file, its rows (regimes) folded: what was verified once. */
struct view_check {
    const struct view_row *worst;    /* the row with the gravest verdict */
    const struct view_row *verified; /* the row with the most elements compared; may be the same */
};

/* Timed rows that a report has room for: a page of a million would be of use to nobody, and no browser opens
 * it. */
enum { VIEW_SHOWN_MAX = 10000 };

struct view {
    const struct result_set *sets;
    size_t set_count;
    struct view_row *rows;
    size_t row_count;
    const struct view_row **timed; /* the order of cases */
    size_t timed_count;            /* rows with a median, ceilings included */
    size_t shown_count;            /* of these, rows that have room in tables */
    struct view_case *cases;
    size_t case_count;
    struct view_facet *facets;
    size_t facet_count;
    struct view_family *families;
    size_t family_count;
    struct view_check *checks; /* by file, variant, problem */
    size_t check_count;
    double *scratch; /* for view_ratio() */
};

enum status view_init(struct view *v, const struct result_set *sets, size_t set_count) WARN_UNUSED_RESULT;
void view_release(struct view *v);

/* The right row of a variant, the fastest of several; NULL when there is none. */
const struct view_row *view_row_of(const struct view_case *c, const char *variant);
/* PASS and timed: may be called fast. */
bool view_is_right(const struct view_row *row);
bool view_is_ceiling(const struct view_row *row);
bool view_is_peer(const struct view_row *row);
/* How grave a verdict is: PASS < ... < FAIL; below PASS: SKIPPED, NONE. */
int view_gravity(uint8_t verdict);
enum { VIEW_GRAVITY_PASS = 2, VIEW_GRAVITY_UNKNOWN = 9 /* a verdict of a later version */ };

/* Time of a over time of b. Paired where the two were sampled in alternation (same file, same group_id other
 * than 0): then with an interval. Otherwise of the medians, with count 0 and an interval of
 * NAN. */
struct paired_ratio view_ratio(const struct view *v, const struct view_row *a, const struct view_row *b);

/* The interval of the ratio reaches 1: the two cannot be told apart. */
bool view_is_tied(struct paired_ratio ratio);
/* "1.08 [1.06, 1.10]", or "1.08 unpaired" where the samples were not taken in alternation. */
void view_write_ratio(FILE *out, struct paired_ratio ratio);

/* Colour of a variant, the same in all figures of a family. */
enum ink view_ink(const struct view_family *family, const struct view_row *row);

/* A problem in words, as UTF-8: "gemm bf16, M 4, 4096 x 4096, blocksize 64, cold", without the m when with_m
 * is false. Returns buffer. */
enum { VIEW_TEXT = 384 };
const char *view_describe(const struct row *r, bool with_m, char buffer[VIEW_TEXT]);
/* The last part of a file's path. */
const char *view_file(const struct view *v, unsigned set);
/* Writes it behind `before`, where there are several files. */
void view_name_file(FILE *out, const struct view *v, const char *before, unsigned set);

#endif
