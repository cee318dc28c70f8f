/*
 * faulty.c: variants that are right until they are not: each is nf4_dequant_bf16 and does what its name says.
 *
 * NF4BENCH_TEST_WAIT names a file: variant `waits` makes it, once, and does not return from that call.
 */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nf4bench/plugin.h>

static const float codebook[16] = {
    -0x1p+0f,        -0x1.647362p-1f, -0x1.0cd66p-1f, -0x1.94654p-2f, -0x1.23449ap-2f, -0x1.7a6a7ep-3f,
    -0x1.74f0e2p-4f, 0x0p+0f,         0x1.45f5fep-4f, 0x1.4995c6p-3f, 0x1.f809bap-3f,  0x1.5a0674p-2f,
    0x1.c34970p-2f,  0x1.200f56p-1f,  0x1.722766p-1f, 0x1p+0f,
};

static uint16_t value(const struct dequant_args *a, size_t i)
{
    uint32_t bits;
    unsigned byte = a->w.packed[i / 2], code = i % 2 ? byte & 15 : byte >> 4;
    float x = codebook[code] * a->w.absmax[i / a->w.blocksize];
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)(isnan(x) ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void right(const struct dequant_args *a)
{
    for (size_t i = 0; i < a->count; i++)
        ((uint16_t *)a->out)[i] = value(a, i);
}

/* Whether the output stands there already: it is poisoned before calls that are verified, whole, and not
 * between those that are timed. */
static int timed(const struct dequant_args *a)
{
    size_t middle = a->count / 3;
    return ((uint16_t *)a->out)[middle] == value(a, middle);
}

static void forever(void)
{
    for (;;)
        pause();
}

static void third_call(const struct dequant_args *a)
{
    static int calls;
    if (++calls == 3)
        *(volatile int *)NULL = 1;
    right(a);
}

static void timed_crash(const struct dequant_args *a)
{
    if (timed(a))
        abort();
    right(a);
}

static void hang(const struct dequant_args *a)
{
    (void)a;
    forever();
}

static void timed_hang(const struct dequant_args *a)
{
    if (timed(a))
        forever();
    right(a);
}

static void ends(const struct dequant_args *a)
{
    right(a);
    exit(0);
}

static int deeper(volatile char *above)
{
    volatile char room[4096];
    room[0] = above ? above[0] : 1;
    return deeper(room) + room[0];
}

static void overflow(const struct dequant_args *a)
{
    ((uint16_t *)a->out)[0] = (uint16_t)deeper(NULL);
}

static void lies(const struct dequant_args *a)
{
    right(a);
    ((uint16_t *)a->out)[a->count - 1] ^= 1;
}

/* From its first timed call on: only calls that are timed are made in the process that makes those. */
static void timed_lies(const struct dequant_args *a)
{
    static int lies_now;
    lies_now |= timed(a);
    right(a);
    if (lies_now)
        memset(a->out, 0, 2 * a->count);
}

static void clobbers(const struct dequant_args *a)
{
    right(a);
    ((uint8_t *)a->w.packed)[0] ^= 1;
}

static void past_end(const struct dequant_args *a)
{
    right(a);
    ((uint16_t *)a->out)[a->count] = 0;
}

static void waits(const struct dequant_args *a)
{
    const char *path = getenv("NF4BENCH_TEST_WAIT");
    if (path && open(path, O_CREAT | O_EXCL | O_WRONLY, 0600) >= 0)
        forever();
    right(a);
}

#define FAULTY(name_)                                                                                        \
    {                                                                                                        \
        .name = "nf4_dequant_bf16__scalar_" #name_, .backend = NF4BENCH_CPU, .dequant = name_                \
    }
static const struct nf4bench_variant variants[] = {
    FAULTY(third_call),
    FAULTY(timed_crash),
    FAULTY(hang),
    FAULTY(timed_hang),
    FAULTY(ends),
    FAULTY(overflow),
    FAULTY(lies),
    FAULTY(timed_lies),
    FAULTY(clobbers),
    FAULTY(past_end),
    FAULTY(waits),
    /* Right, with constraints. */
    {.name = "nf4_dequant_bf16__mine_constrained",
     .backend = NF4BENCH_CPU,
     .k_multiple = 64,
     .n_multiple = 2,
     .whole_blocks = 1,
     .cpu_features = "",
     .dequant = right},
};

NF4BENCH_PLUGIN("faulty", variants)
