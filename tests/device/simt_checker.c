/*
 * simt_checker.c: the checker of the checked build. Each kernel of tests/simt/checker_*.cu is run as it is
 * right, which must give no report, and wrong in each way it can be, which must give the right one. Then
 * programs of random accesses and synchronisations are held against an oracle that compares all pairs of
 * accesses.
 */
/* Sanitized builds have no checked kernels. */
#ifndef NF4BENCH_SANITIZED

#include "harness/device/simt/simt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "harness/base/random.h"
#include "tests/simt/checker_args.h"
#include "tests/test.h"

enum { ELEMENTS = 2048 };

/* ---- launches ---- */

enum { IN, OUT, HALF, BYTES, SUMS, BUFFERS };

struct operands {
    struct simt_buffer buffers[BUFFERS];
    struct checker_args args;
};

static void *shared_memory(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        abort();
    return p;
}

static void operands_init(struct operands *o, size_t count)
{
    static const struct {
        const char *name;
        unsigned granule;
    } buffers[BUFFERS] = {{"in", 4}, {"out", 4}, {"half", 2}, {"bytes", 1}, {"sums", 4}};
    for (int i = 0; i < BUFFERS; i++) {
        size_t size = (i == SUMS ? 16 : count) * buffers[i].granule;
        /* Room around it, for accesses that are out of bounds must not fault by themselves. */
        char *p = shared_memory(size + 2 * 4096);
        o->buffers[i] = (struct simt_buffer){buffers[i].name, p + 4096, size, i != IN, buffers[i].granule};
    }
    o->args = (struct checker_args){.in = o->buffers[IN].data,
                                    .out = o->buffers[OUT].data,
                                    .half = o->buffers[HALF].data,
                                    .bytes = o->buffers[BYTES].data,
                                    .sums = o->buffers[SUMS].data,
                                    .count = count};
    float *in = o->buffers[IN].data;
    for (size_t i = 0; i < count; i++)
        in[i] = (float)(i % 97) * 0.25f;
}

static void operands_release(struct operands *o)
{
    for (int i = 0; i < BUFFERS; i++)
        munmap((char *)o->buffers[i].data - 4096, o->buffers[i].size + 2 * 4096);
}

/* ---- the kernels ---- */

#define KERNELS                                                                                              \
    X(barrier)                                                                                               \
    X(warp)                                                                                                  \
    X(partial)                                                                                               \
    X(chain)                                                                                                 \
    X(readers)                                                                                               \
    X(neighbours)                                                                                            \
    X(reduction)                                                                                             \
    X(stages)                                                                                                \
    X(uninitialised)                                                                                         \
    X(shared_bounds)                                                                                         \
    X(locals)                                                                                                \
    X(shared_atomics)                                                                                        \
    X(memory)                                                                                                \
    X(halves)                                                                                                \
    X(blocks)                                                                                                \
    X(atomics)                                                                                               \
    X(global_bounds)                                                                                         \
    X(input)                                                                                                 \
    X(vectors)                                                                                               \
    X(pipeline)                                                                                              \
    X(copy)

#define X(name) extern const struct entry checker_##name##__checked, checker_##name##__fast;
KERNELS
#undef X
extern const struct entry checker_program__checked;

enum kernel_index {
#define X(name) KERNEL_##name,
    KERNELS
#undef X
        KERNEL_COUNT
};

static const struct kernel_case {
    const struct entry *checked, *fast;
    unsigned blocks, threads;
    size_t count;
} kernels[KERNEL_COUNT] = {
#define X(name) [KERNEL_##name] = {&checker_##name##__checked, &checker_##name##__fast, 4, 256, ELEMENTS},
    KERNELS
#undef X
};

/* Those with a shape of their own. */
static struct kernel_case shaped(enum kernel_index i)
{
    struct kernel_case k = kernels[i];
    if (i == KERNEL_chain)
        k.blocks = 1, k.threads = 32;
    if (i == KERNEL_pipeline || i == KERNEL_copy)
        k.threads = 64, k.blocks = 1;
    if (i == KERNEL_copy)
        k.count = 255;
    if (i == KERNEL_global_bounds)
        k.count = 1023;
    return k;
}

static bool launch(enum kernel_index i, bool checked, int wrong, uint64_t seed, enum simt_async async,
                   struct operands *o, struct simt_result *r)
{
    struct kernel_case k = shaped(i);
    operands_init(o, k.count);
    o->args.blocks = k.blocks;
    o->args.threads = k.threads;
    o->args.shared = i == KERNEL_shared_bounds ? 64 : 0;
    o->args.wrong = wrong;
    struct simt_options options = {.checked = checked, .seed = seed, .async = async, .workers = seed ? 2 : 1};
    return simt_launch(checked ? k.checked : k.fast, &o->args, sizeof o->args, o->buffers, BUFFERS, &options,
                       r);
}

static bool copies(enum kernel_index i)
{
    return i == KERNEL_pipeline || i == KERNEL_copy;
}

TEST(simt_checker, right_kernels_give_no_report)
{
    for (int i = 0; i < KERNEL_COUNT; i++) {
        for (uint64_t seed = 0; seed < 4; seed++) {
            for (int async = 0; async < (copies((enum kernel_index)i) ? SIMT_ASYNC_COUNT : 1); async++) {
                struct operands o, fast;
                struct simt_result r;
                test_note("%s, seed %u, async %d", kernels[i].checked->name, (unsigned)seed, async);
                bool ok = launch((enum kernel_index)i, true, 0, seed, (enum simt_async)async, &o, &r);
                EXPECT_TRUE(ok);
                EXPECT_STREQ("", r.text);
                ok = launch((enum kernel_index)i, false, 0, seed, (enum simt_async)async, &fast, &r);
                EXPECT_TRUE(ok);
                EXPECT_STREQ("", r.text);
                for (int b = 0; b < BUFFERS; b++)
                    EXPECT_TRUE(memcmp(o.buffers[b].data, fast.buffers[b].data, o.buffers[b].size) == 0);
                operands_release(&o);
                operands_release(&fast);
            }
        }
    }
    test_note(NULL);
}

/* ---- wrong ones ---- */

#define FAULT(name) (1u << SIMT_##name)

static const struct wrong_case {
    enum kernel_index kernel;
    int wrong;
    unsigned faults;   /* any of them, by the schedule */
    const char *lines; /* comments of the source, separated by |: one of them is named first */
    const char *other; /* this one too; NULL: no other line */
    const char *words; /* of the sentence, under seed 0; NULL: not looked at */
} wrongs[] = {
    {KERNEL_barrier, 1, FAULT(RACE) | FAULT(UNINITIALISED), "barrier: first write|barrier: read", NULL, NULL},
    {KERNEL_barrier, 2, FAULT(RACE), "barrier: second write|barrier: read",
     "barrier: ", "tile (shared, bytes "},
    {KERNEL_barrier, 3, FAULT(RACE), "barrier: second write|barrier: third write",
     "barrier: ", "which was written by thread "},
    {KERNEL_warp, 1, FAULT(RACE) | FAULT(UNINITIALISED), "warp: first write|warp: read", NULL, NULL},
    {KERNEL_warp, 2, FAULT(RACE), "warp: second write|warp: read", "warp: ", "nothing orders the two"},
    {KERNEL_warp, 3, FAULT(RACE), "warp: second write|warp: third write", "warp: ", "(warp 0)"},
    {KERNEL_warp, 4, FAULT(RACE), "warp: first write|warp: read", "warp: ", "of block "},
    {KERNEL_partial, 1, FAULT(RACE), "partial: write of one|partial: read", "partial: ", "thread 7 "},
    {KERNEL_partial, 2, FAULT(RACE), "partial: write of one|partial: read by many",
     "partial: ", "thread 20 "},
    {KERNEL_chain, 1, FAULT(RACE), "chain: read|chain: write", "chain: ", "thread 0 "},
    {KERNEL_readers, 1, FAULT(RACE), "readers: write|readers: read", "readers: ", "thread 1 "},
    {KERNEL_readers, 2, FAULT(RACE), "readers: write|readers: read", "readers: ", NULL},
    {KERNEL_readers, 3, FAULT(RACE), "readers: write|readers: read", "readers: ", "thread 2 "},
    {KERNEL_reduction, 1, FAULT(RACE), "reduction: over the block|reduction: read in the warp",
     "reduction: over the block", "sum (shared"},
    {KERNEL_reduction, 2, FAULT(RACE), "reduction: read in the warp|reduction: write in the warp",
     "reduction: ", NULL},
    {KERNEL_stages, 1, FAULT(RACE), "stages: write|stages: read", "stages: ", "stage (shared"},
    {KERNEL_uninitialised, 1, FAULT(UNINITIALISED), "uninitialised: read", NULL, "thread 255 of block "},
    {KERNEL_uninitialised, 2, FAULT(UNINITIALISED), "uninitialised: read", NULL, "tile (shared, byte 1027)"},
    {KERNEL_uninitialised, 3, FAULT(UNINITIALISED), "uninitialised: read", NULL, "nothing has written"},
    {KERNEL_uninitialised, 4, FAULT(UNINITIALISED), "uninitialised: read", NULL, "of block 1 reads"},
    {KERNEL_shared_bounds, 1, FAULT(OUT_OF_BOUNDS), "bounds: shared read", NULL,
     "reads 4 bytes, 4 bytes (1 element of 4) past the end of shared second, which has 256 bytes"},
    {KERNEL_shared_bounds, 2, FAULT(OUT_OF_BOUNDS), "bounds: shared read", NULL,
     "reads 4 bytes, 4 bytes (1 element of 4) before the start of shared second"},
    {KERNEL_shared_bounds, 3, FAULT(OUT_OF_BOUNDS), "bounds: shared write", NULL,
     "past the end of shared second"},
    {KERNEL_shared_bounds, 4, FAULT(OUT_OF_BOUNDS), "bounds: shared write", NULL,
     "before the start of shared second"},
    {KERNEL_shared_bounds, 5, FAULT(OUT_OF_BOUNDS), "bounds: dynamic read", NULL,
     "past the end of shared dynamic"},
    {KERNEL_shared_bounds, 6, FAULT(OUT_OF_BOUNDS), "bounds: dynamic read", NULL,
     "before the start of shared "},
    {KERNEL_shared_bounds, 7, FAULT(OUT_OF_BOUNDS), "bounds: straddling read", NULL,
     "2 bytes (1 element of 4) past the end of shared first"},
    {KERNEL_shared_bounds, 8, FAULT(OUT_OF_BOUNDS), "bounds: local read", NULL,
     "uses element 4 of an array 'float [4]'"},
    {KERNEL_shared_atomics, 1, FAULT(RACE) | FAULT(UNINITIALISED), "shared atomics: add|shared atomics: zero",
     NULL, NULL},
    {KERNEL_shared_atomics, 2, FAULT(RACE), "shared atomics: add|shared atomics: read",
     "shared atomics: ", "counter (shared"},
    {KERNEL_shared_atomics, 3, FAULT(RACE), "shared atomics: plain", "shared atomics: plain", NULL},
    {KERNEL_memory, 1, FAULT(RACE) | FAULT(UNINITIALISED), "memory: set|memory: copy from", NULL, NULL},
    {KERNEL_memory, 2, FAULT(RACE), "memory: copy from|memory: copy to", "memory: ", "rows (shared"},
    {KERNEL_memory, 3, FAULT(OUT_OF_BOUNDS), "memory: struct", NULL, "of shared rows"},
    {KERNEL_halves, 1, FAULT(RACE), "halves: write", NULL, "half["},
    {KERNEL_halves, 2, FAULT(RACE), "halves: write", NULL, "of the same block"},
    {KERNEL_blocks, 1, FAULT(RACE), "blocks: write|blocks: read", NULL, "out["},
    {KERNEL_blocks, 2, FAULT(RACE), "blocks: write|blocks: read", NULL, "of block "},
    {KERNEL_blocks, 3, FAULT(RACE), "blocks: last write|blocks: shared read", NULL,
     "read by threads of several blocks"},
    {KERNEL_atomics, 1, FAULT(RACE), "atomics: plain|atomics: add", NULL, "sums[5] (bytes 20 to 23)"},
    {KERNEL_atomics, 2, FAULT(RACE), "atomics: read|atomics: add", NULL, "sums[9] (bytes 36 to 39)"},
    {KERNEL_global_bounds, 1, FAULT(OUT_OF_BOUNDS), "bounds: read", NULL,
     "past the end of in, which has 4092 bytes"},
    {KERNEL_global_bounds, 2, FAULT(OUT_OF_BOUNDS), "bounds: read", NULL,
     "thread 0 of block 0 reads 4 bytes, 4 bytes (1 element of 4) before the start of in"},
    {KERNEL_global_bounds, 3, FAULT(OUT_OF_BOUNDS), "bounds: write", NULL, "past the end of out"},
    {KERNEL_global_bounds, 4, FAULT(OUT_OF_BOUNDS), "bounds: write", NULL, "before the start of out"},
    {KERNEL_global_bounds, 5, FAULT(OUT_OF_BOUNDS), "bounds: two", NULL,
     "reads 8 bytes, 4 bytes (1 element of 4) past the end of in"},
    {KERNEL_global_bounds, 6, FAULT(OUT_OF_BOUNDS), "bounds: far", NULL,
     "no array of shared memory and no buffer"},
    {KERNEL_global_bounds, 7, FAULT(OUT_OF_BOUNDS), "bounds: byte", NULL, "past the end of bytes"},
    {KERNEL_input, 1, FAULT(INPUT_WRITTEN), "input: write", NULL,
     "writes in[70] (bytes 280 to 283), an input"},
    {KERNEL_input, 2, FAULT(INPUT_WRITTEN), "input: atomic", NULL, "atomically updates in[70]"},
    {KERNEL_vectors, 1, FAULT(MISALIGNED), "vectors: copy", NULL, "not a multiple of 16"},
    {KERNEL_vectors, 2, FAULT(MISALIGNED), "vectors: copy", NULL, "not a multiple of 16"},
    {KERNEL_vectors, 3, FAULT(MISALIGNED), "vectors: word", NULL, "not a multiple of 4"},
    {KERNEL_pipeline, 1, FAULT(ASYNC_HAZARD), "pipeline: read|pipeline: copy",
     "pipeline: ", "cp.async of thread "},
    {KERNEL_pipeline, 2, FAULT(ASYNC_HAZARD), "pipeline: read|pipeline: copy", "pipeline: ", "is under way"},
    {KERNEL_pipeline, 3, FAULT(RACE) | FAULT(ASYNC_HAZARD), "pipeline: read|pipeline: copy",
     "pipeline: ", NULL},
    {KERNEL_pipeline, 4, FAULT(RACE) | FAULT(ASYNC_HAZARD), "pipeline: read|pipeline: copy",
     "pipeline: ", NULL},
    {KERNEL_pipeline, 5, FAULT(RACE) | FAULT(ASYNC_HAZARD) | FAULT(UNINITIALISED),
     "pipeline: read|pipeline: copy", NULL, NULL},
    {KERNEL_pipeline, 6, FAULT(OUT_OF_BOUNDS), "pipeline: copy", NULL, "past the end of in"},
    {KERNEL_copy, 1, FAULT(ASYNC_HAZARD), "copy: write", "copy: first", "thread 0 of block 0 writes tile"},
    {KERNEL_copy, 2, FAULT(ASYNC_HAZARD), "copy: again", "copy: first", "while a cp.async of thread "},
    {KERNEL_copy, 3, FAULT(RACE) | FAULT(ASYNC_HAZARD), "copy: read", "copy: first",
     "nothing orders the two"},
};

/* The first line of a kernel's source with the comment, from `from` on; 0: there is none. */
static int line_with(const char *path, const char *comment, size_t length)
{
    char line[512], want[128];
    snprintf(want, sizeof want, "/* %.*s", (int)length, comment);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    int n = 0, found = 0;
    while (!found && fgets(line, sizeof line, f)) {
        n++;
        const char *at = strstr(line, want);
        if (at && strstr(at, " */") == at + strlen(want))
            found = n;
    }
    fclose(f);
    return found;
}

/* Whether the text names, after `where`, a line with one of the comments. */
static bool names_line(const char *text, const char *where, const char *file, const char *comments)
{
    char relative[64], want[160], path[1024];
    snprintf(relative, sizeof relative, "simt/%s", file);
    snprintf(path, sizeof path, "%s", test_path(relative));
    for (const char *c = comments; c; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL) {
        snprintf(want, sizeof want, "%s%stests/simt/%s:%d:", where, *where ? " " : "", file,
                 line_with(path, c, strcspn(c, "|")));
        if (strstr(text, want))
            return true;
        want[strlen(want) - 1] = ' ';
        if (strstr(text, want))
            return true;
    }
    return false;
}

static const char *source_of(enum kernel_index i)
{
    return copies(i) ? "checker_async.cu" : i < KERNEL_halves ? "checker_shared.cu" : "checker_global.cu";
}

static size_t count_of(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, part)); p++)
        n++;
    return n;
}

static void expect_report(const struct wrong_case *c, uint64_t seed, int async)
{
    struct operands o;
    struct simt_result r;
    bool ok = launch(c->kernel, true, c->wrong, seed, (enum simt_async)async, &o, &r);
    test_note("%s, wrong %d, seed %u, async %d: %s", kernels[c->kernel].checked->name, c->wrong,
              (unsigned)seed, async, r.text);
    EXPECT_FALSE(ok);
    EXPECT_TRUE(c->faults >> r.fault & 1);
    EXPECT_CONTAINS(r.text, kernels[c->kernel].checked->name);
    EXPECT_CONTAINS(r.text, " of block ");
    const char *source = source_of(c->kernel);
    EXPECT_TRUE(names_line(r.text, "at", source, c->lines));
    if (c->other)
        EXPECT_TRUE(count_of(r.text, " and tests/simt/") >= 1);
    if (c->words && seed == 0)
        EXPECT_CONTAINS(r.text, c->words);
    EXPECT_TRUE(r.faults <= 6);
    EXPECT_EQ(r.faults, count_of(r.text, "\n"));
    operands_release(&o);
}

TEST(simt_checker, wrong_kernels_are_reported)
{
    for (size_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++)
        for (uint64_t seed = 0; seed < 3; seed++)
            for (int async = 0; async < (copies(wrongs[i].kernel) ? SIMT_ASYNC_COUNT : 1); async++)
                expect_report(&wrongs[i], seed, async);
    test_note(NULL);
}

/* ---- random programs ---- */

enum { THREADS = 96, ROUNDS = 10, LENGTH = 4 * ROUNDS + 4, ACCESSES_MAX = THREADS * ROUNDS * 3 };

struct recorded {
    unsigned thread, round;
    struct program_step step;
};

/* All accesses so far; what each thread knows of each other in each round: up to which round its accesses
 * precede. Round 0 is the initialisation, which everything comes after. */
static struct oracle {
    struct recorded accesses[ACCESSES_MAX];
    size_t count;
    uint8_t known[ROUNDS + 1][THREADS][THREADS];
} oracle;

static uint64_t state;

static unsigned chance(unsigned n)
{
    state += 0x9e3779b97f4a7c15u;
    return (unsigned)(random_mix(state) >> 32) % n;
}

static bool conflict(const struct program_step *x, const struct program_step *y)
{
    if (x->global != y->global || x->offset + x->size <= y->offset || y->offset + y->size <= x->offset)
        return false;
    return x->operation == PROGRAM_ATOMIC   ? y->operation != PROGRAM_ATOMIC
           : y->operation == PROGRAM_ATOMIC ? true
                                            : x->operation == PROGRAM_WRITE || y->operation == PROGRAM_WRITE;
}

static bool precedes(const struct recorded *x, const struct recorded *y)
{
    return x->thread == y->thread || oracle.known[y->round][y->thread][x->thread] >= x->round;
}

/* With how many of the accesses so far. */
static size_t races(const struct recorded *r)
{
    size_t count = 0;
    for (size_t i = 0; i < oracle.count; i++) {
        const struct recorded *x = &oracle.accesses[i];
        count += conflict(&x->step, &r->step) && !precedes(x, r) && !precedes(r, x);
    }
    return count;
}

/* What a program's accesses are like: few bytes and few lanes make for intricate ones. */
struct taste {
    unsigned atomics, density, barriers, span, lanes;
};

static struct program_step random_access(const struct taste *t)
{
    static const uint8_t sizes[] = {1, 1, 2, 4, 4, 16};
    struct program_step s = {.operation = PROGRAM_READ, .global = chance(4) == 0, .value = chance(1000)};
    unsigned kind = chance(8);
    s.size = sizes[chance(t->span < 16 ? 5 : 6)];
    if (kind < 3) {
        s.operation = PROGRAM_WRITE;
    } else if (kind < 3 + t->atomics) {
        s.operation = PROGRAM_ATOMIC;
        s.size = 4;
    }
    s.offset = (uint8_t)(chance(t->span / s.size) * s.size);
    return s;
}

/* The synchronisation at the end of a round, for all threads; then what they know in the next one. */
static void random_sync(struct program_step (*steps)[LENGTH], unsigned *used, unsigned round,
                        const struct taste *t)
{
    uint8_t(*now)[THREADS] = oracle.known[round], (*next)[THREADS] = oracle.known[round + 1];
    memcpy(next, now, sizeof oracle.known[0]);
    if (chance(t->barriers) == 0) {
        for (unsigned i = 0; i < THREADS; i++) {
            steps[i][used[i]++] = (struct program_step){.operation = PROGRAM_BARRIER};
            memset(next[i], (int)round, THREADS);
        }
        return;
    }
    for (unsigned warp = 0; warp < THREADS / 32; warp++) {
        uint32_t left = UINT32_MAX;
        for (unsigned tries = chance(4); left && tries; tries--) {
            uint32_t mask = left;
            if (chance(4))
                mask &= (uint32_t)1 << chance(t->lanes) | (uint32_t)1 << chance(t->lanes) |
                        (chance(2) ? chance(UINT32_MAX) : 0);
            left &= ~mask;
            uint8_t joined[THREADS] = {0};
            for (unsigned lane = 0; lane < 32; lane++)
                for (unsigned i = 0; mask >> lane & 1 && i < THREADS; i++)
                    if (now[warp * 32 + lane][i] > joined[i])
                        joined[i] = now[warp * 32 + lane][i];
            for (unsigned lane = 0; lane < 32; lane++)
                if (mask >> lane & 1)
                    joined[warp * 32 + lane] = (uint8_t)round;
            for (unsigned lane = 0; lane < 32; lane++) {
                unsigned i = warp * 32 + lane;
                if (!(mask >> lane & 1))
                    continue;
                memcpy(next[i], joined, THREADS);
                steps[i][used[i]++] = (struct program_step){.operation = PROGRAM_SYNCWARP, .value = mask};
            }
        }
    }
}

/* One block's program, which is right as far as the oracle can tell. With `spoil`, one access too many is put
 * in; false if no place for it was found. Few accesses are right by luck: they are made up until some are. */
static bool random_program(struct program_step (*steps)[LENGTH], bool spoil)
{
    static const uint8_t spans[] = {4, 8, 16, PROGRAM_BYTES}, lanes[] = {3, 4, 8, 32};
    const struct taste t = {chance(3), 1 + chance(6), 2 + chance(10), spans[chance(4)], lanes[chance(4)]};
    unsigned used[THREADS] = {0};
    unsigned spoiled_round = 1 + chance(ROUNDS - 1);
    memset(steps, 0, THREADS * sizeof steps[0]);
    memset(&oracle, 0, sizeof oracle);
    for (unsigned i = 0; i < THREADS; i++) {
        if (i < PROGRAM_BYTES)
            steps[i][used[i]++] =
                (struct program_step){.operation = PROGRAM_WRITE, .offset = (uint8_t)i, .size = 1};
        steps[i][used[i]++] = (struct program_step){.operation = PROGRAM_BARRIER};
    }
    bool spoiled = !spoil;
    for (unsigned round = 1; round < ROUNDS; round++) {
        for (unsigned n = 0; n < THREADS * t.density; n++) {
            struct recorded r = {chance(THREADS / 32) * 32 + chance(t.lanes), round, random_access(&t)};
            if (used[r.thread] + 3u * (ROUNDS - round) >= LENGTH || oracle.count == ACCESSES_MAX)
                continue;
            /* Just one: where many show it, a checker that forgets some of them passes. */
            size_t count = races(&r);
            if (count && (spoiled || round < spoiled_round || count > 1))
                continue;
            if (count && r.step.operation == PROGRAM_READ && chance(4))
                continue; /* a write is held against more of what is remembered */
            spoiled |= count == 1;
            oracle.accesses[oracle.count++] = r;
            steps[r.thread][used[r.thread]++] = r.step;
        }
        random_sync(steps, used, round, &t);
    }
    return spoiled;
}

static bool run_programs(struct program_step *steps, unsigned blocks, uint64_t seed, struct simt_result *r)
{
    size_t step_bytes = sizeof *steps * blocks * THREADS * LENGTH;
    uint8_t *memory = shared_memory((size_t)blocks * PROGRAM_BYTES);
    struct simt_buffer buffers[] = {{"steps", steps, step_bytes, false, 1},
                                    {"memory", memory, (size_t)blocks * PROGRAM_BYTES, true, 1}};
    struct program_args args = {steps, memory, blocks, THREADS, LENGTH};
    struct simt_options options = {.checked = true, .seed = seed, .workers = 2};
    bool ok = simt_launch(&checker_program__checked, &args, sizeof args, buffers, 2, &options, r);
    munmap(memory, (size_t)blocks * PROGRAM_BYTES);
    return ok;
}

enum { RIGHT_PROGRAMS = 384, RIGHT_SEEDS = 6, WRONG_PROGRAMS = 300 };

TEST(simt_checker, random_right_programs_give_no_report)
{
    state = 1;
    struct program_step *steps = malloc(sizeof *steps * RIGHT_PROGRAMS * THREADS * LENGTH);
    ASSERT_TRUE(steps);
    size_t accesses = 0;
    for (size_t i = 0; i < RIGHT_PROGRAMS; i++) {
        random_program((struct program_step(*)[LENGTH])(steps + i * THREADS * LENGTH), false);
        accesses += oracle.count;
    }
    EXPECT_TRUE(accesses > 100 * (size_t)RIGHT_PROGRAMS);
    for (uint64_t seed = 0; seed < RIGHT_SEEDS; seed++) {
        struct simt_result r;
        test_note("seed %u", (unsigned)seed);
        EXPECT_TRUE(run_programs(steps, RIGHT_PROGRAMS, seed, &r));
        EXPECT_STREQ("", r.text);
    }
    test_note(NULL);
    free(steps);
}

/* One access makes the program wrong; it is seen whichever of the two comes first. */
TEST(simt_checker, random_wrong_programs_are_reported)
{
    state = 2;
    static struct program_step steps[THREADS][LENGTH];
    for (unsigned i = 0; i < WRONG_PROGRAMS;) {
        if (!random_program(steps, true))
            continue;
        i++;
        struct simt_result r;
        uint64_t seed = i % 4;
        test_note("program %u, seed %u", i, (unsigned)seed);
        EXPECT_FALSE(run_programs(&steps[0][0], 1, seed, &r));
        EXPECT_EQ(SIMT_RACE, r.fault);
    }
    test_note(NULL);
}

#endif
