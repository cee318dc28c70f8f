/* dtype.c: element types and their conversions, in integer arithmetic; see dtype.h. */
#include "reference/dtype.h"

#include <math.h>
#include <string.h>

#include "reference/arith.h"

static const struct {
    const char *word;
    size_t size;
} dtypes[DTYPE_COUNT + 1] = {
#define X(name, word, size) [DTYPE_##name] = {word, size},
    DTYPE_MAP(X)
#undef X
        [DTYPE_U8] = {"u8", 1},
};

const char *dtype_word(enum dtype t)
{
    return dtypes[t].word;
}

size_t dtype_size(enum dtype t)
{
    return dtypes[t].size;
}

bool dtype_parse(const char *word, enum dtype *out)
{
    for (unsigned t = 0; t <= DTYPE_U8; ++t) {
        if (strcmp(word, dtypes[t].word) == 0) {
            *out = t;
            return true;
        }
    }
    return false;
}

/* v / 2^shift to the nearest integer, ties to even; 1 <= shift <= 31. */
static uint32_t shift_right_to_even(uint32_t v, unsigned shift)
{
    uint32_t quotient = v >> shift;
    uint32_t rest = v & ((UINT32_C(1) << shift) - 1);
    uint32_t half = UINT32_C(1) << (shift - 1);
    return quotient + (rest > half || (rest == half && quotient % 2 == 1));
}

/*
 * Both types keep exponent and significand side by side, so that a carry out of the significand raises the
 * exponent, and out of the largest finite value gives infinity: rounding the whole pattern as one integer is
 * rounding the number.
 */
uint16_t f16_from_f32(float x)
{
    uint32_t bits = f32_bits(x);
    uint32_t sign = bits >> 16 & 0x8000;
    uint32_t magnitude = bits & 0x7fffffff;
    uint32_t exponent = magnitude >> 23;

    if (magnitude > 0x7f800000) /* NaN: quiet bit set, upper payload kept */
        return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    if (exponent >= 127 + 16) /* 2^16 and above, infinity */
        return (uint16_t)(sign | 0x7c00);
    if (exponent >= 127 - 14) /* a normal f16: change the bias, drop 13 bits */
        return (uint16_t)(sign | shift_right_to_even(magnitude - ((127 - 15) << 23), 13));
    if (exponent < 127 - 25) /* below half of the smallest denormal, 2^-24 */
        return (uint16_t)sign;
    /* A denormal f16 counts units of 2^-24; x is significand * 2^(exponent - 150). */
    uint32_t significand = (magnitude & 0x7fffff) | 0x800000;
    return (uint16_t)(sign | shift_right_to_even(significand, 126 - exponent));
}

float f16_to_f32(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
    uint32_t magnitude = bits & 0x7fff;

    if (magnitude >= 0x7c00) /* infinity, NaN */
        return f32_from_bits(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
    if (magnitude >= 0x0400)
        return f32_from_bits(sign | ((magnitude << 13) + ((127 - 15) << 23)));
    return f32_from_bits(sign | f32_bits((float)magnitude * 0x1p-24f)); /* denormal or zero, exact */
}

uint16_t bf16_from_f32(float x)
{
    uint32_t bits = f32_bits(x);
    uint32_t magnitude = bits & 0x7fffffff;

    if (magnitude > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x0040);
    return (uint16_t)((bits >> 16 & 0x8000) | shift_right_to_even(magnitude, 16));
}

float bf16_to_f32(uint16_t bits)
{
    return f32_from_bits((uint32_t)bits << 16);
}

uint32_t dtype_load_bits(enum dtype t, const void *array, size_t i)
{
    if (t == DTYPE_F32) {
        uint32_t bits;
        memcpy(&bits, (const char *)array + i * sizeof bits, sizeof bits);
        return bits;
    }
    if (t == DTYPE_U8)
        return ((const uint8_t *)array)[i];
    uint16_t bits;
    memcpy(&bits, (const char *)array + i * sizeof bits, sizeof bits);
    return bits;
}

static uint32_t bits_from_f32(enum dtype t, float x)
{
    switch (t) {
    case DTYPE_F16:
        return f16_from_f32(x);
    case DTYPE_BF16:
        return bf16_from_f32(x);
    default:
        return f32_bits(x);
    }
}

static float bits_to_f32(enum dtype t, uint32_t bits)
{
    switch (t) {
    case DTYPE_F16:
        return f16_to_f32((uint16_t)bits);
    case DTYPE_BF16:
        return bf16_to_f32((uint16_t)bits);
    case DTYPE_U8:
        return (float)bits;
    default:
        return f32_from_bits(bits);
    }
}

uint32_t dtype_value_bits(enum dtype t, float value)
{
    return bits_from_f32(t, value);
}

bool dtype_bits_nan(enum dtype t, uint32_t bits)
{
    return isnan(bits_to_f32(t, bits));
}

bool dtype_bits_equal(enum dtype t, uint32_t a, uint32_t b)
{
    return a == b || (dtype_bits_nan(t, a) && dtype_bits_nan(t, b));
}

float dtype_round(enum dtype t, float x)
{
    return bits_to_f32(t, bits_from_f32(t, x));
}

float dtype_load(enum dtype t, const void *array, size_t i)
{
    return bits_to_f32(t, dtype_load_bits(t, array, i));
}

void dtype_store(enum dtype t, void *array, size_t i, float x)
{
    uint32_t bits = bits_from_f32(t, x);
    if (t == DTYPE_F32) {
        memcpy((char *)array + i * sizeof bits, &bits, sizeof bits);
        return;
    }
    uint16_t half = (uint16_t)bits;
    memcpy((char *)array + i * sizeof half, &half, sizeof half);
}

uint32_t dtype_ulp_distance(enum dtype t, uint32_t a_bits, uint32_t b_bits)
{
    if (a_bits == b_bits)
        return 0;
    if (dtype_bits_nan(t, a_bits) || dtype_bits_nan(t, b_bits))
        return UINT32_MAX;
    /* Positive patterns are 0, 1, 2 ..; negative ones -1 (which is -0), -2, -3 .. */
    uint32_t sign = t == DTYPE_F32 ? UINT32_C(0x80000000) : UINT32_C(0x8000);
    int64_t a = a_bits & sign ? -(int64_t)(a_bits & ~sign) - 1 : (int64_t)a_bits;
    int64_t b = b_bits & sign ? -(int64_t)(b_bits & ~sign) - 1 : (int64_t)b_bits;
    return (uint32_t)(a > b ? a - b : b - a);
}
