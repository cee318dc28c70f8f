/*
 * hostile.c: variants that attack the process that calls them, and through it the one that judges. What is wrong must not pass,
 * and what comes after must not pay for it. They know of the program's insides what a reader of its sources knows.
 */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "harness/device/channel.h"
#include "kernels/device/entry.h"
#include "kernels/plugin.h"

enum { SOCKET = 3, CHANNEL = 4, ARENA = 5 }; /* harness/device/serve.h */

static const float codebook[16] = {
    -0x1p+0f,        -0x1.647362p-1f, -0x1.0cd66p-1f, -0x1.94654p-2f, -0x1.23449ap-2f, -0x1.7a6a7ep-3f,
    -0x1.74f0e2p-4f, 0x0p+0f,         0x1.45f5fep-4f, 0x1.4995c6p-3f, 0x1.f809bap-3f,  0x1.5a0674p-2f,
    0x1.c3497p-2f,   0x1.200f56p-1f,  0x1.722766p-1f, 0x1p+0f,
};

static void right(const struct dequant_args *a)
{
    for (size_t i = 0; i < a->count; i++) {
        const unsigned byte = a->w.packed[i / 2];
        const float w = codebook[i % 2 ? byte & 15 : byte >> 4] * a->w.absmax[i / a->w.blocksize];
        uint32_t bits;
        memcpy(&bits, &w, sizeof bits);
        ((uint16_t *)a->out)[i] =
            isnan(w) ? (uint16_t)(bits >> 16 | 0x40) : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
}

static void wrong(const struct dequant_args *a)
{
    memset(a->out, 0, 2 * a->count);
}

static struct channel *channel(void)
{
    void *p = mmap(NULL, sizeof(struct channel), PROT_READ | PROT_WRITE, MAP_SHARED, CHANNEL, 0);
    return p == MAP_FAILED ? abort(), NULL : p;
}

static int asked_for(enum request what)
{
    struct channel *c = channel();
    const int is = c->request == what;
    munmap(c, sizeof *c);
    return is;
}

/* Calls that are verified, and not timed. */
static int verified(void)
{
    return asked_for(REQUEST_launch);
}

/* ---- right, but for what they leave behind ---- */

/* Whoever reads what was cut off gets SIGBUS. */
static void truncates(const struct dequant_args *a)
{
    right(a);
    (void)!ftruncate(CHANNEL, 0);
    (void)!ftruncate(ARENA, 0);
    (void)!fallocate(ARENA, FALLOC_FL_KEEP_SIZE, 0, 4096);
}

/* It goes off when the process has computed some more. */
static void alarm_clock(const struct dequant_args *a)
{
    const struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    right(a);
    if (verified())
        setitimer(ITIMER_VIRTUAL, &soon, NULL);
}

/* An answer before its own: the next question would have it. */
static void answers_twice(const struct dequant_args *a)
{
    right(a);
    if (verified())
        (void)!write(SOCKET, "x", 1);
}

/* A process in a session of its own, of which the process that calls is not the parent. */
static void leaves_a_process(const struct dequant_args *a)
{
    const char *path = getenv("NF4BENCH_TEST_LEFT");
    right(a);
    if (!path || fork() != 0)
        return;
    setsid();
    if (fork() != 0)
        _exit(0);
    const int fd = open(path, O_CREAT | O_APPEND | O_WRONLY, 0600);
    dprintf(fd, "%d\n", (int)getpid());
    pause();
}

/* When it is timed for the first time, it waits for somebody who kills it. */
static void waits_when_timed(const struct dequant_args *a)
{
    const char *path = getenv("NF4BENCH_TEST_WAIT");
    right(a);
    if (path && !verified() && open(path, O_CREAT | O_EXCL | O_WRONLY, 0600) >= 0)
        pause();
}

/* ---- wrong ---- */

/* "The machine is too small for it": what would be skipped. */
static void skips(const struct dequant_args *a)
{
    struct channel *c = channel();
    wrong(a);
    c->status = STATUS_LIMIT;
    c->by_variant = true;
    strcpy(c->word, "limit");
    strcpy(c->text, "it needs 230 KiB of shared memory a block, this device has 99");
    (void)!write(SOCKET, "x", 1);
    pause();
}

/* "A person wants the run to end." */
static void interrupts(const struct dequant_args *a)
{
    struct channel *c = channel();
    wrong(a);
    c->status = STATUS_INTERRUPTED;
    c->by_variant = true;
    (void)!write(SOCKET, "x", 1);
    pause();
}

/* Another right answer next time: the inputs are changed for whoever is timed after it. */
static void timed_scribbles(const struct dequant_args *a)
{
    right(a);
    if (!verified())
        *(volatile uint8_t *)a->w.packed ^= 0x11;
}

/* Of an output, in memory that processes share, as the executor calls kernels in one of its own. */
static struct seen {
    const void *out;
    uint8_t head[64];
} * seen;

__attribute__((constructor)) static void make_seen(void)
{
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/* Looks whether its output is still there; between the calls of a hot sample it would be. */
static void skips_what_is_there(const struct dequant_args *a)
{
    const size_t size = 2 * a->count < sizeof seen->head ? 2 * a->count : sizeof seen->head;
    if (a->out == seen->out && memcmp(a->out, seen->head, size) == 0)
        return;
    right(a);
    seen->out = a->out;
    memcpy(seen->head, a->out, size);
}

/* Computes at the first call after its output was poisoned, and at what was the last one before. */
static void skips_as_before(const struct dequant_args *a)
{
    static uint8_t tail[64];
    static size_t calls, before;
    const size_t size = 2 * a->count < sizeof tail ? 2 * a->count : sizeof tail;
    const uint8_t *end = (const uint8_t *)a->out + 2 * a->count - size;
    if (memcmp(end, tail, size) != 0) {
        before = calls;
        calls = 0;
    }
    if (++calls > 1 && calls != before)
        return;
    right(a);
    memcpy(tail, end, size);
}

/* ---- products that keep what they computed ---- */

static void multiply(const struct gemm_args *a)
{
    for (size_t i = 0; i < a->m * a->n; i++) {
        const size_t row = i / a->n, col = i % a->n;
        float sum = 0;
        for (size_t k = 0; k < a->k; k++) {
            const size_t at = col * a->k + k;
            const unsigned byte = a->w.packed[at / 2];
            const float w = codebook[at % 2 ? byte & 15 : byte >> 4] * a->w.absmax[at / a->w.blocksize];
            sum = fmaf(((const float *)a->x)[row * a->k + k], w, sum);
        }
        ((float *)a->y)[i] = sum;
    }
}

/* Outputs by key; a set of operands has an address of its own. */
static void keep_by(const struct gemm_args *a, uint64_t key)
{
    static struct kept {
        uint64_t key;
        float y[256];
    } kept[8192];
    struct kept *k = &kept[(key ^ key >> 13 ^ key >> 27) % (sizeof kept / sizeof *kept)];
    if (verified() || a->m * a->n > sizeof k->y / sizeof *k->y) {
        multiply(a);
        return;
    }
    if (k->key == key) {
        memcpy(a->y, k->y, a->m * a->n * sizeof *k->y);
        return;
    }
    multiply(a);
    k->key = key;
    memcpy(k->y, a->y, a->m * a->n * sizeof *k->y);
}

static uint64_t hash_of(const void *words, size_t count, uint32_t mask)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < count; i++)
        h = (h ^ (((const uint32_t *)words)[i] & mask)) * 1099511628211u;
    return h | 1;
}

static void keeps(const struct gemm_args *a)
{
    keep_by(a, (uint64_t)(uintptr_t)a->x);
}

/* It looks at the beginning of each row. */
static void keeps_by_first(const struct gemm_args *a)
{
    uint64_t key = 1;
    for (size_t row = 0; row < a->m; row++)
        key = key * 31 + hash_of((const float *)a->x + row * a->k, a->k < 16 ? a->k : 16, ~0u);
    keep_by(a, key | 1);
}

/* Signs are nothing to it. */
static void keeps_by_magnitudes(const struct gemm_args *a)
{
    keep_by(a, hash_of(a->x, a->m * a->k, 0x7fffffff));
}

/* Those that are timed after it would find them, or not find what they must multiply. */
static void multiplies_and_scribbles(const struct gemm_args *a)
{
    multiply(a);
    if (asked_for(REQUEST_sample))
        *(volatile float *)a->x += 1;
}

/* ---- wrong on a GPU, right where the host computes ---- */

static void nothing(const void *args)
{
    (void)args;
}

static struct launch on_the_host(const void *args)
{
    right(args);
    return launch_1d(1, 32);
}

static const struct entry host_entry = {
    .name = "nf4_dequant_bf16__sm80_host", .threads_max = 32, .run = nothing, .launch = on_the_host};

/* Returns where its output is as it left it, which it sees by its beginning. The tests' driver runs it, as one thread. */
static void skips_as_one_thread(const void *args)
{
    skips_what_is_there(args);
}

static struct launch one_thread(const void *args)
{
    (void)args;
    return launch_1d(1, 1);
}

static const struct entry skipping_entry = {.name = "nf4_dequant_bf16__sm80_skips",
                                            .threads_max = 1,
                                            .run = skips_as_one_thread,
                                            .launch = one_thread};
static char skipping_image[64];

__attribute__((constructor)) static void make_image(void)
{
    snprintf(skipping_image, sizeof skipping_image, "fake entry %p", (const void *)&skipping_entry);
}

/* ---- a library that ends the process, from the second time on that it is loaded ---- */

__attribute__((constructor)) static void second_load(void)
{
    const char *path = getenv("NF4BENCH_TEST_LOADED");
    if (path && open(path, O_CREAT | O_EXCL | O_WRONLY, 0600) < 0)
        _exit(0);
}

#define HOSTILE(name_)                                                                                       \
    {                                                                                                        \
        .name = "nf4_dequant_bf16__scalar_" #name_, .backend = NF4BENCH_CPU, .dequant = name_                \
    }
#define HOSTILE_PRODUCT(name_)                                                                               \
    {.name = "nf4_gemm_f32_acc1__scalar_" #name_, .backend = NF4BENCH_CPU, .gemm = name_},                   \
    {                                                                                                        \
        .name = "nf4_gemm_f32_any__scalar_" #name_, .backend = NF4BENCH_CPU, .gemm = name_                   \
    }
static const struct nf4bench_variant variants[] = {
    HOSTILE(truncates),
    HOSTILE(alarm_clock),
    HOSTILE(answers_twice),
    HOSTILE(leaves_a_process),
    HOSTILE(waits_when_timed),
    HOSTILE(skips),
    HOSTILE(interrupts),
    HOSTILE(timed_scribbles),
    HOSTILE(skips_what_is_there),
    HOSTILE(skips_as_before),
    HOSTILE_PRODUCT(keeps),
    HOSTILE_PRODUCT(keeps_by_first),
    HOSTILE_PRODUCT(keeps_by_magnitudes),
    HOSTILE_PRODUCT(multiplies_and_scribbles),
    {.name = "nf4_dequant_bf16__sm80_host", .backend = NF4BENCH_CUDA, .min_sm = 80, .fast = &host_entry},
    {.name = "nf4_dequant_bf16__sm80_skips",
     .backend = NF4BENCH_CUDA,
     .min_sm = 80,
     .fast = &skipping_entry,
     .image = skipping_image,
     .image_size = sizeof skipping_image},
};
NF4BENCH_PLUGIN("hostile", variants)
