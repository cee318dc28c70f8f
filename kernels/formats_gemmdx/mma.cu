/*
 * formats_gemmdx/mma.cu: int4 and dense gemm backward on the tensor cores, by rows.
 *
 * Run: nf4bench try kernels/formats_gemmdx/mma.cu
 * Ladder (kernels/README.md): before this nf4_gemmdx/mma.cu, after this none.
 *
 * nf4_gemmdx/mma.cu with another decode, and nothing else (kernels/device/gemmdx_mma.h): the 16 weights that
 * a thread has of a row are calculated (kernels/device/formats.h) and not looked up. Dense ones are copied
 * as they are.
 */
#include "kernels/device/formats.h"
#include "kernels/device/gemmdx_mma.h"

template <device_format F, device_element T> struct rows {
    enum { BITS = CODE_BITS(F, T) };
    struct own {
        struct codes8<BITS> low, high;
        struct stored_block block;
    };

    METHOD struct own load(const struct gemm_args *a, size_t n, size_t k) const
    {
        const size_t i = n * a->k + k;
        return {codes8_load<BITS>(a->w.packed, i), codes8_load<BITS>(a->w.packed, i + 8),
                stored_block_load(F, &a->w, F == DENSE ? 0 : block_of(&a->w, i, n))};
    }
    METHOD static uint4 decoded(const struct codes8<BITS> &c, struct ready_block b)
    {
        if (F == DENSE)
            return make_uint4(c.word[0], c.word[1 % (BITS / 4)], c.word[2 % (BITS / 4)],
                              c.word[3 % (BITS / 4)]);
        const uint2 low = weights4<F, T>(c.word[0], 0, b, HIGH_FIRST);
        const uint2 high = weights4<F, T>(c.word[0], 1, b, HIGH_FIRST);
        return make_uint4(low.x, low.y, high.x, high.y);
    }
    METHOD void store(uint16_t *to, const struct gemm_args *, const struct own &w) const
    {
        const struct ready_block b = block_ready(F, T, HIGH_FIRST, w.block);
        *(uint4 *)to = decoded(w.low, b);
        *(uint4 *)(to + 8) = decoded(w.high, b);
    }
    METHOD float weight(const struct gemm_args *a, size_t n, size_t k) const
    {
        return weight_at<F, T>(&a->w, n * a->k + k, n);
    }
};

#define GEMMDX(name, model, FORMAT, element)                                                                 \
    ENTRY(name, gemmdx, THREADS, launch_tiles)                                                               \
    {                                                                                                        \
        if (MMA_HERE(model))                                                                                 \
            gemmdx<element>(&a, rows<FORMAT, element>{});                                                    \
    }
#define GEMMDX_FORMAT(format, FORMAT)                                                                        \
    GEMMDX(format##_gemmdx_f16_mma80__sm80_mma_64x64x32, 80, FORMAT, ELEMENT_F16)                            \
    GEMMDX(format##_gemmdx_f16_mma90__sm80_mma_64x64x32, 90, FORMAT, ELEMENT_F16)                            \
    GEMMDX(format##_gemmdx_bf16_mma80__sm80_mma_64x64x32, 80, FORMAT, ELEMENT_BF16)                          \
    GEMMDX(format##_gemmdx_bf16_mma90__sm80_mma_64x64x32, 90, FORMAT, ELEMENT_BF16)

GEMMDX_FORMAT(int4, INT4)
GEMMDX_FORMAT(dense, DENSE)
