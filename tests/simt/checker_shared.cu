/*
 * checker_shared.cu: kernels for tests/device/simt_checker.c that use shared memory, right and wrong.
 */
#include "kernels/device/cuda.h"
#include "tests/simt/checker_args.h"

static struct launch shape(const struct checker_args *a)
{
    struct launch l = launch_1d(a->blocks, a->threads);
    l.shared = a->shared;
    return l;
}

/* 1: RAW, 2: WAR, 3: WAW over all threads of a block. */
ENTRY(checker_barrier, checker, 256, shape)
{
    SHARED(float, tile, [256]);
    unsigned i = threadIdx.x, j = blockDim.x - 1 - i;
    size_t at = global_thread();
    tile[i] = a.in[at]; /* barrier: first write */
    if (a.wrong != 1)
        __syncthreads();
    float x = tile[j]; /* barrier: read */
    if (a.wrong != 2)
        __syncthreads();
    tile[i] = __fmul_rn(x, 2.0f); /* barrier: second write */
    if (a.wrong != 3)
        __syncthreads();
    tile[j] = __fadd_rn(x, 1.0f); /* barrier: third write */
    __syncthreads();
    a.out[at] = tile[i];
}

/* The same within warps. 4: a shuffle in place of the first __syncwarp. */
ENTRY(checker_warp, checker, 256, shape)
{
    SHARED(float, tile, [256]);
    unsigned i = threadIdx.x, j = i ^ 31;
    size_t at = global_thread();
    tile[i] = a.in[at]; /* warp: first write */
    if (a.wrong == 4)
        __shfl_sync(0xffffffffu, 1.0f, 0);
    else if (a.wrong != 1)
        __syncwarp();
    float x = tile[j]; /* warp: read */
    if (a.wrong != 2)
        __syncwarp();
    tile[i] = __fmul_rn(x, 2.0f); /* warp: second write */
    if (a.wrong != 3)
        __syncwarp();
    tile[j] = __fadd_rn(x, 1.0f); /* warp: third write */
    __syncwarp();
    a.out[at] = tile[i];
}

/* Half warps work on their own between two times that the whole warp meets. 1: a lane reads what the other
 * half has written. 2: many lanes have read what one then writes, and one of them was not in the mask. */
ENTRY(checker_partial, checker, 256, shape)
{
    SHARED(float, tile, [256]);
    unsigned i = threadIdx.x, lane = i % 32, base = i - lane, half = lane & 16;
    uint32_t mask = half ? 0xffff0000u : 0x0000ffffu;
    size_t at = global_thread();
    tile[i] = a.in[at];
    __syncwarp();
    float x = tile[base + (a.wrong == 2 && lane == 20 ? 0 : half)]; /* partial: read by many */
    __syncwarp(mask);
    if (lane % 16 == 0)
        tile[i] = __fmul_rn(x, 2.0f); /* partial: write of one */
    __syncwarp(mask);
    float y = tile[base + (a.wrong == 1 && lane == 7 ? 16 : half)]; /* partial: read */
    __syncwarp();
    a.out[at] = __fadd_rn(tile[base + 31 - lane], y);
}

/* Lane 0 is ordered before lane 2 through lane 1. 1: the two syncs come in the wrong order. */
ENTRY(checker_chain, checker, 32, shape)
{
    SHARED(float, tile, [32]);
    unsigned lane = threadIdx.x;
    float x = 0;
    tile[lane] = 1.0f;
    __syncwarp();
    tile[lane] = a.in[lane]; /* chain: write */
    uint32_t first = a.wrong == 1 ? 0x6u : 0x3u, second = 0x5u ^ first;
    if (first >> lane & 1)
        __syncwarp(first);
    if (second >> lane & 1)
        __syncwarp(second);
    if (lane == 2)
        x = tile[0]; /* chain: read */
    __syncwarp();
    a.out[lane] = __fadd_rn(x, tile[lane ^ 1]);
}

/* Thread 0 writes what it and another one have read. Between the two 1: nothing orders the warp; 2: its warp
 * is ordered, and the other one is of another; 3: two of three readers are. */
ENTRY(checker_readers, checker, 256, shape)
{
    SHARED(float, tile, [256]);
    unsigned i = threadIdx.x, other = a.wrong == 2 ? 32 : 1;
    tile[i] = a.in[i];
    __syncthreads();
    float x = 0;
    if (i == 0 || i == other || (a.wrong == 3 && i == 2))
        x = tile[0]; /* readers: read */
    if (a.wrong == 0)
        __syncthreads();
    else if (a.wrong == 2)
        __syncwarp();
    else
        __shfl_sync(0xffffffffu, x, 0);
    if (a.wrong == 3 && i < 2)
        __syncwarp(0x3u);
    if (i == 0)
        tile[0] = __fadd_rn(x, 1.0f); /* readers: write */
    __syncthreads();
    a.out[global_thread()] = tile[i];
}

/* Neighbouring bytes and halves by different threads, and 16 bytes at once after a barrier. */
ENTRY(checker_neighbours, checker, 256, shape)
{
    SHARED(uint8_t, bytes, [256]);
    SHARED(uint16_t, halves, [256]);
    unsigned i = threadIdx.x;
    bytes[i] = (uint8_t)i;
    halves[i] = (uint16_t)(i * 3);
    __syncthreads();
    uint4 v = ((const uint4 *)bytes)[i % 16], w = ((const uint4 *)halves)[i % 32];
    a.out[global_thread()] = (float)(v.x % 256 + w.w % 65536);
}

/* A tree over the block, then one within a warp. 1: the last step of the first tree has no barrier. 2: the
 * second tree has no __syncwarp. */
ENTRY(checker_reduction, checker, 256, shape)
{
    SHARED(float, sum, [256]);
    unsigned i = threadIdx.x;
    sum[i] = a.in[global_thread()];
    __syncthreads();
    for (unsigned step = blockDim.x / 2; step >= 32; step /= 2) {
        if (i < step)
            sum[i] = __fadd_rn(sum[i], sum[i + step]); /* reduction: over the block */
        if (a.wrong != 1 || step > 64)
            __syncthreads();
    }
    if (i < 32) {
        for (unsigned step = 16; step; step /= 2) {
            float x = sum[i], y = i < step ? sum[i + step] : 0.0f; /* reduction: read in the warp */
            if (a.wrong != 2)
                __syncwarp();
            sum[i] = __fadd_rn(x, y); /* reduction: write in the warp */
            if (a.wrong != 2)
                __syncwarp();
        }
    }
    if (i == 0)
        a.out[blockIdx.x] = sum[0];
}

/* Two stages, one barrier for each step. 1: one stage. */
ENTRY(checker_stages, checker, 256, shape)
{
    SHARED(float, stage, [2][256]);
    unsigned i = threadIdx.x;
    float sum = 0;
    for (unsigned step = 0; step < 6; step++) {
        unsigned s = a.wrong == 1 ? 0 : step % 2;
        stage[s][i] = a.in[(global_thread() + step) % a.count]; /* stages: write */
        __syncthreads();
        sum = __fadd_rn(sum, stage[s][(i + 37) % blockDim.x]); /* stages: read */
    }
    a.out[global_thread()] = sum;
}

/* 1: the last element is read and nobody has written it. 2: its last byte. 3: nothing at all is written. 4:
 * only block 0 writes it, at its end, and does not read it. */
ENTRY(checker_uninitialised, checker, 256, shape)
{
    SHARED(float, tile, [257]);
    unsigned i = threadIdx.x, n = blockDim.x;
    if (a.wrong != 3)
        tile[i] = a.in[i];
    if (a.wrong == 2 && i == 0)
        memset(tile + n, 1, 3);
    if (a.wrong == 0 && i == 0)
        tile[n] = 1.0f;
    __syncthreads();
    float x = 1.0f;
    if (a.wrong == 4 && blockIdx.x == 0) {
        if (i == 0)
            tile[n] = 1.0f;
    } else {
        x = tile[i + 1]; /* uninitialised: read */
    }
    a.out[global_thread()] = __fadd_rn(x, 1.0f);
}

/* 1, 2: read one after and one before; 3, 4: write; 5, 6: the same in dynamic shared memory; 7: a read that
 * straddles the end. */
ENTRY(checker_shared_bounds, checker, 256, shape)
{
    SHARED(float, first, [64]);
    SHARED(float, second, [64]);
    DYNAMIC_SHARED(dynamic);
    unsigned i = threadIdx.x;
    int after = a.wrong == 1 || a.wrong == 3 ? 1 : 0, before = a.wrong == 2 || a.wrong == 4 ? 1 : 0;
    if (i < 64) {
        first[i] = a.in[i];
        second[i] = a.in[i];
        dynamic[i] = (uint8_t)i;
    }
    __syncthreads();
    float x = 0;
    if (i < 64) {
        if (a.wrong == 3 || a.wrong == 4)
            second[(int)i + after - before] = 1.0f; /* bounds: shared write */
        else
            x = second[(int)i + after - before]; /* bounds: shared read */
        if (a.wrong == 5 || a.wrong == 6)
            x = dynamic[a.wrong == 5 ? a.shared : (size_t)-1]; /* bounds: dynamic read */
        if (a.wrong == 7)
            memcpy(&x, (const unsigned char *)(first + 63) + 2, 4); /* bounds: straddling read */
        float local[4] = {x, 1, 2, 3};
        if (a.wrong == 8)
            x = local[a.shared / 16]; /* bounds: local read */
    }
    a.out[global_thread()] = x;
}

/* A local array whose address goes places, a constant table, a shared table that all read. */
CONSTANT float table[16] = {-1.0f, -0.7f, -0.5f, -0.4f, -0.3f, -0.2f, -0.1f, 0.0f,
                            0.08f, 0.16f, 0.25f, 0.34f, 0.44f, 0.56f, 0.72f, 1.0f};

ENTRY(checker_locals, checker, 256, shape)
{
    SHARED(float, lut, [16]);
    unsigned i = threadIdx.x;
    if (i < 16)
        lut[i] = table[i];
    __syncthreads();
    float local[16];
    for (unsigned j = 0; j < 16; j++)
        local[(j + i) % 16] = lut[(i * 7 + j) % 16];
    float *p = &local[i % 16], sum = 0;
    *p = table[i % 16];
    for (unsigned j = 0; j < 16; j++)
        sum = __fadd_rn(sum, local[j]);
    a.out[global_thread()] = sum;
}

/* Atomics on shared memory. 1: the counter is zeroed without a barrier. 2: it is read without one. 3: a plain
 * add by many. */
ENTRY(checker_shared_atomics, checker, 256, shape)
{
    SHARED(uint32_t, counter, [2]);
    unsigned i = threadIdx.x;
    if (i < 2)
        counter[i] = 0; /* shared atomics: zero */
    if (a.wrong != 1)
        __syncthreads();
    if (a.wrong == 3)
        counter[0] = counter[0] + i; /* shared atomics: plain */
    else
        atomicAdd(&counter[0], i); /* shared atomics: add */
    if (a.wrong != 2)
        __syncthreads();
    uint32_t x = counter[0]; /* shared atomics: read */
    a.out[global_thread()] = (float)x;
}

/* Memory functions of the C library, which have no hooks of their own. 1: memset races, 2: memcpy races, 3: a
 * struct is copied past the end. */
struct row {
    uint32_t word[16];
};

ENTRY(checker_memory, checker, 256, shape)
{
    SHARED(struct row, rows, [8]);
    unsigned i = threadIdx.x;
    if (i < 8)
        memset(&rows[i], (int)i, sizeof rows[i]); /* memory: set */
    if (a.wrong != 1)
        __syncthreads();
    struct row mine;
    if (i < 8)
        memcpy(&mine, &rows[7 - i], sizeof mine); /* memory: copy from */
    if (a.wrong != 2)
        __syncthreads();
    if (i < 8) {
        mine.word[0]++;
        memcpy(&rows[i], &mine, sizeof mine); /* memory: copy to */
    }
    __syncthreads();
    if (i < 4)
        rows[i] = rows[a.wrong == 3 ? i + 8 : i + 4]; /* memory: struct */
    __syncthreads();
    a.out[global_thread()] = (float)rows[i % 8].word[0];
}
