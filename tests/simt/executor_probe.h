/*
 * executor_probe.h: launches for the tests of the executor (simt_executor*.c): buffers, schedules, and what a
 * fault must look like.
 */
#ifndef NF4BENCH_TESTS_SIMT_EXECUTOR_PROBE_H
#define NF4BENCH_TESTS_SIMT_EXECUTOR_PROBE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "harness/base/random.h"
#include "harness/device/simt/simt.h"
#include "tests/simt/executor_kernels.h"
#include "tests/test.h"

enum { WORDS = 1 << 16 };

static struct {
    uint32_t *in, *out;
    struct simt_result result;
} probe;

static inline bool prepare(void)
{
    if (!probe.out) {
        void *p =
            mmap(NULL, WORDS * sizeof(uint32_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        probe.in = aligned_alloc(64, WORDS * sizeof(uint32_t));
        probe.out = p == MAP_FAILED ? NULL : p;
    }
    if (!probe.out || !probe.in)
        return false;
    for (size_t i = 0; i < WORDS; i++)
        probe.in[i] = (uint32_t)random_u64(7, RANDOM_CODES, i);
    memset(probe.out, 0, WORDS * sizeof(uint32_t));
    return true;
}

static inline bool launch(const struct entry *e, struct probe_args args, struct simt_options options)
{
    if (!args.in)
        args.in = probe.in;
    if (!args.out)
        args.out = probe.out;
    if (!args.launch.grid[0])
        args.launch.grid[0] = args.launch.grid[1] = args.launch.grid[2] = 1;
    if (options.limit_s == 0)
        options.limit_s = 20;
    struct simt_buffer buffers[] = {{"in", (void *)args.in, WORDS * sizeof(uint32_t), false, 4},
                                    {"out", args.out, WORDS * sizeof(uint32_t), true, 4}};
    bool ok = simt_launch(e, &args, sizeof args, buffers, 2, &options, &probe.result);
    test_note(ok ? NULL : "%s", probe.result.text);
    return ok;
}

#define LAUNCH(...)                                                                                          \
    {                                                                                                        \
        .launch = { {__VA_ARGS__} }                                                                          \
    }
#define BOTH(name) &name##__fast, &name##__checked

static inline struct probe_args shape(unsigned blocks, unsigned threads, int mode)
{
    return (struct probe_args){.mode = mode, .launch = {{blocks, 1, 1}, threads, 0}};
}

/* A right kernel ran: nothing that came before hurt. */
static inline bool good_launch(void)
{
    struct probe_args args = shape(3, 64, 0);
    static uint32_t *out;
    if (!out) {
        void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        out = p == MAP_FAILED ? NULL : p;
    }
    args.out = out;
    memset(out, 0, 4096);
    struct simt_result before = probe.result;
    bool ok = launch(&executor_scan__fast, args, (struct simt_options){.workers = 2});
    for (size_t b = 0; b < 3; b++) {
        uint32_t sum = 0;
        for (size_t i = 0; i < 64; i++) {
            sum += probe.in[64 * b + i];
            ok = ok && out[64 * b + i] == sum;
        }
    }
    probe.result = before;
    return ok;
}

/* "file.cu@mark" becomes "file.cu:17", the line that ends with the comment "// @mark"; other text stays. */
static inline const char *resolve(const char *part)
{
    static char text[160];
    char path[96], mark[64], line[256];
    const char *at = strstr(part, ".cu@");
    if (!at)
        return part;
    snprintf(path, sizeof path, "simt/%.*s", (int)(at + 3 - part), part);
    snprintf(mark, sizeof mark, "// %s\n", at + 3);
    FILE *f = fopen(test_path(path), "r");
    int number = 0;
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        number++;
        found = strstr(line, mark) != NULL;
    }
    if (f)
        fclose(f);
    snprintf(text, sizeof text, "%.*s:%d", (int)(at + 3 - part), part, found ? number : -1);
    return text;
}

/* The launch fails with `fault` and text that contains all of the parts; then a good one runs. NULL: no such
 * build. */
static inline void expect_fault(const struct entry *e, struct probe_args args, struct simt_options options,
                                enum simt_fault fault, const char *const *parts)
{
    if (!e)
        return;
    bool ok = launch(e, args, options);
    test_note("%s: %s", e->name, probe.result.text);
    EXPECT_FALSE(ok);
    EXPECT_STREQ(simt_fault_word(fault), simt_fault_word(probe.result.fault));
    EXPECT_TRUE(probe.result.faults >= 1);
    EXPECT_CONTAINS(probe.result.text, e->name);
    EXPECT_CONTAINS(probe.result.text, simt_fault_word(fault));
    for (; *parts; parts++)
        EXPECT_CONTAINS(probe.result.text, resolve(*parts));
    EXPECT_TRUE(good_launch());
    test_note(NULL);
}
#define EXPECT_FAULT(e, args, options, fault, ...)                                                           \
    expect_fault(e, args, options, fault, (const char *const[]){__VA_ARGS__, NULL})

/* Schedules to try a right kernel under. */
static const struct simt_options schedules[] = {
    {.seed = 0, .workers = 1},
    {.seed = 0, .workers = 3},
    {.seed = 1, .workers = 2, .async = SIMT_ASYNC_EAGER},
    {.seed = 2, .workers = 1, .async = SIMT_ASYNC_RANDOM},
    {.seed = 0x123456789abcdefu, .workers = 4, .async = SIMT_ASYNC_RANDOM},
#ifndef NF4BENCH_SANITIZED /* those builds have no checked kernels */
    {.seed = 0, .workers = 2, .checked = true},
    {.seed = 5, .workers = 2, .checked = true, .async = SIMT_ASYNC_EAGER},
    {.seed = 6, .workers = 2, .checked = true, .async = SIMT_ASYNC_RANDOM},
#endif
};
enum { SCHEDULES = sizeof schedules / sizeof schedules[0] };
#define FOR_SCHEDULES(s) for (const struct simt_options *s = schedules; s < schedules + SCHEDULES; s++)
#ifdef NF4BENCH_SANITIZED
#define CHECKED(name) NULL
#else
#define CHECKED(name) &name##__checked
#endif
#define ENTRY_OF(name, s) ((s)->checked ? CHECKED(name) : &name##__fast)

#endif
