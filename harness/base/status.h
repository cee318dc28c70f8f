/*
 * status.h: errors as values. A function that can fail returns an enum status; the one that finds the fault
 * calls status_fail() with a sentence that says what, where and what to do; callers pass the value up.
 */
#ifndef NF4BENCH_HARNESS_BASE_STATUS_H
#define NF4BENCH_HARNESS_BASE_STATUS_H

/* X(enumerator, exit code of the program) */
#define STATUS_MAP(X)                                                                                        \
    X(OK, 0)                                                                                                 \
    X(WRONG, 1) /* correctness failure */                                                                    \
    X(USAGE, 2)                                                                                              \
    X(INPUT, 2)                                                                                              \
    X(IO, 2)                                                                                                 \
    X(MEMORY, 2)                                                                                             \
    X(LIMIT, 2)                                                                                              \
    X(DEVICE, 2)                                                                                             \
    X(ABSENT, 77) /* no such device on this machine */                                                       \
    X(INTERRUPTED, 130)                                                                                      \
    X(INTERNAL, 2)

enum status {
#define X(name, exit_code) STATUS_##name,
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
int status_exit_code(enum status s);

/* Returns the status of a call that failed. For functions that hold nothing that is to be released. */
#define TRY(call)                                                                                            \
    do {                                                                                                     \
        const enum status tried = (call);                                                                    \
        if (tried != STATUS_OK)                                                                              \
            return tried;                                                                                    \
    } while (0)

#endif
