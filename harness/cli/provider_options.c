#include <stdio.h>

#include "harness/cli/options.h"
#include "harness/provider/bitsandbytes.h"
#include "harness/provider/cublas.h"
#include "harness/provider/manifest.h"
#include "harness/provider/openblas.h"
#include "harness/provider/plugins.h"

#define CLI_ARGUMENTS struct provider_options
const struct cli_option provider_option_table[] = {
    {"bitsandbytes", 0, "PATH",
     "load this bitsandbytes library (or package folder) as a peer; auto: the package that python3 has",
     CLI_TEXT(bitsandbytes)},
    {"plugin", 0, "FILE.so",
     "load the variants of this library (may be repeated); one that is refused makes the exit code 2",
     CLI_LIST(plugins), .too_many = "--plugin is repeated more than %d times"},
    {"manifest", 0, "FILE.yaml",
     "add a CUDA variant: device code (cubin, fatbin or PTX) from elsewhere, launched as the file says "
     "(may be repeated)",
     CLI_LIST(manifests), .too_many = "--manifest is repeated more than %d times"},
    {0}};

enum status providers_load(const char *program, const struct provider_options *o, size_t *refused)
{
    *refused = plugins_load(program, o->plugins.items, o->plugins.count);
    enum status s = bitsandbytes_load(o->bitsandbytes);
    for (size_t i = 0; i < o->manifests.count && s == STATUS_OK; i++)
        if (manifest_load(o->manifests.items[i]) != STATUS_OK) {
            fprintf(stderr, "%s: %s\n", program, status_message());
            ++*refused;
        }
    s = s == STATUS_OK ? openblas_register() : s;
    return s == STATUS_OK ? cublas_register() : s;
}
