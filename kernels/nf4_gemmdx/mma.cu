/*
 * nf4_gemmdx/mma.cu: NF4 gemm backward on the tensor cores.
 *
 * Run: nf4bench try kernels/nf4_gemmdx/mma.cu
 * Ladder (kernels/README.md): before this columns.cu, after this formats_gemmdx/mma.cu.
 *
 * Changes over columns.cu: each weight is decoded once for 64 rows, not for 8, and mma makes the products
 * (kernels/device/gemmdx_mma.h). A weight is looked up in the codebook in shared memory, as in
 * nf4_dequant/lut_shared.cu.
 */
#include "kernels/device/gemmdx_mma.h"

template <enum device_element T> struct nf4_own {
    struct own {
        uint2 codes;
        float absmax;
    };
    enum recovery nested;
    const float *codebook;

    METHOD struct own load(const struct gemm_args *a, size_t n, size_t k) const
    {
        const size_t i = n * a->k + k;
        return {load_stream64(a->w.packed + i / 2), nf4_absmax(&a->w, i >> nf4_block_shift(&a->w), nested)};
    }
    /* RN_T(RN32(c * absmax)) of the four codes in the low half of `codes`. */
    METHOD uint2 scaled4(uint32_t codes, float absmax) const
    {
        const float4 c = nf4_table_lookup4(codebook, codes);
        return make_uint2(pair_of_f32(T, __fmul_rn(c.x, absmax), __fmul_rn(c.y, absmax)),
                          pair_of_f32(T, __fmul_rn(c.z, absmax), __fmul_rn(c.w, absmax)));
    }
    METHOD void store(uint16_t *to, const struct gemm_args *, const struct own &w) const
    {
        const uint2 p = scaled4(w.codes.x, w.absmax), q = scaled4(w.codes.x >> 16, w.absmax),
                    r = scaled4(w.codes.y, w.absmax), s = scaled4(w.codes.y >> 16, w.absmax);
        *(uint4 *)to = make_uint4(p.x, p.y, q.x, q.y);
        *(uint4 *)(to + 8) = make_uint4(r.x, r.y, s.x, s.y);
    }
    METHOD float weight(const struct gemm_args *a, size_t n, size_t k) const
    {
        const size_t i = n * a->k + k;
        return __fmul_rn(codebook[nf4_code(a->w.packed, i)],
                         nf4_absmax(&a->w, i >> nf4_block_shift(&a->w), nested));
    }
};

template <enum device_element T> DEVICE void nf4_gemmdx(const struct gemm_args *a, enum recovery nested)
{
    SHARED(float, codebook, [16]);
    if (threadIdx.x < 16)
        codebook[threadIdx.x] = nf4_codebook[threadIdx.x];
    __syncthreads();
    gemmdx<T>(a, nf4_own<T>{nested, codebook});
}

#define GEMMDX(contract, model, element, nested)                                                             \
    ENTRY(nf4_gemmdx_##contract##__sm80_mma_64x64x32, gemmdx, THREADS, launch_tiles)                         \
    {                                                                                                        \
        if (MMA_HERE(model))                                                                                 \
            nf4_gemmdx<element>(&a, nested);                                                                 \
    }

MMA_CONTRACTS(GEMMDX, f16, ELEMENT_F16)
MMA_CONTRACTS(GEMMDX, bf16, ELEMENT_BF16)
