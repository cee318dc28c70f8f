/*
 * sections.h: the parts of a report. Each writes itself, or nothing where it has nothing to say.
 */
#ifndef NF4BENCH_PLOTS_SECTIONS_H
#define NF4BENCH_PLOTS_SECTIONS_H

#include <stdio.h>

#include "plots/page.h"
#include "plots/task.h"
#include "plots/view.h"

/* The parts about several formats, in this order on all forms of page. */

/* NF4 as a fraction of the best int4 at equal bits, and why. */
void section_headline(struct page *p, const struct tasks *t);
/* Products over the dense one, against M. */
void section_speedup(struct page *p, const struct tasks *t);
/* Operations per second against operations per byte. */
void section_roofline(struct page *p, const struct tasks *t);
/* The fastest format per shape and M. */
void section_winners(struct page *p, const struct tasks *t);
/* Time of each format over NF4's in one skeleton. */
void section_decode(struct page *p, const struct tasks *t);
/* How well a format keeps the weights, beside its time. */
void section_quality(struct page *p, const struct tasks *t);
/* What the products add up to in published models. */
void section_models(struct page *p, const struct tasks *t);

/* The parts about one run, HTML only. */

/* Counts of verdicts over distinct (variant, problem) pairs, as links. */
void section_tally(FILE *out, const struct view *v);
/* Every pair whose verdict is graver than PASS, with its reason. */
void section_failures(FILE *out, const struct view *v);
/* What was checked, how, and how far off it was: a row per variant. Skipped ones with their reasons. */
void section_verdicts(FILE *out, const struct view *v);

/* The fastest variant per operation, type, m and regime. */
void section_fastest(FILE *out, const struct view *v);
/* A table per case. */
void section_timings(FILE *out, const struct view *v);
/* The anchor of a case's table: "c12". Returns buffer. */
enum { SECTION_ANCHOR = 24 };
const char *section_anchor(const struct view *v, const struct view_case *c, char buffer[SECTION_ANCHOR]);

/* Name and value of each root attribute, the important ones first. */
void section_environment(FILE *out, const struct view *v);
/* Whether any of the timed rows is such a one: row_is_gpu(), or, of the fake driver of the tests, row_is_fake(). */
bool environment_any(const struct view *v, unsigned set, bool (*is)(const struct row *));
/* What the timings were taken on, as far as the file says: the GPU where variants ran on one, or the CPU. */
const char *environment_device(const struct view *v, unsigned set);
/* The first root attribute whose name matches a glob, "@(gpu|device*)"; NULL when none does. */
const char *environment_find(const struct result_set *set, const char *glob);

/* Curves over m, shares of the ceiling, samples, and how well NF4 fits the weights. */
void section_figures(FILE *out, const struct view *v);

#endif
