/*
 * one_hot_run.h: products whose outputs are single weights, for one_hot and exhaustive_decode: each row of
 * activations has a single 1.
 */
#ifndef NF4BENCH_HARNESS_VERIFY_ONE_HOT_RUN_H
#define NF4BENCH_HARNESS_VERIFY_ONE_HOT_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"
#include "harness/problem/operands.h"
#include "harness/verify/checks.h"
#include "reference/contract.h"
#include "reference/quantized.h"

/* What a product must give, in c->out, when the one activation that is not zero is 1 and meets a weight of
 * this code and block, or weight `element`, and every weight in the sum is finite. Widened to fp32. */
float one_hot_of(const struct contract *c, uint32_t code, struct quantized_block b, float bias);
float one_hot_value(const struct contract *c, const struct quantized *w, size_t element, float bias);

/* Calls the kernel on o, weights and bias of which are filled, for each m of the positions along the summed
 * dimension, and compares every output; sets FAIL. */
enum status one_hot_run(struct check_run *c, struct operands *o, const size_t *positions,
                        size_t position_count) WARN_UNUSED_RESULT;

#endif
