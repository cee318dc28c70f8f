/*
 * random.h: counter-based random numbers: value i of a stream is a function of (seed, stream, i) alone, so
 * inputs are the same on any number of threads and for every variant. The mixer is SplitMix64's finalizer
 * (Steele, Lea, Flood, OOPSLA 2014).
 */
#ifndef NF4BENCH_HARNESS_BASE_RANDOM_H
#define NF4BENCH_HARNESS_BASE_RANDOM_H

#include <stdint.h>

static inline uint64_t random_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A stream of its own for each use of a seed. */
enum random_stream {
    RANDOM_WEIGHTS = 1,
    RANDOM_ACTIVATIONS,
    RANDOM_BIAS,
    RANDOM_CODES,
    RANDOM_SCALES,
    RANDOM_POSITIONS,
    RANDOM_ORDER,
    RANDOM_POISON,
    RANDOM_GROUPS,
    RANDOM_SIGNS,
};

static inline uint64_t random_u64(uint64_t seed, enum random_stream stream, uint64_t i)
{
    uint64_t key = random_mix(seed * 0x9e3779b97f4a7c15u + (uint64_t)stream);
    return random_mix(key + (i + 1) * 0x9e3779b97f4a7c15u);
}

/* Mean 0, variance 1: the sum of four uniform 16-bit parts of one draw (close to normal up to 3.4 deviations,
 * exactly reproducible on any machine, no libm). */
static inline float random_normal(uint64_t seed, enum random_stream stream, uint64_t i)
{
    uint64_t r = random_u64(seed, stream, i);
    int32_t sum = (int32_t)(r & 0xffff) + (int32_t)(r >> 16 & 0xffff) + (int32_t)(r >> 32 & 0xffff) +
                  (int32_t)(r >> 48) - 2 * 65535;
    /* The deviation of the sum is 65536/sqrt(3) (four uniforms of variance 65536^2/12). */
    return (float)sum * 2.6428997e-5f;
}

#endif
