/*
 * cli/options.h: the options of a command as a table: what --help says of each, and where its value goes. One argp
 * parser reads all of them.
 */
#ifndef NF4BENCH_HARNESS_CLI_OPTIONS_H
#define NF4BENCH_HARNESS_CLI_OPTIONS_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/output.h"
#include "harness/base/status.h"
#include "harness/problem/device.h"

enum { CLI_LIST_MAX = 1024, CLI_LIST_USUAL = 64 };

/* The values of an option that may be repeated. */
struct cli_list {
    const char *items[CLI_LIST_MAX];
    size_t count;
};
/* All arguments of a command that are no options, in the program's argv. */
struct cli_words {
    char **items;
    size_t count;
};

struct cli_option;
/* Reads `value` into the field `to`. A wrong value ends the program, by argp_error(). */
typedef void cli_read_fn(struct argp_state *state, const struct cli_option *o, void *to, char *value);
cli_read_fn cli_flag, cli_text, cli_list, cli_count, cli_seed, cli_device, cli_form;
/* Of arguments: there is one, `name` is what it is; and all of them. */
cli_read_fn cli_one, cli_words;

struct cli_option {
    const char *name;  /* NULL: only a heading, which is `help` */
    int letter;        /* 0: none */
    const char *value; /* what it is called in --help; NULL: it takes none */
    const char *help;
    cli_read_fn *read;
    size_t offset;         /* of its field in the arguments of the command */
    int group, flags;      /* of struct argp_option: without a group it is that of the option before */
    size_t least, most;    /* of cli_count */
    enum output_form form; /* of cli_form: what the option chooses */
    const char *required;  /* of cli_text: the error where it is not given; NULL: it may be left out */
    /* What is said of more than `most` values (0: CLI_LIST_USUAL) of cli_list, where %d is that number; of a second one of
     * cli_one. */
    const char *too_many;
};

/* The reader of an option and the field that it sets. A file that uses these defines CLI_ARGUMENTS as the struct that has
 * the field. */
#define CLI_FLAG(field)   CLI_FIELD(cli_flag, field, bool)
#define CLI_TEXT(field)   CLI_FIELD(cli_text, field, const char *)
#define CLI_LIST(field)   CLI_FIELD(cli_list, field, struct cli_list)
#define CLI_COUNT(field)  CLI_FIELD(cli_count, field, size_t)
#define CLI_SEED(field)   CLI_FIELD(cli_seed, field, uint64_t)
#define CLI_DEVICE(field) CLI_FIELD(cli_device, field, struct device)
#define CLI_FORM(field)   CLI_FIELD(cli_form, field, enum output_form)
#define CLI_ONE(field)    CLI_FIELD(cli_one, field, const char *)
#define CLI_WORDS(field)  CLI_FIELD(cli_words, field, struct cli_words)
/* The comparison warns of a field of another type. */
#define CLI_FIELD(reader, field, type_)                                                                      \
    .read = reader,                                                                                          \
    .offset = offsetof(CLI_ARGUMENTS, field) + 0 * sizeof(&((CLI_ARGUMENTS *)0)->field == (type_ *)0)

struct cli_command {
    const char *usage, *help;
    const struct cli_option *options; /* to a zeroed one; or NULL */
    const struct cli_option *shared;  /* options that several commands have: the same */
    size_t shared_offset;             /* of what they set, in the arguments of the command */
    struct cli_option argument;       /* what is no option; its `read` may be NULL: there is none */
    const char *missing;              /* the error where there is none; NULL: there may be none */
    /* At the end, or NULL: argp_error() where the options do not fit together. */
    void (*check)(struct argp_state *state, const void *arguments);
};

void cli_parse(const struct cli_command *c, void *arguments, int argc, char **argv);
/* In check(): how many options stand on the command line. */
size_t cli_options_given(const struct argp_state *state);

/* The options that bring variants from elsewhere (provider_options.c), for every command that has the table. */
struct provider_options {
    const char *bitsandbytes; /* NULL: what the environment says */
    struct cli_list plugins, manifests;
};

/* They set a struct provider_options, which is zeroed before. */
extern const struct cli_option provider_option_table[];

/* Adds the variants. What is refused is told on stderr, by a line that begins with `program`, and counted:
 * the rest goes on, and the command ends with EXIT_USAGE unless something is wrong. Before any use of OpenMP.
 */
enum status providers_load(const char *program, const struct provider_options *o,
                           size_t *refused) WARN_UNUSED_RESULT;

#endif
