/*
 * cpu/arena.h: the operands of a verified call on the CPU: copies in memory that the judge and the caller (caller.h) both
 * have at the same address. A variant never sees the operands that it is compared with.
 *
 *   guard | front canary | operand | back canary | guard
 *
 *  - An operand starts at a multiple of 64 bytes, as kernel.h promises, and at no larger one that a variant could rely on:
 *    it ends at the guard, as far as that allows, begins at the other guard, or begins at an odd multiple that is drawn.
 *  - Canaries have other bytes in each call, any ones or NaNs in turn: an output that depends on them differs from the
 *    reference in one of two calls, also where it multiplies them by zero.
 *  - The workspace holds NaNs, large numbers or zeros in turn.
 *  - After the call the judge compares the canaries and the inputs with what it wrote.
 *
 * What the caller does about guards and inputs during the call is in cpu/guards.h.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_CPU_ARENA_H
#define NF4BENCH_HARNESS_DEVICE_CPU_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"
#include "harness/problem/operands.h"

enum { ARENA_GUARD = 64 * 1024 /* a multiple of any page's size */ };

/* Where operands of the problem's own calls lie (AT_END first), and those of reruns. */
enum placement { PLACE_AT_END, PLACE_AT_START, PLACE_DRAWN, PLACE_COUNT };

/* ARENA_GUARD bytes on both sides of the window are guards. The window holds the operand and its canaries, and is up to two
 * pages larger than the operand. */
struct arena_operand {
    uint8_t *window, *window_end;
    uint8_t *data; /* NULL: there is no such operand */
    size_t size;
    bool input;
};

/* A call's operands, and what their canaries and the workspace hold. */
struct arena_call {
    uint64_t number, salt;
    struct arena_operand operands[OPERAND_BUFFERS];
};

struct arena {
    int fd;        /* its memory */
    uint8_t *base; /* in both processes */
    size_t each;   /* bytes for an operand */
};

size_t page_size(void);
/* *fd: a file of memory of that size for good: nobody who has it can take it from under another's map. */
enum status sealed_memory(const char *name, size_t size, int *fd) WARN_UNUSED_RESULT;

/* In the judge. NULL: no memory, or no addresses. */
struct arena *arena_new(void);
void arena_free(struct arena *a); /* NULL is allowed */
/* Another memory in place of what a process that is gone may still write to. */
enum status arena_renew(struct arena *a) WARN_UNUSED_RESULT;
/* In the caller: without access, at the judge's address. */
enum status arena_map(const struct arena *a) WARN_UNUSED_RESULT;

/* Places set i of the operands for the call of that number. The workspace is the caller's to fill. */
enum status arena_place(struct arena *a, const struct operands *o, size_t i, enum placement placement,
                        uint64_t number, struct arena_call *call) WARN_UNUSED_RESULT;
/* After the call: copies the output back into set i, and gives large operands' memory back. False: `what` says what was
 * written that must not be. */
bool arena_take_back(struct arena *a, const struct arena_call *call, const struct operands *o, size_t i,
                     char *what, size_t size);

/* Room for the output of o, between calls. */
struct arena_operand arena_output(const struct arena *a, const struct operands *o);

/* Of operand j. */
void arena_write_canaries(const struct arena_call *call, size_t j);
/* Else *byte is the first that was written, from the first of the operand. */
bool arena_canaries_whole(const struct arena_call *call, size_t j, ptrdiff_t *byte);

#endif
