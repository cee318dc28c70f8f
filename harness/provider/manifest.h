/*
 * manifest.h: device code from elsewhere as a CUDA variant. A YAML file says what the code is and how it is
 * launched; the variant is then held to the contract in its name, and timed, like ours:
 *
 *   name: nf4_dequant_bf16__sm80_mine      # <contract>__sm<NN>[_<knobs>], reference/contract.inc
 *   image: mine.cubin                      # .cubin, .fatbin or .ptx; relative to this file
 *   entry: my_kernel                       # the symbol in it
 *   threads: 256                           # per block
 *   grid: ["ceil(count, 2048)"]            # 1 to 3 expressions (expression.h) over m, n, k, count, blocks,
 *                                          # blocksize; in quotes where they have a comma
 *   shared: 0                              # bytes, an expression as well; default 0
 *   arguments: [packed, absmax, out, count:u64, 64:i32]
 *   min_sm: 80                             # least compute capability; default: that of the name
 *   m_max: 1                               # most rows of a product; default: any
 *   k_multiple: 64                         # default: any k
 *
 * arguments are words of device/cuda/recipe.h in the kernel's order. Sizes and numbers are i32 unless a suffix :i32,
 * :u32, :i64 or :u64 says otherwise; bias is a null pointer where a problem has none, and a kernel of a gemm
 * that is not given it is not asked to add one. `arguments: args` gives the one struct that our own kernels
 * take (kernels/kernel.h), by value.
 */
#ifndef NF4BENCH_HARNESS_PROVIDER_MANIFEST_H
#define NF4BENCH_HARNESS_PROVIDER_MANIFEST_H

#include "harness/base/status.h"

/* Adds the variant of one file to the table and its code to the images. Before the GPU's process is started.
 * The message of an error has the file, line and column; nothing is then added. What was loaded stays, and
 * `path` must, until the process ends. */
enum status manifest_load(const char *path) WARN_UNUSED_RESULT;

#endif
