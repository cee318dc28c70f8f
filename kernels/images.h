/*
 * images.h: the device code that the build embeds: a fatbin for each .cu file of the table and for support.cu.
 * cmake/EmbedImages.cmake writes the list.
 */
#ifndef NF4BENCH_KERNELS_IMAGES_H
#define NF4BENCH_KERNELS_IMAGES_H

struct cuda_image {
    const char *source; /* relative to kernels/, CUDA_SUPPORT, or the name it was added under */
    const unsigned char *data;
    const unsigned char *end;
};
#define CUDA_SUPPORT "support.cu"

/* Ends with a NULL source. A build without nvcc has none. */
extern const struct cuda_image cuda_images[];

#endif
