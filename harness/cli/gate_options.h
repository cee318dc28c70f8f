/*
 * cli/gate_options.h: what `gate` and `calibrate` share: the options that say which rows are timed, where and how
 * often (an argp parser to be a child of the command's own), and the opening of all that these name.
 */
#ifndef NF4BENCH_HARNESS_CLI_GATE_OPTIONS_H
#define NF4BENCH_HARNESS_CLI_GATE_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include <argp.h>

#include "harness/gate/protocol.h"
#include "harness/problem/device.h"
#include "harness/suite/suite.h"

enum { GATE_LIST_MAX = 64 };

struct gate_options {
    const char *candidate; /* NULL: the program's own library */
    const char *variants[GATE_LIST_MAX], *axes[GATE_LIST_MAX];
    size_t variant_count, axis_count, rounds, confirm_rounds, samples;
    uint64_t seed;
    struct device device;
};
extern const struct gate_options gate_option_defaults;

/* Its input is a struct gate_options: set state->child_inputs[0] to it at ARGP_KEY_INIT. */
extern const struct argp_child gate_option_children[];

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
