/*
 * nf4_gemm/mma_stages.cu: NF4 gemm for up to 64 rows on the tensor cores, with X and W four stages ahead.
 *
 * Run: nf4bench try kernels/nf4_gemm/mma_stages.cu
 * Ladder (kernels/README.md): before this mma.cu, after this mma_split.cu.
 *
 * Changes over mma.cu, which has one stage of X and one of W under way. Of W that is 1 KiB for a block of 4
 * warps, where an SM of an H100 needs some 20 KiB in flight to keep up with memory. Here both go by
 * cp.async, three stages of 128 k ahead (6 KiB of W a block), with one barrier for 128 k in place of two for
 * 64. The bytes of a weight are read from shared memory, so that they need no shuffle
 * (kernels/device/mma_stages.h).
 */
#include "kernels/device/mma_stages.h"

enum { WARPS = 4 };

template <enum device_element T> static inline struct launch launch(const struct gemm_args *a)
{
    return launch_stages<nf4_rows<T>, WARPS, 1>(a);
}

#define GEMM(contract, model, element, nested)                                                               \
    ENTRY_RESIDENT(nf4_gemm_##contract##__sm80_stages_64x32x128, gemm, WARPS * 32, 4, launch<element>)       \
    {                                                                                                        \
        if (MMA_HERE(model))                                                                                 \
            nf4_gemm_stages<element, WARPS, 1, nf4_rows<element>>(&a, nested);                               \
    }

MMA_CONTRACTS(GEMM, f16, ELEMENT_F16)
MMA_CONTRACTS(GEMM, bf16, ELEMENT_BF16)
