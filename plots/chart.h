/*
 * chart.h: every figure of a report, as SVG: marks, lines and bars on one pair of axes. Every mark carries the
 * row of the results file that it shows and its value, unrounded, as attributes, and in words as a <title>: a
 * reader's tooltip, and what a test compares with the file.
 */
#ifndef NF4BENCH_PLOTS_CHART_H
#define NF4BENCH_PLOTS_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "plots/html.h"
#include "plots/task.h"

enum { CHART_WIDTH = 600 };

struct axis {
    double lo, hi;
    bool log;
};

struct margins {
    double left, right, top, bottom;
};

/* In pixels, but for the axes. */
struct chart {
    FILE *out;
    double height;
    struct margins margin;
    struct axis x, y;
};

/* What a mark shows. row NULL: none of a file alone (a mean). over: the row that it is a ratio to, or NULL.
 */
struct mark {
    const struct view_row *row, *over;
    double value;
    const char *words;
};

/* The text that a screen reader says stands in `label`. The fields of c are set before. */
void chart_begin(const struct chart *c, const char *label);
void chart_end(const struct chart *c);
double chart_x(const struct chart *c, double value);
double chart_y(const struct chart *c, double value);

/* Frame, grid and numbers: ticks at 1, 2, 5 times powers of ten, or round steps where the axis is linear.
 * scale: what the numbers are divided by. */
void chart_ticks_x(const struct chart *c, double scale);
void chart_ticks_y(const struct chart *c, double scale);
/* One tick, for values that are not spread evenly. */
void chart_tick_x(const struct chart *c, double value, const char *text);
void chart_titles(const struct chart *c, const char *x, const char *y);

void chart_text(const struct chart *c, double x, double y, const char *anchor, enum ink ink,
                const char *text);
/* In pixels. dash: of SVG ("4 3"), or NULL. */
void chart_segment(const struct chart *c, double x1, double y1, double x2, double y2, enum ink ink,
                   double width, const char *dash);
/* A dashed line at a value of the x axis, from top to bottom, and a word above it. */
void chart_reference(const struct chart *c, double x, const char *word);
/* Through values. */
void chart_line(const struct chart *c, const double *x, const double *y, size_t count, enum ink ink,
                double width, const char *dash);
/* A mark at a value, whose form says the format where a colour cannot be seen. */
void chart_mark(const struct chart *c, double x, double y, enum weights form, const struct mark *mark);
/* A mark of a variant's line: its form follows the ink, and INK_OTHER has a small disc. */
void chart_series_mark(const struct chart *c, double x, double y, enum ink ink, const struct mark *mark);
/* A format's mark and a name, in pixels: a key. */
void chart_key(const struct chart *c, double x, double y, enum weights form, const char *name);
/* The keys of several formats in a row, y in pixels. */
void chart_keys(const struct chart *c, double y, const bool seen[WEIGHTS_COUNT]);
/* A bar from lo to hi, at y in pixels. */
void chart_bar(const struct chart *c, double lo, double hi, double y, double thick, enum ink ink,
               double opacity, const struct mark *mark);
/* An interval along x, at y in pixels. */
void chart_whisker(const struct chart *c, double lo, double hi, double y);
/* Dots as high as 1.6 pixels. x: values; y: pixels. */
void chart_dots(const struct chart *c, const double *x, const double *y, size_t count, enum ink ink,
                double width);

/* Names at the right end of lines, moved apart; those of INK_OTHER muted. */
struct chart_label {
    double x, y; /* where the line ends, in pixels */
    enum ink ink;
    char text[48];
};
void chart_labels(const struct chart *c, struct chart_label *labels, size_t count);

#endif
