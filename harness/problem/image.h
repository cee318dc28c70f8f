/*
 * image.h: device code: in this program a fatbin for each .cu file of the table and for support.cu
 * (cmake/CudaKernels.cmake makes the list; a program built without nvcc has none), and what is added at run
 * time, beside the variants that it is the code of.
 */
#ifndef NF4BENCH_HARNESS_PROBLEM_IMAGE_H
#define NF4BENCH_HARNESS_PROBLEM_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"
#include "kernels/images.h"

/* Among all; NULL if there is none. */
const struct cuda_image *cuda_image_find(const char *source);
/* Adds device code: a cubin, a fatbin, or PTX, which ends with a NUL byte that `size` counts. Neither
 * `source` nor `data` is copied: both must stay as they are until the process ends. Callers (device/caller.h)
 * load it again. STATUS_INPUT: the name is taken. */
enum status cuda_image_add(const char *source, const void *data, size_t size) WARN_UNUSED_RESULT;
/* Adds to *hash (FNV-1a; begin with CUDA_HASH_BEGIN) the machine code of one entry for GPUs of compute
 * capability `sm`: section .text.<entry> of the ELF files in the image whose architecture fits best: of the
 * same major number and the largest minor one that is not above the GPU's; of several (90 and 90a) all. So an
 * edit of one kernel leaves the others' hashes as they are. False, and *hash as it was: there is none, so the
 * driver compiles PTX. */
#define CUDA_HASH_BEGIN 0xcbf29ce484222325u
bool cuda_image_hash_entry(const struct cuda_image *image, const char *entry, unsigned sm, uint64_t *hash);

#endif
