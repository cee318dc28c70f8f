/*
 * reference_random.h: numbers for the reference tests. Number i of a stream is a hash of (seed, i), so that a
 * test can name any one of them, loops may run in any order, and every run sees the same.
 */
#ifndef NF4BENCH_TESTS_REFERENCE_RANDOM_H
#define NF4BENCH_TESTS_REFERENCE_RANDOM_H

#include <stdint.h>
#include <string.h>

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014). */
static inline uint64_t random_u64(uint64_t seed, uint64_t i)
{
    uint64_t z = seed * UINT64_C(0xd1342543de82ef95) + (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Uniform in [0, n). */
static inline uint32_t random_below(uint64_t seed, uint64_t i, uint32_t n)
{
    return (uint32_t)((random_u64(seed, i) >> 32) * n >> 32);
}

/* Uniform in [-1, 1). */
static inline float random_uniform(uint64_t seed, uint64_t i)
{
    return (float)(int32_t)(random_u64(seed, i) >> 32) * 0x1p-31f;
}

/* Bell-shaped with variance 1: the sum of four uniforms, near enough to normal for weights. */
static inline float random_bell(uint64_t seed, uint64_t i)
{
    uint64_t z = random_u64(seed, i);
    float sum = 0.0f;
    for (int part = 0; part < 4; ++part)
        sum += (float)(int16_t)(z >> 16 * part) * 0x1p-15f;
    return sum * 0.8660254f;
}

/* Random sign and significand, exponent uniform in [low, high], from -127 (a denormal) to 127. */
static inline float random_exponent(uint64_t seed, uint64_t i, int low, int high)
{
    uint64_t z = random_u64(seed, i);
    uint32_t exponent = (uint32_t)(127 + low + (int)((z >> 32) * (uint32_t)(high - low + 1) >> 32));
    uint32_t bits = ((uint32_t)z & UINT32_C(0x807fffff)) | exponent << 23;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#endif
