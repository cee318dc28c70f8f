/*
 * special_scales: the problem's own shape, every second block of which has a scale that code for rare cases meets: zeros,
 * denormals, the largest and, where no sum would become infinite, what is not finite. exhaustive_decode has all scales, in rows of
 * one block; another path may be taken in longer ones, or where there are fewer weights. Once for each
 * shape, kind of blocks and m.
 */
#include <math.h>

#include "harness/base/random.h"
#include "harness/verify/check_run.h"

/* For products the first of them. */
static const float special[] = {
    0,        -0.0f,       0x1p-149f, -0x1.8p-140f, 0x1p-126f,       0x1.8p-126f, 0x1p-24f,  0x1.8p-20f,
    0x1p-14f, -0x1.4p-15f, 1,         -1,           0x1.fffffep127f, INFINITY,    -INFINITY, NAN};
enum { SPECIAL = sizeof special / sizeof special[0], SPECIAL_IN_SUMS = 12 };

/* One of two scales is special. */
static void fill_special_scales(struct operands *o, enum layout layout)
{
    const struct problem *p = &o->problem;
    const size_t blocks = problem_block_count(p), choice = p->op == OP_DEQUANT ? SPECIAL : SPECIAL_IN_SUMS;
    struct operand_set *set = &o->sets[0];
    decode_fill_scales(o, blocks, 0, layout);
    for (size_t i = 0; i < blocks; i++) {
        const uint64_t r = random_u64(p->seed, RANDOM_SCALES, i), which = (r >> 1) % choice;
        const float scale = r & 1 ? special[which] : 0.01f * (float)(1 + which);
        if (set->absmax.size)
            ((float *)set->absmax.data)[i] = scale;
        if (set->nested_absmax.size && i < nested_group_count(blocks))
            ((float *)set->nested_absmax.data)[i] = scale;
        if (set->absmax_code.size)
            ((uint8_t *)set->absmax_code.data)[i] = (uint8_t)(r >> 8);
        if (set->scale.size)
            ((uint16_t *)set->scale.data)[i] = f16_from_f32(scale);
    }
}

enum status check_special_scales(struct check_run *c)
{
    enum { POSITIONS_MAX = 16 };
    struct problem p = c->operands->problem;
    const size_t extent = p.op == OP_GEMMDX ? p.n : p.k, kind = random_mix(kind_of_blocks(&p)),
                 shape = SIZE_MAX - random_mix(p.n + random_mix(p.k + kind)) % (SIZE_MAX / 2);
    p.bias = false;
    p.m = p.m < POSITIONS_MAX ? p.m : POSITIONS_MAX;
    if (is_decoded(c->verifier, c->kernel, shape, p.m))
        return STATUS_OK;
    struct operands o;
    TRY(operands_init_blank(&p, c->operands->device, &o));
    decode_fill_codes(&o);
    fill_special_scales(&o, kernel_layout(c->kernel));
    operands_rehash(&o);
    /* The executor, which is slow, has one call. */
    const size_t most = device_slow(o.device) ? p.m : POSITIONS_MAX;
    const enum status s = decoded_right(c, &o, extent < most ? extent : most, true);
    operands_release(&o);
    if (s == STATUS_OK && c->out->verdict == VERDICT_PASS)
        remember_decoded(c->verifier, c->kernel, shape, p.m);
    return s;
}
