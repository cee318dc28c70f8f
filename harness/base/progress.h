/*
 * progress.h: what a person who waits sees, on stderr: one line that is redrawn, with the time left, on a
 * terminal; a plain line per finished step otherwise.
 */
#ifndef NF4BENCH_HARNESS_BASE_PROGRESS_H
#define NF4BENCH_HARNESS_BASE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

struct progress {
    bool terminal, shown;
    double started_s, total_s, done_s; /* expected seconds: in all, and of finished steps */
    double step_s;
    double drawn_s;
    size_t step, step_count;
    char label[128];
};

void progress_init(struct progress *p, double expected_total_s, size_t step_count);
void progress_step(struct progress *p, double expected_s, const char *label);
/* `share` of the step is done; `what` says which part it is in. Draws at most ten times a second. */
void progress_update(struct progress *p, double share, const char *what);
/* Ends the step with one plain line when not on a terminal; NULL for none. */
void progress_step_done(struct progress *p, const char *summary);
/* Clears the line, so that something else can be printed. */
void progress_clear(struct progress *p);

#endif
