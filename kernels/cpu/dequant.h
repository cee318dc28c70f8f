/*
 * dequant.h: the frame of the dequantize variants with vectors, which AVX2 and AVX-512 share: blocks, and what
 * lies before the first vector of one.
 *
 * A source includes this and defines dequant_block().
 *
 *   stream   non-temporal stores: the output is larger than the caches, and an ordinary store would first
 *            read each line from memory
 */
#ifndef NF4BENCH_KERNELS_CPU_DEQUANT_H
#define NF4BENCH_KERNELS_CPU_DEQUANT_H

#include <immintrin.h>

#include "kernels/cpu/nf4.h"

/* `count` elements of one block from element `first`, a multiple of 32. */
INLINE void dequant_block(const struct dequant_args *a, enum element t, enum cpu_format format,
                          struct block b, size_t first, size_t count, bool stream);

INLINE void dequant_single(const struct dequant_args *a, enum element t, enum cpu_format format,
                           struct block b, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        store_element(t, a->out, i, value_at(&a->w, format, t, i, b.zero) * b.scale);
}

/* The calling thread's blocks. Only those of NF4, which are powers of two, all begin with a multiple of 32.
 */
INLINE void dequant_share(const struct dequant_args *a, enum element t, enum cpu_format format, bool stream)
{
    const size_t blocksize = a->w.blocksize;
    const struct range mine = thread_range((a->count + blocksize - 1) / blocksize);
    for (size_t i = mine.begin; i < mine.end; i++) {
        size_t first = i * blocksize, count = min_size(blocksize, a->count - first);
        const struct block b = block_at(&a->w, format, i);
        if (count == 64) {
            dequant_block(a, t, format, b, first, 64, stream);
            continue;
        }
        if (count == 128) {
            dequant_block(a, t, format, b, first, 128, stream);
            continue;
        }
        const size_t head = is_nf4(format) ? 0 : min_size(count, -first % 32);
        dequant_single(a, t, format, b, first, head);
        dequant_block(a, t, format, b, first + head, count - head, stream);
    }
    if (stream)
        _mm_sfence();
}

/* A contract's two variants. */
#define DEQUANT_STREAMS(contract, arch, element, format)                                                     \
    DEQUANT(contract##__##arch, dequant_share, element, format, false)                                       \
    DEQUANT(contract##__##arch##_stream, dequant_share, element, format, true)
/* Those of four bits. */
#define DEQUANT_NIBBLES(type, arch, element)                                                                 \
    DEQUANT_STREAMS(nf4_dequant_##type, arch, element, NF4)                                                  \
    DEQUANT_STREAMS(nf4_dequant_##type##_twostep, arch, element, NF4_TWOSTEP)                                \
    DEQUANT_STREAMS(nf4_dequant_##type##_fused, arch, element, NF4_FUSED)                                    \
    DEQUANT_STREAMS(int4_dequant_##type, arch, element, INT4)

#endif
