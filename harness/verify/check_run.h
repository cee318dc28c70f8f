/*
 * check_run.h: what the checks share: one check in progress, the call with what stands around it, and the
 * report of mismatches. Private to harness/verify.
 */
#ifndef NF4BENCH_HARNESS_VERIFY_CHECK_RUN_H
#define NF4BENCH_HARNESS_VERIFY_CHECK_RUN_H

#include "harness/device/cpu/arena.h"
#include "harness/verify/checks.h"
#include "harness/verify/diagnose.h"
#include "harness/verify/verify.h"

/* One way of calling a variant that has passed exhaustive_decode. */
struct decoded_variant {
    const struct kernel *kernel;
    size_t blocks, m; /* blocks: what kind */
};

enum { DECODED_MAX = 4096 };
struct verifier {
    struct problem problem; /* that `references` and `sums` belong to */
    bool has_problem;
    struct references *references; /* of real_data; as the next, made on first use */
    struct exact_sums *sums[2];
    struct decoded_variant decoded[DECODED_MAX];
    size_t decoded_count;
    uint64_t salt;      /* differs for every poisoning */
    enum status broken; /* not STATUS_OK: the device cannot be used, nothing further is to be verified */
};

/* One check in progress. Functions below set the verdict, reason and detail of `out` when the variant is
 * wrong, and return. */
struct check_run {
    const struct check *check;
    struct verifier *verifier;
    const struct kernel *kernel;
    const struct operands *operands; /* of the problem */
    struct verification *out;
    enum placement placement; /* on a CPU, of the problem's own operands in the next calls */
};

#define CHECK(name, operations, applies, catches)                                                            \
    enum status check_##name(struct check_run *c) WARN_UNUSED_RESULT;
#define GUARD(name, catches)
#include "results/checks.inc"

/* Poisons the output of set 0, calls the kernel, checks canaries and inputs. False: the verdict has been set.
 */
bool check_call(struct check_run *c, const struct operands *o);
/* The same after the preparation of the weights. *ok: as check_call(). */
enum status check_prepared_call(struct check_run *c, const struct operands *o, bool *ok) WARN_UNUSED_RESULT;
/* Two calls: one whose output is not looked at, with other codes, scales, activations and bias, so that a kernel which
 * leaves or repeats an earlier output, or keeps what it made of them, is not right by it; then one with them as they are. *ok: both as
 * check_call(). */
enum status check_calls_on_other_codes(struct check_run *c, struct operands *o, bool *ok) WARN_UNUSED_RESULT;
/* Sets FAIL from a comparison with mismatches of an output of `count` elements. `where` is a line about the
 * first one, or ""; `cause` what explains them all, or "": then their values and places are looked at. */
void check_failed(struct check_run *c, const struct comparison *cmp, const char *where, const char *cause,
                  size_t count);
/* Counts what was compared of a product with rows x columns outputs; where there are mismatches, sets FAIL in the
 * same way: `remark` follows the line about the first one. */
void check_product(struct check_run *c, const struct comparison *cmp, size_t rows, size_t columns,
                   const char *remark);
/* Compares what the kernel dequantized, wherever its layout has it, with the reference; sets FAIL. `errors`,
 * which may be NULL: the errors of the first elements against fp64 are added. */
enum status check_dequantized(struct check_run *c, const struct operands *o, struct comparison *cmp,
                              struct error_sums *errors) WARN_UNUSED_RESULT;

/* What a product must give, in c->out, when the one activation that is not zero is 1 and meets a weight of
 * this code and block, or weight `element`, and every weight in the sum is finite. Widened to fp32. */
float one_hot_of(const struct contract *c, uint32_t code, struct quantized_block b, float bias);
float one_hot_value(const struct contract *c, const struct quantized *w, size_t element, float bias);

/* Calls the kernel on o, weights and bias of which are filled, with activations that have a single number that is not
 * zero a row, `one`, mostly 1, for each m of the positions along the summed dimension, and compares every output;
 * sets FAIL. */
enum status one_hot_run(struct check_run *c, struct operands *o, float one, const size_t *positions,
                        size_t position_count) WARN_UNUSED_RESULT;

/* exhaustive_decode.c: all codes; entry b + phase, of those that the list has, for each of `blocks` scales, and with them
 * zero points, groups and the codes of nested scales. */
void decode_fill_codes(struct operands *o);
void decode_fill_scales(struct operands *o, size_t blocks, double phase, enum layout layout);
/* Whether the weights come out right: of a product those at `count` positions along the summed dimension, the first ones or
 * anywhere, at most 64. Sets FAIL. */
enum status decoded_right(struct check_run *c, struct operands *o, size_t count,
                          bool anywhere) WARN_UNUSED_RESULT;
/* A number of its own for each kind of blocks that a variant may treat on another path. */
size_t kind_of_blocks(const struct problem *p);
/* What has passed for all problems of a kind is not tried again: `blocks` says which kind. */
bool is_decoded(const struct verifier *v, const struct kernel *k, size_t blocks, size_t m);
void remember_decoded(struct verifier *v, const struct kernel *k, size_t blocks, size_t m);

/* Operands of a smaller problem with the same summed dimension and the same tail: the first weights of the
 * real one, read as a smaller matrix. Activations, and a bias that the real problem lacks, are undefined. */
enum status first_weights(struct check_run *c, bool with_bias, struct operands *o) WARN_UNUSED_RESULT;

/* Both take NULL. */
void exact_sums_free(struct exact_sums *e);
void references_free(struct references *r);

#endif
