/* int4.c: the plain absmax int4 quantizer; see int4.h. */
#include "reference/int4.h"

#include <math.h>

void int4_absmax_roundtrip(const float *x, size_t count, size_t blocksize, float *out)
{
    for (size_t begin = 0; begin < count; begin += blocksize) {
        size_t end = count - begin < blocksize ? count : begin + blocksize;
        float absmax = 0.0f;
        for (size_t i = begin; i < end; ++i)
            absmax = fmaxf(absmax, fabsf(x[i]));
        float scale = absmax / 7.0f;
        for (size_t i = begin; i < end; ++i) {
            /* scale is 0 for a zero block, and where a denormal absmax / 7 underflows */
            float q = scale > 0.0f ? rintf(x[i] / scale) : 0.0f;
            q = q < -8.0f ? -8.0f : q > 7.0f ? 7.0f : q;
            out[i] = q * scale;
        }
    }
}
