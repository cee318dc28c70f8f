/*
 * check_names.c: whether the words of each variant's name fit together, which cmake/KernelTable.cmake, with patterns
 * alone, does not see. A tool of the build, run before kernels are compiled (cmake/KernelNames.cmake).
 *
 *   check_names FILE    each line of FILE: where the row is, ": ", and the name
 *
 * Prints one line for each wrong name; exits with 1 when there is one.
 */
#include <stdbool.h>
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

/* The layout that a knob names, or LAYOUT_ROWS. */
static enum layout layout_named(const char *knob, size_t length)
{
    for (enum layout l = LAYOUT_ROWS + 1; l < LAYOUT_COUNT; l++)
        if (strlen(layouts[l].knob) == length && memcmp(layouts[l].knob, knob, length) == 0)
            return l;
    return LAYOUT_ROWS;
}

/* Writes a sentence when the knobs name two layouts, or one of another format. */
static bool knobs_wrong(enum format f, const char *knobs, char *why, size_t size)
{
    enum layout found = LAYOUT_ROWS;
    while (*knobs) {
        const size_t length = strcspn(knobs, "_");
        const enum layout l = layout_named(knobs, length);
        if (l != LAYOUT_ROWS && layouts[l].format != f) {
            snprintf(why, size, "the layout '%s' is not one of %s", layouts[l].knob, format_word(f));
            return true;
        }
        if (l != LAYOUT_ROWS && found != LAYOUT_ROWS) {
            snprintf(why, size, "it names two layouts, '%s' and '%s'", layouts[found].knob, layouts[l].knob);
            return true;
        }
        if (l != LAYOUT_ROWS)
            found = l;
        knobs += length + (knobs[length] == '_');
    }
    return false;
}

static bool name_wrong(const char *name, char *why, size_t size)
{
    struct contract c;
    const char *arch;
    const char *error =
        strlen(name) < VARIANT_NAME_MAX ? contract_parse_error(name, &c, &arch) : "it is too long";
    if (!error)
        return knobs_wrong(c.format, arch + strcspn(arch, "_"), why, size);
    snprintf(why, size, "%s", error);
    return true;
}

int main(int argc, char **argv)
{
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (!file) {
        fprintf(stderr, "check_names: cannot read %s\n", argc == 2 ? argv[1] : "its argument");
        return 2;
    }
    bool wrong = false;
    char line[1024], why[256];
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        const char *colon = strrchr(line, ' ');
        const char *name = colon ? colon + 1 : line;
        if (name_wrong(name, why, sizeof why)) {
            fprintf(stderr, "%s: %s (reference/contract.h)\n", line, why);
            wrong = true;
        }
    }
    fclose(file);
    return wrong;
}
