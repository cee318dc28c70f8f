#include "harness/base/child.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/call_state.h"
#include "harness/base/clock.h"

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

/* What the process says, in memory that both share. */
struct outcome {
    enum status status;
    bool ended;
    char message[1024];
};

_Noreturn static void attempt(enum status (*f)(void *), void *context, struct outcome *o, pid_t parent)
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

static enum status outcome_status(const struct outcome *o, int wait_status, bool killed, double limit_s)
{
    char how[PROCESS_TEXT_MAX];
    if (o->ended)
        return o->status == STATUS_OK ? STATUS_OK : status_fail(o->status, "%s", o->message);
    if (killed)
        return status_fail(STATUS_INPUT, "it did not end within %g s", limit_s);
    return status_fail(STATUS_INPUT, "%s", process_end_text(wait_status, how));
}

enum status process_try(enum status (*f)(void *), void *context, double limit_s)
{
    struct outcome *o = mmap(NULL, sizeof *o, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (o == MAP_FAILED)
        return status_no_memory("a child process");
    fflush(stdout);
    fflush(stderr);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        attempt(f, context, o, parent);
    enum status s = pid < 0 ? status_fail(STATUS_IO, "no process: %s", strerror(errno)) : STATUS_OK;
    double start = clock_s();
    int wait_status = 0;
    bool killed = false;
    for (useconds_t pause = 500; pid > 0; pause = pause < 20000 ? 2 * pause : pause) {
        pid_t gone = waitpid(pid, &wait_status, WNOHANG);
        if (gone == pid) {
            s = outcome_status(o, wait_status, killed, limit_s);
            break;
        }
        if (gone < 0 && errno != EINTR) {
            s = status_fail(STATUS_INTERNAL, "waitpid: %s", strerror(errno));
            break;
        }
        if (!killed && clock_s() - start > limit_s) {
            killed = true;
            kill(pid, SIGKILL);
        }
        usleep(pause);
    }
    munmap(o, sizeof *o);
    return s;
}
