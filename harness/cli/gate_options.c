#include "harness/cli/gate_options.h"

#include <stdio.h>

#include "harness/device/open.h"

const struct gate_options gate_option_defaults = {.rounds = GATE_ROUNDS,
                                                  .confirm_rounds = GATE_CONFIRM_ROUNDS,
                                                  .samples = GATE_SAMPLES,
                                                  .seed = 1,
                                                  .device = {.kind = DEVICE_CPU}};

/* One device that has times. */
static void read_device(struct argp_state *state, const struct cli_option *o, void *to, char *value)
{
    const struct device *device = to;
    cli_device(state, o, to, value);
    if (device->kind == DEVICE_SIMT)
        argp_error(state, "times under the executor mean nothing: a gate needs cpu or cuda");
    if (device->all)
        argp_error(state, "one GPU at a time: --device cuda:N");
}

#define CLI_ARGUMENTS struct gate_options
const struct cli_option gate_option_table[] = {
    {.help = "What is timed:", .group = 10},
    {"candidate", 0, "LIB.so",
     "the library of kernels under test; default: libnf4bench_kernels.so beside the program",
     CLI_TEXT(candidate)},
    {"variant", 'v', "GLOB", "only variants that match; !GLOB leaves out (may be repeated)",
     CLI_LIST(variants)},
    {"axis", 'a', "AXIS=V,V", "override an axis of the suite, as for `run`", CLI_LIST(axes)},
    {"device", 0, "DEVICE", "cpu (the default), cuda, cuda:N ...", .read = read_device,
     .offset = offsetof(struct gate_options, device)},
    {"rounds", 0, "K", "fresh processes in which both sides are timed (default 10)", CLI_COUNT(rounds),
     .least = GATE_ROUNDS_LEAST, .most = GATE_ROUNDS_MAX},
    {"confirm-rounds", 0, "K", "the same for rows that were flagged (default 16)", CLI_COUNT(confirm_rounds),
     .least = GATE_ROUNDS_LEAST, .most = GATE_ROUNDS_MAX},
    {"samples", 0, "N", "of a side, a row and a round (default 20)", CLI_COUNT(samples), .least = 1,
     .most = GATE_ROUNDS_MAX},
    {"seed", 0, "N", "seed of the inputs and the orders (default 1)", CLI_SEED(seed)},
    {0}};

enum status gate_candidate(const struct gate_options *o, char *path, size_t size)
{
    if (!o->candidate)
        return gate_default_library(path, size);
    snprintf(path, size, "%s", o->candidate);
    return STATUS_OK;
}

enum status gate_session_open(struct gate_session *s, const struct gate_options *o, const char *suite,
                              const char *baseline, const char *candidate)
{
    *s = (struct gate_session){.devices = NULL};
    TRY(suite_load(suite, &s->suite));
    for (size_t i = 0; i < o->axes.count; i++)
        TRY(suite_override(&s->suite, o->axes.items[i]));
    TRY(device_open(&o->device, &s->devices, &s->device_count));
    device_format(&s->devices[0], s->device_text);
    s->sides = (struct gate_sides){.baseline = baseline,
                                   .candidate = candidate,
                                   .device = s->device_text,
                                   .samples = o->samples,
                                   .slowdown_count = 1,
                                   .seed = o->seed};
    const struct plan_options options = {.variants = o->variants.items,
                                         .variant_count = o->variants.count,
                                         .seed = o->seed,
                                         .measure = true,
                                         .device = &s->devices[0]};
    return gate_sides_open(&s->sides, &s->suite, &options);
}

void gate_session_close(struct gate_session *s)
{
    gate_sides_close(&s->sides);
    device_close(s->devices, s->device_count);
    if (s->suite.path)
        suite_release(&s->suite);
}
