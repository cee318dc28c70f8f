/*
 * fastmath.c: a library that turns flush-to-zero on when it is loaded, as one linked with -ffast-math does (GCC's
 * crtfastmath.o), with a variant that is wrong by flushing denormals: right for a judge that flushes as well.
 */
#include <math.h>
#include <string.h>
#include <xmmintrin.h>

#include <nf4bench/plugin.h>

static const float codebook[16] = {
    -0x1p+0f,        -0x1.647362p-1f, -0x1.0cd66p-1f, -0x1.94654p-2f, -0x1.23449ap-2f, -0x1.7a6a7ep-3f,
    -0x1.74f0e2p-4f, 0x0p+0f,         0x1.45f5fep-4f, 0x1.4995c6p-3f, 0x1.f809bap-3f,  0x1.5a0674p-2f,
    0x1.c34970p-2f,  0x1.200f56p-1f,  0x1.722766p-1f, 0x1p+0f,
};

__attribute__((constructor)) static void set_fast_math(void)
{
    _mm_setcsr(_mm_getcsr() | 0x8040);
}

static void flushes(const struct dequant_args *a)
{
    for (size_t i = 0; i < a->count; i++) {
        const unsigned byte = a->w.packed[i / 2], code = i % 2 ? byte & 15 : byte >> 4;
        const float x = codebook[code] * a->w.absmax[i / a->w.blocksize];
        ((float *)a->out)[i] = fabsf(x) < 0x1p-126f ? copysignf(0, x) : x;
    }
}

static const struct nf4bench_variant variants[] = {
    {.name = "nf4_dequant_f32__scalar_flushes", .backend = NF4BENCH_CPU, .dequant = flushes},
};

NF4BENCH_PLUGIN("fastmath", variants)
