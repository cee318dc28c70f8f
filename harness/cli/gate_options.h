/*
 * cli/gate_options.h: what `gate` and `calibrate` share: the options that say which rows are timed, where and how
 * often, and the opening of all that these name.
 */
#ifndef NF4BENCH_HARNESS_CLI_GATE_OPTIONS_H
#define NF4BENCH_HARNESS_CLI_GATE_OPTIONS_H

#include "harness/cli/options.h"
#include "harness/gate/protocol.h"
#include "harness/suite/suite.h"

struct gate_options {
    const char *candidate; /* NULL: the program's own library */
    struct cli_list variants, axes;
    size_t rounds, confirm_rounds, samples;
    uint64_t seed;
    struct device device;
};
extern const struct gate_options gate_option_defaults;

/* They set a struct gate_options. */
extern const struct cli_option gate_option_table[];

/* The library under test. */
enum status gate_candidate(const struct gate_options *o, char *path, size_t size) WARN_UNUSED_RESULT;

/* Both libraries and their rows, on the device. */
struct gate_session {
    struct suite suite;
    struct device *devices; /* one */
    size_t device_count;
    char device_text[DEVICE_TEXT_MAX];
    struct gate_sides sides;
};
/* The paths must stay. Owned: gate_session_close(), whatever is returned. */
enum status gate_session_open(struct gate_session *s, const struct gate_options *o, const char *suite,
                              const char *baseline, const char *candidate) WARN_UNUSED_RESULT;
void gate_session_close(struct gate_session *s);

#endif
