/*
 * channel.h: what the harness and a caller (caller.h) say to each other: one request at a time, in memory that both
 * share. Private to harness/device/.
 *
 * The harness fills in a request and its arguments and writes a byte to the socket; the caller carries it out, fills in
 * the answer and writes a byte back. A variant is named, never pointed to. Bulk data of a GPU goes through `window`, piece
 * by piece; operands of a CPU lie in the arena (cpu/arena.h), which both have at the same address.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_CHANNEL_H
#define NF4BENCH_HARNESS_DEVICE_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"
#include "harness/device/ceiling.h"
#include "harness/device/cpu/arena.h"
#include "harness/device/cuda/nvml.h"
#include "harness/device/simt/simt.h"
#include "harness/problem/gpu.h"
#include "harness/problem/operands.h"

/* X(name): a back end has a handler for each that it knows. */
#define REQUEST_MAP(X)                                                                                       \
    X(list)       /* all GPUs, into the window */                                                            \
    X(start)      /* makes a context on GPU `ordinal` */                                                     \
    X(bind)       /* memory for `copies` sets of operands of `problem` */                                    \
    X(upload)     /* the operands into set 0: from the pieces in the window, or from the arena */            \
    X(download)   /* the pieces of set 0 into the window, or of the output of set `set` into the arena */    \
    X(launch)     /* one call of the variant, to its end: on set 0, or on the arena itself */                \
    X(replicate)  /* set 0 to all other sets; makes ready for timing */                                      \
    X(row)        /* the variant, or a ceiling, as row `row` of the group that is timed; called once */      \
    X(row_hash)   /* the output of set 0 is row `row`'s right one */                                         \
    X(row_repeat) /* chooses the calls of a hot sample, and makes a graph of them */                         \
    X(sample)     /* one sample of row `row` */                                                              \
    X(self_test)  /* what reading the clock costs, and the like */                                           \
    X(end_rows)   /* forgets the group that was timed */                                                     \
    X(mma)        /* `count` tiles in the window, of type problem.out, by the tensor cores */

enum request {
#define X(name) REQUEST_##name,
    REQUEST_MAP(X)
#undef X
        REQUEST_variants, /* of `table`, into the window: those that this process loaded; every back end has it */
    REQUEST_COUNT
};

enum { CHANNEL_SLOTS = 16, CHANNEL_ROWS_MAX = 256 };
enum { CHANNEL_WINDOW_BYTES = 8 << 20, CHANNEL_TEXT = SIMT_REPORT_TEXT, CHANNEL_NAME = 128 };

/* Part of a buffer. On a GPU: offset from the start of its first canary; the window holds the pieces of a transfer one
 * after the other. On a CPU: of the output, from its first byte. */
struct piece {
    size_t buffer, offset, size;
};
enum { CHANNEL_PIECES = 2 * OPERAND_BUFFERS };

struct channel {
    /* The request. Arguments that a request does not name are not looked at. */
    enum request request;
    int ordinal;
    size_t slot; /* which operands a request means: those of several problems can be bound at once */
    struct problem problem;
    float nested_offset;
    size_t copies, sizes[OPERAND_BUFFERS];
    struct piece pieces[CHANNEL_PIECES]; /* of a transfer */
    size_t piece_count;
    bool tells;                                      /* call_state_tells, from the start */
    char variant[CHANNEL_NAME], table[CHANNEL_NAME]; /* kernel_named() */
    enum ceiling ceiling;
    size_t row, set;
    bool hot, all_sensors;
    bool beside;             /* of a launch: while others run, on another stream */
    unsigned threads;        /* of the team, on a CPU */
    struct arena_call arena; /* where the operands lie, on a CPU */
    struct device device;    /* of a launch under the executor; after it, what gives the same launch again */
    uint64_t weights;        /* on a CPU: differs where weights do, which may be prepared */
    double slower;           /* of a sample on a CPU: each takes this share longer */
    uint64_t salt;
    bool as_verified;  /* of a sample on a CPU: the activations keep their signs (activations.h) */
    size_t more_calls; /* of a hot sample: on a CPU than the row's, on a GPU untimed ones after it */

    /* The answer. */
    enum status status;    /* STATUS_OK, or of what kind the error is */
    bool endless, crashed; /* of a launch under the executor, in a process of its own */
    bool by_variant;       /* it came after a variant was called, or during its call */
    bool sentence;         /* `text` says all of it, in words for a person */
    char word[24];         /* of an error: stable, "bounds", "illegal-address"; "" where it has none */
    char doing[40];        /* what the variant is called for: "a call" */
    char text[CHANNEL_TEXT];
    size_t count; /* GPUs in the window; copies there is memory for; calls of a hot sample */
    bool graph;   /* a hot sample is a graph, else a loop */
    double time_us;
    bool late, wrong_hash; /* of a sample: the blocking kernel gave up; the output is not the right one */
    double overhead_us, cold_ratio, gemm_flop_per_s;
    struct gpu_code code;
    struct nvml_sensors sensors;

    _Alignas(64) unsigned char window[CHANNEL_WINDOW_BYTES];
};

#endif
