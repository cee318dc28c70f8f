/*
 * cuda.c: the table of a library with a CUDA variant, examples/dequant.cu. Its device code is what the tests'
 * driver takes for some: it says where the host build of the entry is.
 */
#include <stdio.h>

#include <nf4bench/plugin.h>

extern const struct entry nf4_dequant_bf16__example__fast, nf4_dequant_bf16__example__checked;

static char image[64];

__attribute__((constructor)) static void make_image(void)
{
    snprintf(image, sizeof image, "fake entry %p", (const void *)&nf4_dequant_bf16__example__fast);
}

static const struct nf4bench_variant variants[] = {{.name = "nf4_dequant_bf16__example",
                                                    .backend = NF4BENCH_CUDA,
                                                    .min_sm = 75,
                                                    .fast = &nf4_dequant_bf16__example__fast,
                                                    .checked = &nf4_dequant_bf16__example__checked,
                                                    .image = image,
                                                    .image_size = sizeof image}};

NF4BENCH_PLUGIN("cuda", variants)
