/*
 * float_state.h: how the floating-point units of this process's threads round, and whether they flush denormals.
 *
 * Foreign code can change that for what runs after it: a library that was linked with -ffast-math turns flush-to-zero on
 * when it is loaded (crtfastmath.o of GCC), and from then on the reference would be wrong where the library is. So the
 * state is set before each call, and compared after each call and each load.
 *
 * The state is MXCSR and the x87 control word on x86 (Intel SDM, volume 1, 10.2.3 and 8.1.5), FPCR on AArch64 (Arm ARM,
 * C5.2.8), and the rounding of fenv.h elsewhere; without the flags of exceptions that have happened. The threads are the
 * calling one and its OpenMP team.
 */
#ifndef NF4BENCH_HARNESS_BASE_FLOAT_STATE_H
#define NF4BENCH_HARNESS_BASE_FLOAT_STATE_H

#include <stdbool.h>
#include <stddef.h>

/* Round to nearest even, denormals kept, no exception raised: what IEC 60559 and a new process have. */
void float_state_set(void);

/* Whether any of the threads has another state; then puts it back, and writes what was found: "flush-to-zero is on in 2 of
 * 2 threads". */
bool float_state_changed(char *what, size_t size);

/* The same of the calling thread alone, in a few instructions: for what is timed. NULL: the state is as it was set, or
 * what was found. */
void float_state_set_here(void);
const char *float_state_restore_here(void);

/* dlopen() of a library whose symbols no other library sees. *changed: what its load changed for the calling thread, which
 * is put back, or NULL. Starts no team, so that the process may fork. NULL: dlerror() says why. */
void *float_state_load(const char *path, const char **changed);
/* Tells a person, on standard error, what the load of a library changed; nothing where that is NULL. */
void float_state_tell(const char *library, const char *changed);

#endif
