/* Tests of reference/repack.c: positions worked out by hand, padding, and that nothing is lost on the way. */
#include "reference/repack.h"

#include <stdlib.h>
#include <string.h>

#include "reference/nf4.h"
#include "tests/test.h"

/* The only byte of W that is not code 7, 7, and what it is. */
static void expect_only(const uint8_t *bytes, size_t size, size_t where, unsigned value)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != (i == where ? value : 0x77)) {
            test_note("byte %zu is 0x%02x", i, bytes[i]);
            EXPECT_EQ(i == where ? value : 0x77, bytes[i]);
        }
    test_note(NULL);
}

/* One code of 16 x 256 is set: in which byte it comes out. */
TEST(repack, positions_by_hand)
{
    static const struct {
        size_t n, k, byte;
        bool high;
    } rows[] = {
        {0, 0, 0, true},       /* lane 0, b0 of step 0 */
        {0, 1, 0, false},      /* b1 */
        {0, 8, 1, true},       /* b2 */
        {0, 2, 16, true},      /* lane 1 */
        {0, 7, 3 * 16, false}, /* lane 3 */
        {0, 16, 2, true},      /* step 1 */
        {0, 127, 3 * 16 + 15, false},
        {1, 0, 4 * 16, true},                                     /* lane 4 */
        {7, 127, 511, false},                                     /* the last of the tile */
        {0, 128, 512, true},                                      /* the next along k */
        {8, 0, 2 * 512, true},                                    /* the first of the next eight rows */
        {13, 203, 3 * 512 + (5 * 4 + 1) * 16 + 2 * 4 + 1, false}, /* 203 = 128 + 64 + 11; 11 = 8 + 3 */
    };
    uint8_t codes[16 * 256], packed[sizeof codes / 2], repacked[sizeof packed];
    ASSERT_EQ(sizeof repacked, nf4_repacked_bytes(16, 256));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memset(codes, 7, sizeof codes);
        codes[rows[i].n * 256 + rows[i].k] = 12;
        nf4_pack(codes, sizeof codes, packed);
        nf4_repack(packed, 16, 256, repacked);
        expect_only(repacked, sizeof repacked, rows[i].byte, rows[i].high ? 0xc7 : 0x7c);
    }
}

TEST(repack, what_w_lacks_is_code_7)
{
    const uint8_t packed[2] = {0xab, 0xcd}; /* W[1,3] = a b c, and d, which is no element */
    uint8_t repacked[512];
    ASSERT_EQ(512, nf4_repacked_bytes(1, 3));
    memset(repacked, 0, sizeof repacked);
    nf4_repack(packed, 1, 3, repacked);
    EXPECT_EQ(0xab, repacked[0]);
    EXPECT_EQ(0xc7, repacked[16]);
    repacked[0] = 0x77;
    expect_only(repacked, sizeof repacked, 16, 0xc7);
}

TEST(repack, whole_tiles_only)
{
    EXPECT_EQ(512, nf4_repacked_bytes(8, 128));
    EXPECT_EQ(2 * 512, nf4_repacked_bytes(9, 128));
    EXPECT_EQ(2 * 512, nf4_repacked_bytes(8, 129));
    EXPECT_EQ((size_t)28672 * 8192 / 2, nf4_repacked_bytes(28672, 8192)); /* no byte more than packed */
}

/* There and back is the same, and there are as many of each code as before, and 7s. */
TEST(repack, nothing_is_lost)
{
    static const size_t shapes[][2] = {{1, 1},   {1, 3},   {5, 7},   {8, 128},
                                       {9, 130}, {17, 65}, {34, 97}, {23, 391}};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        const size_t n = shapes[s][0], k = shapes[s][1], count = n * k, size = nf4_packed_bytes(count);
        const size_t repacked_size = nf4_repacked_bytes(n, k);
        uint8_t *codes = malloc(count), *packed = malloc(size), *back = malloc(size);
        uint8_t *repacked = malloc(repacked_size);
        size_t left[NF4_CODES] = {0};
        ASSERT_TRUE(codes && packed && back && repacked);
        test_note("%zu x %zu", n, k);
        for (size_t i = 0; i < count; i++) {
            codes[i] = (uint8_t)((i * 2654435761u >> 13) % NF4_CODES);
            left[codes[i]]++;
        }
        left[7] += 2 * repacked_size - count;
        nf4_pack(codes, count, packed);
        memset(back, 0, size);
        nf4_repack(packed, n, k, repacked);
        nf4_unrepack(repacked, n, k, back);
        EXPECT_TRUE(memcmp(packed, back, size) == 0);
        for (size_t i = 0; i < repacked_size; i++) {
            left[repacked[i] >> 4]--;
            left[repacked[i] & 15]--;
        }
        for (size_t i = 0; i < NF4_CODES; i++)
            EXPECT_EQ(0, left[i]);
        free(codes);
        free(packed);
        free(back);
        free(repacked);
    }
    test_note(NULL);
}
