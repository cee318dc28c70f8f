/*
 * NF4 dequantize with a table of 256 pairs in shared memory: a byte is looked up, not a code.
 *
 * As lut_shared, with half the lookups (kernels/device/pairs.h). The 32 KiB of the table are filled by each
 * block, 16 stores a thread; to be worth it, a block makes TURNS tiles at least, and the grid stops growing
 * at BLOCKS, 7 for each of an H100's 132 SMs, which is how many of these tables its shared memory holds. A
 * launch does not know its GPU; with another number of SMs the blocks take a broken number of rounds, as
 * those of any grid do.
 *
 * Instructions a weight (dequant.h): 8.4 for bf16, 11.8 for fp32.
 */
#include "kernels/device/dequant.h"
#include "kernels/device/pairs.h"

enum { TURNS = 4, BLOCKS = 132 * 7 };

template <enum element T> static inline struct launch launch_turns(const struct dequant_args *a)
{
    return launch_turns(a->count, GROUP_SIZE(T) * DEQUANT_THREADS, TURNS, BLOCKS, DEQUANT_THREADS);
}

template <enum element T> DEVICE void dequant(const struct dequant_args *a, enum recovery nested)
{
    SHARED(pair_copies, pairs, [256]);
    pairs_fill(pairs, T, CODEBOOK_F32, DEQUANT_THREADS);
    __syncthreads();

    const size_t stride = (size_t)gridDim.x * DEQUANT_THREADS * GROUP_SIZE(T);
    for (size_t i = global_thread() * GROUP_SIZE(T); i < a->count; i += stride) {
        uint32_t codes = group_load(a, T, i);
        float absmax = nf4_absmax(&a->w, i >> nf4_block_shift(&a->w), nested);
        group_store(a, T, i,
                    group_scale(T, pairs_lookup4(pairs, codes), pairs_lookup4(pairs, codes >> 16), absmax));
    }
}

DEQUANT_ENTRIES(sm75_lut_pair, DEQUANT_THREADS, launch_turns)
