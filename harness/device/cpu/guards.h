/*
 * cpu/guards.h: in the caller: what a variant must not touch during a call (cpu/arena.h has where it lies).
 *
 *  - Guards have no access. An access there, and a write to an input, which is read-only during the call, is noted with its
 *    address; then the page is opened, and the call goes on. So an access out of bounds is a FAIL with the byte that it
 *    touched, not a crash, also in a thread of the variant's team.
 *  - After the call SIGSEGV must have this handler.
 *
 * Not seen: accesses further away than a guard is wide, where there is other memory; reads of canaries that do not matter,
 * and writes to them that are put back, in particular of the last bytes of 64 where the size is no multiple of 64 (every
 * operand has shapes in the suites where it is one); addresses that are given to system calls; accesses by threads that
 * outlive the call.
 *
 * One call at a time, in one thread of the harness.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_CPU_GUARDS_H
#define NF4BENCH_HARNESS_DEVICE_CPU_GUARDS_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/base/status.h"
#include "harness/device/cpu/arena.h"

/* Opens all operands of the call, also inputs, to be written, without noting what is touched. guarded: what lies around them
 * is without access. */
enum status guards_open(const struct arena_call *call, bool guarded) WARN_UNUSED_RESULT;
/* Without access, or what guards_open() gave: the operands themselves. */
void guards_close_operands(const struct arena_call *call, bool close);
/* False: `what` says what was written around the workspace, which is between canaries. */
bool guards_workspace_whole(const struct arena_call *call, char *what, size_t size);

/* Fills the workspace and sets the access to all operands of the call, which must stay until guards_end(). */
enum status guards_begin(const struct arena_call *call) WARN_UNUSED_RESULT;
/* False: `what` says what was touched that must not be. Operands are without guards from now on. */
bool guards_end(char *what, size_t size);

#endif
