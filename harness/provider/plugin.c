#include "harness/provider/plugin.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <zlib.h>

#include "harness/base/call_state.h"
#include "harness/base/child.h"
#include "harness/base/machine.h"
#include "harness/device/caller.h"
#include "harness/problem/image.h"
#include "harness/problem/variant.h"
#include "kernels/plugin.h"

enum { LIBRARIES_MAX = 64, LIBRARY_NAME_MAX = 63, FILE_NAME_MAX = 100, SOURCE_MAX = 127 };
#define LOAD_LIMIT_S 10.0

/* What a library is refused for. */
#define REFUSE(...) status_fail(STATUS_INPUT, __VA_ARGS__)
#define NO_MEMORY() status_fail(STATUS_MEMORY, "out of memory")

/* Those in use. Never unloaded: the table, and the arrays of sides, point into them. */
static struct library {
    char path[PATH_MAX]; /* as realpath() gives it */
    dev_t device;        /* the file, however it is named */
    ino_t inode;
    const char *label;   /* of a side; NULL: its variants are in the table */
    struct kernel *side; /* holds what the side's copies of it point to */
    const char *name;
    long long bytes;
    uint32_t crc;
} libraries[LIBRARIES_MAX];
static size_t library_count;

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

static enum status check_plugin(const struct nf4bench_plugin *p, bool for_table)
{
    if (!made_of(p->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-",
                 LIBRARY_NAME_MAX))
        return REFUSE("its name is not 1 to %d of A-Z, a-z, 0-9, '.', '_' and '-'", LIBRARY_NAME_MAX);
    if (p->variant_count == 0 || !p->variants)
        return REFUSE("it has no variants");
    if (p->variant_count > NF4BENCH_PLUGIN_VARIANTS_MAX)
        return REFUSE("it has %u variants, a library may have %d: split it", p->variant_count,
                      NF4BENCH_PLUGIN_VARIANTS_MAX);
    if (for_table && p->variant_count > kernel_room())
        return REFUSE("it has %u variants, and there is room for %zu more: load fewer libraries",
                      p->variant_count, kernel_room());
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

static enum status make_kernels(const struct nf4bench_plugin *p, const struct library *l,
                                struct kernel *kernels)
{
    for (size_t i = 0; i < p->variant_count; i++) {
        const char *name = p->variants[i].name;
        enum status s = make_kernel(&p->variants[i], l, &kernels[i]);
        for (size_t j = 0; j < i && s == STATUS_OK; j++)
            if (strcmp(kernels[j].name, kernels[i].name) == 0)
                s = REFUSE("the name stands there twice");
        if (s != STATUS_OK)
            return status_fail(s, "variant %zu, %.128s: %s", i, name ? name : "(NULL)", status_message());
    }
    return STATUS_OK;
}

/* ---- one library ---- */

struct attempt {
    const struct library *library;
    const char *float_changed; /* by the load, or NULL */
    const struct nf4bench_plugin *plugin;
    struct kernel *kernels; /* [plugin->variant_count] */
};

static size_t thread_count(void)
{
    size_t count = 0;
    DIR *tasks = opendir("/proc/self/task");
    while (tasks && readdir(tasks))
        count++;
    if (tasks)
        closedir(tasks);
    return count;
}

/* Loads and looks at all of it: first in a process of its own, then in this one. */
static enum status load(void *context)
{
    struct attempt *a = context;
    const size_t threads = thread_count();
    TRY(open_library(a->library->path, &a->plugin, &a->float_changed));
    if (thread_count() > threads)
        return REFUSE("it starts threads while it is loaded; the processes that call its variants are "
                      "forked, and would lack them: start them in the first call");
    TRY(check_layout(a->plugin));
    TRY(check_plugin(a->plugin, !a->library->label));
    a->kernels = calloc(a->plugin->variant_count, sizeof *a->kernels);
    return a->kernels ? make_kernels(a->plugin, a->library, a->kernels) : NO_MEMORY();
}

/* Device code is known by the source of its variants, which has the image's number behind it. */
static enum status add_images(const struct attempt *a)
{
    size_t images = 0;
    for (size_t i = 0; i < a->plugin->variant_count; i++) {
        const struct nf4bench_variant *v = &a->plugin->variants[i];
        size_t same = 0;
        if (!v->image)
            continue;
        while (a->plugin->variants[same].image != v->image)
            same++;
        if (same < i) {
            a->kernels[i].source = a->kernels[same].source;
            continue;
        }
        char *source;
        if (asprintf(&source, "%s:%zu", a->kernels[i].source, ++images) < 0)
            return NO_MEMORY();
        a->kernels[i].source = source;
        TRY(cuda_image_add(source, v->image, v->image_size));
    }
    return STATUS_OK;
}

/* What the file is, for the results. */
static void describe_file(struct library *l)
{
    unsigned char piece[65536];
    size_t n;
    FILE *f = fopen(l->path, "rb");
    l->crc = (uint32_t)crc32(0, NULL, 0);
    while (f && (n = fread(piece, 1, sizeof piece, f)) > 0) {
        l->crc = (uint32_t)crc32(l->crc, piece, (uInt)n);
        l->bytes += (long long)n;
    }
    if (f)
        fclose(f);
}

/* The file that `path` names, as the next of the libraries. *same: one that was loaded from it, if any. */
static enum status find_file(const char *path, const char *label, struct library **l,
                             const struct library **same)
{
    struct stat file;
    *same = NULL;
    if (library_count == LIBRARIES_MAX)
        return status_fail(STATUS_LIMIT, "no more than %d libraries can be loaded", LIBRARIES_MAX);
    *l = &libraries[library_count];
    **l = (struct library){.label = label};
    if (!realpath(path, (*l)->path) || stat((*l)->path, &file) != 0)
        return REFUSE("%s", strerror(errno));
    (*l)->device = file.st_dev;
    (*l)->inode = file.st_ino;
    for (size_t i = 0; i < library_count && !*same; i++)
        if (libraries[i].device == file.st_dev && libraries[i].inode == file.st_ino)
            *same = &libraries[i];
    if (strlen(strrchr((*l)->path, '/') + 1) > FILE_NAME_MAX)
        return REFUSE("its file name has more than %d characters: rename it", FILE_NAME_MAX);
    return STATUS_OK;
}

/* Loads what find_file() found, for good. a->kernels is the caller's, also after a failure. */
static enum status load_file(struct library *l, struct attempt *a)
{
    *a = (struct attempt){.library = l};
    TRY(process_try(load, a, LOAD_LIMIT_S));
    const enum status s = load(a);
    call_state_tell(l->path, a->float_changed);
    TRY(s);
    TRY(add_images(a));
    for (size_t i = 0; !l->label && i < a->plugin->variant_count; i++)
        TRY(kernel_add(&a->kernels[i]));
    l->name = a->plugin->name;
    describe_file(l);
    library_count++;
    caller_loads(l->label ? l->label : "--plugin", l->path);
    return STATUS_OK;
}

static enum status load_library(const char *path)
{
    struct library *l;
    const struct library *same;
    struct attempt a;
    enum status s = find_file(path, NULL, &l, &same);
    if (s != STATUS_OK || same)
        return s;
    s = load_file(l, &a);
    free(a.kernels);
    return s;
}

enum status plugin_side_load(const char *path, const char *label, struct kernel **kernels, size_t *count)
{
    struct library *l;
    const struct library *same;
    struct attempt a = {0};
    *kernels = NULL;
    *count = 0;
    enum status s = find_file(path, label, &l, &same);
    if (s == STATUS_OK && same)
        return status_fail(STATUS_USAGE,
                           "%s: this file is loaded already%s%s, and both would share one handle, so that "
                           "there would be nothing to tell apart: copy the file",
                           path, same->label ? " as " : "", same->label ? same->label : "");
    if (s == STATUS_OK)
        s = load_file(l, &a);
    struct kernel *copy = s == STATUS_OK ? calloc(a.plugin->variant_count, sizeof *copy) : NULL;
    if (s == STATUS_OK && !copy)
        s = NO_MEMORY();
    if (s != STATUS_OK) {
        free(a.kernels);
        return status_fail(s, "%s: %s", path, status_message());
    }
    l->side = a.kernels;
    *count = a.plugin->variant_count;
    *kernels = memcpy(copy, a.kernels, *count * sizeof *copy);
    return kernel_add_table(label, l->side, *count);
}

/* ---- all of them ---- */

static size_t load_or_refuse(const char *program, const char *path)
{
    if (load_library(path) == STATUS_OK)
        return 0;
    fprintf(stderr, "%s: plugin %s is refused: %s\n", program, path, status_message());
    return 1;
}

size_t plugins_load(const char *program, const char *const *paths, size_t count)
{
    size_t refused = 0;
    for (size_t i = 0; i < count; i++)
        refused += load_or_refuse(program, paths[i]);
    const char *list = getenv("NF4BENCH_PLUGINS");
    while (list && *list) {
        size_t length = strcspn(list, ":");
        char *path = length ? strndup(list, length) : NULL;
        if (path)
            refused += load_or_refuse(program, path);
        free(path);
        list += length + (list[length] == ':');
    }
    return refused;
}

json_t *plugins_json(void)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < library_count; i++) {
        if (libraries[i].label)
            continue;
        char crc[16];
        snprintf(crc, sizeof crc, "%08x", libraries[i].crc);
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:s}", "name", libraries[i].name, "path",
                                              libraries[i].path, "bytes", (json_int_t)libraries[i].bytes,
                                              "crc32", crc));
    }
    return list;
}
