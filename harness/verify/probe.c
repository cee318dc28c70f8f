#include "harness/verify/probe.h"

#include <string.h>

#include "harness/base/random.h"

const char *probe_class_word(enum probe_class c)
{
    static const char *const words[PROBE_CLASS_COUNT] = {
#define X(name, word, what) word,
        PROBE_MAP(X)
#undef X
    };
    return words[c];
}

/* d: the state of a stream of draws. */
static uint64_t draw_bits(uint64_t *d)
{
    *d += 0x9e3779b97f4a7c15u;
    return random_mix(*d);
}

/* Uniform from `low` to `high`. */
static unsigned draw_between(uint64_t *d, unsigned low, unsigned high)
{
    return low + (unsigned)(draw_bits(d) % (high - low + 1));
}

/* A number of either sign with that stored exponent (0: a denormal, not zero) in an IEEE type. */
static uint32_t number(uint64_t *d, unsigned exponent, unsigned exponent_bits, unsigned fraction_bits)
{
    uint32_t fraction = (uint32_t)draw_bits(d) & ((1u << fraction_bits) - 1);
    uint32_t sign = (uint32_t)draw_bits(d) & 1;
    if (exponent == 0 && fraction == 0)
        fraction = 1;
    return sign << (exponent_bits + fraction_bits) | exponent << fraction_bits | fraction;
}

static uint16_t number16(uint64_t *d, enum dtype t, unsigned low, unsigned high)
{
    unsigned exponent = draw_between(d, low, high);
    return (uint16_t)(t == DTYPE_F16 ? number(d, exponent, 5, 10) : number(d, exponent, 8, 7));
}

static uint16_t zero16(uint64_t *d)
{
    return (uint16_t)((draw_bits(d) & 1) << 15);
}

static float number32(uint64_t *d, unsigned low, unsigned high)
{
    return f32_from_bits(number(d, draw_between(d, low, high), 8, 23));
}

/* An infinity or a NaN. */
static uint16_t special16(uint64_t *d, enum dtype t)
{
    uint16_t infinity = t == DTYPE_F16 ? 0x7c00 : 0x7f80;
    return (uint16_t)(zero16(d) | infinity | (draw_bits(d) % 4 == 0 ? 1 : 0));
}

/* Element of A (which = 0) or B (1). */
static uint16_t operand(enum probe_class c, enum dtype t, int which, bool zero_row, uint64_t *d)
{
    bool half = t == DTYPE_F16;
    unsigned bias = half ? 15 : 127, most = half ? 30 : 254;
    switch (c) {
    case PROBE_MODERATE:
        return number16(d, t, bias - 3, bias + 3);
    case PROBE_WIDE:
        return half ? number16(d, t, 1, most) : number16(d, t, 56, 198);
    case PROBE_ZEROS:
        return zero_row || draw_bits(d) % 4 == 0 ? zero16(d) : number16(d, t, bias - 3, bias + 3);
    case PROBE_DENORMAL_OPERANDS:
        if (which == 0)
            return draw_bits(d) % 2 ? number16(d, t, 0, 0) : number16(d, t, 1, 6);
        return half ? number16(d, t, 8, most) : number16(d, t, 120, 240);
    case PROBE_DENORMAL_RESULTS: /* products of fp16 are normal numbers of fp32: there c alone is a denormal
                                  */
        if (half)
            return zero16(d);
        return number16(d, t, 28, 66);
    default:
        if (draw_bits(d) % 40 == 0)
            return special16(d, t);
        return half ? number16(d, t, 20, most) : number16(d, t, 180, 200);
    }
}

static float addend(enum probe_class c, enum dtype t, bool zero_row, uint64_t *d)
{
    switch (c) {
    case PROBE_MODERATE:
        return number32(d, 127 - 4, 127 + 4);
    case PROBE_WIDE:
        return t == DTYPE_F16 ? number32(d, 80, 170) : number32(d, 1, 254);
    case PROBE_ZEROS:
        return zero_row || draw_bits(d) % 2 ? (draw_bits(d) % 2 ? 0.0f : -0.0f) : number32(d, 120, 130);
    case PROBE_DENORMAL_OPERANDS:
        return t == DTYPE_F16 ? number32(d, 90, 130) : number32(d, 1, 120);
    case PROBE_DENORMAL_RESULTS:
        return draw_bits(d) % 3 ? number32(d, 0, 2) : 0.0f;
    default:
        return number32(d, 150, 254);
    }
}

void probe_fill(enum probe_class c, enum dtype t, uint64_t seed, uint64_t i, struct mma_tile *tile)
{
    uint64_t d = random_u64(seed, RANDOM_ACTIVATIONS,
                            i * PROBE_CLASS_COUNT * DTYPE_COUNT + (uint64_t)c * DTYPE_COUNT + (uint64_t)t);
    memset(tile, 0, sizeof *tile);
    for (size_t row = 0; row < MMA_M; row++)
        for (size_t k = 0; k < MMA_K; k++)
            tile->a[row][k] = operand(c, t, 0, row % 8 == 0, &d);
    for (size_t column = 0; column < MMA_N; column++)
        for (size_t k = 0; k < MMA_K; k++)
            tile->b[column][k] = operand(c, t, 1, column == 0, &d);
    for (size_t row = 0; row < MMA_M; row++)
        for (size_t column = 0; column < MMA_N; column++)
            tile->c[row][column] = addend(c, t, row % 8 == 0, &d);
}

void probe_compare(enum dtype t, const struct mma_tile *tiles, size_t count, enum mma_model model,
                   void (*tell)(const struct probe_mismatch *m, void *context), void *context,
                   struct probe_result *out)
{
    *out = (struct probe_result){.outputs = count * MMA_M * MMA_N};
    for (size_t i = 0; i < count; i++)
        for (size_t row = 0; row < MMA_M; row++)
            for (size_t column = 0; column < MMA_N; column++) {
                const struct mma_tile *tile = &tiles[i];
                const float got = tile->d[row][column];
                out->hash = random_mix(out->hash ^ (got != got ? 0x7fc00000 : f32_bits(got)));
                for (int by = 0; by < MMA_MODEL_COUNT; by++) {
                    float want = mma_dot((enum mma_model)by, t, MMA_K, tile->a[row], tile->b[column],
                                         tile->c[row][column]);
                    if (f32_bits(want) == f32_bits(got) || (want != want && got != got))
                        out->equal[by]++;
                    else if (by == (int)model)
                        tell(&(struct probe_mismatch){tile, i, row, column, want}, context);
                }
            }
}
