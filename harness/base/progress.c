#include "harness/base/progress.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "harness/base/clock.h"

void progress_init(struct progress *p, double expected_total_s, size_t step_count)
{
    *p = (struct progress){.terminal = isatty(STDERR_FILENO),
                           .started_s = clock_s(),
                           .total_s = expected_total_s,
                           .step_count = step_count};
}

void progress_step(struct progress *p, double expected_s, const char *label)
{
    p->step++;
    p->step_s = expected_s;
    snprintf(p->label, sizeof p->label, "%s", label);
    progress_update(p, 0, "");
}

void progress_update(struct progress *p, double share, const char *what)
{
    double now = clock_s();
    if (!p->terminal || now - p->drawn_s < 0.1)
        return;
    p->drawn_s = now;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    /* The estimate is scaled by how far off it has been so far. */
    double done = p->done_s + share * p->step_s, elapsed = now - p->started_s;
    double left = done > 0 ? (p->total_s - done) * elapsed / done : p->total_s;
    if (left < 0)
        left = 0;
    char line[512];
    snprintf(line, sizeof line, "[%zu/%zu] %3.0f %%  %d:%02d left  %s %s", p->step, p->step_count,
             p->total_s > 0 ? 100 * done / p->total_s : 0, (int)left / 60, (int)left % 60, p->label, what);
    /* A line that wraps could not be drawn over. */
    struct winsize window;
    int width = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1 ? window.ws_col - 1 : 79;
    fprintf(stderr, "\r\033[K%.*s", width, line);
    fflush(stderr);
    p->shown = true;
}

void progress_clear(struct progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}

void progress_step_done(struct progress *p, const char *summary)
{
    p->done_s += p->step_s;
    if (!p->terminal && summary)
        fprintf(stderr, "[%zu/%zu] %s: %s\n", p->step, p->step_count, p->label, summary);
}
