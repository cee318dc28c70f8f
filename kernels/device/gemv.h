/*
 * gemv.h: products of one row of X (m = 1) with rows of W, by warps.
 *
 * The contract sblk_acc32w8: lane l takes every 32nd word, 8 k, of a row: 4 bytes of weights, of which a warp
 * reads 128 in one piece, and 16 bytes of x (fp32: 32). A lane is a chain. It multiplies the values of the codes
 * unscaled and applies the scale of a block once, to its sum over the block: a weight costs a lookup and one fma.
 * The 32 sums meet in a tree of shuffles.
 *
 * A lane loads four words at a time. With one, a warp has 128 bytes under way, where an SM of an H100 needs some
 * 25 KiB. On an H200 four took a 4096 x 4096 layer from 16.7 to 10.5 us. Slower: eight, and loading the next four
 * while these are worked on.
 *
 * Elements are taken one by one at the end of a row, and where the words of a row do not start on words of
 * memory (k no multiple of 8).
 */
#ifndef NF4BENCH_KERNELS_DEVICE_GEMV_H
#define NF4BENCH_KERNELS_DEVICE_GEMV_H

#include "kernels/device/gemm.h"

enum { LANES = 32, WORD = 8, STRIDE = LANES * WORD };

/* A Decode says what is particular to a format:
 *   codes                       of eight elements; load() and load_some() (from anywhere, what there is)
 *                               get them
 *   values(v, codes)            their eight values, which adjust(v, stored) makes right by their block
 *   block(args, n, i)           the block of element i, in row n
 *   stored                      of it: stored_load(args, block)
 *   add(args, sum, run, stored) sum + run * the block's scale
 *   EARLY                       adjust() takes something of the block: it is loaded before the codes are used
 *   BLOCKS                      there are blocks: else add() takes `run` as the sum
 */

/* Words of a lane that are loaded before the first of them is used: as many as there are registers for. The x
 * of fp32 takes twice as many; for sm_75 the compiler needs more. */
DEVICE constexpr unsigned words_ahead(enum device_element t)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
    return 2;
#else
    return t == ELEMENT_F32 ? 2 : 4;
#endif
}

/* A lane's chain: the sum over finished blocks, and over the one that it is in. */
template <class Decode> struct chain {
    float sum, run;
    typename Decode::stored stored; /* of the block; its loads have until the block's end, but with EARLY */
    size_t block;                   /* NO_BLOCK: none yet */
};
#define NO_BLOCK ((size_t)-1)

template <class Decode>
DEVICE void chain_end(chain<Decode> *c, const struct gemm_args *a, const Decode &decode)
{
    if (c->block != NO_BLOCK)
        c->sum = decode.add(a, c->sum, c->run, c->stored);
}
/* The next element lies in `block`, of which `stored` is stored. */
template <class Decode>
DEVICE void chain_enter(chain<Decode> *c, const struct gemm_args *a, const Decode &decode, size_t block,
                        const typename Decode::stored &stored)
{
    chain_end(c, a, decode);
    c->run = 0.0f;
    c->block = block;
    c->stored = stored;
}
template <class Decode>
DEVICE void chain_enter(chain<Decode> *c, const struct gemm_args *a, const Decode &decode, size_t block)
{
    if (block != c->block)
        chain_enter(c, a, decode, block, decode.stored_load(a, block));
}

/* x[k .. k + 7], of which `left` exist. k is a multiple of 8. */
DEVICE void x_load(float (&x)[WORD], const struct gemm_args *a, enum device_element t, size_t k, size_t left)
{
    if (left < WORD) {
        UNROLL
        for (unsigned j = 0; j < WORD; j++)
            x[j] = j < left ? load_element(t, a->x, k + j) : 0.0f;
    } else if (t == ELEMENT_F32) {
        const uint4 low = load128((const float *)a->x + k), high = load128((const float *)a->x + k + 4);
        const uint32_t word[WORD] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
        UNROLL
        for (unsigned j = 0; j < WORD; j++)
            x[j] = __uint_as_float(word[j]);
    } else {
        const uint4 all = load128((const uint16_t *)a->x + k);
        const uint32_t pair[WORD / 2] = {all.x, all.y, all.z, all.w};
        UNROLL
        for (unsigned j = 0; j < WORD; j += 2) {
            x[j] = low_of_pair(t, pair[j / 2]);
            x[j + 1] = high_of_pair(t, pair[j / 2]);
        }
    }
}

/* The products of x with 8 elements of one block. */
template <class Decode>
DEVICE void chain_add(chain<Decode> *c, const Decode &decode, const float (&x)[WORD], const float (&w)[WORD])
{
    UNROLL
    for (unsigned j = 0; j < WORD; j++)
        c->run = __fmaf_rn(x[j], decode.adjust(w[j], c->stored), c->run);
}
/* The same with the elements from i on, of row n, of which `left` exist, whatever their blocks. */
template <class Decode>
DEVICE void chain_add_each(chain<Decode> *c, const struct gemm_args *a, const Decode &decode, size_t n,
                           size_t i, size_t left, const float (&x)[WORD], const float (&w)[WORD])
{
    UNROLL
    for (unsigned j = 0; j < WORD; j++)
        if (j < left) {
            chain_enter(c, a, decode, decode.block(a, n, i + j));
            c->run = __fmaf_rn(x[j], decode.adjust(w[j], c->stored), c->run);
        }
}

/* The sum of the lanes' values, in lane 0. All lanes. */
DEVICE float lanes_sum(float sum)
{
    UNROLL
    for (int h = LANES / 2; h; h /= 2)
        sum = __fadd_rn(sum, __shfl_down_sync(0xffffffffu, sum, h));
    return sum;
}

/* Adds turns of AHEAD words of row n, from `first` on, while there are whole ones before `end`; what is left
 * begins at the result. Rows begin on words. ALONE: no two words of a lane lie in one block, so that none is
 * looked for. */
template <enum device_element T, bool ALONE, class Decode>
DEVICE size_t chain_turns(chain<Decode> *c, const struct gemm_args *a, const Decode &decode, size_t n,
                          size_t first, size_t end)
{
    constexpr unsigned AHEAD = words_ahead(T);
    const size_t mine = threadIdx.x % LANES * WORD, row = n * a->k + mine;
    for (; first + AHEAD * STRIDE <= end; first += AHEAD * STRIDE) {
        typename Decode::codes codes[AHEAD];
        typename Decode::stored stored[AHEAD];
        UNROLL
        for (unsigned j = 0; j < AHEAD; j++)
            codes[j] = decode.load(a, row + first + j * STRIDE);
        UNROLL
        for (unsigned j = 0; j < AHEAD; j++)
            stored[j] = decode.stored_load(a, decode.block(a, n, row + first + j * STRIDE));
        UNROLL
        for (unsigned j = 0; j < AHEAD; j++) {
            float x[WORD], w[WORD];
            x_load(x, a, T, first + j * STRIDE + mine, WORD);
            decode.values(w, codes[j]);
            const size_t block = ALONE ? 0 : decode.block(a, n, row + first + j * STRIDE);
            if (ALONE) {
                c->run = 0.0f;
                c->stored = stored[j];
            } else if (block != c->block) {
                chain_enter(c, a, decode, block, stored[j]);
            }
            chain_add(c, decode, x, w);
            if (ALONE)
                c->sum = decode.add(a, c->sum, c->run, c->stored);
        }
    }
    return first;
}

/* The sum of row n over [begin, end), in lane 0; begin is a multiple of STRIDE. Decoding may be a collective.
 * All lanes. */
template <enum device_element T, class Decode>
DEVICE float row_sum(const struct gemm_args *a, const Decode &decode, size_t n, size_t begin, size_t end)
{
    chain<Decode> c = {0.0f, 0.0f, {}, NO_BLOCK};
    size_t first = begin;
    if (a->k % WORD == 0)
        first = Decode::BLOCKS && a->w.blocksize <= STRIDE
                    ? chain_turns<T, true>(&c, a, decode, n, first, end)
                    : chain_turns<T, false>(&c, a, decode, n, first, end);
    for (; first < end; first += STRIDE) {
        const size_t k = first + threadIdx.x % LANES * WORD, i = n * a->k + k, left = k < end ? end - k : 0;
        const bool word = i % WORD == 0 && left >= WORD;
        const typename Decode::codes codes = word ? decode.load(a, i) : decode.load_some(a, i, left);
        float x[WORD], w[WORD];
        x_load(x, a, T, k, left);
        if (Decode::EARLY && word)
            chain_enter(&c, a, decode, decode.block(a, n, i));
        decode.values(w, codes);
        if (word) {
            if (!Decode::EARLY)
                chain_enter(&c, a, decode, decode.block(a, n, i));
            chain_add(&c, decode, x, w);
        } else {
            chain_add_each(&c, a, decode, n, i, left, x, w);
        }
    }
    chain_end(&c, a, decode);
    return lanes_sum(c.sum);
}

/* ---- a row a warp ---- */

enum { ROW_THREADS = 256 };

static inline struct launch launch_rows(const struct gemm_args *a)
{
    return launch_cover(a->n, ROW_THREADS / LANES, ROW_THREADS);
}

template <enum device_element T, class Decode>
DEVICE void gemv_row(const struct gemm_args *a, const Decode &decode)
{
    const size_t n = global_thread() / LANES;
    if (n >= a->n)
        return;
    const float sum = row_sum<T>(a, decode, n, 0, a->k);
    if (threadIdx.x % LANES == 0)
        gemm_store(a, T, 0, n, sum);
}

/* ---- NF4 ---- */

/* lookup4(codes) gives the values of the four codes in the low half. */
template <class Lookup> struct nf4_row {
    enum { EARLY = 0, BLOCKS = 1 };
    typedef uint32_t codes;
    typedef struct nf4_stored stored;
    enum recovery nested;
    Lookup lookup4;

    METHOD uint32_t load(const struct gemm_args *a, size_t i) const
    {
        return load_stream32(a->w.packed + i / 2);
    }
    METHOD uint32_t load_some(const struct gemm_args *a, size_t i, size_t count) const
    {
        return nf4_codes(a->w.packed, i, count);
    }
    METHOD void values(float (&v)[WORD], uint32_t codes) const
    {
        const float4 low = lookup4(codes), high = lookup4(codes >> 16);
        v[0] = low.x, v[1] = low.y, v[2] = low.z, v[3] = low.w;
        v[4] = high.x, v[5] = high.y, v[6] = high.z, v[7] = high.w;
    }
    METHOD float adjust(float v, struct nf4_stored) const
    {
        return v;
    }
    METHOD size_t block(const struct gemm_args *a, size_t, size_t i) const
    {
        return i >> nf4_block_shift(&a->w);
    }
    METHOD struct nf4_stored stored_load(const struct gemm_args *a, size_t block) const
    {
        return nf4_stored_load(&a->w, block, nested);
    }
    METHOD float add(const struct gemm_args *a, float sum, float run, struct nf4_stored s) const
    {
        return __fmaf_rn(run, nf4_stored_absmax(&a->w, s, nested), sum);
    }
};
template <class Lookup> DEVICE nf4_row<Lookup> nf4_row_by(enum recovery nested, Lookup lookup4)
{
    return {nested, lookup4};
}

/* ---- entries ---- */

/* gemv<element>(args, decoding, recovery) of the file in every type, with the codebook in fp32 and rounded,
 * plain and nested. sums: the contract from sblk to the number of splits; blocks: how many an SM is to hold.
 */
#define GEMV_ENTRIES(sums, knobs, threads, blocks, launch)                                                   \
    GEMV_TYPE(f32, ELEMENT_F32, CODEBOOK_F32, sums, knobs, threads, blocks, launch)                          \
    GEMV_TYPE(f16, ELEMENT_F16, CODEBOOK_F32, sums, knobs, threads, blocks, launch)                          \
    GEMV_TYPE(bf16, ELEMENT_BF16, CODEBOOK_F32, sums, knobs, threads, blocks, launch)                        \
    GEMV_TYPE(f16_c16, ELEMENT_F16, CODEBOOK_OUT, sums, knobs, threads, blocks, launch)                      \
    GEMV_TYPE(bf16_c16, ELEMENT_BF16, CODEBOOK_OUT, sums, knobs, threads, blocks, launch)
#define GEMV_TYPE(type, element, decode, sums, knobs, threads, blocks, launch)                               \
    GEMV_ENTRY(nf4_gemm_##type##_##sums##__##knobs, element, decode, ABSMAX_PLAIN, threads, blocks, launch)  \
    GEMV_ENTRY(nf4_gemm_##type##_##sums##_twostep__##knobs, element, decode, ABSMAX_TWOSTEP, threads,        \
               blocks, launch)                                                                               \
    GEMV_ENTRY(nf4_gemm_##type##_##sums##_fused__##knobs, element, decode, ABSMAX_FUSED, threads, blocks,    \
               launch)
#define GEMV_ENTRY(name, element, decode, nested, threads, blocks, launch)                                   \
    ENTRY_RESIDENT(name, gemm, threads, blocks, launch)                                                      \
    {                                                                                                        \
        gemv<element>(&a, decode, nested);                                                                   \
    }

#endif
