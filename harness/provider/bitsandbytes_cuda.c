#include "harness/provider/bitsandbytes_cuda.h"

#include <stdlib.h>

#include "harness/problem/variant.h"

/*
 * What their bits are: read from the machine code in libbitsandbytes_cuda130.so of 0.50.2 (cuobjdump -sass,
 * sm_80 and sm_90), and, for the order of things, from the project's csrc/kernels.cu, kDequantizeBlockwise
 * and kgemm_4bit_inference_naive.
 *
 * dequant: one FMUL.FTZ of the fp32 codebook entry and absmax, then one conversion. A checkpoint's own
 * dequantize, with denormals flushed. Nested scales: its kernel for bytes (FMUL.FTZ), an addition of the
 * offset, which in its Python is PyTorch's and here our own, and then the same; three launches, one unit.
 *
 * gemv, fp32: the same weight (FMUL.FTZ), and FFMA.FTZ into one sum for each lane, then over the warp.
 *
 * gemv, 16 bits: codebook and absmax are each rounded to the type, so is their product, and so is its product
 * with the activation; these are summed in fp32 (FADD.FTZ). Beside the rounded codebook, which the contract
 * says (c16), that is three roundings for each weight: (1 + u)^3 - 1 < 3.0625 u, u = 2^-11 or 2^-8. Where a
 * product with an activation is below the normal fp16 numbers its error is absolute instead, 2^-25: for
 * weights of any use nothing beside the others.
 *
 * It reads 16 bytes of a row at a time, from an address that it cuts to a multiple of 16: right where k is a
 * multiple of 32. A block has four rows; those that are not there read scales past the end, so n is a
 * multiple of 4 here.
 *
 * gemm (csrc/gemm_4bit*.cu): up to 3 rows, in fp32, and for small shapes, on CUDA cores: in 16 bits with the
 * same three roundings as gemv (HMUL2 of the rounded codebook and absmax, HMUL2 with the activation,
 * FADD.FTZ), in fp32 FMUL.FTZ and FFMA.FTZ. Else on tensor cores: the fp32 codebook times absmax (FMUL.FTZ),
 * rounded once, two roundings away from the rounded codebook's product. So gemv's contract and its bound hold
 * for either; which of them runs is the library's choice. Nested scales: FFMA.FTZ. It takes rows of whole
 * blocks; the tensor cores' one stores two neighbours of y as one word, so n is even in 16 bits. 1536 is
 * where its Python (backends/cuda/ops.py) stops calling it, whatever the GPU, for dequantize and a dense
 * product.
 *
 * Below that Python has a rule for each GPU which of the two it takes. Both are variants, and timed: the
 * faster one is what the rule can be at best.
 */
#define TYPES(X)                                                                                             \
    X(f32, F32, F32, WEIGHT, 0, 1)                                                                           \
    X(f16, F16, OUT, BLOCK, 0x3.1p-11, 2)                                                                    \
    X(bf16, BF16, OUT, BLOCK, 0x3.1p-8, 2)

#define COMMON                                                                                               \
    .source = where, .option = option, .arch = "peer", .backend = BACKEND_CUDA, .min_sm = 75, .built = true, \
    .peer = true

static enum status add_functions(const char *where, const char *option)
{
    const struct kernel kernels[] = {
#define PRODUCT(type, decode_, scale_, nested_)                                                              \
    .contract = {.op = OP_GEMM,                                                                              \
                 .out = DTYPE_##type,                                                                        \
                 .decode = DECODE_##decode_,                                                                 \
                 .scale = SCALE_##scale_,                                                                    \
                 .accumulation = ACC_ANY,                                                                    \
                 .nested = NESTED_##nested_,                                                                 \
                 .denormals = DENORMALS_FLUSH}
#define DEQUANT_ROW(end, type, nested_)                                                                      \
    {.name = "bitsandbytes_cuda_nf4_dequant_" end,                                                           \
     .contract = {.op = OP_DEQUANT,                                                                          \
                  .out = DTYPE_##type,                                                                       \
                  .nested = NESTED_##nested_,                                                                \
                  .denormals = DENORMALS_FLUSH},                                                             \
     .k_multiple = 1,                                                                                        \
     .bitsandbytes = BITSANDBYTES_DEQUANT,                                                                   \
     COMMON},
#define DEQUANT(word, type, decode_, scale_, unit, even)                                                     \
    DEQUANT_ROW(#word, type, NONE) DEQUANT_ROW(#word "_nested", type, TWOSTEP)
#define GEMV(word, type, decode_, scale_, unit, even)                                                        \
    {.name = "bitsandbytes_cuda_nf4_gemv_" #word,                                                            \
     PRODUCT(type, decode_, scale_, NONE),                                                                   \
     .m_max = 1,                                                                                             \
     .k_multiple = 32,                                                                                       \
     .n_multiple = 4,                                                                                        \
     .no_bias = true,                                                                                        \
     .extra_unit = unit,                                                                                     \
     .bitsandbytes = BITSANDBYTES_GEMV,                                                                      \
     COMMON},
#define GEMM_ROW(end, type, decode_, scale_, nested_, unit, even)                                            \
    {.name = "bitsandbytes_cuda_nf4_gemm_" end,                                                              \
     PRODUCT(type, decode_, scale_, nested_),                                                                \
     .m_max = 1536,                                                                                          \
     .k_multiple = 1,                                                                                        \
     .n_multiple = even,                                                                                     \
     .whole_blocks = true,                                                                                   \
     .extra_unit = unit,                                                                                     \
     .bitsandbytes = BITSANDBYTES_GEMM,                                                                      \
     COMMON},
#define GEMM(word, type, decode_, scale_, unit, even)                                                        \
    GEMM_ROW(#word, type, decode_, scale_, NONE, unit, even)                                                 \
    GEMM_ROW(#word "_nested", type, decode_, scale_, FUSED, unit, even)
        TYPES(DEQUANT) TYPES(GEMV) TYPES(GEMM)
#undef DEQUANT
#undef DEQUANT_ROW
#undef GEMV
#undef GEMM
#undef GEMM_ROW
#undef PRODUCT
    };
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++)
        TRY(kernel_add(&kernels[i]));
    return STATUS_OK;
}

/* Dequantize, then the dense product, as its Python does for what the fused one is not for. */
static enum status add_products_of_cublas(const char *where, const char *option)
{
    static const struct {
        const char *name, *dequantize;
        enum dtype out;
        enum nested nested;
    } rows[] = {
#define ROW(end, type, nested)                                                                               \
    {"bitsandbytes_cuda_nf4_gemm_" end "_cublas", "bitsandbytes_cuda_nf4_dequant_" end, DTYPE_##type,        \
     NESTED_##nested},
        ROW("f16", F16, NONE) ROW("f16_nested", F16, TWOSTEP) ROW("bf16", BF16, NONE)
            ROW("bf16_nested", BF16, TWOSTEP)
#undef ROW
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct kernel k = {.name = rows[i].name,
                                 .contract = {.op = OP_GEMM,
                                              .out = rows[i].out,
                                              .accumulation = ACC_ANY,
                                              .nested = rows[i].nested,
                                              .denormals = DENORMALS_FLUSH},
                                 .k_multiple = 1,
                                 .no_bias = true,
                                 .blas = BLAS_WHOLE,
                                 .bitsandbytes = BITSANDBYTES_DEQUANT,
                                 .dequantize = kernel_find(rows[i].dequantize),
                                 COMMON};
        TRY(kernel_add(&k));
    }
    return STATUS_OK;
}

enum status bitsandbytes_cuda_register(const char *where, const char *option)
{
    const char *file = getenv("NF4BENCH_BITSANDBYTES_CUDA");
    if (file && *file)
        where = file, option = NULL;
    if (!where)
        return STATUS_OK;
    TRY(add_functions(where, option));
    return add_products_of_cublas(where, option);
}
