#include "reference/quantized.h"

#include <math.h>

#include "reference/arith.h"
#include "reference/fp8.h"
#include "reference/grouped_int4.h"

unsigned format_code_bits(enum format f, enum dtype t)
{
    switch (f) {
    case FORMAT_NF4:
    case FORMAT_INT4:
        return 4;
    case FORMAT_INT8:
    case FORMAT_FP8:
        return 8;
    default:
        return 8 * (unsigned)dtype_size(t);
    }
}

size_t format_packed_bytes(enum format f, enum dtype t, size_t count)
{
    const size_t bits = format_code_bits(f, t);
    return bits >= 8 ? bits / 8 * count : nf4_packed_bytes(count);
}

bool format_blocksize_valid(enum format f, size_t blocksize, size_t k)
{
    if (f == FORMAT_NF4)
        return nf4_blocksize_valid(blocksize);
    const bool power = blocksize >= 32 && (blocksize & (blocksize - 1)) == 0;
    return blocksize == k || (f != FORMAT_DENSE && power && k % blocksize == 0);
}

float format_value_max(enum format f)
{
    switch (f) {
    case FORMAT_NF4:
        return 1.0f;
    case FORMAT_INT4:
        return INT4_MAX + 1;
    case FORMAT_INT8:
        return 128.0f;
    case FORMAT_FP8:
        return FP8_MAX;
    default:
        return INFINITY;
    }
}

size_t quantized_block_of(const struct quantized *w, size_t i)
{
    if (!w->group_of)
        return i / w->blocksize;
    return i / w->columns * (w->columns / w->blocksize) + w->group_of[i % w->columns];
}

struct quantized_block quantized_block_at(const struct quantized *w, size_t b, enum nested how)
{
    switch (w->format) {
    case FORMAT_NF4:
        return (struct quantized_block){w->absmax ? w->absmax[b] : nested_recover(&w->nested, b, how), 0};
    case FORMAT_INT4:
        return (struct quantized_block){f16_to_f32(w->scale[b]),
                                        w->zero ? (float)w->zero[b] : (float)INT4_SYMMETRIC_ZERO};
    case FORMAT_DENSE:
        return (struct quantized_block){1, 0};
    default:
        return (struct quantized_block){f16_to_f32(w->scale[b]), 0};
    }
}

uint32_t quantized_code_at(const struct contract *c, const struct quantized *w, size_t i)
{
    switch (format_code_bits(w->format, c->out)) {
    case 4:
        return nf4_code_at(w->packed, i);
    case 8:
        return w->packed[i];
    default:
        return dtype_load_bits(c->out, w->packed, i);
    }
}

float quantized_decode(const struct contract *c, uint32_t code, float zero)
{
    float value;
    switch (c->format) {
    case FORMAT_NF4:
        value = nf4_value(code);
        return c->decode == DECODE_OUT ? dtype_round(c->out, value) : value;
    case FORMAT_INT4:
        return (float)code - zero;
    case FORMAT_INT8:
        return (float)(int8_t)(uint8_t)code;
    case FORMAT_FP8:
        return fp8_to_f32((uint8_t)code);
    default:
        return dtype_load(c->out, &code, 0); /* little-endian, as all that this runs on */
    }
}

float quantized_weight(const struct contract *c, uint32_t code, struct quantized_block b)
{
    const bool flush = c->denormals == DENORMALS_FLUSH;
    const float product = quantized_decode(c, code, b.zero) * (flush ? arith_flush(b.scale) : b.scale);
    return dtype_round(c->out, flush ? arith_flush(product) : product);
}

float quantized_decode_at(const struct contract *c, const struct quantized *w, size_t i)
{
    return quantized_decode(c, quantized_code_at(c, w, i),
                            quantized_block_at(w, quantized_block_of(w, i), c->nested).zero);
}

float quantized_weight_at(const struct contract *c, const struct quantized *w, size_t i)
{
    return quantized_weight(c, quantized_code_at(c, w, i),
                            quantized_block_at(w, quantized_block_of(w, i), c->nested));
}

/* Whether a block is in one piece and has only 16 different values. */
static bool few_values(const struct contract *c, const struct quantized *w)
{
    return format_code_bits(w->format, c->out) == 4 && !w->group_of;
}

void quantized_span(const struct contract *c, const struct quantized *w, size_t first, size_t count,
                    bool unscaled, float *out)
{
    const bool few = few_values(c, w);
    for (size_t i = 0; few && i < count;) {
        const size_t block = (first + i) / w->blocksize, left = (block + 1) * w->blocksize - first;
        const struct quantized_block b = quantized_block_at(w, block, c->nested);
        float value[16];
        for (unsigned code = 0; code < 16; ++code)
            value[code] = unscaled ? quantized_decode(c, code, b.zero) : quantized_weight(c, code, b);
        for (const size_t end = left < count ? left : count; i < end; ++i)
            out[i] = value[nf4_code_at(w->packed, first + i)];
    }
    for (size_t i = 0; !few && i < count; ++i)
        out[i] = unscaled ? quantized_decode_at(c, w, first + i) : quantized_weight_at(c, w, first + i);
}

void quantized_dequantize(const struct contract *c, const struct quantized *w, void *out)
{
    enum { SPAN = 256 };
#pragma omp parallel for schedule(static) if (w->count >= ARITH_PARALLEL_FROM)
    for (size_t first = 0; first < w->count; first += SPAN) {
        const size_t count = w->count - first < SPAN ? w->count - first : SPAN;
        float value[SPAN];
        quantized_span(c, w, first, count, false, value);
        for (size_t i = 0; i < count; ++i)
            dtype_store(c->out, out, first + i, value[i]);
    }
}
