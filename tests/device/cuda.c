/*
 * cuda.c: the back end for GPUs, piece by piece; whole runs are in end_to_end/test_cuda.py.
 */
#include <elf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/device/call.h"
#include "harness/device/cuda/driver.h"
#include "harness/device/cuda/nvml.h"
#include "harness/device/caller.h"
#include "harness/device/open.h"
#include "harness/problem/image.h"
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
    EXPECT_TRUE(a->end > a->data && a->data != b->data);
    EXPECT_TRUE(cuda_image_find("no.cu") == NULL);
    /* Each source of the table has one. */
    for (size_t i = 0; i < kernel_count(); i++)
        EXPECT_TRUE(kernel_at(i)->backend != BACKEND_CUDA || kernel_at(i)->peer ||
                    cuda_image_find(kernel_at(i)->source) != NULL);
}

TEST(cuda, an_image_is_added_once_and_found_beside_those_of_the_program)
{
    static const char code[] = "one", other[] = "other";
    ASSERT_EQ(STATUS_OK, cuda_image_add("tests/added.ptx", code, sizeof code));
    const struct cuda_image *i = cuda_image_find("tests/added.ptx");
    ASSERT_TRUE(i != NULL);
    EXPECT_TRUE(i->data == (const unsigned char *)code && i->end == i->data + sizeof code);
    EXPECT_EQ(STATUS_INPUT, cuda_image_add("tests/added.ptx", other, sizeof other));
    EXPECT_TRUE(strstr(status_message(), "tests/added.ptx") != NULL);
    EXPECT_EQ(STATUS_INPUT, cuda_image_add(CUDA_SUPPORT, other, sizeof other));
    ASSERT_EQ(STATUS_OK, cuda_image_add("tests/second.ptx", other, sizeof other));
    EXPECT_TRUE(cuda_image_find("tests/added.ptx") == i);
    EXPECT_TRUE(cuda_image_find("nf4_dequant/prmt.cu") != NULL);
}

/* An image as nvcc makes one, as far as it is looked at: ELF files between other bytes. */
struct made_image {
    unsigned char bytes[16384];
    size_t size;
};

/* Code of two entries, for one architecture. */
static void add_elf(struct made_image *image, unsigned abi, unsigned flags, const char *one, const char *two)
{
    static const char names[] = "\0.shstrtab\0.text.nf4_one\0.text.nf4_one_then";
    enum {
        NAMES_AT = sizeof(Elf64_Ehdr),
        CODE_AT = 512,
        SECTIONS_AT = 1024,
        SIZE = 2048,
        ONE = 11,
        TWO = 25
    };
    unsigned char *p = image->bytes + image->size;
    Elf64_Ehdr h = {.e_machine = 190,
                    .e_flags = flags,
                    .e_shoff = SECTIONS_AT,
                    .e_shentsize = sizeof(Elf64_Shdr),
                    .e_shnum = 4,
                    .e_shstrndx = 1};
    Elf64_Shdr sections[4] = {{0},
                              {.sh_name = 1, .sh_offset = NAMES_AT, .sh_size = sizeof names},
                              {.sh_name = ONE, .sh_offset = CODE_AT, .sh_size = strlen(one)},
                              {.sh_name = TWO, .sh_offset = CODE_AT + 64, .sh_size = strlen(two)}};
    EXPECT_STREQ(".text.nf4_one", names + ONE);
    EXPECT_STREQ(".text.nf4_one_then", names + TWO);
    memcpy(h.e_ident, ELFMAG, SELFMAG);
    h.e_ident[EI_CLASS] = ELFCLASS64;
    h.e_ident[EI_ABIVERSION] = (unsigned char)abi;
    memset(p, 0xcc, SIZE);
    memcpy(p, &h, sizeof h);
    memcpy(p + NAMES_AT, names, sizeof names);
    memcpy(p + CODE_AT, one, strlen(one));
    memcpy(p + CODE_AT + 64, two, strlen(two));
    memcpy(p + SECTIONS_AT, sections, sizeof sections);
    image->size += SIZE;
}

static uint64_t hash_of(const struct made_image *image, const char *entry, unsigned sm)
{
    uint64_t hash = CUDA_HASH_BEGIN;
    bool found = cuda_image_hash_entry(
        &(struct cuda_image){"made.cu", image->bytes, image->bytes + image->size}, entry, sm, &hash);
    EXPECT_TRUE(found == (hash != CUDA_HASH_BEGIN));
    return found ? hash : 0;
}

TEST(cuda, each_kernel_has_a_hash_of_its_own_code)
{
    static struct made_image a, b;
    memcpy(a.bytes, "fatbin", a.size = 6);
    add_elf(&a, 8, 0x6005a04, "one for 90", "two for 90");
    add_elf(&a, 8, 0x6005004, "one for 80", "two for 80");
    add_elf(&a, 7, 0x4b054b, "one for 75", "two for 75"); /* as older toolkits write the architecture */
    memcpy(b.bytes, "fatbin", b.size = 6);
    add_elf(&b, 8, 0x6005a04, "one for 90", "two, edited");
    add_elf(&b, 8, 0x6005004, "one for 80", "two for 80");
    add_elf(&b, 7, 0x4b054b, "one for 75", "two for 75");
    /* An edit changes its own kernel's hash, on the architecture where it changes the code. */
    EXPECT_TRUE(hash_of(&a, "nf4_one", 90) == hash_of(&b, "nf4_one", 90) && hash_of(&a, "nf4_one", 90) != 0);
    EXPECT_TRUE(hash_of(&a, "nf4_one_then", 90) != hash_of(&b, "nf4_one_then", 90));
    EXPECT_TRUE(hash_of(&a, "nf4_one_then", 80) == hash_of(&b, "nf4_one_then", 80));
    EXPECT_TRUE(hash_of(&a, "nf4_one", 75) != hash_of(&a, "nf4_one", 80));
    /* Code runs on later minor numbers of its major one; for other GPUs the driver compiles. */
    EXPECT_TRUE(hash_of(&a, "nf4_one", 86) == hash_of(&a, "nf4_one", 80));
    EXPECT_EQ(0, hash_of(&a, "nf4_one", 100));
    EXPECT_EQ(0, hash_of(&a, "nf4_one", 70));
    EXPECT_EQ(0, hash_of(&a, "nf4_on", 90));
    add_elf(&a, 8, 0x6005a04, "one for 90a", "two for 90a");
    EXPECT_TRUE(hash_of(&a, "nf4_one", 90) != hash_of(&b, "nf4_one", 90));
    /* Cut anywhere, nothing is read behind the end. */
    for (size_t size = 0; size < a.size; size += 7) {
        struct made_image *cut = malloc(sizeof *cut);
        ASSERT_TRUE(cut != NULL);
        memcpy(cut->bytes, a.bytes, cut->size = size);
        (void)hash_of(cut, "nf4_one", 90);
        free(cut);
    }
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
    const struct gpu_facts *f = &list[1].gpu.facts;
    EXPECT_STREQ("fake 1.0", f->driver_version);
    EXPECT_TRUE(f->power_limit_w == 300 && f->sm_mhz_max == 1980 && f->sm_mhz_application == 1755);
    EXPECT_TRUE(f->persistence == 1 && f->mig == -1 && f->other_processes == 1);
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
    EXPECT_TRUE(call_kernel(&o, 0, k, &fault));
    EXPECT_TRUE(*(uint32_t *)o.sets[0].out.data != before);
    char what[160];
    EXPECT_TRUE(operands_intact(&o, 0, what, sizeof what));
    /* One element more than there is room for: the canary on the GPU is what shows it here. */
    o.problem.k++;
    o.problem.n = 1;
    o.problem.k = 5 * 64 + 2;
    EXPECT_TRUE(call_kernel(&o, 0, k, &fault));
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
    EXPECT_FALSE(call_kernel(&o, 0, k, &fault));
    EXPECT_FALSE(fault.ours);
    EXPECT_STREQ("misaligned-address", fault.word);
    EXPECT_CONTAINS(fault.text, "CUDA_ERROR_MISALIGNED_ADDRESS (716");
    EXPECT_FALSE(caller_running(caller_of(d, false)));
    setenv("NF4BENCH_FAKE_CUDA_FAIL", "cuMemcpyHtoD_v2:1:716",
           1); /* not after a launch: not the variant's doing */
    EXPECT_FALSE(call_kernel(&o, 0, k, &fault));
    EXPECT_TRUE(fault.ours && fault.status == STATUS_OK);
    setenv("NF4BENCH_FAKE_CUDA_FAIL", "cuStreamCreate:1:2", 1); /* no process can be started */
    EXPECT_FALSE(call_kernel(&o, 0, k, &fault));
    EXPECT_TRUE(fault.ours && fault.status == STATUS_DEVICE);
    unsetenv("NF4BENCH_FAKE_CUDA_FAIL");
    EXPECT_TRUE(call_kernel(&o, 0, k, &fault));
    EXPECT_EQ(4, caller_generation(caller_of(d, false)));
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
    struct gpu_facts facts;
    nvml_describe(&n, &facts);
    EXPECT_TRUE(facts.driver_version[0] == '\0' && isnan(facts.power_limit_w) && facts.other_processes == -1);
    use_fake();
}
