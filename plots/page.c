#include "plots/page.h"

#include <stdarg.h>
#include <stdlib.h>

#include "harness/base/text.h"
#include "plots/html.h"

static void end_figures(struct page *p)
{
    if (p->figures)
        fputs("</div>\n", p->out);
    p->figures = false;
}

void page_section(struct page *p, const char *id, const char *title)
{
    page_end_section(p);
    p->open = true;
    if (p->form == PAGE_HTML) {
        fprintf(p->out, "<section id=\"%s\"><h2>", id);
        html_text(p->out, title);
        fputs("</h2>\n", p->out);
    } else if (p->form == PAGE_MARKDOWN) {
        fprintf(p->out, "## %s\n\n", title);
    }
}

void page_end_section(struct page *p)
{
    end_figures(p);
    if (p->open && p->form == PAGE_HTML)
        fputs("</section>\n", p->out);
    p->open = false;
}

/* Text of ours, and names from files in it. `markdown` and `open` stand before it, `close` behind it in HTML.
 */
static void write_words(struct page *p, const char *markdown, const char *open, const char *close,
                        const char *format, va_list ap)
{
    char *text = NULL;
    if (p->form == PAGE_CSV)
        return;
    if (vasprintf(&text, format, ap) < 0) {
        p->status = status_no_memory("a sentence");
        return;
    }
    end_figures(p);
    if (p->form == PAGE_HTML) {
        fputs(open, p->out);
        html_text(p->out, text);
        fputs(close, p->out);
    } else {
        fputs(markdown, p->out);
        text_put(TEXT_MARKDOWN_LINE, text, p->out);
        fputs("\n\n", p->out);
    }
    free(text);
}

void page_title(struct page *p, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    write_words(p, "# ", "<h1>", "</h1>\n", format, ap);
    va_end(ap);
}

void page_heading(struct page *p, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    write_words(p, "### ", "<h3>", "</h3>\n", format, ap);
    va_end(ap);
}

void page_say(struct page *p, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    write_words(p, "", "<p>", "</p>\n", format, ap);
    va_end(ap);
}

void page_note(struct page *p, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    write_words(p, "> ", "<p class=\"note\">", "</p>\n", format, ap);
    va_end(ap);
}

static void keep(struct page *p, struct table *t)
{
    struct table *grown = realloc(p->kept, (p->kept_count + 1) * sizeof grown[0]);
    if (!grown) {
        p->status = status_no_memory("table %s", t->id);
        table_release(t);
        return;
    }
    p->kept = grown;
    p->kept[p->kept_count++] = *t;
    *t = (struct table){0};
}

static void write_table(struct page *p, struct table *t, bool folded)
{
    if (t->count == 0 && !t->failed) {
        table_release(t);
        return;
    }
    if (p->form == PAGE_CSV) {
        keep(p, t);
        return;
    }
    end_figures(p);
    if (p->form == PAGE_MARKDOWN) {
        enum status s = table_markdown(p->out, t);
        p->status = p->status == STATUS_OK ? s : p->status;
    } else {
        if (folded)
            fprintf(p->out, "<details><summary>Numbers, %zu row%s</summary>", table_rows(t),
                    table_rows(t) == 1 ? "" : "s");
        table_html(p->out, t);
        fputs(folded ? "</details>\n" : "", p->out);
    }
    table_release(t);
}

void page_table(struct page *p, struct table *t)
{
    write_table(p, t, false);
}

void page_folded_table(struct page *p, struct table *t)
{
    write_table(p, t, true);
}

FILE *page_figure(struct page *p, const char *title, const char *caption)
{
    if (p->form != PAGE_HTML)
        return NULL;
    fputs(p->figures ? "<figure><figcaption><b>" : "<div class=\"figures\">\n<figure><figcaption><b>",
          p->out);
    p->figures = true;
    html_text(p->out, title);
    fputs("</b>", p->out);
    html_text(p->out, caption);
    fputs("</figcaption><div class=\"plot chart\">", p->out);
    return p->out;
}

void page_end_figure(struct page *p)
{
    fputs("</div>", p->out);
    if (p->command) {
        fputs("<details class=\"how\"><summary>Command</summary><pre>", p->out);
        html_text(p->out, p->command);
        fputs("</pre></details>", p->out);
    }
    fputs("</figure>\n", p->out);
}

enum status page_end(struct page *p)
{
    page_end_section(p);
    if (p->form == PAGE_CSV && p->status == STATUS_OK)
        p->status = tables_csv(p->out, p->kept, p->kept_count);
    for (size_t i = 0; i < p->kept_count; i++)
        table_release(&p->kept[i]);
    free(p->kept);
    p->kept = NULL;
    p->kept_count = 0;
    return p->status;
}
