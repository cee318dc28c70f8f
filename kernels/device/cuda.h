/*
 * cuda.h: the CUDA dialect of this project. The same .cu file compiles with nvcc for GPUs, and with g++ or
 * clang++ for the executor (harness/device/simt/), without a CUDA toolkit.
 *
 * The dialect is CUDA C with these rules:
 *  - A kernel is ENTRY(name, op, threads, launch) { ... }; its arguments are `a`, a const struct <op>_args.
 *    ENTRY_THEN(name, op, threads, launch) { ... } in the same file is launched after it, with the same
 *    arguments, and sees all that it wrote. ENTRY_RESIDENT(name, op, threads, blocks, launch) is an ENTRY
 *    that says how many blocks an SM is to hold; without it nvcc may spill registers to fit more.
 *  - Shared memory is SHARED(type, name, [dims]), or DYNAMIC_SHARED(name); 16-byte aligned. Plain __shared__
 *    does not compile for the host: the executor places, poisons and guards every array, and has to know it.
 *  - fp32 arithmetic only by __fmaf_rn, __fmul_rn, __fadd_rn; no contraction, no fast math, no operators.
 *  - PTX stands only in this file, each instruction beside its meaning for the host.
 *  - Collectives take explicit masks. __syncwarp and __syncthreads order memory; shuffles and votes do not.
 *  - All threads of a block reach each __syncthreads (none may have returned), and all lanes named in a mask
 *    reach that collective. mma and ldmatrix are collectives of the full warp.
 *  - Device functions are DEVICE, those of a class METHOD (both inlined), with `enum device_element` and the like as
 *    constant arguments. They take arrays by reference, with their lengths, so that the checker sees an index
 *    that is out of range.
 *  - No cooperative groups, textures, dynamic parallelism, printf, malloc, or waiting for another block.
 *  - 16-bit floats are bit patterns in uint16_t, pairs in uint32_t with the first element in the low half.
 *
 * Where the names are CUDA's, so are the meanings (CUDA C++ Programming Guide; PTX ISA 8).
 */
#ifndef NF4BENCH_KERNELS_DEVICE_CUDA_H
#define NF4BENCH_KERNELS_DEVICE_CUDA_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/device/entry.h"
#include "kernels/kernel.h"

#ifdef __CUDACC__

#define DEVICE   static __device__ __forceinline__
#define METHOD   __device__ __forceinline__
#define CONSTANT static __constant__ const
#define GLOBAL   static __device__ const /* a table in global memory */

#define ENTRY(name, op, threads_, launch_)                                                                   \
    extern "C" __global__ void __launch_bounds__(threads_) name(const __grid_constant__ struct op##_args a)
#define ENTRY_RESIDENT(name, op, threads_, blocks_, launch_)                                                 \
    extern "C" __global__ void __launch_bounds__(threads_, blocks_)                                          \
        name(const __grid_constant__ struct op##_args a)
#define ENTRY_THEN(name, op, threads_, launch_) ENTRY(name##_then, op, threads_, launch_)

/* Before a loop with a constant number of turns whose body indexes registers. */
#define UNROLL _Pragma("unroll")
/* Before one that is off the fast path: unrolled, it would take registers from it. */
#define NO_UNROLL _Pragma("unroll 1")

#define SHARED(type, name, ...) __shared__ __align__(16) type name __VA_ARGS__
#define DYNAMIC_SHARED(name)    extern __shared__ __align__(16) unsigned char name[]

#else

#include <math.h>
#include <string.h>

#ifdef __SSSE3__
#include <tmmintrin.h>
#endif

#include "kernels/device/host.h"

/* ---- the host side: what the executor provides (harness/device/simt/executor.c) ---- */

#define DEVICE   static inline __attribute__((always_inline))
#define METHOD   inline __attribute__((always_inline))
#define CONSTANT static const
#define GLOBAL   static const
#define UNROLL
#define NO_UNROLL
#define __device__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __shared__ _Pragma("GCC error \"declare shared memory with SHARED(type, name, [dims])\"")

struct uint3 {
    uint32_t x, y, z;
};
struct alignas(8) uint2 {
    uint32_t x, y;
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
static inline uint2 make_uint2(uint32_t x, uint32_t y)
{
    return uint2{x, y};
}
static inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w)
{
    return uint4{x, y, z, w};
}
static inline float2 make_float2(float x, float y)
{
    return float2{x, y};
}
static inline float4 make_float4(float x, float y, float z, float w)
{
    return float4{x, y, z, w};
}

extern "C" {
/* The position of the running CUDA thread; set by the executor at every switch. */
struct simt_position {
    uint3 thread, block, block_dim, grid_dim;
};
extern __thread const struct simt_position *simt_position;
}

#define threadIdx (simt_position->thread)
#define blockIdx  (simt_position->block)
#define blockDim  (simt_position->block_dim)
#define gridDim   (simt_position->grid_dim)
#define warpSize  32

/* Each host build has its own suffix, so that several stand in one program. */
#ifndef SIMT_BUILD
#define SIMT_BUILD try
#endif
#define SIMT_PASTE_(a, b) a##__##b
#define SIMT_PASTE(a, b)  SIMT_PASTE_(a, b)
#define SIMT_SYMBOL(name) SIMT_PASTE(name, SIMT_BUILD)
#ifdef SIMT_TRY
#define SIMT_ENTRY(name)                                                                                     \
    extern "C" const struct entry SIMT_SYMBOL(name);                                                         \
    __attribute__((constructor)) static void name##_register(void)                                           \
    {                                                                                                        \
        simt_register(&SIMT_SYMBOL(name));                                                                   \
    }
#else
#define SIMT_ENTRY(name)
#endif

/* In the program's own builds each entry has a row in the table, of the same operation (kernels/row.h). */
#ifdef SIMT_TABLE
#define SIMT_ROW(name, op) typedef ::row_##name##_##op name##_row;
#else
#define SIMT_ROW(name, op)
#endif

/* A __global__ function, and its entry. */
#define SIMT_FUNCTION(name, op, threads_, launch_, next)                                                     \
    static void name(const struct op##_args a);                                                              \
    static void name##_run(const void *args)                                                                 \
    {                                                                                                        \
        name(*(const struct op##_args *)args);                                                               \
    }                                                                                                        \
    static struct launch name##_launch(const void *args)                                                     \
    {                                                                                                        \
        return launch_((const struct op##_args *)args);                                                      \
    }                                                                                                        \
    extern "C" const struct entry SIMT_SYMBOL(name) = {#name, threads_, name##_run, name##_launch, next};    \
    static void name(const struct op##_args a)

/* The entry of what is launched second, under a name of its own, is NULL unless an ENTRY_THEN defines it. It
 * is hidden: in a shared library it would else be looked for in the program, whose kernel of that name may
 * have a second one. */
#define SIMT_TEXT_(symbol) #symbol
#define SIMT_TEXT(symbol)  SIMT_TEXT_(symbol)
#define ENTRY(name, op, threads_, launch_)                                                                   \
    SIMT_ROW(name, op)                                                                                       \
    SIMT_ENTRY(name)                                                                                         \
    extern "C" const struct entry SIMT_SYMBOL(name##_next) __attribute__((weak, visibility("hidden")));      \
    SIMT_FUNCTION(name, op, threads_, launch_, &SIMT_SYMBOL(name##_next))
#define ENTRY_RESIDENT(name, op, threads_, blocks_, launch_) ENTRY(name, op, threads_, launch_)
#define ENTRY_THEN(name, op, threads_, launch_)                                                              \
    SIMT_ROW(name, op)                                                                                       \
    extern "C" const struct entry SIMT_SYMBOL(name##_next)                                                   \
        __attribute__((alias(SIMT_TEXT(SIMT_SYMBOL(name##_then)))));                                         \
    SIMT_FUNCTION(name##_then, op, threads_, launch_, nullptr)

#define SHARED(type, name, ...)                                                                              \
    typedef type name##_type __VA_ARGS__;                                                                    \
    static const char name##_key = 0;                                                                        \
    name##_type &name =                                                                                      \
        *(name##_type *)simt_shared(&name##_key, sizeof(name##_type), #name, __FILE__, __LINE__)
#define DYNAMIC_SHARED(name) unsigned char *name = (unsigned char *)simt_dynamic_shared()

#define __syncthreads() simt_syncthreads(__FILE__, __LINE__)

#define SIMT_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

static inline void __syncwarp(uint32_t mask = 0xffffffffu, SIMT_HERE)
{
    simt_syncwarp(mask, file, line);
}

DEVICE uint32_t __float_as_uint(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
DEVICE float __uint_as_float(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}
/* What a shuffle moves: 32 bits of any type. */
template <typename T> static inline uint32_t simt_word(T x)
{
    static_assert(sizeof(T) <= sizeof(uint32_t), "shuffles move 32 bits");
    uint32_t u = 0;
    memcpy(&u, &x, sizeof x);
    return u;
}
template <typename T> static inline T simt_unword(uint32_t u)
{
    T x;
    memcpy(&x, &u, sizeof x);
    return x;
}

#define SIMT_SHUFFLE(name, mode, operand_type)                                                               \
    template <typename T>                                                                                    \
    static inline T name(uint32_t mask, T value, operand_type operand, int width = 32, SIMT_HERE)            \
    {                                                                                                        \
        return simt_unword<T>(                                                                               \
            simt_shuffle(mode, mask, simt_word(value), (uint32_t)operand, width, file, line));               \
    }
SIMT_SHUFFLE(__shfl_sync, SIMT_SHUFFLE_INDEX, int)
SIMT_SHUFFLE(__shfl_up_sync, SIMT_SHUFFLE_UP, unsigned)
SIMT_SHUFFLE(__shfl_down_sync, SIMT_SHUFFLE_DOWN, unsigned)
SIMT_SHUFFLE(__shfl_xor_sync, SIMT_SHUFFLE_XOR, int)
static inline uint32_t __ballot_sync(uint32_t mask, int predicate, SIMT_HERE)
{
    return simt_vote(SIMT_VOTE_BALLOT, mask, predicate, file, line);
}
static inline int __any_sync(uint32_t mask, int predicate, SIMT_HERE)
{
    return (int)simt_vote(SIMT_VOTE_ANY, mask, predicate, file, line);
}
static inline int __all_sync(uint32_t mask, int predicate, SIMT_HERE)
{
    return (int)simt_vote(SIMT_VOTE_ALL, mask, predicate, file, line);
}

static inline float atomicAdd(float *p, float x, SIMT_HERE)
{
    return __uint_as_float(simt_atomic(SIMT_ATOMIC_ADD_F32, p, __float_as_uint(x), 0, file, line));
}
static inline uint32_t atomicAdd(uint32_t *p, uint32_t x, SIMT_HERE)
{
    return simt_atomic(SIMT_ATOMIC_ADD_U32, p, x, 0, file, line);
}
static inline uint32_t atomicCAS(uint32_t *p, uint32_t compare, uint32_t x, SIMT_HERE)
{
    return simt_atomic(SIMT_ATOMIC_CAS_U32, p, x, compare, file, line);
}
static inline uint32_t atomicExch(uint32_t *p, uint32_t x, SIMT_HERE)
{
    return simt_atomic(SIMT_ATOMIC_EXCH_U32, p, x, 0, file, line);
}
#define __threadfence()       ((void)0)
#define __threadfence_block() ((void)0)

DEVICE float __fmaf_rn(float a, float b, float c)
{
    return __builtin_fmaf(a, b, c);
}
DEVICE float __fmul_rn(float a, float b)
{
    return a * b;
}
DEVICE float __fadd_rn(float a, float b)
{
    return a + b;
}
DEVICE int __popc(uint32_t x)
{
    return __builtin_popcount(x);
}
template <typename T> DEVICE T __ldg(const T *p)
{
    return *p;
}
template <typename T> DEVICE void __stcs(T *p, T x)
{
    *p = x;
}

#endif

/* ---- instructions: PTX on the GPU, their meaning on the host ---- */

/* prmt.b32: byte i of the result is byte (selector >> 4i & 7) of the eight bytes a (0-3), b (4-7). Bit 3 of a
 * selector digit replicates the sign instead: callers mask it off. */
DEVICE uint32_t prmt(uint32_t a, uint32_t b, uint32_t selector)
{
#ifdef __CUDACC__
    uint32_t r;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(selector));
    return r;
#else
#ifdef __SSSE3__
    /* One instruction here too; its selector wants a byte where prmt's has a digit. */
    uint32_t digits = selector & 0x7777;
    digits = (digits | digits << 8) & 0x00ff00ff;
    digits = (digits | digits << 4) & 0x0f0f0f0f;
    const __m128i pair = _mm_unpacklo_epi32(_mm_cvtsi32_si128((int)a), _mm_cvtsi32_si128((int)b));
    uint32_t r = (uint32_t)_mm_cvtsi128_si32(_mm_shuffle_epi8(pair, _mm_cvtsi32_si128((int)digits)));
#else
    const uint64_t bytes = (uint64_t)b << 32 | a;
#define SIMT_BYTE(i) (((uint32_t)(bytes >> (selector >> 4 * i & 7) * 8) & 0xff) << 8 * i)
    uint32_t r = SIMT_BYTE(0) | SIMT_BYTE(1) | SIMT_BYTE(2) | SIMT_BYTE(3);
#undef SIMT_BYTE
#endif
    if (selector & 0x8888) { /* bytes of signs */
        for (int i = 0; i < 4; i++)
            if (selector >> 4 * i & 8)
                r = (r & ~(0xffu << 8 * i)) | (r >> 8 * i & 0x80 ? 0xffu << 8 * i : 0);
    }
    return r;
#endif
}

/* lop3.b32: bit by bit, entry (a << 2 | b << 1 | c) of the table. (a & b) | c is 0xea. */
template <int TABLE> DEVICE uint32_t lop3(uint32_t a, uint32_t b, uint32_t c)
{
#ifdef __CUDACC__
    uint32_t r;
    asm("lop3.b32 %0, %1, %2, %3, %4;" : "=r"(r) : "r"(a), "r"(b), "r"(c), "n"(TABLE));
    return r;
#else
    uint32_t r = 0;
    for (int i = 0; i < 8; i++)
        if (TABLE >> i & 1)
            r |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
    return r;
#endif
}

DEVICE float f32_of_bf16(uint16_t x)
{
    return __uint_as_float((uint32_t)x << 16);
}

/* Nearest even; a NaN becomes 0x7fff, as cvt.rn.bf16.f32 has it. */
DEVICE uint16_t bf16_of_f32(float x)
{
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 800
    uint16_t r;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r) : "f"(x));
    return r;
#else
    uint32_t u = __float_as_uint(x);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return 0x7fff;
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
#endif
}

DEVICE float f32_of_f16(uint16_t x)
{
#ifdef __CUDACC__
    float r;
    asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(x));
    return r;
#else
    uint32_t sign = (uint32_t)(x & 0x8000) << 16, exponent = x >> 10 & 31, fraction = x & 0x3ff;
    if (exponent == 31)
        return __uint_as_float(fraction ? 0x7fffffffu : sign | 0x7f800000u);
    if (exponent == 0) { /* fraction * 2^-24, exact */
        float value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    return __uint_as_float(sign | (exponent + 112) << 23 | fraction << 13);
#endif
}

/* Nearest even; a NaN becomes 0x7fff, as cvt.rn.f16.f32 has it. */
DEVICE uint16_t f16_of_f32(float x)
{
#ifdef __CUDACC__
    uint16_t r;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r) : "f"(x));
    return r;
#else
    uint32_t u = __float_as_uint(x), sign = u >> 16 & 0x8000;
    u &= 0x7fffffffu;
    if (u > 0x7f800000u)
        return 0x7fff;
    if (u >= 0x477ff000u) /* 65520 and above */
        return (uint16_t)(sign | 0x7c00);
    if (u >= 0x38800000u) /* normal in fp16 */
        return (uint16_t)(sign | ((u - 0x38000000u + 0xfffu + (u >> 13 & 1)) >> 13));
    if (u < 0x33000000u) /* below half of the least denormal */
        return (uint16_t)sign;
    uint32_t fraction = (u & 0x7fffffu) | 0x800000u, shift = 126 - (u >> 23);
    uint32_t result = fraction >> shift, rest = fraction & ((1u << shift) - 1), half = 1u << (shift - 1);
    return (uint16_t)(sign | (result + (rest > half || (rest == half && (result & 1)))));
#endif
}

/* Two at once, rounded as above: the first in the low half. One instruction from sm_80. */
DEVICE uint32_t bf16x2_of_f32(float low, float high)
{
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 800
    uint32_t r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
#else
    return bf16_of_f32(low) | (uint32_t)bf16_of_f32(high) << 16;
#endif
}
DEVICE uint32_t f16x2_of_f32(float low, float high)
{
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 800
    uint32_t r;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
#else
    return f16_of_f32(low) | (uint32_t)f16_of_f32(high) << 16;
#endif
}

/* a * b + c, cut to fp32 so that its last bit tells whether it is exact (rounded to odd): to round that to a
 * type of up to 22 bits is to round once. */
DEVICE float fma_odd(float a, float b, float c)
{
    const double product = (double)a * b, sum = product + c, part = sum - product;
    const double lost = (product - (sum - part)) + (c - part);
    const float r = (float)sum;
    const double rest = (sum - r) + lost; /* what r lacks; NaN where nothing is finite */
    const uint32_t bits = __float_as_uint(r);
    if (!(rest < 0 || rest > 0) || (bits & 1))
        return r;
    if (bits << 1 == 0)
        return __uint_as_float(rest < 0 ? 0x80000001u : 1u);
    return __uint_as_float((rest < 0) == (bits >> 31) ? bits + 1 : bits - 1);
}

/* fma.rn of pairs: a * b + c, rounded once to the type. A product alone is what c = -0 gives. That of bf16
 * needs sm_80. */
DEVICE uint32_t fma_f16x2(uint32_t a, uint32_t b, uint32_t c)
{
#ifdef __CUDACC__
    uint32_t r;
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c));
    return r;
#else
    uint32_t r = 0;
    for (int i = 0; i < 32; i += 16)
        r |= (uint32_t)f16_of_f32(fma_odd(f32_of_f16((uint16_t)(a >> i)), f32_of_f16((uint16_t)(b >> i)),
                                          f32_of_f16((uint16_t)(c >> i))))
             << i;
    return r;
#endif
}
DEVICE uint32_t fma_bf16x2(uint32_t a, uint32_t b, uint32_t c)
{
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 800
    uint32_t r;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c));
    return r;
#else
    uint32_t r = 0;
    for (int i = 0; i < 32; i += 16)
        r |= (uint32_t)bf16_of_f32(fma_odd(f32_of_bf16((uint16_t)(a >> i)), f32_of_bf16((uint16_t)(b >> i)),
                                           f32_of_bf16((uint16_t)(c >> i))))
             << i;
    return r;
#endif
}

/* Two numbers of e4m3, the first in the low byte, in fp16, where they are exact; NaN is 0x7fff. One
 * instruction from sm_89. */
DEVICE uint32_t f16x2_of_e4m3x2(uint16_t x)
{
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 890
    uint32_t r;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(r) : "h"(x));
    return r;
#else
    /* The bits in fp16's places are the number / 256, denormals too; + 1 is 0x80 for a NaN only. */
    const uint32_t both = (x & 0xffu) | (uint32_t)(x & 0xff00u) << 8;
    const uint32_t value =
        fma_f16x2((both & 0x007f007f) << 7 | (both & 0x00800080) << 8, 0x5c005c00, 0x80008000);
    const uint32_t nan = ((both & 0x007f007f) + 0x00010001) >> 7 & 0x00010001;
    return (value & ~(nan * 0xffff)) | nan * 0x7fff;
#endif
}

/* mma.sync m16n8k16, fp32 accumulation: D[16,8] = A[16,16] B[16,8] + D, in place. With group = lane / 4 and
 * pair = lane % 4 a lane holds
 *   a[0] = A[group][2 pair, +1]      a[1] = A[group + 8][2 pair, +1]
 *   a[2] = A[group][2 pair + 8, +9]  a[3] = A[group + 8][2 pair + 8, +9]
 *   b[0] = B[2 pair, +1][group]      b[1] = B[2 pair + 8, +9][group]
 *   d[0], d[1] = D[group][2 pair, +1]    d[2], d[3] = D[group + 8][2 pair, +1]      (PTX ISA, mma.m16n8k16)
 *
 * How it rounds differs between GPUs: reference/mma.h. Needs sm_80. */
#ifdef __CUDACC__
#define MMA_M16N8K16(name, type)                                                                             \
    DEVICE void name(float(&d)[4], const uint32_t(&a)[4], const uint32_t(&b)[2])                             \
    {                                                                                                        \
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32 "                          \
                     "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                       \
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                        \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                    \
    }
MMA_M16N8K16(mma_m16n8k16_f16, "f16")
MMA_M16N8K16(mma_m16n8k16_bf16, "bf16")
#else
static inline void mma_m16n8k16_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], SIMT_HERE)
{
    simt_mma_m16n8k16(0, d, a, b, file, line);
}
static inline void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], SIMT_HERE)
{
    simt_mma_m16n8k16(1, d, a, b, file, line);
}
#endif

/* ldmatrix .x4 of 8 x 8 16-bit matrices: lane i gives the address of row i % 8 of matrix i / 8 (16 bytes,
 * aligned, shared memory); r[j] is this lane's part of matrix j, row lane / 4, elements 2 (lane % 4), +1; of
 * the transposed matrix with _trans. */
#ifdef __CUDACC__
#define LDMATRIX_X4(name, modifier)                                                                          \
    DEVICE void name(uint32_t(&r)[4], const void *row)                                                       \
    {                                                                                                        \
        uint32_t address = (uint32_t)__cvta_generic_to_shared(row);                                          \
        asm volatile("ldmatrix.sync.aligned.m8n8.x4" modifier ".shared.b16 {%0, %1, %2, %3}, [%4];"          \
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])                                        \
                     : "r"(address)                                                                          \
                     : "memory");                                                                            \
    }
LDMATRIX_X4(ldmatrix_x4, "")
LDMATRIX_X4(ldmatrix_x4_trans, ".trans")
#else
static inline void ldmatrix_x4(uint32_t (&r)[4], const void *row, SIMT_HERE)
{
    simt_ldmatrix(4, 0, r, row, file, line);
}
static inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row, SIMT_HERE)
{
    simt_ldmatrix(4, 1, r, row, file, line);
}
#endif

/* cp.async: 16 bytes to shared memory in the background, the last 16 - source_bytes of them zero
 * (source_bytes 0 to 16; at 0 `global` is not read, but must be an address one may name). Both 16-byte
 * aligned. Needs sm_80. */
#ifdef __CUDACC__
DEVICE void cp_async16(void *shared, const void *global, int source_bytes)
{
    uint32_t address = (uint32_t)__cvta_generic_to_shared(shared);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(address), "l"(global), "r"(source_bytes)
                 : "memory");
}
DEVICE void cp_async_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}
/* Waits until at most LEFT of this thread's groups are under way. Other threads see the data after a barrier.
 */
template <int LEFT> DEVICE void cp_async_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}
#else
static inline void cp_async16(void *shared, const void *global, int source_bytes, SIMT_HERE)
{
    simt_cp_async(shared, global, 16, source_bytes, file, line);
}
static inline void cp_async_commit()
{
    simt_cp_async_commit();
}
template <int LEFT> static inline void cp_async_wait(SIMT_HERE)
{
    simt_cp_async_wait(LEFT, file, line);
}
#endif

/* load128: 16 bytes through the caches, shared memory too. load_stream: 4, 8 and 16 bytes that are read once:
 * they do not stay in L1. store_stream128: 16 bytes that nothing reads soon. The address is a multiple of the
 * size. */
#ifdef __CUDACC__
DEVICE uint4 load128(const void *p)
{
    return *(const uint4 *)p;
}
DEVICE uint32_t load_stream32(const void *p)
{
    uint32_t r;
    asm("ld.global.nc.L1::no_allocate.u32 %0, [%1];" : "=r"(r) : "l"(p));
    return r;
}
DEVICE uint2 load_stream64(const void *p)
{
    uint2 r;
    asm("ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];" : "=r"(r.x), "=r"(r.y) : "l"(p));
    return r;
}
DEVICE uint4 load_stream128(const void *p)
{
    uint4 r;
    asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
        : "=r"(r.x), "=r"(r.y), "=r"(r.z), "=r"(r.w)
        : "l"(p));
    return r;
}
DEVICE void store_stream128(void *p, uint4 v)
{
    __stcs((uint4 *)p, v);
}
#else
#define SIMT_LOAD(name, type)                                                                                \
    static inline type name(const void *p, SIMT_HERE)                                                        \
    {                                                                                                        \
        if ((uintptr_t)p % sizeof(type))                                                                     \
            simt_misaligned(p, (int)sizeof(type), file, line);                                               \
        return *(const type *)p;                                                                             \
    }
SIMT_LOAD(load128, uint4)
SIMT_LOAD(load_stream32, uint32_t)
SIMT_LOAD(load_stream64, uint2)
SIMT_LOAD(load_stream128, uint4)
static inline void store_stream128(void *p, uint4 v, SIMT_HERE)
{
    if ((uintptr_t)p % 16)
        simt_misaligned(p, 16, file, line);
    *(uint4 *)p = v;
}
#endif

/* A range of a GPU's blocks and threads as one index. */
DEVICE size_t global_thread()
{
    return (size_t)blockIdx.x * blockDim.x + threadIdx.x;
}

#endif
