/*
 * problem/operands.h: the operands of a problem, made from its seed or from a file; the third stage.
 *
 * The same problem gives the same bytes on any machine and for every variant. For timing a caller makes `timed_copies`
 * identical sets of them, so that a cold measurement can rotate through more memory than the last-level cache holds.
 *
 * Weights "normal": w = 0.02 * random_normal, quantized by the reference: round to nearest
 * (problem/operand_weights.c). Activations are normal, bias 0.1 * normal, both rounded to the problem's type.
 */
#ifndef NF4BENCH_HARNESS_PROBLEM_OPERANDS_H
#define NF4BENCH_HARNESS_PROBLEM_OPERANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"
#include "harness/problem/buffer.h"
#include "harness/problem/device.h"
#include "harness/problem/layout.h"
#include "harness/problem/problem.h"
#include "harness/problem/variant.h"
#include "reference/matmul.h"
#include "reference/quantized.h"

/* How well the format, and absmax int4 at the same blocksize, fit the dense weights; NAN where there are
 * none. */
struct weight_fit {
    double sqnr_db, max_abs_error, int4_sqnr_db, int4_max_abs_error;
};

/* One set of operands. Parts that the problem's format does not have are of size 0. */
struct operand_set {
    struct buffer packed, absmax, absmax_code, nested_absmax, scale, zero, group_of, x, bias, out;
    uint64_t input_hash; /* over all of these but out */
    /* The weights once more, in the layouts of variants that do not take rows (layout.h); only once such a
     * variant has been prepared. No part of what a set costs: a variant reads one of them, or the rows.
     * [LAYOUT_ROWS] is never there. */
    struct buffer stored[LAYOUT_COUNT];
    uint64_t stored_hash[LAYOUT_COUNT];
    uint64_t weights; /* differs after each operands_prepare_for() */
};

struct operands {
    struct problem problem;
    struct device *device;    /* that they were made for; not owned */
    struct operand_set *sets; /* [copies] */
    size_t copies;            /* 1, but where a caller has them for timing */
    size_t timed_copies;      /* that a cold measurement on a CPU rotates through */
    struct buffer nested_map; /* [256] fp32, shared: it stays in cache anyway */
    float nested_offset;
    struct buffer workspace; /* products only; shared */
    struct weight_fit fit;
};

/* Bytes of one set: what a copy costs. */
size_t operands_set_bytes(const struct problem *p);
/* Copies that a cold measurement of p needs: at least 2, and enough for 4 last-level caches to go by before a
 * set is used again, as far as half of the available memory allows. bytes_per_call: what is touched, by this
 * problem's rows and by those that are timed with it, for each call on its operands; alone, those of a set.
 */
size_t operands_cold_copies(const struct problem *p, size_t bytes_per_call);

/* Makes the operands. STATUS_MEMORY says how much is needed and what there is, before anything is allocated.
 */
enum status operands_init(const struct problem *p, size_t copies, struct device *device,
                          struct operands *out) WARN_UNUSED_RESULT;
/* Allocates one set of the given problem with undefined contents: for checks that fill it themselves. */
enum status operands_init_blank(const struct problem *p, struct device *device,
                                struct operands *out) WARN_UNUSED_RESULT;
void operands_release(struct operands *o);

/* All buffers that set i is made of, those that sets share included, in an order that does not change:
 * devices with memory of their own go through them. */
enum {
    OPERAND_WEIGHTS = 7, /* the first ones are the weights */
    OPERAND_X = OPERAND_WEIGHTS,
    OPERAND_OUT = 9,
    OPERAND_STORED,                              /* LAYOUT_COUNT of them, of size 0 where there is none */
    OPERAND_OWN = OPERAND_STORED + LAYOUT_COUNT, /* buffers before this are each set's own */
    OPERAND_MAP = OPERAND_OWN,
    OPERAND_WORKSPACE,
    OPERAND_BUFFERS
};
void operands_buffers(const struct operands *o, size_t i, struct buffer *list[OPERAND_BUFFERS]);
/* The name of entry j of that list, for a person: "activations". */
const char *operand_name(size_t j);

/* Set i as the reference sees it. Valid while the operands are. */
struct quantized operands_tensor(const struct operands *o, size_t i);
/* Set i as a kernel of that operation sees it. */
struct dequant_args operands_dequant_args(const struct operands *o, size_t i, enum layout layout);
struct gemm_args operands_gemm_args(const struct operands *o, size_t i, enum layout layout);
/* Rows first .. first + rows of W of a product, whose weights are of that format (dense: of type t), as a
 * dequantize takes them. The first row starts a byte, a block and a group of nested scales. */
struct dequant_args gemm_rows_to_dequantize(const struct gemm_args *a, enum format format, enum dtype t,
                                            size_t first, size_t rows, void *out);
/* The one that the problem's operation has, for a variant that takes this layout; returns its size. What the
 * layout has it does not get by rows as well. */
union kernel_args {
    struct dequant_args dequant;
    struct gemm_args gemm;
    struct repack_args repack;
};
size_t operands_args(const struct operands *o, size_t i, enum layout layout, union kernel_args *out);
/* Makes what k wants besides the rows of set i, as they are now. Before each call whose weights are not those of the last. A
 * layout becomes part of the operands; what a peer makes of them its caller prepares anew (device/cpu/serve.h). */
enum status operands_prepare_for(const struct operands *o, size_t i,
                                 const struct kernel *k) WARN_UNUSED_RESULT;
/* The set whose prepared weights set i uses: dense ones are so much larger that fewer will do, and sets have them in
 * common. */
size_t operands_prepared_set(const struct operands *o, size_t i, const struct kernel *k);

/* True if inputs have the bytes they were made with, and all canaries stand; else `what` says which not. */
bool operands_intact(const struct operands *o, size_t i, char *what, size_t size);
/* Takes the input hashes again (after a check has filled the inputs itself, or damage was reported). */
void operands_rehash(struct operands *o);

/* problem/operand_weights.c: makes or reads the weights of the first set. */
enum status operands_make_weights(struct operands *o) WARN_UNUSED_RESULT;
/* Act-order of the first set: every block has `blocksize` columns, in an order that is drawn from the seed. All columns
 * change places, or some do, so that words, and runs of 32 columns, are in order, beside ones that are not. */
enum group_order { GROUPS_SHUFFLED, GROUPS_IN_PART };
void operands_draw_groups(struct operands *o, enum group_order order);

#endif
