/*
 * NF4 dequantize with scaled planes: the 16 possible outputs of a block, not the codebook, are looked up.
 *
 * As prmt, with the multiply and the rounding moved out of the loop over weights: a lane builds the planes of
 * RN_T(RN32(c * absmax)) for 32 weights, which lie in one block. They go to shared memory, because the warp
 * then does its 1024 weights in memory order, 16 bytes of output a lane, so that every load and store of the
 * warp is one piece; a lane reads the planes of the weights it is at (lanes of the same 32 weights read the
 * same address). For the 16-bit types that is 16 multiplies, 8 roundings of pairs and 8 permutes for 32
 * weights, then 8 permutes for each four. For fp32 the planes are four, and only the multiply is saved: it is
 * here for the comparison.
 */
#include "kernels/device/dequant.h"

enum { THREADS = 128, WARPS = THREADS / 32, PIECE = 32, WARP_TILE = 32 * PIECE };

template <enum element T> static inline struct launch launch_tiles(const struct dequant_args *a)
{
    return launch_cover(a->count, WARPS * WARP_TILE, THREADS);
}

/* A plane of each piece of a warp's tile. */
typedef uint4 piece_planes[PIECE];

template <int PLANES> DEVICE void planes_store(piece_planes *to, unsigned piece, nf4_planes<PLANES> p)
{
    UNROLL
    for (int i = 0; i < PLANES; i++)
        to[i][piece] = make_uint4(p.word[i][0], p.word[i][1], p.word[i][2], p.word[i][3]);
}
template <int PLANES> DEVICE nf4_planes<PLANES> planes_load(const piece_planes *from, unsigned piece)
{
    nf4_planes<PLANES> p;
    UNROLL
    for (int i = 0; i < PLANES; i++) {
        uint4 v = load128(&from[i][piece]);
        p.word[i][0] = v.x;
        p.word[i][1] = v.y;
        p.word[i][2] = v.z;
        p.word[i][3] = v.w;
    }
    return p;
}

template <enum element T> DEVICE void dequant(const struct dequant_args *a, enum recovery nested)
{
    const enum element t = T;
    const unsigned lane = threadIdx.x % 32, shift = nf4_block_shift(&a->w), groups = PIECE / GROUP_SIZE(t);
    SHARED(piece_planes, all_planes, [WARPS][T == ELEMENT_F32 ? 4 : 2]);
    piece_planes *planes = all_planes[threadIdx.x / 32];

    /* Group g of this lane is at mine + g * 32 lanes * its size. */
    const size_t tile = global_thread() / 32 * WARP_TILE;
    const size_t mine = tile + lane * GROUP_SIZE(t), stride = 32 * GROUP_SIZE(t);
    uint32_t codes[8] = {0};
    UNROLL
    for (unsigned g = 0; g < groups; g++)
        if (mine + g * stride < a->count)
            codes[g] = group_load(a, t, mine + g * stride);

    const size_t piece = tile + lane * PIECE;
    if (piece < a->count) {
        float absmax = nf4_absmax(&a->w, piece >> shift, nested);
        if (t == ELEMENT_F32)
            planes_store<4>(planes, lane, nf4_scaled_planes_f32(absmax));
        else
            planes_store<2>(planes, lane, nf4_scaled_planes_16(t, absmax));
    }
    __syncwarp();
    UNROLL
    for (unsigned g = 0; g < groups; g++) {
        size_t i = mine + g * stride;
        unsigned from = (unsigned)(i - tile) / PIECE;
        if (i >= a->count)
            continue;
        if (t == ELEMENT_F32) {
            group_store(a, t, i, nf4_lookup4(planes_load<4>(planes, from), codes[g]));
        } else {
            nf4_planes<2> p = planes_load<2>(planes, from);
            uint2 low = nf4_lookup4(p, codes[g]), high = nf4_lookup4(p, codes[g] >> 16);
            group_store(a, t, i, make_uint4(low.x, low.y, high.x, high.y));
        }
    }
}

#define DEQUANT(name, element, nested)                                                                       \
    ENTRY(name, dequant, THREADS, launch_tiles<element>)                                                     \
    {                                                                                                        \
        dequant<element>(&a, nested);                                                                        \
    }
#define DEQUANT_TYPE(type, element)                                                                          \
    DEQUANT(nf4_dequant_##type##__sm75_prmt_scaled, element, ABSMAX_PLAIN)                                   \
    DEQUANT(nf4_dequant_##type##_twostep__sm75_prmt_scaled, element, ABSMAX_TWOSTEP)                         \
    DEQUANT(nf4_dequant_##type##_fused__sm75_prmt_scaled, element, ABSMAX_FUSED)

DEQUANT_TYPE(f32, ELEMENT_F32)
DEQUANT_TYPE(f16, ELEMENT_F16)
DEQUANT_TYPE(bf16, ELEMENT_BF16)
