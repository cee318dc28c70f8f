/*
 * nf4_gemm/mma_split.cu: NF4 gemm for up to 64 rows on the tensor cores, k divided among four blocks.
 *
 * Run: nf4bench try kernels/nf4_gemm/mma_split.cu
 * Ladder (kernels/README.md): before this mma_stages.cu, after this mma_repacked.cu.
 *
 * Changes over mma_stages.cu, for outputs of few columns: 4096 of them are 128 blocks of 4 warps, one warp
 * for each scheduler of an H100, which is idle while that warp waits. Four blocks share a range of columns
 * here, a quarter of k each, and a second launch adds their sums in order. There are then blocks enough to
 * make them twice as wide, 64 columns, so that X is read half as often.
 */
#include "kernels/device/mma_stages.h"

enum { WARPS = 8, SPLITS = 4 };

template <enum device_element T> static inline struct launch launch(const struct gemm_args *a)
{
    return launch_stages<nf4_rows<T>, WARPS, SPLITS>(a);
}

#define GEMM(name, model, element, nested)                                                                   \
    ENTRY_RESIDENT(name, gemm, WARPS * 32, 2, launch<element>)                                               \
    {                                                                                                        \
        if (MMA_HERE(model))                                                                                 \
            nf4_gemm_stages<element, WARPS, SPLITS, nf4_rows<element>>(&a, nested);                          \
    }                                                                                                        \
    ENTRY_THEN(name, gemm, SUM_THREADS, launch_sums)                                                         \
    {                                                                                                        \
        gemm_sums<element, SPLITS>(&a);                                                                      \
    }
#define GEMM_TYPE(type, element)                                                                             \
    GEMM(nf4_gemm_##type##_mma80x4__sm80_stages_64x64x128, 80, element, ABSMAX_PLAIN)                        \
    GEMM(nf4_gemm_##type##_mma80x4_fused__sm80_stages_64x64x128, 80, element, ABSMAX_FUSED)                  \
    GEMM(nf4_gemm_##type##_mma90x4__sm80_stages_64x64x128, 90, element, ABSMAX_PLAIN)                        \
    GEMM(nf4_gemm_##type##_mma90x4_fused__sm80_stages_64x64x128, 90, element, ABSMAX_FUSED)

GEMM_TYPE(f16, ELEMENT_F16)
GEMM_TYPE(bf16, ELEMENT_BF16)
