/*
 * plugin.h: the interface between this program and a shared library of variants that is built out of tree.
 *
 * It is installed as <nf4bench/plugin.h>. A library includes it, and then:
 *
 *   static const struct nf4bench_variant variants[] = {
 *       {.name = "nf4_dequant_bf16__scalar_mine", .backend = NF4BENCH_CPU, .dequant = my_dequant},
 *   };
 *   NF4BENCH_PLUGIN("mine", variants)
 *
 *   nf4bench verify suites/smoke.yaml --plugin ./mine.so -v '*_mine'
 *
 * kernel.h says what a variant is given and what it must do. A variant is called <contract>__<arch>[_<knobs>]. The
 * contract fixes the output bits (reference/contract.inc), and the program verifies them as those of its own variants.
 * Of an arch that the program knows (scalar, avx2, avx512, avx512bf16; sm75, sm80) the program also knows the
 * requirements; of any other word the fields below declare them.
 *
 * The library
 *  - exports one symbol, nf4bench_plugin(). Everything else should be hidden (-fvisibility=hidden): the program's
 *    function replaces an exported one of the same name.
 *  - is loaded before any thread runs, perhaps in several processes, and never unloaded. The result of
 *    nf4bench_plugin(), and all that it points to, must stay until the process ends.
 *  - is refused as a whole when anything in it is wrong.
 *
 * Variants are called in another process than the one that judges them. When one crashes or hangs, its row is CRASHED or
 * TIMEOUT; all other rows are not affected.
 */
#ifndef NF4BENCH_KERNELS_PLUGIN_H
#define NF4BENCH_KERNELS_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/device/entry.h"
#include "kernels/kernel.h"

/* Changes with anything in this file, kernel.h, layouts.h or entry.h that a library compiled against another version
 * would get wrong. Libraries of other versions are refused. */
#define NF4BENCH_PLUGIN_ABI 3

enum {
    NF4BENCH_PLUGIN_VARIANTS_MAX = 1024, /* in one library */
    NF4BENCH_CPU = 1,                    /* backends */
    NF4BENCH_CUDA = 2
};

/* Fields that are left 0 ask for nothing. Strings and what else is pointed to stay the library's. */
struct nf4bench_variant {
    const char *name;    /* up to 127 characters of a-z, 0-9 and _ */
    uint32_t backend;    /* NF4BENCH_CPU or NF4BENCH_CUDA */
    uint32_t min_sm;     /* CUDA: least compute capability, 75 for 7.5 */
    uint64_t m_max;      /* largest m taken */
    uint64_t k_multiple; /* k and n must be multiples of these */
    uint64_t n_multiple;
    uint32_t whole_blocks;    /* 1: k must be a multiple of the blocksize */
    uint32_t reserved;        /* 0 */
    const char *cpu_features; /* CPU: what must be there at run time, "avx2 fma f16c avx512 avx512_bf16" or
                                 some of these; NULL: nothing */

    /* CPU: the one that the name's operation takes, and not the other. */
    dequant_fn *dequant;
    gemm_fn *gemm; /* gemm, gemmdx */

    /* CUDA: host builds of the entry (device/cuda.h), for the executor: without instrumentation, and with it.
     * Their names are the variant's. NULL: --device simt:fast or simt:checked skips the variant. */
    const struct entry *fast, *checked;
    /* CUDA: device code that has the entry under the variant's name: a fatbin, a cubin, or PTX with the NUL
     * byte that ends it. Several variants may point to the same. NULL: --device cuda skips the variant. With
     * it `fast` is needed: for its launch function, even where its `run` is NULL and the executor cannot run
     * it. */
    const void *image;
    uint64_t image_size; /* bytes */

    /* Where it comes from, for the results; NULL: not said. */
    const char *source;      /* the file it stands in, up to 127 characters */
    const char *source_hash; /* of that file, 16 digits of 0-9 and a-f */
    const char *code_hash;   /* of its machine code, likewise; of `fast` for CUDA */
};

struct nf4bench_plugin {
    uint32_t abi;          /* NF4BENCH_PLUGIN_ABI; the first field of every version */
    uint32_t size;         /* of this struct */
    uint32_t variant_size; /* of struct nf4bench_variant */
    uint32_t gemm_args_size, dequant_args_size, repack_args_size, entry_size;
    uint32_t variant_count;
    const char *name; /* of the library, for people: up to 63 of A-Z, a-z, 0-9, '.', '_', '-' */
    const struct nf4bench_variant *variants;
};

typedef const struct nf4bench_plugin *nf4bench_plugin_fn(void);
#define NF4BENCH_PLUGIN_SYMBOL "nf4bench_plugin"

#ifdef __cplusplus
#define NF4BENCH_PLUGIN_EXTERN extern "C"
#else
#define NF4BENCH_PLUGIN_EXTERN extern
#endif

/* Defines the symbol; once, at file scope. variants_: an array. */
#define NF4BENCH_PLUGIN(name_, variants_)                                                                    \
    NF4BENCH_PLUGIN_EXTERN __attribute__((visibility("default"))) nf4bench_plugin_fn nf4bench_plugin;        \
    const struct nf4bench_plugin *nf4bench_plugin(void)                                                      \
    {                                                                                                        \
        static const struct nf4bench_plugin plugin = {NF4BENCH_PLUGIN_ABI,                                   \
                                                      sizeof(struct nf4bench_plugin),                        \
                                                      sizeof(struct nf4bench_variant),                       \
                                                      sizeof(struct gemm_args),                              \
                                                      sizeof(struct dequant_args),                           \
                                                      sizeof(struct repack_args),                            \
                                                      sizeof(struct entry),                                  \
                                                      sizeof(variants_) / sizeof(variants_)[0],              \
                                                      name_,                                                 \
                                                      variants_};                                            \
        return &plugin;                                                                                      \
    }

#endif
