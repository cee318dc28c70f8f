/*
 * The executor: limits, shared memory's guards, and what a launch must outlive. Kernels:
 * tests/simt/executor_faults.cu.
 */
#include "tests/simt/executor_probe.h"
#include "tests/test.h"

/* ---- limits and shared memory ---- */

TEST(simt_executor_faults, limits)
{
    static const struct simt_options one = {.workers = 1};
    ASSERT_TRUE(prepare());
    EXPECT_FAULT(&executor_faults__fast, shape(1, 65, 0), one, SIMT_LIMIT, "65 threads", "64");
    EXPECT_FAULT(&executor_scan__fast, shape(1, 1025, 0), one, SIMT_LIMIT, "1025 threads");
    EXPECT_FAULT(&executor_scan__fast, shape(1, 0, 0), one, SIMT_LIMIT, "0 threads");
    struct probe_args args = {.launch = {{1, 0, 1}, 32, 0}};
    EXPECT_FAULT(&executor_scan__fast, args, one, SIMT_LIMIT, "1 x 0 x 1");
    args = (struct probe_args){.launch = {{1, 65536, 1}, 32, 0}};
    EXPECT_FAULT(&executor_scan__fast, args, one, SIMT_LIMIT, "1 x 65536 x 1");
    args = (struct probe_args){.launch = {{1, 1, 65536}, 32, 0}};
    EXPECT_FAULT(&executor_scan__fast, args, one, SIMT_LIMIT, "65536");
    args = (struct probe_args){.launch = {{1, 1, 1}, 32, 227 * 1024 + 1}};
    EXPECT_FAULT(&executor_scan__fast, args, one, SIMT_LIMIT, "232449 bytes of dynamic");

    EXPECT_FAULT(&executor_shared_limits__fast, shape(1, 32, 1), one, SIMT_LIMIT, "executor_faults.cu@more",
                 "57344 bytes of static", "more");
    args = (struct probe_args){.launch = {{1, 1, 1}, 32, 187 * 1024 + 1}};
    EXPECT_FAULT(&executor_shared_limits__fast, args, one, SIMT_LIMIT,
                 "40960 bytes of static and 191489 of dynamic");
    args.launch.shared--;
    EXPECT_TRUE(launch(&executor_shared_limits__fast, args, one));
}

TEST(simt_executor_faults, writes_beside_shared_arrays)
{
    static const struct {
        int mode;
        ptrdiff_t offset;
        bool ok;
        const char *name, *place;
    } rows[] = {
        {0, 51, true, "", ""},
        {0, 52, false, "array first", "byte +52 of its 52"},
        {0, 52 + 127, false, "array first", "byte +179"},
        {0, -1, false, "array first", "byte -1 of"},
        {1, 64, false, "array second", "byte +64"},
        {1, -128, false, "array second", "byte -128"},
        {2, 99, true, "", ""},
        {2, 100, false, "array dynamic", "byte +100 of its 100"},
        {2, -2, false, "array dynamic", "byte -2"},
    };
    ASSERT_TRUE(prepare());
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct probe_args args = {
            .count = (size_t)rows[i].offset, .mode = rows[i].mode, .launch = {{3, 1, 1}, 32, 100}};
        struct simt_options o = {.workers = 1 + (unsigned)i % 2, .seed = i};
        if (rows[i].ok)
            EXPECT_TRUE(launch(&executor_guards__fast, args, o));
        else
            EXPECT_FAULT(&executor_guards__fast, args, o, SIMT_OUT_OF_BOUNDS, "block 1", rows[i].name,
                         rows[i].place);
    }
}

TEST(simt_executor_faults, shared_memory_starts_as_nans_of_the_block)
{
    ASSERT_TRUE(prepare());
    for (int dynamic = 0; dynamic < 2; dynamic++) {
        struct probe_args args = {.mode = dynamic, .launch = {{4, 1, 1}, 33, 33 * 4}};
        ASSERT_TRUE(launch(&executor_poison__fast, args, (struct simt_options){.workers = 2}));
        for (size_t i = 0; i < 4 * 33; i++) {
            uint32_t u = probe.out[i];
            EXPECT_TRUE((u & 0x7f800000) == 0x7f800000 && (u & 0x007fffff) != 0);
            EXPECT_TRUE((u & 0x7c007c00) == 0x7c007c00 && (u & 0x03ff) != 0);
            if (i >= 33)
                EXPECT_TRUE(u != probe.out[i - 33]);
        }
    }
}

/* ---- what a launch must outlive ---- */

/* Launches executor_process on the same buffers. Whether it ran in the child of the launch before. */
static bool same_child(const struct entry *e, struct simt_options options, unsigned threads)
{
    static uint32_t given, child;
    uint32_t before = child;
    probe.out[1] = ++given * 77;
    EXPECT_TRUE(launch(e, shape(1, threads, 0), options));
    EXPECT_EQ(given * 77 + 1, probe.out[2]);
    child = probe.out[0];
    return child == before;
}

TEST(simt_executor_faults, a_child_serves_launches_that_are_alike)
{
    ASSERT_TRUE(prepare());
#ifdef NF4BENCH_SANITIZED
    const bool same = false; /* every launch has its own there */
#else
    const bool same = true;
#endif
    for (int checked = 0; checked < 2; checked++) {
        const struct entry *e = checked ? CHECKED(executor_process) : &executor_process__fast;
        struct simt_options o = {.workers = 2, .checked = checked, .shared = true, .seed = 3};
        if (!e)
            continue;
        EXPECT_FALSE(same_child(e, o, 64));
        EXPECT_EQ(same, same_child(e, o, 64));
        EXPECT_EQ(same, same_child(e, o, 32));
        /* Another kernel, a fault, a report: a new one. */
        EXPECT_TRUE(launch(&executor_scan__fast, shape(1, 64, 0), (struct simt_options){.shared = true}));
        EXPECT_FALSE(same_child(e, o, 64));
        EXPECT_FALSE(launch(e, shape(1, 32, 1), o));
        EXPECT_STREQ(simt_fault_word(SIMT_CRASH), simt_fault_word(probe.result.fault));
        EXPECT_FALSE(same_child(e, o, 64));
        EXPECT_EQ(!checked, launch(e, shape(1, 64, 2), o));
        EXPECT_EQ(same && !checked, same_child(e, o, 64));
        o.shared = false;
        EXPECT_FALSE(same_child(e, o, 64));
        EXPECT_FALSE(same_child(e, o, 64));
    }
}

static struct simt_options within(double limit_s)
{
    return (struct simt_options){.workers = 2, .limit_s = limit_s};
}

TEST(simt_executor_faults, endless_kernels)
{
    ASSERT_TRUE(prepare());
    EXPECT_FAULT(&executor_faults__fast, shape(4, 64, 1), within(0.5), SIMT_TIMEOUT,
                 "executor_faults.cu@endless", "0.5 s", "thread 33 of block 2",
                 "33 threads (0 ...) wait at __syncthreads", "executor_faults.cu@barrier",
                 "have not started");
    EXPECT_FAULT(&executor_faults__fast, shape(1, 64, 2), within(0.5), SIMT_TIMEOUT,
                 "executor_faults.cu@endless_shuffles", "of block 0");
    EXPECT_FAULT(CHECKED(executor_faults), shape(4, 64, 1),
                 ((struct simt_options){.limit_s = 1, .checked = true, .seed = 1}), SIMT_TIMEOUT,
                 "executor_faults.cu@endless", "thread 33 of block 2");
}

TEST(simt_executor_faults, crashes)
{
    ASSERT_TRUE(prepare());
    EXPECT_FAULT(&executor_faults__fast, shape(1, 64, 3), within(0), SIMT_CRASH, "executor_faults.cu@null",
                 "SIGSEGV", "thread 17 of block 0", "0x10");
    EXPECT_FAULT(&executor_faults__fast, shape(1, 64, 4), within(0), SIMT_STACK_OVERFLOW,
                 "executor_faults.cu:", "thread 5 of block 0", "KiB of stack");
#if !defined(__aarch64__) &&                                                                                 \
    !defined(NF4BENCH_SANITIZED) /* 7 / 0 is 0 there; UBSan ends the launch itself  \
                                                           */
    EXPECT_FAULT(&executor_faults__fast, shape(1, 64, 5), within(0), SIMT_CRASH,
                 "executor_faults.cu@division", "SIGFPE", "thread 6");
#endif
    EXPECT_FAULT(&executor_faults__fast, shape(1, 64, 6), within(0), SIMT_CRASH, "exit code 9");
    EXPECT_FAULT(&executor_faults__fast, shape(1, 64, 7), within(0), SIMT_CRASH, "signal 6");
    EXPECT_FAULT(&executor_faults__fast, shape(1, 64, 8), within(0), SIMT_MISALIGNED,
                 "executor_faults.cu@misaligned", "thread 2 of block 0", "8 bytes");
    EXPECT_FAULT(&executor_faults__fast, shape(1, 64, 9), within(0), SIMT_CRASH, "SIGILL", "thread 0");
    EXPECT_FAULT(&executor_faults__fast, shape(1, 64, 10), within(0), SIMT_CRASH, "executor_faults.cu@atomic",
                 "thread 8", "0x4");
#ifdef NF4BENCH_SANITIZED
    struct probe_args args = shape(1, 64, 11);
    args.count = WORDS;
    EXPECT_FAULT(&executor_faults__fast, args, within(0), SIMT_OUT_OF_BOUNDS, "executor_faults.cu@beyond",
                 "AddressSanitizer: heap-buffer-overflow", "read of 4 bytes",
                 "(in, byte +262144 of its 262144)");
#endif
}
