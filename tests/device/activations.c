/* Tests of harness/device/activations.c: signs change, nothing else does, and they come back. */
#include "harness/device/activations.h"

#include <math.h>
#include <string.h>

#include "reference/dtype.h"
#include "tests/test.h"

enum { COUNT_MAX = 5 * 600 };

static struct problem problem_of(const char *text)
{
    struct problem p = {.m = 0};
    EXPECT_EQ(STATUS_OK, problem_parse(text, &p));
    return p;
}

static void compare(const char *text)
{
    const struct problem p = problem_of(text);
    const size_t count = problem_input_count(&p), reduced = problem_reduced(&p);
    float before[COUNT_MAX + 1], x[COUNT_MAX + 1]; /* the last one is not part of it */
    ASSERT_TRUE(count <= COUNT_MAX && count == p.m * reduced);
    for (size_t i = 0; i <= COUNT_MAX; i++)
        dtype_store(p.out, before, i, (float)(i % 200 + 1));
    memcpy(x, before, sizeof x);
    for (size_t call = 0; call < 40; call++) {
        float was[COUNT_MAX + 1];
        memcpy(was, x, sizeof was);
        activations_change(&p, x, 7, call);
        size_t changed = 0;
        for (size_t row = 0; row < p.m; row++) {
            size_t in_row = 0;
            for (size_t i = row * reduced; i < (row + 1) * reduced; i++) {
                const float now = dtype_load(p.out, x, i), then = dtype_load(p.out, was, i);
                EXPECT_TRUE(fabsf(now) == fabsf(then));
                in_row += now != then;
            }
            if (call > 0)
                EXPECT_TRUE(in_row >= 1 && in_row <= ACTIVATIONS_BETWEEN); /* in every row */
            changed += in_row;
        }
        if (call == 0)
            EXPECT_TRUE(changed > count / 3 && changed < count * 2 / 3);
    }
    EXPECT_TRUE(dtype_load(p.out, x, count) == dtype_load(p.out, before, count));
    for (size_t call = 0; call < 40; call++) /* in any order */
        activations_change(&p, x, 7, call);
    EXPECT_TRUE(memcmp(x, before, sizeof x) == 0);
}

TEST(activations, signs_change_in_every_row_and_come_back)
{
    compare("gemm f32 m=5 n=8 k=600 blocksize=64");
    compare("gemm bf16 m=3 n=8 k=97 blocksize=64");
    compare("gemmdx f16 m=3 n=199 k=64 blocksize=64");
}

TEST(activations, a_dequantize_has_none)
{
    const struct problem p = problem_of("dequant f32 n=4 k=64 blocksize=64");
    float x = 1;
    activations_change(&p, &x, 7, 0);
    activations_change(&p, &x, 7, 1);
    EXPECT_TRUE(x == 1);
}
