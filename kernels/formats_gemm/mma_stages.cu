/*
 * formats_gemm/mma_stages.cu: int4, int8, fp8 and dense gemm for up to 64 rows on the tensor cores, by rows,
 * four stages ahead.
 *
 * Run: nf4bench try kernels/formats_gemm/mma_stages.cu
 * Ladder (kernels/README.md): before this none, after this mma_columns.cu.
 *
 * nf4_gemm/mma_stages.cu with another decode, and nothing else (kernels/device/mma_stages.h). There a lane
 * builds the planes of a block and looks weights up in two of them; here it is passed the scale and the zero
 * point of the block, ready for its type, and calculates (kernels/device/formats.h). Of codes of 8 bits a
 * lane reads the two bytes of each pair. Dense weights come to the lanes by ldmatrix, as X does.
 */
#include "kernels/device/formats.h"
#include "kernels/device/mma_stages.h"

enum { WARPS = 4 };

template <device_format F, device_element T> struct rows {
    enum {
        TILES = 1,
        BITS = CODE_BITS(F, T),
        ROW_PITCH = DEPTH * BITS / 8 + 16,
        WARP_BYTES = COLUMNS * ROW_PITCH
    };
    typedef struct stored_block stored;
    typedef struct ready_block ready;
    typedef const uint8_t *held; /* this lane's row; of dense weights what it gives ldmatrix */
    struct ready_block block;

    METHOD static unsigned local(unsigned warp, unsigned i)
    {
        return warp * COLUMNS + i;
    }
    METHOD struct stored_block stored_load(const struct gemm_args *a, size_t n, size_t k) const
    {
        return stored_block_load(F, &a->w, block_of(&a->w, n * a->k + k, n));
    }
    METHOD struct ready_block ready_of(const struct gemm_args *, struct stored_block s) const
    {
        return block_ready(F, T, HIGH_FIRST, s);
    }
    METHOD void enter(struct ready_block mine, int lane)
    {
        if (F == DENSE)
            return;
        block = mine;
        block.scale = __shfl_sync(0xffffffffu, mine.scale, lane);
        if (F == INT4)
            block.zero = __shfl_sync(0xffffffffu, mine.zero, lane);
        else
            block.zero = block_ready(F, T, HIGH_FIRST, {0, 0}).zero;
        if (F == INT4 && T == ELEMENT_BF16)
            block.rest = __shfl_sync(0xffffffffu, mine.rest, lane);
    }
    template <int WARPS>
    METHOD void stage(uint8_t *to, const struct gemm_args *a, bool aligned, size_t k, size_t end) const
    {
        if (aligned)
            stage_rows<WARPS, BITS, ROW_PITCH>(to, a, k, end);
    }
    METHOD const uint8_t *hold(const uint8_t *stage, unsigned local) const
    {
        if (F != DENSE)
            return stage + local * ROW_PITCH;
        const unsigned lane = threadIdx.x % 32;
        return stage + (local - lane / 4 + lane % 8) * ROW_PITCH + lane / 8 * 16;
    }
    METHOD void piece(uint32_t (&b)[2][1][2], const struct gemm_args *, const uint8_t *w, unsigned p,
                      unsigned pair, size_t, size_t) const
    {
        const uint8_t *at = w + p * (PIECE * BITS / 8);
        if (F == DENSE) {
            uint32_t all[4];
            ldmatrix_x4(all, at);
            b[0][0][0] = all[0], b[0][0][1] = all[1];
            b[1][0][0] = all[2], b[1][0][1] = all[3];
            return;
        }
        uint32_t step[2];
        if (F == INT4) {
            const uint4 codes = load128(at);
            const unsigned pick = pair | (pair + 4) << 4;
            step[0] = prmt(codes.x, codes.y, pick);
            step[1] = prmt(codes.z, codes.w, pick);
        } else {
            const uint16_t *both = (const uint16_t *)at + pair;
            step[0] = both[0] | (uint32_t)both[4] << 16;
            step[1] = both[8] | (uint32_t)both[12] << 16;
        }
        UNROLL
        for (unsigned s = 0; s < 2; s++) {
            const uint2 v = weights4<F, T>(step[s], 0, block, HIGH_FIRST);
            b[s][0][0] = v.x, b[s][0][1] = v.y;
        }
    }
    METHOD uint32_t pair_at(const struct gemm_args *a, const uint8_t *, unsigned, unsigned, size_t n,
                            size_t k, size_t end) const
    {
        float w[2] = {0.0f, 0.0f};
        UNROLL
        for (unsigned j = 0; j < 2; j++)
            if (n < a->n && k + j < end)
                w[j] = weight_at<F, T>(&a->w, n * a->k + k + j, n);
        return pair_of_f32(T, w[0], w[1]);
    }
};

template <enum device_format F, enum device_element T>
static inline struct launch launch(const struct gemm_args *a)
{
    return launch_stages<rows<F, T>, WARPS, 1>(a);
}

#define LAUNCH_OF(FORMAT, element) launch<FORMAT, element>
#define GEMM(name, model, FORMAT, element)                                                                   \
    ENTRY_RESIDENT(name, gemm, WARPS * 32, 4, (LAUNCH_OF(FORMAT, element)))                                  \
    {                                                                                                        \
        DYNAMIC_SHARED(memory);                                                                              \
        if (MMA_HERE(model))                                                                                 \
            gemm_stages<element, WARPS, 1>(&a, rows<FORMAT, element>{}, memory);                             \
    }
#define GEMM_FORMAT(format, FORMAT)                                                                          \
    GEMM(format##_gemm_f16_mma80__sm80_stages_64x32x128, 80, FORMAT, ELEMENT_F16)                            \
    GEMM(format##_gemm_f16_mma90__sm80_stages_64x32x128, 90, FORMAT, ELEMENT_F16)                            \
    GEMM(format##_gemm_bf16_mma80__sm80_stages_64x32x128, 80, FORMAT, ELEMENT_BF16)                          \
    GEMM(format##_gemm_bf16_mma90__sm80_stages_64x32x128, 90, FORMAT, ELEMENT_BF16)

GEMM_FORMAT(int4, INT4)
GEMM_FORMAT(int8, INT8)
GEMM_FORMAT(fp8, FP8)
GEMM_FORMAT(dense, DENSE)
