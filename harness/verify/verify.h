/*
 * verify.h: is a variant right? The fourth stage.
 *
 * A PASS means that the output has the right bits. verify() runs the checks of a table (checks.h) in order, up to
 * the first that decides. `nf4bench verify --list-checks` prints the table; the file of each check says why it is
 * there.
 *
 * Around every call: outputs are poisoned with NaN patterns, and the floating-point state is that of a new process, which
 * the call must leave (call_state.h). A CPU variant is called in another process (device/caller.h), on a copy of the operands
 * between guard pages, inputs read-only, at addresses that change (device/cpu/arena.h, guards.h). On other devices canaries stand at both ends of every buffer,
 * and inputs are hashed. Under the executor every launch has another schedule, and what the executor reports is a FAIL.
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

/* Keeps what several variants share: references by contract, exact-sum problems, which decodes were checked. */
struct verifier;
struct verifier *verifier_new(void); /* NULL: out of memory */
void verifier_free(struct verifier *v);

/* Verifies k on the operands' first set. A wrong kernel is a verdict; only a failure of the harness is a
 * status. The output is left in the set. */
enum status verify(struct verifier *v, const struct kernel *k, const struct operands *o,
                   struct verification *out) WARN_UNUSED_RESULT;

#endif
