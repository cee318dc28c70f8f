/*
 * run/record.h: fills a row of the results file (struct record) from what was planned, verified and measured.
 * Each function sets its own columns; the units are those of results/record.inc. Before: record_init().
 */
#ifndef NF4BENCH_HARNESS_RUN_RECORD_H
#define NF4BENCH_HARNESS_RUN_RECORD_H

#include <stdio.h>

#include "harness/measure/measure.h"
#include "harness/problem/operands.h"
#include "harness/suite/plan.h"
#include "harness/verify/verify.h"
#include "results/record.h"

/* Copies a text into an array, cut to fit. */
#define SET_TEXT(field, text) (void)snprintf(field, sizeof(field), "%.*s", (int)sizeof(field) - 1, text)

/* The device, the problem of a group of the plan, and how well its weights fit; o: NULL where there are
 * none. batch_number: of the first group of its batch, over all plans; regime: REGIME_NONE of a row that
 * is not timed. */
void run_record_problem(struct record *r, const struct plan *plan, const struct plan_group *g,
                        size_t batch_number, enum regime regime, const struct operands *o);
/* The variant. Corrects the bytes that run_record_problem() set where it reads another layout. */
void run_record_kernel(struct record *r, const struct kernel *k, const struct problem *p);
void run_record_verification(struct record *r, const struct verification *v);
/* Times and what follows from them; call it last but for run_record_verification(): it needs the bytes. */
void run_record_measurement(struct record *r, const struct measure_group *g, const struct measure_row *m,
                            const struct measure_state *state, const struct problem *p);

#endif
