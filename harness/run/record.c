#include "harness/run/record.h"

#include <stdio.h>

#include "harness/measure/judge.h"

static void set_device(struct record *r, const struct device *d)
{
    SET_TEXT(r->device, device_model(d));
    if (d->kind != DEVICE_CUDA)
        return;
    SET_TEXT(r->device_uuid, d->gpu.uuid);
    r->device_number = (uint32_t)d->gpu.ordinal;
    r->device_sm = d->gpu.sm;
    r->device_sm_count = d->gpu.sm_count;
    r->device_cache_bytes = d->gpu.l2_bytes;
    r->device_ecc = d->gpu.ecc;
}

void run_record_problem(struct record *r, const struct plan *plan, const struct plan_group *g,
                        size_t batch_number, enum regime regime, const struct operands *o)
{
    set_device(r, plan->device);
    const struct problem *p = &g->problem;
    problem_format(p, r->case_key, sizeof r->case_key);
    SET_TEXT(r->suite, plan->suite->name);
    SET_TEXT(r->weights, p->weights);
    SET_TEXT(r->format, format_word(p->format.kind));
    r->op = (uint8_t)p->op;
    r->out_type = (uint8_t)p->out;
    r->m = p->m;
    r->n = p->n;
    r->k = p->k;
    r->blocksize = p->format.kind == FORMAT_DENSE ? 0 : (uint32_t)p->format.blocksize;
    r->nested = p->format.nested;
    r->zeros = p->format.zeros;
    r->act_order = p->format.act_order;
    r->bias = p->bias;
    r->threads = plan->device->kind == DEVICE_CUDA ? 0 : g->threads;
    r->seed = p->seed;
    r->regime = (uint8_t)regime;
    r->group_id = group_id_make(batch_number, regime);
    r->bits_per_weight =
        8.0 * (double)(problem_packed_bytes(p) + problem_scale_bytes(p)) / (double)problem_weight_count(p);
    r->format_bytes = (double)problem_format_bytes(p);
    if (o) {
        r->weight_sqnr_db = o->fit.sqnr_db;
        r->weight_max_abs_error = o->fit.max_abs_error;
        r->int4_sqnr_db = o->fit.int4_sqnr_db;
        r->int4_max_abs_error = o->fit.int4_max_abs_error;
    }
}

void run_record_kernel(struct record *r, const struct kernel *k, const struct problem *p)
{
    SET_TEXT(r->variant, k->name);
    if (k->blas == BLAS_DENSE)
        SET_TEXT(r->format, "dense");
    SET_TEXT(r->arch, k->arch);
    SET_TEXT(r->layout, k->blas == BLAS_DENSE ? "dense"
                        : kernel_code(k) & CODE_PREPARES && !k->blas
                            ? "repacked"
                            : layout_track(kernel_layout(k), k->contract.format));
    if (!contract_format(&k->contract, r->contract, sizeof r->contract))
        r->contract[0] = '\0';
    if (k->source_hash)
        SET_TEXT(r->source_hash, k->source_hash);
    /* That of a CUDA variant is its host build's; the GPU says what it ran. */
    if (k->code_hash && k->backend == BACKEND_CPU)
        SET_TEXT(r->code_hash, k->code_hash);
    /* It reads these weights instead of those by rows. NF4's repacked codes are as many, and scales are by
     * rows. */
    const enum layout layout = kernel_layout(k);
    double bits = r->bits_per_weight;
    if (k->blas == BLAS_DENSE)
        bits = 8.0 * (double)dtype_size(k->contract.out);
    else if (layout != LAYOUT_ROWS && layout != LAYOUT_FRAGMENTS)
        bits = 8.0 * (double)layout_bytes(layout, p) / (double)problem_weight_count(p);
    r->format_bytes += (double)problem_weight_count(p) * (bits - r->bits_per_weight) / 8;
    r->bits_per_weight = bits;
}

void run_record_verification(struct record *r, const struct verification *v)
{
    r->verdict = (uint8_t)v->verdict;
    SET_TEXT(r->check, v->check);
    SET_TEXT(r->reason, v->reason);
    SET_TEXT(r->diagnosis, v->detail);
    r->compared_count = v->compared;
    r->mismatch_count = v->mismatches;
    r->first_mismatch = v->first_mismatch;
    r->max_ulp = v->real.max_ulp;
    uint64_t *const classes[ULP_CLASSES] = {&r->ulp_0, &r->ulp_1,  &r->ulp_2,   &r->ulp_4,
                                            &r->ulp_8, &r->ulp_16, &r->ulp_more};
    for (int i = 0; i < ULP_CLASSES; i++)
        *classes[i] = v->real.ulp[i];
    r->max_abs_error = v->max_abs_error;
    r->relative_frobenius_error = v->relative_frobenius_error;
    r->mean_error = v->mean_error;
    r->output_sqnr_db = v->output_sqnr_db;
    r->bound = v->bound;
    r->bound_margin = v->bound_margin;
    r->verify_s = v->seconds;
}

static void set_gpu_measurement(struct record *r, const struct measure_row *m,
                                const struct measure_state *state)
{
    r->sm_mhz = m->sensors.sm_mhz;
    r->memory_mhz = m->sensors.memory_mhz;
    r->power_w = m->sensors.power_w;
    r->temperature_c = m->sensors.temperature_c;
    r->throttle_reasons = m->sensors.reasons;
    r->settled_mhz = state->settled_mhz;
    r->cold_ratio = state->cold_ratio;
    r->hot_graph = m->graph;
    if (!m->kernel)
        return;
    r->registers = (uint32_t)m->code.registers;
    r->shared_bytes = (uint64_t)m->code.shared_bytes + m->code.dynamic_shared_bytes;
    r->local_bytes = (uint32_t)m->code.local_bytes;
    r->blocks_per_sm = (uint32_t)m->code.blocks_per_sm;
    if (m->code.code_hash)
        snprintf(r->code_hash, sizeof r->code_hash, "%016llx", (unsigned long long)m->code.code_hash);
}

void run_record_measurement(struct record *r, const struct measure_group *g, const struct measure_row *m,
                            const struct measure_state *state, const struct problem *p)
{
    const struct sample_summary *s = &m->summary;
    r->sample_count = m->sample_count + m->retried;
    r->retried_count = m->retried;
    r->excluded_count = m->excluded;
    r->calls_per_sample = m->calls_per_sample;
    r->operand_copies = m->copies;
    r->median_us = s->median;
    r->median_lo_us = s->median_ci.lo;
    r->median_hi_us = s->median_ci.hi;
    r->min_us = s->min;
    r->p10_us = s->p10;
    r->p90_us = s->p90;
    r->mad_us = s->mad;
    r->iqr_us = s->iqr;
    r->lag1_autocorrelation = s->lag1_autocorrelation;
    r->bimodal = s->bimodal;
    r->settled = !state->unsettled;
    r->timer_overhead_us = state->timer_overhead_us;
    r->precise = m->precise;
    r->gemm_flop_per_s = state->gemm_flop_per_s;
    if (measure_device(g)->kind == DEVICE_CUDA)
        set_gpu_measurement(r, m, state);
    const double second = 1e-6 * s->median, weights = (double)problem_weight_count(p);
    if (!m->kernel)
        r->format_bytes = ceiling_bytes(m->ceiling, p); /* the ceiling's own */
    r->bytes_per_s = r->format_bytes / second;
    if (m->kernel) {
        r->weights_per_s = weights / second;
        r->flop_per_s = 2.0 * (double)p->m * weights / second;
        SET_TEXT(r->ceiling, ceiling_word(g->against[m->problem]->ceiling));
        r->ceiling_fraction = m->ceiling_fraction.ratio;
        r->ceiling_fraction_lo = m->ceiling_fraction.ci.lo;
        r->ceiling_fraction_hi = m->ceiling_fraction.ci.hi;
    }
    judge_flags(r);
}
