/* Tests of reference/nested.c: the published map, nearest entries, and the two ways to recover an absmax. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reference/nf4.h"
#include "tests/reference/random.h"
#include "tests/test.h"

/* Entries 0 to 127 of a published nested_quant_map; 128 to 254 mirror them, 255 is 1. */
static const uint32_t map_bits[128] = {
    0xbf7e3333, 0xbf7a999a, 0xbf770000, 0xbf736666, 0xbf6fcccd, 0xbf6c3333, 0xbf68999a, 0xbf650000,
    0xbf616666, 0xbf5dcccd, 0xbf5a3333, 0xbf56999a, 0xbf530000, 0xbf4f6666, 0xbf4bcccd, 0xbf483333,
    0xbf44999a, 0xbf410000, 0xbf3d6666, 0xbf39cccd, 0xbf363333, 0xbf32999a, 0xbf2f0000, 0xbf2b6666,
    0xbf27cccd, 0xbf243333, 0xbf20999a, 0xbf1d0000, 0xbf196666, 0xbf15cccd, 0xbf123333, 0xbf0e999a,
    0xbf0b0000, 0xbf076666, 0xbf03cccd, 0xbf003333, 0xbef93334, 0xbef20000, 0xbeeacccc, 0xbee3999a,
    0xbedc6666, 0xbed53334, 0xbece0000, 0xbec6cccc, 0xbebf999a, 0xbeb86666, 0xbeb13334, 0xbeaa0000,
    0xbea2cccc, 0xbe9b999a, 0xbe946666, 0xbe8d3334, 0xbe860000, 0xbe7d9999, 0xbe6f3333, 0xbe60cccd,
    0xbe526666, 0xbe440000, 0xbe35999a, 0xbe273333, 0xbe18cccd, 0xbe0a6666, 0xbdf80000, 0xbddb3334,
    0xbdc9eb85, 0xbdc428f6, 0xbdbe6666, 0xbdb8a3d7, 0xbdb2e148, 0xbdad1eb8, 0xbda75c29, 0xbda1999a,
    0xbd9bd70a, 0xbd96147b, 0xbd9051ec, 0xbd8a8f5c, 0xbd84cccd, 0xbd7e147a, 0xbd728f5c, 0xbd670a3e,
    0xbd5b851f, 0xbd500000, 0xbd447ae1, 0xbd38f5c2, 0xbd2d70a4, 0xbd21eb85, 0xbd166666, 0xbd0ae148,
    0xbcfeb852, 0xbce7ae15, 0xbcd0a3d7, 0xbcb9999a, 0xbca28f5c, 0xbc8b851f, 0xbc68f5c2, 0xbc3ae148,
    0xbc1f3b64, 0xbc160419, 0xbc0ccccd, 0xbc039581, 0xbbf4bc6a, 0xbbe24dd3, 0xbbcfdf3c, 0xbbbd70a4,
    0xbbab020c, 0xbb989375, 0xbb8624dd, 0xbb676c8b, 0xbb428f5c, 0xbb1db22d, 0xbaf1a9fc, 0xbaa7ef9e,
    0xba7765fd, 0xba59e83e, 0xba3c6a7f, 0xba1eecc0, 0xba016f01, 0xb9c7e282, 0xb98ce704, 0xb923d70a,
    0xb8ba1f4b, 0xb88aefb3, 0xb8378034, 0xb7b24207, 0xb70205ff, 0xb65a1a93, 0xb513a3b6, 0x00000000,
};

TEST(nested, dynamic_map_is_the_published_one)
{
    float map[NESTED_MAP_SIZE];
    nested_dynamic_map(map);
    for (int i = 0; i < 256; ++i) {
        uint32_t want = i < 128 ? map_bits[i] : i < 255 ? map_bits[254 - i] & 0x7fffffff : 0x3f800000;
        test_note("entry %d", i);
        EXPECT_EQ_BITS(want, f32_bits(map[i]));
        if (i > 0)
            EXPECT_TRUE(map[i] > map[i - 1]);
    }
}

/* Nearest entry by trying all, in double, where all distances of floats near 1 are exact; the first of
 * equals. */
static unsigned nearest_by_search(const float *map, float y)
{
    unsigned best = 0;
    for (unsigned i = 1; i < 256; ++i)
        if (fabs((double)map[i] - (double)y) < fabs((double)map[best] - (double)y))
            best = i;
    return best;
}

TEST(nested, quantize_takes_the_nearest_entry)
{
    enum { MAX = 1500 };
    static const size_t counts[] = {0, 1, 2, 255, 256, 257, 512, 1500};
    float map[NESTED_MAP_SIZE], absmax[MAX];
    nested_dynamic_map(map);
    for (size_t n = 0; n < sizeof counts / sizeof counts[0]; ++n) {
        const size_t count = counts[n], groups = nested_group_count(count);
        uint8_t codes[MAX + 1];
        float nested[8];
        double sum = 0;
        for (size_t b = 0; b < count; ++b) {
            absmax[b] = 0.05f * fabsf(random_bell(n, b)) + 0.1f;
            sum += (double)absmax[b];
        }
        memset(codes, 0xa5, sizeof codes);
        memset(nested, 0xa5, sizeof nested);
        float offset = nested_quantize(absmax, count, map, codes, nested);
        test_note("%zu blocks", count);
        EXPECT_EQ((count + 255) / 256, groups);
        EXPECT_EQ_BITS(f32_bits(count ? (float)(sum / (double)count) : 0.0f), f32_bits(offset));
        size_t wrong = 0;
        for (size_t g = 0; g < groups; ++g) {
            float largest = 0.0f;
            for (size_t b = 256 * g; b < count && b < 256 * (g + 1); ++b)
                largest = fmaxf(largest, fabsf(absmax[b] - offset));
            EXPECT_EQ_BITS(f32_bits(largest), f32_bits(nested[g]));
            float inverse = 1.0f / fmaxf(largest, 1e-38f);
            for (size_t b = 256 * g; b < count && b < 256 * (g + 1); ++b)
                wrong += codes[b] != nearest_by_search(map, (absmax[b] - offset) * inverse);
        }
        EXPECT_EQ(0, wrong);
        EXPECT_EQ(0xa5, codes[count]);
        EXPECT_EQ_BITS(0xa5a5a5a5, f32_bits(nested[groups]));
    }
}

/* A map whose middles are floats, so that ties can be hit: entry i is i - 128, blocks hold multiples of 1/2.
 */
TEST(nested, a_tie_goes_to_the_lower_entry)
{
    float map[NESTED_MAP_SIZE], absmax[256], nested[1];
    uint8_t codes[256];
    for (int i = 0; i < 256; ++i)
        map[i] = (float)(i - 128) / 128.0f;
    /* Mean 4 exactly, largest difference 1, so that y is the difference itself. */
    for (int b = 0; b < 256; ++b)
        absmax[b] = 4.0f + (b % 2 ? -1.0f : 1.0f) * (b < 2 ? 1.0f : (float)(2 * (b / 2) + 1) / 256.0f);
    float offset = nested_quantize(absmax, 256, map, codes, nested);
    EXPECT_EQ_BITS(f32_bits(4.0f), f32_bits(offset));
    EXPECT_EQ_BITS(f32_bits(1.0f), f32_bits(nested[0]));
    for (int b = 2; b < 256; ++b) {
        int half_steps = (b % 2 ? -1 : 1) * (2 * (b / 2) + 1); /* y in units of half a step: always a tie */
        test_note("block %d, y = %d/256", b, half_steps);
        EXPECT_EQ(128 + (half_steps - 1) / 2, codes[b]);
    }
}

TEST(nested, equal_blocks_and_nan)
{
    float map[NESTED_MAP_SIZE], absmax[300], nested[2];
    uint8_t codes[300];
    nested_dynamic_map(map);
    for (int b = 0; b < 300; ++b)
        absmax[b] = 0.25f;
    EXPECT_EQ_BITS(f32_bits(0.25f), f32_bits(nested_quantize(absmax, 300, map, codes, nested)));
    for (int b = 0; b < 300; ++b)
        EXPECT_EQ(127, codes[b]); /* the zero of the map: absmax == offset */
    EXPECT_EQ_BITS(0, f32_bits(nested[0]));
    absmax[3] = NAN;
    EXPECT_TRUE(isnan(nested_quantize(absmax, 300, map, codes, nested)));
    EXPECT_EQ(0, codes[0]);
}

TEST(nested, twostep_and_fused_differ_by_one_ulp_at_most)
{
    enum { BLOCKS = 65536 };
    float map[NESTED_MAP_SIZE], *absmax = malloc(BLOCKS * sizeof *absmax), nested[BLOCKS / 256];
    uint8_t *codes = malloc(BLOCKS);
    long differ = 0, far = 0, wrong = 0, coarse = 0;
    nested_dynamic_map(map);
    for (size_t b = 0; b < BLOCKS; ++b)
        absmax[b] = 0.1f + 0.02f * random_bell(9, b);
    struct nested_absmax q = {.codes = codes, .nested_absmax = nested, .map = map};
    q.offset = nested_quantize(absmax, BLOCKS, map, codes, nested);
    for (size_t b = 0; b < BLOCKS; ++b) {
        float twostep = nested_recover(&q, b, NESTED_TWOSTEP), fused = nested_recover(&q, b, NESTED_FUSED);
        uint32_t distance = dtype_ulp_distance(DTYPE_F32, f32_bits(twostep), f32_bits(fused));
        differ += distance != 0;
        far += distance > 1;
        /* Restated in double, where the product is exact, and so is the sum with its rounded value. */
        double product = (double)map[codes[b]] * (double)nested[b / 256];
        wrong += f32_bits((float)((double)(float)product + (double)q.offset)) != f32_bits(twostep);
        wrong += fabs((double)fused - (product + (double)q.offset)) >
                 fabs((double)twostep - (product + (double)q.offset)) + 0x1p-60;
        /* and the code is worth it: within half of the widest segment of the map */
        coarse += !(fabs((double)twostep - (double)absmax[b]) <= 0.0101 * (double)nested[b / 256]);
    }
    EXPECT_TRUE(differ > BLOCKS / 100);
    EXPECT_EQ(0, far);
    EXPECT_EQ(0, wrong);
    EXPECT_EQ(0, coarse);
    free(absmax);
    free(codes);
}
