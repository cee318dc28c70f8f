/*
 * checker_global.cu: kernels for tests/device/simt_checker.c that use global memory, right and wrong.
 */
#include "kernels/device/cuda.h"
#include "tests/simt/checker_args.h"

static struct launch shape(const struct checker_args *a)
{
    struct launch l = launch_1d(a->blocks, a->threads);
    l.shared = a->shared;
    return l;
}

/* Neighbouring 16-bit elements by different threads. 1: all blocks write the same. 2: two threads of a block
 * do. */
ENTRY(checker_halves, checker, 256, shape)
{
    size_t at = global_thread();
    if (a.wrong == 1)
        at = threadIdx.x;
    if (a.wrong == 2)
        at -= threadIdx.x & 1;
    a.half[at] = (uint16_t)at; /* halves: write */
}

/* What a block wrote, it reads after a barrier. 1: without one; 2: it reads what another block wrote. 3: all
 * blocks read what the last one then writes. */
ENTRY(checker_blocks, checker, 256, shape)
{
    unsigned i = threadIdx.x, n = blockDim.x;
    size_t base = (size_t)blockIdx.x * n, other = (size_t)(blockIdx.x + 1) % gridDim.x * n;
    a.out[base + i] = a.in[base + i]; /* blocks: write */
    if (a.wrong != 1)
        __syncthreads();
    float x = a.out[(a.wrong == 2 ? other : base) + n - 1 - i]; /* blocks: read */
    a.half[base + i] = (uint16_t)(int)x;
    if (a.wrong == 3 && i == 0)
        a.half[base] = (uint16_t)a.sums[3]; /* blocks: shared read */
    __syncthreads();
    if (a.wrong == 3 && i == 1 && blockIdx.x == gridDim.x - 1)
        a.sums[3] = 1; /* blocks: last write */
}

/* Many blocks add to the same sums. 1: one adds plainly. 2: one reads. */
ENTRY(checker_atomics, checker, 256, shape)
{
    unsigned i = threadIdx.x;
    if (a.wrong == 1 && blockIdx.x == 1 && i == 5)
        a.sums[5] = a.sums[5] + 1; /* atomics: plain */
    else
        atomicAdd(&a.sums[i % 16], 1u); /* atomics: add */
    if (a.wrong == 2 && blockIdx.x == 1 && i == 9)
        a.out[0] = (float)a.sums[9]; /* atomics: read */
}

/* 1: read one after the input's end, 2: before its start, 3: write one after, 4: before, 5: two elements that
 * end behind the input, 6: far away, 7: a byte array's end. */
ENTRY(checker_global_bounds, checker, 256, shape)
{
    size_t at = global_thread();
    if (at >= a.count)
        return;
    float x = 0;
    bool last = at == a.count - 1, first = at == 0;
    if (a.wrong == 5 && last) {
        uint64_t v = *(const uint64_t *)(a.in + a.count / 2 * 2); /* bounds: two */
        x = (float)v;
    } else if (a.wrong == 6 && last) {
        x = *(const uint8_t *)(a.shared + 16); /* bounds: far */
    } else {
        x = a.in[at + (a.wrong == 1 && last) - (a.wrong == 2 && first)]; /* bounds: read */
    }
    a.bytes[at + (a.wrong == 7 && last)] = (uint8_t)x;                /* bounds: byte */
    a.out[at + (a.wrong == 3 && last) - (a.wrong == 4 && first)] = x; /* bounds: write */
}

/* 1: an input is written, 2: atomically. */
ENTRY(checker_input, checker, 256, shape)
{
    size_t at = global_thread();
    float *in = (float *)a.in;
    if (a.wrong == 1 && at == 70)
        in[at] = 0.0f; /* input: write */
    if (a.wrong == 2 && at == 70)
        atomicAdd(&in[at], 0.0f); /* input: atomic */
    a.out[at] = in[at];
}

/* Copies of 16 bytes. 1: to an address that is not a multiple of 16, 2: from one. 3: a word likewise. */
ENTRY(checker_vectors, checker, 256, shape)
{
    size_t at = global_thread();
    if (4 * at + 4 > a.count)
        return;
    const float *from = a.in + 4 * at;
    float *to = a.out + 4 * at;
    if (a.wrong == 1 && at == 3)
        to += 2;
    if (a.wrong == 2 && at == 3)
        from -= 1;
    const float4 *f = (const float4 *)from;
    float4 *t = (float4 *)to;
    /* By element: clang's alignment check passes over copies of whole structs. */
    t->x = f->x; /* vectors: copy */
    t->y = f->y;
    t->z = f->z;
    t->w = f->w;
    a.bytes[4 * at] = *(const uint32_t *)((const uint8_t *)from + (a.wrong == 3)) & 1; /* vectors: word */
}
