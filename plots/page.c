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
    if (p->form == OUTPUT_HTML)
        html_print(p->out, "<section id=\"%s\"><h2>%s</h2>\n", id, title);
    else if (p->form == OUTPUT_MARKDOWN)
        fprintf(p->out, "## %s\n\n", title);
}

void page_end_section(struct page *p)
{
    end_figures(p);
    if (p->open && p->form == OUTPUT_HTML)
        fputs("</section>\n", p->out);
    p->open = false;
}

void page_say(struct page *p, enum page_words as, const char *format, ...)
{
    static const struct {
        const char *markdown, *open, *close; /* what stands before it in Markdown, and around it in HTML */
    } marks[] = {[PAGE_TITLE] = {"# ", "<h1>", "</h1>\n"},
                 [PAGE_HEADING] = {"### ", "<h3>", "</h3>\n"},
                 [PAGE_PARAGRAPH] = {"", "<p>", "</p>\n"},
                 [PAGE_NOTE] = {"> ", "<p class=\"note\">", "</p>\n"}};
    char *text = NULL;
    va_list ap;
    if (p->form == OUTPUT_CSV)
        return;
    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0)
        text = NULL;
    va_end(ap);
    if (!text) {
        p->status = status_no_memory("a sentence");
        return;
    }
    end_figures(p);
    fputs(p->form == OUTPUT_HTML ? marks[as].open : marks[as].markdown, p->out);
    if (p->form == OUTPUT_HTML)
        html_text(p->out, text);
    else
        text_put(TEXT_MARKDOWN_LINE, text, p->out);
    fputs(p->form == OUTPUT_HTML ? marks[as].close : "\n\n", p->out);
    free(text);
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

void page_table(struct page *p, struct table *t, enum page_fold fold)
{
    if (t->count == 0 && !t->failed) {
        table_release(t);
        return;
    }
    if (p->form == OUTPUT_CSV) {
        keep(p, t);
        return;
    }
    end_figures(p);
    if (p->form == OUTPUT_MARKDOWN) {
        enum status s = table_markdown(p->out, t);
        p->status = p->status == STATUS_OK ? s : p->status;
    } else {
        if (fold == PAGE_FOLDED)
            fprintf(p->out, "<details><summary>Numbers, %zu row%s</summary>", table_rows(t),
                    table_rows(t) == 1 ? "" : "s");
        table_html(p->out, t);
        fputs(fold == PAGE_FOLDED ? "</details>\n" : "", p->out);
    }
    table_release(t);
}

FILE *page_figure(struct page *p, const char *title, const char *caption)
{
    if (p->form != OUTPUT_HTML)
        return NULL;
    fputs(p->figures ? "" : "<div class=\"figures\">\n", p->out);
    p->figures = true;
    html_print(p->out, "<figure><figcaption><b>%s</b>%s</figcaption><div class=\"plot chart\">", title,
               caption);
    return p->out;
}

void page_end_figure(struct page *p)
{
    fputs("</div>", p->out);
    if (p->command)
        html_print(p->out, "<details class=\"how\"><summary>Command</summary><pre>%s</pre></details>",
                   p->command);
    fputs("</figure>\n", p->out);
}

enum status page_end(struct page *p)
{
    page_end_section(p);
    if (p->form == OUTPUT_CSV && p->status == STATUS_OK)
        p->status = tables_csv(p->out, p->kept, p->kept_count);
    for (size_t i = 0; i < p->kept_count; i++)
        table_release(&p->kept[i]);
    free(p->kept);
    p->kept = NULL;
    p->kept_count = 0;
    return p->status;
}
