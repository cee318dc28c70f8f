#include "harness/suite/expect.h"

/* Seconds of one thread. Each row is verified by calls of the whole problem and, of a product, of products
 * with chosen inputs that show its weights one by one. */
struct device_rates {
    double row_s;                 /* of a row, whatever its size: operands, hashes, messages */
    double call_s;                /* of a verified call, whatever its size */
    double weight_s, operation_s; /* of a call: of a weight, of a multiply-add */
};

/* CPU and SIMT: fitted to the processor time of `nf4bench verify` on one core of a Xeon with AVX-512, for
 * dequantize and gemm (m of 1, 16, 64) at 0.25, 1 and 4 million weights. CUDA: not measured. */
static const struct device_rates rates[] = {
    [DEVICE_CPU] = {0.08, 3e-3, 0.3e-9, 0.15e-9},
    [DEVICE_SIMT] = {0.1, 15e-3, 4e-9, 0.5e-9},
    [DEVICE_CUDA] = {0.02, 2e-6, 0.3e-9, 0.15e-9},
};
enum { CALLS_OF_PRODUCT = 24 /* 11 to 36: the fewer, the larger m is */, CALLS_OF_OTHERS = 4 };

/* Of the reference, on one thread: quantizing the weights of a group, its product in double precision, and
 * the product of a row's contract. */
static const double quantize_weight_s = 3e-9, product_operation_s = 1.5e-9, contract_operation_s = 0.5e-9;

static const double timed_call_s = 2e-6; /* of a timed call, whatever its size */
static const double samples_share = 2;   /* times min_samples: where sampling ends */

double expect_seconds(const struct plan_group *g, enum device_kind device, const struct measure_settings *m,
                      size_t rows)
{
    const struct device_rates *r = &rates[device];
    const struct problem *p = &g->problem;
    const bool product = op_is_product(p->op);
    const double weights = (double)problem_weight_count(p),
                 operations = weights * (double)(product ? p->m : 1),
                 calls = product ? CALLS_OF_PRODUCT : CALLS_OF_OTHERS, threads = g->threads;
    const double size_s = weights * r->weight_s + operations * r->operation_s;
    const double reference_s = (weights * quantize_weight_s + operations * product_operation_s) / threads;
    const double row_s =
        r->row_s + (calls * (r->call_s + size_s) + operations * contract_operation_s) / threads;
    const double sampled_s =
        (double)rows * (size_s / threads + timed_call_s) * (double)m->min_samples * samples_share;
    const double regime_s = sampled_s < m->max_seconds ? sampled_s : m->max_seconds;
    return reference_s + (double)rows * row_s + regime_s * (g->cold + g->hot);
}
