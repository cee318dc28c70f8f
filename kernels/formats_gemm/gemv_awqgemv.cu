/*
 * formats_gemm/gemv_awqgemv.cu: int4 gemm of one row (m = 1), a warp for each output, from the tensors of
 * AWQ's GEMV layout.
 *
 * Run: nf4bench try kernels/formats_gemm/gemv_awqgemv.cu
 * Ladder (kernels/README.md): before this gemv.cu, after this gemv_columns.cu.
 *
 * Changes over gemv.cu: the bytes (kernels/layouts.h). These tensors have W row by row too, a word for 8 k,
 * but the low nibble of a byte comes first, scales and zero points lie in padded rows, and a word has eight
 * zero points.
 */
#include "kernels/device/formats.h"
#include "kernels/device/gemv.h"

struct awq_row {
    enum { EARLY = 1, BLOCKS = 1 };
    typedef struct codes8<4> codes;
    typedef struct stored_block stored;
    const uint32_t *words, *zeros;
    const uint16_t *scales;
    size_t width;

    METHOD awq_row(const struct gemm_args *a) : words((const uint32_t *)a->prepared)
    {
        const struct int4_parts parts = int4_awqgemv_parts(a->n, a->k, a->w.blocksize);
        zeros = (const uint32_t *)((const uint8_t *)a->prepared + parts.zeros);
        scales = (const uint16_t *)((const uint8_t *)a->prepared + parts.scales);
        width = int4_awqgemv_width(a->k, a->w.blocksize);
    }
    METHOD codes load(const struct gemm_args *, size_t i) const
    {
        return {{load_stream32(words + i / 8)}};
    }
    /* k is a multiple of 8: of a row's end there is all or nothing. */
    METHOD codes load_some(const struct gemm_args *, size_t, size_t) const
    {
        return {{0}};
    }
    METHOD void values(float (&v)[WORD], const codes &c) const
    {
        values_raw<INT4, ELEMENT_F32>(v, c.word, LOW_FIRST);
    }
    METHOD float adjust(float v, struct stored_block b) const
    {
        return value_of_raw<INT4>(v, zero_f32(INT4, b.zero));
    }
    /* Where its scale is. */
    METHOD size_t block(const struct gemm_args *a, size_t n, size_t i) const
    {
        const size_t group =
            a->w.blocksize & (a->w.blocksize - 1) ? 0 : (i - n * a->k) >> nf4_block_shift(&a->w);
        return n * 8 * width + group;
    }
    METHOD struct stored_block stored_load(const struct gemm_args *, size_t block) const
    {
        return {scales[block], (uint8_t)(zeros[block / 8] >> 4 * (block % 8) & 15)};
    }
    METHOD float add(const struct gemm_args *, float sum, float run, struct stored_block b) const
    {
        return __fmaf_rn(run, f32_of_f16(b.scale), sum);
    }
};

#define GEMV(name, element)                                                                                  \
    ENTRY_RESIDENT(name, gemm, ROW_THREADS, 4, launch_rows)                                                  \
    {                                                                                                        \
        gemv_row<element>(&a, awq_row(&a));                                                                  \
    }

GEMV(int4_gemm_f16_sblk_acc32w8__sm75_awqgemv, ELEMENT_F16)
GEMV(int4_gemm_bf16_sblk_acc32w8__sm75_awqgemv, ELEMENT_BF16)
