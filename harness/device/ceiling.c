#include "harness/device/ceiling.h"

#include <omp.h>
#include <stdint.h>
#include <string.h>

#include "harness/base/machine.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { LINE = 64 };

const char *ceiling_word(enum ceiling c)
{
    static const char *const words[CEILING_COUNT] = {
        "",
#define X(name, word) word,
        CEILING_MAP(X)
#undef X
    };
    return words[c];
}

double ceiling_bytes(enum ceiling c, const struct problem *p)
{
    double written = (double)problem_output_count(p) * (double)dtype_size(p->out);
    double read = op_is_product(p->op) ? (double)(problem_packed_bytes(p) + problem_scale_bytes(p))
                                       : (double)problem_format_bytes(p) - written;
    return (c == CEILING_FILL ? 0 : read) + (c == CEILING_READ ? 0 : written);
}

size_t ceilings_of(const struct problem *p, bool gpu, enum ceiling list[CEILING_COUNT])
{
    size_t count = 0;
    if (op_is_product(p->op)) {
        list[count++] = CEILING_READ;
        return count;
    }
    /* A CPU reads beside what it writes at little cost, by how its kernels prefetch: the fill is what holds
     * for all of them. */
    list[count++] = gpu ? CEILING_FILL : CEILING_COPY;
    list[count++] = gpu ? CEILING_COPY : CEILING_FILL;
    return count;
}

typedef void fill_fn(uint8_t *data, size_t size);
typedef uint64_t read_fn(const uint8_t *data, size_t size);

static void fill_plain(uint8_t *data, size_t size)
{
    memset(data, 0x5a, size);
}

static uint64_t read_plain(const uint8_t *data, size_t size)
{
    uint64_t sum = 0;
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t v;
        memcpy(&v, data + i, 8);
        sum += v;
    }
    return sum;
}

#if defined(__x86_64__)
/* Whole, aligned lines: the caller cuts so. */
__attribute__((target("avx512f"))) static void fill_stream_avx512(uint8_t *data, size_t size)
{
    __m512i v = _mm512_set1_epi8(0x5a);
    for (size_t i = 0; i + LINE <= size; i += LINE)
        _mm512_stream_si512((void *)(data + i), v);
    _mm_sfence();
}

__attribute__((target("avx2"))) static void fill_stream_avx2(uint8_t *data, size_t size)
{
    __m256i v = _mm256_set1_epi8(0x5a);
    for (size_t i = 0; i + LINE <= size; i += LINE) {
        _mm256_stream_si256((void *)(data + i), v);
        _mm256_stream_si256((void *)(data + i + 32), v);
    }
    _mm_sfence();
}

__attribute__((target("avx512f"))) static uint64_t read_avx512(const uint8_t *data, size_t size)
{
    __m512i sum[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                      _mm512_setzero_si512()};
    size_t i = 0;
    for (; i + 4 * LINE <= size; i += 4 * LINE)
        for (int j = 0; j < 4; j++)
            sum[j] = _mm512_add_epi64(sum[j], _mm512_load_si512((const void *)(data + i + LINE * j)));
    for (; i + LINE <= size; i += LINE)
        sum[0] = _mm512_add_epi64(sum[0], _mm512_load_si512((const void *)(data + i)));
    /* The lanes are added up unsigned: the intrinsic for it has signed arithmetic, which must not overflow. */
    return read_plain((const uint8_t *)sum, sizeof sum) + read_plain(data + i, size - i);
}

__attribute__((target("avx2"))) static uint64_t read_avx2(const uint8_t *data, size_t size)
{
    __m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                      _mm256_setzero_si256()};
    size_t i = 0;
    for (; i + 128 <= size; i += 128)
        for (int j = 0; j < 4; j++)
            sum[j] = _mm256_add_epi64(sum[j], _mm256_load_si256((const void *)(data + i + 32 * j)));
    return read_plain((const uint8_t *)sum, sizeof sum) + read_plain(data + i, size - i);
}
#endif

/* Thread i's part: whole lines, the last thread also has what is left. */
static size_t part_begin(size_t size, int i, int threads)
{
    return i == threads ? size : size / LINE * (size_t)i / (size_t)threads * LINE;
}

/* The best first. */
static const struct way {
    unsigned feature;
    read_fn *read;
    fill_fn *fill_around_caches;
} ways[] = {
#if defined(__x86_64__)
    {CPU_AVX512, read_avx512, fill_stream_avx512},
    {CPU_AVX2, read_avx2, fill_stream_avx2},
#endif
    {0, read_plain, fill_plain},
};

static const struct way *best_way(void)
{
    const struct way *way = ways;
    while (way->feature && !(cpu_features() & way->feature))
        way++;
    return way;
}

void ceiling_fill(void *data, size_t size, bool around_caches)
{
    fill_fn *fill = around_caches ? best_way()->fill_around_caches : fill_plain;
#pragma omp parallel
    {
        int i = omp_get_thread_num(), threads = omp_get_num_threads();
        size_t begin = part_begin(size, i, threads), end = part_begin(size, i + 1, threads);
        fill((uint8_t *)data + begin, end - begin);
    }
}

unsigned long long ceiling_copy(const void *from, size_t from_size, void *to, size_t to_size,
                                bool around_caches)
{
    enum { PIECE = 16384 }; /* of `to`: then the part of `from` that belongs to it */
    read_fn *read = best_way()->read;
    fill_fn *fill = around_caches ? best_way()->fill_around_caches : fill_plain;
    uint64_t sum = 0;
#pragma omp parallel reduction(+ : sum)
    {
        int i = omp_get_thread_num(), threads = omp_get_num_threads();
        const size_t end = part_begin(to_size, i + 1, threads),
                     read_end = part_begin(from_size, i + 1, threads);
        size_t at = part_begin(to_size, i, threads), read_at = part_begin(from_size, i, threads);
        const double share = end > at ? (double)(read_end - read_at) / (double)(end - at) : 0;
        while (at < end) {
            const size_t piece = end - at < PIECE ? end - at : PIECE;
            size_t read_piece = (size_t)((double)piece * share) / LINE * LINE;
            if (read_piece > read_end - read_at)
                read_piece = read_end - read_at;
            sum += read((const uint8_t *)from + read_at, read_piece);
            fill((uint8_t *)to + at, piece);
            at += piece;
            read_at += read_piece;
        }
        sum += read((const uint8_t *)from + read_at, read_end - read_at);
    }
    return sum;
}

unsigned long long ceiling_read(const void *data, size_t size)
{
    read_fn *read = best_way()->read;
    uint64_t sum = 0;
#pragma omp parallel reduction(+ : sum)
    {
        int i = omp_get_thread_num(), threads = omp_get_num_threads();
        size_t begin = part_begin(size, i, threads), end = part_begin(size, i + 1, threads);
        sum += read((const uint8_t *)data + begin, end - begin);
    }
    return sum;
}
