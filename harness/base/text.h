/*
 * text.h: texts from files, plugins and the command line, as UTF-8, and how each form of output writes the
 * characters that would mean something else in it.
 */
#ifndef NF4BENCH_HARNESS_BASE_TEXT_H
#define NF4BENCH_HARNESS_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum text_form {
    TEXT_LINE,            /* no control character: one line */
    TEXT_HTML,            /* in text and in quoted attributes */
    TEXT_XML,             /* the same; line ends and tabs are kept in attributes too */
    TEXT_JSON,            /* a string, with its quotes */
    TEXT_CSV,             /* a field of RFC 4180, in quotes where it needs them */
    TEXT_SHELL,           /* one word for a POSIX shell, in quotes where it needs them */
    TEXT_MARKDOWN,        /* no markup but "_", which names have and a terminal shows */
    TEXT_MARKDOWN_STRICT, /* no markup */
    TEXT_MARKDOWN_LINE,   /* no tag */
    TEXT_MARKDOWN_CODE,   /* a code span, with its backticks; those of the text become apostrophes */
    TEXT_MARKDOWN_CELL,   /* ends no cell: for what is Markdown already */
    TEXT_GITHUB_MESSAGE,  /* of a workflow command */
    TEXT_GITHUB_PROPERTY, /* of a workflow command */
};
void text_put(enum text_form form, const char *text, FILE *out);
/* The lines of a text as they are, each behind `before`. */
void text_put_lines(const char *before, const char *text, FILE *out);
/* Adds a name, which has no comma, to a list of names if it is not in it; an ellipsis stands for those beyond `most`. */
void text_list_add(char *list, size_t size, const char *name, size_t most);
/* The first `most` bytes or fewer, whole characters, as text_put() writes them, then "..." where the text is longer.
 * The caller's; NULL when out of memory. */
char *text_escaped(enum text_form form, const char *text, size_t most);

/* Length of the UTF-8 sequence at text and its code point; 0 when it is none (overlong, surrogate, out of range). */
unsigned text_sequence(const char *text, uint32_t *code);
/* A control character other than a tab or a line end, or none that XML 1.0 allows. */
bool text_is_control(uint32_t code);
/* How many of the first `most` bytes are whole characters. */
size_t text_prefix(const char *text, size_t most);
/* Ends the text with a NUL in its `size` bytes, zeroes what follows it, and writes '?' over every byte that is not
 * part of well-formed UTF-8. */
void text_repair(char *text, size_t size);

#endif
