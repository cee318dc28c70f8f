/* mma.c: the tensor-core models of mma.h, term by term. Nothing here is made for speed: see matmul_mma.c. */
#include "reference/mma.h"

#include <math.h>

/* A finite number: significand * 2^(exponent - fraction), negated if negative. */
struct finite_number {
    bool negative;
    int64_t significand;
    int exponent;
    int fraction; /* bits of the significand right of its point */
};

/* The IEEE number with these widths of exponent and fraction; it must be finite. */
static struct finite_number number_of(uint32_t bits, int exponent_bits, int fraction)
{
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const int stored = (int)(bits >> fraction) & ((1 << exponent_bits) - 1);
    const int64_t low = bits & ((UINT32_C(1) << fraction) - 1);
    return (struct finite_number){
        .negative = bits >> (exponent_bits + fraction) & 1,
        .significand = stored ? low | INT64_C(1) << fraction : low,
        .exponent = stored ? stored - bias : 1 - bias,
        .fraction = fraction,
    };
}

static struct finite_number number16(enum dtype t, uint16_t bits)
{
    return t == DTYPE_F16 ? number_of(bits, 5, 10) : number_of(bits, 8, 7);
}

static struct finite_number multiply(struct finite_number a, struct finite_number b)
{
    return (struct finite_number){
        .negative = a.negative != b.negative,
        .significand = a.significand * b.significand,
        .exponent = a.exponent + b.exponent,
        .fraction = a.fraction + b.fraction,
    };
}

/* The term in units of 2^(largest - fraction_bits), cut toward zero. */
static int64_t align(struct finite_number x, int largest, int fraction_bits)
{
    const int left = fraction_bits - x.fraction - (largest - x.exponent);
    const int64_t size = left >= 0 ? x.significand << left : left > -63 ? x.significand >> -left : 0;
    return x.negative ? -size : size;
}

/* sum * 2^unit, cut toward zero to fp32. */
static float cut_to_f32(int64_t sum, int unit)
{
    uint64_t size = (uint64_t)(sum < 0 ? -sum : sum);
    const uint32_t sign = sum < 0 ? UINT32_C(0x80000000) : 0;
    if (size == 0)
        return 0.0f;
    int top = 0; /* the highest bit of size */
    while (size >> top > 1)
        ++top;
    int exponent = top + unit;
    if (exponent > 127)
        return f32_from_bits(sign | 0x7f800000);
    if (exponent < -126)
        exponent = -126; /* a denormal */
    const int left = unit - (exponent - 23);
    const uint32_t significand = (uint32_t)(left >= 0 ? size << left : left > -64 ? size >> -left : 0);
    /* the leading bit of a normal number, 2^23, makes its stored exponent one more */
    return f32_from_bits(sign | (((uint32_t)(exponent + 126) << 23) + significand));
}

/* True, and *result, where infinities or NaN decide. */
static bool not_finite(enum dtype t, size_t count, const uint16_t *a, const uint16_t *b, float c,
                       float *result)
{
    bool nan = isnan(c), plus = c == INFINITY, minus = c == -INFINITY;
    for (size_t i = 0; i < count; ++i) {
        const float x = dtype_load(t, a, i), y = dtype_load(t, b, i);
        if (isfinite(x) && isfinite(y))
            continue;
        const float product = x * y; /* exact: an infinity or NaN */
        nan |= isnan(product);
        plus |= product == INFINITY;
        minus |= product == -INFINITY;
    }
    if (!nan && !plus && !minus)
        return false;
    *result = nan || (plus && minus) ? f32_from_bits(0x7fc00000) : plus ? INFINITY : -INFINITY;
    return true;
}

/* One block: at most model->block products. */
static float block(const struct mma_numbers *model, enum dtype t, size_t count, const uint16_t *a,
                   const uint16_t *b, float c)
{
    float result;
    if (not_finite(t, count, a, b, c, &result))
        return result;

    struct finite_number term[MMA_STEP + 1];
    for (size_t i = 0; i < count; ++i)
        term[i] = multiply(number16(t, a[i]), number16(t, b[i]));
    term[count] = number_of(f32_bits(c), 8, 23);

    int largest = model->least_exponent;
    for (size_t i = 0; i <= count; ++i)
        if (term[i].significand != 0 && term[i].exponent > largest)
            largest = term[i].exponent;
    int64_t sum = 0;
    for (size_t i = 0; i <= count; ++i)
        if (term[i].significand != 0)
            sum += align(term[i], largest, model->fraction_bits);
    result = cut_to_f32(sum, largest - model->fraction_bits);
    return model->cut_is_positive && result == 0.0f ? 0.0f : result;
}

float mma_dot(enum mma_model model, enum dtype t, size_t count, const uint16_t *a, const uint16_t *b, float c)
{
    const struct mma_numbers *m = &mma_models[model];
    for (size_t first = 0; first < MMA_STEP; first += m->block) {
        const size_t left = count > first ? count - first : 0;
        c = block(m, t, left < m->block ? left : m->block, a + first, b + first, c);
    }
    return c;
}
