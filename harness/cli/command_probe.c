/*
 * command_probe.c: `nf4bench probe [--device cuda:N]`.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/base/interrupt.h"
#include "harness/cli/cli.h"
#include "harness/cli/options.h"
#include "harness/device/request.h"
#include "harness/device/open.h"
#include "harness/verify/probe.h"

enum { TILES = 1024 };

struct probe_arguments {
    struct device device;
    uint64_t seed;
    bool verbose;
};

static void read_device(struct argp_state *state, const struct cli_option *o, void *to, char *value)
{
    (void)o;
    struct device *device = to;
    if (device_parse(value, device) != STATUS_OK || device->kind != DEVICE_CUDA)
        argp_error(state, "--device takes cuda, cuda:N, cuda:NAME or all, not '%s'", value);
}

#define CLI_ARGUMENTS struct probe_arguments
static const struct cli_option options[] = {
    {"device", 'd', "DEVICE", "cuda (the first GPU, the default), cuda:N, cuda:NAME, or all",
     .read = read_device, .offset = offsetof(struct probe_arguments, device)},
    {"seed", 's', "N", "other operands (default 1)", CLI_SEED(seed)},
    {"verbose", 'V', NULL, "every output that differs, not only the first of a kind", CLI_FLAG(verbose)},
    {0}};

/* What is not as the model says, of one class of operands. */
struct told {
    bool all; /* else the first */
    struct probe_mismatch first;
};

static void tell(const struct probe_mismatch *m, void *context)
{
    struct told *told = context;
    if (!told->first.tile)
        told->first = *m;
    if (told->all)
        printf("    tile %zu, row %zu, column %zu: the model has %08x, the GPU %08x\n", m->index, m->row,
               m->column, f32_bits(m->expected), f32_bits(m->tile->d[m->row][m->column]));
}

static void print_mismatch(const struct probe_mismatch *m)
{
    const struct mma_tile *t = m->tile;
    printf("    tile %zu, row %zu, column %zu: the model has %08x (%g), the GPU %08x (%g); c %08x\n    a",
           m->index, m->row, m->column, f32_bits(m->expected), (double)m->expected,
           f32_bits(t->d[m->row][m->column]), (double)t->d[m->row][m->column],
           f32_bits(t->c[m->row][m->column]));
    for (size_t k = 0; k < MMA_K; k++)
        printf(" %04x", t->a[m->row][k]);
    printf("\n    b");
    for (size_t k = 0; k < MMA_K; k++)
        printf(" %04x", t->b[m->column][k]);
    printf("\n");
}

/* *different: outputs that are not what the GPU's model says. */
static enum status probe_gpu(struct device *d, uint64_t seed, bool verbose, size_t *different)
{
    static struct mma_tile tiles[TILES];
    const enum mma_model model = d->gpu.sm >= 90 ? MMA_90 : MMA_80; /* that it is expected to follow */
    printf("%s (%u.%u), mma.m16n8k16 against %s: outputs that are equal bit for bit\n", d->gpu.name,
           d->gpu.sm / 10, d->gpu.sm % 10, mma_models[model].word);
    printf("%-6s %-18s %9s %9s %9s  %s\n", "type", "operands", "outputs", mma_models[MMA_80].word,
           mma_models[MMA_90].word, "hash");
    for (int t = DTYPE_F16; t <= DTYPE_BF16; t++)
        for (int c = 0; c < PROBE_CLASS_COUNT; c++) {
            struct probe_result r;
            for (size_t i = 0; i < TILES; i++)
                probe_fill((enum probe_class)c, (enum dtype)t, seed, i, &tiles[i]);
            TRY(request_mma(d, (enum dtype)t, tiles, TILES));
            struct told told = {.all = verbose};
            probe_compare((enum dtype)t, tiles, TILES, model, tell, &told, &r);
            printf("%-6s %-18s %9zu %9zu %9zu  %016" PRIx64 "\n", dtype_word((enum dtype)t),
                   probe_class_word((enum probe_class)c), r.outputs, r.equal[MMA_80], r.equal[MMA_90],
                   r.hash);
            *different += r.outputs - r.equal[model];
            if (told.first.tile)
                print_mismatch(&told.first);
        }
    return STATUS_OK;
}

int command_probe(int argc, char **argv)
{
    static const struct cli_command command = {.usage = "",
                                               .help = "Hold the tensor cores of a GPU against the models "
                                                       "that mma80 and mma90 variants are verified by: "
                                                       "operands of moderate and of all exponents, zeros, "
                                                       "denormals, infinities and NaN. Exit code 1 if an "
                                                       "output is not what the GPU's model says.",
                                               .options = options};
    struct probe_arguments a = {.seed = 1};
    struct device *list = NULL;
    size_t count = 0, different = 0, probed = 0;
    enum status s = device_parse("cuda", &a.device);
    cli_parse(&command, &a, argc, argv);
    interrupt_install();
    if (s == STATUS_OK)
        s = device_open(&a.device, &list, &count);
    for (size_t i = 0; i < count && s == STATUS_OK; i++) {
        if (list[i].gpu.sm < 80) {
            printf("%s (%u.%u): has no mma.m16n8k16\n", list[i].gpu.name, list[i].gpu.sm / 10,
                   list[i].gpu.sm % 10);
            continue;
        }
        s = probe_gpu(&list[i], a.seed, a.verbose, &different);
        probed++;
    }
    device_close(list, count);
    if (s != STATUS_OK)
        return cli_fail(argv[0], s);
    if (different)
        printf("%zu outputs differ\n", different);
    return different ? EXIT_WRONG : probed ? 0 : EXIT_NOTHING_RAN;
}
