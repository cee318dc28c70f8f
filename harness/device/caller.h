/*
 * caller.h: the processes that call variants. This one, which judges, loads no kernel and calls none: it asks.
 *
 * A caller is this program again (`nf4bench caller`), so that nothing of this process is in it but its arguments: which
 * libraries it is to load, and for which device it calls. It has what a variant may break: a kernel that faults, crashes the
 * process or never ends costs that one request; the process and its children are ended, and the next request starts
 * another. A caller ends with this process.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_CALLER_H
#define NF4BENCH_HARNESS_DEVICE_CALLER_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/base/status.h"
#include "harness/device/channel.h"
#include "harness/problem/gpu.h"
#include "harness/problem/variant.h"

/* How a request ended. Unless it was answered, the process is gone. */
enum outcome {
    OUTCOME_DONE,
    OUTCOME_FAILED,  /* status, word and text of the channel say how */
    OUTCOME_CRASHED, /* the process ended; text says how */
    OUTCOME_HUNG,    /* no answer within the limit */
    OUTCOME_STOPPED, /* nor within a few seconds after a person wanted the run to end */
};

struct caller;

/* Set in the environment where OMP_WAIT_POLICY is there, and no person has set it. */
#define CALLER_OWN_WAIT_POLICY "NF4BENCH_OWN_WAIT_POLICY"

/* What every caller is to load, in this order: an option of the hidden command, and its value, both kept by pointer. Callers
 * that run already are started anew. */
void caller_loads(const char *option, const char *value);
/* The same of a library of others; the option may be the label of a side. Verified calls of its variants have a process of
 * their own, which loads no other: what it did to its process meets nobody else's. Returns what its variants have as
 * `library`, from 1 on. */
unsigned caller_loads_apart(const char *option, const char *value);

/* What the variants of a library are, as a process says that loads it alone and ends: *list[*count], the caller's to free.
 * value: its file; table: the side that it is of, which is its option then, or "". said: what else it says, the library's own
 * name for one. STATUS_INPUT, with what is wrong, also where the process crashes or hangs. */
enum status caller_variants(const char *option, const char *value, const char *table, struct kernel **list,
                            size_t *count, char said[CHANNEL_NAME]) WARN_UNUSED_RESULT;

void caller_free(struct caller *s); /* NULL is allowed */

/* Of a device: for verified calls, and for timed ones; a GPU has one for both. Made when it is first asked for. NULL when out
 * of memory. */
struct caller *caller_of(struct device *d, bool timed);

bool caller_running(const struct caller *s);
/* Ends the process and what it has started, if there is one. */
void caller_stop(struct caller *s);

/* Where a request's arguments go and its answer comes from. */
struct channel *caller_channel(struct caller *s);
/* The memory that both have at the same address. */
struct arena *caller_arena(struct caller *s);
/* Starts the process if there is none which loaded `library`: as a variant has it, or CALLER_ALL, as on a GPU always.
 * STATUS_DEVICE, with a message, when that fails; *fresh (may be NULL): true if it was started now, and knows nothing of
 * earlier requests. */
enum { CALLER_ALL = -1 };
enum status caller_ready(struct caller *s, int library, bool *fresh) WARN_UNUSED_RESULT;
/* Carries out channel->request, within limit_s, or within a few seconds once a person wants the run to end. Time in which a
 * thread of the caller waits for a processor, or this process does not run, hardly counts. Without a process
 * (caller_ready()): OUTCOME_FAILED. */
enum outcome caller_ask(struct caller *s, enum request request, double limit_s);
/* Whether the process of the last request was ended from outside with SIGKILL: the machine had no memory left, maybe. */
bool caller_was_killed(const struct caller *s);
/* Counts the processes started so far: what was told to an earlier one is forgotten. */
unsigned caller_generation(const struct caller *s);

/* All GPUs that the driver sees, in its order; at most GPU_MAX. STATUS_ABSENT: no driver or no GPU;
 * STATUS_DEVICE: a broken driver. Looked up once per process. */
enum status caller_gpus(const struct gpu **list, size_t *count) WARN_UNUSED_RESULT;

#endif
