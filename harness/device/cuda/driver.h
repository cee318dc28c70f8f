/*
 * driver.h: the CUDA driver, loaded at run time, so that the program starts on any machine.
 *
 * libcuda.so.1 is looked for where the system looks; NF4BENCH_LIBCUDA=PATH names another file (tests name a
 * fake one). Only callers (caller.h) load it: the process that judges makes no CUDA call.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_CUDA_DRIVER_H
#define NF4BENCH_HARNESS_DEVICE_CUDA_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"

/* A function of a library that is loaded at run time, and where its address goes. */
struct library_function {
    const char *symbol;
    size_t offset;
    bool required;
};
/* Fills in the addresses, NULL for what the library lacks, up to the first required one of these, which is
 * returned. */
const char *library_functions(void *library, const struct library_function *functions, size_t count,
                              void *out);

struct cuda_context;
struct cuda_module;
struct cuda_function;
struct cuda_stream;
struct cuda_event;
struct cuda_graph;
struct cuda_graph_exec;

struct cuda_driver {
    void *library;
    /* Optional ones are NULL where the driver has none. */
#define CUDA_FUNCTION(need, name, symbol, parameters) int(*name) parameters;
#include "harness/device/cuda/functions.inc"
};

/* Numbers of the driver's interface that are used. */
enum {
    CUDA_ATTRIBUTE_SM_COUNT = 16,
    CUDA_ATTRIBUTE_ECC = 32,
    CUDA_ATTRIBUTE_L2_BYTES = 38,
    CUDA_ATTRIBUTE_MAJOR = 75,
    CUDA_ATTRIBUTE_MINOR = 76,
    CUDA_ATTRIBUTE_SHARED_OPTIN = 97,
    CUDA_FUNCTION_SHARED_BYTES = 1,
    CUDA_FUNCTION_LOCAL_BYTES = 3,
    CUDA_FUNCTION_REGISTERS = 4,
    CUDA_FUNCTION_DYNAMIC_SHARED_MAX = 8,
    CUDA_LIMIT_PERSISTING_L2 = 6,
    CUDA_STREAM_DEFAULT = 0, /* ordered with copies, which use the NULL stream */
    CUDA_HOST_DEVICEMAP = 2,
    CUDA_CAPTURE_RELAXED = 2,
};

/* X(code, name, word): errors that the program knows. `word` is what a row says of a variant whose launch
 * ended so; NULL for those that no kernel causes. */
#define CUDA_ERROR_MAP(X)                                                                                    \
    X(1, INVALID_VALUE, "launch-refused")                                                                    \
    X(2, OUT_OF_MEMORY, NULL)                                                                                \
    X(34, STUB_LIBRARY, NULL)                                                                                \
    X(100, NO_DEVICE, NULL)                                                                                  \
    X(209, NO_BINARY_FOR_GPU, NULL)                                                                          \
    X(214, ECC_UNCORRECTABLE, NULL)                                                                          \
    X(500, NOT_FOUND, NULL)                                                                                  \
    X(700, ILLEGAL_ADDRESS, "illegal-address")                                                               \
    X(701, LAUNCH_OUT_OF_RESOURCES, "launch-resources")                                                      \
    X(702, LAUNCH_TIMEOUT, "launch-timeout")                                                                 \
    X(710, ASSERT, "assert")                                                                                 \
    X(714, HARDWARE_STACK_ERROR, "hardware-stack")                                                           \
    X(715, ILLEGAL_INSTRUCTION, "illegal-instruction")                                                       \
    X(716, MISALIGNED_ADDRESS, "misaligned-address")                                                         \
    X(717, INVALID_ADDRESS_SPACE, "address-space")                                                           \
    X(718, INVALID_PC, "invalid-pc")                                                                         \
    X(719, LAUNCH_FAILED, "launch-failed")
enum cuda_error {
#define X(code, name, word) CUDA_##name = (code),
    CUDA_ERROR_MAP(X)
#undef X
};
/* The word of the map above, or NULL. */
const char *cuda_fault_word(int code);

/* Loads the driver and initialises it. STATUS_ABSENT: there is none, or no GPU. STATUS_DEVICE: there is one,
 * and it does not work: the message has CUDA's name of the error and what to do. Stays loaded until the
 * process ends.
 */
enum status cuda_driver_open(struct cuda_driver *out) WARN_UNUSED_RESULT;
/* "CUDA_ERROR_X (700, an illegal memory access was encountered)", into `text`; returns it. */
const char *cuda_error_text(const struct cuda_driver *cu, int code, char *text, size_t size);

#endif
