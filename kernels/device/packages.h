/*
 * packages.h: int4 weights in the layouts of GPTQ and AWQ (layouts.h), which have the columns of W side by side.
 */
#ifndef NF4BENCH_KERNELS_DEVICE_PACKAGES_H
#define NF4BENCH_KERNELS_DEVICE_PACKAGES_H

#include "kernels/device/formats.h"

enum package { GPTQ, GPTQV2, AWQ };

/* The group of k where groups are in order: blocksize is a power of two, or all of k. */
DEVICE size_t group_in_order(const struct weights *w, size_t k)
{
    return w->blocksize & (w->blocksize - 1) ? 0 : k >> nf4_block_shift(w);
}

/* The tensors of W[n,k]. */
template <enum package P> struct tensors {
    const uint32_t *codes, *zeros, *g_idx; /* g_idx: of GPTQ */
    const uint16_t *scales;
    size_t n;

    METHOD tensors(const void *prepared, const struct weights *w, size_t n_, size_t k) : n(n_)
    {
        const size_t groups = group_in_order(w, k - 1) + 1;
        const struct int4_parts parts = int4_gptq_parts(n_, k, groups); /* AWQ's, and g_idx behind them */
        const uint8_t *bytes = (const uint8_t *)prepared;
        codes = (const uint32_t *)bytes;
        zeros = (const uint32_t *)(bytes + parts.zeros);
        scales = (const uint16_t *)(bytes + parts.scales);
        g_idx = (const uint32_t *)(bytes + parts.g_idx);
    }
    METHOD size_t group(const struct weights *w, size_t k) const
    {
        return P == AWQ ? group_in_order(w, k) : g_idx[k];
    }
    /* The nibble of column c in a word of eight columns. */
    METHOD static unsigned place(size_t c)
    {
        return P == AWQ ? (unsigned)(c % 2 * 4 + c % 8 / 2) : (unsigned)(c % 8);
    }
    METHOD const uint32_t *zeros_at(size_t group, size_t c) const
    {
        return zeros + group * (n / 8) + c / 8;
    }
    METHOD static uint8_t zero_of(uint32_t word, size_t c)
    {
        return (uint8_t)((word >> 4 * place(c) & 15) + (P == GPTQ));
    }
    METHOD struct stored_block block(size_t group, size_t c) const
    {
        return {scales[group * n + c], zero_of(*zeros_at(group, c), c)};
    }
    METHOD uint32_t code(size_t c, size_t k) const
    {
        return P == AWQ ? codes[k * (n / 8) + c / 8] >> 4 * place(c) & 15
                        : codes[k / 8 * n + c] >> 4 * (k % 8) & 15;
    }
    METHOD float weight(const struct weights *w, size_t c, size_t k) const
    {
        return int4_weight(code(c, k), block(group(w, k), c));
    }
};

/* ---- pairs of columns ---- */

/* What decodes the weights of column c, c + 1 of a group: each half of PAIRS for its column. */
DEVICE struct ready_block pair_ready(enum device_element t, struct stored_block c, struct stored_block next)
{
    const struct ready_block low = block_ready(INT4, t, PAIRS, c), high = block_ready(INT4, t, PAIRS, next);
    return {prmt(low.scale, high.scale, 0x7610), prmt(low.zero, high.zero, 0x7610),
            prmt(low.rest, high.rest, 0x7610)};
}

/* The codes of a pair of columns at one k, as weights2() takes them. GPTQ: of k = i of the eight that the
 * columns' words have. AWQ: of columns 2 i and 2 i + 1 of the eight that a word has. */
struct code_pair {
    uint32_t word;
    bool high;
};
DEVICE struct code_pair gptq_pair(uint32_t word, uint32_t next, unsigned i)
{
    return {prmt(word, next, i / 2 | (i / 2 + 4) << 8), i % 2 == 1};
}
DEVICE struct code_pair awq_pair(uint32_t word, unsigned i)
{
    return {word >> i / 2 * 8, i % 2 == 1};
}

#endif
