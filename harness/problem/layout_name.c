/*
 * layout_name.c: the layouts among the knobs of a variant's name. cmake/check_names.c, a tool of the build, compiles
 * this file, too.
 */
#include <stdio.h>
#include <string.h>

#include "harness/problem/layout.h"
#include "reference/contract.h"

static const struct {
    const char *knob;
    enum format format;
} layouts[LAYOUT_COUNT] = {
#define X(name, knob, format, ...) {knob, format},
    LAYOUT_MAP(X)
#undef X
};

static enum layout layout_named(const char *knob, size_t length)
{
    for (enum layout l = LAYOUT_ROWS + 1; l < LAYOUT_COUNT; l++)
        if (strlen(layouts[l].knob) == length && memcmp(layouts[l].knob, knob, length) == 0)
            return l;
    return LAYOUT_ROWS;
}

/* The first knob from `*knobs` on that names a layout; moves `*knobs` past it. LAYOUT_ROWS when there is none. */
static enum layout next_layout(const char **knobs)
{
    enum layout found = LAYOUT_ROWS;
    while (**knobs && found == LAYOUT_ROWS) {
        const size_t length = strcspn(*knobs, "_");
        found = layout_named(*knobs, length);
        *knobs += length + ((*knobs)[length] == '_');
    }
    return found;
}

enum layout layout_of_knobs(enum format f, const char *knobs)
{
    const enum layout l = next_layout(&knobs);
    return l != LAYOUT_ROWS && layouts[l].format == f ? l : LAYOUT_ROWS;
}

bool layout_knobs_wrong(enum format f, const char *knobs, char *why, size_t size)
{
    const enum layout first = next_layout(&knobs), second = next_layout(&knobs);
    if (first != LAYOUT_ROWS && layouts[first].format != f)
        snprintf(why, size, "the layout '%s' is not one of %s", layouts[first].knob, format_word(f));
    else if (second != LAYOUT_ROWS)
        snprintf(why, size, "it names two layouts, '%s' and '%s'", layouts[first].knob, layouts[second].knob);
    else
        return false;
    return true;
}

const char *layout_knob(enum layout l)
{
    return layouts[l].knob;
}
