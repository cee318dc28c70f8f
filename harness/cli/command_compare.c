/*
 * command_compare.c: `nf4bench compare BASE.h5 NEW.h5`.
 */
#include <argp.h>
#include <stdio.h>

#include "harness/cli/cli.h"
#include "harness/cli/output.h"
#include "plots/changes_page.h"
#include "results/changes.h"

struct compare_arguments {
    const char *base, *now, *output;
    enum status (*write)(const struct changes *c, FILE *out);
};

static enum output_form form_of(const struct compare_arguments *a)
{
    return a->write == changes_json ? OUTPUT_JSON : a->write == changes_page ? OUTPUT_HTML : OUTPUT_MARKDOWN;
}

struct compared {
    const struct compare_arguments *arguments;
    const struct changes *changes;
};

enum { KEY_JSON = 256, KEY_HTML };

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct compare_arguments *a = state->input;
    switch (key) {
    case KEY_JSON:
        a->write = changes_json;
        return 0;
    case KEY_HTML:
        a->write = changes_page;
        return 0;
    case 'o':
        a->output = value;
        return 0;
    case ARGP_KEY_ARG:
        if (a->now)
            argp_error(state, "two files: '%s', '%s' and '%s'", a->base, a->now, value);
        *(a->base ? &a->now : &a->base) = value;
        return 0;
    case ARGP_KEY_END:
        if (!a->now)
            argp_error(state, "name two results files: the base, and the new one");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static enum status write_to(const void *context, FILE *out)
{
    const struct compared *c = context;
    return c->arguments->write(c->changes, out);
}

int command_compare(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"json", KEY_JSON, NULL, 0, "JSON instead of Markdown", 0},
        {"html", KEY_HTML, NULL, 0, "a self-contained HTML page instead of Markdown", 0},
        {"output", 'o', "FILE", 0, "write there instead of to standard output", 0},
        {0}};
    static const struct argp argp = {
        options,
        parse,
        "BASE.h5 NEW.h5",
        "Say what changed from one results file to another, the most telling rows first: "
        "verdicts, and ratios of medians. The exit code is 1 when a variant that was right "
        "is not any more; times alone decide nothing, as each is of one run.",
        NULL,
        NULL,
        NULL};
    struct compare_arguments a = {.write = changes_markdown};
    struct result_set base, now;
    struct changes c;
    size_t broken = 0;
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    enum status s = output_allowed(a.output, form_of(&a), false);
    if (s == STATUS_OK)
        s = result_set_load(a.base, &base);
    if (s == STATUS_OK) {
        s = result_set_load(a.now, &now);
        if (s == STATUS_OK) {
            s = changes_find(&base, &now, &c);
            if (s == STATUS_OK) {
                s = cli_write(a.output, false, write_to, &(struct compared){&a, &c});
                broken = c.kinds[CHANGE_BROKEN];
                changes_release(&c);
            }
            result_set_release(&now);
        }
        result_set_release(&base);
    }
    if (s != STATUS_OK) {
        fprintf(stderr, "%s: %s\n", argv[0], status_message());
        return status_exit_code(s);
    }
    return broken ? EXIT_WRONG : 0;
}
