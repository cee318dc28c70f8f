/*
 * serve_bitsandbytes.c: calls of the bitsandbytes package's CUDA library, on our stream.
 *
 * Its CUDA runtime takes the context that is current in the thread, which is the GPU's primary one (serve.c);
 * were it another, our addresses would mean nothing there, so that is looked at after each first call. On an
 * error that it notices the library prints a line and ends the process: its caller, the harness, says so.
 */
#include "harness/device/cuda/serve.h"

#include <limits.h>

#include "reference/nf4.h"

static bool open_library(struct serve *s, const char *where)
{
    if (s->bitsandbytes.library.library)
        return true;
    enum status status = bitsandbytes_cuda_open(where, s->gpu.driver, &s->bitsandbytes.library);
    if (status != STATUS_OK) /* without a library the row is skipped */
        return SERVE_FAIL(s, status == STATUS_ABSENT ? STATUS_LIMIT : status, "%s", status_message());
    return SERVE_CALL(s, cuMemAlloc, &s->bitsandbytes.code, sizeof nf4_codebook_bits) &&
           SERVE_CALL(s, cuMemcpyHtoD, s->bitsandbytes.code, nf4_codebook_bits, sizeof nf4_codebook_bits);
}

static bool has_function(const struct bitsandbytes_cuda *b, enum bitsandbytes_use use,
                         const struct problem *p)
{
    return use == BITSANDBYTES_DEQUANT ? b->dequantize[p->out] && (b->dequantize_bytes || !p->format.nested)
           : use == BITSANDBYTES_GEMV  ? b->gemv[p->out] != NULL
                                       : b->gemm[p->out] != NULL;
}

/* Its counts are of 32 bits. */
static bool counts_fit(struct serve *s, enum bitsandbytes_use use)
{
    const struct problem *p = &s->operands.problem;
    if (problem_weight_count(p) > INT32_MAX)
        return SERVE_FAIL(s, STATUS_LIMIT, "bitsandbytes counts weights up to %d", INT32_MAX);
    if (use == BITSANDBYTES_GEMM && p->m * (p->n > p->k ? p->n : p->k) > INT32_MAX)
        return SERVE_FAIL(s, STATUS_LIMIT, "bitsandbytes counts activations up to %d", INT32_MAX);
    return true;
}

static bool prepare_nested(struct serve *s)
{
    uint64_t *offset = &s->extra.offset, *absmax = &s->extra.absmax;
    return (*offset || SERVE_CALL(s, cuMemAlloc, offset, sizeof(float))) &&
           SERVE_CALL(s, cuMemcpyHtoD, *offset, &s->operands.nested_offset, sizeof(float)) &&
           (*absmax ||
            SERVE_CALL(s, cuMemAlloc, absmax, problem_block_count(&s->operands.problem) * sizeof(float)));
}

bool serve_bitsandbytes_prepare(struct serve *s, const struct serve_kernel *k)
{
    if (!open_library(s, k->own->source) || !counts_fit(s, k->variant->bitsandbytes))
        return false;
    s->bitsandbytes.context_known = false;
    if (!has_function(&s->bitsandbytes.library, k->variant->bitsandbytes, &s->operands.problem))
        return SERVE_FAIL(s, STATUS_LIMIT, "%s has no function for %s", s->bitsandbytes.library.file,
                          k->variant->name);
    return !s->operands.problem.format.nested || prepare_nested(s);
}

static bool check_context(struct serve *s)
{
    struct cuda_context *now;
    if (s->bitsandbytes.context_known)
        return true;
    if (!SERVE_CALL(s, cuCtxGetCurrent, &now))
        return false;
    s->bitsandbytes.context_known = true;
    return now == s->context ||
           SERVE_FAIL(s, STATUS_DEVICE, "%s works in another context than the GPU's primary one",
                      s->bitsandbytes.library.file);
}

#define ADDRESS(pointer) (uint64_t)(uintptr_t)(pointer)

/* As its Python does, but for the addition of the offset, which is PyTorch's there. */
static bool recover_absmax(struct serve *s, const struct weights *w)
{
    enum { NESTED_BLOCKSIZE = 256, THREADS = 256 };
    size_t blocks = problem_block_count(&s->operands.problem);
    unsigned grid = (unsigned)((blocks + THREADS - 1) / THREADS);
    s->bitsandbytes.library.dequantize_bytes(ADDRESS(w->nested_map), ADDRESS(w->absmax_code),
                                             ADDRESS(w->nested_absmax), s->extra.absmax, NESTED_BLOCKSIZE,
                                             (int32_t)blocks, s->stream);
    return serve_support(s, SUPPORT_add, grid, THREADS,
                         (void *[]){&s->extra.absmax, &blocks, &s->extra.offset});
}

bool serve_bitsandbytes_dequantize(struct serve *s, const struct dequant_args *d)
{
    const bool nested = s->operands.problem.format.nested;
    serve_variant_begins(s);
    if (nested && !recover_absmax(s, &d->w))
        return false;
    s->bitsandbytes.library.dequantize[s->operands.problem.out](
        0, ADDRESS(d->w.packed), nested ? s->extra.absmax : ADDRESS(d->w.absmax), ADDRESS(d->out),
        (int32_t)d->w.blocksize, (int32_t)d->count, s->stream);
    return check_context(s);
}

static void gemv(struct serve *s, const struct gemm_args *g)
{
    int32_t n = (int32_t)g->n, k = (int32_t)g->k;
    s->bitsandbytes.library.gemv[s->operands.problem.out](
        n, 1, k, ADDRESS(g->x), ADDRESS(g->w.packed), ADDRESS(g->w.absmax), s->bitsandbytes.code,
        ADDRESS(g->y), n, (k + 1) / 2, n, (int32_t)g->w.blocksize, s->stream);
}

static void gemm(struct serve *s, const struct gemm_args *g)
{
    const struct problem *p = &s->operands.problem;
    s->bitsandbytes.library.gemm[p->out](
        ADDRESS(g->x), ADDRESS(g->w.packed), ADDRESS(p->format.nested ? g->w.nested_absmax : g->w.absmax),
        ADDRESS(g->w.absmax_code), ADDRESS(g->w.nested_map), s->extra.offset, ADDRESS(g->y), ADDRESS(g->bias),
        (int32_t)g->m, (int32_t)g->n, (int32_t)g->k, (int32_t)g->w.blocksize, BITSANDBYTES_QUANT_NF4,
        s->stream);
}

bool serve_bitsandbytes(struct serve *s, const struct serve_kernel *k, size_t set)
{
    union kernel_args a;
    operands_args(&s->operands, set, LAYOUT_ROWS, &a);
    if (k->variant->bitsandbytes == BITSANDBYTES_DEQUANT)
        return serve_bitsandbytes_dequantize(s, &a.dequant);
    serve_variant_begins(s);
    (k->variant->bitsandbytes == BITSANDBYTES_GEMV ? gemv : gemm)(s, &a.gemm);
    return check_context(s);
}
