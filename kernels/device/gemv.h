/*
 * gemv.h: products of up to four rows of X with rows of W, by warps.
 *
 * The contract sblk_acc32w8: lane l takes every 32nd word, 8 k, of a row: 4 bytes of weights, of which a warp
 * reads 128 in one piece, and 16 bytes of x (fp32: 32). A lane is a chain, and the codes' values are
 * multiplied unscaled: a block's absmax is applied once, to the lane's sum over the block, so that a weight
 * costs its lookup and one fma, and nothing is rounded on the way. The 32 sums meet in a tree of shuffles.
 *
 * Four words of a lane are loaded at a time: one by one, a warp has 128 bytes under way, where an SM of an
 * H100 needs some 25 KiB. On an H200 that took a 4096 x 4096 layer from 16.7 to 10.5 us; eight, or the next
 * four while these are worked on, are slower.
 *
 * Where a row's words do not start on words of memory (k no multiple of 8), and at its end, elements go one
 * by one.
 */
#ifndef NF4BENCH_KERNELS_DEVICE_GEMV_H
#define NF4BENCH_KERNELS_DEVICE_GEMV_H

#include "kernels/device/gemm.h"

enum { LANES = 32, WORD = 8, STRIDE = LANES * WORD };

/* A Decode says what is particular to a format:
 *   codes                       of eight elements; load() and load_some() (from anywhere, what there is) get
 * them values(v, codes)            their eight values, which adjust(v, stored) makes right by their block
 *   block(args, n, i)           the block of element i, in row n
 *   stored                      of it: stored_load(args, block)
 *   add(args, sum, run, stored) sum + run * the block's scale
 *   EARLY                       adjust() takes something of the block: it is loaded before the codes are used
 *   BLOCKS                      there are blocks: else add() takes `run` as the sum
 */

/* Words of a lane that are loaded before the first of them is used: as many as there are registers for. */
DEVICE constexpr unsigned words_ahead(enum element t, int m)
{
    return t == ELEMENT_F32 || m > 1 ? 2 : 4;
}

enum { ROWS_OF_X = 4 }; /* at most */

/* A lane's chains, one for each of M rows of X: the sums over finished blocks, and over the one that it is
 * in. */
template <class Decode, int M> struct chain {
    float sum[M], run[M];
    typename Decode::stored stored; /* of the block; its loads have until the block's end, but with EARLY */
    size_t block;                   /* NO_BLOCK: none yet */
};
#define NO_BLOCK ((size_t)-1)

/* The block's sums are complete. */
template <class Decode, int M>
DEVICE void chain_add_block(chain<Decode, M> *c, const struct gemm_args *a, const Decode &decode)
{
    UNROLL
    for (int row = 0; row < M; row++) {
        c->sum[row] = decode.add(a, c->sum[row], c->run[row], c->stored);
        c->run[row] = 0.0f;
    }
}
template <class Decode, int M>
DEVICE void chain_end(chain<Decode, M> *c, const struct gemm_args *a, const Decode &decode)
{
    if (c->block != NO_BLOCK)
        chain_add_block(c, a, decode);
}
/* The next element lies in `block`, of which `stored` is stored. */
template <class Decode, int M>
DEVICE void chain_enter(chain<Decode, M> *c, const struct gemm_args *a, const Decode &decode, size_t block,
                        const typename Decode::stored &stored)
{
    chain_end(c, a, decode);
    c->block = block;
    c->stored = stored;
}
template <class Decode, int M>
DEVICE void chain_enter(chain<Decode, M> *c, const struct gemm_args *a, const Decode &decode, size_t block)
{
    if (block != c->block)
        chain_enter(c, a, decode, block, decode.stored_load(a, block));
}

/* x[row, k .. k + 7]. k is a multiple of 8; ALIGNED: K is as well. */
template <bool ALIGNED>
DEVICE void x_load(float (&x)[WORD], const struct gemm_args *a, enum element t, size_t row, size_t k)
{
    const size_t at = row * a->k + k;
    if (!ALIGNED && at % WORD != 0) {
        UNROLL
        for (unsigned j = 0; j < WORD; j++)
            x[j] = load_element(t, a->x, at + j);
    } else if (t == ELEMENT_F32) {
        const uint4 low = load128((const float *)a->x + at), high = load128((const float *)a->x + at + 4);
        const uint32_t word[WORD] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
        UNROLL
        for (unsigned j = 0; j < WORD; j++)
            x[j] = __uint_as_float(word[j]);
    } else {
        const uint4 all = load128((const uint16_t *)a->x + at);
        const uint32_t pair[WORD / 2] = {all.x, all.y, all.z, all.w};
        UNROLL
        for (unsigned j = 0; j < WORD; j += 2) {
            x[j] = low_of_pair(t, pair[j / 2]);
            x[j + 1] = high_of_pair(t, pair[j / 2]);
        }
    }
}
/* The row of X that chain `row` takes: where there are fewer than M, the last one again. */
DEVICE size_t row_of_x(const struct gemm_args *a, int m, int row)
{
    return m == 1 || (size_t)row < a->m ? row : a->m - 1;
}

/* The products of x[k .. k + 7] with 8 elements of one block. */
template <enum element T, bool ALIGNED, class Decode, int M>
DEVICE void chain_add(chain<Decode, M> *c, const struct gemm_args *a, const Decode &decode, size_t k,
                      const float (&w)[WORD])
{
    UNROLL
    for (int row = 0; row < M; row++) {
        float x[WORD];
        x_load<ALIGNED>(x, a, T, row_of_x(a, M, row), k);
        UNROLL
        for (unsigned j = 0; j < WORD; j++)
            c->run[row] = __fmaf_rn(x[j], decode.adjust(w[j], c->stored), c->run[row]);
    }
}
/* The same with the elements from k on, i in W, of which `left` exist, whatever their blocks. */
template <enum element T, class Decode, int M>
DEVICE void chain_add_each(chain<Decode, M> *c, const struct gemm_args *a, const Decode &decode, size_t n,
                           size_t k, size_t left, const float (&w)[WORD])
{
    UNROLL
    for (unsigned j = 0; j < WORD; j++)
        if (j < left) {
            chain_enter(c, a, decode, decode.block(a, n, n * a->k + k + j));
            UNROLL
            for (int row = 0; row < M; row++)
                c->run[row] = __fmaf_rn(load_element(T, a->x, row_of_x(a, M, row) * a->k + k + j),
                                        decode.adjust(w[j], c->stored), c->run[row]);
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
template <enum element T, bool ALONE, class Decode, int M>
DEVICE size_t chain_turns(chain<Decode, M> *c, const struct gemm_args *a, const Decode &decode, size_t n,
                          size_t first, size_t end)
{
    constexpr unsigned AHEAD = words_ahead(T, M);
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
            float w[WORD];
            decode.values(w, codes[j]);
            const size_t block = ALONE ? 0 : decode.block(a, n, row + first + j * STRIDE);
            if (ALONE)
                c->stored = stored[j];
            else if (block != c->block)
                chain_enter(c, a, decode, block, stored[j]);
            chain_add<T, true>(c, a, decode, first + j * STRIDE + mine, w);
            if (ALONE)
                chain_add_block(c, a, decode);
        }
    }
    return first;
}

/* The sums of row n over [begin, end), one for each row of X, in lane 0; begin is a multiple of STRIDE.
 * Decoding may be a collective. All lanes. */
template <enum element T, class Decode, int M>
DEVICE void row_sums(float (&sum)[M], const struct gemm_args *a, const Decode &decode, size_t n, size_t begin,
                     size_t end)
{
    chain<Decode, M> c = {{}, {}, {}, NO_BLOCK};
    size_t first = begin;
    if (a->k % WORD == 0)
        first = Decode::BLOCKS && a->w.blocksize <= STRIDE
                    ? chain_turns<T, true>(&c, a, decode, n, first, end)
                    : chain_turns<T, false>(&c, a, decode, n, first, end);
    for (; first < end; first += STRIDE) {
        const size_t k = first + threadIdx.x % LANES * WORD, i = n * a->k + k, left = k < end ? end - k : 0;
        const bool word = i % WORD == 0 && left >= WORD;
        const typename Decode::codes codes = word ? decode.load(a, i) : decode.load_some(a, i, left);
        float w[WORD];
        if (Decode::EARLY && word)
            chain_enter(&c, a, decode, decode.block(a, n, i));
        decode.values(w, codes);
        if (word) {
            if (!Decode::EARLY)
                chain_enter(&c, a, decode, decode.block(a, n, i));
            chain_add<T, false>(&c, a, decode, k, w);
        } else {
            chain_add_each<T>(&c, a, decode, n, k, left, w);
        }
    }
    chain_end(&c, a, decode);
    UNROLL
    for (int row = 0; row < M; row++)
        sum[row] = lanes_sum(c.sum[row]);
}

/* ---- a row a warp ---- */

enum { ROW_THREADS = 256, ROW_BLOCKS = 3 };

static inline struct launch launch_rows(const struct gemm_args *a)
{
    return launch_cover(a->n, ROW_THREADS / LANES, ROW_THREADS);
}

template <enum element T, int M, class Decode>
DEVICE void gemv_row_by(const struct gemm_args *a, const Decode &decode, size_t n)
{
    float sum[M];
    row_sums<T>(sum, a, decode, n, 0, a->k);
    UNROLL
    for (int row = 0; row < M; row++)
        if (threadIdx.x % LANES == 0 && (M == 1 || (size_t)row < a->m))
            gemm_store(a, T, row, n, sum[row]);
}
template <enum element T, class Decode> DEVICE void gemv_row(const struct gemm_args *a, const Decode &decode)
{
    const size_t n = global_thread() / LANES;
    if (n >= a->n)
        return;
    if (T == ELEMENT_F32 || a->m == 1) /* fp32 has no registers for more */
        gemv_row_by<T, 1>(a, decode, n);
    else if (a->m == 2)
        gemv_row_by<T, 2>(a, decode, n);
    else
        gemv_row_by<T, ROWS_OF_X>(a, decode, n);
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
