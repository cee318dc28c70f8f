#include "harness/base/child.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/call_state.h"
#include "harness/base/clock.h"

extern char **environ;

const char *process_end_text(int wait_status, char text[PROCESS_TEXT_MAX])
{
    if (!WIFSIGNALED(wait_status)) {
        snprintf(text, PROCESS_TEXT_MAX, "it ended the process with exit code %d", WEXITSTATUS(wait_status));
        return text;
    }
    int number = WTERMSIG(wait_status);
    const char *name = sigabbrev_np(number);
    snprintf(text, PROCESS_TEXT_MAX, "SIG%s (%s)%s", name ? name : "?", strsignal(number),
             number == SIGKILL ? ": did the machine run out of memory?" : "");
    return text;
}

void *shared_alloc(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

bool process_wait(pid_t pid, int *wait_status)
{
    while (waitpid(pid, wait_status, 0) < 0)
        if (errno != EINTR)
            return false;
    return true;
}

void remove_tree(const char *path)
{
    const char *argv[] = {"rm", "-rf", "--", path, NULL};
    pid_t child;
    if (posix_spawnp(&child, argv[0], NULL, NULL, (char **)argv, environ) == 0)
        (void)process_wait(child, NULL);
}

/* What the process says, in memory that both share. */
struct child_outcome {
    enum status status;
    bool ended;
    char message[1024];
};

_Noreturn static void attempt(enum status (*f)(void *), void *context, struct child_outcome *o, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    call_state_set_here(); /* of a library's pthread_atfork() */
    o->status = f(context);
    snprintf(o->message, sizeof o->message, "%s", status_message());
    o->ended = true;
    fflush(stdout);
    fflush(stderr);
    _exit(0);
}

enum status child_start(struct child *c, enum status (*f)(void *), void *context)
{
    *c = (struct child){.pid = 0};
    c->outcome = shared_alloc(sizeof *c->outcome);
    if (!c->outcome)
        return status_no_memory("a child process");
    fflush(stdout);
    fflush(stderr);
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        attempt(f, context, c->outcome, parent);
    if (pid > 0) {
        c->pid = pid;
        return STATUS_OK;
    }
    munmap(c->outcome, sizeof *c->outcome);
    return status_fail(STATUS_IO, "no process: %s", strerror(errno));
}

bool child_ended(struct child *c, enum status early, enum status *s)
{
    char how[PROCESS_TEXT_MAX];
    const struct child_outcome *o = c->outcome;
    int wait_status;
    const pid_t gone = waitpid(c->pid, &wait_status, WNOHANG);
    if (gone == 0 || (gone < 0 && errno == EINTR))
        return false;
    c->whole = gone > 0 && o->ended;
    *s = gone < 0                 ? status_fail(STATUS_INTERNAL, "waitpid: %s", strerror(errno))
         : !c->whole              ? status_fail(early, "%s", process_end_text(wait_status, how))
         : o->status == STATUS_OK ? STATUS_OK
                                  : status_fail(o->status, "%s", o->message);
    munmap(c->outcome, sizeof *c->outcome);
    c->pid = 0;
    return true;
}

enum status process_try(enum status (*f)(void *), void *context, double limit_s)
{
    struct child c;
    enum status s = STATUS_OK;
    TRY(child_start(&c, f, context));
    const double start = clock_s();
    bool killed = false;
    for (useconds_t pause = 500; !child_ended(&c, STATUS_INPUT, &s);
         pause = pause < 20000 ? 2 * pause : pause) {
        if (!killed && clock_s() - start > limit_s) {
            killed = true;
            kill(c.pid, SIGKILL);
        }
        usleep(pause);
    }
    return killed && !c.whole ? status_fail(STATUS_INPUT, "it did not end within %g s", limit_s) : s;
}
