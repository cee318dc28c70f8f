/*
 * NF4 gemm of one row (m = 1), a warp for each output: the first rung for decoding tokens.
 *
 * Lane l takes every 32nd group of 8 k: 4 bytes of weights, of which a warp reads 128 in one piece, and 16
 * bytes of x (fp32: 32). The codebook is looked up by prmt, in fp32, or rounded to the 16-bit type first
 * (c16: 8 permutes for four weights, not 20). A block's absmax is applied once to the lane's sum over the
 * block (sblk), so that a weight costs its lookup and one fma, and nothing is rounded on the way. The
 * contract acc32w8 is this division of k: each lane is a chain. The 32 sums meet in a tree of shuffles.
 *
 * Where a row's groups do not start on words (k no multiple of 8), and at its end, elements go one by one.
 */
#include "kernels/device/gemm.h"

enum { THREADS = 256, WARPS = THREADS / 32, LANES = 32, WIDTH = 8 };

static inline struct launch launch_columns(const struct gemm_args *a)
{
    return launch_cover(a->n, WARPS, THREADS);
}

/* A lane's chain: the sum over finished runs, and of the run that it is in. */
struct chain {
    float sum, run, absmax;
    size_t block;
};
DEVICE void chain_enter(struct chain *c, const struct gemm_args *a, enum recovery nested, size_t block)
{
    c->sum = __fmaf_rn(c->run, c->absmax, c->sum);
    c->run = 0.0f;
    c->block = block;
    c->absmax = nf4_absmax(&a->w, block, nested);
}

/* x[k .. k + 7]. k is a multiple of 8. */
DEVICE void load_x(float (&x)[WIDTH], const struct gemm_args *a, enum element t, size_t k)
{
    if (t == ELEMENT_F32) {
        const uint4 low = load128((const float *)a->x + k), high = load128((const float *)a->x + k + 4);
        const uint32_t word[WIDTH] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
        UNROLL
        for (unsigned j = 0; j < WIDTH; j++)
            x[j] = __uint_as_float(word[j]);
    } else {
        const uint4 all = load128((const uint16_t *)a->x + k);
        const uint32_t pair[WIDTH / 2] = {all.x, all.y, all.z, all.w};
        UNROLL
        for (unsigned j = 0; j < WIDTH; j += 2) {
            x[j] = low_of_pair(t, pair[j / 2]);
            x[j + 1] = high_of_pair(t, pair[j / 2]);
        }
    }
}

/* The sum of this lane's products with row n of W. */
DEVICE float lane_sum(const struct gemm_args *a, enum element t, enum decoding decode, enum recovery nested,
                      size_t n)
{
    const unsigned shift = nf4_block_shift(&a->w);
    const size_t row = n * a->k, first = threadIdx.x % LANES * WIDTH;
    if (first >= a->k)
        return 0.0f;
    size_t block = (row + first) >> shift;
    struct chain c = {0.0f, 0.0f, nf4_absmax(&a->w, block, nested), block};

    for (size_t k = first; k < a->k; k += LANES * WIDTH) {
        const size_t i = row + k, left = a->k - k;
        if (i % WIDTH == 0 && left >= WIDTH) { /* one aligned word, in one block */
            uint32_t codes = load_stream32(a->w.packed + i / 2);
            float x[WIDTH];
            load_x(x, a, t, k);
            if (i >> shift != c.block)
                chain_enter(&c, a, nested, i >> shift);
            const float4 low = nf4_decode4(t, decode, codes), high = nf4_decode4(t, decode, codes >> 16);
            const float w[WIDTH] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
            UNROLL
            for (unsigned j = 0; j < WIDTH; j++)
                c.run = __fmaf_rn(x[j], w[j], c.run);
        } else {
            for (size_t j = 0; j < WIDTH && j < left; j++) {
                if ((i + j) >> shift != c.block)
                    chain_enter(&c, a, nested, (i + j) >> shift);
                float w = nf4_decode4(t, decode, nf4_code(a->w.packed, i + j) << 4).x;
                c.run = __fmaf_rn(load_element(t, a->x, k + j), w, c.run);
            }
        }
    }
    return __fmaf_rn(c.run, c.absmax, c.sum);
}

DEVICE void gemv(const struct gemm_args *a, enum element t, enum decoding decode, enum recovery nested)
{
    const size_t n = global_thread() / LANES;
    if (n >= a->n)
        return;
    float sum = lane_sum(a, t, decode, nested, n);
    UNROLL
    for (int h = LANES / 2; h; h /= 2)
        sum = __fadd_rn(sum, __shfl_down_sync(0xffffffffu, sum, h));
    if (threadIdx.x % LANES == 0)
        gemm_store(a, t, 0, n, sum);
}

#define GEMV(contract, element, decode, nested)                                                              \
    ENTRY(nf4_gemm_##contract##__sm75_prmt, gemm, THREADS, launch_columns)                                   \
    {                                                                                                        \
        gemv(&a, element, decode, nested);                                                                   \
    }
#define GEMV_TYPE(contract, element, decode)                                                                 \
    GEMV(contract##_sblk_acc32w8, element, decode, ABSMAX_PLAIN)                                             \
    GEMV(contract##_sblk_acc32w8_twostep, element, decode, ABSMAX_TWOSTEP)                                   \
    GEMV(contract##_sblk_acc32w8_fused, element, decode, ABSMAX_FUSED)

GEMV_TYPE(f32, ELEMENT_F32, CODEBOOK_F32)
GEMV_TYPE(f16, ELEMENT_F16, CODEBOOK_F32)
GEMV_TYPE(bf16, ELEMENT_BF16, CODEBOOK_F32)
GEMV_TYPE(f16_c16, ELEMENT_F16, CODEBOOK_OUT)
GEMV_TYPE(bf16_c16, ELEMENT_BF16, CODEBOOK_OUT)
