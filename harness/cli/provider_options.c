#include "harness/cli/provider_options.h"

#include <stdio.h>

#include "harness/provider/bitsandbytes.h"
#include "harness/provider/cublas.h"
#include "harness/provider/manifest.h"
#include "harness/provider/openblas.h"
#include "harness/provider/plugin.h"

enum { KEY_BITSANDBYTES = 1024, KEY_PLUGIN, KEY_MANIFEST };

static void add(struct argp_state *state, const char *option, const char **list, size_t *count,
                const char *value)
{
    if (*count == PROVIDERS_MAX)
        argp_error(state, "--%s is repeated more than %d times", option, PROVIDERS_MAX);
    list[(*count)++] = value;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct provider_options *o = state->input;
    switch (key) {
    case KEY_BITSANDBYTES:
        o->bitsandbytes = value;
        return 0;
    case KEY_PLUGIN:
        add(state, "plugin", o->plugins, &o->plugin_count, value);
        return 0;
    case KEY_MANIFEST:
        add(state, "manifest", o->manifests, &o->manifest_count, value);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"bitsandbytes", KEY_BITSANDBYTES, "PATH", 0,
     "load this bitsandbytes library (or package folder) as a peer; auto: the package that python3 has", 0},
    {"plugin", KEY_PLUGIN, "FILE.so", 0,
     "load the variants of this library (may be repeated); one that is refused makes the exit code 2", 0},
    {"manifest", KEY_MANIFEST, "FILE.yaml", 0,
     "add a CUDA variant: device code (cubin, fatbin or PTX) from elsewhere, launched as the file says (may "
     "be "
     "repeated)",
     0},
    {0}};
static const struct argp argp = {options, parse, NULL, NULL, NULL, NULL, NULL};

const struct argp_child provider_children[] = {{&argp, 0, NULL, 0}, {0}};

enum status providers_load(const char *program, const struct provider_options *o, size_t *refused)
{
    *refused = plugins_load(program, o->plugins, o->plugin_count);
    enum status s = bitsandbytes_load(o->bitsandbytes);
    for (size_t i = 0; i < o->manifest_count && s == STATUS_OK; i++)
        if (manifest_load(o->manifests[i]) != STATUS_OK) {
            fprintf(stderr, "%s: %s\n", program, status_message());
            ++*refused;
        }
    s = s == STATUS_OK ? openblas_register() : s;
    return s == STATUS_OK ? cublas_register() : s;
}
