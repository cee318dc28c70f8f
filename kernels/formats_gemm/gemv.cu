/*
 * formats_gemm/gemv.cu: int4, int8, fp8 and dense gemm of one row (m = 1), a warp for each output, by rows.
 *
 * Run: nf4bench try kernels/formats_gemm/gemv.cu
 * Ladder (kernels/README.md): before this none, after this gemv_awqgemv.cu.
 *
 * nf4_gemm/gemv_prmt.cu with another decode, and nothing else: a value is a permute and an addition
 * (kernels/device/formats.h) where a value of NF4 is 5 permutes. Fewer are not possible: the contract
 * multiplies each value by its x. The zero point of an int4 block is loaded with the codes, as it is wanted
 * first. Dense weights have no blocks, and the chain of a lane is one.
 */
#include "kernels/device/formats.h"
#include "kernels/device/gemv.h"

template <device_format F, device_element T> struct row {
    enum { BITS = CODE_BITS(F, T), EARLY = F == INT4, BLOCKS = F != DENSE };
    typedef struct codes8<BITS> codes;
    typedef struct stored_block stored;

    METHOD codes load(const struct gemm_args *a, size_t i) const
    {
        return codes8_load<BITS>(a->w.packed, i);
    }
    METHOD codes load_some(const struct gemm_args *a, size_t i, size_t count) const
    {
        return codes8_load_some<BITS>(a->w.packed, i, count);
    }
    METHOD void values(float (&v)[WORD], const codes &c) const
    {
        values_raw<F, T>(v, c.word, HIGH_FIRST);
    }
    METHOD float adjust(float v, struct stored_block b) const
    {
        return value_of_raw<F>(v, zero_f32(F, b.zero));
    }
    METHOD size_t block(const struct gemm_args *a, size_t n, size_t i) const
    {
        return F == DENSE ? 0 : block_of(&a->w, i, n);
    }
    METHOD struct stored_block stored_load(const struct gemm_args *a, size_t block) const
    {
        return stored_block_load(F, &a->w, block);
    }
    METHOD float add(const struct gemm_args *, float sum, float run, struct stored_block b) const
    {
        return F == DENSE ? run : __fmaf_rn(run, f32_of_f16(b.scale), sum);
    }
};

#define GEMV(name, FORMAT, element)                                                                          \
    ENTRY_RESIDENT(name, gemm, ROW_THREADS, 4, launch_rows)                                                  \
    {                                                                                                        \
        gemv_row<element>(&a, row<FORMAT, element>{});                                                       \
    }
#define GEMV_FORMAT(format, FORMAT, sums)                                                                    \
    GEMV(format##_gemm_f16_##sums##__sm75_rows, FORMAT, ELEMENT_F16)                                         \
    GEMV(format##_gemm_bf16_##sums##__sm75_rows, FORMAT, ELEMENT_BF16)

GEMV_FORMAT(int4, INT4, sblk_acc32w8)
GEMV_FORMAT(int8, INT8, sblk_acc32w8)
GEMV_FORMAT(fp8, FP8, sblk_acc32w8)
GEMV_FORMAT(dense, DENSE, acc32w8)
