/*
 * side.c: a small library of kernels for the tests of `nf4bench gate`. Compiled once for each kind of side,
 * with -DSLOWER=SHARE or one of -DWRONG, -DLACKS, -DCRASHES, -DCRASHES_LATE, -DHANGS, -DPRINTS; with none of
 * them it is right. What it is wrong in, its second variant is. -DTHIRD adds one that no test's shape fits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "kernels/plugin.h"

static const float codebook[16] = {
    -0x1p+0f,        -0x1.647362p-1f, -0x1.0cd66p-1f, -0x1.94654p-2f, -0x1.23449ap-2f, -0x1.7a6a7ep-3f,
    -0x1.74f0e2p-4f, 0x0p+0f,         0x1.45f5fep-4f, 0x1.4995c6p-3f, 0x1.f809bap-3f,  0x1.5a0674p-2f,
    0x1.c34970p-2f,  0x1.200f56p-1f,  0x1.722766p-1f, 0x1p+0f,
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void one(const struct dequant_args *a)
{
    float *out = a->out;
    for (size_t i = 0; i < a->count; i++) {
        const unsigned byte = a->w.packed[i / 2];
        out[i] = codebook[i % 2 ? byte & 15 : byte >> 4] * a->w.absmax[i / a->w.blocksize];
    }
}

static void two(const struct dequant_args *a)
{
    const double start = now();
    one(a);
#ifdef SLOWER
    for (const double end = now(), late = end + SLOWER * (end - start); now() < late;)
        ;
#endif
#ifdef WRONG
    ((float *)a->out)[a->count / 2] += 1;
#endif
#ifdef CRASHES
    abort();
#endif
#ifdef CRASHES_LATE /* verification calls it often, with few weights, and a timed call has many */
    if (a->count >= 1 << 18) {
        static int calls;
        if (++calls > 12)
            abort();
    }
#endif
#ifdef HANGS
    for (;;)
        pause();
#endif
#ifdef PRINTS
    printf("{\"row\": 0}\n");
    fflush(stdout);
#endif
    (void)start;
}

#ifdef THIRD
static void three(const struct dequant_args *a)
{
    (void)a;
    abort(); /* it must not be called */
}
#endif

static const struct nf4bench_variant variants[] = {
    {.name = "nf4_dequant_f32__scalar_one", .backend = NF4BENCH_CPU, .dequant = one},
#ifndef LACKS
    {.name = "nf4_dequant_f32__scalar_two", .backend = NF4BENCH_CPU, .dequant = two},
#endif
#ifdef THIRD
    {.name = "nf4_dequant_f32__scalar_three", .backend = NF4BENCH_CPU, .k_multiple = 7, .dequant = three},
#endif
};
NF4BENCH_PLUGIN("side", variants)
