/*
 * expression.h: whole-number arithmetic written in a file: what a grid is made of.
 *
 *   sum     = product { ("+" | "-") product }
 *   product = value { ("*" | "/") value }
 *   value   = NUMBER | NAME | "(" sum ")" | "ceil" "(" sum "," sum ")"
 *
 * 64-bit signed; "/" cuts towards zero, ceil(a, b) is a/b rounded up, for a >= 0 and b > 0. A result that
 * does not fit is an error, never another number.
 */
#ifndef NF4BENCH_HARNESS_BASE_EXPRESSION_H
#define NF4BENCH_HARNESS_BASE_EXPRESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct expression_name {
    const char *name;
    int64_t value;
};

enum { EXPRESSION_TEXT = 96 };

/* What is wrong, and where: in characters from the start of the text. */
struct expression_fault {
    size_t at;
    char what[EXPRESSION_TEXT];
};

/* True, and *value; else *fault says why. `value` NULL: true if the text is an expression over these names, whatever
 * values they will have. */
bool expression_value(const char *text, const struct expression_name *names, size_t count, int64_t *value,
                      struct expression_fault *fault);

#endif
