#include "harness/base/watch.h"

#include <stdatomic.h>

static struct watch unwatched;
static struct watch *watch = &unwatched;

void watch_share(struct watch *shared)
{
    watch = shared;
}

void watch_begin(const struct kernel *k, const char *what)
{
    atomic_fetch_add(&watch->begun, 1);
    watch->what = what;
    watch->last = k;
    watch->kernel = k;
}

void watch_end(void)
{
    watch->kernel = 0;
}
