/*
 * refused.c: a right library, but for one thing: REFUSED_<what> says which.
 */
#include <stdlib.h>
#include <unistd.h>

#include <nf4bench/plugin.h>

#ifdef REFUSED_undefined
void nobody_defines_this(void);
#endif

static void nothing(const struct dequant_args *a)
{
    (void)a;
#ifdef REFUSED_undefined
    nobody_defines_this();
#endif
}

static void nothing_gemm(const struct gemm_args *a)
{
    (void)a;
}

#define MINE "nf4_dequant_bf16__sm75_mine"

#if defined REFUSED_null_name
#define NAME NULL
#elif defined REFUSED_bad_characters
#define NAME "nf4_dequant_bf16__scalar_Mine"
#elif defined REFUSED_unknown_contract
#define NAME "nf4_dequant_bf17__scalar_mine"
#elif defined REFUSED_no_arch
#define NAME "nf4_dequant_bf16"
#elif defined REFUSED_bad_knobs
#define NAME "nf4_dequant_bf16__scalar__mine"
#elif defined REFUSED_other_layout
#define NAME "nf4_dequant_bf16__scalar_gptq"
#elif defined REFUSED_taken
#define NAME "nf4_dequant_bf16__scalar"
#elif defined REFUSED_other_backend
#define NAME MINE
#elif defined REFUSED_repacked
#define NAME "nf4_dequant_bf16__scalar_repacked"
#elif defined REFUSED_wrong_function
#define NAME "nf4_gemm_f32_acc1__scalar_mine"
#else
#define NAME "nf4_dequant_bf16__scalar_mine"
#endif

static struct launch launch(const void *args)
{
    (void)args;
    return launch_1d(1, 32);
}

static void run(const void *args)
{
    (void)args;
}

static const struct entry entry = {"nf4_dequant_bf16__sm75_other", 32, run, launch, NULL};
static const struct entry mine = {MINE, 32, run, launch, NULL};

static const struct nf4bench_variant variants[] = {
#if defined REFUSED_no_entry
    {.name = MINE, .backend = NF4BENCH_CUDA},
#elif defined REFUSED_entry_name
    {.name = MINE, .backend = NF4BENCH_CUDA, .fast = &entry},
#elif defined REFUSED_cuda_function
    {.name = MINE, .backend = NF4BENCH_CUDA, .fast = &mine, .dequant = nothing},
#elif defined REFUSED_no_run
    {.name = MINE, .backend = NF4BENCH_CUDA, .checked = &(const struct entry){MINE, 32, NULL, launch, NULL}},
#elif defined REFUSED_no_launch
    {.name = MINE, .backend = NF4BENCH_CUDA, .fast = &(const struct entry){MINE, 32, run, NULL, NULL}},
#elif defined REFUSED_threads
    {.name = MINE, .backend = NF4BENCH_CUDA, .fast = &(const struct entry){MINE, 1025, run, launch, NULL}},
#elif defined REFUSED_image_text
    {.name = MINE, .backend = NF4BENCH_CUDA, .fast = &mine, .image = ".version 8.0", .image_size = 12},
#elif defined REFUSED_image_size
    {.name = MINE, .backend = NF4BENCH_CUDA, .fast = &mine, .image = "x"},
#else
    {
        .name = NAME,
        .backend = NF4BENCH_CPU,
        .dequant = nothing,
#ifdef REFUSED_null_function
        .dequant = NULL,
#endif
#ifdef REFUSED_two_functions
        .gemm = nothing_gemm,
#endif
#ifdef REFUSED_cpu_entry
        .fast = &mine,
#endif
#ifdef REFUSED_whole_blocks
        .whole_blocks = 64,
#endif
#ifdef REFUSED_unknown_feature
        .cpu_features = "avx2 mmx",
#endif
#ifdef REFUSED_unknown_backend
        .backend = 3,
#endif
#ifdef REFUSED_bad_source
        .source = "a file",
#endif
#ifdef REFUSED_bad_hash
        .code_hash = "0123456789ABCDEF",
#endif
#ifdef REFUSED_reserved
        .reserved = 1,
#endif
    },
#endif
    /* What a whole library is refused for need not be the first. */
    {.name = "nf4_gemm_f32_acc1__scalar_mine2", .backend = NF4BENCH_CPU, .gemm = nothing_gemm},
#ifdef REFUSED_twice
    {.name = "nf4_gemm_f32_acc1__scalar_mine2", .backend = NF4BENCH_CPU, .gemm = nothing_gemm},
#endif
};

#if defined REFUSED_crash_at_load || defined REFUSED_exit_at_load || defined REFUSED_hang_at_load
__attribute__((constructor)) static void at_load(void)
{
#if defined REFUSED_crash_at_load
    abort();
#elif defined REFUSED_exit_at_load
    exit(0);
#else
    for (;;)
        pause();
#endif
}
#endif

#ifdef REFUSED_no_symbol
extern const void *keep[];
const void *keep[] = {variants, &entry, &mine};
#else
NF4BENCH_PLUGIN_EXTERN __attribute__((visibility("default"))) nf4bench_plugin_fn nf4bench_plugin;
const struct nf4bench_plugin *nf4bench_plugin(void)
{
    static struct nf4bench_plugin p;
    p = (struct nf4bench_plugin){.abi = NF4BENCH_PLUGIN_ABI,
                                 .size = sizeof p,
                                 .variant_size = sizeof variants[0],
                                 .gemm_args_size = sizeof(struct gemm_args),
                                 .dequant_args_size = sizeof(struct dequant_args),
                                 .repack_args_size = sizeof(struct repack_args),
                                 .entry_size = sizeof(struct entry),
                                 .variant_count = sizeof variants / sizeof variants[0],
                                 .name = "refused",
                                 .variants = variants};
    (void)entry;
    (void)mine;
#if defined REFUSED_other_abi
    p.abi++;
#elif defined REFUSED_plugin_size
    p.size += 8;
#elif defined REFUSED_variant_size
    p.variant_size -= 8;
#elif defined REFUSED_args_size
    p.gemm_args_size += 8;
#elif defined REFUSED_null_plugin
    return NULL;
#elif defined REFUSED_no_variants
    p.variant_count = 0;
#elif defined REFUSED_null_variants
    p.variants = NULL;
#elif defined REFUSED_wild_variants
    p.variants = (const void *)64;
#elif defined REFUSED_too_many
    p.variant_count = NF4BENCH_PLUGIN_VARIANTS_MAX + 1;
#elif defined REFUSED_bad_plugin_name
    p.name = "a name";
#elif defined REFUSED_crash_in_entry
    *(volatile int *)NULL = 1;
#endif
    return &p;
}
#endif
