#include "harness/provider/manifest.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/base/closest.h"
#include "harness/base/expression.h"
#include "harness/base/yaml.h"
#include "harness/device/caller.h"
#include "harness/device/cuda/recipe.h"
#include "harness/problem/image.h"
#include "harness/problem/variant.h"

enum { IMAGE_BYTES_MAX = 256 << 20, IMAGE_PATH_MAX = 4096 };

#define KEYS(X)                                                                                              \
    X(name)                                                                                                  \
    X(image)                                                                                                 \
    X(entry)                                                                                                 \
    X(threads)                                                                                               \
    X(grid)                                                                                                  \
    X(arguments)                                                                                             \
    X(shared)                                                                                                \
    X(min_sm)                                                                                                \
    X(m_max)                                                                                                 \
    X(k_multiple)
enum key {
#define X(key) KEY_##key,
    KEYS(X)
#undef X
        KEY_COUNT,
    KEY_REQUIRED = KEY_shared /* those before it */
};
static const char *const key_names[KEY_COUNT] = {
#define X(key) #key,
    KEYS(X)
#undef X
};

/* Kept until the process ends: the table's row points into it, as do recipes and images. */
struct manifest {
    struct yaml_file yaml;
    yaml_node_t *values[KEY_COUNT];
    char *image_path, *arch, *option;
    unsigned char *image;
    size_t image_size;
    struct recipe recipe;
    struct kernel kernel;
};

/* ---- texts with places in them ---- */

#define FAIL(m, node, ...) yaml_file_fail(&(m)->yaml, node, NULL, __VA_ARGS__)

/* As yaml_file_fail(), at a character within a node's text. */
static enum status fail_within(const struct manifest *m, const yaml_node_t *node, size_t at, const char *what)
{
    yaml_node_t here = *node;
    here.start_mark.column += at + (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE); /* the quote */
    return FAIL(m, &here, "%s", what);
}

static enum status read_expression(const struct manifest *m, const yaml_node_t *node, const char *what,
                                   const char **out)
{
    struct expression_name names[RECIPE_SIZES];
    struct expression_fault fault;
    TRY(yaml_file_string(&m->yaml, node, what, out));
    recipe_sizes(&(struct problem){.op = m->kernel.contract.op, .format.blocksize = 64}, names);
    /* m, which comes first, is a product's. */
    size_t first = op_is_product(m->kernel.contract.op) ? 0 : 1;
    if (expression_value(*out, names + first, RECIPE_SIZES - first, NULL, &fault))
        return STATUS_OK;
    char text[EXPRESSION_TEXT + 96];
    bool cut = strstr(*out, "ceil(") && fault.at == strlen(*out);
    snprintf(text, sizeof text, "%s: %s%s", what, fault.what,
             cut ? "; in a list in brackets what has a comma must stand in quotes" : "");
    return fail_within(m, node, fault.at, text);
}

/* ---- the keys, in turn ---- */

static enum status read_name(struct manifest *m)
{
    const yaml_node_t *node = m->values[KEY_name];
    struct kernel *k = &m->kernel;
    const char *arch, *knobs;
    char *end;
    TRY(yaml_file_string(&m->yaml, node, "name", &k->name));
    if (!contract_parse(k->name, &k->contract, &arch) || !*arch)
        return FAIL(m, node,
                    "name \"%s\" must be <contract>__<arch>[_<knobs>], as "
                    "nf4_dequant_bf16__sm80_mine; the contract's words, and which go together "
                    "(a product names an accumulation), are in reference/contract.inc and .h",
                    k->name);
    unsigned long sm =
        strncmp(arch, "sm", 2) == 0 && isdigit((unsigned char)arch[2]) ? strtoul(arch + 2, &end, 10) : 0;
    knobs = sm ? end + (*end == 'a' || *end == 'f') : arch;
    if (sm < 50 || sm > 999 || (*knobs && *knobs != '_'))
        return FAIL(m, node,
                    "name \"%s\": after \"__\" the architecture must stand, as sm80 for compute "
                    "capability 8.0",
                    k->name);
    for (const char *c = k->name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            return fail_within(m, node, (size_t)(c - k->name),
                               "name: only letters, digits and _ may stand in it");
    if (strlen(k->name) >= VARIANT_NAME_MAX)
        return FAIL(m, node, "name: longer than %d characters", VARIANT_NAME_MAX - 1);
    const struct kernel *taken = kernel_find(k->name);
    if (taken)
        return FAIL(m, node,
                    "name \"%s\" is taken by a variant from %s; other knobs at its end make it "
                    "another",
                    k->name, taken->source);
    k->min_sm = (unsigned)sm;
    k->arch = m->arch = strndup(arch, (size_t)(knobs - arch));
    return m->arch ? STATUS_OK : status_no_memory("%s", m->yaml.name);
}

static const char no_entry[] = "has no such entry";

static bool elf_has(const unsigned char *image, size_t size, const char *entry)
{
    char section[RECIPE_ENTRY_MAX + 16];
    int length = snprintf(section, sizeof section, ".text.%s", entry);
    return memmem(image, size, section, (size_t)length + 1) != NULL; /* with its NUL byte */
}

static bool ptx_has(const char *text, const char *entry)
{
    size_t length = strlen(entry);
    for (const char *p = text; (p = strstr(p, entry)); p++)
        if (p > text && isspace((unsigned char)p[-1]) &&
            (isspace((unsigned char)p[length]) || p[length] == '('))
            return true;
    return false;
}

/* NULL, or what an image is not. */
static const char *image_fault(const struct manifest *m)
{
    enum { MACHINE_CUDA = 190 };
    static const unsigned char fatbin[4] = {0x50, 0xed, 0x55, 0xba};
    const char *entry = m->recipe.entry;
    const unsigned char *image = m->image;
    size_t size = m->image_size;
    Elf64_Ehdr h;
    if (size >= sizeof h && memcmp(image, ELFMAG, SELFMAG) == 0) {
        memcpy(&h, image, sizeof h);
        if (h.e_machine != MACHINE_CUDA)
            return "is an ELF file, but not of device code; a .cubin is wanted";
        return elf_has(image, size, entry) ? NULL : no_entry;
    }
    if (size >= sizeof fatbin && memcmp(image, fatbin, sizeof fatbin) == 0)
        return NULL; /* what is in it may be compressed */
    if (!memchr(image, 0, size) && memmem(image, size, ".version", 8) && memmem(image, size, ".target", 7))
        return ptx_has((const char *)image, entry) ? NULL : no_entry;
    return "is neither a cubin (ELF), a fatbin nor PTX text";
}

static enum status read_image_file(struct manifest *m, const yaml_node_t *node)
{
    struct stat info;
    FILE *f = fopen(m->image_path, "rb");
    enum status s = STATUS_OK;
    if (!f || fstat(fileno(f), &info) != 0)
        s = FAIL(m, node, "image %s: %s", m->image_path, strerror(errno));
    else if (!S_ISREG(info.st_mode) || info.st_size == 0 || info.st_size > IMAGE_BYTES_MAX)
        s = FAIL(m, node, "image %s: not a file of 1 to %d bytes", m->image_path, IMAGE_BYTES_MAX);
    if (s == STATUS_OK) {
        m->image_size = (size_t)info.st_size;
        m->image = calloc(m->image_size + 1, 1); /* PTX ends with a NUL byte */
        if (!m->image)
            s = status_no_memory("%s", m->image_path);
        else if (fread(m->image, 1, m->image_size, f) != m->image_size)
            s = FAIL(m, node, "image %s: cannot be read to its end", m->image_path);
    }
    if (f)
        fclose(f);
    return s;
}

static enum status read_image(struct manifest *m)
{
    const yaml_node_t *node = m->values[KEY_image];
    const char *image, *slash = strrchr(m->yaml.name, '/');
    char path[IMAGE_PATH_MAX];
    TRY(yaml_file_string(&m->yaml, m->values[KEY_entry], "entry", &m->recipe.entry));
    if (strlen(m->recipe.entry) > RECIPE_ENTRY_MAX)
        return FAIL(m, m->values[KEY_entry], "entry: longer than %d characters", RECIPE_ENTRY_MAX);
    TRY(yaml_file_string(&m->yaml, node, "image", &image));
    int folder = slash && image[0] != '/' ? (int)(slash - m->yaml.name) + 1 : 0;
    if (snprintf(path, sizeof path, "%.*s%s", folder, m->yaml.name, image) >= (int)sizeof path)
        return FAIL(m, node, "image: the path is too long");
    m->image_path = realpath(path, NULL);
    if (!m->image_path)
        return FAIL(m, node, "image %s: %s", path, strerror(errno));
    TRY(read_image_file(m, node));
    const char *fault = image_fault(m);
    if (fault)
        return FAIL(m, fault == no_entry ? m->values[KEY_entry] : node, "image %s %s", m->image_path, fault);
    m->kernel.source = m->image_path;
    return STATUS_OK;
}

static enum status read_grid(struct manifest *m)
{
    static const char *const what[3] = {"grid along x", "grid along y", "grid along z"};
    struct recipe *r = &m->recipe;
    yaml_node_t **nodes;
    size_t count, threads;
    TRY(yaml_file_size(&m->yaml, m->values[KEY_threads], "threads", 1, LAUNCH_THREADS_MAX, &threads));
    TRY(yaml_file_list(&m->yaml, m->values[KEY_grid], "grid", &nodes, &count));
    r->threads = (unsigned)threads;
    enum status s = STATUS_OK;
    if (count > 3)
        s = FAIL(m, nodes[3], "grid: it has 3 dimensions, not %zu", count);
    for (size_t i = 0; i < 3 && s == STATUS_OK; i++) {
        r->grid[i] = "1";
        if (i < count)
            s = read_expression(m, nodes[i], what[i], &r->grid[i]);
    }
    free(nodes);
    r->shared = "0";
    return s == STATUS_OK && m->values[KEY_shared]
               ? read_expression(m, m->values[KEY_shared], "shared", &r->shared)
               : s;
}

/* ---- arguments ---- */

/* The first is what a number is that says nothing. */
static const struct {
    const char *name;
    enum recipe_type type;
    uint64_t max;
} types[] = {{"i32", RECIPE_I32, INT32_MAX},
             {"u32", RECIPE_U32, UINT32_MAX},
             {"i64", RECIPE_I64, INT64_MAX},
             {"u64", RECIPE_U64, UINT64_MAX}};
enum { TYPES = sizeof types / sizeof types[0] };
static const enum recipe_type word_types[RECIPE_WORD_COUNT] = {
#define X(word, type, of) RECIPE_##type,
    RECIPE_WORD_MAP(X)
#undef X
};

static enum status unknown_word(const struct manifest *m, const yaml_node_t *node, const char *word)
{
    const char *names[RECIPE_WORD_COUNT + 1] = {"args"};
    for (size_t i = 0; i < RECIPE_WORD_COUNT; i++)
        names[i + 1] = recipe_word_name((enum recipe_word)i);
    return yaml_file_fail(&m->yaml, node, closest(word, names, RECIPE_WORD_COUNT + 1),
                          "arguments: unknown word \"%s\"; there are packed, absmax, absmax_code, "
                          "nested_absmax, nested_map, nested_offset, x, bias, y, out, workspace, m, n, k, "
                          "count, blocks, blocksize, whole numbers, and args alone",
                          word);
}

/* "word", "word:type", "123", "123:type". */
static enum status read_argument(const struct manifest *m, const yaml_node_t *node,
                                 struct recipe_parameter *out)
{
    const char *text, *colon;
    char word[48];
    TRY(yaml_file_string(&m->yaml, node, "an argument", &text));
    colon = strchr(text, ':');
    snprintf(word, sizeof word, "%.*s", colon ? (int)(colon - text) : (int)sizeof word, text);
    *out = (struct recipe_parameter){.word = RECIPE_NUMBER, .type = RECIPE_INTEGER};
    size_t number;
    if (isdigit((unsigned char)word[0])) {
        const char *fault = yaml_size_from_text(word, &number);
        if (fault)
            return FAIL(m, node, "arguments: \"%s\" %s", word, fault);
        out->number = number;
    } else {
        int i = 0;
        while (i < RECIPE_WORD_COUNT && strcmp(recipe_word_name((enum recipe_word)i), word) != 0)
            i++;
        if (i == RECIPE_WORD_COUNT)
            return unknown_word(m, node, word);
        out->word = (enum recipe_word)i;
        out->type = word_types[i];
    }
    const char *absent = recipe_word_absent(out->word, &m->kernel.contract);
    if (absent)
        return FAIL(m, node, "arguments: %s has no %s: %s", m->kernel.name, word, absent);
    if (colon && out->type != RECIPE_INTEGER)
        return fail_within(m, node, (size_t)(colon - text),
                           "arguments: only sizes and numbers have a choice of types");
    if (out->type != RECIPE_INTEGER)
        return STATUS_OK;
    size_t type = 0;
    while (colon && type < TYPES && strcmp(colon + 1, types[type].name) != 0)
        type++;
    if (type == TYPES)
        return fail_within(m, node, (size_t)(colon - text) + 1,
                           "arguments: the type of a number is i32, u32, i64 or u64");
    out->type = types[type].type;
    if (out->number > types[type].max)
        return FAIL(m, node, "arguments: %s does not fit into %s", word, types[type].name);
    return STATUS_OK;
}

static enum status read_arguments(struct manifest *m)
{
    struct recipe *r = &m->recipe;
    yaml_node_t *node = m->values[KEY_arguments], **nodes;
    size_t count;
    bool bias = false;
    r->takes_args = node->type == YAML_SCALAR_NODE && strcmp((char *)node->data.scalar.value, "args") == 0;
    if (r->takes_args)
        return STATUS_OK;
    TRY(yaml_file_list(&m->yaml, node, "arguments", &nodes, &count));
    enum status s = STATUS_OK;
    if (count > RECIPE_PARAMETERS_MAX)
        s = FAIL(m, nodes[RECIPE_PARAMETERS_MAX], "arguments: more than %d", RECIPE_PARAMETERS_MAX);
    for (size_t i = 0; i < count && s == STATUS_OK; i++) {
        s = read_argument(m, nodes[i], &r->parameters[i]);
        bias = bias || r->parameters[i].word == RECIPE_bias;
    }
    r->parameter_count = count;
    m->kernel.no_bias = op_is_product(m->kernel.contract.op) && !bias;
    free(nodes);
    return s;
}

static enum status read_limits(struct manifest *m)
{
    struct kernel *k = &m->kernel;
    size_t sm = k->min_sm;
    k->k_multiple = 1;
    if (m->values[KEY_min_sm])
        TRY(yaml_file_size(&m->yaml, m->values[KEY_min_sm], "min_sm", 50, 999, &sm));
    if (m->values[KEY_m_max])
        TRY(yaml_file_size(&m->yaml, m->values[KEY_m_max], "m_max", 1, SIZE_MAX, &k->m_max));
    if (m->values[KEY_k_multiple])
        TRY(yaml_file_size(&m->yaml, m->values[KEY_k_multiple], "k_multiple", 1, SIZE_MAX, &k->k_multiple));
    k->min_sm = (unsigned)sm;
    return STATUS_OK;
}

/* ---- the file ---- */

static enum status read_keys(struct manifest *m, const char *path)
{
    yaml_node_t *keys[KEY_COUNT];
    TRY(yaml_file_parse(NULL, 0, path, &m->yaml));
    yaml_node_t *root = yaml_file_root(&m->yaml);
    TRY(yaml_file_keys(&m->yaml, root, "a manifest", key_names, KEY_COUNT, m->values, keys));
    for (size_t i = 0; i < KEY_REQUIRED; i++)
        if (!m->values[i])
            return FAIL(m, root, "a manifest must have the key \"%s\"", key_names[i]);
    return STATUS_OK;
}

/* The contract, which the name holds, says what the other keys may hold. */
static enum status read_manifest(struct manifest *m, const char *path)
{
    TRY(read_keys(m, path));
    TRY(read_name(m));
    TRY(read_image(m));
    TRY(read_grid(m));
    TRY(read_arguments(m));
    return read_limits(m);
}

enum status manifest_load(const char *path)
{
    struct manifest *m = calloc(1, sizeof *m);
    if (!m)
        return status_no_memory("%s", path);
    m->kernel = (struct kernel){.backend = BACKEND_CUDA, .built = true, .recipe = &m->recipe};
    enum status s = read_manifest(m, path);
    if (s == STATUS_OK && asprintf(&m->option, "--manifest '%s'", path) < 0) {
        m->option = NULL;
        s = status_no_memory("%s", path);
    }
    m->kernel.option = m->option;
    /* Several entries of one image share it. */
    if (s == STATUS_OK && !cuda_image_find(m->image_path))
        s = cuda_image_add(m->image_path, m->image, m->image_size + 1);
    if (s == STATUS_OK)
        s = kernel_add(&m->kernel);
    if (s == STATUS_OK) {
        caller_loads("--manifest", path);
        return s;
    }
    yaml_file_release(&m->yaml);
    if (!m->image_path || !cuda_image_find(m->image_path)) {
        free(m->image_path);
        free(m->image);
    }
    free(m->arch);
    free(m->option);
    free(m);
    return s;
}
