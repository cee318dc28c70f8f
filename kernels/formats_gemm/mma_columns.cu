/*
 * formats_gemm/mma_columns.cu: int4 gemm for up to 64 rows on the tensor cores, from the tensors of a GPTQ
 * or AWQ (GEMM) checkpoint.
 *
 * Run: nf4bench try kernels/formats_gemm/mma_columns.cu
 * Ladder (kernels/README.md): before this mma_stages.cu, after this marlin.cu.
 *
 * Changes over mma_stages.cu: the bytes (kernels/layouts.h). GPTQ: a word has 8 k of a column; two words
 * have the pairs of the fragment of a lane in one byte each, as rows do. AWQ: a word has 8 columns of one k,
 * those of a warp; a lane takes the nibble of its column out of the words of four k, and those of two k make
 * a pair. For AWQ a block has 8 warps, so that a row of k is a sector of memory, 32 bytes.
 *
 * Act-order (GPTQ): g_idx is read for each k. Where 32 k are of the group that they would be of in order,
 * which is all that a warp asks, decoding is that of mma_stages.cu; else scale and zero point are found for
 * each weight. The scales in order are loaded ahead, beside g_idx and not by it.
 *
 * Rows of words that do not begin on 16 bytes (AWQ, n no multiple of 32) are copied word by word.
 */
#include "kernels/device/mma_stages.h"
#include "kernels/device/packages.h"

template <enum package P> constexpr int warps = P == AWQ ? 8 : 4;

template <package P, device_element T> struct columns {
    enum {
        TILES = 1,
        WARP_BYTES = COLUMNS * DEPTH / 2,
        ROW_BYTES = 32, /* of a stage: GPTQ a warp's 8 words of 8 k, AWQ a block's 8 words of a k */
        ORDER = P == AWQ ? PAIRS : LOW_FIRST,
    };
    struct stored {
        uint16_t scale;
        uint32_t zeros;
        uint4 g_idx; /* four of the 32 of its piece; the lanes of other columns have the others */
        uint32_t group;
    };
    struct ready {
        struct ready_block block;
        uint32_t in_order;
    };
    typedef const uint8_t *held;
    tensors<P> w;
    struct ready_block block;
    bool in_order; /* the present piece */

    METHOD columns(const struct gemm_args *a)
        : w(a->prepared, &a->w, a->n, a->k), block{0, 0, 0}, in_order(false)
    {
    }
    METHOD static unsigned local(unsigned warp, unsigned i)
    {
        return warp * COLUMNS + i;
    }
    METHOD struct stored stored_load(const struct gemm_args *a, size_t n, size_t k) const
    {
        const size_t group = group_in_order(&a->w, k);
        struct stored s = {w.scales[group * a->n + n], *w.zeros_at(group, n), {}, (uint32_t)group};
        if (P != AWQ) {
            const uint32_t *g_idx = w.g_idx + k;
            s.g_idx = load128(g_idx + threadIdx.x % 32 / 4 * 4);
        }
        return s;
    }
    METHOD struct ready ready_of(const struct gemm_args *, const struct stored &s) const
    {
        const unsigned c = threadIdx.x % 32 / 4; /* a warp's columns are those of a word */
        const struct stored_block b = {s.scale, tensors<P>::zero_of(s.zeros, c)};
        const uint32_t other = (s.g_idx.x ^ s.group) | (s.g_idx.y ^ s.group) | (s.g_idx.z ^ s.group) |
                               (s.g_idx.w ^ s.group); /* 0: all four are of the group */
        return {block_ready(INT4, T, (enum nibbles)ORDER, b), P == AWQ || other == 0};
    }
    METHOD void enter(const struct ready &mine, int lane)
    {
        block.scale = __shfl_sync(0xffffffffu, mine.block.scale, lane);
        block.zero = __shfl_sync(0xffffffffu, mine.block.zero, lane);
        if (T == ELEMENT_BF16)
            block.rest = __shfl_sync(0xffffffffu, mine.block.rest, lane);
        const uint32_t of_piece = 0x11111111u << lane % 4;
        in_order = P == AWQ || (__ballot_sync(0xffffffffu, (int)mine.in_order) & of_piece) == of_piece;
    }
    /* Where word `warp` of a row of AWQ's stage is: rows 4 apart would lie in the same banks. */
    METHOD static unsigned swizzle(unsigned row, unsigned word)
    {
        return row * ROW_BYTES + (word * 4 ^ (row & 4) * 4);
    }
    template <int WARPS>
    METHOD void stage(uint8_t *to, const struct gemm_args *a, bool aligned, size_t k, size_t end) const
    {
        if (!aligned)
            return;
        const size_t first = (size_t)blockIdx.x * WARPS; /* of its words of 8 columns */
        if (P != AWQ) {
            static_assert(WARPS * 2 * DEPTH / 8 == WARPS * 32, "one copy a thread");
            const unsigned row = threadIdx.x / (WARPS * 2), half = threadIdx.x % (WARPS * 2);
            const size_t c = first * 8 + half * 4, at = k + row * 8;
            cp_async16(to + half / 2 * WARP_BYTES + row * ROW_BYTES + half % 2 * 16,
                       w.codes + at / 8 * a->n + c, c < a->n && at < end ? 16 : 0);
        } else if (a->n % 32 == 0) {
            static_assert(P != AWQ || WARPS / 4 * DEPTH == WARPS * 32, "one copy a thread");
            const unsigned row = threadIdx.x / (WARPS / 4), word = threadIdx.x % (WARPS / 4) * 4;
            const size_t at = k + row;
            cp_async16(to + swizzle(row, word), w.codes + at * (a->n / 8) + first + word,
                       (first + word) * 8 < a->n && at < end ? 16 : 0);
        } else {
            for (unsigned i = threadIdx.x; i < WARPS * DEPTH; i += WARPS * 32) {
                const unsigned row = i / WARPS, word = i % WARPS;
                const size_t at = k + row;
                *(uint32_t *)(to + swizzle(row, word)) =
                    (first + word) * 8 < a->n && at < end ? w.codes[at * (a->n / 8) + first + word] : 0;
            }
        }
    }
    METHOD const uint8_t *hold(const uint8_t *stage, unsigned local) const
    {
        return P == AWQ ? stage : stage + local / COLUMNS * WARP_BYTES + local % COLUMNS * 4;
    }
    METHOD static uint32_t word(const uint8_t *stage, unsigned k)
    {
        return *(const uint32_t *)(stage + swizzle(k, threadIdx.x / 32));
    }
    METHOD void piece(uint32_t (&b)[2][1][2], const struct gemm_args *a, const uint8_t *held, unsigned p,
                      unsigned pair, size_t n, size_t k) const
    {
        if (!in_order) {
            NO_UNROLL
            for (unsigned i = 0; i < 4; i++) {
                const uint32_t both = pair_at(a, held, 0, 0, n, k + 2 * pair + 8 * i, a->k);
                UNROLL
                for (unsigned j = 0; j < 4; j++) /* b has no place that is known too late */
                    if (j == i)
                        b[j / 2][0][j % 2] = both;
            }
            return;
        }
        UNROLL
        for (unsigned s = 0; s < 2; s++) {
            if (P == AWQ) {
                const unsigned place = tensors<P>::place(threadIdx.x % 32 / 4),
                               at = p * PIECE + s * STEP + 2 * pair;
                const unsigned pick = place / 2 | (place / 2 + 4) << 8;
                UNROLL
                for (unsigned half = 0; half < 2; half++)
                    b[s][0][half] = weights2<T>(
                        prmt(word(held, at + 8 * half), word(held, at + 8 * half + 1), pick) >> place % 2 * 4,
                        false, block);
            } else {
                const uint32_t *rows = (const uint32_t *)(held + (p * PIECE + s * STEP) / 8 * ROW_BYTES);
                const uint32_t codes = prmt(rows[0], rows[ROW_BYTES / 4], pair | (pair + 4) << 4);
                const uint2 v = weights4<INT4, T>(codes, 0, block, LOW_FIRST);
                b[s][0][0] = v.x, b[s][0][1] = v.y;
            }
        }
    }
    METHOD uint32_t pair_at(const struct gemm_args *a, const uint8_t *, unsigned, unsigned, size_t n,
                            size_t k, size_t end) const
    {
        float v[2] = {0.0f, 0.0f};
        UNROLL
        for (unsigned j = 0; j < 2; j++)
            if (k + j < end)
                v[j] = w.weight(&a->w, n, k + j);
        return pair_of_f32(T, v[0], v[1]);
    }
};

template <enum package P, enum device_element T> static inline struct launch launch(const struct gemm_args *a)
{
    return launch_stages<columns<P, T>, warps<P>, 1>(a);
}

#define LAUNCH_OF(PACKAGE, element) launch<PACKAGE, element>
#define GEMM(name, model, PACKAGE, element)                                                                  \
    ENTRY_RESIDENT(name, gemm, warps<PACKAGE> * 32, 16 / warps<PACKAGE>, (LAUNCH_OF(PACKAGE, element)))      \
    {                                                                                                        \
        DYNAMIC_SHARED(memory);                                                                              \
        if (MMA_HERE(model))                                                                                 \
            gemm_stages<element, warps<PACKAGE>, 1>(&a, columns<PACKAGE, element>(&a), memory);              \
    }
#define GEMM_PACKAGE(knobs, PACKAGE)                                                                         \
    GEMM(int4_gemm_f16_mma80__sm80_##knobs, 80, PACKAGE, ELEMENT_F16)                                        \
    GEMM(int4_gemm_f16_mma90__sm80_##knobs, 90, PACKAGE, ELEMENT_F16)                                        \
    GEMM(int4_gemm_bf16_mma80__sm80_##knobs, 80, PACKAGE, ELEMENT_BF16)                                      \
    GEMM(int4_gemm_bf16_mma90__sm80_##knobs, 90, PACKAGE, ELEMENT_BF16)

GEMM_PACKAGE(gptq_64x32x128, GPTQ)
GEMM_PACKAGE(gptqv2_64x32x128, GPTQV2)
GEMM_PACKAGE(awq_64x64x128, AWQ)
