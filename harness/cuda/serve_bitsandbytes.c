/*
 * serve_bitsandbytes.c: calls of the bitsandbytes package's CUDA library, on our stream.
 *
 * Its CUDA runtime takes the context that is current in the thread, which is the GPU's primary one (serve.c);
 * were it another, our addresses would mean nothing there, so that is looked at after each first call. On an
 * error that it notices the library prints a line and ends the process: its caller, the harness, says so.
 */
#include "harness/cuda/serve.h"

#include <limits.h>

#include "reference/nf4.h"

static bool open_library(struct serve *s, const char *where)
{
    if (s->bitsandbytes.library.library)
        return true;
    enum status status = bitsandbytes_cuda_open(where, s->gpu.driver, &s->bitsandbytes.library);
    if (status != STATUS_OK) /* without a library the row is skipped */
        return serve_fail(s, status == STATUS_ABSENT ? STATUS_LIMIT : status, "%s", status_message());
    return SERVE_CALL(s, cuMemAlloc, &s->bitsandbytes.code, sizeof nf4_codebook_bits) &&
           SERVE_CALL(s, cuMemcpyHtoD, s->bitsandbytes.code, nf4_codebook_bits, sizeof nf4_codebook_bits);
}

bool serve_bitsandbytes_prepare(struct serve *s, const struct serve_kernel *k)
{
    const struct bitsandbytes_cuda *b = &s->bitsandbytes.library;
    enum dtype t = s->operands.problem.out;
    if (!open_library(s, k->name.source))
        return false;
    s->bitsandbytes.context_known = false;
    if (k->name.bitsandbytes == BITSANDBYTES_DEQUANT ? !b->dequantize[t] : !b->gemv[t])
        return serve_fail(s, STATUS_LIMIT, "%s has no function for %s", b->file, k->name.name);
    return true;
}

static bool check_context(struct serve *s)
{
    struct cuda_context *now;
    if (s->bitsandbytes.context_known || !s->cu.cuCtxGetCurrent)
        return true;
    if (!SERVE_CALL(s, cuCtxGetCurrent, &now))
        return false;
    s->bitsandbytes.context_known = true;
    return now == s->context ||
           serve_fail(s, STATUS_DEVICE, "%s works in another context than the GPU's primary one",
                      s->bitsandbytes.library.file);
}

bool serve_bitsandbytes(struct serve *s, const struct serve_kernel *k, size_t set)
{
    const struct bitsandbytes_cuda *b = &s->bitsandbytes.library;
    const struct problem *p = &s->operands.problem;
    union kernel_args a;
    if (problem_weight_count(p) > INT32_MAX)
        return serve_fail(s, STATUS_LIMIT, "bitsandbytes counts weights up to %d", INT32_MAX);
    operands_args(&s->operands, set, false, &a);
    s->channel->by_kernel = true;
#define ADDRESS(pointer) (uint64_t)(uintptr_t)(pointer)
    if (k->name.bitsandbytes == BITSANDBYTES_DEQUANT) {
        const struct dequant_args *d = &a.dequant;
        b->dequantize[p->out](0, ADDRESS(d->w.packed), ADDRESS(d->w.absmax), ADDRESS(d->out),
                              (int32_t)d->w.blocksize, (int32_t)d->count, s->stream);
    } else {
        const struct gemm_args *g = &a.gemm;
        int32_t n = (int32_t)g->n, k_ = (int32_t)g->k;
        b->gemv[p->out](n, 1, k_, ADDRESS(g->x), ADDRESS(g->w.packed), ADDRESS(g->w.absmax),
                        s->bitsandbytes.code, ADDRESS(g->y), n, (k_ + 1) / 2, n, (int32_t)g->w.blocksize,
                        s->stream);
    }
#undef ADDRESS
    return check_context(s);
}
