#include "harness/run/workers.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/base/child.h"
#include "harness/base/watch.h"
#include "harness/problem/variant.h"

#include "tests/test.h"

/* Steps that a worker takes, and what becomes of them: shared with it. */
struct script {
    enum step {
        STEP_FINE,
        STEP_CRASH,
        STEP_EXIT,
        STEP_HANG,
        STEP_CRASH_ALONE,
        STEP_ERROR,
        STEP_INTERRUPT
    } steps[4];
    size_t taken; /* a step that was excluded is not taken again */
    size_t runs;
    /* The last that was excluded: */
    size_t excluded;
    const struct kernel *kernel;
    enum verdict verdict;
    char reason[200];
};

static enum status take(enum step step)
{
    const struct kernel *k = kernel_at(3);
    if (step == STEP_ERROR)
        return status_fail(STATUS_IO, "the disk is gone");
    if (step == STEP_INTERRUPT)
        return status_fail(STATUS_INTERRUPTED, "interrupted");
    watch_begin(k, "a call");
    if (step == STEP_CRASH)
        raise(SIGSEGV);
    if (step == STEP_EXIT)
        _exit(7);
    while (step == STEP_HANG)
        pause();
    watch_end();
    if (step == STEP_CRASH_ALONE)
        raise(SIGKILL);
    return STATUS_OK;
}

static enum status run_script(void *context)
{
    struct script *s = context;
    enum status status = STATUS_OK;
    s->runs++;
    while (s->taken < sizeof s->steps / sizeof s->steps[0] && status == STATUS_OK) {
        status = take(s->steps[s->taken]);
        s->taken++;
    }
    return status;
}

static enum status note(void *context, const struct kernel *k, enum verdict verdict, const char *reason)
{
    struct script *s = context;
    s->taken++;
    s->excluded++;
    s->kernel = k;
    s->verdict = verdict;
    snprintf(s->reason, sizeof s->reason, "%s", reason);
    return STATUS_OK;
}

static struct script *script_new(size_t count)
{
    struct script *s =
        mmap(NULL, count * sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return s == MAP_FAILED ? NULL : s;
}

static enum status run_one(struct script *s, bool watched)
{
    const struct worker w = {
        .name = "", .context = s, .run = run_script, .exclude = watched ? note : NULL, .limit_s = 0.3};
    return workers_run(&w, 1);
}

TEST(workers, a_variant_that_ends_its_child_is_excluded_and_the_rest_is_done)
{
    static const struct {
        enum step step;
        enum verdict verdict;
        const char *reason;
    } cases[] = {{STEP_CRASH, VERDICT_CRASHED, "in a call"}, /* a sanitizer turns the signal into an exit */
                 {STEP_EXIT, VERDICT_CRASHED, "it ended the process with exit code 7 in a call"},
                 {STEP_HANG, VERDICT_TIMEOUT, "a call did not end within 0.3 s"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct script *s = script_new(1);
        ASSERT_TRUE(s != NULL);
        s->steps[1] = cases[i].step;
        EXPECT_EQ(STATUS_OK, run_one(s, true));
        EXPECT_EQ(4, s->taken);
        EXPECT_EQ(2, s->runs);
        EXPECT_EQ(1, s->excluded);
        EXPECT_TRUE(s->kernel == kernel_at(3));
        EXPECT_EQ(cases[i].verdict, s->verdict);
        EXPECT_CONTAINS(s->reason, cases[i].reason);
        munmap(s, sizeof *s);
    }
}

TEST(workers, what_no_call_did_is_an_error_that_names_the_last_call)
{
    struct script *s = script_new(1);
    ASSERT_TRUE(s != NULL);
    s->steps[1] = STEP_CRASH_ALONE;
    EXPECT_EQ(STATUS_INTERNAL, run_one(s, true));
    EXPECT_EQ(0, s->excluded);
    EXPECT_CONTAINS(status_message(), "in no variant's call: SIGKILL");
    EXPECT_CONTAINS(status_message(), kernel_at(3)->name);
    munmap(s, sizeof *s);
    s = script_new(1);
    ASSERT_TRUE(s != NULL);
    s->steps[1] = STEP_CRASH;
    EXPECT_EQ(STATUS_INTERNAL, run_one(s, false)); /* not watched */
    munmap(s, sizeof *s);
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
