/* nested.c: double quantization of absmax; see nf4.h. */
#include "reference/nf4.h"

#include <math.h>

size_t nested_group_count(size_t block_count)
{
    return block_count / NESTED_BLOCKSIZE + (block_count % NESTED_BLOCKSIZE != 0);
}

void nested_dynamic_map(float map[NESTED_MAP_SIZE])
{
    static const double decade[7] = {1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e0};
    enum { ZERO = 127 };

    /* Decades rise and segments rise within one, so the positives come out sorted behind the zero. */
    unsigned index = ZERO;
    map[index] = 0.0f;
    for (unsigned i = 0; i < 7; ++i) {
        unsigned segments = 1u << i;
        for (unsigned j = 0; j < segments; ++j) {
            float lower = (float)(0.1 + 0.9 / segments * j);
            float upper = (float)(0.1 + 0.9 / segments * (j + 1));
            double mean = ((double)lower + (double)upper) / 2;
            map[++index] = (float)(decade[i] * mean);
        }
    }
    map[++index] = 1.0f;
    for (unsigned i = 0; i < ZERO; ++i)
        map[i] = -map[2 * ZERO - i];
}

/* Number of midpoints between neighbours that lie strictly below y: the nearest entry, a tie to the lower
 * one, NaN to 0. Midpoints of two floats are exact in double. */
static uint8_t nearest(const float map[NESTED_MAP_SIZE], float y)
{
    unsigned low = 0, high = NESTED_MAP_SIZE - 1; /* the answer lies in [low, high] */
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if ((double)y > ((double)map[middle] + (double)map[middle + 1]) / 2)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint8_t)low;
}

float nested_quantize(const float *absmax, size_t block_count, const float map[NESTED_MAP_SIZE],
                      uint8_t *codes, float *nested_absmax)
{
    double sum = 0;
    for (size_t b = 0; b < block_count; ++b)
        sum += (double)absmax[b];
    float offset = block_count ? (float)(sum / (double)block_count) : 0.0f;

    for (size_t group = 0; group < nested_group_count(block_count); ++group) {
        size_t begin = group * NESTED_BLOCKSIZE;
        size_t end = begin + NESTED_BLOCKSIZE < block_count ? begin + NESTED_BLOCKSIZE : block_count;
        float largest = 0.0f;
        for (size_t b = begin; b < end; ++b)
            largest = fmaxf(largest, fabsf(absmax[b] - offset)); /* fmaxf ignores NaN */
        nested_absmax[group] = largest;
        float inverse = 1.0f / fmaxf(largest, 1e-38f);
        for (size_t b = begin; b < end; ++b)
            codes[b] = nearest(map, (absmax[b] - offset) * inverse);
    }
    return offset;
}

float nested_recover(const struct nested_absmax *q, size_t b, enum nested how)
{
    float entry = q->map[q->codes[b]];
    float scale = q->nested_absmax[b / NESTED_BLOCKSIZE];
    if (how == NESTED_FUSED)
        return fmaf(entry, scale, q->offset);
    float product = entry * scale;
    return product + q->offset;
}
