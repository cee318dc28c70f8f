#include "plots/table.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/text.h"
#include "results/markdown.h"
#include "results/values.h"

/* ---- filling ---- */

void table_release(struct table *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i].text);
    free(t->cells);
    free(t->title);
    *t = (struct table){0};
}

struct table table_of(const char *id, const char *title, const struct table_column *columns,
                      size_t column_count)
{
    char *copy = strdup(title);
    return (struct table){
        .id = id, .title = copy, .columns = columns, .column_count = column_count, .failed = !copy};
}

static void add_cell(struct table *t, struct table_cell cell)
{
    if (t->count == t->capacity) {
        const size_t capacity = t->capacity ? 2 * t->capacity : 64;
        struct table_cell *grown = realloc(t->cells, capacity * sizeof grown[0]);
        if (!grown) {
            t->failed = true;
            free(cell.text);
            return;
        }
        t->cells = grown;
        t->capacity = capacity;
    }
    t->cells[t->count++] = cell;
}

void table_text(struct table *t, const char *format, ...)
{
    char *text;
    va_list ap;
    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0) {
        text = NULL;
        t->failed = true;
    }
    va_end(ap);
    add_cell(t, (struct table_cell){text, NAN, NAN, NAN, 0});
}

void table_number(struct table *t, double value)
{
    add_cell(t, (struct table_cell){NULL, value, NAN, NAN, 0});
}

void table_cells(struct table *t, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    for (const char *p = strchr(format, '%'); p; p = strchr(p + 1, '%'))
        if (p[1] == 's')
            table_text(t, "%s", va_arg(ap, const char *));
        else
            table_number(t, va_arg(ap, double));
    va_end(ap);
}

void table_ratio(struct table *t, double value, double lo, double hi, const char *beside)
{
    char *text = beside ? strdup(beside) : NULL;
    t->failed = t->failed || (beside && !text);
    add_cell(t, (struct table_cell){text, value, lo, hi, 0});
}

void table_tint(struct table *t, enum ink ink)
{
    if (t->count > 0)
        t->cells[t->count - 1].tint = 1 + (int)ink;
}

size_t table_rows(const struct table *t)
{
    return t->count / t->column_count;
}

/* ---- writing ---- */

/* In cells. */
static size_t shown(const struct table *t)
{
    const size_t most = TABLE_ROWS_SHOWN * t->column_count;
    return t->count < most ? t->count : most;
}

static bool is_words(const struct table_column *c)
{
    return c->kind == CELL_TEXT || c->kind == CELL_LONG || c->kind == CELL_NAME;
}

static int decimals_of(const struct table *t, size_t column)
{
    const struct table_column *c = &t->columns[column];
    if (c->decimals >= 0)
        return c->decimals;
    double smallest = NAN;
    for (size_t i = column; i < shown(t); i += t->column_count) {
        const double v = fabs(t->cells[i].value) / c->scale;
        if (isfinite(v) && v > 0 && !(v >= smallest))
            smallest = v;
    }
    return html_decimals(smallest, -c->decimals);
}

/* A number, its interval and what is said beside it; the same on a page and in Markdown, but for the <small>.
 */
static void write_value(FILE *out, const struct table_cell *cell, double scale, int decimals,
                        const char *small, const char *end)
{
    html_number(out, cell->value / scale, decimals);
    const bool interval = isfinite(cell->value) && isfinite(cell->lo) && isfinite(cell->hi);
    if (!interval && !cell->text)
        return;
    fprintf(out, " %s", small);
    if (interval)
        html_print(out, "[%.*f, %.*f]%s", decimals, cell->lo / scale, decimals, cell->hi / scale,
                   cell->text ? " " : "");
    if (cell->text && small[0])
        html_text(out, cell->text);
    else if (cell->text)
        fputs(cell->text, out);
    fputs(end, out);
}

static void write_html_cell(FILE *out, const struct table *t, size_t i, const int *decimals)
{
    const struct table_column *c = &t->columns[i % t->column_count];
    const struct table_cell *cell = &t->cells[i];
    if (c->apart)
        return;
    if (!is_words(c)) {
        fputs("<td>", out);
        write_value(out, cell, c->scale, decimals[i % t->column_count], "<small>", "</small>");
    } else if (c->kind == CELL_NAME) {
        fputs("<td class=\"v l\">", out);
        html_name(out, cell->text ? cell->text : "");
    } else {
        fputs(c->kind == CELL_LONG ? "<td class=\"l wrap" : "<td class=\"l", out);
        if (cell->tint)
            fprintf(out, " wrap tint t-%s", ink_variable((enum ink)(cell->tint - 1)));
        html_print(out, "\">%s", cell->text ? cell->text : "");
    }
    fputs("</td>", out);
}

void table_html(FILE *out, const struct table *t)
{
    int *decimals = calloc(t->column_count, sizeof decimals[0]);
    if (t->failed || !decimals) {
        fputs("<p class=\"note\">No memory for a table.</p>\n", out);
        free(decimals);
        return;
    }
    html_print(out, "<div class=\"box\"><table class=\"sort\" data-table=\"%s\"><caption>%s", t->id,
               t->title ? t->title : t->id);
    if (t->note)
        html_print(out, "<small>%s</small>", t->note);
    fputs("</caption>\n<thead><tr>", out);
    for (size_t i = 0; i < t->column_count; i++) {
        const struct table_column *c = &t->columns[i];
        if (c->apart)
            continue;
        decimals[i] = decimals_of(t, i);
        fputs(is_words(c) ? "<th class=\"l\">" : "<th>", out);
        html_text(out, c->head);
        if (c->unit)
            html_print(out, "<small>%s</small>", c->unit);
        fputs("</th>", out);
    }
    fputs("</tr></thead>\n<tbody>\n", out);
    for (size_t i = 0; i < shown(t); i++) {
        fputs(i % t->column_count == 0 ? "<tr>" : "", out);
        write_html_cell(out, t, i, decimals);
        fputs((i + 1) % t->column_count == 0 ? "</tr>\n" : "", out);
    }
    fputs("</tbody></table></div>\n", out);
    if (shown(t) < t->count)
        fprintf(out, "<p class=\"muted\">The first %d of %zu rows; the report as CSV has all.</p>\n",
                TABLE_ROWS_SHOWN, table_rows(t));
    free(decimals);
}

static void markdown_add_words(struct markdown_table *m, const char *text, bool name)
{
    char *clean =
        text ? text_escaped(name ? TEXT_MARKDOWN_CODE : TEXT_MARKDOWN_STRICT, text, SIZE_MAX) : NULL;
    m->failed = m->failed || (text && !clean);
    markdown_cell(m, "%s", clean ? clean : "");
    free(clean);
}

/* markdown_print() takes heads as they are. */
static char *markdown_head(const struct table_column *c)
{
    char *head = NULL, *words = text_escaped(TEXT_MARKDOWN_STRICT, c->head, SIZE_MAX);
    for (char *bar = words; bar && (bar = strchr(bar, '|')) != NULL; bar++)
        *bar = '/';
    if (words && asprintf(&head, "%s%s%s%s", is_words(c) ? "" : ">", words, c->unit ? ", " : "",
                          c->unit ? c->unit : "") < 0)
        head = NULL;
    free(words);
    return head;
}

static void markdown_value(struct markdown_table *m, const struct table_cell *cell, double scale,
                           int decimals)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out)
        write_value(out, cell, scale, decimals, "", "");
    if (out && fclose(out) == 0)
        markdown_cell(m, "%s", text);
    else
        m->failed = true;
    free(text);
}

enum status table_markdown(FILE *out, const struct table *t)
{
    char *heads[MARKDOWN_COLUMNS_MAX] = {NULL};
    struct markdown_table m = {.heads = (const char *const *)heads, .failed = t->failed};
    int decimals[MARKDOWN_COLUMNS_MAX];
    enum status s = STATUS_OK;
    if (t->column_count > MARKDOWN_COLUMNS_MAX)
        return status_fail(STATUS_INTERNAL, "table %s has more than %d columns", t->id, MARKDOWN_COLUMNS_MAX);
    for (size_t i = 0; i < t->column_count && s == STATUS_OK; i++) {
        decimals[i] = decimals_of(t, i);
        if (!t->columns[i].apart && !(heads[m.columns++] = markdown_head(&t->columns[i])))
            s = status_no_memory("a table");
    }
    if (s != STATUS_OK)
        goto done;
    fprintf(out, "**%s**\n\n", t->title ? t->title : t->id);
    if (t->note)
        fprintf(out, "%s\n\n", t->note);
    if (shown(t) < t->count)
        fprintf(out, "The first %d of %zu rows; the report as CSV has all.\n\n", TABLE_ROWS_SHOWN,
                table_rows(t));
    for (size_t i = 0; i < shown(t); i++) {
        const struct table_column *c = &t->columns[i % t->column_count];
        if (c->apart)
            continue;
        if (is_words(c))
            markdown_add_words(&m, t->cells[i].text, c->kind == CELL_NAME);
        else
            markdown_value(&m, &t->cells[i], c->scale, decimals[i % t->column_count]);
    }
    s = markdown_print(&m, out);
done:
    for (size_t i = 0; i < m.columns; i++)
        free(heads[i]);
    return s;
}

/* ---- CSV ---- */

/* Nothing for what is no number. */
static void csv_number(FILE *out, double v)
{
    char text[VALUE_TEXT];
    fputs(isfinite(v) ? value_of_double(v, text) : "", out);
}

/* The first column of each key. */
static size_t csv_fields(const struct table *tables, size_t count, const struct table_column **fields)
{
    size_t field_count = 0;
    for (size_t t = 0; t < count; t++)
        for (size_t c = 0; c < tables[t].column_count; c++) {
            const struct table_column *column = &tables[t].columns[c];
            size_t i = 0;
            while (i < field_count && strcmp(fields[i]->key, column->key))
                i++;
            if (i == field_count)
                fields[field_count++] = column;
        }
    return field_count;
}

static void csv_row(FILE *out, const struct table *t, size_t row, const struct table_column *const *fields,
                    size_t count)
{
    text_put(TEXT_CSV, t->id, out);
    for (size_t f = 0; f < count; f++) {
        const struct table_cell *cell = NULL;
        for (size_t c = 0; c < t->column_count && !cell; c++)
            if (strcmp(t->columns[c].key, fields[f]->key) == 0)
                cell = &t->cells[row * t->column_count + c];
        fputc(',', out);
        if (cell && cell->text && is_words(fields[f]))
            text_put(TEXT_CSV, cell->text, out);
        else if (cell)
            csv_number(out, cell->value);
        if (fields[f]->kind != CELL_RATIO)
            continue;
        fputc(',', out);
        csv_number(out, cell ? cell->lo : NAN);
        fputc(',', out);
        csv_number(out, cell ? cell->hi : NAN);
    }
    fputc('\n', out);
}

enum status tables_csv(FILE *out, const struct table *tables, size_t count)
{
    size_t room = 1;
    for (size_t t = 0; t < count; t++) {
        room += tables[t].column_count;
        if (tables[t].failed)
            return status_no_memory("table %s", tables[t].id);
    }
    const struct table_column **fields = calloc(room, sizeof fields[0]);
    if (!fields)
        return status_no_memory("the columns of %zu tables", count);
    const size_t field_count = csv_fields(tables, count, fields);
    fputs("table", out);
    for (size_t f = 0; f < field_count; f++) {
        fprintf(out, ",%s", fields[f]->key);
        if (fields[f]->kind == CELL_RATIO)
            fprintf(out, ",%s_lo,%s_hi", fields[f]->key, fields[f]->key);
    }
    fputc('\n', out);
    for (size_t t = 0; t < count; t++)
        for (size_t row = 0; row < table_rows(&tables[t]); row++)
            csv_row(out, &tables[t], row, fields, field_count);
    free(fields);
    return STATUS_OK;
}
