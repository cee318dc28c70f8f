#include "harness/run/workers.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/base/child.h"

#include "tests/test.h"

/* Steps that a worker takes, and what becomes of them: shared with it. */
struct script {
    enum step { STEP_FINE, STEP_CRASH, STEP_EXIT, STEP_ERROR, STEP_INTERRUPT } steps[4];
    size_t taken;
};

static enum status take(enum step step)
{
    if (step == STEP_ERROR)
        return status_fail(STATUS_IO, "the disk is gone");
    if (step == STEP_INTERRUPT)
        return status_fail(STATUS_INTERRUPTED, "interrupted");
    if (step == STEP_CRASH)
        raise(SIGKILL);
    if (step == STEP_EXIT)
        _exit(7);
    return STATUS_OK;
}

static enum status run_script(void *context)
{
    struct script *s = context;
    enum status status = STATUS_OK;
    while (s->taken < sizeof s->steps / sizeof s->steps[0] && status == STATUS_OK) {
        status = take(s->steps[s->taken]);
        s->taken++;
    }
    return status;
}

static struct script *script_new(size_t count)
{
    struct script *s =
        mmap(NULL, count * sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return s == MAP_FAILED ? NULL : s;
}

TEST(workers, a_child_that_ends_early_is_an_error)
{
    static const struct {
        enum step step;
        const char *message;
    } cases[] = {{STEP_CRASH, "gpu: its process ended early: SIGKILL"},
                 {STEP_EXIT, "gpu: its process ended early: it ended the process with exit code 7"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct script *s = script_new(1);
        ASSERT_TRUE(s != NULL);
        const struct worker w = {.name = "gpu", .context = s, .run = run_script};
        s->steps[1] = cases[i].step;
        EXPECT_EQ(STATUS_INTERNAL, workers_run(&w, 1));
        EXPECT_CONTAINS(status_message(), cases[i].message);
        EXPECT_EQ(1, s->taken);
        munmap(s, sizeof *s);
    }
}

TEST(workers, of_several_an_error_comes_before_an_interrupt)
{
    struct script *s = script_new(3);
    ASSERT_TRUE(s != NULL);
    struct worker w[3];
    static const char *const names[] = {"first", "second", "third"};
    for (size_t i = 0; i < 3; i++)
        w[i] = (struct worker){.name = names[i], .context = &s[i], .run = run_script};
    s[0].steps[0] = STEP_INTERRUPT;
    s[1].steps[2] = STEP_ERROR;
    EXPECT_EQ(STATUS_IO, workers_run(w, 3));
    EXPECT_STREQ("second: the disk is gone", status_message());
    EXPECT_EQ(4, s[2].taken);
    s[1].steps[2] = STEP_FINE;
    s[0].taken = s[1].taken = s[2].taken = 0;
    EXPECT_EQ(STATUS_INTERRUPTED, workers_run(w, 3));
    munmap(s, 3 * sizeof *s);
}

static enum status attempt(void *context)
{
    switch (*(const int *)context) {
    case 0:
        return STATUS_OK;
    case 1:
        return status_fail(STATUS_LIMIT, "said so");
    case 2:
        raise(SIGKILL);
        return STATUS_OK;
    case 3:
        _exit(0);
    default:
        for (;;)
            pause();
    }
}

TEST(process, what_is_tried_may_end_in_any_way)
{
    static const struct {
        enum status status;
        const char *message;
    } want[] = {{STATUS_OK, ""},
                {STATUS_LIMIT, "said so"},
                {STATUS_INPUT, "SIGKILL (Killed)"},
                {STATUS_INPUT, "it ended the process with exit code 0"},
                {STATUS_INPUT, "it did not end within 0.2 s"}};
    for (int i = 0; i < 5; i++) {
        test_note("%d", i);
        EXPECT_EQ(want[i].status, process_try(attempt, &i, 0.2));
        if (i > 0)
            EXPECT_CONTAINS(status_message(), want[i].message);
    }
    test_note(NULL);
}
