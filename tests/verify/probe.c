/* What tensor cores made of the operands of `nf4bench probe`, as hashes of the outputs: the models still say
 * so. */
#include "harness/verify/probe.h"

#include "tests/test.h"

enum { TILES = 1024 };

static void count_one(const struct probe_mismatch *m, void *context)
{
    (void)m;
    ++*(size_t *)context;
}

/* `nf4bench probe --device cuda`, seed 1, on an NVIDIA H200 (driver 580.159.04). */
static const struct {
    enum dtype t;
    enum probe_class c;
    uint64_t hash;
} h200[] = {
    {DTYPE_F16, PROBE_MODERATE, 0x52975d3715611157},
    {DTYPE_F16, PROBE_WIDE, 0xe2a7897043af7fa7},
    {DTYPE_F16, PROBE_ZEROS, 0xd8d786d8a31d9b2e},
    {DTYPE_F16, PROBE_DENORMAL_OPERANDS, 0x67239bab95112e92},
    {DTYPE_F16, PROBE_DENORMAL_RESULTS, 0xa13e8b64817a9df0},
    {DTYPE_F16, PROBE_NOT_FINITE, 0x55fbf9c48ba7b347},
    {DTYPE_BF16, PROBE_MODERATE, 0x8cbbe15c5f910b3d},
    {DTYPE_BF16, PROBE_WIDE, 0x5c0a8509170999c0},
    {DTYPE_BF16, PROBE_ZEROS, 0x3e619fab7a3eb24a},
    {DTYPE_BF16, PROBE_DENORMAL_OPERANDS, 0xe0fb3892039ad779},
    {DTYPE_BF16, PROBE_DENORMAL_RESULTS, 0xf0e85527c9abf71b},
    {DTYPE_BF16, PROBE_NOT_FINITE, 0x087c8e7e9d50740e},
};

TEST(probe, an_h200_computes_what_mma90_says)
{
    static struct mma_tile tiles[TILES];
    for (size_t i = 0; i < sizeof h200 / sizeof h200[0]; i++) {
        struct probe_result r;
        size_t different = 0;
        for (size_t n = 0; n < TILES; n++) {
            struct mma_tile *t = &tiles[n];
            probe_fill(h200[i].c, h200[i].t, 1, n, t);
            for (size_t row = 0; row < MMA_M; row++)
                for (size_t column = 0; column < MMA_N; column++)
                    t->d[row][column] =
                        mma_dot(MMA_90, h200[i].t, MMA_K, t->a[row], t->b[column], t->c[row][column]);
        }
        probe_compare(h200[i].t, tiles, TILES, MMA_90, count_one, &different, &r);
        test_note("%s, %s", dtype_word(h200[i].t), probe_class_word(h200[i].c));
        EXPECT_EQ(0, different);
        EXPECT_EQ_BITS(h200[i].hash, r.hash);
    }
}
