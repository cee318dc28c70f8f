/*
 * library.c: the variants of the table as a library of the kind that plugin.h describes, built beside the
 * program from the same object files (cmake/KernelLibrary.cmake): so that the kernels of another revision can
 * stand in one process with those of this one.
 */
#include <string.h>

#include "kernels/hashes.h"
#include "kernels/images.h"
#include "kernels/plugin.h"

/* What a build without nvcc has; the generated table takes its place. */
__attribute__((weak)) const struct cuda_image cuda_images[] = {{NULL, NULL, NULL}};

/* kernel_table[]: the rows that this build has code for. */
#include "kernel_table.inc"
_Static_assert(sizeof kernel_table / sizeof kernel_table[0] <= NF4BENCH_PLUGIN_VARIANTS_MAX,
               "one library has room");

/* Sizes of device code are known when all is linked, so no initializer has them. */
__attribute__((constructor)) static void set_images(void)
{
    for (size_t i = 0; i < sizeof kernel_table / sizeof kernel_table[0]; i++)
        for (const struct cuda_image *image = cuda_images; image->source; image++)
            if (kernel_table[i].backend == NF4BENCH_CUDA &&
                strcmp(kernel_table[i].source, image->source) == 0) {
                kernel_table[i].image = image->data;
                kernel_table[i].image_size = (uint64_t)(image->end - image->data);
            }
}

NF4BENCH_PLUGIN("nf4bench", kernel_table)
