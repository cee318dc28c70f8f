#include "harness/cli/gate_options.h"
#include "harness/device/open.h"

#include "harness/cli/cli.h"

enum { KEY_CANDIDATE = 2048, KEY_ROUNDS, KEY_CONFIRM, KEY_SAMPLES, KEY_DEVICE, KEY_SEED };

const struct gate_options gate_option_defaults = {.rounds = GATE_ROUNDS,
                                                  .confirm_rounds = GATE_CONFIRM_ROUNDS,
                                                  .samples = GATE_SAMPLES,
                                                  .seed = 1,
                                                  .device = {.kind = DEVICE_CPU}};

static const struct argp_option options[] = {
    {"candidate", KEY_CANDIDATE, "LIB.so", 0,
     "the library of kernels under test; default: libnf4bench_kernels.so beside the program", 0},
    {"variant", 'v', "GLOB", 0, "only variants that match; !GLOB leaves out (may be repeated)", 0},
    {"axis", 'a', "AXIS=V,V", 0, "override an axis of the suite, as for `run`", 0},
    {"device", KEY_DEVICE, "DEVICE", 0, "cpu (the default), cuda, cuda:N ...", 0},
    {"rounds", KEY_ROUNDS, "K", 0, "fresh processes in which both sides are timed (default 10)", 0},
    {"confirm-rounds", KEY_CONFIRM, "K", 0, "the same for rows that were flagged (default 16)", 0},
    {"samples", KEY_SAMPLES, "N", 0, "of a side, a row and a round (default 20)", 0},
    {"seed", KEY_SEED, "N", 0, "seed of the inputs and the orders (default 1)", 0},
    {0}};

static void add(struct argp_state *state, const char **list, size_t *count, const char *value)
{
    if (*count == GATE_LIST_MAX)
        argp_error(state, "an option is repeated more than %d times", GATE_LIST_MAX);
    list[(*count)++] = value;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct gate_options *o = state->input;
    switch (key) {
    case KEY_CANDIDATE:
        o->candidate = value;
        return 0;
    case 'v':
        add(state, o->variants, &o->variant_count, value);
        return 0;
    case 'a':
        add(state, o->axes, &o->axis_count, value);
        return 0;
    case KEY_DEVICE:
        if (device_parse(value, &o->device) != STATUS_OK)
            argp_error(state, "%s", status_message());
        if (o->device.kind == DEVICE_SIMT)
            argp_error(state, "times under the executor mean nothing: a gate needs cpu or cuda");
        if (o->device.all)
            argp_error(state, "one GPU at a time: --device cuda:N");
        return 0;
    case KEY_ROUNDS:
        o->rounds = cli_count(state, "rounds", value, GATE_ROUNDS_LEAST, GATE_ROUNDS_MAX);
        return 0;
    case KEY_CONFIRM:
        o->confirm_rounds = cli_count(state, "confirm-rounds", value, GATE_ROUNDS_LEAST, GATE_ROUNDS_MAX);
        return 0;
    case KEY_SAMPLES:
        o->samples = cli_count(state, "samples", value, 1, GATE_ROUNDS_MAX);
        return 0;
    case KEY_SEED:
        o->seed = cli_seed(state, value);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {options, parse, NULL, NULL, NULL, NULL, NULL};
const struct argp_child gate_option_children[] = {{&argp, 0, "What is timed:", 10}, {0}};

enum status gate_session_open(struct gate_session *s, const struct gate_options *o, const char *suite,
                              const char *baseline, const char *candidate)
{
    *s = (struct gate_session){.devices = NULL};
    enum status status = suite_load(suite, &s->suite);
    for (size_t i = 0; i < o->axis_count && status == STATUS_OK; i++)
        status = suite_override(&s->suite, o->axes[i]);
    if (status == STATUS_OK)
        status = device_open(&o->device, &s->devices, &s->device_count);
    if (status != STATUS_OK)
        return status;
    device_format(&s->devices[0], s->device_text);
    s->sides = (struct gate_sides){.baseline = baseline,
                                   .candidate = candidate,
                                   .device = s->device_text,
                                   .samples = o->samples,
                                   .slowdown_count = 1,
                                   .seed = o->seed};
    const struct gate_plan plan = {
        .suite = &s->suite, .variants = o->variants, .variant_count = o->variant_count, .seed = o->seed};
    return gate_sides_open(&s->sides, &plan, &s->devices[0]);
}

void gate_session_close(struct gate_session *s)
{
    gate_sides_close(&s->sides);
    device_close(s->devices, s->device_count);
    if (s->suite.path)
        suite_release(&s->suite);
}
