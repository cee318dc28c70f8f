/*
 * page.h: what the sections about formats are written on: an HTML page, Markdown, or CSV. A section says what
 * it has to say once; a page leaves out what its form has no place for: figures in Markdown, all but the
 * tables in CSV.
 */
#ifndef NF4BENCH_PLOTS_PAGE_H
#define NF4BENCH_PLOTS_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "harness/base/output.h"
#include "plots/table.h"

struct page {
    enum output_form form; /* OUTPUT_HTML, OUTPUT_MARKDOWN or OUTPUT_CSV */
    FILE *out;
    const char
        *command; /* of the files and of this report, said below each figure; NULL when it is not known */
    bool open;    /* a section has begun */
    bool figures; /* a row of figures has begun */
    struct table *kept; /* CSV: all tables, for one list of columns */
    size_t kept_count;
    enum status status; /* the first failure */
};

/* A section with its heading; ended by the next one, or by page_end_section(). */
void page_section(struct page *p, const char *id, const char *title);
void page_end_section(struct page *p);
/* Words of ours, and names from files in them. A note is what a reader must not miss. */
enum page_words { PAGE_TITLE, PAGE_HEADING, PAGE_PARAGRAPH, PAGE_NOTE };
void page_say(struct page *p, enum page_words as, const char *format, ...) PRINTF_LIKE(3, 4);
/* Takes the table. A page folds it away where it is the data of a figure. */
enum page_fold { PAGE_SHOWN, PAGE_FOLDED };
void page_table(struct page *p, struct table *t, enum page_fold fold);
/* Where to write an SVG, or NULL: no figure on this form of page. Ended by page_end_figure(). */
FILE *page_figure(struct page *p, const char *title, const char *caption);
void page_end_figure(struct page *p);
/* Writes the tables of a CSV page, and releases the page. The first failure of all, or of this. */
enum status page_end(struct page *p) WARN_UNUSED_RESULT;

#endif
