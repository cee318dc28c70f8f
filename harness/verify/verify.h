/*
 * verify.h: is a variant right? The fourth stage.
 *
 * A PASS means that the output has the right bits. Why each check is there:
 *
 * exhaustive_decode. All 16 codes under every fp16 and bf16 value of absmax and fp32 values from every
 * binade, denormal, infinite and NaN included (nested: every map entry under scales of every binade). A
 * decode error anywhere in the codebook or in the rounding is seen here. Products get at it with one-hot
 * activations; under the executor, which is slow, with a share of the scales, another one for each seed.
 *
 * one_hot. Products: each activation row has a single 1, so an output is a single weight whatever the order
 * of summation. Positions from every lane, vector slot and tile edge: a wrong index is seen. Under the
 * executor, with few rows of activations, a part of them drawn from the seed.
 *
 * exact_sums. Products: every partial sum is exact in fp32 in any order (power-of-two scales, activations 0 or
 * +-1, at most 2,000 of them, |sum| < 2^24 units), so the whole result must be bitwise right at full size. A
 * dropped or doubled product is seen, which no error bound can promise. The oracle is integer arithmetic.
 *
 * cancelling_sums. Forward products with 16-bit output and a pinned order: a bias that cancels each sum down
 * to its last bits, which rounding would otherwise hide. A wrong order of summation is seen.
 *
 * real_data. The problem itself: bitwise against the reference in the contract's order, or within the derived
 * bound where the contract promises no order. A bound passes most dropped products: exact_sums is what
 * catches those.
 *
 * reruns. The problem again, for contracts that pin the bits and variants that promise them: other poison,
 * one thread on a CPU, operands at other addresses, under the executor another schedule, on a GPU another
 * stream beside other kernels. An output that depends on any of these, or on what was called before, is seen.
 *
 * Around every call: outputs poisoned with NaN patterns, canaries at both ends of every buffer, inputs
 * hashed; under the executor, every launch has another schedule, and what it reports is a FAIL. An output
 * that is mostly zero or has too few values proves little: MISTRUSTED.
 */
#ifndef NF4BENCH_HARNESS_VERIFY_VERIFY_H
#define NF4BENCH_HARNESS_VERIFY_VERIFY_H

#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"
#include "harness/device/simt/simt.h"
#include "harness/problem/operands.h"
#include "harness/problem/variant.h"
#include "harness/verify/compare.h"
#include "results/record.h"

struct verification {
    enum verdict verdict;
    char check[48];                /* the one that decided, or the last that held */
    char reason[256];              /* one line, "" for PASS */
    char detail[SIMT_REPORT_TEXT]; /* further lines for a person: the decoded mismatch; "" for PASS */
    size_t compared, mismatches;
    int64_t first_mismatch;
    struct comparison real;                                     /* on real data, for the ULP histogram */
    double max_abs_error, relative_frobenius_error, mean_error; /* real data against fp64 */
    double output_sqnr_db;
    double bound, bound_margin; /* NAN where the check was bitwise; the bound where the margin is largest */
    double seconds;
    uint64_t output_hash; /* of the output on the problem's own operands: timed outputs must have it */
};

/* Keeps what several variants share: references by contract, exact-sum problems, decode checks already done.
 */
struct verifier;
struct verifier *verifier_new(void); /* NULL: out of memory */
void verifier_free(struct verifier *v);

/* Verifies k on the operands' first set. A wrong kernel is a verdict; only a failure of the harness is a
 * status. The output is left in the set. */
enum status verify(struct verifier *v, const struct kernel *k, const struct operands *o,
                   struct verification *out) WARN_UNUSED_RESULT;

#endif
