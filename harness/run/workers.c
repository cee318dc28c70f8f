#include "harness/run/workers.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness/base/child.h"
#include "harness/base/interrupt.h"

enum { LOOK_US = 100000 /* looking more often would disturb what is timed */ };

/* What is said of a worker that failed with `s` and its message. */
static enum status failure(const struct worker *w, const struct child *c, enum status s)
{
    if (s == STATUS_OK)
        return STATUS_OK;
    if (!c->whole && interrupt_pending())
        return status_fail(STATUS_INTERRUPTED, "interrupted");
    return status_fail(s, "%s%s%s%s", w->name, *w->name ? ": " : "",
                       c->whole ? "" : "its process ended early: ", status_message());
}

static enum status start(const struct worker *w, struct child *c)
{
    const enum status s = child_start(c, w->run, w->context);
    return s == STATUS_OK ? STATUS_OK
                          : status_fail(s, "%s%s%s: end others, or raise the limit of processes (ulimit -u)",
                                        w->name, *w->name ? ": " : "", status_message());
}

/* The first failure; an error before an interrupt. */
static void keep_worst(enum status s, enum status *worst, char *message, size_t size)
{
    if (s == STATUS_OK || (*worst != STATUS_OK && *worst != STATUS_INTERRUPTED))
        return;
    *worst = s;
    snprintf(message, size, "%s", status_message());
}

enum status workers_run(const struct worker *list, size_t count)
{
    enum status worst = STATUS_OK, s = STATUS_OK;
    char message[1200] = "";
    bool interrupted = false; /* SIGTERM is sent */
    size_t running = 0;
    struct child *children = calloc(count, sizeof *children);
    if (!children)
        return status_no_memory("workers");
    for (size_t i = 0; i < count; i++) {
        keep_worst(start(&list[i], &children[i]), &worst, message, sizeof message);
        running += children[i].pid != 0;
    }
    while (running > 0) {
        usleep(LOOK_US);
        /* An interrupt of the terminal reaches them as well; one that was sent to this process does not. */
        const bool pass_on = interrupt_pending() && !interrupted;
        interrupted = interrupted || pass_on;
        for (size_t i = 0; i < count; i++) {
            if (!children[i].pid)
                continue;
            if (child_ended(&children[i], STATUS_INTERNAL, &s)) {
                keep_worst(failure(&list[i], &children[i], s), &worst, message, sizeof message);
                running--;
            } else if (pass_on) {
                kill(children[i].pid, SIGTERM);
            }
        }
    }
    free(children);
    return worst == STATUS_OK ? STATUS_OK : status_fail(worst, "%s", message);
}
