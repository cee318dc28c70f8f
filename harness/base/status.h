/*
 * status.h: errors as values. A function that can fail returns an enum status; the one that finds the fault
 * calls status_fail() with a sentence that says what, where and what to do; callers pass the value up.
 */
#ifndef NF4BENCH_HARNESS_BASE_STATUS_H
#define NF4BENCH_HARNESS_BASE_STATUS_H

/* X(enumerator, exit code of the program, name) */
#define STATUS_MAP(X)                                                                                        \
    X(OK, 0, "ok")                                                                                           \
    X(WRONG, 1, "correctness failure")                                                                       \
    X(USAGE, 2, "usage error")                                                                               \
    X(INPUT, 2, "bad input")                                                                                 \
    X(IO, 2, "input/output error")                                                                           \
    X(MEMORY, 2, "out of memory")                                                                            \
    X(LIMIT, 2, "limit exceeded")                                                                            \
    X(DEVICE, 2, "device error")                                                                             \
    X(ABSENT, 77, "no such device on this machine")                                                          \
    X(INTERRUPTED, 130, "interrupted")                                                                       \
    X(INTERNAL, 2, "internal error")

enum status {
#define X(name, exit_code, text) STATUS_##name,
    STATUS_MAP(X)
#undef X
};

#define WARN_UNUSED_RESULT       __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

/* Stores the message for this thread and returns s. */
enum status status_fail(enum status s, const char *format, ...) PRINTF_LIKE(2, 3) WARN_UNUSED_RESULT;
/* "WHAT: out of memory", STATUS_MEMORY. The format says what the memory is for, or for whom. */
enum status status_no_memory(const char *what, ...) PRINTF_LIKE(1, 2) WARN_UNUSED_RESULT;
/* The last message stored by this thread; "" when there is none. Valid until the next status_fail(). */
const char *status_message(void);
const char *status_name(enum status s);
int status_exit_code(enum status s);

#endif
