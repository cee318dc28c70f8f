#include "harness/base/interrupt.h"

#include <signal.h>

#include "harness/base/clock.h"

/* timeout(1), and whoever else signals a process and then its group, mean one request. */
static const double same_request_s = 1;

static volatile sig_atomic_t pending;
static double asked_s; /* read and written by the handler alone, which does not interrupt itself */

static void on_signal(int number)
{
    const double now_s = clock_s();
    if (!pending) {
        pending = 1;
        asked_s = now_s;
    } else if (now_s - asked_s > same_request_s) {
        signal(number, SIG_DFL);
        raise(number);
    }
}

void interrupt_install(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGINT);
    sigaddset(&action.sa_mask, SIGTERM);
    sigaction(SIGINT, &action, 0);
    sigaction(SIGTERM, &action, 0);
}

bool interrupt_pending(void)
{
    return pending;
}
