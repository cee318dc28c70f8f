/*
 * layout.h: in which bytes a variant takes the weights: by rows, or in a layout that is made of these once,
 * outside of all timing (kernels/layouts.h says what the bytes are).
 */
#ifndef NF4BENCH_HARNESS_PROBLEM_LAYOUT_H
#define NF4BENCH_HARNESS_PROBLEM_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/problem/problem.h"
#include "reference/quantized.h"

/* X(name, knob, format, track, transposed): knob: the word among a variant's knobs, and format the one whose
 * variants may have it. track: what a result calls it ("checkpoint": bytes as a package writes them).
 * transposed: dequantize gives W^T, as the packages do. */
#define LAYOUT_MAP(X)                                                                                        \
    X(ROWS, "", FORMAT_COUNT, "rows", false)                                                                 \
    X(FRAGMENTS, "repacked", FORMAT_NF4, "repacked", false)                                                  \
    X(GPTQ, "gptq", FORMAT_INT4, "checkpoint", true)                                                         \
    X(GPTQV2, "gptqv2", FORMAT_INT4, "checkpoint", true)                                                     \
    X(AWQ, "awq", FORMAT_INT4, "checkpoint", true)                                                           \
    X(AWQGEMV, "awqgemv", FORMAT_INT4, "checkpoint", false)                                                  \
    X(MARLIN, "marlin", FORMAT_INT4, "repacked", false)

enum layout {
#define X(name, ...) LAYOUT_##name,
    LAYOUT_MAP(X)
#undef X
        LAYOUT_COUNT
};

/* The layout that a variant of this format names among its knobs ("sm80_gptq_64x32"). */
enum layout layout_of_knobs(enum format f, const char *knobs);
/* Whether the knobs name two layouts, or one of another format. Writes a sentence then, such as "the layout 'gptq' is
 * not one of nf4". */
bool layout_knobs_wrong(enum format f, const char *knobs, char *why, size_t size);
const char *layout_knob(enum layout l);
/* What a result calls it: checkpoint, repacked, rows, dense. By rows NF4 is a checkpoint's. */
const char *layout_track(enum layout l, enum format f);
bool layout_transposed(enum layout l);

/* NULL if weights of the problem's shape can lie so, or why not: "takes n in multiples of 8". */
const char *layout_inapplicable(enum layout l, const struct problem *p);
/* Bytes of it; by rows those of codes, scales and zero points. */
size_t layout_bytes(enum layout l, const struct problem *p);
/* The zero points that it can store. */
void layout_zero_range(enum layout l, unsigned *least, unsigned *most);
/* NULL, or why these weights cannot lie so though their shape can: a zero point. */
const char *layout_unfit(enum layout l, const struct quantized *w);
/* Writes all of it. Not for LAYOUT_ROWS. False: no memory. */
bool layout_make(enum layout l, const struct problem *p, const struct quantized *w, void *out);

#endif
