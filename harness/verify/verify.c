#include "harness/verify/verify.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/base/clock.h"
#include "harness/verify/check_run.h"

struct verifier *verifier_new(void)
{
    return calloc(1, sizeof(struct verifier));
}

static void forget_problem(struct verifier *v)
{
    references_free(v->references);
    v->references = NULL;
    for (int i = 0; i < 2; i++) {
        exact_sums_free(v->sums[i]);
        v->sums[i] = NULL;
    }
    v->has_problem = false;
}

void verifier_free(struct verifier *v)
{
    if (v)
        forget_problem(v);
    free(v);
}

/* Then `check` is "crash" or "hang". */
static bool call_ended(enum verdict v)
{
    return v == VERDICT_CRASHED || v == VERDICT_TIMEOUT;
}

enum status verify(struct verifier *v, const struct kernel *k, const struct operands *o,
                   struct verification *out)
{
    const double start = clock_s();
    const struct quantized weights = operands_tensor(o, 0);
    const char *unfit = layout_unfit(kernel_layout(k), &weights);
    enum status s = STATUS_OK;
    *out = (struct verification){.verdict = VERDICT_PASS, .first_mismatch = -1};
    out->max_abs_error = out->relative_frobenius_error = out->mean_error = out->bound_margin = out->bound =
        out->output_sqnr_db = NAN;
    if (!v->has_problem || !problem_equal(&v->problem, &o->problem)) {
        forget_problem(v);
        v->problem = o->problem;
        v->has_problem = true;
    }
    if (unfit) {
        out->verdict = VERDICT_SKIPPED;
        snprintf(out->reason, sizeof out->reason, "%s", unfit);
        return STATUS_OK;
    }
    for (size_t i = 0; i < check_count && s == STATUS_OK && out->verdict == VERDICT_PASS; i++) {
        const size_t compared = out->compared;
        struct check_run c = {.check = &checks[i], .verifier = v, .kernel = k, .operands = o, .out = out};
        if (!check_applies(&checks[i], k))
            continue;
        s = checks[i].run(&c);
        /* vacuous compares nothing: it decides, and otherwise is not the last check that held. */
        if ((out->verdict != VERDICT_PASS || out->compared > compared) && !call_ended(out->verdict))
            snprintf(out->check, sizeof out->check, "%s", checks[i].name);
    }
    out->seconds = clock_s() - start;
    return s == STATUS_OK ? v->broken : s;
}
