/*
 * formats_gemm/gemv_columns.cu: int4 gemm of one row (m = 1), from the tensors of a GPTQ or AWQ (GEMM)
 * checkpoint.
 *
 * Run: nf4bench try kernels/formats_gemm/gemv_columns.cu
 * Ladder (kernels/README.md): before this gemv_awqgemv.cu, after this none.
 *
 * Changes over gemv.cu: the bytes (kernels/layouts.h). They have columns side by side where gemv.h has the k
 * of a row. The loads of a warp go across columns, and the 32 chains of acc32w8, eight k in turn each, are
 * 32 groups of lanes and not 32 lanes. A block makes 32 columns with 512 threads.
 *
 * GPTQ: a lane has a word of 8 k of two columns, and 16 lanes read 128 bytes. AWQ: a lane has 8 columns of a
 * k, so that 4 lanes read as much, and four ranges of k (x4) are taken at once to have as many threads. The
 * sums of the chains meet in shared memory, where a warp adds those of a column in the order of the tree.
 *
 * A weight is scaled and rounded before it is multiplied, so that act-order makes no difference to the sum.
 * g_idx is read; where eight k are not all of the group that they would be of in order, scales and zero
 * points are found for each.
 */
#include "kernels/device/gemv.h"
#include "kernels/device/packages.h"

enum { BLOCK_COLUMNS = 32, CHAINS = LANES, THREADS = 512, WARPS = THREADS / 32 };

static inline struct launch launch_blocks(const struct gemm_args *a)
{
    return launch_cover(a->n, BLOCK_COLUMNS, THREADS);
}

/* What decodes a lane's columns from c on, of a group. */
template <enum package P, enum device_element T, unsigned PAIRS_>
DEVICE void blocks_load(struct ready_block (&b)[PAIRS_], const tensors<P> &w, size_t group, size_t c)
{
    UNROLL
    for (unsigned j = 0; j < PAIRS_; j++)
        b[j] = pair_ready(T, w.block(group, c + 2 * j), w.block(group, c + 2 * j + 1));
}

template <enum package P, enum device_element T> DEVICE void gemv(const struct gemm_args *a)
{
    enum { LANE_PAIRS = P == AWQ ? 4 : 1, ACROSS = BLOCK_COLUMNS / 2 / LANE_PAIRS };
    enum { SPLITS = THREADS / CHAINS / ACROSS };
    SHARED(float, sums, [SPLITS][BLOCK_COLUMNS][CHAINS + 1]);
    const tensors<P> w(a->prepared, &a->w, a->n, a->k);
    const unsigned local = threadIdx.x % ACROSS * LANE_PAIRS * 2;
    const unsigned chain = threadIdx.x / ACROSS % CHAINS, split = threadIdx.x / ACROSS / CHAINS;
    const size_t c = (size_t)blockIdx.x * BLOCK_COLUMNS + local;
    const size_t length = ((a->k + SPLITS - 1) / SPLITS + STRIDE - 1) / STRIDE * STRIDE;
    const size_t begin = split * length, end = begin + length < a->k ? begin + length : a->k;

    float sum[LANE_PAIRS][2];
    UNROLL
    for (unsigned j = 0; j < LANE_PAIRS; j++)
        sum[j][0] = sum[j][1] = 0.0f;
    for (size_t k = begin + chain * WORD; c < a->n && k < end; k += STRIDE) {
        const size_t group = group_in_order(&a->w, k);
        uint32_t word[WORD];
        bool in_order = true;
        if (P == AWQ) {
            UNROLL
            for (unsigned i = 0; i < WORD; i++)
                word[i] = k + i < end ? load_stream32(w.codes + ((k + i) * a->n + c) / 8) : 0;
        } else {
            const uint2 two = load_stream64(w.codes + k / 8 * a->n + c);
            const uint32_t *g_idx = w.g_idx + k;
            const uint4 g = load128(g_idx), h = load128(g_idx + 4);
            word[0] = two.x;
            word[1] = two.y;
            in_order = g.x == group && g.y == group && g.z == group && g.w == group && h.x == group &&
                       h.y == group && h.z == group && h.w == group;
        }
        float x[WORD];
        x_load(x, a, T, k, end - k);
        struct ready_block blocks[LANE_PAIRS];
        blocks_load<P, T>(blocks, w, group, c);
        UNROLL
        for (unsigned i = 0; i < WORD; i++)
            if (k + i < end) {
                if (!in_order)
                    blocks_load<P, T>(blocks, w, w.group(&a->w, k + i), c);
                UNROLL
                for (unsigned j = 0; j < LANE_PAIRS; j++) {
                    const struct code_pair codes =
                        P == AWQ ? awq_pair(word[i], j) : gptq_pair(word[0], word[1], i);
                    const uint32_t pair = weights2<T>(codes.word, codes.high, blocks[j]);
                    sum[j][0] = __fmaf_rn(x[i], low_of_pair(T, pair), sum[j][0]);
                    sum[j][1] = __fmaf_rn(x[i], high_of_pair(T, pair), sum[j][1]);
                }
            }
    }
    UNROLL
    for (unsigned j = 0; j < LANE_PAIRS * 2; j++)
        sums[split][local + j][chain] = sum[j / 2][j % 2];
    __syncthreads();
    for (unsigned column = threadIdx.x / 32; column < BLOCK_COLUMNS; column += WARPS) {
        float total = lanes_sum(sums[0][column][threadIdx.x % 32]);
        UNROLL
        for (unsigned s = 1; s < SPLITS; s++)
            total = __fadd_rn(total, lanes_sum(sums[s][column][threadIdx.x % 32]));
        const size_t n = (size_t)blockIdx.x * BLOCK_COLUMNS + column;
        if (threadIdx.x % 32 == 0 && n < a->n)
            gemm_store(a, T, 0, n, total);
    }
}

/* blocks: how many an SM is to hold. */
#define GEMV(name, PACKAGE, element, blocks)                                                                 \
    ENTRY_RESIDENT(name, gemm, THREADS, blocks, launch_blocks)                                               \
    {                                                                                                        \
        gemv<PACKAGE, element>(&a);                                                                          \
    }

GEMV(int4_gemm_f16_acc32w8__sm80_gptq, GPTQ, ELEMENT_F16, 2)
GEMV(int4_gemm_bf16_acc32w8__sm80_gptq, GPTQ, ELEMENT_BF16, 2)
GEMV(int4_gemm_f16_acc32w8__sm80_gptqv2, GPTQV2, ELEMENT_F16, 2)
GEMV(int4_gemm_bf16_acc32w8__sm80_gptqv2, GPTQV2, ELEMENT_BF16, 2)
GEMV(int4_gemm_f16_acc32w8x4__sm80_awq, AWQ, ELEMENT_F16, 1)
GEMV(int4_gemm_bf16_acc32w8x4__sm80_awq, AWQ, ELEMENT_BF16, 1)
