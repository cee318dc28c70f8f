#include "harness/device/sample_product.h"

#include <math.h>
#include <string.h>

bool sample_product_right(const struct contract *c, const struct operands *o, const void *x, size_t i,
                          const void *element)
{
    const struct problem *p = &o->problem;
    const struct quantized w = operands_tensor(o, 0);
    const struct matmul product = {
        .m = p->m, .n = p->n, .k = p->k, .a = x, .bias = p->bias ? o->sets[0].bias.data : NULL, .w = &w};
    const size_t columns = p->op == OP_GEMM ? p->n : p->k, row = i / columns, col = i % columns;
    if (c->accumulation != ACC_ANY) {
        unsigned char want[sizeof(float)];
        dtype_store(c->out, want, 0, matmul_pinned_at(c, &product, row, col));
        return memcmp(element, want, dtype_size(c->out)) == 0;
    }
    double value, magnitude;
    matmul_fp64_at(c, &product, row, col, &value, &magnitude);
    const double got = (double)dtype_load(c->out, element, 0);
    return isfinite(value) ? fabs(got - value) <= matmul_bound(c, problem_reduced(p), value, magnitude)
                           : !isfinite(got);
}
