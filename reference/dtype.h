/*
 * dtype.h: the element types of activations, outputs and dense weights, and exact conversions between them.
 *
 * f16 is IEEE 754 binary16; bf16 is the upper half of binary32. Both are carried as uint16_t bit patterns.
 * All conversions from fp32 round to nearest, ties to even, for every one of the 2^32 inputs: denormals are
 * kept, overflow gives infinity, a NaN stays a NaN (quiet, payload truncated, sign kept).
 */
#ifndef NF4BENCH_REFERENCE_DTYPE_H
#define NF4BENCH_REFERENCE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* X(enumerator suffix, word used in names and files, bytes per element) */
#define DTYPE_MAP(X)                                                                                         \
    X(F32, "f32", 4)                                                                                         \
    X(F16, "f16", 2)                                                                                         \
    X(BF16, "bf16", 2)

enum dtype {
#define X(name, word, size) DTYPE_##name,
    DTYPE_MAP(X)
#undef X
        DTYPE_COUNT,
    /* Bytes: what repacked and packed weights are. No number: only its word, its size, and how it is loaded
     * and compared are defined. */
    DTYPE_U8 = DTYPE_COUNT
};

const char *dtype_word(enum dtype t);
size_t dtype_size(enum dtype t);
/* True and *out set when `word` names a type ("f32", "f16", "bf16", "u8"). */
bool dtype_parse(const char *word, enum dtype *out);

uint16_t f16_from_f32(float x);
float f16_to_f32(uint16_t bits);
uint16_t bf16_from_f32(float x);
float bf16_to_f32(uint16_t bits);

static inline uint32_t f32_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float f32_from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* RN_T(x): x rounded once into type t and widened back to fp32 (exact for f32). */
float dtype_round(enum dtype t, float x);
/* Element i of an array of type t, widened to fp32 (always exact). */
float dtype_load(enum dtype t, const void *array, size_t i);
/* array[i] = RN_T(x). */
void dtype_store(enum dtype t, void *array, size_t i, float x);
/* The bit pattern of element i, zero-extended. */
uint32_t dtype_load_bits(enum dtype t, const void *array, size_t i);
/* The bit pattern of RN_T(value). */
uint32_t dtype_value_bits(enum dtype t, float value);
bool dtype_bits_nan(enum dtype t, uint32_t bits);
bool dtype_bits_equal(enum dtype t, uint32_t a, uint32_t b); /* same bits, or both NaN */
/* Distance in units in the last place between two patterns of type t, on the ordered-integer line where
 * -0 and +0 are 1 apart; UINT32_MAX when either is a NaN and the patterns differ. */
uint32_t dtype_ulp_distance(enum dtype t, uint32_t a_bits, uint32_t b_bits);

#endif
