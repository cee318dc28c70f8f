#include "harness/base/nvtx.h"

#ifdef NF4BENCH_HAVE_NVTX
#include <nvtx3/nvToolsExt.h>
#endif

void nvtx_push(const char *name)
{
#ifdef NF4BENCH_HAVE_NVTX
    nvtxRangePushA(name);
#else
    (void)name;
#endif
}

void nvtx_pop(void)
{
#ifdef NF4BENCH_HAVE_NVTX
    nvtxRangePop();
#endif
}
