/*
 * gate/round.h: one round of a comparison, in a process that is this program anew: both libraries are loaded,
 * and each row's two sides are sampled in alternation.
 *
 * Its parent (gate/rounds.h) writes the job to its stdin, one JSON object:
 *
 *   {"baseline": FILE, "candidate": FILE, "swap": false, "device": "cpu", "verify": false, "seed": "1",
 *    "samples": 20, "settle_seconds": 1.0, "slowdowns": [0],
 *    "rows": [{"case": TEXT, "variant": NAME, "regime": "cold", "threads": 2, "hash": HEX}, ...]}
 *
 * and reads lines of JSON from its stdout, one for each row in the order in which they are done:
 *
 *   {"row": 3, "us": [base, candidate, ...], "code": [HEX, HEX], "fault": ""}      timed: medians
 *   {"row": 3, "verdict": 1, "check": "", "reason": "", "detail": "", "hash": HEX}     with "verify": true
 *   {"error": MESSAGE, "status": 5}                                                 what ended it
 *
 * `us` has the baseline and then the candidate once for each of `slowdowns`, its samples longer by that
 * share. With "verify" the candidate's variants are verified, and nothing is timed. A variant that crashes or
 * hangs costs its rows alone: the fault, or the verdict, says so.
 */
#ifndef NF4BENCH_HARNESS_GATE_ROUND_H
#define NF4BENCH_HARNESS_GATE_ROUND_H

enum { GATE_SLOWDOWNS_MAX = 8 };

/* Returns the exit code of the process. */
int gate_round_main(void);

#endif
