/*
 * verify/internal.h: between verify.c and its checks (verify/decode.c, verify/sums.c, verify/order.c).
 */
#ifndef NF4BENCH_HARNESS_VERIFY_INTERNAL_H
#define NF4BENCH_HARNESS_VERIFY_INTERNAL_H

#include "harness/verify/diagnose.h"
#include "harness/verify/verify.h"

/* One check in progress. Functions below set out->verdict to FAIL, with reason and detail, and return. */
struct check {
    struct verifier *verifier;
    const struct kernel *kernel;
    const struct operands *operands; /* of the problem */
    struct verification *out;
    const char *name;
};

/* Poisons the output of set 0, calls the kernel, checks canaries and inputs. False: FAIL has been set. */
bool check_call(struct check *c, const struct operands *o, const void *prepared);
/* Two calls: one whose output is not looked at, with every code another one, so that a kernel which leaves or
 * repeats an earlier output is not right by it; then one with the codes as they are. *ok: both as
 * check_call(). */
enum status check_calls_on_other_codes(struct check *c, struct operands *o, bool *ok) WARN_UNUSED_RESULT;
/* Running sums of the error against fp64. */
struct error_sums {
    double squared_error, squared_value, error, max;
    size_t count;
};
/* Holds what the kernel dequantized, wherever its layout has it, against the reference; sets FAIL. errors may
 * be NULL. */
enum status check_dequantized(struct check *c, const struct operands *o, struct comparison *cmp,
                              struct error_sums *errors) WARN_UNUSED_RESULT;
/* Sets FAIL from a comparison with mismatches of an output of `count` elements. `where` is a line about the
 * first one, or ""; `cause` what explains them all, or "": then their values and places are looked at. */
void check_failed(struct check *c, const struct comparison *cmp, const char *where, const char *cause,
                  size_t count);
/* The same where output element i is weight i, of a matrix with so many columns. */
void check_weights_failed(struct check *c, const struct comparison *cmp, const struct quantized *w,
                          size_t columns);

/* What a product must give, in c->out, when the one activation that is not zero is 1 and meets weight
 * `element`, and every weight in the sum is finite. Widened to fp32. */
float one_hot_of(const struct contract *c, uint32_t code, struct quantized_block b, float bias);
float one_hot_value(const struct contract *c, const struct quantized *w, size_t element, float bias);

/* False the first time it is asked about a kernel, kind of blocks and m; true after that. */
bool verifier_decode_done(struct verifier *v, const struct kernel *k, size_t blocks, size_t m);

/* Operands of a smaller problem with the same summed dimension and the same tail: the first weights of the
 * real one, read as a smaller matrix. Activations, and a bias that the real problem lacks, are undefined. */
enum status first_weights(struct check *c, bool with_bias, struct operands *o) WARN_UNUSED_RESULT;

enum status check_exhaustive_decode(struct check *c) WARN_UNUSED_RESULT;
enum status check_one_hot(struct check *c) WARN_UNUSED_RESULT;
enum status check_cancelling_sums(struct check *c) WARN_UNUSED_RESULT;

/* The exact-sum problem that fits a contract and a problem; made on first use, kept while the problem stays.
 */
struct exact_sums;
enum status check_exact_sums(struct check *c, struct exact_sums *cache[2]) WARN_UNUSED_RESULT;
void exact_sums_free(struct exact_sums *e);

#endif
