/*
 * serve_cublaslt.c: products by cublasLtMatmul, with the algorithm that its heuristics put first.
 */
#include <stdlib.h>
#include <string.h>

#include "harness/device/cuda/serve.h"

/* Once per process. */
static bool open_lt(struct serve *s)
{
    const uint64_t workspace = SERVE_BLAS_WORKSPACE_BYTES;
    const uint32_t reductions = CUBLASLT_REDUCTION_FP32; /* none between sums that are rounded to 16 bits */
    struct cublaslt_handle *handle;
    if (s->blas.lt)
        return true;
    if (!SERVE_BLAS_CALL(s, cublasLtCreate, &handle) ||
        !SERVE_BLAS_CALL(s, cublasLtMatmulPreferenceCreate, &s->blas.preference) ||
        !SERVE_BLAS_CALL(s, cublasLtMatmulPreferenceSetAttribute, s->blas.preference, CUBLASLT_MAX_WORKSPACE,
                         &workspace, sizeof workspace) ||
        !SERVE_BLAS_CALL(s, cublasLtMatmulPreferenceSetAttribute, s->blas.preference, CUBLASLT_REDUCTIONS,
                         &reductions, sizeof reductions))
        return false;
    s->blas.lt = handle;
    return true;
}

static bool make_layout(struct serve *s, struct cublaslt_layout **out, int type, int rows, int columns,
                        int ld)
{
    return SERVE_BLAS_CALL(s, cublasLtMatrixLayoutCreate, out, type, (uint64_t)rows, (uint64_t)columns, ld);
}

/* Addresses are multiples of 256, as cuMemAlloc gives them, which is what the heuristics take for granted. */
static bool make_plan(struct serve *s, const struct blas_shape *h, struct cublaslt_plan *out)
{
    const int32_t transpose = h->transpose_a ? CUBLAS_T : CUBLAS_N;
    struct cublaslt_choice choice;
    int count = 0;
    *out = (struct cublaslt_plan){.shape = *h};
    if (!SERVE_BLAS_CALL(s, cublasLtMatmulDescCreate, &out->operation, CUBLAS_COMPUTE_FP32,
                         CUBLAS_TYPE_F32) ||
        !SERVE_BLAS_CALL(s, cublasLtMatmulDescSetAttribute, out->operation, CUBLASLT_TRANSPOSE_A, &transpose,
                         sizeof transpose) ||
        !make_layout(s, &out->a, h->type, h->transpose_a ? h->k : h->m, h->transpose_a ? h->m : h->k,
                     h->lda) ||
        !make_layout(s, &out->b, h->type, h->k, h->n, h->ldb) ||
        !make_layout(s, &out->c, h->type, h->m, h->n, h->ldc) ||
        !SERVE_BLAS_CALL(s, cublasLtMatmulAlgoGetHeuristic, s->blas.lt, out->operation, out->a, out->b,
                         out->c, out->c, s->blas.preference, 1, &choice, &count))
        return false;
    if (count < 1)
        return SERVE_FAIL(s, STATUS_LIMIT, "cublasLtMatmulAlgoGetHeuristic knows no algorithm");
    out->algorithm = choice.algorithm;
    return serve_blas_ok(s, choice.state, "cublasLtMatmulAlgoGetHeuristic");
}

/* Plans are few, one for each shape, and kept until the process ends. NULL when it fails. */
static const struct cublaslt_plan *plan_of(struct serve *s, const struct blas_shape *h)
{
    for (size_t i = 0; i < s->blas.plan_count; i++)
        if (memcmp(&s->blas.plans[i].shape, h, sizeof *h) == 0)
            return &s->blas.plans[i];
    struct cublaslt_plan *more = realloc(s->blas.plans, (s->blas.plan_count + 1) * sizeof *s->blas.plans);
    if (!more) {
        SERVE_FAIL(s, STATUS_MEMORY, "cuBLASLt's plans: out of memory");
        return NULL;
    }
    s->blas.plans = more;
    if (!make_plan(s, h, &more[s->blas.plan_count]))
        return NULL;
    return &more[s->blas.plan_count++];
}

bool serve_cublaslt(struct serve *s, const struct blas_product *p)
{
    const float one = 1, zero = 0;
    const struct cublaslt_plan *plan = open_lt(s) ? plan_of(s, &p->shape) : NULL;
    return plan && SERVE_BLAS_CALL(s, cublasLtMatmul, s->blas.lt, plan->operation, &one, p->a, plan->a, p->b,
                                   plan->b, &zero, p->c, plan->c, p->c, plan->c, &plan->algorithm,
                                   s->blas.workspace, SERVE_BLAS_WORKSPACE_BYTES, s->stream);
}
