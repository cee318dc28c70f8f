/*
 * row.h: a row as readers of results files have it: the columns of record.inc by the names that struct record
 * has, but a text is a pointer. Most texts of a file are those of other rows too: a row of pointers is a
 * quarter of a record.
 */
#ifndef NF4BENCH_RESULTS_ROW_H
#define NF4BENCH_RESULTS_ROW_H

#include <stdbool.h>

#include "results/record.h"

struct row {
#define TEXT(name, bytes, doc)             const char *name;
#define ENUM(name, map, doc)               uint8_t name;
#define NUMBER(ctype, name, h5, unit, doc) ctype name;
#include "results/record.inc"
};

/* The texts of the row lie in the record. */
struct row row_of_record(const struct record *r);
/* The other way. The texts are shorter than their columns, as those of a result_set are. */
void row_to_record(const struct row *row, struct record *r);

/* Order of two texts of rows. Equal ones of one file are mostly one pointer. */
int row_text_order(const char *a, const char *b);
/* Order by what rows of several files are joined by: case, variant, threads and device. */
int row_key_order(const struct row *a, const struct row *b);

/* Whether the variant ran on a GPU, by its arch: one that is in the machine is not yet what was timed. */
bool row_is_gpu(const struct row *r);
/* Whether the times of a row are a model's: it ran on the driver of the tests, whose GPUs are named so. */
#define RECORD_FAKE_GPU "fake GPU"
bool row_is_fake(const struct row *r);

#endif
