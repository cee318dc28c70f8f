/*
 * base/child.h: what of other processes several places need: how one ended, and trying something that may crash
 * or never end.
 */
#ifndef NF4BENCH_HARNESS_BASE_CHILD_H
#define NF4BENCH_HARNESS_BASE_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "harness/base/status.h"

enum { PROCESS_TEXT_MAX = 200 };

/* How a process with this wait status ended: "SIGSEGV (Segmentation fault)", "it ended the process with exit
 * code 3". Returns text. */
const char *process_end_text(int wait_status, char text[PROCESS_TEXT_MAX]);

/* Memory that this process and those which it forks share, zero; munmap() ends it. NULL: there is none. */
void *shared_alloc(size_t size);

/* Waits for the end of a process. *wait_status (or NULL) stays as it is where that cannot be: false, with errno. */
bool process_wait(pid_t pid, int *wait_status);
/* Removes a folder with all that is in it, if it is there. */
void remove_tree(const char *path);

/* A function in a forked process, which ends with this one. What the function writes to memory is lost, unless both share
 * the memory. */
struct child {
    pid_t pid;  /* 0: none is running */
    bool whole; /* of one that has ended: the function has returned */
    struct child_outcome *outcome;
};
enum status child_start(struct child *c, enum status (*f)(void *context), void *context) WARN_UNUSED_RESULT;
/* Whether it has ended. Then *s is what f returned, with its message (status.h), or `early`, with how the process ended. */
bool child_ended(struct child *c, enum status early, enum status *s);

/* Calls f(context) in such a process and waits for it. STATUS_INPUT, with how it ended, when f did not return, or not
 * within limit_s: it is then killed. */
enum status process_try(enum status (*f)(void *context), void *context, double limit_s) WARN_UNUSED_RESULT;

#endif
