/* Tests of harness/problem/layout.h: names, sizes, and that what it makes is what the packages' layouts
 * are. That kernels read it rightly, and how, the variants on it show. */
#include "harness/problem/layout.h"

#include <stdlib.h>
#include <string.h>

#include "harness/problem/operands.h"
#include "kernels/kernel.h"
#include "reference/awq.h"
#include "reference/gptq.h"
#include "reference/marlin.h"
#include "tests/reference/int4.h"
#include "tests/test.h"

TEST(layout, is_a_knob_of_the_format_that_has_it)
{
    EXPECT_EQ(LAYOUT_GPTQ, layout_of_knobs(FORMAT_INT4, "sm80_gptq_64x32"));
    EXPECT_EQ(LAYOUT_GPTQV2, layout_of_knobs(FORMAT_INT4, "scalar_gptqv2"));
    EXPECT_EQ(LAYOUT_AWQGEMV, layout_of_knobs(FORMAT_INT4, "avx512_awqgemv"));
    EXPECT_EQ(LAYOUT_ROWS, layout_of_knobs(FORMAT_INT4, "sm80_repacked"));
    EXPECT_EQ(LAYOUT_FRAGMENTS, layout_of_knobs(FORMAT_NF4, "sm80_repacked"));
    EXPECT_EQ(LAYOUT_ROWS, layout_of_knobs(FORMAT_NF4, "sm80_gptq"));
    char why[128];
    EXPECT_FALSE(layout_knobs_wrong(FORMAT_INT4, "sm80_gptq_64x32", why, sizeof why));
    EXPECT_FALSE(layout_knobs_wrong(FORMAT_NF4, "avx2", why, sizeof why));
    EXPECT_TRUE(layout_knobs_wrong(FORMAT_NF4, "sm80_gptq", why, sizeof why));
    EXPECT_STREQ("the layout 'gptq' is not one of nf4", why);
    EXPECT_TRUE(layout_knobs_wrong(FORMAT_INT4, "sm80_awq_x_marlin", why, sizeof why));
    EXPECT_STREQ("it names two layouts, 'awq' and 'marlin'", why);
    EXPECT_STREQ("checkpoint", layout_track(LAYOUT_ROWS, FORMAT_NF4));
    EXPECT_STREQ("rows", layout_track(LAYOUT_ROWS, FORMAT_INT4));
    EXPECT_STREQ("checkpoint", layout_track(LAYOUT_AWQ, FORMAT_INT4));
    EXPECT_STREQ("repacked", layout_track(LAYOUT_MARLIN, FORMAT_INT4));
    EXPECT_STREQ("dense", layout_track(LAYOUT_ROWS, FORMAT_DENSE));
}

TEST(layout, constraints_say_why)
{
    struct problem p = {
        .op = OP_GEMM, .format.kind = FORMAT_INT4, .m = 1, .n = 12, .k = 96, .format.blocksize = 32};
    EXPECT_CONTAINS(layout_inapplicable(LAYOUT_GPTQ, &p), "multiples of 8");
    EXPECT_CONTAINS(layout_inapplicable(LAYOUT_AWQ, &p), "multiples of 8");
    EXPECT_TRUE(layout_inapplicable(LAYOUT_AWQGEMV, &p) == NULL);
    p.format.blocksize = 96;
    EXPECT_CONTAINS(layout_inapplicable(LAYOUT_AWQGEMV, &p), "groups of 32");
    EXPECT_CONTAINS(layout_inapplicable(LAYOUT_MARLIN, &p), "multiples of 64");
    p.n = 64;
    EXPECT_TRUE(layout_inapplicable(LAYOUT_MARLIN, &p) == NULL);
    p.format.act_order = true;
    EXPECT_TRUE(layout_inapplicable(LAYOUT_GPTQ, &p) == NULL);
    EXPECT_CONTAINS(layout_inapplicable(LAYOUT_ROWS, &p), "no act-order");
    EXPECT_CONTAINS(layout_inapplicable(LAYOUT_AWQ, &p), "no act-order");
}

/* Bits per weight of formats.md: symmetric and asymmetric zero points are stored alike. */
TEST(layout, bytes)
{
    struct problem p = {
        .op = OP_GEMM, .format.kind = FORMAT_INT4, .m = 1, .n = 4096, .k = 4096, .format.blocksize = 128};
    const double weights = 4096.0 * 4096.0;
    EXPECT_NEAR(4.15625, 8 * (double)layout_bytes(LAYOUT_AWQ, &p) / weights, 1e-9);
    EXPECT_NEAR(4.15625 + 32.0 / 4096, 8 * (double)layout_bytes(LAYOUT_GPTQ, &p) / weights, 1e-9);
    EXPECT_NEAR(4.15625, 8 * (double)layout_bytes(LAYOUT_AWQGEMV, &p) / weights, 1e-9);
    EXPECT_NEAR(4.1875, 8 * (double)layout_bytes(LAYOUT_MARLIN, &p) / weights, 1e-9);
    EXPECT_NEAR(4.125, 8 * (double)layout_bytes(LAYOUT_ROWS, &p) / weights, 1e-9);
    p.format.zeros = true;
    EXPECT_NEAR(4.1875, 8 * (double)layout_bytes(LAYOUT_ROWS, &p) / weights, 1e-9);
}

TEST(layout, made_ones_are_read_back)
{
    struct problem p;
    struct operands o;
    ASSERT_EQ(STATUS_OK, problem_parse("gemm f16 m=1 n=64 k=512 format=int4 blocksize=64 zeros=1", &p));
    ASSERT_EQ(STATUS_OK, operands_init(&p, 1, &device_cpu, &o));
    const struct quantized w = operands_tensor(&o, 0);
    static uint8_t want[64 * 512], q[64 * 512], zero[64 * 8];
    static uint16_t scale[64 * 8];
    nf4_unpack(w.packed, w.count, want);
    for (enum layout l = LAYOUT_GPTQ; l < LAYOUT_COUNT; l++) {
        struct grouped_int4 g = {.n = 64, .k = 512, .group = 64, .q = q, .zero = zero, .scale = scale};
        uint8_t *bytes = malloc(layout_bytes(l, &p));
        test_note("%s", layout_knob(l));
        ASSERT_TRUE(bytes && layout_make(l, &p, &w, bytes));
        const struct int4_parts parts = l == LAYOUT_AWQ       ? int4_awq_parts(64, 512, 8)
                                        : l == LAYOUT_AWQGEMV ? int4_awqgemv_parts(64, 512, 64)
                                        : l == LAYOUT_MARLIN  ? int4_marlin_parts(64, 512, 8)
                                                              : int4_gptq_parts(64, 512, 8);
        EXPECT_EQ(layout_bytes(l, &p), parts.bytes);
        uint32_t *codes = (void *)bytes, *zeros = (void *)(bytes + parts.zeros);
        uint16_t *scales = (void *)(bytes + parts.scales);
        memset(q, 0xff, sizeof q);
        if (l == LAYOUT_MARLIN) {
            marlin_unrepack(codes, 64, 512, q);
            for (size_t n = 0; n < 64; n++)
                for (size_t j = 0; j < 8; j++) {
                    zero[n * 8 + j] = bytes[parts.zeros + j * 64 + n];
                    scale[n * 8 + j] = scales[j * 64 + n];
                }
        } else if (l == LAYOUT_AWQ) {
            awq_gemm_unpack(&(struct awq_tensors){codes, zeros, scales}, &g);
        } else if (l == LAYOUT_AWQGEMV) {
            awq_gemv_unpack(&(struct awq_tensors){codes, zeros, scales}, &g);
        } else {
            gptq_unpack(&(struct gptq_tensors){codes, zeros, scales, NULL},
                        l == LAYOUT_GPTQ ? GPTQ_V1 : GPTQ_V2, &g);
        }
        EXPECT_TRUE(memcmp(q, want, sizeof q) == 0);
        EXPECT_TRUE(memcmp(zero, w.zero, sizeof zero) == 0);
        EXPECT_TRUE(memcmp(scale, w.scale, sizeof scale) == 0);
        free(bytes);
    }
    operands_release(&o);
}

TEST(layout, zero_points_that_do_not_fit)
{
    static uint8_t zero[2] = {0, 15}, packed[64];
    static uint16_t scale[2];
    const struct quantized w = {.format = FORMAT_INT4,
                                .count = 128,
                                .columns = 64,
                                .blocksize = 64,
                                .packed = packed,
                                .scale = scale,
                                .zero = zero};
    EXPECT_CONTAINS(layout_unfit(LAYOUT_GPTQ, &w), "zero point is 0");
    EXPECT_TRUE(layout_unfit(LAYOUT_AWQ, &w) == NULL);
    zero[0] = 16;
    EXPECT_TRUE(layout_unfit(LAYOUT_GPTQ, &w) == NULL);
    EXPECT_CONTAINS(layout_unfit(LAYOUT_AWQ, &w), "16");
    EXPECT_TRUE(layout_unfit(LAYOUT_ROWS, &w) == NULL);
}
