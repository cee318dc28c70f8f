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

static bool name_wrong(const char *name, char *why, size_t size)
{
    struct contract c;
    const char *arch;
    const char *error =
        strlen(name) < VARIANT_NAME_MAX ? contract_parse_error(name, &c, &arch) : "it is too long";
    if (!error)
        return layout_knobs_wrong(c.format, arch + strcspn(arch, "_"), why, size);
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
