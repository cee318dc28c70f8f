/*
 * fake_cuda.c: a libcuda.so.1 for machines without a GPU: NF4BENCH_LIBCUDA=.../fake_cuda.so. Variants run
 * through the executor of the program that loads it (their fast host builds, found by name), the kernels of
 * support.cu are written again in C below, device memory is memory that child processes share, and events
 * tell the time of a model: bytes over a bandwidth, and an overhead for each launch.
 *
 * An image that was added (a text: PTX) may say which of its symbols are variants that the program has, and
 * what their parameters are, as device/cuda/recipe.h has them:
 *
 *   // fake_cuda: my_kernel = nf4_dequant_bf16__sm75_prmt(packed, absmax, out, count:u64)
 *
 *   NF4BENCH_FAKE_CUDA_GPUS=N     how many GPUs there are (default 1; 0: CUDA_ERROR_NO_DEVICE)
 *   NF4BENCH_FAKE_CUDA_SM=NN      their compute capability (default 90)
 *   NF4BENCH_FAKE_CUDA_MMA=80|90  tensor cores of another model than these have
 *   NF4BENCH_FAKE_CUDA_SPEED=X    variants take X times as long as the model says (default 1)
 *   NF4BENCH_FAKE_CUDA_DRIFT=US   each launch of a variant takes so much longer than the one before it
 *   NF4BENCH_FAKE_CUDA_WARM=1     nothing puts anything out of the cache
 *   NF4BENCH_FAKE_CUDA_FAIL=FUNCTION:N:WHAT[:FILE]
 *                                 the N-th call of FUNCTION in a process fails. WHAT is
 *                                   a number       returned by this call, or, from 700 on, by all later calls too
 *                                   hang, crash
 *                                   wrong          cuLaunchKernel, cublasGemmEx and cublasLtMatmul write wrong bits
 *                                 With FILE, which is then made: once only, in whatever process.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/base/random.h"
#include "harness/device/cuda/driver.h"
#include "harness/device/cuda/mma_tile.h"
#include "harness/device/simt/simt.h"
#include "harness/device/simt/tensor_core.h"
#include "kernels/kernel.h"
#include "reference/dtype.h"
#include "results/row.h"
#include "tests/fake_cuda/fake_cuda.h"

/* ---- faults to order ---- */

static int sticky;
static bool wrong_launch; /* the next of a variant */
bool fake_cuda_wrong_product;

int fake_cuda_ordered(const char *function)
{
    static unsigned long calls[128]; /* more than functions.inc and cublas_functions.inc have */
    static const char *names[128];
    size_t i = 0;
    if (sticky)
        return sticky;
    while (names[i] && strcmp(names[i], function) != 0)
        i++;
    names[i] = function;
    calls[i]++;
    const char *order = getenv("NF4BENCH_FAKE_CUDA_FAIL");
    char wanted[96], what[32], file[512] = "";
    unsigned long n;
    if (!order || sscanf(order, "%95[^:]:%lu:%31[^:]:%511s", wanted, &n, what, file) < 3 ||
        strcmp(wanted, function) != 0 || calls[i] != n)
        return 0;
    if (file[0]) {
        int fd = open(file, O_CREAT | O_EXCL | O_WRONLY, 0600);
        if (fd < 0)
            return 0;
        close(fd);
    }
    if (strcmp(what, "hang") == 0)
        for (;;)
            pause();
    if (strcmp(what, "crash") == 0)
        raise(SIGKILL);
    if (strcmp(what, "wrong") == 0) {
        *(strncmp(function, "cublas", 6) == 0 ? &fake_cuda_wrong_product : &wrong_launch) = true;
        return 0;
    }
    int code = atoi(what);
    if (code >= 700 && code < 800)
        sticky = code;
    return code;
}
static int number(const char *variable, int otherwise)
{
    const char *text = getenv(variable);
    return text && *text ? atoi(text) : otherwise;
}

/* ---- the model ---- */

enum {
    MEMORY_BYTES = 128 << 20,
    L2_BYTES = 1 << 20,
    SM_COUNT = 1,
    SHARED_MAX = 227 * 1024,
    LAUNCH_NS = 2500,
    BYTES_PER_US = 1000000, /* 1 TB/s */
    HOT_BYTES_PER_US = 3000000,
};

struct cuda_context {
    int unused;
};
struct cuda_module {
    const struct entry *entry; /* of an image that says which; NULL: any of the program's */
    const char *image;
};
/* A parameter of a symbol that an image says it has: where its value stands in the variant's arguments. */
struct parameter {
    size_t offset, size;
};
enum { PARAMETERS_MAX = 16 };
struct cuda_function {
    char name[160]; /* the variant's */
    struct parameter parameters[PARAMETERS_MAX];
    size_t parameter_count; /* 0: the arguments are one struct */
    bool launched;
    bool is_call; /* of another library: the arguments are a host_call */
    int dynamic_max;
    bool has_entry;
    struct entry entry;
};
struct cuda_event {
    double at_us;
};
/* A library's function, which launches through its own runtime. */
struct host_call {
    void (*call)(const void *args);
    double bytes;
    unsigned char args[128];
};
union arguments {
    struct host_call host_call;
    struct dequant_args dequant;
    struct gemm_args gemm;
    struct repack_args repack;
    uint64_t words[8];
};
struct launch_record {
    struct cuda_function *function;
    struct launch launch;
    union arguments arguments;
    struct launch_record *next;
};
struct cuda_graph {
    struct launch_record *first, **last;
};
struct cuda_graph_exec {
    struct launch_record *first;
};
struct cuda_stream {
    double now_us;
    bool hot; /* no memory that was flushed lies between this launch and the last of the same kernel */
    struct cuda_function *last;
    struct cuda_graph *capture;
};

static struct cuda_context context, *current;
static size_t allocated;
static volatile int *gate; /* that a blocking kernel waits for: launches behind it must not load anything */

struct allocation {
    char *start;
    size_t size;
    struct allocation *next;
};
static struct allocation *allocations;

/* ---- the kernels of support.cu ---- */

static uint64_t word_at(const uint8_t *p, size_t size, size_t i)
{
    uint64_t v = 0;
    memcpy(&v, p + 8 * i, 8 * i + 8 <= size ? 8 : size - 8 * i);
    return v;
}

static enum simt_tensor_core tensor_cores(void)
{
    int sm = number("NF4BENCH_FAKE_CUDA_MMA", number("NF4BENCH_FAKE_CUDA_SM", 90));
    return sm >= 90 ? SIMT_TENSOR_CORE_90 : SIMT_TENSOR_CORE_80;
}

static void multiply_tiles(struct mma_tile *tiles, size_t count, bool bf16)
{
    for (size_t i = 0; i < count; i++) {
        struct tensor_core_tile t;
        memcpy(t.a, tiles[i].a, sizeof t.a);
        memcpy(t.d, tiles[i].c, sizeof t.d);
        for (size_t k = 0; k < MMA_K; k++)
            for (size_t n = 0; n < MMA_N; n++)
                t.b[k][n] = tiles[i].b[n][k];
        tensor_core_mma(tensor_cores(), bf16 ? TENSOR_CORE_BF16 : TENSOR_CORE_F16, &t);
        memcpy(tiles[i].d, t.d, sizeof t.d);
    }
}

/* True if `name` is one of them, which is then done; *bytes is what it touches. */
static bool support(const char *name, const uint64_t *a, double *bytes)
{
    uint8_t *p = (uint8_t *)(uintptr_t)a[0];
    size_t size = a[1];
    *bytes = (double)size;
    if (strcmp(name, "nf4bench_fill") == 0) {
        for (size_t i = 0; i < size / 16 * 4; i++)
            memcpy(p + 4 * i, &a[2], 4);
    } else if (strcmp(name, "nf4bench_read") == 0) {
        *bytes += (double)a[3];
    } else if (strncmp(name, "nf4bench_copy", 13) == 0) { /* either way */
        memset((void *)(uintptr_t)a[4], 0x5a, a[5] / 16 * 16);
        *bytes += (double)a[3] + (double)a[5];
    } else if (strcmp(name, "nf4bench_poison") == 0) {
        for (size_t i = 0; i < (size + 7) / 8; i++) {
            uint64_t v = (random_mix(a[2] + i) & 0x807f807f807f807fu) | 0x7f817f817f817f81u;
            memcpy(p + 8 * i, &v, 8 * i + 8 <= size ? 8 : size - 8 * i);
        }
    } else if (strcmp(name, "nf4bench_hash") == 0) {
        uint64_t sum = 0;
        for (size_t i = 0; i < (size + 7) / 8; i++)
            sum += random_mix(word_at(p, size, i) ^ random_mix(i + 1));
        *(uint64_t *)(uintptr_t)a[2] += sum;
    } else if (strcmp(name, "nf4bench_discard") == 0) {
        memset(p, 0xdd, size / 128 * 128);
    } else if (strcmp(name, "nf4bench_add") == 0) {
        for (size_t i = 0; i < size; i++)
            ((float *)p)[i] += *(const float *)(uintptr_t)a[2];
        *bytes *= 8;
    } else if (strcmp(name, "nf4bench_mma") == 0) {
        multiply_tiles((struct mma_tile *)p, size, (uint32_t)a[2] != 0);
    } else if (strcmp(name, "nf4bench_block") == 0) {
        gate = (volatile int *)p;
        *bytes = 0;
    } else {
        return false;
    }
    return true;
}

/* ---- variants ---- */

static struct launch given; /* the grid that was asked for, which is what runs, not the entry's own */
static struct launch give(const void *args)
{
    (void)args;
    return given;
}

static double touched(const struct cuda_function *f, const union arguments *a)
{
    if (strstr(f->name, "dequant"))
        return (double)a->dequant.count * (strstr(f->name, "_f32") ? 4.5 : 2.5);
    if (strstr(f->name, "repack_u8"))
        return (double)a->repack.n * (double)a->repack.k;
    return 0.5 * (double)a->gemm.n * (double)a->gemm.k +
           4.0 * (double)a->gemm.m * (double)(a->gemm.n + a->gemm.k);
}

static int run_entry(const struct cuda_function *f, const struct launch *l, const union arguments *a)
{
    static struct simt_result result;
    bool (*run)(const struct entry *, const void *, size_t, const struct simt_buffer *, size_t,
                const struct simt_options *, struct simt_result *);
    *(void **)&run = dlsym(RTLD_DEFAULT, "simt_launch");
    struct simt_options options = {.tensor_core = tensor_cores()};
    struct entry e = f->entry;
    if (!run || l->grid[0] == 0 || l->threads == 0 || l->threads > e.threads_max)
        return CUDA_INVALID_VALUE;
    given = *l;
    e.launch = give;
    if (run(&e, a, strstr(f->name, "dequant") ? sizeof a->dequant : sizeof a->gemm, NULL, 0, &options,
            &result))
        return 0;
    sticky = result.fault == SIMT_CRASH || result.fault == SIMT_OUT_OF_BOUNDS ? CUDA_ILLEGAL_ADDRESS
             : result.fault == SIMT_TIMEOUT                                   ? CUDA_LAUNCH_TIMEOUT
                                                                              : CUDA_LAUNCH_FAILED;
    return 0; /* told at the next call, as on a GPU */
}

/* time_only: a repetition whose result the next one would overwrite anyway. */
static int execute(struct cuda_stream *s, struct launch_record *r, bool time_only)
{
    struct cuda_function *f = r->function;
    double bytes;
    bool first = !f->launched;
    f->launched = true;
    /* A GPU loads a kernel at its first launch, which waits for what is queued: behind a closed gate, for
     * ever. */
    if (first && gate && !gate[0])
        gate[1] = 1;
    int code = 0;
    if (f->is_call) {
        bytes = r->arguments.host_call.bytes;
        if (!time_only)
            r->arguments.host_call.call(r->arguments.host_call.args);
    } else if (!f->has_entry) {
        if (!support(f->name, r->arguments.words, &bytes))
            return CUDA_NOT_FOUND;
    } else {
        bytes = touched(f, &r->arguments);
        bool wrong = wrong_launch;
        wrong_launch = false;
        if (!time_only)
            code = run_entry(f, &r->launch, &r->arguments);
        if (wrong) {
            void *out = strstr(f->name, "dequant")     ? r->arguments.dequant.out
                        : strstr(f->name, "repack_u8") ? r->arguments.repack.to
                                                       : r->arguments.gemm.y;
            *(uint8_t *)out ^= 1;
        }
    }
    bool again = s->last == f;
    if (strcmp(f->name, "nf4bench_block") != 0) /* which touches no memory to speak of */
        s->last = f;
    /* Kernels differ a little, each always by the same. */
    unsigned spread = 0;
    for (const char *c = f->name; *c; c++)
        spread = spread * 31 + (unsigned char)*c;
    const char *speed = getenv("NF4BENCH_FAKE_CUDA_SPEED");
    double slow = f->has_entry ? (1.1 + (double)(spread % 64) / 128) * (speed ? atof(speed) : 1) : 1;
    const char *drift = getenv("NF4BENCH_FAKE_CUDA_DRIFT");
    static unsigned long launches;
    s->now_us += f->has_entry && drift ? atof(drift) * (double)launches++ : 0;
    bool hot = again || number("NF4BENCH_FAKE_CUDA_WARM", 0);
    s->now_us += 1e-3 * LAUNCH_NS + slow * bytes / (hot ? HOT_BYTES_PER_US : BYTES_PER_US);
    return code;
}

/* ---- the driver ---- */

#define API                                           __attribute__((visibility("default"))) int
#define CUDA_FUNCTION(need, name, symbol, parameters) API symbol parameters;
#include "harness/device/cuda/functions.inc"

API cuInit(unsigned flags)
{
    (void)flags;
    ORDERED();
    return number("NF4BENCH_FAKE_CUDA_GPUS", 1) > 0 ? 0 : CUDA_NO_DEVICE;
}

API cuDriverGetVersion(int *version)
{
    ORDERED();
    *version = 13000;
    return 0;
}

API cuGetErrorName(int code, const char **name)
{
    switch (code) {
#define X(value, word, fault)                                                                                \
    case value:                                                                                              \
        *name = "CUDA_ERROR_" #word;                                                                         \
        return 0;
        CUDA_ERROR_MAP(X)
#undef X
    default:
        *name = "CUDA_ERROR_OF_THE_FAKE";
    }
    return 0;
}

API cuGetErrorString(int code, const char **text)
{
    (void)code;
    *text = "from the fake driver";
    return 0;
}

API cuDeviceGetCount(int *count)
{
    ORDERED();
    *count = number("NF4BENCH_FAKE_CUDA_GPUS", 1);
    return 0;
}

API cuDeviceGet(int *device, int ordinal)
{
    ORDERED();
    *device = ordinal;
    return ordinal >= 0 && ordinal < number("NF4BENCH_FAKE_CUDA_GPUS", 1) ? 0 : 101;
}

API cuDeviceGetName(char *name, int length, int device)
{
    (void)device;
    ORDERED();
    snprintf(name, (size_t)length, RECORD_FAKE_GPU " (executor)");
    return 0;
}

API cuDeviceGetUuid_v2(unsigned char uuid[16], int device)
{
    ORDERED();
    memset(uuid, 0xfa, 16);
    uuid[0] = (unsigned char)device;
    return 0;
}

API cuDeviceGetPCIBusId(char *id, int length, int device)
{
    ORDERED();
    snprintf(id, (size_t)length, "0000:%02x:00.0", device + 1);
    return 0;
}

API cuDeviceGetAttribute(int *value, int attribute, int device)
{
    (void)device;
    ORDERED();
    int sm = number("NF4BENCH_FAKE_CUDA_SM", 90);
    *value = attribute == CUDA_ATTRIBUTE_MAJOR          ? sm / 10
             : attribute == CUDA_ATTRIBUTE_MINOR        ? sm % 10
             : attribute == CUDA_ATTRIBUTE_SM_COUNT     ? SM_COUNT
             : attribute == CUDA_ATTRIBUTE_L2_BYTES     ? L2_BYTES
             : attribute == CUDA_ATTRIBUTE_SHARED_OPTIN ? SHARED_MAX
                                                        : 0;
    return 0;
}

API cuDeviceTotalMem_v2(size_t *bytes, int device)
{
    (void)device;
    ORDERED();
    *bytes = MEMORY_BYTES;
    return 0;
}

API cuDevicePrimaryCtxRetain(struct cuda_context **out, int device)
{
    (void)device;
    ORDERED();
    *out = &context;
    return 0;
}

API cuCtxSetCurrent(struct cuda_context *c)
{
    ORDERED();
    current = c;
    return 0;
}

API cuCtxGetCurrent(struct cuda_context **c)
{
    ORDERED();
    *c = current;
    return 0;
}

API cuCtxSetLimit(int limit, size_t value)
{
    (void)limit;
    (void)value;
    ORDERED();
    return 0;
}

API cuCtxResetPersistingL2Cache(void)
{
    ORDERED();
    return 0;
}

API cuModuleLoadData(struct cuda_module **module, const void *image)
{
    ORDERED();
    *module = calloc(1, sizeof **module);
    if (!*module || !image)
        return CUDA_OUT_OF_MEMORY;
    /* What a plugin of the tests has for device code. */
    void *entry;
    if (strncmp(image, "fake entry ", 11) == 0 && sscanf((const char *)image + 11, "%p", &entry) == 1)
        (*module)->entry = entry;
    (*module)->image = image;
    return 0;
}

/* One parameter, as an image writes it, from text that goes on with ',' or ')'. */
static bool read_parameter(const char *text, bool product, struct parameter *out)
{
    static const struct {
        const char *name;
        size_t dequant, gemm,
            size; /* where it stands in either struct; NOWHERE; 0: 4 unless it says 64 bits */
    } words[] = {
#define NOWHERE       ((size_t)-1)
#define SCALE(word)   offsetof(struct dequant_args, w.word), offsetof(struct gemm_args, w.word)
#define OF_GEMM(word) NOWHERE, offsetof(struct gemm_args, word)
        {"packed", SCALE(packed), 8},
        {"absmax_code", SCALE(absmax_code), 8},
        {"absmax", SCALE(absmax), 8},
        {"nested_absmax", SCALE(nested_absmax), 8},
        {"nested_map", SCALE(nested_map), 8},
        {"nested_offset", SCALE(nested_offset), 4},
        {"blocksize", SCALE(blocksize), 0},
        {"count", offsetof(struct dequant_args, count), NOWHERE, 0},
        {"out", offsetof(struct dequant_args, out), NOWHERE, 8},
        {"x", OF_GEMM(x), 8},
        {"bias", OF_GEMM(bias), 8},
        {"y", OF_GEMM(y), 8},
        {"workspace", OF_GEMM(workspace), 8},
        {"m", OF_GEMM(m), 0},
        {"n", OF_GEMM(n), 0},
        {"k", OF_GEMM(k), 0},
    };
    size_t length = strcspn(text, ":,)");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i].name) != length || strncmp(words[i].name, text, length) != 0)
            continue;
        out->offset = product ? words[i].gemm : words[i].dequant;
        out->size = words[i].size ? words[i].size : strncmp(text + length + 2, "64", 2) == 0 ? 8 : 4;
        return out->offset != NOWHERE;
    }
    return false;
}

/* Looks for `symbol` in what the image says it has; then *f is told what it takes, and *variant is set. */
static bool read_signature(const struct cuda_module *module, const char *symbol, struct cuda_function *f,
                           char variant[160])
{
    static const char mark[] = "// fake_cuda: ";
    for (const char *line = module->image; (line = strstr(line, mark));) {
        char name[256];
        int at = 0;
        line += sizeof mark - 1;
        if (sscanf(line, "%255s = %159[^(](%n", name, variant, &at) != 2 || !at || strcmp(name, symbol) != 0)
            continue;
        for (line += at; f->parameter_count < PARAMETERS_MAX; line += strspn(line, ", ")) {
            if (!read_parameter(line, !strstr(variant, "dequant"), &f->parameters[f->parameter_count++]))
                return false;
            line += strcspn(line, ",)");
            if (*line == ')')
                return true;
        }
    }
    return false;
}

API cuModuleGetFunction(struct cuda_function **function, struct cuda_module *module, const char *name)
{
    ORDERED();
    static struct known {
        struct cuda_function f;
        const struct cuda_module *module;
        char symbol[256];
        struct known *next;
    } * known;
    char symbol[200], variant[160];
    for (struct known *k = known; k; k = k->next)
        if (k->module == module && strcmp(k->symbol, name) == 0) {
            *function = &k->f;
            return 0;
        }
    struct known *k = calloc(1, sizeof *k);
    if (!k)
        return CUDA_OUT_OF_MEMORY;
    snprintf(k->symbol, sizeof k->symbol, "%s", name);
    k->module = module;
    if (!read_signature(module, name, &k->f, variant))
        snprintf(variant, sizeof variant, "%s", name);
    snprintf(symbol, sizeof symbol, "%s__fast", variant);
    const struct entry *e = module->entry ? module->entry : dlsym(RTLD_DEFAULT, symbol);
    if (module->entry ? strcmp(e->name, name) != 0 : !e && strncmp(name, "nf4bench_", 9) != 0) {
        free(k);
        return CUDA_NOT_FOUND;
    }
    snprintf(k->f.name, sizeof k->f.name, "%s", variant);
    k->f.has_entry = e != NULL;
    if (e)
        k->f.entry = *e;
    k->next = known;
    known = k;
    *function = &k->f;
    return 0;
}

API cuFuncGetAttribute(int *value, int attribute, struct cuda_function *function)
{
    (void)function;
    ORDERED();
    *value = attribute == CUDA_FUNCTION_REGISTERS ? 32 : attribute == CUDA_FUNCTION_SHARED_BYTES ? 1024 : 0;
    return 0;
}

API cuFuncGetParamInfo(struct cuda_function *function, size_t index, size_t *offset, size_t *size)
{
    ORDERED();
    size_t count = function->parameter_count;
    if (index >= (count ? count : 1))
        return CUDA_INVALID_VALUE;
    *offset = 0;
    *size = count                               ? function->parameters[index].size
            : strstr(function->name, "dequant") ? sizeof(struct dequant_args)
            : strstr(function->name, "repack_") ? sizeof(struct repack_args)
                                                : sizeof(struct gemm_args);
    return 0;
}

API cuFuncSetAttribute(struct cuda_function *function, int attribute, int value)
{
    ORDERED();
    if (attribute == CUDA_FUNCTION_DYNAMIC_SHARED_MAX)
        function->dynamic_max = value;
    return 0;
}

API cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, struct cuda_function *function, int threads,
                                                size_t shared)
{
    (void)function;
    (void)shared;
    ORDERED();
    *blocks = 2048 / threads;
    return 0;
}

API cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
    ORDERED();
    *total = MEMORY_BYTES;
    *free_bytes = MEMORY_BYTES - (allocated < MEMORY_BYTES ? allocated : MEMORY_BYTES);
    return 0;
}

API cuMemAlloc_v2(uint64_t *address, size_t size)
{
    ORDERED();
    if (size == 0)
        return CUDA_INVALID_VALUE;
    if (allocated + size > MEMORY_BYTES)
        return CUDA_OUT_OF_MEMORY;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct allocation *a = malloc(sizeof *a);
    if (p == MAP_FAILED || !a)
        return CUDA_OUT_OF_MEMORY;
    *a = (struct allocation){p, size, allocations};
    allocations = a;
    allocated += size;
    *address = (uint64_t)(uintptr_t)p;
    return 0;
}

API cuMemFree_v2(uint64_t address)
{
    ORDERED();
    for (struct allocation **a = &allocations; *a; a = &(*a)->next) {
        struct allocation *gone = *a;
        if ((uint64_t)(uintptr_t)gone->start != address)
            continue;
        munmap(gone->start, gone->size);
        allocated -= gone->size;
        *a = gone->next;
        free(gone);
        return 0;
    }
    return CUDA_INVALID_VALUE;
}

API cuMemHostAlloc(void **memory, size_t size, unsigned flags)
{
    (void)flags;
    ORDERED();
    *memory = calloc(1, size);
    return *memory ? 0 : CUDA_OUT_OF_MEMORY;
}

API cuMemHostRegister_v2(void *memory, size_t size, unsigned flags)
{
    (void)memory;
    (void)size;
    (void)flags;
    ORDERED();
    return 0;
}

API cuMemHostGetDevicePointer_v2(uint64_t *address, void *memory, unsigned flags)
{
    (void)flags;
    ORDERED();
    *address = (uint64_t)(uintptr_t)memory;
    return 0;
}

bool fake_cuda_within(uint64_t address, size_t size)
{
    for (const struct allocation *a = allocations; a; a = a->next)
        if (address >= (uint64_t)(uintptr_t)a->start &&
            address + size <= (uint64_t)(uintptr_t)a->start + a->size)
            return true;
    return false;
}

API cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t size)
{
    ORDERED();
    if (!fake_cuda_within(to, size))
        return CUDA_INVALID_VALUE;
    memcpy((void *)(uintptr_t)to, from, size);
    return 0;
}

API cuMemcpyDtoH_v2(void *to, uint64_t from, size_t size)
{
    ORDERED();
    if (!fake_cuda_within(from, size))
        return CUDA_INVALID_VALUE;
    memcpy(to, (const void *)(uintptr_t)from, size);
    return 0;
}

API cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t size)
{
    ORDERED();
    if (!fake_cuda_within(to, size) || !fake_cuda_within(from, size))
        return CUDA_INVALID_VALUE;
    memcpy((void *)(uintptr_t)to, (const void *)(uintptr_t)from, size);
    return 0;
}

API cuStreamCreate(struct cuda_stream **stream, unsigned flags)
{
    (void)flags;
    ORDERED();
    *stream = calloc(1, sizeof **stream);
    return *stream ? 0 : CUDA_OUT_OF_MEMORY;
}

API cuStreamSynchronize(struct cuda_stream *stream)
{
    (void)stream;
    ORDERED();
    return 0;
}

static union arguments copy_arguments(const struct cuda_function *f, void **parameters)
{
    union arguments a;
    memset(&a, 0, sizeof a);
    for (size_t i = 0; i < f->parameter_count; i++)
        memcpy((char *)&a + f->parameters[i].offset, parameters[i], f->parameters[i].size);
    if (f->parameter_count)
        return a;
    if (f->has_entry) {
        memcpy(&a, parameters[0], strstr(f->name, "dequant") ? sizeof a.dequant : sizeof a.gemm);
        return a;
    }
    bool block = strcmp(f->name, "nf4bench_block") == 0, discard = strcmp(f->name, "nf4bench_discard") == 0;
    /* The third parameter of these is an int. */
    bool word = strcmp(f->name, "nf4bench_fill") == 0 || strcmp(f->name, "nf4bench_mma") == 0;
    memcpy(&a.words[0], parameters[0], 8);
    memcpy(&a.words[1], parameters[1], 8);
    if (!block && !discard)
        memcpy(&a.words[2], parameters[2], word ? 4 : 8);
    bool copy = strncmp(f->name, "nf4bench_copy", 13) == 0;
    if (copy || strcmp(f->name, "nf4bench_read") == 0)
        memcpy(&a.words[3], parameters[3], 8);
    for (int i = 4; copy && i < 6; i++)
        memcpy(&a.words[i], parameters[i], 8);
    return a;
}

/* Runs the launch, or adds it to the graph that is being captured. */
static int enqueue(struct cuda_stream *stream, const struct launch_record *r)
{
    if (!stream->capture) {
        struct launch_record now = *r;
        return execute(stream, &now, false);
    }
    struct launch_record *kept = malloc(sizeof *kept);
    if (!kept)
        return CUDA_OUT_OF_MEMORY;
    *kept = *r;
    *stream->capture->last = kept;
    stream->capture->last = &kept->next;
    return 0;
}

API cuLaunchKernel(struct cuda_function *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                   unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                   struct cuda_stream *stream, void **parameters, void **extra)
{
    (void)extra;
    (void)block_y;
    (void)block_z;
    ORDERED();
    if (grid_x == 0 || grid_y == 0 || grid_z == 0 || block_x == 0 || block_x > 1024 ||
        (shared > 48 * 1024 && (int)shared > function->dynamic_max))
        return CUDA_INVALID_VALUE;
    struct launch_record r = {.function = function,
                              .launch = {{grid_x, grid_y, grid_z}, block_x, shared},
                              .arguments = copy_arguments(function, parameters)};
    return enqueue(stream, &r);
}

API cuEventCreate(struct cuda_event **event, unsigned flags)
{
    (void)flags;
    ORDERED();
    *event = calloc(1, sizeof **event);
    return *event ? 0 : CUDA_OUT_OF_MEMORY;
}

API cuEventRecord(struct cuda_event *event, struct cuda_stream *stream)
{
    ORDERED();
    stream->now_us += 0.5;
    event->at_us = stream->now_us;
    return 0;
}

API cuEventElapsedTime(float *milliseconds, struct cuda_event *start, struct cuda_event *end)
{
    ORDERED();
    *milliseconds = (float)(1e-3 * (end->at_us - start->at_us));
    return 0;
}

API cuStreamBeginCapture_v2(struct cuda_stream *stream, int mode)
{
    (void)mode;
    ORDERED();
    stream->capture = calloc(1, sizeof *stream->capture);
    if (!stream->capture)
        return CUDA_OUT_OF_MEMORY;
    stream->capture->last = &stream->capture->first;
    return 0;
}

API cuStreamEndCapture(struct cuda_stream *stream, struct cuda_graph **graph)
{
    *graph = stream->capture;
    stream->capture = NULL;
    ORDERED();
    return 0;
}

API cuGraphInstantiateWithFlags(struct cuda_graph_exec **exec, struct cuda_graph *graph,
                                unsigned long long flags)
{
    (void)flags;
    ORDERED();
    *exec = calloc(1, sizeof **exec);
    if (!*exec)
        return CUDA_OUT_OF_MEMORY;
    (*exec)->first = graph->first;
    return 0;
}

API cuGraphLaunch(struct cuda_graph_exec *exec, struct cuda_stream *stream)
{
    ORDERED();
    for (struct launch_record *r = exec->first; r; r = r->next) {
        int code = execute(stream, r, r->next != NULL);
        if (code)
            return code;
    }
    return 0;
}

API cuGraphExecDestroy(struct cuda_graph_exec *exec)
{
    ORDERED();
    free(exec);
    return 0;
}

API cuGraphDestroy(struct cuda_graph *graph)
{
    ORDERED();
    free(graph); /* its launches stay: the executable one has them */
    return 0;
}

/* ---- for other libraries of the tests ---- */

/* What a library calls stands for its kernel. */
static struct cuda_function *function_of_call(void (*call)(const void *args))
{
    static struct {
        void (*call)(const void *args);
        struct cuda_function function;
    } calls[32];
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (!calls[i].call) {
            calls[i].call = call;
            calls[i].function = (struct cuda_function){.name = "a library", .is_call = true};
        }
        if (calls[i].call == call)
            return &calls[i].function;
    }
    return NULL;
}

API fake_cuda_call(struct cuda_stream *stream, void (*call)(const void *args), const void *args, size_t size,
                   double bytes)
{
    struct launch_record r = {.function = function_of_call(call)};
    r.arguments.host_call = (struct host_call){.call = call, .bytes = bytes};
    if (!current || !stream || !r.function || size > sizeof r.arguments.host_call.args)
        return CUDA_INVALID_VALUE;
    memcpy(r.arguments.host_call.args, args, size);
    return enqueue(stream, &r);
}
