/*
 * channel.h: what the harness and a GPU's server process say to each other: one request at a time, in memory
 * that both share. Private to harness/device/cuda/.
 *
 * The harness fills in a request and its arguments and writes a byte to the socket; the server carries it
 * out, fills in the answer and writes a byte back. Bulk data goes through `window`, piece by piece.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_CUDA_CHANNEL_H
#define NF4BENCH_HARNESS_DEVICE_CUDA_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"
#include "harness/device/ceiling.h"
#include "harness/device/cuda/nvml.h"
#include "harness/device/cuda/recipe.h"
#include "harness/problem/gpu.h"
#include "harness/problem/operands.h"
#include "kernels/device/entry.h"

/* X(name): each is served by serve_<name>() */
#define CUDA_REQUEST_MAP(X)                                                                                  \
    X(list)       /* all GPUs, into the window */                                                            \
    X(start)      /* makes a context on GPU `ordinal` */                                                     \
    X(bind)       /* memory for `copies` sets of operands of `problem` */                                    \
    X(upload)     /* window -> pieces of the buffers of set 0 */                                             \
    X(download)   /* pieces of the buffers of set 0 -> window */                                             \
    X(launch)     /* kernel on set 0, to its end */                                                          \
    X(replicate)  /* set 0 to all other sets; makes ready for timing */                                      \
    X(row)        /* kernel, or a ceiling, as row `row` of the group that is timed; called once */           \
    X(row_hash)   /* the output of set 0 is row `row`'s right one */                                         \
    X(row_repeat) /* chooses the calls of a hot sample, and makes a graph of them */                         \
    X(sample)     /* one sample of row `row` */                                                              \
    X(self_test)  /* overhead of a pair of events, and is cold cold? */                                      \
    X(end_rows)   /* forgets the group that was timed */                                                     \
    X(mma)        /* `count` tiles in the window, of type problem.out, by the tensor cores */

enum cuda_request {
#define X(name) CUDA_REQUEST_##name,
    CUDA_REQUEST_MAP(X)
#undef X
        CUDA_REQUEST_COUNT
};

enum { CUDA_SLOTS = 16 };
enum { CUDA_WINDOW_BYTES = 8 << 20, CUDA_TEXT = 512, CUDA_KERNEL_TEXT = 128 };

/* Part of a buffer of set 0: offset from the start of its first canary. The window holds the pieces of a
 * transfer one after the other. */
struct cuda_piece {
    size_t buffer, offset, size;
};
enum { CUDA_PIECES = 2 * OPERAND_BUFFERS };

/* A variant, as the server needs it: pointers are to data from before the fork, which both processes have.
 * With cuBLAS, symbol, source and entry are those of the variant that dequantizes; with bitsandbytes, source
 * is where the library is. */
struct cuda_kernel {
    char name[CUDA_KERNEL_TEXT], symbol[CUDA_KERNEL_TEXT];
    const char *source;
    const struct entry *entry;
    const struct recipe *recipe; /* in place of symbol and entry, or NULL */
    enum blas_use blas;
    bool blas_lt;
    enum bitsandbytes_use bitsandbytes;
    enum layout layout;
};

struct cuda_channel {
    /* The request. Arguments that a request does not name are not looked at. */
    enum cuda_request request;
    int ordinal;
    size_t slot; /* which operands a request means: those of several problems can be bound at once */
    struct problem problem;
    float nested_offset;
    size_t copies, sizes[OPERAND_BUFFERS];
    struct cuda_piece pieces[CUDA_PIECES]; /* of a transfer */
    size_t piece_count;
    struct cuda_kernel kernel;
    enum ceiling ceiling;
    size_t row;
    bool hot, all_sensors;
    bool beside; /* of a launch: while others run, on another stream */
    uint64_t salt;

    /* The answer. */
    enum status status; /* STATUS_OK, or of what kind the error is */
    int error;          /* the driver's number of it; 0 where it was none of the driver's */
    bool by_kernel;     /* it came after a variant was launched, or at its launch */
    char text[CUDA_TEXT];
    size_t count; /* GPUs in the window; copies there is memory for; calls of a hot sample */
    bool graph;   /* a hot sample is a graph, else a loop */
    double time_us;
    bool late, wrong_hash; /* of a sample: the blocking kernel gave up; the output is not the right one */
    double overhead_us, cold_ratio, gemm_flop_per_s;
    struct gpu_code code;
    struct nvml_sensors sensors;

    _Alignas(64) unsigned char window[CUDA_WINDOW_BYTES];
};

#endif
