/*
 * The executor: right kernels give their results under every schedule, wrong ones a diagnosis with file and
 * line, and after either the next launch runs. Kernels: tests/simt/executor_*.cu. Limits, crashes and the
 * like are in simt_executor_faults.c.
 */
#include <string.h>

#include "harness/device/simt/tensor_core.h"
#include "tests/simt/executor_probe.h"
#include "tests/test.h"

/* ---- blocks and barriers ---- */

TEST(simt_executor, barriers)
{
    static const unsigned threads[] = {1, 31, 32, 33, 64, 100, 256, 1000, 1024};
    ASSERT_TRUE(prepare());
    FOR_SCHEDULES(s)
    for (size_t n = 0; n < sizeof threads / sizeof threads[0]; n++) {
        memset(probe.out, 0, WORDS * sizeof(uint32_t));
        ASSERT_TRUE(launch(ENTRY_OF(executor_scan, s), shape(5, threads[n], 0), *s));
        size_t wrong = 0;
        for (size_t b = 0; b < 5; b++) {
            uint32_t sum = 0;
            for (size_t i = b * threads[n]; i < (b + 1) * threads[n]; i++)
                wrong += probe.out[i] != (sum += probe.in[i]);
        }
        test_note("%u threads, seed %llu", threads[n], (unsigned long long)s->seed);
        EXPECT_EQ(0, wrong);
        EXPECT_EQ(0, probe.out[5 * threads[n]]);
        EXPECT_EQ(0, probe.result.faults);
        EXPECT_STREQ("", probe.result.text);
    }
}

TEST(simt_executor, positions_in_three_dimensions)
{
    ASSERT_TRUE(prepare());
    FOR_SCHEDULES(s)
    for (int barrier = 0; barrier < 2; barrier++) {
        memset(probe.out, 0, WORDS * sizeof(uint32_t));
        struct probe_args args = {.mode = barrier, .launch = {{7, 5, 3}, 48, 0}};
        ASSERT_TRUE(launch(ENTRY_OF(executor_positions, s), args, *s));
        size_t wrong = 0;
        for (uint32_t i = 0; i < 7 * 5 * 3 * 48; i++)
            wrong += probe.out[i] != i + 1;
        EXPECT_EQ(0, wrong);
    }
}

TEST(simt_executor, barriers_that_not_all_reach)
{
    static const struct simt_options one = {.workers = 1}, random = {.seed = 9, .workers = 2};
    ASSERT_TRUE(prepare());
    EXPECT_FAULT(&executor_divergent_barrier__fast, shape(2, 64, 0), one, SIMT_BARRIER,
                 "executor_barriers.cu@low", "executor_barriers.cu@high", "thread 0", "thread 7", "block 0");
    EXPECT_FAULT(&executor_divergent_barrier__fast, shape(2, 64, 0), random, SIMT_BARRIER,
                 "executor_barriers.cu@low", "executor_barriers.cu@high");
    EXPECT_FAULT(CHECKED(executor_divergent_barrier), shape(2, 64, 0),
                 ((struct simt_options){.checked = true, .workers = 1}), SIMT_BARRIER,
                 "executor_barriers.cu@low");

    struct probe_args args = shape(1, 64, 0);
    args.count = 40;
    EXPECT_FAULT(&executor_early_return__fast, args, one, SIMT_BARRIER, "executor_barriers.cu@rest",
                 "40 of 64 threads", "thread 40 has returned");
    EXPECT_FAULT(&executor_early_return__fast, args, random, SIMT_BARRIER, "has returned");
    args.count = 64;
    EXPECT_TRUE(launch(&executor_early_return__fast, args, one));

    EXPECT_FAULT(&executor_barrier_or_shuffle__fast, shape(1, 32, 0), one, SIMT_BARRIER,
                 "executor_barriers.cu@shuffle", "executor_barriers.cu@barrier",
                 "thread 3 waits at a shuffle", "collective");
}

/* ---- warps ---- */

enum { LANES = 32, WIDTHS = 6, FORMS = 4 };

/* CUDA's description of the shuffles (Programming Guide, warp shuffle functions), word by word. */
static uint32_t shuffle_model(int form, uint32_t lane, uint32_t operand, uint32_t width)
{
    uint32_t group = lane / width, in_group = lane % width;
    switch (form) {
    case 0: /* "lane" within the group, modulo its width */
        return group * width + operand % width;
    case 1: /* lower ID; no wrap: the lower lanes keep their own */
        return in_group < operand ? lane : lane - operand;
    case 2:
        return in_group + operand >= width ? lane : lane + operand;
    default: /* later groups cannot be read, earlier ones can */
        return (lane ^ operand) / width > group ? lane : lane ^ operand;
    }
}

TEST(simt_executor, shuffles)
{
    ASSERT_TRUE(prepare());
    FOR_SCHEDULES(s)
    {
        memset(probe.out, 0, WORDS * sizeof(uint32_t));
        ASSERT_TRUE(launch(ENTRY_OF(executor_shuffles, s), shape(1, 32, 0), *s));
        for (uint32_t operand = 0; operand < LANES; operand++)
            for (uint32_t log = 0; log < WIDTHS; log++)
                for (uint32_t form = 0; form < FORMS; form++)
                    for (uint32_t lane = 0; lane < LANES; lane++) {
                        uint32_t from = shuffle_model((int)form, lane, operand, 1u << log);
                        test_note("form %u, operand %u, width %u, lane %u", form, operand, 1u << log, lane);
                        EXPECT_EQ(from * 3 + operand,
                                  probe.out[((operand * WIDTHS + log) * FORMS + form) * LANES + lane]);
                    }
    }
}

TEST(simt_executor, votes)
{
    static const uint32_t predicates[] = {0, UINT32_MAX, 1, 0x80000000u, 0x7fffffffu, 0x12345678u};
    ASSERT_TRUE(prepare());
    FOR_SCHEDULES(s)
    for (size_t i = 0; i < sizeof predicates / sizeof predicates[0]; i++) {
        probe.in[0] = predicates[i];
        memset(probe.out, 0xff, WORDS * sizeof(uint32_t));
        ASSERT_TRUE(launch(ENTRY_OF(executor_votes, s), shape(1, 96, 0), *s));
        for (size_t t = 0; t < 96; t++) {
            EXPECT_EQ_BITS(predicates[i], probe.out[3 * t]);
            EXPECT_EQ(predicates[i] != 0, probe.out[3 * t + 1]);
            EXPECT_EQ(predicates[i] == UINT32_MAX, probe.out[3 * t + 2]);
        }
    }
}

static void masks_model(uint32_t first, uint32_t v[LANES])
{
    uint32_t w[LANES], ballot = 0;
    for (uint32_t i = 0; i < LANES; i++)
        v[i] = (first + i) * 7;
    for (uint32_t step = 8; step; step /= 2) {
        memcpy(w, v, sizeof w);
        for (uint32_t i = 0; i < 16; i++)
            v[i] += w[i ^ step];
    }
    memcpy(w, v, sizeof w);
    for (uint32_t i = 16; i < 32; i++)
        v[i] += w[i ^ 1];
    for (uint32_t i = 17; i < 32; i += 2)
        ballot |= (v[i] >> 2 & 1) << i;
    for (uint32_t i = 17; i < 32; i += 2)
        v[i] ^= ballot;
    memcpy(w, v, sizeof w);
    for (uint32_t i = 0; i < LANES; i++)
        v[i] += w[31 - i];
}

TEST(simt_executor, parts_of_warps)
{
    ASSERT_TRUE(prepare());
    FOR_SCHEDULES(s)
    {
        ASSERT_TRUE(launch(ENTRY_OF(executor_masks, s), shape(2, 64, 0), *s));
        for (uint32_t warp = 0; warp < 4; warp++) {
            uint32_t want[LANES];
            masks_model(warp * LANES, want);
            for (uint32_t i = 0; i < LANES; i++)
                EXPECT_EQ_BITS(want[i], probe.out[warp * LANES + i]);
        }
    }
}

TEST(simt_executor, lanes_that_do_not_come)
{
    static const struct {
        int mode;
        unsigned threads;
        const char *part[4];
    } rows[] = {
        {0, 32, {"executor_warps.cu@returned", "0xffffffff", "lanes 0-15 only", "lanes 16-31 have returned"}},
        {1, 32, {"executor_warps.cu@own", "lane 0", "not in its own mask 0x0000fffe", ""}},
        {2, 32, {"executor_warps.cu@one", "executor_warps.cu@other", "lane 5", ""}},
        {3, 32, {"executor_warps.cu@source", "lane 7", "from lane 8", "not in the mask 0x000000ff"}},
        {4,
         32,
         {"executor_warps.cu@first_mask", "executor_warps.cu@second_mask", "lane 16 waits at __syncwarp",
          "lane 0 waits"}},
        {5, 32, {"executor_warps.cu@kinds", "a vote", "a shuffle", ""}},
        {6, 48, {"executor_warps.cu@partial", "warp 1", "lanes 16-31 do not exist", "48 threads"}},
        {7, 32, {"executor_warps.cu@width", "width 12", "", ""}},
    };
    ASSERT_TRUE(prepare());
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        EXPECT_FAULT(&executor_wrong_lanes__fast, shape(1, rows[i].threads, rows[i].mode),
                     (struct simt_options){.workers = 1}, SIMT_COLLECTIVE, rows[i].part[0], rows[i].part[1],
                     rows[i].part[2], rows[i].part[3]);
        EXPECT_FAULT(CHECKED(executor_wrong_lanes), shape(1, rows[i].threads, rows[i].mode),
                     ((struct simt_options){.workers = 1, .seed = 4, .checked = true}), SIMT_COLLECTIVE,
                     rows[i].part[0]);
    }
    EXPECT_TRUE(launch(&executor_wrong_lanes__fast, shape(1, 32, 99), (struct simt_options){.workers = 1}));
}

/* ---- cp.async ---- */

static uint32_t staged_model(size_t block, size_t thread, size_t threads, size_t steps)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < steps; i++) {
        const uint32_t *v = probe.in + 4 * ((block * steps + i) * threads + (thread + 1) % threads);
        sum = sum * 31 + v[0] + v[1] + v[2] + v[3];
    }
    return sum;
}

static size_t staged_wrong(void)
{
    size_t wrong = 0;
    for (size_t b = 0; b < 3; b++)
        for (size_t t = 0; t < 128; t++)
            wrong += probe.out[b * 128 + t] != staged_model(b, t, 128, 6);
    return wrong;
}

TEST(simt_executor, copies)
{
    ASSERT_TRUE(prepare());
    struct probe_args args = shape(3, 128, 0);
    args.count = 6;
    FOR_SCHEDULES(s)
    {
        memset(probe.out, 0, 4 * 3 * 128);
        ASSERT_TRUE(launch(ENTRY_OF(executor_staged, s), args, *s));
        EXPECT_EQ(0, staged_wrong());

        for (uint32_t t = 0; t < 32; t++)
            memset(probe.out + 4 * t, 0x55, 16);
        ASSERT_TRUE(launch(ENTRY_OF(executor_zero_fill, s), shape(1, 32, 0), *s));
        for (uint32_t t = 0; t < 32; t++) {
            uint8_t want[16] = {0};
            memcpy(want, probe.in + 4 * t, t % 17);
            EXPECT_EQ(0, memcmp(want, probe.out + 4 * t, 16));
        }
    }
}

/* PTX ISA, prmt in its default mode: byte i is the one that digit i of the selector names; with bit 3, its
 * sign. */
TEST(simt_executor, prmt_has_the_meaning_of_ptx)
{
    enum { COUNT = 64 * 256 };
    ASSERT_TRUE(prepare() && 3 * COUNT <= WORDS);
    for (unsigned digit = 0; digit < 16;
         digit++) /* every digit in every place; the upper half means nothing */
        for (unsigned place = 0; place < 4; place++)
            probe.in[3 * (4 * digit + place) + 2] = (0xabcd3210u & ~(15u << 4 * place)) | digit << 4 * place;
    FOR_SCHEDULES(s)
    {
        memset(probe.out, 0x55, COUNT * sizeof(uint32_t));
        ASSERT_TRUE(launch(ENTRY_OF(executor_prmt, s), shape(COUNT / 256, 256, 0), *s));
        for (size_t i = 0; i < COUNT; i++) {
            const uint64_t bytes = (uint64_t)probe.in[3 * i + 1] << 32 | probe.in[3 * i];
            uint32_t want = 0;
            for (unsigned place = 0; place < 4; place++) {
                const unsigned digit = probe.in[3 * i + 2] >> 4 * place & 15;
                const uint32_t byte = bytes >> 8 * (digit & 7) & 0xff;
                want |= (digit & 8 ? (byte & 0x80 ? 0xff : 0) : byte) << 8 * place;
            }
            EXPECT_EQ_BITS(want, probe.out[i]);
        }
    }
}

TEST(simt_executor, copies_without_a_wait)
{
    ASSERT_TRUE(prepare());
    /* At the thread's end at the latest. */
    ASSERT_TRUE(launch(&executor_copies_left__fast, shape(2, 32, 0), (struct simt_options){.workers = 1}));
    for (size_t i = 0; i < 2 * 32; i++)
        EXPECT_EQ_BITS(i % 32 < 31 ? probe.in[4 * (i % 32) + 1] : 0, probe.out[i]);

    struct probe_args args = shape(3, 128, 1);
    args.count = 6;
    static const enum simt_async modes[] = {SIMT_ASYNC_EAGER, SIMT_ASYNC_DEFERRED};
    for (int i = 0; i < 2; i++) { /* eager: as if it had been waited for; deferred: stale */
        ASSERT_TRUE(
            launch(&executor_staged__fast, args, (struct simt_options){.workers = 1, .async = modes[i]}));
        if (modes[i] == SIMT_ASYNC_EAGER)
            EXPECT_EQ(0, staged_wrong());
        else
            EXPECT_EQ(3 * 128, staged_wrong());
    }
    /* More groups may be left than there are: none has to be done. */
    ASSERT_TRUE(launch(&executor_stage_reused__fast, shape(1, 32, 1), (struct simt_options){.workers = 1}));
    for (size_t t = 0; t < 32; t++)
        EXPECT_TRUE(probe.out[t] != probe.in[4 * t]);
    /* A stage that is filled too early: deferred hides it, eager shows it; random: by the seed. */
    size_t stale[SIMT_ASYNC_COUNT] = {0};
    for (int mode = 0; mode < SIMT_ASYNC_COUNT; mode++)
        for (uint64_t seed = 1; seed < 4; seed++) {
            ASSERT_TRUE(launch(&executor_stage_reused__fast, shape(1, 32, 0),
                               (struct simt_options){.async = (enum simt_async)mode, .seed = seed}));
            for (size_t t = 0; t < 32; t++)
                stale[mode] += probe.out[t] != probe.in[4 * t];
        }
    EXPECT_EQ(0, stale[SIMT_ASYNC_DEFERRED]);
    EXPECT_EQ(3 * 32, stale[SIMT_ASYNC_EAGER]);
    EXPECT_TRUE(stale[SIMT_ASYNC_RANDOM] <= 3 * 32);
}

TEST(simt_executor, random_copies_take_place_at_any_time)
{
    ASSERT_TRUE(prepare());
    struct probe_args args = shape(3, 128, 1);
    args.count = 6;
    size_t wrong = 0;
    for (uint64_t seed = 1; seed < 4; seed++) {
        ASSERT_TRUE(launch(&executor_staged__fast, args,
                           (struct simt_options){.async = SIMT_ASYNC_RANDOM, .seed = seed}));
        wrong += staged_wrong();
    }
    EXPECT_TRUE(wrong > 0);
    EXPECT_TRUE(wrong < 3 * 3 * 128);
}

TEST(simt_executor, copies_from_and_to_wrong_places)
{
    static const struct simt_options one = {.workers = 1};
    ASSERT_TRUE(prepare());
    EXPECT_FAULT(&executor_copy_faults__fast, shape(1, 32, 0), one, SIMT_MISALIGNED,
                 "executor_copies.cu@copy", "to shared");
    EXPECT_FAULT(&executor_copy_faults__fast, shape(1, 32, 1), one, SIMT_MISALIGNED,
                 "executor_copies.cu@copy", "from global");
    EXPECT_FAULT(&executor_copy_faults__fast, shape(1, 32, 2), one, SIMT_OUT_OF_BOUNDS,
                 "executor_copies.cu@copy", "thread 31");
    EXPECT_FAULT(&executor_copy_faults__fast, shape(1, 32, 3), one, SIMT_OUT_OF_BOUNDS,
                 "executor_copies.cu@copy", "in no shared array");
    EXPECT_TRUE(launch(&executor_copy_faults__fast, shape(1, 32, 4), one));
}

/* ---- matrices ---- */

TEST(simt_executor, ldmatrix)
{
    ASSERT_TRUE(prepare());
    const uint16_t *in = (const uint16_t *)probe.in;
    FOR_SCHEDULES(s)
    for (int transposed = 0; transposed < 2; transposed++) {
        ASSERT_TRUE(launch(ENTRY_OF(executor_ldmatrix, s), shape(1, 32, transposed), *s));
        for (uint32_t lane = 0; lane < 32; lane++)
            for (uint32_t j = 0; j < 4; j++) {
                uint32_t row = lane / 4, column = 2 * (lane % 4);
                uint32_t low = in[64 * j + (transposed ? 8 * column + row : 8 * row + column)];
                uint32_t high = in[64 * j + (transposed ? 8 * (column + 1) + row : 8 * row + column + 1)];
                EXPECT_EQ_BITS(high << 16 | low, probe.out[4 * lane + j]);
            }
    }
    EXPECT_FAULT(&executor_ldmatrix__fast, shape(1, 32, 2), ((struct simt_options){.workers = 1}),
                 SIMT_OUT_OF_BOUNDS, "executor_matrices.cu@ldmatrix", "ldmatrix", "thread 31");
}

static float dot16(enum simt_tensor_core core, enum tensor_core_type type, const uint16_t *a,
                   const uint16_t *b, float c)
{
    c = tensor_core_dot(core, type, a, b, c);
    return core == SIMT_TENSOR_CORE_80 ? tensor_core_dot(core, type, a + 8, b + 8, c) : c;
}

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}

TEST(simt_executor, mma_by_fragments)
{
    enum { WARPS = 6, IN = 128 + 64 + 128 };
    ASSERT_TRUE(prepare());
    for (uint32_t i = 0; i < WARPS * IN; i++) { /* numbers around 1; in the last warp any pattern */
        uint32_t at = i % IN, r = probe.in[i];
        if (i / IN == WARPS - 1)
            continue;
        probe.in[i] = at < 192 ? (r & 0x87ff87ffu) | 0x38003800u : (r & 0x83ffffffu) | 0x3c000000u;
    }
    FOR_SCHEDULES(s)
    for (int type = 0; type < 2; type++)
        for (int core = 0; core < 2; core++) {
            struct simt_options o = *s;
            o.tensor_core = (enum simt_tensor_core)core;
            ASSERT_TRUE(launch(ENTRY_OF(executor_mma, s), shape(2, 96, type), o));
            for (uint32_t warp = 0; warp < WARPS; warp++) {
                const uint16_t *a = (const uint16_t *)(probe.in + warp * IN), *b = a + 256;
                const float *c = (const float *)(a + 384);
                for (uint32_t i = 0; i < 16; i++)
                    for (uint32_t j = 0; j < 8; j++) {
                        uint16_t column[16];
                        for (uint32_t k = 0; k < 16; k++)
                            column[k] = b[8 * k + j];
                        float want = dot16(o.tensor_core, (enum tensor_core_type)type, a + 16 * i, column,
                                           c[8 * i + j]);
                        test_note("type %d core %d warp %u row %u column %u", type, core, warp, i, j);
                        EXPECT_EQ_BITS(bits_of(want), probe.out[warp * 128 + 8 * i + j]);
                    }
            }
        }
    EXPECT_FAULT(&executor_mma__fast, shape(1, 48, 0), ((struct simt_options){.workers = 1}), SIMT_COLLECTIVE,
                 "executor_matrices.cu@mma", "mma", "do not exist");
}

/* ---- order ---- */

TEST(simt_executor, seeds_change_the_order_and_nothing_else)
{
    enum { THREADS = 128, BLOCKS = 6, PLACES = 2 * THREADS * BLOCKS };
    ASSERT_TRUE(prepare());
    static uint32_t first[PLACES], again[PLACES];
    int reordered = 0; /* seeds that change the order of blocks; one of 720 would not */
    for (uint64_t seed = 0; seed < 5; seed++) {
        probe.out[0] = 0;
        struct simt_options o = {.workers = 1, .seed = seed};
        ASSERT_TRUE(launch(&executor_order__fast, shape(BLOCKS, THREADS, 0), o));
        memcpy(again, probe.out + 1, sizeof again);
        size_t in_place = 0, in_order = 0, before = 0, blocks_in_order = 0;
        uint64_t seen[PLACES / 64] = {0};
        for (uint32_t t = 0; t < THREADS * BLOCKS; t++) {
            uint32_t base = t / THREADS * 2 * THREADS;
            in_order += again[2 * t] == base + t % THREADS;
            in_place += again[2 * t] == first[2 * t];
            blocks_in_order += again[2 * t] / (2 * THREADS) == t / THREADS;
            seen[again[2 * t] / 64 % (PLACES / 64)] |= (uint64_t)1 << again[2 * t] % 64;
            seen[again[2 * t + 1] / 64 % (PLACES / 64)] |= (uint64_t)1 << again[2 * t + 1] % 64;
            before += again[2 * t] % (2 * THREADS) < THREADS; /* all before any that has passed the barrier */
        }
        EXPECT_EQ(THREADS * BLOCKS, before);
        reordered += blocks_in_order != THREADS * BLOCKS;
        for (size_t i = 0; i < PLACES / 64; i++) /* each block and thread once */
            EXPECT_EQ_BITS(UINT64_MAX, seen[i]);
        if (seed == 0) {
            EXPECT_EQ(THREADS * BLOCKS, in_order);
        } else {
            EXPECT_TRUE(in_place < 64); /* of 768; by chance about one */
            EXPECT_TRUE(in_order < 64);
        }
        memcpy(first, again, sizeof first);
        probe.out[0] = 0;
        ASSERT_TRUE(launch(&executor_order__fast, shape(BLOCKS, THREADS, 0), o));
        EXPECT_EQ(0, memcmp(first, probe.out + 1, sizeof first));
    }
    EXPECT_TRUE(reordered >= 3 && reordered <= 4);
    /* Within a block the order does not depend on the worker. */
    probe.out[0] = 0;
    ASSERT_TRUE(
        launch(&executor_order__fast, shape(1, THREADS, 0), (struct simt_options){.workers = 1, .seed = 3}));
    memcpy(first, probe.out + 1, 8 * THREADS);
    probe.out[0] = 0;
    ASSERT_TRUE(
        launch(&executor_order__fast, shape(1, THREADS, 0), (struct simt_options){.workers = 4, .seed = 3}));
    EXPECT_EQ(0, memcmp(first, probe.out + 1, 8 * THREADS));
}

TEST(simt_executor, an_order_that_matters_shows)
{
    ASSERT_TRUE(prepare());
    for (size_t i = 0; i < 1024; i++)
        probe.in[i] = (probe.in[i] & 0x8fffffffu) | 0x38000000u;
    uint32_t first = 0;
    bool differ = false;
    for (uint64_t seed = 0; seed < 4; seed++) {
        probe.out[0] = 0;
        ASSERT_TRUE(launch(&executor_float_order__fast, shape(4, 256, 0),
                           (struct simt_options){.workers = 1, .seed = seed}));
        differ |= seed && probe.out[0] != first;
        first = probe.out[0];
    }
    EXPECT_TRUE(differ);
}

TEST(simt_executor, atomics_of_several_workers)
{
    ASSERT_TRUE(prepare());
    FOR_SCHEDULES(s)
    {
        probe.in[0] = 0;
        memset(probe.out, 0, 64);
        ASSERT_TRUE(launch(ENTRY_OF(executor_atomics, s), shape(500, 64, 0), *s));
        EXPECT_EQ(32 * 3 * 32000, probe.out[0]);
        EXPECT_EQ_BITS(bits_of(32000.0f), probe.out[1]);
        EXPECT_EQ(32000, probe.out[2]);
        EXPECT_EQ(77, probe.out[3]);
    }
}
