/* Tests of reference/int4.c: known values, and its error beside NF4's on bell-shaped weights. */
#include "reference/int4.h"

#include <math.h>
#include <stdlib.h>

#include "reference/quantized.h"
#include "tests/reference/random.h"
#include "tests/test.h"

TEST(int4, known_values)
{
    /* absmax 7, scale 1: ties to even, and -7 is the least that a symmetric block reaches */
    const float x[8] = {7.0f, -7.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 3.49f};
    const float want[8] = {7, -7, 0, 2, 2, -0.0f, -2, 3};
    float out[9] = {0};
    out[8] = 99.0f;
    int4_absmax_roundtrip(x, 8, 32, out);
    for (int i = 0; i < 8; ++i) {
        test_note("element %d", i);
        EXPECT_EQ_BITS(0, isnan(out[i]) || out[i] != want[i]);
    }
    EXPECT_TRUE(out[8] == 99.0f);
}

TEST(int4, blocks_have_their_own_scale)
{
    float x[70], out[70];
    for (int i = 0; i < 70; ++i)
        x[i] = i < 32 ? 14.0f : i < 64 ? 0.0f : -0.7f;
    x[3] = 3.0f;
    int4_absmax_roundtrip(x, 70, 32, out);
    EXPECT_TRUE(out[0] == 14.0f);
    EXPECT_TRUE(out[3] == 4.0f); /* 3 / 2 = 1.5, to even 2, times 2 */
    for (int i = 32; i < 64; ++i)
        EXPECT_EQ_BITS(0, f32_bits(out[i])); /* a zero block gives zeros */
    const float scale = 0.7f / 7.0f;
    for (int i = 64; i < 70; ++i)
        EXPECT_EQ_BITS(f32_bits(-7.0f * scale), f32_bits(out[i])); /* the short last block */
}

TEST(int4, tiny_blocks_stay_finite)
{
    const float x[4] = {0x1p-149f, -0x1p-149f, 0.0f, 0x1p-149f};
    float out[4];
    int4_absmax_roundtrip(x, 4, 32, out); /* absmax / 7 underflows to zero */
    for (int i = 0; i < 4; ++i)
        EXPECT_TRUE(out[i] == 0.0f);
    int4_absmax_roundtrip(x, 0, 32, out);
}

TEST(int4, nf4_is_closer_on_bell_shaped_weights)
{
    enum { COUNT = 64 * 1000 };
    float *x = malloc(COUNT * sizeof *x), *out = malloc(COUNT * sizeof *out), absmax[COUNT / 64];
    uint8_t *packed = malloc(COUNT / 2);
    const struct contract c = {.op = OP_DEQUANT, .out = DTYPE_F32};
    double int4_error = 0, nf4_error = 0;
    for (size_t i = 0; i < COUNT; ++i)
        x[i] = random_bell(95, i);
    int4_absmax_roundtrip(x, COUNT, 64, out);
    for (size_t i = 0; i < COUNT; ++i)
        int4_error += ((double)out[i] - (double)x[i]) * ((double)out[i] - (double)x[i]);
    nf4_quantize(x, COUNT, 64, packed, absmax);
    const struct quantized w = {.count = COUNT, .blocksize = 64, .packed = packed, .absmax = absmax};
    quantized_dequantize(&c, &w, out);
    for (size_t i = 0; i < COUNT; ++i)
        nf4_error += ((double)out[i] - (double)x[i]) * ((double)out[i] - (double)x[i]);
    test_note("int4 %g, NF4 %g", int4_error / COUNT, nf4_error / COUNT);
    EXPECT_TRUE(nf4_error < int4_error && nf4_error > 0.5 * int4_error);
    free(x);
    free(out);
    free(packed);
}
