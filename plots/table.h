/*
 * table.h: a table of numbers, held until it is known how it is to be written: as HTML, Markdown or CSV.
 */
#ifndef NF4BENCH_PLOTS_TABLE_H
#define NF4BENCH_PLOTS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "harness/base/status.h"
#include "plots/html.h"

enum cell_kind {
    CELL_TEXT,
    CELL_LONG,   /* text that may be broken into lines */
    CELL_NAME,   /* of a variant */
    CELL_NUMBER, /* unrounded in CSV */
    CELL_RATIO,  /* a number and its interval; CSV has KEY, KEY_lo and KEY_hi */
};

struct table_column {
    const char *key;  /* in CSV: a name of results/record.inc where it is that */
    const char *head; /* on a page */
    const char *unit; /* on a page, below the head; NULL for none */
    enum cell_kind kind;
    int decimals; /* below 0: as many as leave that many digits of the column's smallest value */
    double scale; /* on a page, numbers are divided by it. CSV has no prefixes of units */
    bool apart;   /* in CSV alone: too long for a page */
};

#define COLUMN(key, head, unit, kind, decimals) COLUMN_SCALED(key, head, unit, kind, decimals, 1)
#define COLUMN_SCALED(key, head, unit, kind, decimals, scale)                                                \
    {                                                                                                        \
        key, head, unit, kind, decimals, scale, false                                                        \
    }

/* Columns that several tables have. */
#define COLUMN_DEVICE  COLUMN("device", "device", NULL, CELL_TEXT, 0)
#define COLUMN_USE     COLUMN("use", "regime of use", NULL, CELL_TEXT, 0)
#define COLUMN_TYPE    COLUMN("out_type", "type", NULL, CELL_TEXT, 0)
#define COLUMN_M       COLUMN("m", "M", NULL, CELL_NUMBER, 0)
#define COLUMN_WEIGHTS COLUMN("weights_kind", "weights", NULL, CELL_TEXT, 0)
#define COLUMN_LAYOUT  COLUMN("layout", "layout", NULL, CELL_TEXT, 0)
#define COLUMN_VARIANT COLUMN("variant", "variant", NULL, CELL_NAME, 0)
#define COLUMN_BITS    COLUMN("bits_per_weight", "bits per", "weight", CELL_NUMBER, 3)

#define COLUMNS_FIELD   COLUMN_DEVICE, COLUMN("op", "operation", NULL, CELL_TEXT, 0), COLUMN_TYPE
#define COLUMNS_USE     COLUMN_DEVICE, COLUMN_USE, COLUMN_TYPE
#define COLUMNS_SIZE    COLUMN_M, COLUMN("n", "N", NULL, CELL_NUMBER, 0), COLUMN("k", "K", NULL, CELL_NUMBER, 0)
#define COLUMNS_WEIGHTS COLUMN_WEIGHTS, COLUMN_LAYOUT
#define COLUMNS_VARIANT COLUMN_VARIANT, COLUMN_BITS, COLUMN("median_us", "median", "\u00b5s", CELL_NUMBER, -4)

struct table_cell {
    char *text; /* owned; of a number, what is said beside it, or NULL */
    double value, lo, hi;
    int tint; /* of the cell, an enum ink and 1; 0 for none */
};

struct table {
    const char *id;
    char *title;      /* owned */
    const char *note; /* below the title; NULL for none */
    const struct table_column *columns;
    size_t column_count;
    struct table_cell *cells; /* row after row */
    size_t count, capacity;   /* in cells */
    bool failed;              /* out of memory: reported when it is written */
};

/* Without rows. The title is copied. */
struct table table_of(const char *id, const char *title, const struct table_column *columns,
                      size_t column_count);
/* With all columns of an array. */
#define TABLE(id, title, columns) table_of(id, title, columns, sizeof columns / sizeof columns[0])
void table_release(struct table *t);

/* The next cell. */
void table_text(struct table *t, const char *format, ...) PRINTF_LIKE(2, 3);
void table_number(struct table *t, double value);
/* The next cells, one for each conversion: %s a text, %f a number. */
void table_cells(struct table *t, const char *format, ...) PRINTF_LIKE(2, 3);
/* lo, hi: NAN for no interval; beside: a remark, or NULL. */
void table_ratio(struct table *t, double value, double lo, double hi, const char *beside);
/* Colours the cell before, beside what it says. */
void table_tint(struct table *t, enum ink ink);
size_t table_rows(const struct table *t);

/* On a page, the first so many rows; which is said. CSV has all. */
enum { TABLE_ROWS_SHOWN = 500 };
/* In a box that scrolls by itself. */
void table_html(FILE *out, const struct table *t);
enum status table_markdown(FILE *out, const struct table *t) WARN_UNUSED_RESULT;
/* One table of all: its first column is `table`, then come the columns of all tables by their key, each once,
 * empty where a table has none. Quoted after RFC 4180. */
enum status tables_csv(FILE *out, const struct table *tables, size_t count) WARN_UNUSED_RESULT;

#endif
