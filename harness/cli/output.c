#include "harness/cli/output.h"

enum status cli_write(const char *path, bool append, cli_write_fn *write, const void *context)
{
    struct output out;
    const enum status s = output_begin(path, append, &out);
    return s == STATUS_OK ? output_end(&out, write(context, out.stream)) : s;
}
