#include "results/markdown.h"

#include <stdarg.h>
#include <stdlib.h>

#include "harness/base/text.h"

static bool is_right(const struct markdown_table *t, unsigned column)
{
    return t->heads[column][0] == '>';
}

static const char *head_text(const struct markdown_table *t, unsigned column)
{
    return t->heads[column] + is_right(t, column);
}

void markdown_cell(struct markdown_table *t, const char *format, ...)
{
    char *text = NULL, *cell = NULL;
    va_list ap;
    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0)
        text = NULL;
    va_end(ap);
    if (t->count == t->capacity) {
        size_t capacity = t->capacity > 0 ? 2 * t->capacity : 64;
        char **grown = realloc(t->cells, capacity * sizeof *grown);
        if (grown) {
            t->cells = grown;
            t->capacity = capacity;
        }
    }
    if (text)
        cell = text_escaped(TEXT_MARKDOWN_CELL, text, SIZE_MAX);
    free(text);
    if (!cell || t->count == t->capacity) {
        t->failed = true;
        free(cell);
        return;
    }
    t->cells[t->count++] = cell;
}

/* Code points, which is the width in a terminal for all but a few of the texts here. */
static size_t width(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* cells NULL: the heads. */
static void put_row(const struct markdown_table *t, const size_t *widths, char *const *cells, FILE *out)
{
    for (unsigned c = 0; c < t->columns; c++) {
        const char *text = cells ? cells[c] : head_text(t, c);
        const int pad = (int)(widths[c] - width(text)), before = is_right(t, c) ? pad : 0;
        fprintf(out, "%s%*s%s%*s", c > 0 ? " | " : "| ", before, "", text, pad - before, "");
    }
    fputs(" |\n", out);
}

enum status markdown_print(struct markdown_table *t, FILE *out)
{
    size_t widths[MARKDOWN_COLUMNS_MAX];
    for (unsigned c = 0; c < t->columns; c++) {
        widths[c] = width(head_text(t, c));
        for (size_t i = c; i < t->count; i += t->columns)
            if (width(t->cells[i]) > widths[c])
                widths[c] = width(t->cells[i]);
        if (widths[c] < 3)
            widths[c] = 3;
    }
    put_row(t, widths, NULL, out);
    for (unsigned c = 0; c < t->columns; c++) {
        fputs(c > 0 ? " | " : "| ", out);
        for (size_t i = is_right(t, c); i < widths[c]; i++)
            fputc('-', out);
        fputs(is_right(t, c) ? ":" : "", out);
    }
    fputs(" |\n", out);
    for (size_t i = 0; !t->failed && i < t->count; i += t->columns)
        put_row(t, widths, t->cells + i, out);
    fputc('\n', out);
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i]);
    free(t->cells);
    t->cells = NULL;
    t->count = t->capacity = 0;
    return t->failed ? status_no_memory("a table") : STATUS_OK;
}
