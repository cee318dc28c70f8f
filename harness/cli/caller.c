#include "harness/cli/caller.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "harness/base/call_state.h"
#include "harness/device/cpu/serve.h"
#include "harness/device/serve.h"
#include "harness/provider/bitsandbytes.h"
#include "harness/provider/cublas.h"
#include "harness/provider/manifest.h"
#include "harness/provider/openblas.h"
#include "harness/provider/plugin.h"
#include "harness/provider/try.h"
#include "harness/verify/faults/faults.h"

static enum status load(const char *option, const char *value)
{
    if (strcmp(option, "--plugin") == 0)
        return plugin_load(value, NULL);
    if (strcmp(option, "--bitsandbytes") == 0)
        return bitsandbytes_add(value);
    if (strcmp(option, "--manifest") == 0)
        return manifest_load(value);
    if (strcmp(option, "--openblas") == 0)
        return openblas_add_all();
    if (strcmp(option, "--cublas") == 0)
        return cublas_register();
    if (strcmp(option, "--try") == 0)
        return try_load(value);
    if (strcmp(option, "--faults") == 0)
        return faults_add_tables();
    return plugin_load(value, option);
}

int is_caller(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "caller") == 0;
}

_Noreturn void caller_main(int argc, char **argv)
{
    enum { DEVICE = 3, PARENT = 5, BASE = 7, EACH = 8, LOADS = 9 };
    const struct back_end *b = argc < LOADS ? NULL : back_end_of(argv[DEVICE]);
    if (!b) {
        fprintf(stderr, "nf4bench caller: for the program's own use\n");
        exit(2);
    }
    /* It ends with the harness, which decides what an interrupt means. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != atoi(argv[PARENT]))
        _exit(1);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    const struct arena arena = {.fd = SERVE_ARENA,
                                .base = (uint8_t *)(uintptr_t)strtoull(argv[BASE], NULL, 10),
                                .each = strtoull(argv[EACH], NULL, 10)};
    struct channel *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED, SERVE_CHANNEL, 0);
    if (c == MAP_FAILED)
        _exit(1);
    call_state_set_here();
    call_state_tells = c->tells;
    cpu_gemm_flop_per_s = openblas_flop_per_s;
    const enum status mapped = arena.base ? arena_map(&arena) : STATUS_OK;
    if (mapped != STATUS_OK)
        serve_refuse(c, mapped);
    for (int i = LOADS; i + 1 < argc; i += 2)
        if (load(argv[i], argv[i + 1]) != STATUS_OK)
            serve_lacks(argv[i + 1], status_message());
    if (plugin_name)
        snprintf(c->variant, sizeof c->variant, "%s", plugin_name);
    serve(b, c);
}
