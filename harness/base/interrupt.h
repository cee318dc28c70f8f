/*
 * interrupt.h: Ctrl-C and SIGTERM ask the run to end: stages look here between calls, keep what is measured,
 * and return STATUS_INTERRUPTED. A second signal, a second or more later, ends the process at once. Commands that measure
 * nothing do not install it: their first signal ends them.
 */
#ifndef NF4BENCH_HARNESS_BASE_INTERRUPT_H
#define NF4BENCH_HARNESS_BASE_INTERRUPT_H

#include <stdbool.h>

void interrupt_install(void); /* before something is measured */
bool interrupt_pending(void);

#endif
