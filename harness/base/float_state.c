#include "harness/base/float_state.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

#include <omp.h>

#if defined __x86_64__ || defined __i386__
#include <xmmintrin.h>

enum {
    MXCSR_STANDARD = 0x1f80, /* all exceptions masked */
    MXCSR_CONTROL = 0xffc0,  /* less the flags of exceptions */
    X87_STANDARD = 0x37f,
};

static uint64_t state_here(void)
{
    uint16_t x87;
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    return (uint64_t)(_mm_getcsr() & MXCSR_CONTROL) << 16 | x87;
}

static const uint64_t standard = (uint64_t)MXCSR_STANDARD << 16 | X87_STANDARD;

void float_state_set_here(void)
{
    const uint16_t x87 = X87_STANDARD;
    _mm_setcsr(MXCSR_STANDARD);
    __asm__ volatile("fldcw %0" : : "m"(x87));
}

static const char *word(uint64_t state)
{
    const unsigned mxcsr = (unsigned)(state >> 16);
    return mxcsr & 0x8000                               ? "flush-to-zero is on"
           : mxcsr & 0x40                               ? "denormals are taken for zero"
           : mxcsr & 0x6000                             ? "rounding is not to nearest"
           : (mxcsr & MXCSR_STANDARD) != MXCSR_STANDARD ? "exceptions of floating point end the process"
                                                        : "the x87 unit has another precision or rounding";
}
#elif defined __aarch64__
static uint64_t state_here(void)
{
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr;
}

static const uint64_t standard = 0;

void float_state_set_here(void)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(standard));
}

static const char *word(uint64_t state)
{
    return state & 1u << 24   ? "flush-to-zero is on"
           : state & 3u << 22 ? "rounding is not to nearest"
                              : "exceptions or NaNs of floating point are handled in another way";
}
#else
#include <fenv.h>

static uint64_t state_here(void)
{
    return (uint64_t)fegetround();
}

static const uint64_t standard = FE_TONEAREST;

void float_state_set_here(void)
{
    fesetround(FE_TONEAREST);
}

static const char *word(uint64_t state)
{
    (void)state;
    return "rounding is not to nearest";
}
#endif

void float_state_set(void)
{
#pragma omp parallel
    float_state_set_here();
}

bool float_state_changed(char *what, size_t size)
{
    uint64_t found = standard;
    int changed = 0, threads = 1;
#pragma omp parallel
    {
#pragma omp single
        threads = omp_get_num_threads();
        const uint64_t state = state_here();
        if (state != standard) {
#pragma omp critical
            {
                found = state;
                changed++;
            }
            float_state_set_here();
        }
    }
    if (changed)
        snprintf(what, size, "%s in %d of %d threads", word(found), changed, threads);
    return changed != 0;
}

const char *float_state_restore_here(void)
{
    const uint64_t state = state_here();
    if (state == standard)
        return NULL;
    float_state_set_here();
    return word(state);
}

void *float_state_load(const char *path, const char **changed)
{
    float_state_set_here();
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    *changed = float_state_restore_here();
    return library;
}

void float_state_tell(const char *library, const char *changed)
{
    if (changed)
        fprintf(stderr,
                "nf4bench: loading %s changed how floating point is computed (%s): was it linked with "
                "-ffast-math? The "
                "state was put back\n",
                library, changed);
}
