#include "harness/problem/layout.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/kernel.h"
#include "reference/awq.h"
#include "reference/gptq.h"
#include "reference/marlin.h"
#include "reference/repack.h"

static const struct {
    const char *track;
    bool transposed;
} layouts[LAYOUT_COUNT] = {
#define X(name, knob, format, track, transposed) {track, transposed},
    LAYOUT_MAP(X)
#undef X
};

const char *layout_track(enum layout l, enum format f)
{
    return l != LAYOUT_ROWS    ? layouts[l].track
           : f == FORMAT_NF4   ? "checkpoint"
           : f == FORMAT_DENSE ? "dense"
                               : "rows";
}

bool layout_transposed(enum layout l)
{
    return layouts[l].transposed;
}

const char *layout_inapplicable(enum layout l, const struct problem *p)
{
    const struct grouped_int4 w = {.n = p->n, .k = p->k, .group = p->format.blocksize};
    if (l != LAYOUT_GPTQ && l != LAYOUT_GPTQV2 && p->format.act_order)
        return "has no act-order";
    switch (l) {
    case LAYOUT_GPTQ:
    case LAYOUT_GPTQV2:
        return gptq_fits(p->n, p->k) ? NULL : "takes n and k in multiples of 8";
    case LAYOUT_AWQ:
        return awq_gemm_fits(&w) ? NULL : "takes n in multiples of 8";
    case LAYOUT_AWQGEMV:
        return awq_gemv_fits(&w) ? NULL
                                 : "takes k in multiples of 8, and groups of 32, 64 and multiples of 128";
    case LAYOUT_MARLIN:
        return marlin_fits(p->n, p->k) ? NULL : "takes n in multiples of 64 and k of 16";
    default:
        return NULL;
    }
}

static struct int4_parts parts_of(enum layout l, const struct problem *p)
{
    const size_t groups = p->k / p->format.blocksize;
    return l == LAYOUT_AWQ       ? int4_awq_parts(p->n, p->k, groups)
           : l == LAYOUT_AWQGEMV ? int4_awqgemv_parts(p->n, p->k, p->format.blocksize)
           : l == LAYOUT_MARLIN  ? int4_marlin_parts(p->n, p->k, groups)
                                 : int4_gptq_parts(p->n, p->k, groups);
}

size_t layout_bytes(enum layout l, const struct problem *p)
{
    if (l == LAYOUT_ROWS)
        return problem_packed_bytes(p) + problem_scale_bytes(p);
    if (l == LAYOUT_FRAGMENTS)
        return nf4_repacked_bytes(p->n, p->k);
    return parts_of(l, p).bytes;
}

void layout_zero_range(enum layout l, unsigned *least, unsigned *most)
{
    *least = l == LAYOUT_GPTQ;
    *most = l == LAYOUT_GPTQ || l == LAYOUT_ROWS || l == LAYOUT_MARLIN ? 16 : 15;
}

const char *layout_unfit(enum layout l, const struct quantized *w)
{
    unsigned least, most;
    layout_zero_range(l, &least, &most);
    for (size_t b = 0; w->zero && b < w->count / w->blocksize; b++)
        if (w->zero[b] < least || w->zero[b] > most)
            return l == LAYOUT_GPTQ ? "a zero point is 0, which this layout cannot store"
                                    : "a zero point is 16, which this layout cannot store";
    return NULL;
}

/* The zero points of Marlin's layout, group by group. */
static void marlin_scales(const struct grouped_int4 *w, uint8_t *zeros, uint16_t *scales)
{
    const size_t groups = int4_group_count(w->k, w->group);
    for (size_t g = 0; g < groups; g++)
        for (size_t n = 0; n < w->n; n++) {
            zeros[g * w->n + n] = w->zero[n * groups + g];
            scales[g * w->n + n] = w->scale[n * groups + g];
        }
}

bool layout_make(enum layout l, const struct problem *p, const struct quantized *w, void *out)
{
    if (l == LAYOUT_FRAGMENTS) {
        nf4_repack(w->packed, p->n, p->k, out);
        return true;
    }
    const size_t count = p->n * p->k, blocks = problem_block_count(p);
    struct grouped_int4 g = {.n = p->n,
                             .k = p->k,
                             .group = p->format.blocksize,
                             .q = malloc(count),
                             .zero = malloc(blocks),
                             .scale = (uint16_t *)w->scale,
                             .group_of = w->group_of};
    if (g.q && g.zero) {
        const struct int4_parts parts = parts_of(l, p);
        uint8_t *bytes = out;
        const struct awq_tensors awq = {(uint32_t *)out, (uint32_t *)(void *)(bytes + parts.zeros),
                                        (uint16_t *)(void *)(bytes + parts.scales)};
        memset(out, 0, parts.bytes); /* what lies between the tensors */
        nf4_unpack(w->packed, count, g.q);
        for (size_t b = 0; b < blocks; b++)
            g.zero[b] = w->zero ? w->zero[b] : INT4_SYMMETRIC_ZERO;
        if (l == LAYOUT_AWQ) {
            (void)awq_gemm_pack(&g, &awq);
        } else if (l == LAYOUT_AWQGEMV) {
            (void)awq_gemv_pack(&g, &awq);
        } else if (l == LAYOUT_MARLIN) {
            marlin_repack(g.q, p->n, p->k, out);
            marlin_scales(&g, bytes + parts.zeros, awq.scales);
        } else {
            const struct gptq_tensors gptq = {awq.qweight, awq.qzeros, awq.scales,
                                              (uint32_t *)(void *)(bytes + parts.g_idx)};
            (void)gptq_pack(&g, l == LAYOUT_GPTQ ? GPTQ_V1 : GPTQ_V2, &gptq);
        }
    }
    const bool ok = g.q && g.zero;
    free(g.q);
    free(g.zero);
    return ok;
}
