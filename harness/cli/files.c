#include "harness/cli/files.h"

#include <stdlib.h>

enum status cli_load(const char *const *paths, size_t count, struct result_set **sets)
{
    size_t loaded = 0;
    *sets = calloc(count, sizeof **sets);
    enum status s = *sets ? STATUS_OK : status_no_memory("results files");
    while (s == STATUS_OK && loaded < count) {
        s = result_set_load(paths[loaded], &(*sets)[loaded]);
        loaded += s == STATUS_OK;
    }
    if (s != STATUS_OK) {
        cli_release(*sets, loaded);
        *sets = NULL;
    }
    return s;
}

void cli_release(struct result_set *sets, size_t count)
{
    for (size_t i = 0; sets && i < count; i++)
        result_set_release(&sets[i]);
    free(sets);
}

enum status cli_write(const char *path, bool append, cli_write_fn *write, const void *context)
{
    struct output out;
    TRY(output_begin(path, append, &out));
    return output_end(&out, write(context, out.stream));
}
