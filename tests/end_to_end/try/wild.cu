/* The example, but it writes far from its output. */
#include "kernels/device/cuda.h"

enum { THREADS = 256 };

CONSTANT float codebook_bits[16] = {
    -0x1p+0f,        -0x1.647362p-1f, -0x1.0cd66p-1f, -0x1.94654p-2f, -0x1.23449ap-2f, -0x1.7a6a7ep-3f,
    -0x1.74f0e2p-4f, 0x0p+0f,         0x1.45f5fep-4f, 0x1.4995c6p-3f, 0x1.f809bap-3f,  0x1.5a0674p-2f,
    0x1.c34970p-2f,  0x1.200f56p-1f,  0x1.722766p-1f, 0x1p+0f,
};

static struct launch launch(const struct dequant_args *a)
{
    return launch_1d((a->count + THREADS - 1) / THREADS, THREADS);
}

ENTRY(nf4_dequant_bf16__example, dequant, THREADS, launch)
{
    SHARED(float, codebook, [16]);
    if (threadIdx.x < 16)
        codebook[threadIdx.x] = codebook_bits[threadIdx.x];
    __syncthreads();

    size_t i = global_thread();
    if (i >= a.count)
        return;
    uint8_t byte = a.w.packed[i / 2];
    unsigned code = i % 2 ? byte & 15 : byte >> 4; /* the high nibble comes first */
    float value = __fmul_rn(codebook[code], a.w.absmax[i / a.w.blocksize]);
    ((uint16_t *)a.out)[i + ((size_t)1 << 40)] = bf16_of_f32(value);
}
