#include "harness/base/status.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char message[4096];

enum status status_fail(enum status s, const char *format, ...)
{
    /* Formatted aside first: an argument may be the previous message. */
    char text[sizeof message];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    snprintf(message, sizeof message, "%s", text);
    return s;
}

const char *status_message(void)
{
    return message;
}

const char *status_name(enum status s)
{
    static const char *const names[] = {
#define X(name, exit_code, text) text,
        STATUS_MAP(X)
#undef X
    };
    return names[s];
}

int status_exit_code(enum status s)
{
    static const int codes[] = {
#define X(name, exit_code, text) exit_code,
        STATUS_MAP(X)
#undef X
    };
    return codes[s];
}
