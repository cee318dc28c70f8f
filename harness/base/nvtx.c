#include "harness/base/nvtx.h"

#ifdef NF4BENCH_HAVE_NVTX

#include <nvtx3/nvToolsExt.h>

void nvtx_push(const char *name)
{
    nvtxRangePushA(name);
}

void nvtx_pop(void)
{
    nvtxRangePop();
}

#else

void nvtx_push(const char *name)
{
    (void)name;
}

void nvtx_pop(void)
{
}

#endif
