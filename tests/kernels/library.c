/* Tests of what kernels are known by (kernels/hashes.h), and of libnf4bench_kernels.so as a side of a
 * comparison: its kernels are its own, whatever their names are. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/device/call.h"
#include "harness/device/open.h"
#include "harness/problem/variant.h"
#include "harness/provider/plugin.h"
#include "harness/provider/plugins.h"
#include "tests/test.h"

static bool is_hash(const char *text)
{
    return text && strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16;
}

TEST(kernel_hashes, every_built_row_has_them)
{
    for (size_t i = 0; i < kernel_table_count(); i++) {
        const struct kernel *k = kernel_at(i);
        test_note("%s", k->name);
        EXPECT_TRUE(is_hash(k->source_hash));
        EXPECT_TRUE(k->built ? is_hash(k->code_hash) : k->code_hash == NULL);
    }
    test_note(NULL);
}

/* Rows of one source have the same, rows of two have others. */
TEST(kernel_hashes, are_the_sources)
{
    for (size_t i = 0; i < kernel_table_count(); i++)
        for (size_t j = 0; j < i; j++) {
            const struct kernel *a = kernel_at(i), *b = kernel_at(j);
            bool same = strcmp(a->source, b->source) == 0;
            if ((strcmp(a->source_hash, b->source_hash) == 0) != same ||
                (a->built && b->built && (strcmp(a->code_hash, b->code_hash) == 0) != same)) {
                test_note("%s, %s", a->name, b->name);
                EXPECT_TRUE(!"the hashes agree with the sources");
            }
        }
}

/* A copy: each test has a file of its own, as two sides of a comparison must. */
static const char *copy_of_library(const char *name)
{
    static char path[4096];
    char piece[65536];
    size_t n;
    snprintf(path, sizeof path, "%s/%s", test_temporary_directory(), name);
    FILE *from = fopen(NF4BENCH_KERNEL_LIBRARY, "rb"), *to = fopen(path, "wb");
    while (from && to && (n = fread(piece, 1, sizeof piece, from)) > 0)
        EXPECT_EQ(n, fwrite(piece, 1, n, to));
    EXPECT_TRUE(from && to);
    if (from)
        fclose(from);
    if (to)
        fclose(to);
    return path;
}

static void expect_from(const void *code, const char *path)
{
    Dl_info where;
    ASSERT_TRUE(dladdr(code, &where) != 0);
    EXPECT_STREQ(path, where.dli_fname);
}

static void expect_entry_from(const struct entry *e, const struct entry *own, const char *path)
{
    EXPECT_TRUE((e == NULL) == (own == NULL));
    for (; e && own; e = e->next, own = own->next) {
        EXPECT_TRUE(e != own);
        EXPECT_STREQ(own->name, e->name);
        EXPECT_TRUE((e->next == NULL) == (own->next == NULL));
        expect_from(e, path);
        expect_from((const void *)e->run, path);
        expect_from((const void *)e->launch, path);
    }
}

/* All that was built of the table, in its order, with code of the library's own. */
TEST(kernel_library, is_the_table_once_more)
{
    const char *path = copy_of_library("once_more.so");
    size_t count, next = 0, known = kernel_count();
    ASSERT_EQ(STATUS_OK, plugin_load(path, "more"));
    const struct kernel *side = kernels_added("more", &count);
    EXPECT_EQ(known, kernel_count()); /* none was added */
    for (size_t i = 0; i < kernel_table_count() && next < count; i++) {
        const struct kernel *own = kernel_at(i);
        if (!own->built)
            continue;
        const struct kernel *k = &side[next++];
        char source[160];
        snprintf(source, sizeof source, "more:%s", own->source);
        test_note("%s", own->name);
        EXPECT_STREQ(own->name, k->name);
        EXPECT_TRUE(strncmp(source, k->source, strlen(source)) == 0); /* device code has a number behind it */
        EXPECT_STREQ(own->source_hash, k->source_hash);
        EXPECT_STREQ(own->code_hash, k->code_hash);
        EXPECT_STREQ(own->arch, k->arch);
        EXPECT_TRUE(contract_equal(&own->contract, &k->contract));
        EXPECT_TRUE(k->built && k->backend == own->backend && k->cpu_features == own->cpu_features &&
                    k->min_sm == own->min_sm && k->m_max == own->m_max && k->k_multiple == own->k_multiple);
        EXPECT_TRUE((k->dequant == NULL) == (own->dequant == NULL) &&
                    (k->gemm == NULL) == (own->gemm == NULL));
        if (k->dequant)
            expect_from((const void *)k->dequant, path);
        if (k->gemm)
            expect_from((const void *)k->gemm, path);
        for (int build = 0; build < ENTRY_BUILDS; build++)
            expect_entry_from(k->entries[build], own->entries[build], path);
    }
    test_note(NULL);
    size_t built = 0;
    for (size_t i = 0; i < kernel_table_count(); i++)
        built += kernel_at(i)->built;
    EXPECT_EQ(built, count);
    EXPECT_EQ(count, next);
}

/* Calls k on o; false, with the reason as a failure, if that is not possible. */
static bool call(const struct kernel *k, const struct operands *o)
{
    static struct call_fault fault;
    struct buffer *out = &o->sets[0].out;
    memset(out->data, 0, out->size);
    test_note("%s from %s", k->name, k->source);
    bool ok = call_kernel(o, 0, k, &fault);
    EXPECT_TRUE(ok);
    if (!ok)
        EXPECT_STREQ("", fault.text);
    return ok;
}

/* The other's code gives the same bits where this one's can run: the executor's position of a thread, its
 * hooks and its shared memory are the program's for both. */
TEST(kernel_library, runs_on_all_that_runs_kernels)
{
    static const char *const devices[] = {"cpu", "simt:fast", "simt:checked"};
    static const char *const problems[] = {
        "dequant bf16 n=16 k=64 blocksize=64 nested=0 seed=1",
        "gemm bf16 m=2 n=64 k=128 blocksize=64 nested=0 bias=1 seed=1",
        "gemmdx bf16 m=2 n=64 k=128 blocksize=64 nested=0 seed=1",
    };
    struct kernel *side;
    size_t count, called[3] = {0};
    ASSERT_EQ(STATUS_OK, plugin_side_load(copy_of_library("runs.so"), "runs", &side, &count));
    for (size_t d = 0; d < 3; d++)
        for (size_t i = 0; i < 3; i++) {
            struct device device;
            struct problem p;
            struct operands o;
            char reason[KERNEL_REASON_MAX];
            ASSERT_EQ(STATUS_OK, device_parse(devices[d], &device));
            ASSERT_EQ(STATUS_OK, problem_parse(problems[i], &p));
            ASSERT_EQ(STATUS_OK, operands_init(&p, 1, &device, &o));
            unsigned char *own = malloc(o.sets[0].out.size);
            for (size_t j = 0; own && j < count; j++) {
                const struct kernel *k = &side[j], *table = kernel_find(k->name);
                if (kernel_unavailable(k, &device, reason) || !kernel_matches(k, &p) ||
                    kernel_inapplicable(k, &p, reason) || kernel_layout(k) != LAYOUT_ROWS || !call(table, &o))
                    continue;
                memcpy(own, o.sets[0].out.data, o.sets[0].out.size);
                if (call(k, &o))
                    EXPECT_EQ(0, memcmp(own, o.sets[0].out.data, o.sets[0].out.size));
                called[d]++;
            }
            free(own);
            operands_release(&o);
            device_release(&device);
        }
    test_note(NULL);
    EXPECT_TRUE(called[0] >= 3 && called[1] >= 10);
    bool checked = kernel_find("nf4_dequant_bf16__sm75_prmt")->entries[ENTRY_CHECKED] != NULL;
    EXPECT_EQ(checked ? called[1] : 0, called[2]);
    free(side);
}

TEST(kernel_library, two_sides_of_the_same_file_name)
{
    char first[4096];
    size_t a_count, b_count;
    snprintf(first, sizeof first, "%s", copy_of_library("two.so"));
    ASSERT_EQ(STATUS_OK, plugin_load(first, "a"));
    const struct kernel *a = kernels_added("a", &a_count);
    /* Another file in its place, as a rebuild would leave it. */
    EXPECT_EQ(0, unlink(first));
    char second[4096];
    snprintf(second, sizeof second, "%s", copy_of_library("two2.so"));
    ASSERT_EQ(STATUS_OK, plugin_load(second, "b"));
    const struct kernel *b = kernels_added("b", &b_count);
    ASSERT_EQ(a_count, b_count);
    EXPECT_TRUE(a[0].dequant != b[0].dequant);
    expect_from((const void *)b[0].dequant, second);
    EXPECT_STREQ("b:nf4_dequant/scalar.c", b[0].source);
}

TEST(kernel_library, a_file_is_one_side_only)
{
    char path[4096], other[4200];
    struct kernel *side, *again;
    size_t count;
    snprintf(path, sizeof path, "%s", copy_of_library("only.so"));
    snprintf(other, sizeof other, "%s.link", path);
    ASSERT_EQ(STATUS_OK, plugin_side_load(path, "base", &side, &count));
    EXPECT_EQ(STATUS_USAGE, plugin_side_load(path, "new", &again, &count));
    EXPECT_CONTAINS(status_message(), "loaded already as base");
    EXPECT_CONTAINS(status_message(), "copy the file");
    EXPECT_TRUE(again == NULL && count == 0);
    EXPECT_EQ(0, symlink(path, other));
    EXPECT_EQ(STATUS_USAGE, plugin_side_load(other, "new", &again, &count));
    EXPECT_EQ(0, unlink(other));
    EXPECT_EQ(0, link(path, other));
    EXPECT_EQ(STATUS_USAGE, plugin_side_load(other, "new", &again, &count));
    free(side);
}

TEST(kernel_library, what_is_no_library_is_refused)
{
    struct kernel *side;
    size_t count;
    EXPECT_EQ(STATUS_INPUT, plugin_side_load("/dev/null/none.so", "a", &side, &count));
    EXPECT_CONTAINS(status_message(), "/dev/null/none.so: ");
    EXPECT_EQ(STATUS_INPUT, plugin_side_load(test_path("test.h"), "a", &side, &count));
    EXPECT_CONTAINS(status_message(), "cannot be loaded");
    EXPECT_TRUE(side == NULL && count == 0);
}
