#include "harness/provider/cublas.h"

#include <stdbool.h>

#include "harness/device/caller.h"
#include "harness/problem/variant.h"

/* Name, output type, least compute capability, operation, use, by cuBLASLt, how it recovers absmax, and the
 * variant that dequantizes. Which is the one that is expected to be fastest; the report's dequantize rows
 * tell. Slabs are cuBLAS's alone: of cuBLASLt the last one would be another shape, with another algorithm. */
#define LIBRARY(X, lib, lt, out, type, sm)                                                                   \
    X(lib##_gemm_##out, type, sm, GEMM, DENSE, lt, NONE, nf4_dequant_##out##__sm75_prmt_persistent)          \
    X(lib##_gemm_##out##_nested, type, sm, GEMM, DENSE, lt, FUSED,                                           \
      nf4_dequant_##out##_fused__sm75_prmt_persistent)                                                       \
    X(lib##_gemmdx_##out, type, sm, GEMMDX, DENSE, lt, NONE, nf4_dequant_##out##__sm75_prmt_persistent)      \
    X(lib##_gemmdx_##out##_nested, type, sm, GEMMDX, DENSE, lt, FUSED,                                       \
      nf4_dequant_##out##_fused__sm75_prmt_persistent)                                                       \
    X(nf4_gemm_##out##_any__sm##sm##_##lib##_whole, type, sm, GEMM, WHOLE, lt, NONE,                         \
      nf4_dequant_##out##__sm75_prmt_persistent)                                                             \
    X(nf4_gemm_##out##_any_fused__sm##sm##_##lib##_whole, type, sm, GEMM, WHOLE, lt, FUSED,                  \
      nf4_dequant_##out##_fused__sm75_prmt_persistent)                                                       \
    X(nf4_gemmdx_##out##_any__sm##sm##_##lib##_whole, type, sm, GEMMDX, WHOLE, lt, NONE,                     \
      nf4_dequant_##out##__sm75_prmt_persistent)                                                             \
    X(nf4_gemmdx_##out##_any_fused__sm##sm##_##lib##_whole, type, sm, GEMMDX, WHOLE, lt, FUSED,              \
      nf4_dequant_##out##_fused__sm75_prmt_persistent)
#define TYPE(X, out, type, sm)                                                                               \
    LIBRARY(X, cublas, false, out, type, sm)                                                                 \
    LIBRARY(X, cublaslt, true, out, type, sm)

enum status cublas_register(void)
{
    static bool done;
    const struct row {
        const char *name;
        enum dtype out;
        unsigned min_sm;
        enum op op;
        enum blas_use use;
        bool lt;
        enum nested nested;
        const char *dequantize;
    } rows[] = {
#define ROW(name, type, sm, op, use, lt, nested, dequantize)                                                 \
    {#name, DTYPE_##type, sm, OP_##op, BLAS_##use, lt, NESTED_##nested, #dequantize},
        TYPE(ROW, f16, F16, 75) TYPE(ROW, bf16, BF16, 80)
#undef ROW
    };
    if (done)
        return STATUS_OK;
    done = true;
    caller_loads("--cublas", "");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        const struct kernel k = {.name = r->name,
                                 .source = r->lt ? "libcublasLt" : "libcublas",
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
                                 .blas_lt = r->lt,
                                 .dequantize = kernel_find(r->dequantize)};
        TRY(kernel_add(&k));
    }
    return STATUS_OK;
}
