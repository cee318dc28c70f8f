/*
 * fuzz_journal.c: journal_parse() on any bytes.
 *
 *   clang -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -I. tests/fuzz/fuzz_journal.c results/journal.c \
 *         results/durable.c results/record.c harness/base/status.c harness/base/text.c -ljansson -lz -o fuzz_journal
 *   ./fuzz_journal -max_len=20000 CORPUS tests/fuzz/corpus/journal
 *
 * Random changes never get past a CRC, so the mutator seals the entries again three times out of four. With
 * NF4BENCH_WRITE_CORPUS=DIRECTORY set, the seeds are written there instead (after a change of record.inc).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>

#include "results/journal.h"

enum { MAGIC_SIZE = 19, ENTRY_HEAD = 12 };

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t get(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static void put(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    if (seed % 4 == 0 || size < MAGIC_SIZE + ENTRY_HEAD + 8)
        return size;
    /* A header of this build, which a mutation seldom leaves whole. */
    if (seed % 4 > 1) {
        memcpy(data, "nf4bench journal 2\n", MAGIC_SIZE);
        put(data + MAGIC_SIZE + 4, 1);
        put(data + MAGIC_SIZE + ENTRY_HEAD, record_layout_hash());
        put(data + MAGIC_SIZE + ENTRY_HEAD + 4, (uint32_t)record_packed_size());
    }
    for (size_t at = MAGIC_SIZE; size - at >= ENTRY_HEAD;) {
        size_t length = get(data + at);
        if (length > size - at - ENTRY_HEAD) {
            length = size - at - ENTRY_HEAD;
            if (seed % 8 > 5) /* else it stays torn */
                put(data + at, (uint32_t)length);
        }
        put(data + at + 8, (uint32_t)crc32(crc32(0, data + at, 8), data + at + ENTRY_HEAD, (uInt)length));
        at += ENTRY_HEAD + length;
    }
    return size;
}

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                    \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct journal j, again;
    if (journal_parse(data, size, "fuzz", &j) != STATUS_OK) {
        CHECK(!j.header_json && !j.rows && !j.samples && strlen(status_message()) > 0);
        return 0;
    }
    CHECK(j.whole_size <= size && j.torn == (j.whole_size < size));
    CHECK(strlen(j.header_json) <= size);
    size_t next = 0;
    double sum = 0;
    for (size_t i = 0; i < j.row_count; i++) {
        CHECK(j.rows[i].sample_start == next && j.rows[i].sample_count <= j.sample_count - next);
        next += j.rows[i].sample_count;
        for (unsigned c = 0; c < record_column_count; c++) {
            const char *at = (const char *)&j.rows[i] + record_columns[c].offset;
            CHECK(record_columns[c].kind != COLUMN_TEXT || memchr(at, '\0', record_columns[c].size));
            CHECK(record_columns[c].kind != COLUMN_ENUM || record_columns[c].word(*(const uint8_t *)at));
        }
    }
    CHECK(next == j.sample_count);
    for (size_t i = 0; i < j.sample_count; i++)
        sum += j.samples[i];
    (void)sum;
    /* Without its torn end it is the same journal. */
    CHECK(journal_parse(data, j.whole_size, "fuzz", &again) == STATUS_OK);
    CHECK(!again.torn && again.row_count == j.row_count && again.sample_count == j.sample_count);
    CHECK(memcmp(again.rows, j.rows, j.row_count * sizeof *j.rows) == 0);
    journal_release(&again);
    journal_release(&j);
    return 0;
}

/* Seeds: no row; one without samples; two rows with samples in one entry and one more, torn. */
static void write_seed(const char *directory, const char *name, unsigned rows, unsigned samples, size_t cut)
{
    char path[1024];
    struct journal_writer *w;
    struct record r[2];
    static const double values[] = {1.5, 2.5, 3.5};
    const double *const pointers[] = {values, values};
    snprintf(path, sizeof path, "%s/%s", directory, name);
    (void)unlink(path);
    for (size_t i = 0; i < 2; i++) {
        record_init(&r[i]);
        strcpy(r[i].case_key, "m=1");
        r[i].sample_count = samples;
    }
    CHECK(journal_create(path, "{\"a\":1}", &w) == STATUS_OK);
    CHECK(journal_append(w, r, pointers, NULL, rows) == STATUS_OK);
    if (cut > 0)
        CHECK(journal_append(w, r, pointers, NULL, 1) == STATUS_OK);
    CHECK(journal_close(w) == STATUS_OK);
    if (cut > 0) {
        struct journal j;
        CHECK(journal_read(path, &j) == STATUS_OK);
        CHECK(truncate(path, (off_t)(j.whole_size - cut)) == 0);
        journal_release(&j);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *directory = getenv("NF4BENCH_WRITE_CORPUS");
    (void)argc;
    (void)argv;
    if (directory) {
        write_seed(directory, "no_rows", 0, 0, 0);
        write_seed(directory, "one_row", 1, 0, 0);
        write_seed(directory, "torn", 1, 3, 700);
        exit(0);
    }
    return 0;
}
