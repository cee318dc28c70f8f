/*
 * serve_probe.c: single instructions of the tensor cores, for probe.h.
 */
#include "harness/device/cuda/mma_tile.h"
#include "harness/device/cuda/serve.h"

bool serve_mma(struct serve *s)
{
    struct channel *c = s->channel;
    size_t bytes = c->count * sizeof(struct mma_tile);
    enum { WARPS = 4 };
    int bf16 = c->problem.out == DTYPE_BF16;
    uint64_t address, count = c->count;
    if (c->count == 0 || bytes > CHANNEL_WINDOW_BYTES)
        return serve_fail(s, STATUS_INTERNAL, "mma: more tiles than the window has room for");
    if (!SERVE_CALL(s, cuMemAlloc, &address, bytes))
        return false;
    return SERVE_CALL(s, cuMemcpyHtoD, address, c->window, bytes) &&
           serve_support(s, SUPPORT_mma, (unsigned)((count + WARPS - 1) / WARPS), 32 * WARPS,
                         (void *[]){&address, &count, &bf16}) &&
           serve_synchronize(s) && SERVE_CALL(s, cuMemcpyDtoH, c->window, address, bytes) &&
           SERVE_CALL(s, cuMemFree, address);
}
