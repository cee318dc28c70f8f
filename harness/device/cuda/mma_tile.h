/*
 * mma_tile.h: one mma m16n8k16, operands and result. Plain C and C++: support.cu reads it too.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_CUDA_MMA_TILE_H
#define NF4BENCH_HARNESS_DEVICE_CUDA_MMA_TILE_H

#include <stdint.h>

enum { MMA_M = 16, MMA_N = 8, MMA_K = 16 };

struct mma_tile {
    uint16_t a[MMA_M][MMA_K]; /* fp16 or bf16, as bits */
    uint16_t b[MMA_N][MMA_K]; /* by columns */
    float c[MMA_M][MMA_N];
    float d[MMA_M][MMA_N]; /* a b + c */
};

#endif
