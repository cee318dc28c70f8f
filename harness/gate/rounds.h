/*
 * gate/rounds.h: two libraries of kernels side by side: which rows they have in common, whether the
 * candidate's are right, and their times in rounds, each a process of its own (round.c).
 */
#ifndef NF4BENCH_HARNESS_GATE_ROUNDS_H
#define NF4BENCH_HARNESS_GATE_ROUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"
#include "harness/problem/device.h"
#include "harness/problem/problem.h"
#include "harness/problem/variant.h"
#include "harness/suite/plan.h"
#include "reference/contract.h"
#include "results/record.h"

/* The sides of a round: the baseline, then the candidate once for each slowdown (round.c). */
enum { GATE_SLOWDOWNS_MAX = 8, GATE_SIDES_MAX = 1 + GATE_SLOWDOWNS_MAX };

/* One round, as its process runs it. Returns the exit code. */
int gate_round_main(void);

struct gate_case {
    char case_text[PROBLEM_TEXT_MAX];
    char variant[VARIANT_NAME_MAX];
    enum regime regime;
    unsigned threads;
    char repro[1024]; /* of gate_compare(): a command that shows it again */
    char skip[256];   /* why it is not compared, or "" */
    bool unpaired;    /* it can run, and the baseline has no such variant: verified, not compared */
    /* of gate_verify(): */
    enum verdict verdict;
    char reason[256]; /* and of a fault while it was timed: then the verdict is not VERDICT_PASS */
    uint64_t hash;
    /* of the last gate_round(): */
    double us[GATE_SIDES_MAX]; /* medians; NAN: not timed */
    char code[2][24];          /* hashes of the machine code of baseline and candidate, "" where unknown */
};

struct gate_sides {
    const char *baseline, *candidate; /* files; owned by the caller */
    const char *device;               /* as device_parse() takes it */
    struct kernel *kernels[2];        /* of the two; never freed: other things point into them */
    size_t kernel_counts[2];
    size_t samples; /* of a side, a row and a round */
    double slowdowns[GATE_SLOWDOWNS_MAX];
    size_t slowdown_count;
    uint64_t seed;         /* of the orders */
    double settle_seconds; /* at the start of a round: what the suite asks for, but one second at most */
    double timer_us;       /* set by gate_round(): what an empty pair of clock readings takes */
    struct gate_case *rows;
    size_t row_count;
};

/* Loads both libraries and sets kernels and rows: those that the suite plans for either library. STATUS_USAGE for one library named twice, and when there is
 * no row. */
enum status gate_sides_open(struct gate_sides *s, const struct suite *suite,
                            const struct plan_options *options) WARN_UNUSED_RESULT;
/* Verifies the candidate's variants, each once; rows that the candidate lacks are VERDICT_FAIL. */
enum status gate_verify(struct gate_sides *s) WARN_UNUSED_RESULT;
/* Times the rows that are right, not skipped, and of which wanted[row] holds (NULL: all), in round `round`.
 */
enum status gate_round(struct gate_sides *s, size_t round, const bool *wanted) WARN_UNUSED_RESULT;
bool gate_case_timed(const struct gate_case *c); /* it is right, and not skipped */
void gate_sides_close(struct gate_sides *s);

/* The library of this program's own kernels, beside the program. */
enum status gate_default_library(char *path, size_t size) WARN_UNUSED_RESULT;

#endif
