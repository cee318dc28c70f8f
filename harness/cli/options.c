#include "harness/cli/options.h"

#include <stdlib.h>

/* ---- values ---- */

void cli_flag(struct argp_state *state, const struct cli_option *o, void *to, char *value)
{
    (void)state, (void)o, (void)value;
    *(bool *)to = true;
}

void cli_text(struct argp_state *state, const struct cli_option *o, void *to, char *value)
{
    (void)state, (void)o;
    *(const char **)to = value;
}

void cli_list(struct argp_state *state, const struct cli_option *o, void *to, char *value)
{
    struct cli_list *list = to;
    const size_t most = o->most ? o->most : CLI_LIST_USUAL;
    if (list->count == most)
        argp_error(state, o->too_many ? o->too_many : "an option is repeated more than %d times", (int)most);
    list->items[list->count++] = value;
}

void cli_count(struct argp_state *state, const struct cli_option *o, void *to, char *value)
{
    char *end;
    const unsigned long long n = strtoull(value, &end, 10);
    if (end == value || *end || *value == '-' || n < o->least || n > o->most)
        argp_error(state, "--%s takes a whole number from %zu to %zu, not '%s'", o->name, o->least, o->most,
                   value);
    *(size_t *)to = (size_t)n;
}

void cli_seed(struct argp_state *state, const struct cli_option *o, void *to, char *value)
{
    (void)o;
    char *end;
    const uint64_t seed = strtoull(value, &end, 10);
    if (end == value || *end || seed > INT64_MAX)
        argp_error(state, "--seed takes a number from 0 to 2^63-1, not '%s'", value);
    *(uint64_t *)to = seed;
}

void cli_device(struct argp_state *state, const struct cli_option *o, void *to, char *value)
{
    (void)o;
    if (device_parse(value, to) != STATUS_OK)
        argp_error(state, "%s", status_message());
}

void cli_form(struct argp_state *state, const struct cli_option *o, void *to, char *value)
{
    (void)state, (void)value;
    *(enum output_form *)to = o->form;
}

void cli_one(struct argp_state *state, const struct cli_option *o, void *to, char *value)
{
    const char **only = to;
    if (*only)
        argp_error(state, o->too_many ? o->too_many : "one %s at a time: '%s' and '%s'", o->name, *only,
                   value);
    *only = value;
}

void cli_words(struct argp_state *state, const struct cli_option *o, void *to, char *value)
{
    (void)o, (void)value;
    struct cli_words *words = to;
    if (words->count++ == 0)
        words->items = state->argv + state->next - 1; /* argp has moved all of them to the end */
}

/* ---- the parser ---- */

enum { OPTIONS_MAX = 40, KEY_NO_LETTER = 256 /* plus the option's place among all */ };

/* What argp's parser is given: all options, and where the fields are whose offsets they have. */
struct input {
    const struct cli_command *command;
    const struct cli_option *options[OPTIONS_MAX];
    char *fields[OPTIONS_MAX];
    size_t count, given;
};

static int key_of(const struct input *in, size_t i)
{
    return !in->options[i]->name    ? 0
           : in->options[i]->letter ? in->options[i]->letter
                                    : KEY_NO_LETTER + (int)i;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct input *in = state->input;
    const struct cli_command *c = in->command;
    if (key == ARGP_KEY_ARG && c->argument.read) {
        c->argument.read(state, &c->argument, in->fields[0] + c->argument.offset, value);
        return 0;
    }
    if (key == ARGP_KEY_NO_ARGS && c->missing)
        argp_error(state, "%s", c->missing);
    if (key == ARGP_KEY_END) {
        for (size_t i = 0; i < in->count; i++)
            if (in->options[i]->required && !*(char **)(void *)(in->fields[i] + in->options[i]->offset))
                argp_error(state, "%s", in->options[i]->required);
        if (c->check)
            c->check(state, in->fields[0]);
        return 0;
    }
    for (size_t i = 0; i < in->count; i++)
        if (key && key == key_of(in, i)) {
            in->given++;
            in->options[i]->read(state, in->options[i], in->fields[i] + in->options[i]->offset, value);
            return 0;
        }
    return ARGP_ERR_UNKNOWN;
}

size_t cli_options_given(const struct argp_state *state)
{
    return ((const struct input *)state->input)->given;
}

static void add_options(struct input *in, const struct cli_option *options, char *fields,
                        struct argp_option *list)
{
    for (const struct cli_option *o = options; o && o->help; o++) {
        const size_t i = in->count++;
        in->options[i] = o;
        in->fields[i] = fields;
        list[i] = (struct argp_option){o->name, key_of(in, i), o->value, o->flags, o->help, o->group};
    }
}

void cli_parse(const struct cli_command *c, void *arguments, int argc, char **argv)
{
    struct argp_option list[OPTIONS_MAX + 1] = {{0}};
    struct input in = {.command = c, .fields[0] = arguments};
    const struct argp parser = {.options = list, .parser = parse, .args_doc = c->usage, .doc = c->help};
    add_options(&in, c->options, arguments, list);
    add_options(&in, c->shared, (char *)arguments + c->shared_offset, list);
    argp_parse(&parser, argc, argv, 0, NULL, &in);
}
