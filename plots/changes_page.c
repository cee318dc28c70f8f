#include "plots/report.h"

#include <string.h>

#include "plots/html.h"

/* Classes of the badges. */
static const char *const tones[CHANGE_COUNT] = {
    [CHANGE_BROKEN] = "bad",  [CHANGE_MENDED] = "good", [CHANGE_SLOWER] = "bad",  [CHANGE_FASTER] = "good",
    [CHANGE_UNSURE] = "warn", [CHANGE_SAME] = "none",   [CHANGE_UNTIMED] = "none"};

static void write_head(FILE *out, const struct changes *c)
{
    html_print(out,
               "<h1>Changes between two runs</h1>\n<p class=\"sub\">%s against %s</p>\n<p>%zu rows in "
               "common, %zu in the base alone, %zu in the new one alone. One run each: the intervals know of "
               "the spread within a run, not of that between processes.</p>\n<ul class=\"tally\">",
               c->now->path, c->base->path, c->count, c->base_only, c->now_only);
    for (unsigned k = 0; k < CHANGE_COUNT; k++)
        if (c->kinds[k])
            fprintf(out, "<li class=\"%s\"><b>%zu</b> %s</li>", tones[k], c->kinds[k], change_word(k));
    fputs("</ul>\n", out);
    if (!*c->unlike)
        return;
    fputs("<p><b>The environments differ:</b> times may have changed for that alone.</p>\n<ul>", out);
    for (const char *line = c->unlike; *line;) {
        char text[512];
        size_t length = strcspn(line, "\n");
        snprintf(text, sizeof text, "%.*s", (int)length, line);
        html_print(out, "<li>%s</li>", text);
        line += length + (line[length] == '\n');
    }
    fputs("</ul>\n", out);
}

static void write_row(FILE *out, const struct change *one)
{
    fprintf(out, "<tr><td>%s</td><td>", change_word(one->kind));
    html_name(out, one->base->variant);
    html_print(out, "</td><td class=\"wrap\">%s</td><td>%s</td><td>%s</td><td>%s", one->base->case_key,
               regime_word(one->base->regime), verdict_word(one->base->verdict),
               verdict_word(one->now->verdict));
    html_print(out, "</td><td>%.2f</td><td>%.2f</td><td>%.4f</td><td>%.4f</td><td>%.4f</td></tr>\n",
               one->base->median_us, one->now->median_us, one->ratio, one->lo, one->hi);
}

enum status changes_page(const struct changes *c, FILE *out)
{
    const size_t shown = c->count < CHANGES_SHOWN ? c->count : CHANGES_SHOWN;
    html_begin(out, "nf4bench: changes");
    write_head(out, c);
    if (shown < c->count)
        fprintf(out,
                "<p class=\"note\">%zu of %zu rows are shown, those that matter most; <code>nf4bench compare "
                "--json</code> has all.</p>\n",
                shown, c->count);
    fputs("<div class=\"box\"><table class=\"sort\"><caption>Rows that both have<small>ratio: new over base, "
          "above 1 is "
          "slower</small></caption>\n<thead><tr><th>change</th><th>variant</th><th>case</th><th>regime</"
          "th><th>base</th><th>new</th><th>base<small>\u00b5s</small></th><th>new<small>\u00b5s</small></"
          "th><th>ratio</th><th>from</th><th>to</th></tr></thead>\n<tbody>\n",
          out);
    for (size_t i = 0; i < shown; i++)
        write_row(out, &c->list[i]);
    fputs("</tbody></table></div>\n", out);
    html_end(out);
    return ferror(out) ? status_fail(STATUS_IO, "compare: cannot write the page") : STATUS_OK;
}
