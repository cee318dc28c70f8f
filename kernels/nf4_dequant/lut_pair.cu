/*
 * NF4 dequantize with a table of 256 pairs in shared memory: a byte is looked up, not a code.
 *
 * As lut_shared, with half the lookups: an entry is the two fp32 values of a byte. 256 entries do not lie in
 * different banks, so there are 16 copies, and lane l reads copy l % 16: the 16 lanes that an access of 8
 * bytes serves at once never meet. The 32 KiB are filled by each block, 16 stores a thread; to be worth it, a
 * block makes TURNS tiles at least, and the grid stops growing at BLOCKS, 7 for each of an H100's 132 SMs,
 * which is how many of these tables its shared memory holds (of any other GPU it is some number of rounds).
 *
 * Instructions a weight (dequant.h): 8.4 for bf16, 11.8 for fp32.
 */
#include "kernels/device/dequant.h"

enum { COPIES = 16, TURNS = 4, BLOCKS = 132 * 7 };

template <enum element T> static inline struct launch launch_turns(const struct dequant_args *a)
{
    return launch_turns(a->count, GROUP_SIZE(T) * DEQUANT_THREADS, TURNS, BLOCKS, DEQUANT_THREADS);
}

typedef float2 pair_copies[COPIES];

/* Values of the four codes in the low half of `codes`. */
DEVICE float4 pair_lookup4(const pair_copies *pairs, uint32_t codes)
{
    const unsigned copy = threadIdx.x % COPIES;
    const float2 low = pairs[codes & 255][copy], high = pairs[codes >> 8 & 255][copy];
    return make_float4(low.x, low.y, high.x, high.y);
}

template <enum element T> DEVICE void dequant(const struct dequant_args *a, enum recovery nested)
{
    SHARED(pair_copies, pairs, [256]);
    for (unsigned i = threadIdx.x; i < 256 * COPIES; i += DEQUANT_THREADS)
        pairs[i / COPIES][i % COPIES] =
            make_float2(nf4_codebook[i / COPIES / 16], nf4_codebook[i / COPIES % 16]);
    __syncthreads();

    const size_t stride = (size_t)gridDim.x * DEQUANT_THREADS * GROUP_SIZE(T);
    for (size_t i = global_thread() * GROUP_SIZE(T); i < a->count; i += stride) {
        uint32_t codes = group_load(a, T, i);
        float absmax = nf4_absmax(&a->w, i >> nf4_block_shift(&a->w), nested);
        group_store(a, T, i,
                    group_scale(T, pair_lookup4(pairs, codes), pair_lookup4(pairs, codes >> 16), absmax));
    }
}

DEQUANT_ENTRIES(sm75_lut_pair, DEQUANT_THREADS, launch_turns)
