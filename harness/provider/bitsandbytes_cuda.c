#include "harness/provider/bitsandbytes_cuda.h"

#include <stdlib.h>

#include "harness/kernel_table.h"

/*
 * What their bits are: read from the machine code in libbitsandbytes_cuda130.so of 0.50.2 (cuobjdump -sass,
 * sm_80 and sm_90), and, for the order of things, from the project's csrc/kernels.cu, kDequantizeBlockwise
 * and kgemm_4bit_inference_naive.
 *
 * dequant: one FMUL.FTZ of the fp32 codebook entry and absmax, then one conversion. A checkpoint's own
 * dequantize, with denormals flushed.
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
 */
#define TYPES(X)                                                                                             \
    X(f32, F32, F32, WEIGHT, 0)                                                                              \
    X(f16, F16, OUT, BLOCK, 0x3.1p-11)                                                                       \
    X(bf16, BF16, OUT, BLOCK, 0x3.1p-8)

enum status bitsandbytes_cuda_register(const char *where, const char *option)
{
    const char *file = getenv("NF4BENCH_BITSANDBYTES_CUDA");
    if (file && *file)
        where = file, option = NULL;
    if (!where)
        return STATUS_OK;
#define COMMON                                                                                               \
    .source = where, .option = option, .arch = "peer", .backend = BACKEND_CUDA, .min_sm = 75, .built = true, \
    .peer = true
    const struct kernel kernels[] = {
#define DEQUANT(word, type, decode_, scale_, unit)                                                           \
    {.name = "bitsandbytes_cuda_nf4_dequant_" #word,                                                         \
     .contract = {.op = OP_DEQUANT, .out = DTYPE_##type, .denormals = DENORMALS_FLUSH},                      \
     .k_multiple = 1,                                                                                        \
     .bitsandbytes = BITSANDBYTES_DEQUANT,                                                                   \
     COMMON},
#define GEMV(word, type, decode_, scale_, unit)                                                              \
    {.name = "bitsandbytes_cuda_nf4_gemv_" #word,                                                            \
     .contract = {.op = OP_GEMM,                                                                             \
                  .out = DTYPE_##type,                                                                       \
                  .decode = DECODE_##decode_,                                                                \
                  .scale = SCALE_##scale_,                                                                   \
                  .accumulation = ACC_ANY,                                                                   \
                  .denormals = DENORMALS_FLUSH},                                                             \
     .m_max = 1,                                                                                             \
     .k_multiple = 32,                                                                                       \
     .n_multiple = 4,                                                                                        \
     .no_bias = true,                                                                                        \
     .extra_unit = unit,                                                                                     \
     .bitsandbytes = BITSANDBYTES_GEMV,                                                                      \
     COMMON},
        TYPES(DEQUANT) TYPES(GEMV)
#undef DEQUANT
#undef GEMV
#undef COMMON
    };
    enum status s = STATUS_OK;
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0] && s == STATUS_OK; i++)
        s = kernel_add(&kernels[i]);
    return s;
}
