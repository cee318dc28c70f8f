#include "harness/problem/device.h"

#include "tests/test.h"

TEST(device, texts_are_read_and_written)
{
    static const char *const same[] = {"cpu",
                                       "cpu,limit=2.5",
                                       "simt:fast",
                                       "simt:checked",
                                       "simt:checked,schedule=7",
                                       "simt:fast,schedule=0,async=eager",
                                       "simt:fast,async=random",
                                       "cuda",
                                       "cuda:1",
                                       "cuda:GPU-12345678-abcd",
                                       "cuda:NVIDIA H100 80GB HBM3,limit=2.5",
                                       "all",
                                       "all,limit=60"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        struct device d;
        char text[DEVICE_TEXT_MAX];
        test_note("%s", same[i]);
        ASSERT_EQ(STATUS_OK, device_parse(same[i], &d));
        device_format(&d, text);
        EXPECT_STREQ(same[i], text);
    }
    test_note(NULL);
    struct device d;
    ASSERT_EQ(STATUS_OK, device_parse("simt", &d));
    EXPECT_TRUE(d.kind == DEVICE_SIMT && !d.checked);
    EXPECT_TRUE(device_runs(&d, BACKEND_CUDA) && !device_runs(&d, BACKEND_CPU));
}

TEST(device, wrong_texts_are_refused_with_what_there_is)
{
    static const char *const wrong[] = {"",
                                        "gpu",
                                        "cpu,schedule=1",
                                        "cpu,limit=0",
                                        "cpu,limit=1s",
                                        "cpux",
                                        "simt:slow",
                                        "simt:fast,",
                                        "simt,schedule=",
                                        "simt,schedule=-1",
                                        "simt,schedule=99999999999999999999999",
                                        "simt,async=lazy",
                                        "simt:checkedx",
                                        "cuda:",
                                        "cuda:,limit=3",
                                        "cuda,limit=",
                                        "cuda,limit=0",
                                        "cuda,limit=nan",
                                        "cuda,schedule=3",
                                        "all:2",
                                        "allx",
                                        "simt,async=eagerly"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct device d;
        test_note("'%s'", wrong[i]);
        EXPECT_EQ(STATUS_USAGE, device_parse(wrong[i], &d));
        EXPECT_CONTAINS(status_message(), "simt:checked");
    }
    test_note(NULL);
}

/* Every launch of a run has another schedule, and the modes of cp.async come in turn, unless they are asked
 * for. */
TEST(device, schedules_vary_unless_fixed)
{
    struct device d = {.kind = DEVICE_SIMT};
    uint64_t a, b;
    enum simt_async first, second;
    device_schedule(&d, 1, &a, &first);
    device_schedule(&d, 2, &b, &second);
    EXPECT_TRUE(a != b && first != second);
    d.fixed_schedule = d.fixed_async = true;
    d.schedule = 5;
    d.async = SIMT_ASYNC_EAGER;
    device_schedule(&d, 2, &b, &second);
    EXPECT_TRUE(b == 5 && second == SIMT_ASYNC_EAGER);
}
