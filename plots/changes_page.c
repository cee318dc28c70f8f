#include "plots/changes_page.h"

#include <math.h>
#include <string.h>

#include "plots/html.h"

static const char *tone(enum change_kind kind)
{
    switch (kind) {
    case CHANGE_BROKEN:
    case CHANGE_SLOWER:
        return "bad";
    case CHANGE_MENDED:
    case CHANGE_FASTER:
        return "good";
    case CHANGE_UNSURE:
        return "warn";
    default:
        return "none";
    }
}

static void write_head(FILE *out, const struct changes *c)
{
    fputs("<h1>Changes between two runs</h1>\n<p class=\"sub\">", out);
    html_text(out, c->now->path);
    fputs(" against ", out);
    html_text(out, c->base->path);
    fprintf(out,
            "</p>\n<p>%zu rows in common, %zu in the base alone, %zu in the new one alone. One run each: the "
            "intervals "
            "know of the spread within a run, not of that between processes.</p>\n<ul class=\"tally\">",
            c->count, c->base_only, c->now_only);
    for (unsigned k = 0; k < CHANGE_COUNT; k++)
        if (c->kinds[k])
            fprintf(out, "<li class=\"%s\"><b>%zu</b> %s</li>", tone(k), c->kinds[k], change_word(k));
    fputs("</ul>\n", out);
    if (!*c->unlike)
        return;
    fputs("<p><b>The environments differ:</b> times may have changed for that alone.</p>\n<ul>", out);
    for (const char *line = c->unlike; *line;) {
        char text[512];
        size_t length = strcspn(line, "\n");
        snprintf(text, sizeof text, "%.*s", (int)length, line);
        fputs("<li>", out);
        html_text(out, text);
        fputs("</li>", out);
        line += length + (line[length] == '\n');
    }
    fputs("</ul>\n", out);
}

static void write_row(FILE *out, const struct change *one)
{
    fprintf(out, "<tr><td>%s</td><td>", change_word(one->kind));
    html_name(out, one->base->variant);
    fputs("</td><td class=\"wrap\">", out);
    html_text(out, one->base->case_key);
    fprintf(out, "</td><td>%s</td><td>%s</td><td>%s</td><td>", regime_word(one->base->regime),
            verdict_word(one->base->verdict), verdict_word(one->now->verdict));
    html_number(out, one->base->median_us, 2);
    fputs("</td><td>", out);
    html_number(out, one->now->median_us, 2);
    const double values[] = {one->ratio, one->lo, one->hi};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        fputs("</td><td>", out);
        html_number(out, values[i], 4);
    }
    fputs("</td></tr>\n", out);
}

enum status changes_page(const struct changes *c, FILE *out)
{
    const size_t shown = c->count < CHANGES_SHOWN ? c->count : CHANGES_SHOWN;
    html_begin(out, "nf4bench: changes");
    write_head(out, c);
    if (shown < c->count)
        fprintf(out,
                "<p class=\"note\">%zu of %zu rows are shown, those that matter most; "
                "<code>nf4bench compare --json</code> has all.</p>\n",
                shown, c->count);
    fputs(
        "<div class=\"box\"><table class=\"sort\"><caption>Rows that both have<small>ratio: new over "
        "base, "
        "above 1 is slower</small></caption>\n<thead><tr><th>change</th><th>variant</th><th>case</th>"
        "<th>regime</th><th>base</th><th>new</th><th>base<small>\xc2\xb5s</small></th>"
        "<th>new<small>\xc2\xb5s</small></th><th>ratio</th><th>from</th><th>to</th></tr></thead>\n<tbody>\n",
        out);
    for (size_t i = 0; i < shown; i++)
        write_row(out, &c->list[i]);
    fputs("</tbody></table></div>\n", out);
    html_end(out);
    return ferror(out) ? status_fail(STATUS_IO, "compare: cannot write the page") : STATUS_OK;
}
