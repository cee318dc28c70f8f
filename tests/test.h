/*
 * test.h: GoogleTest from C. A test file is a .c file:
 *
 *   #include "tests/test.h"
 *   TEST(dtype, rounds_to_even) { EXPECT_EQ(0x3c00, f16_from_f32(1.0f)); }
 *
 * TEST() registers through a constructor; tests/shim.cc hands the list to ::testing::RegisterTest, so
 * filters, XML output and exit codes are GoogleTest's, and failures point at the .c line. ASSERT_ forms
 * return from the (void) function they stand in. An empty list is a failure.
 */
#ifndef NF4BENCH_TESTS_TEST_H
#define NF4BENCH_TESTS_TEST_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct test_case {
    const char *suite, *name, *file;
    int line;
    void (*run)(void);
    struct test_case *next;
};
void test_register(struct test_case *t);

/* Each returns whether the check held, after reporting it when it did not. */
bool test_check(bool ok, const char *file, int line, const char *expression);
bool test_equal_i64(int64_t want, int64_t got, const char *file, int line, const char *a, const char *b);
bool test_equal_u64(uint64_t want, uint64_t got, const char *file, int line, const char *a, const char *b);
/* Bitwise equality is test_equal_u64 on the bits; this one is |want - got| <= tolerance, false for NaN. */
bool test_near(double want, double got, double tolerance, const char *file, int line, const char *expression);
bool test_equal_string(const char *want, const char *got, const char *file, int line, const char *expression);
bool test_contains(const char *text, const char *part, const char *file, int line, const char *expression);
/* Adds a line to the failures reported from now on in this test (the row of a table test); NULL clears it. */
void test_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void test_skip(const char *reason, const char *file, int line);
void test_missing(const char *what, const char *file, int line);
/* Path of a file in tests/ ("fixtures/x"); the buffer is reused by the next call. */
const char *test_path(const char *relative);
/* A fresh empty directory that is removed when the test ends. */
const char *test_temporary_directory(void);

#ifdef __cplusplus
}
#endif

#define TEST(suite, name)                                                                                    \
    static void test_##suite##_##name(void);                                                                 \
    __attribute__((constructor)) static void register_##suite##_##name(void)                                 \
    {                                                                                                        \
        static struct test_case t = {#suite, #name, __FILE__, __LINE__, test_##suite##_##name, 0};           \
        test_register(&t);                                                                                   \
    }                                                                                                        \
    static void test_##suite##_##name(void)

#define EXPECT_TRUE(e)  (void)test_check(!!(e), __FILE__, __LINE__, #e)
#define EXPECT_FALSE(e) (void)test_check(!(e), __FILE__, __LINE__, "!(" #e ")")
#define EXPECT_EQ(want, got)                                                                                 \
    (void)test_equal_i64((int64_t)(want), (int64_t)(got), __FILE__, __LINE__, #want, #got)
#define EXPECT_EQ_BITS(want, got)                                                                            \
    (void)test_equal_u64((uint64_t)(want), (uint64_t)(got), __FILE__, __LINE__, #want, #got)
#define EXPECT_NEAR(want, got, tolerance) (void)test_near(want, got, tolerance, __FILE__, __LINE__, #got)
#define EXPECT_STREQ(want, got)           (void)test_equal_string(want, got, __FILE__, __LINE__, #got)
#define EXPECT_CONTAINS(text, part)       (void)test_contains(text, part, __FILE__, __LINE__, #text)
#define ASSERT_TRUE(e)                                                                                       \
    do {                                                                                                     \
        if (!test_check(!!(e), __FILE__, __LINE__, #e))                                                      \
            return;                                                                                          \
    } while (0)
#define ASSERT_EQ(want, got)                                                                                 \
    do {                                                                                                     \
        if (!test_equal_i64((int64_t)(want), (int64_t)(got), __FILE__, __LINE__, #want, #got))               \
            return;                                                                                          \
    } while (0)
#define SKIP(reason)                                                                                         \
    do {                                                                                                     \
        test_skip(reason, __FILE__, __LINE__);                                                               \
        return;                                                                                              \
    } while (0)
/* SKIP() for what can be installed; a failure where everything is wanted (NF4BENCH_TEST_ALL in the environment). */
#define MISSING(reason)                                                                                      \
    do {                                                                                                     \
        test_missing(reason, __FILE__, __LINE__);                                                            \
        return;                                                                                              \
    } while (0)

#endif
