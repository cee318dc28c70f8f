/*
 * draw.h: the four kinds of figure, as gnuplot scripts. Each returns false when its data make no figure, and
 * then has drawn nothing. The figure is initialised by the function; the caller renders and releases it.
 */
#ifndef NF4BENCH_PLOTS_DRAW_H
#define NF4BENCH_PLOTS_DRAW_H

#include "plots/gnuplot.h"
#include "plots/view.h"

/* What a drawing left out, for its caption. */
struct drawn {
    size_t shown, total; /* lines, bars or bands */
    size_t beyond;       /* samples outside the axis, shown at its ends */
    bool prefix_cut;     /* labels leave out draw_prefix() */
};

/* Weights per second against m, a line per variant, log-log. */
bool draw_speed(struct figure *f, const struct view_family *family, const struct view_facet *facet,
                struct drawn *d);
/* Share of the measured ceiling per variant, with intervals. */
bool draw_ceiling(struct figure *f, const struct view_family *family, const struct view_case *c,
                  struct drawn *d);
/* The samples of the fastest rows, each against its own median, in the order in which they were taken. */
bool draw_samples(struct figure *f, const struct view_family *family, const struct view_case *c,
                  struct drawn *d);

struct tensor_fit {
    const char *name;
    uint32_t blocksize;
    double nf4_db, int4_db; /* int4 may be NAN */
};
/* SQNR of NF4 and int4 per tensor; `fits` is sorted by nf4_db. */
bool draw_fits(struct figure *f, const struct tensor_fit *fits, size_t count, struct drawn *d);

/* "nf4_gemm_bf16_": what the names of a family's own variants begin with. Returns buffer. */
const char *draw_prefix(const struct row *r, char buffer[64]);

/* For the drawings: margins in pixels and the look that all share; a variant's name as a text, without the
 * prefix. */
void draw_frame(struct figure *f, int left, int right, int top, int bottom);
/* `title` is ours, no text from a file; x and y in pixels from the lower left. */
void draw_axis_title(struct figure *f, double x, double y, const char *title);
int draw_label(struct figure *f, const struct row *r, int longest, struct drawn *d);

#endif
