/*
 * html.h: what every part of the report writes with. Text from files is hostile until html_text() has written
 * it; nothing else may put a string from a results file on the page. The markup is also well-formed XML, so
 * that any XML parser can check a report.
 */
#ifndef NF4BENCH_PLOTS_HTML_H
#define NF4BENCH_PLOTS_HTML_H

#include <stdio.h>

#include "harness/base/status.h"

#define DASH   "\u2013" /* en dash */
#define MINUS  "\u2212"
#define TIMES  "\u00d7"
#define MICRO  "\u00b5"
#define APPROX "\u2248"

/*
 * The inks of figures and badges: X(enumerator, CSS variable, colour on white, colour on black). Series are
 * Okabe and Ito's palette without its yellow and black (invisible on one of the two grounds), lightened for
 * the dark one.
 */
#define INK_MAP(X)                                                                                           \
    X(S0, "s0", "#0072b2", "#4aa8e8")                                                                        \
    X(S1, "s1", "#d55e00", "#f0824a")                                                                        \
    X(S2, "s2", "#009e73", "#2cc79a")                                                                        \
    X(S3, "s3", "#c46a9f", "#e39cc5")                                                                        \
    X(S4, "s4", "#d98f00", "#f0b43c")                                                                        \
    X(S5, "s5", "#4aa3d8", "#a5dcff")                                                                        \
    X(OTHER, "other", "#a9b1ba", "#626c78")                                                                  \
    X(TEXT, "text", "#1c2127", "#e6e9ed")                                                                    \
    X(MUTED, "muted", "#5a6470", "#9da7b3")                                                                  \
    X(LINE, "line", "#d8dde3", "#343c46")                                                                    \
    X(BACK, "back", "#ffffff", "#14171b")                                                                    \
    X(CARD, "card", "#f5f7f9", "#1c2127")                                                                    \
    X(GOOD, "good", "#00724f", "#3ad3a5")                                                                    \
    X(BAD, "bad", "#b84300", "#ff8f57")                                                                      \
    X(WARN, "warn", "#8a5a00", "#f0b43c")                                                                    \
    X(LINK, "link", "#005f99", "#6bbcf2")

enum ink {
#define X(name, variable, light, dark) INK_##name,
    INK_MAP(X)
#undef X
        INK_COUNT
};
enum { INK_SERIES = 6 }; /* S0 .. S5 */
/* Name of the CSS variable, without the dashes. */
const char *ink_variable(enum ink ink);

/* Escaped for text and for quoted attributes. Bytes that are no UTF-8, control and bidi-override characters
 * become U+FFFD: none of them can change how the rest of the page reads. */
void html_text(FILE *out, const char *s);
/* The same, with a place to break the line after "__": variant names are long. */
void html_name(FILE *out, const char *s);
/* Fixed decimals, so that a column's points align; an en dash when v is not finite. */
void html_number(FILE *out, double v, int decimals);
/* Decimals that leave `digits` significant ones in the smallest value of a column; 0 to 6. */
int html_decimals(double smallest, int digits);
/* Markup with what stands in it, by these conversions: %s as html_text(), %.2f and %.*f as html_number(), %'zu
 * and %'u in groups of three with narrow no-break spaces between, %zu, %u and PRIu64 as printf() has them, and
 * %% for itself. No other ones. */
void html_print(FILE *out, const char *format, ...) PRINTF_LIKE(2, 3);

/* Document up to and including <main>, and from there to the end. */
void html_begin(FILE *out, const char *title);
void html_end(FILE *out);

#endif
