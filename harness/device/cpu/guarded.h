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
 *  - An operand starts at a multiple of 64 bytes, as kernel.h promises, and at no larger one that a variant could rely on.
 *    It ends at the guard, as far as that allows (draw 0), or starts at one of the 64 multiples within 4096, which is drawn.
 *  - Canaries have other bytes in each call: an output that depends on them differs from the reference in one of two calls.
 *  - The workspace is poisoned with another pattern in each call (buffer_poison() says which NaNs).
 *
 * Not seen: accesses further away than a guard is wide, where there is other memory; reads of canaries that do not matter.
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

/* Places set i of the operands. *view: operands whose first set is the copy; they end with guarded_end() and must not be
 * released. salt: of canaries and poison. */
enum status guarded_begin(const struct operands *o, size_t i, uint64_t draw, uint64_t salt,
                          struct operands *view) WARN_UNUSED_RESULT;
/* Copies the output back into set i. False: `what` says what was touched that must not be. */
bool guarded_end(const struct operands *o, size_t i, char *what, size_t size);

#endif
