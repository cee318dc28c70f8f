/* Collectives of warps, right and wrong. */
#include "kernels/device/cuda.h"
#include "tests/simt/executor_kernels.h"

enum { LANES = 32, WIDTHS = 6, FORMS = 4 };

/* out[((operand * WIDTHS + log2 width) * FORMS + form) * 32 + lane] */
ENTRY(executor_shuffles, probe, 1024, probe_launch)
{
    uint32_t lane = threadIdx.x % LANES;
    for (int operand = 0; operand < LANES; operand++) {
        for (int log = 0; log < WIDTHS; log++) {
            int width = 1 << log;
            uint32_t v = lane * 3 + (uint32_t)operand;
            uint32_t *out = a.out + (operand * WIDTHS + log) * FORMS * LANES + lane;
            out[0 * LANES] = __shfl_sync(0xffffffffu, v, operand, width);
            out[1 * LANES] = __shfl_up_sync(0xffffffffu, v, (unsigned)operand, width);
            out[2 * LANES] = __shfl_down_sync(0xffffffffu, v, (unsigned)operand, width);
            out[3 * LANES] =
                __float_as_uint(__shfl_xor_sync(0xffffffffu, __uint_as_float(v), operand, width));
        }
    }
}

/* One bit of in[0] for each lane is its predicate. */
ENTRY(executor_votes, probe, 1024, probe_launch)
{
    uint32_t lane = threadIdx.x % LANES;
    int predicate = (int)(a.in[0] >> lane & 1);
    uint32_t *out = a.out + 3 * threadIdx.x;
    out[0] = __ballot_sync(0xffffffffu, predicate * 8);
    out[1] = (uint32_t)__any_sync(0xffffffffu, predicate);
    out[2] = (uint32_t)__all_sync(0xffffffffu, predicate);
}

/* The two halves of each warp go their own ways, with different numbers of steps, and meet again. */
ENTRY(executor_masks, probe, 1024, probe_launch)
{
    uint32_t lane = threadIdx.x % LANES, v = global_thread() * 7u;
    if (lane < 16) {
        for (int i = 8; i; i /= 2)
            v += __shfl_xor_sync(0x0000ffffu, v, i);
    } else {
        v += __shfl_xor_sync(0xffff0000u, v, 1);
        if (lane & 1)
            v ^= __ballot_sync(0xaaaa0000u, (int)(v & 4));
    }
    __syncwarp();
    v += __shfl_sync(0xffffffffu, v, 31 - (int)lane);
    a.out[global_thread()] = v;
}

/* mode says what is wrong; with a mode that is not one, nothing. */
ENTRY(executor_wrong_lanes, probe, 1024, probe_launch)
{
    uint32_t lane = threadIdx.x % LANES, v = lane;
    switch (a.mode) {
    case 0: /* half of the lanes return */
        if (lane >= 16)
            return;
        v = __shfl_sync(0xffffffffu, v, 0); // @returned
        break;
    case 1:                                 /* a lane that is not in its own mask */
        v = __shfl_sync(0x0000fffeu, v, 1); // @own
        break;
    case 2: /* one mask, two lines */
        if (lane == 5)
            v = __shfl_sync(0xffffffffu, v, 1); // @one
        else
            v = __shfl_sync(0xffffffffu, v, 1); // @other
        break;
    case 3: /* the source is not in the mask */
        if (lane < 8)
            v = __shfl_down_sync(0xffu, v, 1); // @source
        break;
    case 4: /* two masks that wait for each other's lanes */
        if (lane < 16)
            __syncwarp(0x0001ffffu); // @first_mask
        else
            __syncwarp(0xffff0001u); // @second_mask
        break;
    case 5: /* a vote and a shuffle */
        v = lane == 9 ? __ballot_sync(0xffffffffu, 1) : __shfl_sync(0xffffffffu, v, 2); // @kinds
        break;
    case 6:                                     /* lanes that the block does not have */
        v = __shfl_xor_sync(0xffffffffu, v, 1); // @partial
        break;
    case 7:
        v = __shfl_sync(0xffffffffu, v, 0, 12); // @width
        break;
    }
    a.out[global_thread()] = v;
}

/* Each thread: one prmt of three words. */
ENTRY(executor_prmt, probe, 256, probe_launch)
{
    const size_t i = global_thread();
    a.out[i] = prmt(a.in[3 * i], a.in[3 * i + 1], a.in[3 * i + 2]);
}
