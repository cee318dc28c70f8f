/* Tests of GPTQ and AWQ layers by name, against what the packages that wrote them dequantize them to. */
#include "harness/checkpoint/int4_checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/test.h"

static const struct {
    const char *file, *layer;
    size_t n, k, blocksize;
    bool zeros, act_order;
} layers[] = {
    {"gptq", "sym", 64, 128, 32, false, false},     {"gptq", "asym", 64, 128, 64, true, false},
    {"gptq", "act_order", 64, 128, 32, true, true}, {"gptq", "column", 64, 96, 96, true, false},
    {"awq", "gemm", 64, 128, 64, true, false},      {"awq", "gemv", 32, 640, 64, true, false},
};
enum { LAYERS = sizeof layers / sizeof layers[0] };

static bool open_fixture(const char *name, struct safetensors *file)
{
    char path[256];
    snprintf(path, sizeof path, NF4BENCH_SOURCE_DIR "/tests/fixtures/%s.safetensors", name);
    return test_check(safetensors_open(path, file) == STATUS_OK, __FILE__, __LINE__, status_message());
}

TEST(weights_int4, layers_of_the_packages_have_the_packages_values)
{
    const struct contract f16 = {.format = FORMAT_INT4, .op = OP_DEQUANT, .out = DTYPE_F16};
    for (size_t i = 0; i < LAYERS; i++) {
        struct safetensors file;
        char name[64];
        if (!open_fixture(layers[i].file, &file))
            return;
        snprintf(name, sizeof name, "%s.qweight", layers[i].layer);
        test_note("%s of %s", name, layers[i].file);
        struct weight_info info = {0};
        EXPECT_EQ(STATUS_OK, weight_int4_describe(&file, name, &info));
        EXPECT_EQ(layers[i].n, info.n);
        EXPECT_EQ(layers[i].k, info.k);
        EXPECT_EQ(layers[i].blocksize, info.format.blocksize);
        EXPECT_TRUE(info.format.zeros == layers[i].zeros && info.format.act_order == layers[i].act_order);
        struct quantized w;
        void *owned;
        ASSERT_EQ(STATUS_OK, weight_checkpoint(&file, name, &w, &owned));
        snprintf(name, sizeof name, "%s.expected", layers[i].layer);
        const struct safetensor *want = safetensors_find(&file, name);
        ASSERT_TRUE(want && want->count == w.count);
        size_t different = 0;
        for (size_t n = 0; n < info.n; n++)
            for (size_t k = 0; k < info.k; k++) {
                uint16_t half;
                memcpy(&half, want->data + 2 * (k * info.n + n), 2); /* W^T */
                different += f16_to_f32(half) != quantized_weight_at(&f16, &w, n * info.k + k);
            }
        EXPECT_EQ(0, different);
        free(owned);
        safetensors_release(&file);
    }
}

/* Copies the fixture into a folder with a quantize_config.json, and looks at a zero point through it. */
TEST(weights_int4, version_is_what_the_config_beside_says)
{
    static const struct {
        const char *file, *text;
        int more; /* than version 1's */
    } configs[] = {{"quantize_config.json", "{\"bits\": 4, \"checkpoint_format\": \"gptq\"}", 0},
                   {"quantize_config.json", "{\"bits\": 4, \"checkpoint_format\": \"gptq_v2\"}", -1},
                   {"config.json", "{\"quantization_config\": {\"checkpoint_format\": \"gptq_v2\"}}", -1},
                   {"config.json", "{\"quantization_config\": ", 0}};
    char folder[] = "/tmp/nf4bench_gptq_XXXXXX", path[128], config[128], command[512];
    ASSERT_TRUE(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    snprintf(command, sizeof command, "cp " NF4BENCH_SOURCE_DIR "/tests/fixtures/gptq.safetensors %s", path);
    ASSERT_EQ(0, system(command));
    int first = 0;
    for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++) {
        struct safetensors file;
        struct quantized w;
        void *owned;
        snprintf(config, sizeof config, "%s/%s", folder, configs[i].file);
        FILE *f = fopen(config, "w");
        ASSERT_TRUE(f && fputs(configs[i].text, f) >= 0 && fclose(f) == 0);
        ASSERT_EQ(STATUS_OK, safetensors_open(path, &file));
        ASSERT_EQ(STATUS_OK, weight_checkpoint(&file, "asym.qweight", &w, &owned));
        if (i == 0)
            first = w.zero[5];
        EXPECT_EQ(first + configs[i].more, w.zero[5]);
        free(owned);
        safetensors_release(&file);
        unlink(config);
    }
    unlink(path);
    rmdir(folder);
}

/* A file of one layer, of zeros; shapes as given. */
static size_t build(uint8_t *out, const size_t qweight[2], const size_t qzeros[2], const size_t scales[2],
                    size_t g_idx, const char *dtype)
{
    const size_t bytes[4] = {4 * qweight[0] * qweight[1], 4 * qzeros[0] * qzeros[1],
                             2 * scales[0] * scales[1], 4 * g_idx};
    const size_t end[4] = {bytes[0], bytes[0] + bytes[1], bytes[0] + bytes[1] + bytes[2],
                           bytes[0] + bytes[1] + bytes[2] + bytes[3]};
    char header[1024], last[160] = "";
    if (g_idx)
        snprintf(last, sizeof last,
                 ", \"p.g_idx\": {\"dtype\": \"I32\", \"shape\": [%zu], \"data_offsets\": [%zu, %zu]}", g_idx,
                 end[2], end[3]);
    const uint64_t length = (uint64_t)snprintf(
        header, sizeof header,
        "{\"p.qweight\": {\"dtype\": \"%s\", \"shape\": [%zu, %zu], \"data_offsets\": [0, %zu]}, "
        "\"p.qzeros\": {\"dtype\": \"I32\", \"shape\": [%zu, %zu], \"data_offsets\": [%zu, %zu]}, "
        "\"p.scales\": {\"dtype\": \"F16\", \"shape\": [%zu, %zu], \"data_offsets\": [%zu, %zu]}%s}",
        dtype, qweight[0], qweight[1], end[0], qzeros[0], qzeros[1], end[0], end[1], scales[0], scales[1],
        end[1], end[2], last);
    memcpy(out, &length, 8);
    memcpy(out + 8, header, length);
    memset(out + 8 + length, 0, end[3]);
    for (size_t i = 0; i < g_idx; i++)
        out[8 + length + end[2] + 4 * i] = (uint8_t)i;
    return 8 + length + end[3];
}

TEST(weights_int4, what_cannot_be_is_refused)
{
    static const struct {
        size_t qweight[2], qzeros[2], scales[2], g_idx;
        const char *dtype, *says;
    } rows[] = {
        {{8, 16}, {2, 2}, {2, 16}, 64, "I32", "g_idx[2] is 2, and there are 2 groups"},
        {{8, 16}, {2, 2}, {2, 16}, 63, "I32", "neither GPTQ's nor AWQ's"},
        {{8, 16}, {2, 3}, {2, 16}, 0, "I32", "[2, 2]"},
        {{8, 16}, {3, 2}, {3, 16}, 0, "I32", "do not divide k"},
        {{8, 16}, {4, 2}, {4, 16}, 0, "I32", "groups of 16"},
        {{8, 16}, {2, 2}, {2, 15}, 0, "I32", "neither GPTQ's nor AWQ's"},
        {{8, 16}, {2, 2}, {2, 16}, 0, "F32", "must be I32"},
        {{0, 16}, {2, 2}, {2, 16}, 0, "I32", "is empty"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static uint8_t bytes[8192];
        struct safetensors file;
        struct quantized w;
        void *owned;
        const size_t size =
            build(bytes, rows[i].qweight, rows[i].qzeros, rows[i].scales, rows[i].g_idx, rows[i].dtype);
        test_note("%s", rows[i].says);
        if (safetensors_parse(bytes, size, "made", &file) != STATUS_OK) {
            EXPECT_STREQ("", status_message());
            continue;
        }
        EXPECT_EQ(STATUS_INPUT, weight_checkpoint(&file, "p.qweight", &w, &owned));
        EXPECT_CONTAINS(status_message(), rows[i].says);
        safetensors_release(&file);
    }
}
