/* The safetensors reader: right files, every truncation, lying headers. */
#include "harness/checkpoint/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/test.h"

/* A file: length, header text, `data_size` bytes 0, 1, 2, ... In a buffer of exactly that size, so that a
 * sanitizer sees a read past the end. Owned by the caller. */
static uint8_t *build(const char *header, size_t data_size, size_t *size)
{
    size_t length = strlen(header);
    *size = 8 + length + data_size;
    uint8_t *file = malloc(*size);
    if (!file)
        abort();
    for (int i = 0; i < 8; i++)
        file[i] = (uint8_t)(length >> 8 * i);
    memcpy(file + 8, header, length);
    for (size_t i = 0; i < data_size; i++)
        file[8 + length + i] = (uint8_t)i;
    return file;
}

#define B "{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}"
#define A "{\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[24,29]}"

TEST(safetensors, reads_tensors_by_name)
{
    size_t size;
    struct safetensors f;
    uint8_t *file = build("{\"__metadata__\":{\"format\":\"pt\"},\"b\":" B ",\"a.x\":" A
                          ",\"empty\":{\"dtype\":\"BF16\",\"shape\":[0,7],\"data_offsets\":[24,24]}"
                          ",\"scalar\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[29,37]}}   ",
                          37, &size);
    ASSERT_EQ(STATUS_OK, safetensors_parse(file, size, "mem", &f));
    ASSERT_EQ(4, f.tensor_count);
    for (size_t i = 1; i < f.tensor_count; i++)
        EXPECT_TRUE(strcmp(f.tensors[i - 1].name, f.tensors[i].name) < 0);
    const struct safetensor *b = safetensors_find(&f, "b"), *a = safetensors_find(&f, "a.x");
    ASSERT_TRUE(a && b);
    EXPECT_STREQ("F32", b->dtype);
    EXPECT_EQ(4, b->element_size);
    EXPECT_EQ(2, b->rank);
    EXPECT_EQ(2, b->shape[0]);
    EXPECT_EQ(3, b->shape[1]);
    EXPECT_EQ(6, b->count);
    EXPECT_EQ(24, b->bytes);
    EXPECT_EQ(0, b->data[0]);
    EXPECT_EQ(23, b->data[23]);
    EXPECT_EQ(24, a->data[0]);
    EXPECT_EQ(5, a->bytes);
    EXPECT_EQ(0, safetensors_find(&f, "empty")->count);
    EXPECT_EQ(1, safetensors_find(&f, "scalar")->count);
    EXPECT_TRUE(safetensors_find(&f, "__metadata__") == NULL);
    EXPECT_TRUE(safetensors_find(&f, "a") == NULL);
    EXPECT_TRUE(f.mapping == NULL);
    safetensors_release(&f);
    EXPECT_TRUE(safetensors_find(&f, "a") == NULL);
    free(file);

    file = build("{}", 0, &size);
    EXPECT_EQ(STATUS_OK, safetensors_parse(file, size, "mem", &f));
    EXPECT_EQ(0, f.tensor_count);
    safetensors_release(&f);
    free(file);
}

TEST(safetensors, every_truncation_is_refused)
{
    size_t size;
    uint8_t *file = build("{\"b\":" B ",\"a\":" A "}", 29, &size);
    for (size_t cut = 0; cut < size; cut++) {
        struct safetensors f;
        uint8_t *part = malloc(cut ? cut : 1);
        ASSERT_TRUE(part != NULL);
        memcpy(part, file, cut);
        test_note("first %zu of %zu bytes", cut, size);
        EXPECT_EQ(STATUS_INPUT, safetensors_parse(part, cut, "mem", &f));
        EXPECT_TRUE(f.tensors == NULL && f.path == NULL);
        free(part);
    }
    free(file);
}

TEST(safetensors, lying_headers_are_refused)
{
    static const struct {
        const char *header;
        size_t data;
        const char *what;
    } rows[] = {
        {"", 0, "header byte 0"},
        {"[]", 0, "the header is no JSON object"},
        {"7", 0, "header byte"},
        {"{\"a\":1}", 0, "tensor a: its entry is no object"},
        {"{\"a\":" A ",\"a\":" A "}", 29, "duplicate object key"},
        {"{\"b\":" B ",\"a\":" A "} x", 29, "end of file expected"},
        {"{\"b\":" B, 24, "header byte"},
        {"{\"\":" B "}", 24, "a tensor's name is empty"},
        {"{\"a\\u001b\":" B "}", 24, "a tensor's name holds a control character"},
        {"{\"a\\u0000b\":" B "}", 24, "NUL byte in object key"},
        {"{\"a\xff\":" B "}", 24, "unable to decode byte 0xff"},
        /* dtype */
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "tensor a: dtype is missing or no string"},
        {"{\"a\":{\"dtype\":4,\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
         "tensor a: dtype is missing or no string"},
        {"{\"a\":{\"dtype\":\"F4\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
         "tensor a: unknown dtype \"F4\""},
        {"{\"a\":{\"dtype\":\"u8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
         "tensor a: unknown dtype \"u8\""},
        {"{\"a\":{\"dtype\":\"\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "tensor a: unknown dtype \"\""},
        {"{\"a\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
         "1 bytes of data, but F16 of its shape needs 2"},
        /* shape */
        {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "tensor a: shape is missing or no list"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":1,\"data_offsets\":[0,1]}}", 1,
         "tensor a: shape is missing or no list"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", 1,
         "tensor a: shape[0] is not a whole number"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1.0],\"data_offsets\":[0,1]}}", 1,
         "tensor a: shape[1] is not a whole number"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[[1]],\"data_offsets\":[0,1]}}", 1,
         "tensor a: shape[0] is not a whole number"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,1]}}", 1,
         "1 bytes of data, but U8 of its shape needs 2"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1,
         "9 dimensions, at most 8"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
         "the shape's product overflows"},
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,0]}}", 0,
         "the shape's product overflows"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[18446744073709551616],\"data_offsets\":[0,0]}}", 0,
         "too big integer"},
        /* offsets */
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "data_offsets is not a pair of whole numbers"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, "data_offsets is not a pair"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}", 1,
         "data_offsets is not a pair"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[-1,0]}}", 1, "data_offsets is not a pair"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,0]}}", 1,
         "data_offsets [1, 0] are not within the 1 bytes"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 1,
         "data_offsets [1, 2] are not within the 1 bytes"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[2,2]}}", 1,
         "data_offsets [2, 2] are not within the 1 bytes"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[9223372036854775807],\"data_offsets\":[0,9223372036854775807]}"
         "}",
         1, "are not within the 1 bytes"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":0}}", 1,
         "tensor a: keys beside dtype, shape and data_offsets"},
        /* ranges against each other */
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":["
         "2],\"data_offsets\":[1,3]}}",
         3, "tensors b and a overlap"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},\"b\":{\"dtype\":\"U8\",\"shape\":["
         "1],\"data_offsets\":[1,2]}}",
         3, "tensors b and a overlap"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"U8\",\"shape\":["
         "2],\"data_offsets\":[0,2]}}",
         2, "overlap"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2,
         "1 bytes before tensor a belong to no tensor"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 3,
         "the last 2 bytes belong to no tensor"},
        {"{}", 1, "the last 1 bytes belong to no tensor"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t size;
        struct safetensors f;
        uint8_t *file = build(rows[i].header, rows[i].data, &size);
        test_note("%s", rows[i].header);
        EXPECT_TRUE(safetensors_parse(file, size, "mem", &f) != STATUS_OK);
        EXPECT_TRUE(strncmp(status_message(), "mem: ", 5) == 0);
        EXPECT_CONTAINS(status_message(), rows[i].what);
        EXPECT_TRUE(f.tensors == NULL && f.tensor_count == 0);
        free(file);
    }
}

TEST(safetensors, header_lengths_and_depth)
{
    struct safetensors f;
    uint8_t file[16] = {0};
    memset(file, 0xff, 8);
    EXPECT_EQ(STATUS_LIMIT, safetensors_parse(file, sizeof file, "mem", &f));
    memset(file, 0, 8);
    file[0] = 9; /* one more than there is */
    EXPECT_EQ(STATUS_INPUT, safetensors_parse(file, sizeof file, "mem", &f));
    EXPECT_CONTAINS(status_message(), "a header of 9 bytes in a file of 16: it is cut off");

    size_t size, depth = 1 << 20;
    char *bomb = malloc(depth + 1);
    ASSERT_TRUE(bomb != NULL);
    memset(bomb, '[', depth);
    bomb[depth] = '\0';
    uint8_t *deep = build(bomb, 0, &size);
    EXPECT_EQ(STATUS_INPUT, safetensors_parse(deep, size, "mem", &f));
    EXPECT_CONTAINS(status_message(), "maximum parsing depth reached");
    free(deep);
    free(bomb);
}

TEST(safetensors, files)
{
    struct safetensors f;
    char path[1024];
    EXPECT_EQ(STATUS_IO, safetensors_open("/nonexistent/m.safetensors", &f));
    EXPECT_CONTAINS(status_message(), "/nonexistent/m.safetensors: cannot open: No such file");
    EXPECT_EQ(STATUS_INPUT, safetensors_open("/", &f));
    EXPECT_CONTAINS(status_message(), "not a regular file");

    snprintf(path, sizeof path, "%s/empty", test_temporary_directory());
    FILE *out = fopen(path, "wb");
    ASSERT_TRUE(out != NULL);
    fclose(out);
    EXPECT_EQ(STATUS_INPUT, safetensors_open(path, &f));
    EXPECT_CONTAINS(status_message(), "0 bytes are too few");

    size_t size;
    uint8_t *file = build("{\"b\":" B "}", 24, &size);
    out = fopen(path, "wb");
    ASSERT_TRUE(out != NULL);
    EXPECT_EQ(size, fwrite(file, 1, size, out));
    fclose(out);
    ASSERT_EQ(STATUS_OK, safetensors_open(path, &f));
    EXPECT_STREQ(path, f.path);
    EXPECT_EQ(size, f.mapping_bytes);
    EXPECT_EQ(23, safetensors_find(&f, "b")->data[23]);
    safetensors_release(&f);

    free(file);

    snprintf(path, sizeof path, "%s/fifo", test_temporary_directory());
    ASSERT_EQ(0, mkfifo(path, 0600));
    EXPECT_EQ(STATUS_INPUT, safetensors_open(path, &f)); /* and does not wait for a writer */
}
