#include "harness/base/call_state.h"

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

void call_state_set_here(void)
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

void call_state_set_here(void)
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

void call_state_set_here(void)
{
    fesetround(FE_TONEAREST);
}

static const char *word(uint64_t state)
{
    (void)state;
    return "rounding is not to nearest";
}
#endif

const char *call_state_restore_here(void)
{
    const uint64_t state = state_here();
    if (state == standard)
        return NULL;
    call_state_set_here();
    return word(state);
}

static struct call_state openmp_here(void)
{
    return (struct call_state){.threads = omp_get_max_threads(),
                               .dynamic = omp_get_dynamic(),
                               .levels = omp_get_max_active_levels()};
}

struct call_state call_state_set(int team)
{
    const int processors = omp_get_num_procs();
    struct call_state s = openmp_here();
    s.team = team > 0 ? team : s.threads > processors ? s.threads : processors;
#pragma omp parallel num_threads(s.team)
    call_state_set_here();
    return s;
}

/* Of the threads of a team: how many have another state, which is put back. *found: what one of these is. */
static int restore_team(int team, const char **found, int *threads)
{
    int changed = 0;
    *threads = 1;
#pragma omp parallel num_threads(team)
    {
#pragma omp single
        *threads = omp_get_num_threads();
        const char *state = call_state_restore_here();
        if (state) {
#pragma omp critical
            {
                *found = state;
                changed++;
            }
        }
    }
    return changed;
}

bool call_state_changed(const struct call_state *s, char *what, size_t size)
{
    const struct call_state now = openmp_here();
    const bool settings = now.threads != s->threads || now.levels != s->levels || now.dynamic != s->dynamic;
    omp_set_num_threads(s->threads);
    omp_set_max_active_levels(s->levels);
    omp_set_dynamic(s->dynamic);
    const char *found = "";
    int threads;
    const int changed = restore_team(s->team, &found, &threads);
    if (changed)
        snprintf(what, size, "%s in %d of %d threads", found, changed, threads);
    else if (settings)
        snprintf(what, size, "OpenMP has %d threads for %d, %d nested levels for %d", now.threads, s->threads,
                 now.levels, s->levels);
    return changed || settings;
}

void *call_state_load(const char *path, const char **changed)
{
    call_state_set_here();
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    *changed = call_state_restore_here();
    return library;
}

bool call_state_tells = true;

void call_state_tell(const char *library, const char *changed)
{
    if (changed && call_state_tells)
        fprintf(stderr,
                "nf4bench: loading %s changed how floating point is computed (%s): was it linked with "
                "-ffast-math? The "
                "state was put back\n",
                library, changed);
}
