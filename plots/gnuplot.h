/*
 * gnuplot.h: one figure: a script for gnuplot, run in a child process, its SVG made fit to stand inside a
 * page.
 *
 * No text from a results file ever reaches gnuplot (its double-quoted strings run shell commands): the script
 * holds tokens, "~3~", which are replaced by the escaped text when the SVG is inlined. Colours go the same
 * way: a stand-in colour becomes the CSS variable of its ink, so that one SVG serves light, dark and paper.
 *
 * NF4BENCH_GNUPLOT names the program, "gnuplot" by default.
 */
#ifndef NF4BENCH_PLOTS_GNUPLOT_H
#define NF4BENCH_PLOTS_GNUPLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "plots/html.h"

enum { FIGURE_TEXTS = 160, FIGURE_WIDTH = 600 };

struct figure {
    FILE *script; /* write the commands here */
    int height;   /* the width is FIGURE_WIDTH */
    char *texts[FIGURE_TEXTS];
    int text_count;
    bool failed;
};

/* False when no temporary file can be made. The script starts with the terminal, margins are the caller's. */
bool figure_init(struct figure *f, int height);
void figure_release(struct figure *f);

/* The number N of the token "~N~" for a text, cut at `longest` characters (0: never). Use as
 * fprintf(f->script, "set label '~%d~' at ...", figure_text(f, name, 40)). */
int figure_text(struct figure *f, const char *text, int longest);
/* The stand-in colour of an ink, as 0xRRGGBB: for "lc rgb 0x%06x" and "lc rgb variable". */
unsigned figure_ink(enum ink ink);

/* Runs gnuplot and writes <svg>...</svg>; ids get `prefix`, `label` is what a screen reader says. On failure
 * nothing is written and problem says why. *missing: the program could not be started. */
bool figure_render(struct figure *f, const char *prefix, const char *label, FILE *out, char problem[256],
                   bool *missing);

/* The rewriting alone, for tests. False when svg is not one well-formed <svg> element. */
bool svg_inline(const char *svg, size_t size, const struct figure *f, const char *prefix, const char *label,
                FILE *out);

#endif
