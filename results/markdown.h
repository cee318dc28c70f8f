/*
 * markdown.h: a Markdown table whose columns are padded to one width, so that it reads well in a terminal
 * too.
 */
#ifndef NF4BENCH_RESULTS_MARKDOWN_H
#define NF4BENCH_RESULTS_MARKDOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "harness/base/status.h"

enum { MARKDOWN_COLUMNS_MAX = 24 };

struct markdown_table {
    unsigned columns;
    const char *const *heads; /* a leading '>' aligns the column to the right */
    char **cells;             /* row after row; owned */
    size_t count, capacity;   /* in cells */
    bool failed;              /* out of memory: reported once, at the end */
};

/* Appends a cell. Nothing in the text ends the cell or the line. */
void markdown_cell(struct markdown_table *t, const char *format, ...) PRINTF_LIKE(2, 3);
/* Prints the rows and forgets them. */
enum status markdown_print(struct markdown_table *t, FILE *out) WARN_UNUSED_RESULT;

#endif
