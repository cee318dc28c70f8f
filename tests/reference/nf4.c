/* Tests of reference/nf4.c: the published tables, and quantize and dequantize against slow restatements. */
#include "reference/quantized.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/reference/random.h"
#include "tests/test.h"

/* The table of the format as published: value, its roundings, and the threshold above it, in decimal. */
static const struct {
    double value;
    uint32_t bits;
    uint16_t f16, bf16;
    double threshold;
    uint32_t threshold_bits;
} table[16] = {
    {-1.0, 0xbf800000, 0xbc00, 0xbf80, -0.8480964004993439, 0xbf591cd8},
    {-0.6961928009986877, 0xbf3239b1, 0xb992, 0xbf32, -0.6106329262256622, 0xbf1c5270},
    {-0.5250730514526367, 0xbf066b30, 0xb833, 0xbf06, -0.4599952697753906, 0xbeeb8480},
    {-0.39491748809814453, 0xbeca32a0, 0xb652, 0xbeca, -0.33967943489551544, 0xbeadea76},
    {-0.28444138169288635, 0xbe91a24d, 0xb48d, 0xbe92, -0.23460740596055984, 0xbe703cec},
    {-0.18477343022823334, 0xbe3d353f, 0xb1ea, 0xbe3d, -0.13791173323988914, 0xbe0d38bc},
    {-0.09105003625154495, 0xbdba7871, 0xadd4, 0xbdba, -0.045525018125772476, 0xbd3a7871},
    {0.0, 0x00000000, 0x0000, 0x0000, 0.03979014977812767, 0x3d22faff},
    {0.07958029955625534, 0x3da2faff, 0x2d18, 0x3da3, 0.1202552504837513, 0x3df64862},
    {0.16093020141124725, 0x3e24cae3, 0x3126, 0x3e25, 0.2035212516784668, 0x3e5067e0},
    {0.24611230194568634, 0x3e7c04dd, 0x33e0, 0x3e7c, 0.2920137718319893, 0x3e9582d4},
    {0.33791524171829224, 0x3ead033a, 0x3568, 0x3ead, 0.3893125355243683, 0x3ec753f9},
    {0.44070982933044434, 0x3ee1a4b8, 0x370d, 0x3ee2, 0.5016634166240692, 0x3f006d04},
    {0.5626170039176941, 0x3f1007ab, 0x3880, 0x3f10, 0.6427869200706482, 0x3f248daf},
    {0.7229568362236023, 0x3f3913b3, 0x39c9, 0x3f39, 0.8614784181118011, 0x3f5c89da},
    {1.0, 0x3f800000, 0x3c00, 0x3f80, INFINITY, 0x7f800000},
};

/* Inverse of the normal distribution function for 0.5 <= p < 1. The function is concave there, so that
 * Newton's steps from 0 rise to the root and never pass it. */
static double normal_quantile(double p)
{
    const double inverse_sqrt_2pi = 0.39894228040143267794;
    double x = 0;
    for (int step = 0; step < 100; ++step) {
        double below = 0.5 * erfc(-x * M_SQRT1_2);
        double density = inverse_sqrt_2pi * exp(-0.5 * x * x);
        x += (p - below) / density;
    }
    return x;
}

/* Point i of n equally spaced fp32 points from a to b, as torch.linspace computes it: from the nearer end. */
static float linspace(float a, float b, int n, int i)
{
    float step = (b - a) / (float)(n - 1);
    float length = step * (float)(i < n / 2 ? i : n - 1 - i);
    return i < n / 2 ? a + length : b - length;
}

/* The codebook from normal quantiles, offset 0.9677083, in double and then fp32. */
static void derive_codebook(float codebook[NF4_CODES])
{
    /* Quantiles fall as the points fall from the offset to 0.5: the table is filled from both ends inwards.
     */
    const float offset = 0.9677083f;
    for (int i = 0; i < 8; ++i)
        codebook[15 - i] = (float)normal_quantile((double)linspace(offset, 0.5f, 9, i));
    for (int i = 0; i < 7; ++i)
        codebook[i] = -(float)normal_quantile((double)linspace(offset, 0.5f, 8, i));
    codebook[7] = 0.0f;
    float largest = codebook[15];
    for (int i = 0; i < NF4_CODES; ++i)
        codebook[i] /= largest;
}

TEST(nf4, codebook_is_the_published_one)
{
    float derived[NF4_CODES];
    derive_codebook(derived);
    for (unsigned code = 0; code < 16; ++code) {
        test_note("code %u", code);
        EXPECT_EQ_BITS(table[code].bits, nf4_codebook_bits[code]);
        EXPECT_EQ_BITS(table[code].bits, f32_bits(nf4_value(code)));
        EXPECT_EQ_BITS(table[code].bits, f32_bits((float)table[code].value));
        EXPECT_TRUE((double)nf4_value(code) ==
                    table[code].value); /* all digits of the fp32 value are printed */
        EXPECT_EQ_BITS(table[code].bits, f32_bits(derived[code]));
        EXPECT_EQ_BITS(table[code].f16, f16_from_f32(nf4_value(code)));
        EXPECT_EQ_BITS(table[code].bf16, bf16_from_f32(nf4_value(code)));
    }
}

TEST(nf4, thresholds_are_the_rounded_middles)
{
    for (unsigned i = 0; i < 15; ++i) {
        test_note("threshold %u", i);
        EXPECT_EQ_BITS(table[i].threshold_bits, nf4_threshold_bits[i]);
        EXPECT_EQ_BITS(table[i].threshold_bits, f32_bits((float)table[i].threshold));
        double middle = ((double)nf4_value(i) + (double)nf4_value(i + 1)) / 2; /* exact */
        EXPECT_EQ_BITS(table[i].threshold_bits, f32_bits((float)middle));
    }
}

TEST(nf4, a_tie_goes_to_the_lower_code)
{
    for (unsigned i = 0; i < 15; ++i) {
        float threshold = f32_from_bits(table[i].threshold_bits);
        test_note("threshold %u", i);
        EXPECT_EQ(i, nf4_encode(threshold));
        EXPECT_EQ(i, nf4_encode(nextafterf(threshold, -INFINITY)));
        EXPECT_EQ(i + 1, nf4_encode(nextafterf(threshold, INFINITY)));
    }
    for (unsigned code = 0; code < 16; ++code)
        EXPECT_EQ(code, nf4_encode(nf4_value(code)));
    test_note(NULL);
    EXPECT_EQ(0, nf4_encode(NAN));
    EXPECT_EQ(0, nf4_encode(-NAN));
    EXPECT_EQ(0, nf4_encode(-INFINITY));
    EXPECT_EQ(15, nf4_encode(INFINITY));
    EXPECT_EQ(7, nf4_encode(0.0f));
    EXPECT_EQ(7, nf4_encode(-0.0f));
    EXPECT_EQ(7, nf4_encode(0x1p-149f));
}

/* ---- Byte planes for prmt lookups, as the design notes print them ---- */

static const struct {
    enum dtype type;
    uint32_t low[4], high[4];
} planes[2] = {
    {DTYPE_F16,
     {0x52339200, 0x00d4ea8d, 0x68e02618, 0x00c9800d},
     {0xb6b8b9bc, 0x00adb1b4, 0x3533312d, 0x3c393837}},
    {DTYPE_BF16,
     {0xca063280, 0x00ba3d92, 0xad7c25a3, 0x803910e2},
     {0xbebfbfbf, 0x00bdbebe, 0x3e3e3e3d, 0x3f3f3f3e}},
};

/* PTX prmt.b32 in its default mode, without the sign-replicating selector bit 3. */
static uint32_t prmt(uint32_t a, uint32_t b, uint32_t selector)
{
    uint64_t bytes = (uint64_t)b << 32 | a;
    uint32_t result = 0;
    for (unsigned i = 0; i < 4; ++i)
        result |= (uint32_t)(bytes >> 8 * (selector >> 4 * i & 7) & 0xff) << 8 * i;
    return result;
}

TEST(nf4, byte_planes_hold_the_codebook)
{
    for (unsigned t = 0; t < 2; ++t)
        for (unsigned code = 0; code < 16; ++code) {
            unsigned shift = 8 * (code % 4);
            uint32_t bits =
                (planes[t].high[code / 4] >> shift & 0xff) << 8 | (planes[t].low[code / 4] >> shift & 0xff);
            test_note("%s code %u", dtype_word(planes[t].type), code);
            EXPECT_EQ_BITS(planes[t].type == DTYPE_F16 ? table[code].f16 : table[code].bf16, bits);
        }
}

TEST(nf4, byte_plane_lookup_decodes_every_two_bytes)
{
    for (unsigned t = 0; t < 2; ++t) {
        const uint32_t *low = planes[t].low, *high = planes[t].high;
        long wrong = 0;
        for (uint32_t q = 0; q < 0x10000; ++q) {
            uint32_t s = q & 0x7777, m = 0x3210 | (q & 0x8888) >> 1;
            uint32_t r_low = prmt(prmt(low[0], low[1], s), prmt(low[2], low[3], s), m);
            uint32_t r_high = prmt(prmt(high[0], high[1], s), prmt(high[2], high[3], s), m);
            uint32_t pairs[2] = {prmt(r_low, r_high, 0x4051), prmt(r_low, r_high, 0x6273)};
            const uint8_t bytes[2] = {(uint8_t)q, (uint8_t)(q >> 8)};
            for (unsigned i = 0; i < 4; ++i) {
                unsigned code = nf4_code_at(bytes, i);
                wrong += (pairs[i / 2] >> 16 * (i % 2) & 0xffff) !=
                         (planes[t].type == DTYPE_F16 ? table[code].f16 : table[code].bf16);
            }
        }
        test_note("%s", dtype_word(planes[t].type));
        EXPECT_EQ(0, wrong);
    }
}

/* ---- Packing ---- */

TEST(nf4, high_nibble_is_the_even_element)
{
    const uint8_t codes[5] = {1, 2, 3, 15, 12};
    uint8_t packed[4] = {0xee, 0xee, 0xee, 0xee}, unpacked[6] = {99, 99, 99, 99, 99, 99};
    nf4_pack(codes, 5, packed);
    EXPECT_EQ(0x12, packed[0]);
    EXPECT_EQ(0x3f, packed[1]);
    EXPECT_EQ(0xc7, packed[2]); /* an odd tail's low nibble is 7 */
    EXPECT_EQ(0xee, packed[3]);
    nf4_unpack(packed, 5, unpacked);
    EXPECT_TRUE(memcmp(codes, unpacked, 5) == 0);
    EXPECT_EQ(99, unpacked[5]);
    for (size_t i = 0; i < 5; ++i)
        EXPECT_EQ(codes[i], nf4_code_at(packed, i));
}

TEST(nf4, pack_and_unpack_are_inverse)
{
    enum { MAX = 131 };
    for (size_t count = 0; count <= MAX; ++count) {
        uint8_t codes[MAX + 1], packed[MAX + 1], unpacked[MAX + 1];
        memset(packed, 0xa5, sizeof packed);
        memset(codes, 0xff, sizeof codes);
        for (size_t i = 0; i < count; ++i)
            codes[i] = (uint8_t)random_below(count, i, 16);
        nf4_pack(codes, count, packed);
        nf4_unpack(packed, count, unpacked);
        test_note("count %zu", count);
        EXPECT_EQ((count + 1) / 2, nf4_packed_bytes(count));
        EXPECT_TRUE(memcmp(codes, unpacked, count) == 0);
        EXPECT_EQ(0xa5, packed[nf4_packed_bytes(count)]);
        if (count % 2)
            EXPECT_EQ(7, packed[count / 2] & 0x0f);
    }
}

TEST(nf4, sizes)
{
    for (size_t blocksize = 0; blocksize <= 10000; ++blocksize) {
        bool listed = blocksize == 32 || blocksize == 64 || blocksize == 128 || blocksize == 256 ||
                      blocksize == 512 || blocksize == 1024 || blocksize == 2048 || blocksize == 4096;
        if (nf4_blocksize_valid(blocksize) != listed) {
            test_note("blocksize %zu", blocksize);
            EXPECT_EQ(listed, nf4_blocksize_valid(blocksize));
        }
    }
    EXPECT_EQ(0, nf4_block_count(0, 64));
    EXPECT_EQ(1, nf4_block_count(1, 64));
    EXPECT_EQ(1, nf4_block_count(64, 64));
    EXPECT_EQ(2, nf4_block_count(65, 64));
    EXPECT_EQ(SIZE_MAX / 64 + 1, nf4_block_count(SIZE_MAX, 64));
    EXPECT_EQ(SIZE_MAX / 2 + 1, nf4_packed_bytes(SIZE_MAX));
}

/* ---- Quantize ---- */

/* Code of x in a block, restated: thresholds from the decimal table, counted from above. */
static unsigned expected_code(float x, float absmax)
{
    float divisor = absmax < 1e-38f ? 1e-38f : absmax;
    volatile float reciprocal = 1.0f / divisor;
    volatile float y = x * reciprocal;
    if (isnan(y))
        return 0;
    unsigned code = 15;
    while (code > 0 && !((double)fminf(y, 1.0f) > (double)(float)table[code - 1].threshold))
        --code;
    return code;
}

/* Quantizes and compares every code, every absmax, the tail, and the bytes around the outputs. */
static void check_quantize(const float *x, size_t count, size_t blocksize)
{
    const size_t bytes = nf4_packed_bytes(count), blocks = nf4_block_count(count, blocksize);
    uint8_t *packed = malloc(bytes + 1);
    float *absmax = malloc((blocks + 1) * sizeof *absmax);
    memset(packed, 0xa5, bytes + 1);
    memset(absmax, 0xa5, (blocks + 1) * sizeof *absmax);
    nf4_quantize(x, count, blocksize, packed, absmax);

    size_t wrong_codes = 0, wrong_absmax = 0;
    for (size_t b = 0; b < blocks; ++b) {
        double largest = 0;
        for (size_t i = b * blocksize; i < count && i < (b + 1) * blocksize; ++i)
            if (!isnan(x[i]) && fabs((double)x[i]) > largest)
                largest = fabs((double)x[i]);
        wrong_absmax += f32_bits((float)largest) != f32_bits(absmax[b]);
    }
    for (size_t i = 0; i < count; ++i)
        wrong_codes += nf4_code_at(packed, i) != expected_code(x[i], absmax[i / blocksize]);
    EXPECT_EQ(0, wrong_codes);
    EXPECT_EQ(0, wrong_absmax);
    if (count % 2)
        EXPECT_EQ(7, packed[bytes - 1] & 0x0f);
    EXPECT_EQ(0xa5, packed[bytes]);
    EXPECT_EQ_BITS(0xa5a5a5a5, f32_bits(absmax[blocks]));
    free(packed);
    free(absmax);
}

TEST(nf4, quantize_every_blocksize_and_tail)
{
    enum { MAX = 3 * 4096 + 64 };
    float *x = malloc(MAX * sizeof *x);
    for (size_t i = 0; i < MAX; ++i)
        x[i] = random_bell(11, i) * (i % 777 == 0 ? 8.0f : 0.02f);
    for (size_t blocksize = 32; blocksize <= 4096; blocksize *= 2) {
        const size_t counts[] = {0,
                                 1,
                                 2,
                                 3,
                                 blocksize - 1,
                                 blocksize,
                                 blocksize + 1,
                                 blocksize + 2,
                                 2 * blocksize + blocksize / 2 + 1,
                                 3 * blocksize + 5};
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; ++i) {
            test_note("blocksize %zu count %zu", blocksize, counts[i]);
            check_quantize(x, counts[i], blocksize);
        }
    }
    free(x);
}

/* With absmax 1 a weight is its own y, so thresholds can be hit exactly, and by neighbours of them. */
TEST(nf4, quantize_ties)
{
    float x[46];
    x[0] = 1.0f;
    for (unsigned i = 0; i < 15; ++i) {
        float threshold = f32_from_bits(table[i].threshold_bits);
        x[1 + 3 * i] = nextafterf(threshold, -INFINITY);
        x[2 + 3 * i] = threshold;
        x[3 + 3 * i] = nextafterf(threshold, INFINITY);
    }
    uint8_t packed[23];
    float absmax;
    nf4_quantize(x, 46, 64, packed, &absmax);
    EXPECT_EQ_BITS(0x3f800000, f32_bits(absmax));
    for (unsigned i = 0; i < 15; ++i) {
        test_note("threshold %u", i);
        EXPECT_EQ(i, nf4_code_at(packed, 1 + 3 * i));
        EXPECT_EQ(i, nf4_code_at(packed, 2 + 3 * i));
        EXPECT_EQ(i + 1, nf4_code_at(packed, 3 + 3 * i));
    }
    check_quantize(x, 46, 64);
}

TEST(nf4, quantize_odd_inputs)
{
    float x[64];
    uint8_t packed[32];
    float absmax[1];
    static const struct {
        const char *what;
        float fill, special; /* 63 of one and one of the other, at element 5 */
        uint32_t absmax;
        unsigned code, special_code;
    } rows[] = {
        {"zero block", 0.0f, 0.0f, 0x00000000, 7, 7},
        {"minus zero block", -0.0f, -0.0f, 0x00000000, 7, 7},
        {"NaN among ones", 1.0f, NAN, 0x3f800000, 15, 0},
        {"NaN among zeros", 0.0f, NAN, 0x00000000, 7, 0},
        {"all NaN", NAN, NAN, 0x00000000, 0, 0},
        {"inf among ones: 1 * 0, inf * 0", 1.0f, INFINITY, 0x7f800000, 7, 0},
        {"-inf among minus ones", -1.0f, -INFINITY, 0x7f800000, 7, 0},
        {"largest finite", FLT_MAX, -FLT_MAX, 0x7f7fffff, 15, 0},
        {"smallest normal, above 1e-38", FLT_MIN, 0.0f, 0x00800000, 15, 7},
        {"below 1e-38: y = x * 1e38 = 0.588, not 1", 0x1p-127f, 0.0f, 0x00400000, 13, 7},
        {"smallest denormal", 0x1p-149f, 0.0f, 0x00000001, 7, 7},
        {"one negative", 0.0f, -3.0f, 0x40400000, 7, 0},
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; ++r) {
        test_note("%s", rows[r].what);
        for (int i = 0; i < 64; ++i)
            x[i] = i == 5 ? rows[r].special : rows[r].fill;
        nf4_quantize(x, 64, 64, packed, absmax);
        EXPECT_EQ_BITS(rows[r].absmax, f32_bits(absmax[0]));
        for (size_t i = 4; i < 7; ++i)
            EXPECT_EQ(i == 5 ? rows[r].special_code : rows[r].code, nf4_code_at(packed, i));
        check_quantize(x, 64, 64);
        check_quantize(x, 63, 32);
    }
}

/* y is x times the rounded reciprocal; the quotient x / absmax lies on the other side of a threshold here. */
TEST(nf4, quantize_multiplies_by_the_reciprocal)
{
    static const struct {
        uint32_t absmax, x;
        unsigned code, code_of_quotient;
    } rows[] = {
        {0x3f57b61b, 0xbdedfe35, 5, 6},   {0x3f6c4888, 0xbf104849, 1, 2},   {0x3fb8daff, 0x3d6b5fa7, 8, 7},
        {0x3f723d78, 0x3ef30bc9, 12, 13}, {0x3fb29378, 0x3f332b90, 12, 13}, {0x3fb04b6f, 0xbf574d79, 1, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        const float x[2] = {f32_from_bits(rows[i].absmax), f32_from_bits(rows[i].x)};
        uint8_t packed;
        float absmax;
        nf4_quantize(x, 2, 32, &packed, &absmax);
        test_note("row %zu", i);
        EXPECT_EQ(0xf0 | rows[i].code, packed);
        EXPECT_EQ(rows[i].code_of_quotient, nf4_encode(x[1] / x[0]));
        check_quantize(x, 2, 32);
    }
}

/* Dequantized weights quantize to the same bytes: a code's value lies far from its thresholds. */
TEST(nf4, quantize_is_idempotent)
{
    enum { COUNT = 20001, BLOCKSIZE = 64 };
    const struct contract c = {.op = OP_DEQUANT, .out = DTYPE_F32};
    float *x = malloc(COUNT * sizeof *x), absmax[2][COUNT / BLOCKSIZE + 1];
    uint8_t packed[2][COUNT / 2 + 1];
    for (size_t i = 0; i < COUNT; ++i)
        x[i] = random_bell(5, i);
    nf4_quantize(x, COUNT, BLOCKSIZE, packed[0], absmax[0]);
    const struct quantized w = {
        .count = COUNT, .blocksize = BLOCKSIZE, .packed = packed[0], .absmax = absmax[0]};
    quantized_dequantize(&c, &w, x);
    nf4_quantize(x, COUNT, BLOCKSIZE, packed[1], absmax[1]);
    EXPECT_TRUE(memcmp(packed[0], packed[1], sizeof packed[0]) == 0);
    EXPECT_TRUE(memcmp(absmax[0], absmax[1], sizeof absmax[0]) == 0);
    free(x);
}

/* ---- Dequantize ---- */

/* The weight restated: the product of two floats is exact in double, so the cast is its only rounding. */
static uint32_t expected_weight(enum dtype t, bool c16, bool flush, unsigned code, float absmax)
{
    double value = table[code].value;
    if (c16)
        value = (double)(t == DTYPE_F16 ? f16_to_f32(table[code].f16) : bf16_to_f32(table[code].bf16));
    if (flush && fabsf(absmax) < FLT_MIN)
        absmax = copysignf(0.0f, absmax);
    float product = (float)(value * (double)absmax);
    if (flush && fabsf(product) < FLT_MIN)
        product = copysignf(0.0f, product);
    uint32_t bits;
    dtype_store(t, &bits, 0, product);
    return dtype_load_bits(t, &bits, 0);
}

/* Same bits, or both NaN: which NaN 0 * inf makes depends on the machine. */
static bool same(enum dtype t, uint32_t a, uint32_t b)
{
    return a == b || (isnan(dtype_load(t, &a, 0)) && isnan(dtype_load(t, &b, 0)));
}

static const struct contract dequant_contracts[] = {
    {.out = DTYPE_F32},
    {.out = DTYPE_F32, .denormals = DENORMALS_FLUSH},
    {.out = DTYPE_F16},
    {.out = DTYPE_F16, .denormals = DENORMALS_FLUSH},
    {.out = DTYPE_F16, .decode = DECODE_OUT},
    {.out = DTYPE_BF16},
    {.out = DTYPE_BF16, .denormals = DENORMALS_FLUSH},
    {.out = DTYPE_BF16, .decode = DECODE_OUT, .denormals = DENORMALS_FLUSH},
};
enum { DEQUANT_CONTRACTS = sizeof dequant_contracts / sizeof dequant_contracts[0] };

/* 16 codes by every f16 and bf16 absmax and a stride of fp32 ones: all exponents, denormals, infinities, NaN.
 */
TEST(nf4, weight_of_every_code_and_absmax)
{
    for (size_t i = 0; i < DEQUANT_CONTRACTS; ++i) {
        const struct contract *c = &dequant_contracts[i];
        char name[CONTRACT_NAME_MAX];
        long wrong = 0;
        ASSERT_TRUE(contract_format(c, name, sizeof name));
        test_note("%s", name);
        for (uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
            const float absmax[3] = {f16_to_f32((uint16_t)pattern), bf16_to_f32((uint16_t)pattern),
                                     f32_from_bits(pattern << 16 | random_below(3, pattern, 0x10000))};
            for (unsigned a = 0; a < 3; ++a)
                for (unsigned code = 0; code < 16; ++code) {
                    float weight = quantized_weight(c, code, (struct quantized_block){absmax[a], 0});
                    uint32_t bits, want = expected_weight(c->out, c->decode == DECODE_OUT,
                                                          c->denormals == DENORMALS_FLUSH, code, absmax[a]);
                    dtype_store(c->out, &bits, 0, weight);
                    wrong += !same(c->out, want, dtype_load_bits(c->out, &bits, 0));
                }
        }
        EXPECT_EQ(0, wrong);
    }
}

TEST(nf4, known_weights)
{
    const struct contract f32 = {.out = DTYPE_F32}, f16 = {.out = DTYPE_F16};
    EXPECT_EQ_BITS(0x80000000,
                   f32_bits(quantized_weight(&f32, 0, (struct quantized_block){0.0f, 0}))); /* -1 * 0 */
    EXPECT_EQ_BITS(0x00000000, f32_bits(quantized_weight(&f32, 7, (struct quantized_block){3.0f, 0})));
    EXPECT_EQ_BITS(0x7f800000, f32_bits(quantized_weight(&f16, 15, (struct quantized_block){65520.0f, 0})));
    EXPECT_EQ_BITS(f32_bits(65504.0f),
                   f32_bits(quantized_weight(&f16, 15, (struct quantized_block){65519.0f, 0})));
    EXPECT_TRUE(isnan(quantized_weight(&f32, 7, (struct quantized_block){INFINITY, 0})));
    EXPECT_TRUE(isnan(quantized_weight(&f32, 3, (struct quantized_block){NAN, 0})));
}

/* Arrays: every type and blocksize, odd counts, plain and nested, and nothing written past the end. */
TEST(nf4, dequantize_is_the_weight_of_each_element)
{
    enum { MAX = 2 * 4096 + 77 };
    uint8_t packed[MAX / 2 + 1], codes[MAX / 32 + 1];
    float absmax[MAX / 32 + 1], nested[MAX / 32 / 256 + 1], map[NESTED_MAP_SIZE];
    unsigned char out[(MAX + 1) * 4];
    nested_dynamic_map(map);
    for (size_t i = 0; i < sizeof packed; ++i)
        packed[i] = (uint8_t)random_below(21, i, 256);
    for (size_t b = 0; b < sizeof codes; ++b) {
        absmax[b] = random_exponent(22, b, -127, 20);
        codes[b] = (uint8_t)random_below(23, b, 256);
    }
    for (size_t g = 0; g < sizeof nested / sizeof nested[0]; ++g)
        nested[g] = random_exponent(24, g, -3, 3);

    for (size_t i = 0; i < DEQUANT_CONTRACTS; ++i)
        for (size_t blocksize = 32; blocksize <= 4096; blocksize *= 2)
            for (enum nested how = NESTED_NONE; how <= NESTED_FUSED; ++how)
                for (size_t count = 0; count <= MAX; count = count < 3 ? count + 1 : 3 * count + 2) {
                    struct contract c = dequant_contracts[i];
                    c.nested = how;
                    struct quantized w = {.count = count, .blocksize = blocksize, .packed = packed};
                    if (how == NESTED_NONE)
                        w.absmax = absmax;
                    else
                        w.nested = (struct nested_absmax){codes, nested, map, 0.37f};
                    memset(out, 0xa5, sizeof out);
                    quantized_dequantize(&c, &w, out);
                    size_t wrong = 0;
                    for (size_t e = 0; e < count; ++e) {
                        float a = how == NESTED_NONE ? absmax[e / blocksize]
                                                     : nested_recover(&w.nested, e / blocksize, how);
                        unsigned code = e % 2 ? packed[e / 2] % 16 : packed[e / 2] / 16;
                        uint32_t want = expected_weight(c.out, c.decode == DECODE_OUT,
                                                        c.denormals == DENORMALS_FLUSH, code, a);
                        wrong += want != dtype_load_bits(c.out, out, e);
                    }
                    test_note("contract %zu blocksize %zu nested %d count %zu", i, blocksize, (int)how,
                              count);
                    EXPECT_EQ(0, wrong);
                    EXPECT_EQ(0xa5, out[count * dtype_size(c.out)]);
                }
}
