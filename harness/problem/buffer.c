#include "harness/problem/buffer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "harness/base/random.h"

#if defined(__SANITIZE_ADDRESS__)
#define POISONABLE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONABLE 1
#endif
#endif
#ifdef POISONABLE
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

enum { HUGE_PAGE = 2 << 20 };

static uint8_t canary_byte(size_t i)
{
    return (uint8_t)(0xA5 ^ (i * 29));
}

static void canary_ranges(const struct buffer *b, uint8_t *range[2])
{
    range[0] = (uint8_t *)b->data - BUFFER_CANARY_BYTES;
    range[1] = (uint8_t *)b->data + b->size;
}

static void canaries_poison(const struct buffer *b, bool poison)
{
    uint8_t *range[2];
    canary_ranges(b, range);
    for (int r = 0; r < 2; r++) {
        if (poison)
            ASAN_POISON_MEMORY_REGION(range[r], BUFFER_CANARY_BYTES);
        else
            ASAN_UNPOISON_MEMORY_REGION(range[r], BUFFER_CANARY_BYTES);
    }
}

void buffer_reset_canaries(struct buffer *b)
{
    uint8_t *range[2];
    canary_ranges(b, range);
    canaries_poison(b, false);
    for (int r = 0; r < 2; r++)
        for (size_t i = 0; i < BUFFER_CANARY_BYTES; i++)
            range[r][i] = canary_byte(i);
    canaries_poison(b, true);
}

enum status buffer_init(struct buffer *b, size_t size, const char *what)
{
    memset(b, 0, sizeof *b);
    if (size > SIZE_MAX / 2)
        return status_fail(STATUS_LIMIT, "%s: %zu bytes is more than can be addressed", what, size);
    /* A cache line of its own for the first canary's end keeps data 64-byte aligned. Large buffers start on a
     * huge page, so that every variant sees the same translation costs. */
    size_t align = size >= HUGE_PAGE ? (size_t)HUGE_PAGE : 4096;
    size_t front = align > BUFFER_CANARY_BYTES ? align : BUFFER_CANARY_BYTES;
    size_t total = (front + size + BUFFER_CANARY_BYTES + align - 1) / align * align;
    void *p = aligned_alloc(align, total);
    if (!p)
        return status_fail(STATUS_MEMORY, "%s: cannot allocate %zu bytes; use smaller shapes or free memory",
                           what, total);
    if (align == HUGE_PAGE)
        madvise(p, total, MADV_HUGEPAGE); /* advice only */
    b->allocation = p;
    b->allocation_bytes = total;
    b->data = (uint8_t *)p + front;
    b->size = size;
    buffer_reset_canaries(b);
    return STATUS_OK;
}

void buffer_release(struct buffer *b)
{
    if (b->allocation)
        canaries_poison(b, false);
    free(b->allocation);
    memset(b, 0, sizeof *b);
}

void buffer_poison(struct buffer *b, uint64_t salt)
{
    /* Each half word 0x7fXX or 0xffXX with a low bit set: a NaN in fp16 (exponent all ones), in bf16, and, in
     * the upper half of a word, in fp32. The low byte of words varies. */
    uint8_t *bytes = b->data;
    size_t words = b->size / 8;
#pragma omp parallel for schedule(static) if (words > 65536)
    for (size_t i = 0; i < words; i++) {
        uint64_t r = random_u64(salt, RANDOM_POISON, i);
        uint64_t v = (r & 0x807f807f807f807fu) | 0x7f817f817f817f81u;
        memcpy(bytes + 8 * i, &v, 8);
    }
    for (size_t i = 8 * words; i < b->size; i++)
        bytes[i] = i % 2 ? 0x7f : 0x81 | (uint8_t)(random_u64(salt, RANDOM_POISON, i) & 0x7f);
}

bool buffer_canaries_whole(const struct buffer *b, ptrdiff_t *offset)
{
    uint8_t *range[2];
    canary_ranges(b, range);
    bool whole = true;
    canaries_poison(b, false);
    for (int r = 0; r < 2; r++)
        for (size_t i = 0; i < BUFFER_CANARY_BYTES && whole; i++)
            if (range[r][i] != canary_byte(i)) {
                *offset = range[r] + i - (uint8_t *)b->data;
                whole = false;
            }
    canaries_poison(b, true);
    return whole;
}

size_t buffer_whole_size(const struct buffer *b)
{
    return b->size + 2 * (size_t)BUFFER_CANARY_BYTES;
}

void buffer_whole_read(const struct buffer *b, size_t offset, void *to, size_t size)
{
    canaries_poison(b, false);
    memcpy(to, (const uint8_t *)b->data - BUFFER_CANARY_BYTES + offset, size);
    canaries_poison(b, true);
}

void buffer_whole_write(struct buffer *b, size_t offset, const void *from, size_t size)
{
    canaries_poison(b, false);
    memcpy((uint8_t *)b->data - BUFFER_CANARY_BYTES + offset, from, size);
    canaries_poison(b, true);
}

uint64_t bytes_hash(const void *data, size_t size)
{
    /* Fixed chunks, hashed on any thread, combined in order. */
    enum { CHUNK = 1 << 20 };
    size_t chunks = (size + CHUNK - 1) / CHUNK;
    uint64_t hash = random_mix(size);
    for (size_t first = 0; first < chunks; first += 64) {
        uint64_t part[64];
        size_t count = chunks - first < 64 ? chunks - first : 64;
#pragma omp parallel for schedule(static) if (count > 1)
        for (size_t c = 0; c < count; c++) {
            const uint8_t *p = (const uint8_t *)data + (first + c) * CHUNK;
            size_t left = size - (first + c) * CHUNK;
            size_t length = left < CHUNK ? left : CHUNK;
            uint64_t lane[8] = {1, 2, 3, 4, 5, 6, 7, 8};
            size_t i = 0;
            for (; i + 64 <= length; i += 64) {
                for (int l = 0; l < 8; l++) {
                    uint64_t v;
                    memcpy(&v, p + i + 8 * l, 8);
                    lane[l] = (lane[l] ^ v) * 0x9e3779b97f4a7c15u;
                    lane[l] ^= lane[l] >> 29;
                }
            }
            uint64_t h = 0;
            for (int l = 0; l < 8; l++)
                h = random_mix(h ^ lane[l]);
            for (; i < length; i++)
                h = random_mix(h ^ p[i]);
            part[c] = h;
        }
        for (size_t c = 0; c < count; c++)
            hash = random_mix(hash ^ part[c]);
    }
    return hash;
}
