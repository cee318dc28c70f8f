#include "harness/verify/checks.h"

#include "harness/verify/check_run.h"

enum {
    FORWARD = 1 << OP_GEMM,
    PRODUCTS = FORWARD | 1 << OP_GEMMDX,
    WEIGHTS = PRODUCTS | 1 << OP_DEQUANT,
    ALL = (1 << OP_COUNT) - 1
};

static bool any_variant(const struct kernel *k)
{
    (void)k;
    return true;
}

/* A peer that rounds its scales has no single weight with the right bits. exact_sums, whose scales are powers
 * of two, and the bound of real_data judge that peer. */
static bool exact_weights(const struct kernel *k)
{
    return k->extra_unit == 0;
}

static bool exact_quantized_weights(const struct kernel *k)
{
    return exact_weights(k) && k->contract.format != FORMAT_DENSE;
}

static bool pinned_16_bit_sum(const struct kernel *k)
{
    return k->contract.out != DTYPE_F32 && k->contract.accumulation != ACC_ANY && !k->no_bias;
}

static bool pinned_bits(const struct kernel *k)
{
    return k->contract.accumulation != ACC_ANY || k->deterministic;
}

const struct check checks[] = {
#define CHECK(name, operations, applies, catches) {#name, catches, operations, applies, check_##name},
#define GUARD(name, catches)                      {#name, catches, ALL, any_variant, NULL},
#include "results/checks.inc"
};
const size_t check_count = sizeof checks / sizeof checks[0];

bool check_applies(const struct check *check, const struct kernel *k)
{
    return check->run && check->operations >> k->contract.op & 1 && check->applies(k);
}

void checks_print(FILE *out)
{
    for (size_t i = 0; i < check_count; i++) {
        const struct check *check = &checks[i];
        char words[64];
        size_t length = 0;
        for (unsigned op = 0; op < OP_COUNT; op++)
            if (check->operations >> op & 1)
                length += (size_t)snprintf(words + length, sizeof words - length, "%s%s", length ? "," : "",
                                           op_word(op));
        fprintf(out, "%-18s %-37s %s%s\n", check->name, words, check->catches,
                check->run ? "" : " (outside of verify)");
    }
}
