/*
 * support.cu: what timing needs of the GPU beside the variants: the ceilings, the hash of an output, poison,
 * and the two means of an honest cold sample; and single instructions of the tensor cores. Plain CUDA: of
 * the dialect of kernels/ it has the mma alone. None of it is under test.
 *
 * Each takes any number of blocks of any number of threads, except block, which takes one thread.
 */
#include <stddef.h>
#include <stdint.h>

#include "harness/device/cuda/mma_tile.h"
#include "kernels/device/cuda.h"

#define KERNEL  extern "C" __global__ void
#define THREADS ((size_t)gridDim.x * blockDim.x)
#define THREAD  ((size_t)blockIdx.x * blockDim.x + threadIdx.x)

__device__ static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Writes all whole 16 bytes. */
KERNEL nf4bench_fill(uint4 *p, size_t size, uint32_t value)
{
    const uint4 v = make_uint4(value, value, value, value);
    for (size_t i = THREAD; i < size / 16; i += THREADS)
        p[i] = v;
}

__device__ static uint32_t sum_of(const uint4 *p, size_t n)
{
    uint32_t sum = 0;
    size_t i = THREAD;
    for (; i + 3 * THREADS < n; i += 4 * THREADS) {
        const uint4 a = p[i], b = p[i + THREADS], c = p[i + 2 * THREADS], d = p[i + 3 * THREADS];
        sum ^= a.x ^ a.y ^ a.z ^ a.w ^ b.x ^ b.y ^ b.z ^ b.w;
        sum ^= c.x ^ c.y ^ c.z ^ c.w ^ d.x ^ d.y ^ d.z ^ d.w;
    }
    for (; i < n; i += THREADS) {
        const uint4 a = p[i];
        sum ^= a.x ^ a.y ^ a.z ^ a.w;
    }
    return sum;
}

/* Reads all whole 16 bytes of two ranges; *sink depends on them, so that no read can be left out. */
KERNEL nf4bench_read(const uint4 *p, size_t p_size, const uint4 *q, size_t q_size, unsigned long long *sink)
{
    const uint32_t sum = sum_of(p, p_size / 16) ^ sum_of(q, q_size / 16);
    if (sum == 0x9e3779b9u)
        *sink = sum;
}

/* Reads all whole 16 bytes of two ranges while it writes those of a third, at their ratio: what is written
 * depends on what was read. Two ways, of which one is faster where most stays in the L2 cache and the other
 * where nothing does (serve_time.c). This one: all threads of the grid read, and write, next to each other.
 */
KERNEL nf4bench_copy(const uint4 *p, size_t p_size, const uint4 *q, size_t q_size, uint4 *to, size_t to_size)
{
    enum { AT_ONCE = 4 };
    const size_t p_count = p_size / 16, count = p_count + q_size / 16, to_count = to_size / 16;
    const size_t reads = (count + THREADS - 1) / THREADS, writes = (to_count + THREADS - 1) / THREADS;
    size_t written = 0;
    for (size_t r = 0; r < reads || written < writes; r += AT_ONCE) {
        uint4 v[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            const size_t at = THREAD + (r + i) * THREADS;
            v[i] = at < p_count ? p[at] : at < count ? q[at - p_count] : make_uint4(0, 0, 0, 0);
        }
        const uint4 sum = make_uint4(v[0].x ^ v[1].x ^ v[2].x ^ v[3].x, v[0].y ^ v[1].y ^ v[2].y ^ v[3].y,
                                     v[0].z ^ v[1].z ^ v[2].z ^ v[3].z, v[0].w ^ v[1].w ^ v[2].w ^ v[3].w);
        const size_t goal = r + AT_ONCE < reads ? writes * (r + AT_ONCE) / reads : writes;
        for (; written < goal; written++) {
            const size_t at = THREAD + written * THREADS;
            if (at < to_count)
                to[at] = sum;
        }
    }
}

/* The other: each block reads `reads` of the 16 bytes, then writes `writes`. */
KERNEL nf4bench_copy_shares(const uint4 *p, size_t p_size, const uint4 *q, size_t q_size, uint4 *to,
                            size_t to_size, size_t reads, size_t writes)
{
    enum { AT_ONCE = 4 };
    const size_t p_count = p_size / 16, count = p_count + q_size / 16, to_count = to_size / 16;
    const size_t begin = blockIdx.x * reads, to_begin = blockIdx.x * writes;
    const size_t end = begin + reads < count ? begin + reads : count;
    const size_t to_end = to_begin + writes < to_count ? to_begin + writes : to_count;
    uint4 sum = make_uint4(0, 0, 0, 0);
    for (size_t i = begin + threadIdx.x; i < end; i += AT_ONCE * blockDim.x) {
        uint4 v[AT_ONCE];
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++) {
            const size_t at = i + j * blockDim.x;
            v[j] = at >= end ? make_uint4(0, 0, 0, 0) : at < p_count ? p[at] : q[at - p_count];
        }
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++)
            sum = make_uint4(sum.x ^ v[j].x, sum.y ^ v[j].y, sum.z ^ v[j].z, sum.w ^ v[j].w);
    }
#pragma unroll 4
    for (size_t i = to_begin + threadIdx.x; i < to_end; i += blockDim.x)
        to[i] = sum;
}

/* NaN patterns, as fp32, fp16 and bf16, that vary with salt and place; what is over after 8 bytes as well. */
KERNEL nf4bench_poison(uint8_t *p, size_t size, uint64_t salt)
{
    for (size_t i = THREAD; i < (size + 7) / 8; i += THREADS) {
        const uint64_t v = (mix(salt + i) & 0x807f807f807f807fu) | 0x7f817f817f817f81u;
        if (8 * i + 8 <= size)
            *(uint64_t *)(p + 8 * i) = v;
        else
            for (size_t j = 8 * i; j < size; j++)
                p[j] = (uint8_t)(v >> 8 * (j - 8 * i));
    }
}

/* Adds to *hash a hash of all bytes that does not depend on the order of the threads. */
KERNEL nf4bench_hash(const uint8_t *p, size_t size, unsigned long long *hash)
{
    uint64_t sum = 0;
    for (size_t i = THREAD; i < (size + 7) / 8; i += THREADS) {
        uint64_t v = 0;
        if (8 * i + 8 <= size)
            v = *(const uint64_t *)(p + 8 * i);
        else
            for (size_t j = 8 * i; j < size; j++)
                v |= (uint64_t)p[j] << 8 * (j - 8 * i);
        sum += mix(v ^ mix(i + 1));
    }
    atomicAdd(hash, sum);
}

/* Drops the lines of whole 128 bytes from the L2 cache without writing them back: they are garbage
 * afterwards. */
KERNEL nf4bench_discard(uint8_t *p, size_t size)
{
#if __CUDA_ARCH__ >= 800
    for (size_t i = THREAD; i < size / 128; i += THREADS)
        asm volatile("discard.global.L2 [%0], 128;" ::"l"(p + 128 * i) : "memory");
#endif
}

/* Adds *what to each of the values. */
KERNEL nf4bench_add(float *values, size_t count, const float *what)
{
    for (size_t i = THREAD; i < count; i += THREADS)
        values[i] += *what;
}

/* One thread: holds the stream until the host writes gate[0], for limit_ns at most; then gate[1] is set. */
KERNEL nf4bench_block(volatile int *gate, uint64_t limit_ns)
{
    uint64_t start, now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(start));
    while (!gate[0]) {
        asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
        if (now - start > limit_ns) {
            gate[1] = 1;
            break;
        }
    }
}

__device__ static uint32_t pair_at(const uint16_t *row, unsigned k)
{
    return *(const uint32_t *)(row + k);
}

/* A warp for each tile: d = a b + c by mma.m16n8k16, whose fragments cuda.h describes. */
KERNEL nf4bench_mma(struct mma_tile *tiles, size_t count, int bf16)
{
#if __CUDA_ARCH__ >= 800
    const size_t i = THREAD / 32;
    const unsigned group = threadIdx.x % 32 / 4, k = threadIdx.x % 4 * 2;
    if (i >= count)
        return;
    struct mma_tile *t = &tiles[i];
    const uint32_t a[4] = {pair_at(t->a[group], k), pair_at(t->a[group + 8], k), pair_at(t->a[group], k + 8),
                           pair_at(t->a[group + 8], k + 8)},
                   b[2] = {pair_at(t->b[group], k), pair_at(t->b[group], k + 8)};
    float d[4] = {t->c[group][k], t->c[group][k + 1], t->c[group + 8][k], t->c[group + 8][k + 1]};
    if (bf16)
        mma_m16n8k16_bf16(d, a, b);
    else
        mma_m16n8k16_f16(d, a, b);
    t->d[group][k] = d[0];
    t->d[group][k + 1] = d[1];
    t->d[group + 8][k] = d[2];
    t->d[group + 8][k + 1] = d[3];
#endif
}
