#include "harness/problem/buffer.h"

#include <math.h>
#include <string.h>

#include "reference/dtype.h"
#include "tests/test.h"

TEST(buffer, ends_exactly_and_is_aligned)
{
    static const size_t sizes[] = {0, 1, 63, 64, 4097, (2 << 20) + 5};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct buffer b;
        ASSERT_EQ(STATUS_OK, buffer_init(&b, sizes[i], "test"));
        EXPECT_EQ(0, (uintptr_t)b.data % 64);
        EXPECT_EQ(sizes[i], b.size);
        EXPECT_TRUE(buffer_canaries_whole(&b, NULL));
        buffer_release(&b);
        EXPECT_TRUE(b.data == NULL);
    }
}

TEST(buffer, absurd_sizes_are_refused)
{
    struct buffer b;
    EXPECT_EQ(STATUS_LIMIT, buffer_init(&b, SIZE_MAX - 10, "test"));
    EXPECT_EQ(STATUS_MEMORY, buffer_init(&b, SIZE_MAX / 4, "weights"));
    EXPECT_CONTAINS(status_message(), "weights");
}

#ifndef NF4BENCH_SANITIZED /* the sanitizer catches the write itself */
TEST(buffer, damage_is_found_at_both_ends)
{
    static const ptrdiff_t places[] = {-1, -BUFFER_CANARY_BYTES, 100, 100 + BUFFER_CANARY_BYTES - 1};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct buffer b;
        ptrdiff_t offset = 0;
        ASSERT_EQ(STATUS_OK, buffer_init(&b, 100, "test"));
        ((uint8_t *)b.data)[places[i]] ^= 1;
        EXPECT_FALSE(buffer_canaries_whole(&b, &offset));
        EXPECT_EQ(places[i], offset);
        buffer_reset_canaries(&b);
        EXPECT_TRUE(buffer_canaries_whole(&b, NULL));
        buffer_release(&b);
    }
}
#endif

TEST(buffer, poison_is_nan_in_every_type_and_varies)
{
    struct buffer a, b;
    ASSERT_EQ(STATUS_OK, buffer_init(&a, 4099, "test"));
    ASSERT_EQ(STATUS_OK, buffer_init(&b, 4099, "test"));
    buffer_poison(&a, 1);
    buffer_poison(&b, 2);
    EXPECT_TRUE(memcmp(a.data, b.data, 4096) != 0);
    EXPECT_TRUE(memcmp(a.data, (char *)a.data + 64, 64) != 0);
    for (size_t i = 0; i < 4096 / 2; i++) {
        EXPECT_TRUE(isnan(dtype_load(DTYPE_F16, a.data, i)));
        EXPECT_TRUE(isnan(dtype_load(DTYPE_BF16, a.data, i)));
        EXPECT_TRUE(isnan(dtype_load(DTYPE_F32, a.data, i / 2)));
    }
    EXPECT_TRUE(buffer_canaries_whole(&a, NULL));
    buffer_release(&a);
    buffer_release(&b);
}

TEST(buffer, hash_sees_every_byte)
{
    static uint8_t bytes[(1 << 20) + 77];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 251);
    uint64_t before = bytes_hash(bytes, sizeof bytes);
    EXPECT_TRUE(before == bytes_hash(bytes, sizeof bytes));
    static const size_t places[] = {0, 1, 63, 64, 4096, 1 << 20, sizeof bytes - 1, 12345};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        bytes[places[i]] ^= 0x10;
        EXPECT_TRUE(before != bytes_hash(bytes, sizeof bytes));
        bytes[places[i]] ^= 0x10;
    }
    EXPECT_TRUE(bytes_hash(bytes, 10) != bytes_hash(bytes, 11));
}
