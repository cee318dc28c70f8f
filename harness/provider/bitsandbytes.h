/*
 * bitsandbytes.h: the bitsandbytes CPU library as a peer: its functions appear as variants bitsandbytes_*,
 * verified and timed like ours. Loaded at run time; nothing of it is needed to build.
 *
 * C signatures and layouts: read from the published package (0.50.2) and held by the checks of verify.h.
 */
#ifndef NF4BENCH_HARNESS_PROVIDER_BITSANDBYTES_H
#define NF4BENCH_HARNESS_PROVIDER_BITSANDBYTES_H

#include "harness/base/status.h"

/* `path`: the shared library, the folder of the Python package that holds libbitsandbytes_cpu.so, or "auto":
 * the folder of the one that python3 would import (./auto is a file). NULL:
 * the environment variable NF4BENCH_BITSANDBYTES, and without it no peer, which is not an error. Symbols that
 * the library lacks leave their variants out. The CUDA libraries beside it become variants as well
 * (bitsandbytes_cuda.h). It is loaded by callers. */
enum status bitsandbytes_load(const char *path) WARN_UNUSED_RESULT;

/* In the process that calls them: loads the library `file`, which is kept by pointer, and adds its variants; "": those of CUDA
 * alone. */
enum status bitsandbytes_add(const char *file) WARN_UNUSED_RESULT;

#endif
