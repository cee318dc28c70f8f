/* environment.c: the root attributes. Their names are not ours to know: globs say which ones matter most. "@(a|b)" is a
 * or b. */
#include <fnmatch.h>
#include <string.h>

#include "plots/sections.h"

/* In the order in which they are shown. What matches none stands in the part that is folded away. */
static const char *const important[] = {
    "@(started*|date*|created*|timestamp*)",
    "@(device*|gpu*|driver*|cuda*)",
    "@(cpu|cpu_model*|cpu_count*|host*|machine*|thread*)",
    "@(*clock*|*governor*|*frequency*|*mhz*|*load*|other_*)",
    "@(git*|tool_version*|version*)",
    "@(compiler*|build*|sanitiz*)",
    "@(*ceiling*|*overhead*|*settle*|*warning*)",
    "@(suite*|argv*|command*)",
};
enum { RANKS = sizeof important / sizeof important[0] };

static bool matches(const char *name, const char *glob)
{
    return fnmatch(glob, name, FNM_CASEFOLD | FNM_EXTMATCH) == 0;
}

const char *environment_find(const struct result_set *set, const char *glob)
{
    for (size_t i = 0; i < set->attribute_count; i++)
        if (matches(set->attributes[i].name, glob) && set->attributes[i].value[0])
            return set->attributes[i].value;
    return NULL;
}

bool environment_any(const struct view *v, unsigned set, bool (*is)(const struct row *))
{
    for (size_t i = 0; i < v->timed_count; i++)
        if (v->timed[i]->set == set && is(v->timed[i]->r))
            return true;
    return false;
}

const char *environment_device(const struct view *v, unsigned set)
{
    const char *device = NULL;
    if (environment_any(v, set, row_is_gpu))
        device = environment_find(&v->sets[set], "@(gpu|gpu_name*|gpu_model*|device_name*|device)");
    if (!device)
        device = environment_find(&v->sets[set], "@(cpu|cpu_model*|cpu_name*|processor*)");
    return device ? device : "an unnamed machine";
}

enum { VALUE_SHOWN = 320 }; /* bytes of a value before the rest is folded away */

static void write_value(FILE *out, const char *value)
{
    if (!value)
        fputs("<td class=\"muted\">not recorded</td>", out);
    else if (strlen(value) > VALUE_SHOWN)
        html_print(out, "<td><details><summary>%zu characters</summary>%s</details></td>", strlen(value),
                   value);
    else
        html_print(out, "<td>%s</td>", value[0] ? value : "(empty)");
}

/* A row for each name of rank `rank`, in the order in which the files first have it. */
static size_t write_rank(FILE *out, const struct view *v, int rank)
{
    size_t written = 0;
    for (size_t s = 0; s < v->set_count; s++)
        for (size_t i = 0; i < v->sets[s].attribute_count; i++) {
            const char *name = v->sets[s].attributes[i].name;
            int first = 0;
            while (first < RANKS && !matches(name, important[first]))
                first++;
            bool seen = first != rank;
            for (size_t before = 0; before < s && !seen; before++)
                seen = result_set_attribute(&v->sets[before], name) != NULL;
            if (seen)
                continue;
            html_print(out, "<tr><th scope=\"row\"><code>%s</code></th>", name);
            for (size_t set = 0; set < v->set_count; set++)
                write_value(out, set == s ? v->sets[s].attributes[i].value
                                          : result_set_attribute(&v->sets[set], name));
            fputs("</tr>\n", out);
            written++;
        }
    return written;
}

static void begin_table(FILE *out, const struct view *v)
{
    fprintf(out, "<div class=\"box\"><table class=\"env%s\">", v->set_count > 1 ? "" : " grid");
    if (v->set_count > 1) {
        fputs("<thead><tr><th></th>", out);
        for (unsigned s = 0; s < v->set_count; s++)
            html_print(out, "<th>%s</th>", view_file(v, s));
        fputs("</tr></thead>", out);
    }
    fputs("<tbody>\n", out);
}

void section_environment(FILE *out, const struct view *v)
{
    size_t total = 0, shown = 0;
    for (size_t s = 0; s < v->set_count; s++)
        total += v->sets[s].attribute_count;
    fputs("<section id=\"environment\"><h2>Environment</h2>\n", out);
    if (total == 0) {
        fputs("<p class=\"note\">The file says nothing about the machine or the build.</p></section>\n", out);
        return;
    }
    begin_table(out, v);
    for (int rank = 0; rank < RANKS; rank++)
        shown += write_rank(out, v, rank);
    fputs("</tbody></table></div>\n", out);
    if (v->set_count > 1 || shown < total) {
        fputs("<details><summary>All other recorded facts</summary>", out);
        begin_table(out, v);
        if (write_rank(out, v, RANKS) == 0)
            fputs("<tr><td>none</td></tr>\n", out);
        fputs("</tbody></table></div></details>\n", out);
    }
    fputs("</section>\n", out);
}
