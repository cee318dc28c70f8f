#include "harness/cli/output.h"

#include <string.h>

enum status cli_write(const char *path, bool append, cli_write_fn *write, const void *context)
{
    const bool file = path && strcmp(path, "-") != 0;
    FILE *out = file ? fopen(path, append ? "a" : "w") : stdout;
    if (!out)
        return status_fail(STATUS_IO, "%s: %m", path);
    enum status s = write(context, out);
    bool broken = fflush(out) != 0 || ferror(out);
    if (file)
        broken = fclose(out) != 0 || broken;
    if (s == STATUS_OK && broken)
        s = status_fail(STATUS_IO, "%s: cannot write: %m", file ? path : "standard output");
    return s;
}
