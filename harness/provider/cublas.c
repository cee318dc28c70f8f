#include "harness/provider/cublas.h"

#include <stdbool.h>

#include "harness/kernel_table.h"

/* Name, output type, how it recovers absmax, operation, use, and the variant that dequantizes. Which is the
 * one that is expected to be fastest; the report's dequantize rows tell. */
#define TYPE(X, out, type, sm)                                                                               \
    X(cublas_gemm_##out, type, sm, GEMM, DENSE, NONE, nf4_dequant_##out##__sm75_prmt_persistent)             \
    X(cublas_gemm_##out##_nested, type, sm, GEMM, DENSE, FUSED,                                              \
      nf4_dequant_##out##_fused__sm75_prmt_persistent)                                                       \
    X(cublas_gemmdx_##out, type, sm, GEMMDX, DENSE, NONE, nf4_dequant_##out##__sm75_prmt_persistent)         \
    X(cublas_gemmdx_##out##_nested, type, sm, GEMMDX, DENSE, FUSED,                                          \
      nf4_dequant_##out##_fused__sm75_prmt_persistent)                                                       \
    X(nf4_gemm_##out##_any__sm##sm##_cublas_whole, type, sm, GEMM, WHOLE, NONE,                              \
      nf4_dequant_##out##__sm75_prmt_persistent)                                                             \
    X(nf4_gemm_##out##_any_fused__sm##sm##_cublas_whole, type, sm, GEMM, WHOLE, FUSED,                       \
      nf4_dequant_##out##_fused__sm75_prmt_persistent)                                                       \
    X(nf4_gemm_##out##_any__sm##sm##_cublas_slab, type, sm, GEMM, SLAB, NONE,                                \
      nf4_dequant_##out##__sm75_prmt_persistent)                                                             \
    X(nf4_gemm_##out##_any_fused__sm##sm##_cublas_slab, type, sm, GEMM, SLAB, FUSED,                         \
      nf4_dequant_##out##_fused__sm75_prmt_persistent)                                                       \
    X(nf4_gemmdx_##out##_any__sm##sm##_cublas_whole, type, sm, GEMMDX, WHOLE, NONE,                          \
      nf4_dequant_##out##__sm75_prmt_persistent)                                                             \
    X(nf4_gemmdx_##out##_any_fused__sm##sm##_cublas_whole, type, sm, GEMMDX, WHOLE, FUSED,                   \
      nf4_dequant_##out##_fused__sm75_prmt_persistent)

enum status cublas_register(void)
{
    static bool done;
    const struct row {
        const char *name;
        enum dtype out;
        unsigned min_sm;
        enum op op;
        enum blas_use use;
        enum nested nested;
        enum kernel_id dequantize;
    } rows[] = {
#define ROW(name, type, sm, op, use, nested, dequantize)                                                     \
    {#name, DTYPE_##type, sm, OP_##op, BLAS_##use, NESTED_##nested, KERNEL_##dequantize},
        TYPE(ROW, f16, F16, 75) TYPE(ROW, bf16, BF16, 80)
#undef ROW
    };
    enum status s = STATUS_OK;
    if (done)
        return STATUS_OK;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && s == STATUS_OK; i++) {
        const struct row *r = &rows[i];
        const struct kernel k = {.name = r->name,
                                 .source = "libcublas",
                                 .arch = r->min_sm == 75 ? "sm75" : "sm80",
                                 .contract = {.format = FORMAT_NF4,
                                              .op = r->op,
                                              .out = r->out,
                                              .accumulation = ACC_ANY,
                                              .nested = r->nested},
                                 .k_multiple = 1,
                                 .backend = BACKEND_CUDA,
                                 .min_sm = r->min_sm,
                                 .built = true,
                                 .peer = r->use == BLAS_DENSE,
                                 .no_bias = true,
                                 .blas = r->use,
                                 .dequantize = kernel_at(r->dequantize)};
        s = kernel_add(&k);
    }
    done = true;
    return s;
}
