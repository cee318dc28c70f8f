#include "harness/run/workers.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness/base/child.h"
#include "harness/base/interrupt.h"

/* The state of a child, in memory that it shares with this process. */
struct worker_child_state {
    enum status status;
    bool ended;
    char message[1024];
};

/* A child as this process sees it. */
struct worker_child {
    const struct worker *worker;
    struct worker_child_state *state;
    pid_t pid;        /* 0: none is running */
    bool interrupted; /* SIGTERM is sent */
    enum status status;
    char message[1200];
};

enum { LOOK_MS = 100 };

_Noreturn static void work(const struct worker *w, struct worker_child_state *c, pid_t parent,
                           const sigset_t *signals)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    sigprocmask(SIG_SETMASK, signals, NULL);
    c->status = w->run(w->context);
    snprintf(c->message, sizeof c->message, "%s", status_message());
    c->ended = true;
    fflush(stdout);
    fflush(stderr);
    _exit(0);
}

/* Ends p with what status_fail() has just returned. */
static void end(struct worker_child *p, enum status s)
{
    p->pid = 0;
    p->status = s;
    snprintf(p->message, sizeof p->message, "%s", s == STATUS_OK ? "" : status_message());
}

static void start(struct worker_child *p, const sigset_t *signals)
{
    pid_t parent = getpid();
    *p->state = (struct worker_child_state){.ended = false};
    p->interrupted = false;
    fflush(stdout);
    fflush(stderr);
    pid_t pid = fork();
    if (pid == 0)
        work(p->worker, p->state, parent, signals);
    p->pid = pid;
    if (pid < 0)
        end(p, status_fail(STATUS_IO,
                           "%s%sno process: %s: end others, or raise the limit of processes (ulimit -u)",
                           p->worker->name, *p->worker->name ? ": " : "", strerror(errno)));
}

/* The process is gone. */
static void conclude(struct worker_child *p, int status)
{
    const struct worker *w = p->worker;
    const struct worker_child_state *c = p->state;
    char how[PROCESS_TEXT_MAX];
    if (c->ended)
        end(p, c->status == STATUS_OK
                   ? STATUS_OK
                   : status_fail(c->status, "%s%s%s", w->name, *w->name ? ": " : "", c->message));
    else if (interrupt_pending())
        end(p, status_fail(STATUS_INTERRUPTED, "interrupted"));
    else
        end(p, status_fail(STATUS_INTERNAL, "%s%sits process ended early: %s", w->name, *w->name ? ": " : "",
                           process_end_text(status, how)));
}

/* Looks at a process that was running. */
static void look(struct worker_child *p)
{
    int status;
    pid_t gone = waitpid(p->pid, &status, WNOHANG);
    if (gone == p->pid) {
        conclude(p, status);
        return;
    }
    if (gone < 0 && errno != EINTR) {
        end(p, status_fail(STATUS_INTERNAL, "%s%swaitpid: %s", p->worker->name, *p->worker->name ? ": " : "",
                           strerror(errno)));
        return;
    }
    /* An interrupt of the terminal reaches it as well; one that was sent to this process does not. */
    if (interrupt_pending() && !p->interrupted) {
        kill(p->pid, SIGTERM);
        p->interrupted = true;
    }
}

/* Of those that failed, one; an error before an interrupt. NULL: none failed. */
static const struct worker_child *worst(const struct worker_child *list, size_t count)
{
    const struct worker_child *found = NULL;
    for (size_t i = 0; i < count; i++)
        if (list[i].status != STATUS_OK && (!found || found->status == STATUS_INTERRUPTED))
            found = &list[i];
    return found;
}

enum status workers_run(const struct worker *list, size_t count)
{
    struct worker_child_state *states =
        mmap(NULL, count * sizeof *states, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct worker_child *children = calloc(count, sizeof *children);
    if (states == MAP_FAILED || !children) {
        if (states != MAP_FAILED)
            munmap(states, count * sizeof *states);
        free(children);
        return status_no_memory("workers");
    }
    /* Blocked, the end of a process is kept until it is waited for: none is missed, and nothing is polled
     * often, which would disturb what is timed. */
    sigset_t child_end, before;
    sigemptyset(&child_end);
    sigaddset(&child_end, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_end, &before);
    for (size_t i = 0; i < count; i++) {
        children[i] = (struct worker_child){.worker = &list[i], .state = &states[i]};
        start(&children[i], &before);
    }
    const struct timespec patience = {.tv_nsec = 1000000L * LOOK_MS};
    for (size_t running = count; running > 0;) {
        sigtimedwait(&child_end, NULL, &patience);
        running = 0;
        for (size_t i = 0; i < count; i++) {
            if (children[i].pid)
                look(&children[i]);
            running += children[i].pid != 0;
        }
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    const struct worker_child *failed = worst(children, count);
    enum status status = failed ? status_fail(failed->status, "%s", failed->message) : STATUS_OK;
    munmap(states, count * sizeof *states);
    free(children);
    return status;
}
