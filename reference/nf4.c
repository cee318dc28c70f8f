/* nf4.c: codebook, quantize, dequantize, packing; see nf4.h. */
#include "reference/nf4.h"

#include <math.h>

#include "reference/arith.h"

const uint32_t nf4_codebook_bits[NF4_CODES] = {
    0xbf800000, 0xbf3239b1, 0xbf066b30, 0xbeca32a0, 0xbe91a24d, 0xbe3d353f, 0xbdba7871, 0x00000000,
    0x3da2faff, 0x3e24cae3, 0x3e7c04dd, 0x3ead033a, 0x3ee1a4b8, 0x3f1007ab, 0x3f3913b3, 0x3f800000,
};

const uint32_t nf4_threshold_bits[NF4_CODES - 1] = {
    0xbf591cd8, 0xbf1c5270, 0xbeeb8480, 0xbeadea76, 0xbe703cec, 0xbe0d38bc, 0xbd3a7871, 0x3d22faff,
    0x3df64862, 0x3e5067e0, 0x3e9582d4, 0x3ec753f9, 0x3f006d04, 0x3f248daf, 0x3f5c89da,
};

float nf4_value(unsigned code)
{
    return f32_from_bits(nf4_codebook_bits[code]);
}

bool nf4_blocksize_valid(size_t blocksize)
{
    return blocksize >= 32 && blocksize <= 4096 && (blocksize & (blocksize - 1)) == 0;
}

size_t nf4_block_count(size_t count, size_t blocksize)
{
    return count / blocksize + (count % blocksize != 0);
}

size_t nf4_packed_bytes(size_t count)
{
    return count / 2 + count % 2;
}

unsigned nf4_encode(float x)
{
    unsigned code = 0;
    for (unsigned i = 0; i < NF4_CODES - 1; ++i)
        code += x > f32_from_bits(nf4_threshold_bits[i]);
    return code;
}

unsigned nf4_code_at(const uint8_t *packed, size_t i)
{
    return i % 2 == 0 ? packed[i / 2] >> 4 : packed[i / 2] & 0x0f;
}

void nf4_pack(const uint8_t *codes, size_t count, uint8_t *packed)
{
    for (size_t i = 0; i < count; i += 2) {
        unsigned odd = i + 1 < count ? codes[i + 1] : 7;
        packed[i / 2] = (uint8_t)(codes[i] << 4 | odd);
    }
}

void nf4_unpack(const uint8_t *packed, size_t count, uint8_t *codes)
{
    for (size_t i = 0; i < count; ++i)
        codes[i] = (uint8_t)nf4_code_at(packed, i);
}

/* Block b as [*begin, *end). */
static void block_range(size_t count, size_t blocksize, size_t b, size_t *begin, size_t *end)
{
    *begin = b * blocksize;
    *end = count - *begin < blocksize ? count : *begin + blocksize;
}

void nf4_quantize(const float *x, size_t count, size_t blocksize, uint8_t *packed, float *absmax)
{
    /* A block starts on a byte, because every blocksize is even: threads never share a byte. */
    const size_t blocks = nf4_block_count(count, blocksize);
#pragma omp parallel for schedule(static) if (count >= ARITH_PARALLEL_FROM)
    for (size_t b = 0; b < blocks; ++b) {
        size_t begin, end;
        uint8_t codes[4096];
        block_range(count, blocksize, b, &begin, &end);

        float largest = 0.0f;
        for (size_t i = begin; i < end; ++i)
            if (fabsf(x[i]) > largest) /* false for NaN */
                largest = fabsf(x[i]);
        absmax[b] = largest;

        float inverse = 1.0f / (largest > 1e-38f ? largest : 1e-38f);
        for (size_t i = begin; i < end; ++i) {
            float y = x[i] * inverse;
            y = y < -1.0f ? -1.0f : y > 1.0f ? 1.0f : y; /* NaN stays */
            codes[i - begin] = (uint8_t)nf4_encode(y);
        }
        nf4_pack(codes, end - begin, packed + begin / 2);
    }
}
