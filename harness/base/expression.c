#include "harness/base/expression.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "harness/base/closest.h"
#include "harness/base/status.h"

enum { DEPTH_MAX = 64, NAMES_MAX = 32 };

/* A value that depends on a name is not known while an expression is only checked. */
struct term {
    int64_t value;
    bool known;
};

struct reader {
    const char *text, *p;
    const struct expression_name *names;
    size_t count;
    bool known; /* the values of the names */
    unsigned depth;
    struct expression_fault *fault;
};

static bool sum(struct reader *r, struct term *out);

/* Returns false. */
PRINTF_LIKE(3, 4)
static bool fail(struct reader *r, const char *at, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(r->fault->what, sizeof r->fault->what, format, ap);
    va_end(ap);
    r->fault->at = (size_t)(at - r->text);
    return false;
}

static void skip_space(struct reader *r)
{
    while (*r->p == ' ')
        r->p++;
}

/* True if `c` comes next, which is then behind us. */
static bool accept(struct reader *r, char c)
{
    skip_space(r);
    if (*r->p != c)
        return false;
    r->p++;
    return true;
}

static bool expect(struct reader *r, char c)
{
    if (accept(r, c))
        return true;
    return *r->p ? fail(r, r->p, "'%c' is missing before '%.16s'", c, r->p)
                 : fail(r, r->p, "'%c' is missing at the end", c);
}

static bool divide(struct reader *r, const char *at, struct term a, struct term b, bool up, struct term *out)
{
    out->known = a.known && b.known;
    out->value = 0;
    if (b.known && b.value == 0)
        return fail(r, at, "division by zero");
    if (up && ((a.known && a.value < 0) || (b.known && b.value < 0)))
        return fail(r, at, "ceil(a, b) takes no negative numbers");
    if (!out->known)
        return true;
    if (a.value == INT64_MIN && b.value == -1)
        return fail(r, at, "the result does not fit into 64 bits");
    out->value = a.value / b.value + (up && a.value % b.value != 0);
    return true;
}

static bool combine(struct reader *r, const char *at, char operation, struct term a, struct term b,
                    struct term *out)
{
    if (operation == '/')
        return divide(r, at, a, b, false, out);
    out->known = a.known && b.known;
    out->value = 0;
    if (!out->known)
        return true;
    bool overflow = operation == '+'   ? __builtin_add_overflow(a.value, b.value, &out->value)
                    : operation == '-' ? __builtin_sub_overflow(a.value, b.value, &out->value)
                                       : __builtin_mul_overflow(a.value, b.value, &out->value);
    return !overflow || fail(r, at, "the result does not fit into 64 bits");
}

static bool ceiling(struct reader *r, const char *at, struct term *out)
{
    struct term a, b;
    return expect(r, '(') && sum(r, &a) && expect(r, ',') && sum(r, &b) && expect(r, ')') &&
           divide(r, at, a, b, true, out);
}

static bool name(struct reader *r, struct term *out)
{
    const char *begin = r->p;
    while (isalnum((unsigned char)*r->p) || *r->p == '_')
        r->p++;
    size_t length = (size_t)(r->p - begin);
    if (length == 4 && strncmp(begin, "ceil", 4) == 0)
        return ceiling(r, begin, out);
    const char *known[NAMES_MAX];
    for (size_t i = 0; i < r->count && i < NAMES_MAX; i++) {
        known[i] = r->names[i].name;
        if (strlen(known[i]) == length && strncmp(begin, known[i], length) == 0) {
            *out = (struct term){r->names[i].value, r->known};
            return true;
        }
    }
    char word[32];
    snprintf(word, sizeof word, "%.*s", (int)length, begin);
    const char *near = closest(word, known, r->count);
    return fail(r, begin, "unknown word \"%s\"%s%s%s", word, near ? "; did you mean \"" : "",
                near ? near : "", near ? "\"?" : "");
}

static bool literal(struct reader *r, struct term *out)
{
    const char *begin = r->p;
    *out = (struct term){0, true};
    for (; isdigit((unsigned char)*r->p); r->p++)
        if (__builtin_mul_overflow(out->value, 10, &out->value) ||
            __builtin_add_overflow(out->value, *r->p - '0', &out->value))
            return fail(r, begin, "the number does not fit into 64 bits");
    return true;
}

static bool value(struct reader *r, struct term *out)
{
    skip_space(r);
    if (isdigit((unsigned char)*r->p))
        return literal(r, out);
    if (isalpha((unsigned char)*r->p) || *r->p == '_')
        return name(r, out);
    if (accept(r, '('))
        return sum(r, out) && expect(r, ')');
    return *r->p ? fail(r, r->p, "a number, a word or '(' must stand here, not '%.16s'", r->p)
                 : fail(r, r->p, "the expression ends where a number must stand");
}

/* One or more terms of `next` with these operations between them, from left to right. */
static bool chain(struct reader *r, bool (*next)(struct reader *r, struct term *out), const char *operations,
                  struct term *out)
{
    if (!next(r, out))
        return false;
    for (skip_space(r); *r->p && strchr(operations, *r->p); skip_space(r)) {
        const char *at = r->p++;
        struct term right;
        if (!next(r, &right) || !combine(r, at, *at, *out, right, out))
            return false;
    }
    return true;
}

static bool product(struct reader *r, struct term *out)
{
    return chain(r, value, "*/", out);
}

static bool sum(struct reader *r, struct term *out)
{
    if (++r->depth > DEPTH_MAX)
        return fail(r, r->p, "brackets nested more than %d deep", DEPTH_MAX);
    const bool right = chain(r, product, "+-", out);
    r->depth -= right;
    return right;
}

bool expression_value(const char *text, const struct expression_name *names, size_t count, int64_t *value_out,
                      struct expression_fault *fault)
{
    struct reader r = {text, text, names, count, .known = value_out, .fault = fault};
    struct term n;
    if (!sum(&r, &n))
        return false;
    skip_space(&r);
    if (*r.p)
        return fail(&r, r.p, "'%.16s' is too much", r.p);
    if (value_out)
        *value_out = n.value;
    return true;
}
