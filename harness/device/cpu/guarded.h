/*
 * cpu/guarded.h: the operands of one verified call on the CPU, placed between guard pages.
 *
 * A variant never sees the operands that it is compared with. Each call gets a copy of them:
 *
 *   guard | front canary | operand | back canary | guard
 *
 *  - Guards are 64 KiB without access on both sides. An access there, and a write to an input, which is read-only during
 *    the call, is noted with its address; then the page is opened, and the call goes on. So an access out of bounds is a
 *    FAIL with the byte that it touched, not a crash, also in a thread of the variant's team.
 *  - An operand starts at a multiple of 64 bytes, as kernel.h promises, and at no larger one that a variant could rely on:
 *    it ends at the guard, as far as that allows, begins at the other guard, or begins at an odd multiple that is drawn.
 *  - Canaries have other bytes in each call, any ones or NaNs in turn: an output that depends on them differs from the
 *    reference in one of two calls, also where it multiplies them by zero.
 *  - The workspace holds NaNs, large numbers or zeros in turn.
 *  - After the call inputs are compared with the originals, and SIGSEGV must have this handler.
 *
 * Not seen: accesses further away than a guard is wide, where there is other memory; reads of canaries that do not matter,
 * and writes to them that are put back, in particular of the last bytes of 64 where the size is no multiple of 64 (every
 * operand has shapes in the suites where it is one); addresses that are given to system calls; accesses by threads that
 * outlive the call.
 *
 * One call at a time and in one thread of the harness; the memory is kept for the next call.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_CPU_GUARDED_H
#define NF4BENCH_HARNESS_DEVICE_CPU_GUARDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"
#include "harness/problem/operands.h"

/* Where operands of the problem's own calls lie (AT_END first), and those of reruns. */
enum placement { PLACE_AT_END, PLACE_AT_START, PLACE_DRAWN, PLACE_COUNT };

/* Places set i of the operands. *view: operands whose first set is the copy; they end with guarded_end() and must not be
 * released. number: of the call;
 * what its canaries and its workspace hold follows from it. */
enum status guarded_begin(const struct operands *o, size_t i, enum placement placement, uint64_t number,
                          struct operands *view) WARN_UNUSED_RESULT;
/* Copies the output back into set i. False: `what` says what was touched that must not be. */
bool guarded_end(const struct operands *o, size_t i, char *what, size_t size);

#endif
