/*
 * image.h: the device code in this program: a fatbin for each .cu file of the table and for support.cu
 * (cmake/CudaKernels.cmake makes the list). A program built without nvcc has none.
 */
#ifndef NF4BENCH_HARNESS_CUDA_IMAGE_H
#define NF4BENCH_HARNESS_CUDA_IMAGE_H

#include <stddef.h>
#include <stdint.h>

struct cuda_image {
    const char *source; /* relative to kernels/, or CUDA_SUPPORT */
    const unsigned char *data;
    const unsigned char *end;
};
#define CUDA_SUPPORT "support.cu"

/* Ends with a NULL source. */
extern const struct cuda_image cuda_images[];

const struct cuda_image *cuda_image_find(const char *source); /* NULL if there is none */
/* FNV-1a of the bytes: tells two builds of a file apart. */
uint64_t cuda_image_hash(const struct cuda_image *image);

#endif
