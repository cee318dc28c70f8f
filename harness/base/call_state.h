/*
 * call_state.h: what code that is called must leave as it was, because all that runs after it in this process depends on
 * it: how floating point is computed, and OpenMP's settings.
 *
 * Foreign code can change both without a word: a library that was linked with -ffast-math turns flush-to-zero on when it is
 * loaded (crtfastmath.o of GCC), and a kernel may call omp_set_num_threads(). The reference would then be wrong where the
 * library is, and others would be timed with fewer threads. So the state is set before each call, and compared after each
 * call and each load.
 *
 * Of floating point the state is MXCSR and the x87 control word on x86 (Intel SDM, volume 1, 10.2.3 and 8.1.5), FPCR on
 * AArch64 (Arm ARM, C5.2.8), and the rounding of fenv.h elsewhere; without the flags of exceptions that have happened. It is
 * that of a new process: round to nearest even, denormals kept, no exception raised. Of OpenMP it is the number of threads,
 * dynamic adjustment and the number of nested levels.
 *
 * Not looked at: threads that are neither the caller nor in its OpenMP team, such as those of a pool that a library has for
 * itself; signal handlers. Code that means harm has other ways, as long as it runs in this process.
 */
#ifndef NF4BENCH_HARNESS_BASE_CALL_STATE_H
#define NF4BENCH_HARNESS_BASE_CALL_STATE_H

#include <stdbool.h>
#include <stddef.h>

struct call_state {
    int threads, dynamic, levels; /* omp_get_max_threads(), omp_get_dynamic(), omp_get_max_active_levels() */
    int team;                     /* threads whose floating-point state is set and compared */
};

/* Sets the floating-point state of `team` threads, at least the calling one; 0: of as many as there are processors or
 * omp_get_max_threads() says, whichever is more. */
struct call_state call_state_set(int team);
/* Whether anything has changed since; then puts it back, and writes what was found: "flush-to-zero is on in 2 of 2
 * threads". */
bool call_state_changed(const struct call_state *s, char *what, size_t size);

/* The floating-point state of the calling thread alone, in a few instructions and without a team, so that the process may
 * fork. NULL: it is as it was set, or what was found. */
void call_state_set_here(void);
const char *call_state_restore_here(void);

/* dlopen() of a library whose symbols no other library sees. *changed: what its load changed of the floating-point state of
 * the calling thread, which is put back, or NULL. NULL: dlerror() says why. */
void *call_state_load(const char *path, const char **changed);
/* Tells a person, on standard error, what the load of a library changed; nothing where that is NULL. */
void call_state_tell(const char *library, const char *changed);
/* False in processes that load what a person was told of already. */
extern bool call_state_tells;

#endif
