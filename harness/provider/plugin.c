#include "harness/provider/plugin.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/call_state.h"
#include "harness/base/machine.h"
#include "harness/problem/image.h"
#include "harness/problem/variant.h"
#include "kernels/plugin.h"

enum { LIBRARY_NAME_MAX = 63, SOURCE_MAX = 127 };

/* What a library is refused for. */
#define REFUSE(...) status_fail(STATUS_INPUT, __VA_ARGS__)
#define NO_MEMORY() status_fail(STATUS_MEMORY, "out of memory")

const char *plugin_name;

struct library {
    const char *path, *label; /* of a side; NULL: its variants are in the table */
    const struct nf4bench_plugin *plugin;
    struct kernel *kernels; /* [plugin->variant_count] */
};

/* ---- what a library says ---- */

static enum status open_library(const char *path, const struct nf4bench_plugin **out, const char **changed)
{
    void *library = call_state_load(path, changed);
    if (!library)
        return REFUSE("it cannot be loaded as a shared library: %s", dlerror());
    nf4bench_plugin_fn *plugin = (nf4bench_plugin_fn *)dlsym(library, NF4BENCH_PLUGIN_SYMBOL);
    if (!plugin)
        return REFUSE("it has no symbol %s: end a source with NF4BENCH_PLUGIN(name, variants) "
                      "(kernels/plugin.h)",
                      NF4BENCH_PLUGIN_SYMBOL);
    *out = plugin();
    const char *later = call_state_restore_here();
    *changed = later ? later : *changed;
    return *out ? STATUS_OK : REFUSE("%s() returns NULL", NF4BENCH_PLUGIN_SYMBOL);
}

/* Before anything but the first field is believed. */
static enum status check_layout(const struct nf4bench_plugin *p)
{
    if (p->abi != NF4BENCH_PLUGIN_ABI)
        return REFUSE("it was built for version %u of the plugin interface, this program has version %u: "
                      "build it with the headers of this program",
                      p->abi, NF4BENCH_PLUGIN_ABI);
    const struct {
        const char *name;
        size_t there, here;
    } sizes[] = {{"nf4bench_plugin", p->size, sizeof *p},
                 {"nf4bench_variant", p->variant_size, sizeof *p->variants},
                 {"gemm_args", p->gemm_args_size, sizeof(struct gemm_args)},
                 {"dequant_args", p->dequant_args_size, sizeof(struct dequant_args)},
                 {"repack_args", p->repack_args_size, sizeof(struct repack_args)},
                 {"entry", p->entry_size, sizeof(struct entry)}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i].there != sizes[i].here)
            return REFUSE("its struct %s has %zu bytes, this program's has %zu: build it with the headers of "
                          "this program, for this machine",
                          sizes[i].name, sizes[i].there, sizes[i].here);
    return STATUS_OK;
}

static bool made_of(const char *text, const char *characters, size_t max)
{
    size_t length = text ? strspn(text, characters) : 0;
    return length > 0 && length <= max && text[length] == '\0';
}

static enum status check_plugin(const struct nf4bench_plugin *p)
{
    if (!made_of(p->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-",
                 LIBRARY_NAME_MAX))
        return REFUSE("its name is not 1 to %d of A-Z, a-z, 0-9, '.', '_' and '-'", LIBRARY_NAME_MAX);
    if (p->variant_count == 0 || !p->variants)
        return REFUSE("it has no variants");
    if (p->variant_count > NF4BENCH_PLUGIN_VARIANTS_MAX)
        return REFUSE("it has %u variants, a library may have %d: split it", p->variant_count,
                      NF4BENCH_PLUGIN_VARIANTS_MAX);
    return STATUS_OK;
}

/* ---- what a variant says ---- */

/* Words of a-z and 0-9, joined by single underscores. */
static bool knobs_valid(const char *text)
{
    bool letter = false;
    for (; *text; text++) {
        if (*text == '_' && !letter)
            return false;
        letter = *text != '_';
    }
    return letter;
}

static enum status check_name(const struct nf4bench_variant *v, bool for_table, struct contract *contract,
                              const char **arch)
{
    if (!made_of(v->name, "abcdefghijklmnopqrstuvwxyz0123456789_", VARIANT_NAME_MAX - 1))
        return REFUSE("its name is not 1 to %d of a-z, 0-9 and '_'", VARIANT_NAME_MAX - 1);
    if (!contract_parse(v->name, contract, arch) || !**arch || !knobs_valid(*arch))
        return REFUSE("its name is not <contract>__<arch>[_<knobs>] with a contract that this "
                      "program knows: `nf4bench list` shows such names");
    char why[128];
    if (layout_knobs_wrong(contract->format, *arch, why, sizeof why))
        return REFUSE("%s", why);
    if (for_table && kernel_find(v->name))
        return REFUSE("the name is taken, by %s: give it another knob", kernel_find(v->name)->source);
    return STATUS_OK;
}

static enum status set_cpu(const struct nf4bench_variant *v, struct kernel *k)
{
    const char *unknown = v->cpu_features ? cpu_feature_parse(v->cpu_features, &k->cpu_features) : NULL;
    bool dequant = k->contract.op == OP_DEQUANT;
    if (unknown)
        return REFUSE("cpu_features: '%.40s' is none of avx2, fma, f16c, avx512, avx512_bf16", unknown);
    if (op_is_repack(k->contract.op) || kernel_layout(k) == LAYOUT_FRAGMENTS)
        return REFUSE("repacked weights are for CUDA variants");
    if (!(dequant ? v->dequant != NULL : v->gemm != NULL))
        return REFUSE("its function %s is NULL", dequant ? "dequant" : "gemm");
    if (dequant ? v->gemm != NULL : v->dequant != NULL)
        return REFUSE("it has a function %s, and the name says %s", dequant ? "gemm" : "dequant",
                      op_word(k->contract.op));
    if (v->fast || v->checked || v->image)
        return REFUSE("entries and an image are for CUDA variants");
    k->dequant = v->dequant;
    k->gemm = v->gemm;
    return STATUS_OK;
}

static enum status check_entry(const struct nf4bench_variant *v, const struct entry *e, const char *which,
                               bool may_lack_run)
{
    if (!e->name || strcmp(e->name, v->name) != 0)
        return REFUSE("its entry `%s` has another name", which);
    for (; e; e = e->next) {
        if (!e->launch || (!e->run && !may_lack_run))
            return REFUSE("its entry `%s` has no %s function", which, e->launch ? "run" : "launch");
        if (e->threads_max == 0 || e->threads_max > LAUNCH_THREADS_MAX)
            return REFUSE("its entry `%s` has threads_max %u, not 1 to %d", which, e->threads_max,
                          LAUNCH_THREADS_MAX);
    }
    return STATUS_OK;
}

/* Where the driver would read on: text that does not end. */
static bool is_unended_text(const unsigned char *image, uint64_t size)
{
    static const unsigned char elf[] = {0x7f, 'E', 'L', 'F'}, fatbin[] = {0x50, 0xed, 0x55, 0xba};
    bool binary = size >= 4 && (memcmp(image, elf, 4) == 0 || memcmp(image, fatbin, 4) == 0);
    return !binary && image[size - 1] != '\0';
}

static enum status set_cuda(const struct nf4bench_variant *v, struct kernel *k)
{
    if (v->dequant || v->gemm || v->cpu_features)
        return REFUSE("functions and cpu_features are for CPU variants");
    if (!v->fast && !v->checked)
        return REFUSE("a CUDA variant needs an entry: `fast`, `checked` or both");
    if (v->image && (!v->fast || v->image_size == 0))
        return REFUSE("its image needs %s", v->fast ? "a size" : "the launch function of `fast`");
    if (v->image && is_unended_text(v->image, v->image_size))
        return REFUSE("its image is no fatbin and no cubin, and as PTX it does not end with NUL");
    if (v->fast)
        TRY(check_entry(v, v->fast, "fast", v->image != NULL));
    if (v->checked)
        TRY(check_entry(v, v->checked, "checked", false));
    k->min_sm = v->min_sm;
    k->entries[ENTRY_FAST] = v->fast;
    k->entries[ENTRY_CHECKED] = v->checked;
    return STATUS_OK;
}

/* Of a file's name: what stands in results and in messages as it is. */
#define SOURCE_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-+/"

static bool hash_valid(const char *hash)
{
    return !hash || (made_of(hash, "0123456789abcdef", 16) && strlen(hash) == 16);
}

/* Where it comes from. */
static enum status set_source(const struct nf4bench_variant *v, const struct library *l, struct kernel *k)
{
    const char *file = strrchr(l->path, '/') + 1;
    char *text;
    if (v->source && !made_of(v->source, SOURCE_CHARACTERS, SOURCE_MAX))
        return REFUSE("its source is not 1 to %d of A-Z, a-z, 0-9 and ._-+/", SOURCE_MAX);
    if (!hash_valid(v->source_hash) || !hash_valid(v->code_hash))
        return REFUSE("a hash of it is not 16 of 0-9 and a-f");
    k->source_hash = v->source_hash;
    k->code_hash = v->code_hash;
    if ((l->label ? asprintf(&text, "%s:%s", l->label, v->source ? v->source : file)
                  : asprintf(&text, "--plugin '%s'", l->path)) < 0)
        return NO_MEMORY();
    k->source = l->label ? text : file;
    k->option = l->label ? NULL : text; /* no command line has a side */
    return STATUS_OK;
}

static enum status make_kernel(const struct nf4bench_variant *v, const struct library *l, struct kernel *k)
{
    const char *arch;
    *k = (struct kernel){.built = true, .table = l->label};
    TRY(check_name(v, !l->label, &k->contract, &arch));
    TRY(set_source(v, l, k));
    k->name = strdup(v->name);
    if (!k->name)
        return NO_MEMORY();
    if (v->backend != NF4BENCH_CPU && v->backend != NF4BENCH_CUDA)
        return REFUSE("its backend is %u, neither NF4BENCH_CPU nor NF4BENCH_CUDA", v->backend);
    if (v->whole_blocks > 1 || v->reserved)
        return REFUSE("whole_blocks is neither 0 nor 1, or reserved is not 0");
    k->backend = v->backend == NF4BENCH_CPU ? BACKEND_CPU : BACKEND_CUDA;
    k->m_max = v->m_max;
    k->k_multiple = v->k_multiple ? v->k_multiple : 1;
    k->n_multiple = v->n_multiple;
    k->whole_blocks = v->whole_blocks;
    TRY(k->backend == BACKEND_CPU ? set_cpu(v, k) : set_cuda(v, k));
    return kernel_set_arch(k, arch);
}

static enum status make_kernels(const struct library *l)
{
    for (size_t i = 0; i < l->plugin->variant_count; i++) {
        const char *name = l->plugin->variants[i].name;
        enum status s = make_kernel(&l->plugin->variants[i], l, &l->kernels[i]);
        for (size_t j = 0; j < i && s == STATUS_OK; j++)
            if (strcmp(l->kernels[j].name, l->kernels[i].name) == 0)
                s = REFUSE("the name stands there twice");
        if (s != STATUS_OK)
            return status_fail(s, "variant %zu, %.128s: %s", i, name ? name : "(NULL)", status_message());
    }
    return STATUS_OK;
}

/* ---- one library ---- */

/* Device code is known by the source of its variants, which has the image's number behind it. */
static enum status add_images(const struct library *l)
{
    size_t images = 0;
    for (size_t i = 0; i < l->plugin->variant_count; i++) {
        const struct nf4bench_variant *v = &l->plugin->variants[i];
        size_t same = 0;
        if (!v->image)
            continue;
        while (l->plugin->variants[same].image != v->image)
            same++;
        if (same < i) {
            l->kernels[i].source = l->kernels[same].source;
            continue;
        }
        char *source;
        if (asprintf(&source, "%s:%zu", l->kernels[i].source, ++images) < 0)
            return NO_MEMORY();
        l->kernels[i].source = source;
        TRY(cuda_image_add(source, v->image, v->image_size));
    }
    return STATUS_OK;
}

static enum status load(struct library *l)
{
    const char *changed = NULL;
    const enum status s = open_library(l->path, &l->plugin, &changed);
    call_state_tell(l->path, changed);
    TRY(s);
    TRY(check_layout(l->plugin));
    TRY(check_plugin(l->plugin));
    l->kernels = calloc(l->plugin->variant_count, sizeof *l->kernels);
    if (!l->kernels)
        return NO_MEMORY();
    TRY(make_kernels(l));
    TRY(add_images(l));
    plugin_name = l->plugin->name;
    if (l->label)
        return kernel_add_table(l->label, l->kernels, l->plugin->variant_count);
    for (size_t i = 0; i < l->plugin->variant_count; i++)
        TRY(kernel_add(&l->kernels[i]));
    return STATUS_OK;
}

enum status plugin_load(const char *path, const char *label)
{
    struct library l = {.path = path, .label = label};
    const enum status s = load(&l);
    if (s != STATUS_OK || !label)
        free(l.kernels);
    return s;
}
