#include "harness/provider/try.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/call_state.h"
#include "harness/problem/variant.h"
#include "kernels/device/host.h"

enum { ENTRIES_MAX = 128 };
static const struct entry *entries[ENTRY_BUILDS][ENTRIES_MAX];
static size_t entry_count[ENTRY_BUILDS];
static enum entry_build loading;

/* Called by the constructors of a file that is being loaded. */
void simt_register(const struct entry *e)
{
    if (entry_count[loading] < ENTRIES_MAX)
        entries[loading][entry_count[loading]++] = e;
}

static enum status load_build(const char *folder, enum entry_build build)
{
    char path[4096];
    const char *changed;
    snprintf(path, sizeof path, "%s/%s", folder, build == ENTRY_FAST ? TRY_FAST : TRY_CHECKED);
    if (build == ENTRY_CHECKED && access(path, F_OK) != 0)
        return STATUS_OK;
    loading = build;
    /* Never closed: the table points into it. */
    if (!call_state_load(path, &changed))
        return status_fail(STATUS_INPUT, "%s", dlerror());
    call_state_tell(path, changed);
    return entry_count[build] ? STATUS_OK
                              : status_fail(STATUS_INPUT, "it defines no ENTRY (kernels/device/cuda.h)");
}

static const struct entry *checked_entry(const char *name)
{
    for (size_t i = 0; i < entry_count[ENTRY_CHECKED]; i++)
        if (strcmp(entries[ENTRY_CHECKED][i]->name, name) == 0)
            return entries[ENTRY_CHECKED][i];
    return NULL;
}

static enum status add_entry(const char *folder, const struct entry *e)
{
    struct kernel k = {.source = folder,
                       .arch = "try",
                       .backend = BACKEND_CUDA,
                       .built = true,
                       .k_multiple = 1,
                       .entries = {e, checked_entry(e->name)}};
    const struct kernel *row = kernel_find(e->name);
    const char *arch;
    char *own;
    if (!contract_parse(e->name, &k.contract, &arch) || !*arch)
        return status_fail(STATUS_INPUT,
                           "ENTRY(%s, ...): the name must be <contract>__<knobs>, as nf4_dequant_bf16__mine; "
                           "the words are in reference/contract.inc",
                           e->name);
    if (contract_invalid(&k.contract))
        return status_fail(STATUS_INPUT, "ENTRY(%s, ...): %s", e->name, contract_invalid(&k.contract));
    if (row) {
        k.m_max = row->m_max;
        k.k_multiple = row->k_multiple;
    }
    if (asprintf(&own, "%s_try", e->name) < 0)
        return status_no_memory("try");
    k.name = own;
    return kernel_add(&k);
}

enum status try_load(const char *folder)
{
    for (enum entry_build b = 0; b < ENTRY_BUILDS; b++)
        TRY(load_build(folder, b));
    for (size_t i = 0; i < entry_count[ENTRY_FAST]; i++)
        TRY(add_entry(folder, entries[ENTRY_FAST][i]));
    return STATUS_OK;
}
