/*
 * base/child.h: what of other processes several places need: how one ended, and trying something that may crash
 * or never end.
 */
#ifndef NF4BENCH_HARNESS_BASE_CHILD_H
#define NF4BENCH_HARNESS_BASE_CHILD_H

#include "harness/base/status.h"

enum { PROCESS_TEXT_MAX = 200 };

/* How a process with this wait status ended: "SIGSEGV (Segmentation fault)", "it ended the process with exit
 * code 3". Returns text. */
const char *process_end_text(int wait_status, char text[PROCESS_TEXT_MAX]);

/* Calls f(context) in a forked process, and gives what it returns, with its message (status.h). STATUS_INPUT,
 * with how it ended, when it ended otherwise, or not within limit_s: it is then killed. What f writes to
 * memory is lost. */
enum status process_try(enum status (*f)(void *context), void *context, double limit_s) WARN_UNUSED_RESULT;

#endif
