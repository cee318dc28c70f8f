/*
 * task.h: the right rows by what they compute, whatever the format of their weights: what formats may be
 * compared on.
 *
 *   device    one CPU or GPU in one file; no two are compared with each other
 *   field     tasks of one operation, type, number of threads and bias on one device
 *   task      one size (m, n, k) and one origin of the weights in a field: one regime of timing, cold or hot
 *   kind      how weights are stored: format, blocksize, nested, zeros, act-order
 *   track     the order of their bytes: as in a checkpoint, repacked offline, in rows, or dense; never mixed
 *   skeleton  a variant's name without the format: variants of one skeleton differ in their decode alone
 */
#ifndef NF4BENCH_PLOTS_TASK_H
#define NF4BENCH_PLOTS_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"
#include "plots/html.h"
#include "plots/view.h"

/* X(enumerator, word in files, word on a page, ink): each format has one colour in all figures. */
#define WEIGHTS_MAP(X)                                                                                       \
    X(NF4, "nf4", "NF4", INK_S0)                                                                             \
    X(INT4, "int4", "int4", INK_S1)                                                                          \
    X(INT8, "int8", "int8", INK_S2)                                                                          \
    X(FP8, "fp8", "fp8", INK_S3)                                                                             \
    X(DENSE, "dense", "dense", INK_TEXT)                                                                     \
    X(OTHER, "", "another format", INK_S4)
enum weights {
#define X(name, word, label, ink) WEIGHTS_##name,
    WEIGHTS_MAP(X)
#undef X
        WEIGHTS_COUNT
};
/* By format. */
extern const struct weights_look {
    const char *word, *label;
    enum ink ink;
} weights_looks[];

#define TRACK_MAP(X)                                                                                         \
    X(CHECKPOINT, "checkpoint")                                                                              \
    X(REPACKED, "repacked")                                                                                  \
    X(ROWS, "rows")                                                                                          \
    X(DENSE, "dense")
enum track {
#define X(name, word) TRACK_##name,
    TRACK_MAP(X)
#undef X
        TRACK_COUNT
};
extern const char *const track_words[];

enum task_op {
#define X(value, name, word) TASK_##name = value,
    RECORD_OP_MAP(X)
#undef X
};

/* What a task is used for: X(enumerator, words, smallest m, largest m); m decides for products alone. */
#define USE_MAP(X)                                                                                           \
    X(DEQUANT, "dequantize", 0, 0)                                                                           \
    X(M1, "M = 1", 1, 1)                                                                                     \
    X(M32, "M 2\u201332", 2, 32)                                                                             \
    X(M512, "M 64\u2013512", 64, 512)                                                                        \
    X(M4096, "M 1024\u20134096", 1024, 4096)                                                                 \
    X(BACKWARD, "backward", 0, 0)                                                                            \
    X(NONE, "no regime of use", 0, 0)
enum use {
#define X(name, words, least, most) USE_##name,
    USE_MAP(X)
#undef X
        USE_COUNT = USE_NONE
};
extern const char *const use_words[];

struct kind {
    enum weights format;
    uint32_t blocksize; /* 0: int8 and fp8 with a scale a row of W, which is one kind whatever k is */
    bool nested, zeros, act_order;
};

struct task_device {
    unsigned set;
    const char *name, *uuid;
    char *label; /* owned: the name, and the file where there are several */
    bool gpu, fake;
    bool has[WEIGHTS_COUNT]; /* formats that have right rows */
    size_t formats;          /* how many these are */
    size_t wrong;            /* timed rows that are not right */
    size_t other;            /* right rows of the regime of timing that is not quoted */
};

/* Of a task, so many right rows are compared at most: choices take time by their square. */
enum { TASK_ROWS_MAX = 1000 };
struct task {
    const struct view_row *const *rows; /* right ones, by ascending median */
    size_t count;
    size_t device; /* index into devices */
    enum use use;
};

struct tasks {
    const struct view *v;
    struct task_device *devices; /* those with a timed row, in the order of the files */
    size_t device_count;
    struct task *list; /* by device, field, shape and m */
    size_t count;
    const struct view_row **rows;
    const struct view_row **ceilings; /* by file and group */
    size_t ceiling_count;
};

enum status tasks_init(struct tasks *t, const struct view *v) WARN_UNUSED_RESULT;
void tasks_release(struct tasks *t);

/* Of a row. A file of before there were formats has NF4, or dense weights by its layout. */
enum weights weights_of(const struct view_row *row);
enum track track_of(const struct view_row *row);
struct kind kind_of(const struct view_row *row);
bool kind_equal(struct kind a, struct kind b);
int kind_compare(struct kind a, struct kind b);
/* "NF4 64 nested", "int4 g128 asymmetric": buffer is returned. */
enum { KIND_TEXT = 64 };
const char *kind_text(struct kind kind, char buffer[KIND_TEXT]);
/* Where the rest of the name starts, "gemm_bf16_..__avx512_tile"; NULL for the name of a peer. */
const char *skeleton_of(const struct view_row *row);
/* The names are equal behind their formats. How NF4's second level of scales is added, and by what it looks
 * codes up where other formats have one way, is a part of its decode. */
bool same_skeleton(const struct view_row *a, const struct view_row *b);
/* "gemm_bf16_c16__avx512_tile", without a word on nested scales or on how NF4 is looked up. Returns buffer.
 */
enum { SKELETON_TEXT = 144 };
const char *skeleton_text(const struct view_row *row, char buffer[SKELETON_TEXT]);
/* Somebody else's code: a package's, or a library's product. */
bool is_package(const struct view_row *row);
/* Weights of the two take as many bits, within 2 %. */
bool bits_match(const struct view_row *a, const struct view_row *b);

bool same_field(const struct tasks *t, size_t a, size_t b);
/* The same n, k and origin of the weights, in one field. */
bool same_shape(const struct tasks *t, size_t a, size_t b);
/* The row of `like`'s variant and kind that was sampled in one group with `row`, so that the two are paired;
 * `like` itself where there is none. */
const struct view_row *task_paired(const struct task *task, const struct view_row *row,
                                   const struct view_row *like);
/* The fastest row of a format; NULL when there is none. */
const struct view_row *task_fastest(const struct task *task, enum weights format);
/* Whether row i is the fastest of its kind in its track. */
bool task_is_best(const struct task *task, size_t i);
/* "gemm bf16, 8 threads, bias": what the tasks of a field have in common. Returns buffer. */
enum { FIELD_TEXT = 96 };
const char *field_text(const struct task *task, char buffer[FIELD_TEXT]);

/* What was measured beside a row as what it is held against; NULL where the file does not have it. */
const struct view_row *task_ceiling(const struct tasks *t, const struct view_row *row);
/* The larger of the shares of the two measured ceilings that a row can run into, memory and a dense product;
 * NAN when neither was measured. */
double ceiling_share(const struct view_row *row);

#endif
