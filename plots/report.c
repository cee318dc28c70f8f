#include "plots/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "harness/base/output.h"
#include "harness/base/text.h"
#include "plots/html.h"
#include "plots/page.h"
#include "plots/sections.h"
#include "plots/task.h"
#include "plots/view.h"

static void write_fact(FILE *out, bool *any, const char *before, const char *text)
{
    if (!text)
        return;
    fputs(*any ? " &#183; " : "", out);
    html_print(out, "%s%s", before, text);
    *any = true;
}

/* The number of threads where all timed rows of the file agree on it. */
static void write_threads(FILE *out, bool *any, const struct view *v, unsigned set)
{
    uint32_t threads = 0;
    char text[32];
    for (size_t i = 0; i < v->timed_count; i++) {
        if (v->timed[i]->set != set)
            continue;
        if (threads && v->timed[i]->r->threads != threads)
            return;
        threads = v->timed[i]->r->threads;
    }
    snprintf(text, sizeof text, "%" PRIu32 " thread%s", threads, threads == 1 ? "" : "s");
    write_fact(out, any, "", threads ? text : NULL);
}

/* One line per file: when, on what, which revision. */
static void write_subtitle(FILE *out, const struct view *v, unsigned s)
{
    const struct result_set *set = &v->sets[s];
    bool any = false;
    fputs("<p class=\"sub\">", out);
    if (v->set_count > 1)
        write_fact(out, &any, "", view_file(v, s));
    write_fact(out, &any, "", environment_device(v, s));
    write_threads(out, &any, v, s);
    write_fact(out, &any, "", environment_find(set, "@(started*|date*|created*|timestamp*)"));
    write_fact(out, &any, "revision ", environment_find(set, "@(git_revision*|git_commit*|git)"));
    const char *dirty = environment_find(set, "git_dirty");
    if (dirty && strcmp(dirty, "0") && strcmp(dirty, "false"))
        fputs(" <b>with local changes</b>", out);
    fputs("</p>\n", out);
    if (environment_any(v, s, row_is_fake))
        fputs("<p class=\"note\"><b>Not a GPU's times.</b> This file was made on the fake driver of the "
              "tests: its verdicts are real, its times are those of a model, and no ranking, share or ratio "
              "of them says anything about a GPU.</p>\n",
              out);
}

static void write_summary(FILE *out, const struct view *v)
{
    size_t variants = 0, problems = 0, faults = 0, skipped = 0;
    for (size_t i = 0; i < v->check_count; i++) {
        const struct row *r = v->checks[i].worst->r;
        const int gravity = view_gravity(r->verdict);
        skipped += r->verdict == VERDICT_SKIPPED;
        faults += gravity > VIEW_GRAVITY_PASS;
        problems += r->verdict != VERDICT_SKIPPED;
        variants += i == 0 || strcmp(r->variant, v->checks[i - 1].worst->r->variant) != 0;
    }
    html_print(out, "<p>%'zu variant%s; %'zu pair%s of variant and problem checked, ", variants,
               variants == 1 ? "" : "s", problems, problems == 1 ? "" : "s");
    if (faults == 0)
        fputs(problems ? "all passed" : "so nothing is known to be right", out);
    else
        fprintf(out, "<b><a href=\"#failures\">%zu did not pass</a></b>", faults);
    if (skipped > 0)
        fprintf(out, "; %zu skipped, <a href=\"#verdicts\">with reasons</a>", skipped);
    fputs(". ", out);
    if (v->timed_count == 0) {
        fputs("Nothing was timed.", out);
    } else {
        html_print(out, "%'zu row%s timed", v->timed_count, v->timed_count == 1 ? "" : "s");
        for (unsigned s = 0; s < v->set_count; s++) {
            fputs(s == 0 ? " on " : s + 1 < v->set_count ? ", " : " and ", out);
            fputs(environment_any(v, s, row_is_fake)  ? "no GPU but the model of a fake driver, "
                  : environment_any(v, s, row_is_gpu) ? "a GPU, "
                                                      : "a CPU, ",
                  out);
            html_text(out, environment_device(v, s));
        }
        fprintf(out,
                ": the times are of %s, in %s, and say nothing about other machines. Only variants that "
                "passed are ranked.",
                v->set_count == 1 ? "this machine" : "these machines",
                v->set_count == 1 ? "one run" : "one run each");
    }
    fputs("</p>\n", out);
}

static const char *without_folder(const char *word)
{
    const char *slash = word[0] == '/' ? strrchr(word, '/') : NULL;
    return slash && slash[1] ? slash + 1 : word;
}

bool report_command(FILE *out, const struct result_set *set)
{
    const char *argv = result_set_attribute(set, "argv");
    json_t *words = argv ? json_loads(argv, 0, NULL) : NULL, *word;
    const bool known = json_array_size(words) > 0;
    size_t i;
    json_array_foreach(words, i, word)
    {
        const char *w = json_string_value(word);
        if (!w)
            continue;
        fputs(i ? " " : "", out);
        if (i == 0) /* the program and its command, "nf4bench run", stand in one */
            fputs(without_folder(w), out);
        else
            text_put(TEXT_SHELL, without_folder(w), out);
    }
    json_decref(words);
    return known;
}

/* How the files were made, and this report: one command a line. NULL where a file does not say. Caller frees.
 */
static char *list_commands(const struct view *v, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    bool known = true;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    for (unsigned s = 0; s < v->set_count; s++) {
        known = report_command(out, &v->sets[s]) && known;
        fputc('\n', out);
    }
    fputs("nf4bench report", out);
    for (unsigned s = 0; s < v->set_count; s++) {
        fputc(' ', out);
        text_put(TEXT_SHELL, view_file(v, s), out);
    }
    fputs(" -o ", out);
    text_put(TEXT_SHELL, strrchr(path, '/') ? strrchr(path, '/') + 1 : path, out);
    if (fclose(out) != 0 || !known) {
        free(text);
        return NULL;
    }
    return text;
}

/* With the suites of all rows: "nf4bench: smoke, llama". */
static void title_of(const struct view *v, char *title, size_t size)
{
    enum { SUITES_MAX = 6 };
    char suites[512] = "";
    for (size_t i = 0; i < v->row_count; i++)
        if (v->rows[i].r->suite[0])
            text_list_add(suites, sizeof suites, v->rows[i].r->suite, SUITES_MAX);
    snprintf(title, size, "nf4bench%s%s", suites[0] ? ": " : " report", suites);
}

/* What stands above the sections where there is no HTML header. */
static void write_head(struct page *p, const struct view *v, const struct tasks *t)
{
    char title[600];
    title_of(v, title, sizeof title);
    page_say(p, PAGE_TITLE, "%s", title);
    for (size_t i = 0; i < t->device_count; i++)
        page_say(p, PAGE_PARAGRAPH, "%s%s", t->devices[i].label, t->devices[i].gpu ? "" : " (CPU)");
}

static enum status write_formats(FILE *out, enum output_form form, const struct view *v,
                                 const struct tasks *t, const char *path)
{
    char *command = list_commands(v, path);
    struct page page = {.form = form, .out = out, .command = command};
    if (form == OUTPUT_MARKDOWN)
        write_head(&page, v, t);
    section_headline(&page, t);
    section_speedup(&page, t);
    section_roofline(&page, t);
    section_winners(&page, t);
    section_decode(&page, t);
    section_quality(&page, t);
    section_models(&page, t);
    const enum status s = page_end(&page);
    free(command);
    return s;
}

static enum status write_html(FILE *out, const struct view *v, const struct tasks *t, const char *path)
{
    char title[600];
    title_of(v, title, sizeof title);
    html_begin(out, title);
    html_print(out, "<header><h1>%s</h1>\n", title);
    for (unsigned s = 0; s < v->set_count; s++)
        write_subtitle(out, v, s);
    section_tally(out, v);
    fputs("</header>\n", out);
    const enum status s = write_formats(out, OUTPUT_HTML, v, t, path);
    section_failures(out, v);
    fputs("<section id=\"summary\"><h2>Summary</h2>\n", out);
    write_summary(out, v);
    section_fastest(out, v);
    fputs("</section>\n", out);
    section_environment(out, v);
    section_figures(out, v);
    section_verdicts(out, v);
    section_timings(out, v);
    fputs("<footer>Written by nf4bench from ", out);
    for (unsigned s = 0; s < v->set_count; s++)
        html_print(out, "%s%s", s ? ", " : "", view_file(v, s));
    fputs(", and from nothing else. Rounded here; the file has every sample and every digit.</footer>\n",
          out);
    html_end(out);
    return s;
}

enum output_form report_form(const char *path)
{
    const char *end = strrchr(path, '.');
    if (end && strcmp(end, ".csv") == 0)
        return OUTPUT_CSV;
    return end && (strcmp(end, ".md") == 0 || strcmp(end, ".markdown") == 0) ? OUTPUT_MARKDOWN : OUTPUT_HTML;
}

enum status report_write(const struct result_set *sets, size_t set_count, const char *path)
{
    const enum output_form form = report_form(path);
    struct view v = {0};
    struct tasks t = {0};
    struct output out;
    if (set_count == 0)
        return status_fail(STATUS_USAGE, "a report needs at least one results file");
    enum status s = view_init(&v, sets, set_count);
    if (s != STATUS_OK)
        return s;
    s = tasks_init(&t, &v);
    if (s == STATUS_OK)
        s = output_begin(path, false, &out);
    if (s == STATUS_OK)
        s = output_end(&out, form == OUTPUT_HTML ? write_html(out.stream, &v, &t, path)
                                                 : write_formats(out.stream, form, &v, &t, path));
    tasks_release(&t);
    view_release(&v);
    return s;
}
