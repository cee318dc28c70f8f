/* Two launches: the codebook's values, then the scales. One variant, which is right. */
#include "kernels/device/nf4.h"

enum { THREADS = 128 };

static struct launch launch(const struct dequant_args *a)
{
    return launch_cover(a->count, THREADS, THREADS);
}

ENTRY(nf4_dequant_f32__then, dequant, THREADS, launch)
{
    const size_t i = global_thread();
    if (i < a.count)
        ((float *)a.out)[i] = nf4_codebook[nf4_code(a.w.packed, i)];
}
ENTRY_THEN(nf4_dequant_f32__then, dequant, THREADS, launch)
{
    float *out = (float *)a.out;
    const size_t i = global_thread();
    if (i < a.count)
        out[i] = __fmul_rn(out[i], a.w.absmax[i / a.w.blocksize]);
}
