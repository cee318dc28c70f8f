/*
 * cuda.c: the back end for GPUs, piece by piece; whole runs are in end_to_end/test_cuda.py.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/call.h"
#include "harness/cuda/driver.h"
#include "harness/cuda/image.h"
#include "harness/cuda/nvml.h"
#include "harness/cuda/server.h"
#include "tests/test.h"

static void use_fake(void)
{
    setenv("NF4BENCH_LIBCUDA", NF4BENCH_FAKE_CUDA, 1);
    setenv("NF4BENCH_LIBCUBLAS", NF4BENCH_FAKE_CUDA, 1);
    setenv("NF4BENCH_LIBNVML", NF4BENCH_FAKE_NVML, 1);
    setenv("NF4BENCH_FAKE_CUDA_GPUS", "2", 1);
    unsetenv("NF4BENCH_FAKE_CUDA_FAIL");
}

/* The first GPU of the fake. */
static struct device *open_fake(size_t *count)
{
    struct device asked, *list = NULL;
    use_fake();
    EXPECT_EQ(STATUS_OK, device_parse("cuda", &asked));
    EXPECT_EQ(STATUS_OK, device_open(&asked, &list, count));
    return list;
}

TEST(cuda, images_are_found_by_source_and_differ)
{
    const struct cuda_image *a = cuda_image_find(CUDA_SUPPORT), *b = cuda_image_find("nf4_dequant/prmt.cu");
    ASSERT_TRUE(a && b);
    EXPECT_TRUE(a->end > a->data && cuda_image_hash(a) != cuda_image_hash(b));
    EXPECT_TRUE(cuda_image_find("no.cu") == NULL);
    /* Each source of the table has one. */
    for (size_t i = 0; i < kernel_count(); i++)
        EXPECT_TRUE(kernel_at(i)->backend != BACKEND_CUDA || kernel_at(i)->peer ||
                    cuda_image_find(kernel_at(i)->source) != NULL);
}

TEST(cuda, devices_are_opened_by_what_names_them)
{
    struct device asked, *list;
    size_t count;
    use_fake();
    ASSERT_EQ(STATUS_OK, device_parse("all", &asked));
    ASSERT_EQ(STATUS_OK, device_open(&asked, &list, &count));
    ASSERT_EQ(2, count);
    EXPECT_STREQ("fake GPU (executor)", list[1].gpu.name);
    EXPECT_EQ(90, list[0].gpu.sm);
    device_close(list, count);
    ASSERT_EQ(STATUS_OK, device_parse("cuda:GPU-01fafafa,limit=5", &asked));
    ASSERT_EQ(STATUS_OK, device_open(&asked, &list, &count));
    EXPECT_TRUE(count == 1 && list[0].gpu.ordinal == 1 && list[0].limit_s == 5);
    char text[DEVICE_TEXT_MAX];
    device_format(list, text);
    EXPECT_STREQ("cuda:1,limit=5", text);
    device_close(list, count);
    ASSERT_EQ(STATUS_OK, device_parse("cuda:9", &asked));
    EXPECT_EQ(STATUS_USAGE, device_open(&asked, &list, &count));
    EXPECT_CONTAINS(status_message(), "cuda:1  fake GPU");
}

TEST(cuda, a_call_brings_back_outputs_and_damage)
{
    size_t count;
    struct device *d = open_fake(&count);
    ASSERT_TRUE(d != NULL);
    struct problem p;
    struct operands o;
    static struct call_fault fault;
    ASSERT_EQ(STATUS_OK, problem_parse("dequant f32 n=5 k=64 blocksize=64", &p));
    ASSERT_EQ(STATUS_OK, operands_init(&p, 1, d, &o));
    const struct kernel *k = kernel_find("nf4_dequant_f32__sm75_prmt");
    buffer_poison(&o.sets[0].out, 7);
    uint32_t before = *(uint32_t *)o.sets[0].out.data;
    EXPECT_TRUE(call_kernel(&o, 0, k, NULL, &fault));
    EXPECT_TRUE(*(uint32_t *)o.sets[0].out.data != before);
    char what[160];
    EXPECT_TRUE(operands_intact(&o, 0, what, sizeof what));
    /* One element more than there is room for: the canary on the GPU is what shows it here. */
    o.problem.k++;
    o.problem.n = 1;
    o.problem.k = 5 * 64 + 2;
    EXPECT_TRUE(call_kernel(&o, 0, k, NULL, &fault));
    EXPECT_FALSE(operands_intact(&o, 0, what, sizeof what));
    EXPECT_CONTAINS(what, "outside of the output");
    operands_release(&o);
    device_close(d, count);
}

TEST(cuda, a_fault_ends_its_process_and_the_next_call_has_another)
{
    size_t count;
    struct device *d = open_fake(&count);
    ASSERT_TRUE(d != NULL);
    struct problem p;
    struct operands o;
    static struct call_fault fault;
    const struct kernel *k = kernel_find("nf4_dequant_f32__sm75_prmt");
    ASSERT_EQ(STATUS_OK, problem_parse("dequant f32 n=5 k=64 blocksize=64", &p));
    ASSERT_EQ(STATUS_OK, operands_init(&p, 1, d, &o));
    setenv("NF4BENCH_FAKE_CUDA_FAIL", "cuLaunchKernel:1:716", 1);
    EXPECT_FALSE(call_kernel(&o, 0, k, NULL, &fault));
    EXPECT_FALSE(fault.ours);
    EXPECT_STREQ("misaligned-address", fault.word);
    EXPECT_CONTAINS(fault.text, "CUDA_ERROR_MISALIGNED_ADDRESS (716");
    EXPECT_FALSE(cuda_server_running(d->server));
    setenv("NF4BENCH_FAKE_CUDA_FAIL", "cuMemcpyHtoD_v2:1:716",
           1); /* not after a launch: not the variant's doing */
    EXPECT_FALSE(call_kernel(&o, 0, k, NULL, &fault));
    EXPECT_TRUE(fault.ours && fault.status == STATUS_OK);
    setenv("NF4BENCH_FAKE_CUDA_FAIL", "cuStreamCreate:1:2", 1); /* no process can be started */
    EXPECT_FALSE(call_kernel(&o, 0, k, NULL, &fault));
    EXPECT_TRUE(fault.ours && fault.status == STATUS_DEVICE);
    unsetenv("NF4BENCH_FAKE_CUDA_FAIL");
    EXPECT_TRUE(call_kernel(&o, 0, k, NULL, &fault));
    EXPECT_EQ(4, cuda_server_generation(d->server));
    operands_release(&o);
    device_close(d, count);
}

TEST(cuda, known_errors_have_words_only_where_kernels_cause_them)
{
    EXPECT_STREQ("illegal-address", cuda_fault_word(700));
    EXPECT_TRUE(cuda_fault_word(2) == NULL && cuda_fault_word(999) == NULL && cuda_fault_word(0) == NULL);
}

TEST(cuda, sensors_are_nan_without_nvml)
{
    struct nvml n;
    struct nvml_sensors s;
    use_fake();
    nvml_open(&n, "0000:01:00.0");
    nvml_read(&n, &s);
    EXPECT_TRUE(s.sm_mhz == 1500 && s.power_w == 123 && s.reasons == 0);
    setenv("NF4BENCH_LIBNVML", "/nonexistent", 1);
    nvml_open(&n, "0000:01:00.0");
    nvml_read(&n, &s);
    EXPECT_TRUE(isnan(s.sm_mhz) && isnan(s.temperature_c));
    use_fake();
}
