#include "harness/device/serve.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness/problem/variant_data.h"

static const struct back_end *const back_ends[] = {
    [DEVICE_CPU] = &back_end_cpu, [DEVICE_SIMT] = &back_end_simt, [DEVICE_CUDA] = &back_end_cuda};

const struct back_end *back_end_for(enum device_kind kind)
{
    return back_ends[kind];
}

const struct back_end *back_end_of(const char *word)
{
    for (size_t i = 0; i < sizeof back_ends / sizeof back_ends[0]; i++)
        if (strcmp(back_ends[i]->word, word) == 0)
            return back_ends[i];
    return NULL;
}

bool serve_fail_with(struct channel *c, enum status status, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(c->text, sizeof c->text, format, ap);
    va_end(ap);
    c->status = status;
    return false;
}

bool serve_nothing(struct channel *c)
{
    (void)c;
    return true;
}

static char lacks[400], failed[CHANNEL_TEXT];

void serve_lacks(const char *library, const char *why)
{
    if (!*lacks)
        snprintf(lacks, sizeof lacks, ": %.150s: %.200s", library, why);
    snprintf(failed, sizeof failed, "%s", why);
}

static bool list_variants(struct channel *c)
{
    struct variant_data *data = (struct variant_data *)c->window;
    size_t count;
    const struct kernel *list = kernels_added(c->table, &count);
    if (*failed)
        return serve_fail_with(c, STATUS_INPUT, "%s", failed);
    for (c->count = 0; c->count < count && c->count < CHANNEL_WINDOW_BYTES / sizeof *data; c->count++)
        variant_to_data(&list[c->count], &data[c->count]);
    return true;
}

const struct kernel *serve_variant(struct channel *c)
{
    const struct kernel *k = kernel_named(c->table, c->variant);
    if (!k)
        serve_fail_with(c, STATUS_INTERNAL, "no variant %.100s%s%.60s where it is to be called%s", c->variant,
                        *c->table ? " of " : "", c->table, lacks);
    return k;
}

/* False: the harness is gone, or done. */
static bool next_request(char *byte)
{
    ssize_t n;
    do
        n = read(SERVE_SOCKET, byte, 1);
    while (n < 0 && errno == EINTR);
    return n == 1;
}

_Noreturn void serve(const struct back_end *b, struct channel *c)
{
    for (char byte; next_request(&byte);) {
        request_fn *handler = c->request == REQUEST_variants ? list_variants
                              : c->request < REQUEST_COUNT   ? b->handlers[c->request]
                                                             : NULL;
        if (!handler || c->slot >= CHANNEL_SLOTS)
            serve_fail_with(c, STATUS_INTERNAL, "%s has no such request: %d", b->word, (int)c->request);
        else if (!handler(c) && c->status == STATUS_OK)
            serve_fail_with(c, STATUS_INTERNAL, "request %d failed without saying why", (int)c->request);
        if (write(SERVE_SOCKET, &byte, 1) != 1)
            break;
    }
    _exit(0);
}

_Noreturn void serve_refuse(struct channel *c, enum status s)
{
    char byte;
    if (next_request(&byte)) {
        serve_fail_with(c, s, "%s", status_message());
        (void)!write(SERVE_SOCKET, &byte, 1);
    }
    _exit(0);
}
