#include "harness/problem/problem.h"

#include <string.h>

#include "tests/test.h"

TEST(problem, text_form_round_trips)
{
    static const char *const texts[] = {
        "dequant f32 n=33 k=65 blocksize=64 nested=0 seed=1 weights=normal",
        "gemm bf16 m=4 n=4096 k=4096 blocksize=128 nested=1 bias=1 seed=99 weights=normal",
        "gemmdx f16 m=7 n=11 k=13 blocksize=4096 nested=0 seed=9223372036854775807 weights=normal",
        "gemm f32 m=1 n=2 k=3 blocksize=32 nested=0 bias=0 seed=0 weights=a "
        "folder/model.safetensors:layer.0.weight",
        "gemm bf16 m=4 n=64 k=256 format=int4 blocksize=128 zeros=1 actorder=1 bias=0 seed=1 weights=normal",
        "dequant bf16 n=64 k=97 format=int8 blocksize=97 seed=1 weights=normal",
        "gemmdx bf16 m=1 n=64 k=97 format=dense seed=1 weights=normal",
        "dequant bf16 n=2 k=3 blocksize=32 nested=1 seed=0 weights=checkpoint:m.safetensors:layer.0.weight",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct problem p;
        char text[PROBLEM_TEXT_MAX];
        test_note("%s", texts[i]);
        ASSERT_EQ(STATUS_OK, problem_parse(texts[i], &p));
        EXPECT_TRUE(problem_format(&p, text, sizeof text));
        EXPECT_STREQ(texts[i], text);
    }
}

TEST(problem, bad_text_is_refused)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "does not begin"},
        {"gem bf16 m=1 n=1 k=1", "does not begin"},
        {"gemm int8 m=1 n=1 k=1", "second word"},
        {"gemm bf16 n=1 k=1", "m for products only"},
        {"dequant bf16 m=1 n=1 k=1", "m for products only"},
        {"gemm bf16 m=1 n=0 k=1", "n and k of 1 or more"},
        {"gemm bf16 m=1 n=-1 k=1", "'n=-1'"},
        {"gemm bf16 m=1 n=1x k=1", "'n=1x'"},
        {"gemm bf16 m=1 n=99999999999999999999 k=1", "out of range"},
        {"gemm bf16 m=1 n=2147483648 k=2147483648", "n*k to 2^40"},
        {"gemm bf16 m=1 n=1 k=1 blocksize=48", "power of two"},
        {"gemm bf16 m=1 n=1 k=1 frobnicate=1", "not understood"},
        {"gemm bf16 m=1 n=1 k", "not key=value"},
        {"gemmdx bf16 m=1 n=1 k=1 bias=1", "bias for gemm"},
        {"gemm bf16 m=1 n=1 k=1 format=int5", "format=int5 is none"},
        {"gemm bf16 m=1 n=1 k=96 format=int4 blocksize=64", "a power of two from 32 that divides k"},
        {"gemm bf16 m=1 n=1 k=96 format=int8 blocksize=32 nested=1", "no nested scales"},
        {"gemm bf16 m=1 n=1 k=96 format=fp8 blocksize=32 zeros=1", "no zeros"},
        {"gemm bf16 m=1 n=1 k=96 zeros=1", "no zeros"},
        {"dequant bf16 n=1 k=96 format=dense", "is for products"},
        {"repack u8 n=1 k=96 format=int4 blocksize=96", "not what is repacked"},
        {"repack bf16 n=1 k=1", "u8 for repack"},
        {"dequant u8 n=1 k=1", "u8 for repack"},
        {"repack u8 m=1 n=1 k=1", "m for products only"},
        {"unrepack u8 n=1 k=1 nested=1", "have no nested"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct problem p;
        test_note("%s", rows[i].text);
        EXPECT_EQ(STATUS_USAGE, problem_parse(rows[i].text, &p));
        EXPECT_CONTAINS(status_message(), rows[i].says);
    }
}

TEST(problem, sizes)
{
    struct problem p;
    ASSERT_EQ(STATUS_OK, problem_parse("gemm bf16 m=4 n=6 k=100 blocksize=64 nested=0 bias=1", &p));
    EXPECT_EQ(300, problem_packed_bytes(&p));
    EXPECT_EQ(40, problem_scale_bytes(&p)); /* 10 blocks */
    EXPECT_EQ(24, problem_output_count(&p));
    EXPECT_EQ(400, problem_input_count(&p));
    EXPECT_EQ(300 + 40 + 2 * (24 + 400 + 6), problem_format_bytes(&p));
    p.format.nested = true;
    EXPECT_EQ(14, problem_scale_bytes(&p)); /* 10 codes and one nested absmax */
    p.op = OP_GEMMDX;
    EXPECT_EQ(400, problem_output_count(&p));
    EXPECT_EQ(24, problem_input_count(&p));
    ASSERT_EQ(STATUS_OK,
              problem_parse("gemm f16 m=4 n=6 k=128 format=int4 blocksize=64 zeros=1 actorder=1", &p));
    EXPECT_EQ(384, problem_packed_bytes(&p));
    EXPECT_EQ(12 * 3 + 4 * 128, problem_scale_bytes(&p)); /* 12 blocks, and g_idx */
    ASSERT_EQ(STATUS_OK, problem_parse("gemm f16 m=4 n=6 k=128 format=int8 blocksize=128", &p));
    EXPECT_EQ(768 + 12, problem_packed_bytes(&p) + problem_scale_bytes(&p));
    ASSERT_EQ(STATUS_OK, problem_parse("gemm f32 m=4 n=6 k=128 format=dense", &p));
    EXPECT_EQ(4 * 768, problem_packed_bytes(&p) + problem_scale_bytes(&p));
    ASSERT_EQ(STATUS_OK, problem_parse("repack u8 n=9 k=101", &p)); /* two tiles of 512 bytes */
    EXPECT_EQ(1024, problem_output_count(&p));
    EXPECT_EQ(0, problem_input_count(&p) + problem_scale_bytes(&p));
    EXPECT_EQ(455 + 1024, problem_format_bytes(&p));
    p.op = OP_UNREPACK;
    EXPECT_EQ(455, problem_output_count(&p));
    EXPECT_EQ(455 + 1024, problem_format_bytes(&p));
}
