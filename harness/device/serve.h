/*
 * serve.h: the caller's side (caller.h): the loop that answers requests, and what a back end is.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_SERVE_H
#define NF4BENCH_HARNESS_DEVICE_SERVE_H

#include <stdbool.h>

#include "harness/device/channel.h"

/* The descriptors that a caller is started with. */
enum { SERVE_SOCKET = 3, SERVE_CHANNEL, SERVE_ARENA };

/* One handler for a request: false, with the answer filled in, when it fails. */
typedef bool request_fn(struct channel *c);

/* A folder of harness/device/: how requests are carried out there. NULL: it has no such request. */
struct back_end {
    const char *word; /* of `nf4bench caller --device` */
    request_fn *handlers[REQUEST_COUNT];
};

extern const struct back_end back_end_cpu, back_end_simt, back_end_cuda;
/* That of a device; that of a word, NULL where there is none. */
const struct back_end *back_end_for(enum device_kind kind);
const struct back_end *back_end_of(const char *word);

/* Fills in the answer to a request that failed. Returns false. */
bool serve_fail_with(struct channel *c, enum status status, const char *format, ...) PRINTF_LIKE(3, 4);

/* Of a back end that has nothing to do for a request. */
request_fn serve_nothing;

/* The variant that a request means; NULL, with the answer, where this process has none of that name. */
const struct kernel *serve_variant(struct channel *c);

/* Notes that a library could not be loaded, and why: for when one of its variants is asked for. */
void serve_lacks(const char *library, const char *why);

/* Serves requests until the other end closes, then ends the process. */
_Noreturn void serve(const struct back_end *b, struct channel *c);
/* Answers the first request with the failure `s`, which status_message() describes, and ends the process. */
_Noreturn void serve_refuse(struct channel *c, enum status s);

#endif
