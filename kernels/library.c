/*
 * library.c: the variants of kernels.inc as a library of the kind that plugin.h describes, built beside the
 * program from the same object files (cmake/KernelLibrary.cmake): so that the kernels of another revision can
 * stand in one process with those of this one. Rows that this build has no code for are left out.
 */
#include <string.h>

#include "build_info.h"
#include "kernels/hashes.h"
#include "kernels/images.h"
#include "kernels/plugin.h"

/* What a build without nvcc has; the generated table takes its place. */
__attribute__((weak)) const struct cuda_image cuda_images[] = {{NULL, NULL, NULL}};

/* Where the row stands in the table: its hashes. */
enum {
#define KERNEL(name, ...) ROW_##name,
#include "kernels/kernels.inc"
};

#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)

/* Nothing is weak here, so that a name without a definition does not link. */
#define DECLARE_CPU_0(fn, op)
#define DECLARE_CPU_1(fn, op)           extern op##_fn fn;
#define DECLARE_CPU(fn, op, arch)       PASTE(DECLARE_CPU_, NF4BENCH_HAVE_ARCH_##arch)(fn, op)
#define DECLARE_CUDA(fn, op, arch)      extern const struct entry fn##__fast, fn##__checked;
#define KERNEL(fn, file, op, arch, ...) PASTE(DECLARE_, PASTE(NF4BENCH_BACKEND_, arch))(fn, op, arch)
#include "kernels/kernels.inc"

#if NF4BENCH_SIMT_CHECKED
#define CHECKED(fn) &fn##__checked
#else
#define CHECKED(fn) NULL
#endif

#define CALL_dequant(fn) .dequant = (fn)
#define CALL_gemm(fn)    .gemm = (fn)
#define CALL_gemmdx(fn)  .gemm = (fn)

/* What an arch needs the program knows by its name. */
#define COMMON(fn, file, m_max_, k_multiple_)                                                                \
    .name = #fn, .m_max = m_max_, .k_multiple = k_multiple_, .source = #file,                                \
    .source_hash = kernel_hashes[ROW_##fn].source, .code_hash = kernel_hashes[ROW_##fn].code
#define VARIANT_CPU_0(fn, file, op, m_max_, k_multiple_)
#define VARIANT_CPU_1(fn, file, op, m_max_, k_multiple_)                                                     \
    {COMMON(fn, file, m_max_, k_multiple_), .backend = NF4BENCH_CPU, CALL_##op(fn)},
#define VARIANT_CPU(fn, file, op, arch, m_max_, k_multiple_)                                                 \
    PASTE(VARIANT_CPU_, NF4BENCH_HAVE_ARCH_##arch)(fn, file, op, m_max_, k_multiple_)
#define VARIANT_CUDA(fn, file, op, arch, m_max_, k_multiple_)                                                \
    {COMMON(fn, file, m_max_, k_multiple_), .backend = NF4BENCH_CUDA, .fast = &fn##__fast,                   \
     .checked = CHECKED(fn)},

static struct nf4bench_variant variants[] = {
#define KERNEL(fn, file, op, arch, format, out, decode, scale, accumulation, chains, width, splits, nested,  \
               denormals, m_max_, k_multiple_)                                                               \
    PASTE(VARIANT_, PASTE(NF4BENCH_BACKEND_, arch))(fn, file, op, arch, m_max_, k_multiple_)
#include "kernels/kernels.inc"
};
_Static_assert(sizeof variants / sizeof variants[0] <= NF4BENCH_PLUGIN_VARIANTS_MAX, "one library has room");

/* Sizes of device code are known when all is linked, so no initializer has them. */
__attribute__((constructor)) static void set_images(void)
{
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++)
        for (const struct cuda_image *image = cuda_images; image->source; image++)
            if (variants[i].backend == NF4BENCH_CUDA && strcmp(variants[i].source, image->source) == 0) {
                variants[i].image = image->data;
                variants[i].image_size = (uint64_t)(image->end - image->data);
            }
}

NF4BENCH_PLUGIN("nf4bench", variants)
