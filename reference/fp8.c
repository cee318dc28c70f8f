#include "reference/fp8.h"

#include <math.h>

float fp8_to_f32(uint8_t code)
{
    const int exponent = code >> 3 & 15, fraction = code & 7;
    if ((code & 0x7f) == 0x7f)
        return NAN;
    const float size = exponent ? ldexpf((float)(8 + fraction), exponent - 10) : ldexpf((float)fraction, -9);
    return code & 0x80 ? -size : size;
}

uint8_t fp8_from_f32(float x)
{
    const uint8_t sign = signbit(x) ? 0x80 : 0;
    float size = fabsf(x);
    if (isnan(x))
        return 0x7f;
    if (size == 0)
        return sign;
    if (size >= FP8_MAX)
        return sign | 0x7e;
    int exponent;
    (void)frexpf(size, &exponent); /* size < 2^exponent */
    exponent = exponent - 1 < -6 ? -6 : exponent - 1;
    /* In units of the last place, to even; it may reach the next power of two, which the sum below is. */
    const int units = (int)rintf(ldexpf(size, 3 - exponent));
    return (uint8_t)(sign | (units + (exponent + 6) * 8));
}
