#include "harness/device/call.h"

void call_cpu(const struct operands *o, size_t i, const struct kernel *k, const void *prepared)
{
    if (k->contract.op == OP_DEQUANT) {
        struct dequant_args args = operands_dequant_args(o, i, kernel_layout(k));
        if (k->dequant_rows)
            k->dequant_rows(&args, o->problem.n, o->problem.k);
        else
            k->dequant(&args);
    } else {
        struct gemm_args args = operands_gemm_args(o, i, kernel_layout(k));
        if (prepared)
            args.prepared = prepared;
        if (k->product)
            k->product(k, &args);
        else
            k->gemm(&args);
    }
}
