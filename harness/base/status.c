#include "harness/base/status.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char message[4096];

/* Formatted aside first: an argument may be the previous message. */
static void store(const char *format, va_list ap, const char *end)
{
    char text[sizeof message];
    vsnprintf(text, sizeof text, format, ap);
    snprintf(message, sizeof message, "%s%s", text, end);
}

enum status status_fail(enum status s, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    store(format, ap, "");
    va_end(ap);
    return s;
}

enum status status_no_memory(const char *what, ...)
{
    va_list ap;
    va_start(ap, what);
    store(what, ap, ": out of memory");
    va_end(ap);
    return STATUS_MEMORY;
}

const char *status_message(void)
{
    return message;
}

int status_exit_code(enum status s)
{
    static const int codes[] = {
#define X(name, exit_code) exit_code,
        STATUS_MAP(X)
#undef X
    };
    return codes[s];
}
