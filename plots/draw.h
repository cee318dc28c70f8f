/*
 * draw.h: the four kinds of figure about one run. A function returns false when its data make no figure, and
 * has then written nothing.
 */
#ifndef NF4BENCH_PLOTS_DRAW_H
#define NF4BENCH_PLOTS_DRAW_H

#include "plots/view.h"

enum { DRAW_POINTS_MAX = 256 /* of a line */, DRAW_FITS_MAX = 24 /* tensors */ };

struct drawing {
    FILE *out;                        /* takes the SVG */
    const char *label;                /* the text of a screen reader */
    const struct view_family *family; /* whose colours are used; draw_fits() needs none */
    /* What the drawing left out, for its caption. */
    size_t shown, total; /* lines, bars or bands */
    size_t beyond;       /* samples outside the axis, shown at its ends */
    bool prefix_cut;     /* labels leave out draw_prefix() */
};

/* Weights per second against m, a line per variant, log-log. At most DRAW_POINTS_MAX cases. */
bool draw_speed(struct drawing *d, const struct view_facet *facet);
/* Share of the measured ceiling per variant, with intervals. */
bool draw_ceiling(struct drawing *d, const struct view_case *c);
/* The samples of the fastest rows, each against its own median, in the order in which they were taken. */
bool draw_samples(struct drawing *d, const struct view_case *c);
/* SQNR of NF4 and int4 per tensor; `rows` has one row a tensor, by ascending SQNR of NF4: 1 to DRAW_FITS_MAX. */
void draw_fits(const struct drawing *d, const struct view_row *const *rows, size_t count);

/* "nf4_gemm_bf16_": what the names of a family's own variants begin with. Returns buffer. */
const char *draw_prefix(const struct row *r, char buffer[64]);

#endif
