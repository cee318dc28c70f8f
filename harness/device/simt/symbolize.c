#include "harness/device/simt/symbolize.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/text.h"

const char *symbolize_path(const char *path)
{
    static const char self[] = __FILE__, inside[] = "harness/device/simt/symbolize.c";
    size_t root = sizeof self - sizeof inside;
    if (!path)
        return "?";
    return root && strncmp(path, self, root) == 0 ? path + root : path;
}

/* ---- addr2line ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* One inlined frame, the innermost ones come first: keeps the first that is not in the dialect's header. */
static void take_frame(struct symbol *s, const char *function, char *place)
{
    char *colon = strrchr(place, ':');
    int line = colon ? atoi(colon + 1) : 0;
    if (line == 0 || *place == '?' || (s->file[0] && !ends_with(s->file, "kernels/device/cuda.h")))
        return;
    *colon = 0;
    char real[PATH_MAX]; /* without "/../" */
    const char *name = symbolize_path(realpath(place, real) ? real : place);
    snprintf(s->function, sizeof s->function, "%.*s", *function == '?' ? 0 : (int)strcspn(function, "\n"),
             function);
    snprintf(s->file, sizeof s->file, "%.159s", name);
    s->line = line;
}

/* A pipe from addr2line, which has ten seconds for all offsets. The program's own path is resolved here: a child
 * has another /proc/self. */
static FILE *start_addr2line(const struct link_map *module, const uintptr_t *offset, size_t count)
{
    char real[PATH_MAX], *command = NULL;
    size_t size;
    const char *path = *module->l_name ? module->l_name : realpath("/proc/self/exe", real);
    FILE *text = path ? open_memstream(&command, &size) : NULL;
    if (!text)
        return NULL;
    fputs("exec timeout 10 addr2line -a -f -C -i -e ", text);
    text_put(TEXT_SHELL, path, text);
    for (size_t i = 0; i < count; i++)
        fprintf(text, " 0x%llx", (unsigned long long)offset[i]);
    fputs(" </dev/null 2>/dev/null", text);
    FILE *output = fclose(text) == 0 ? popen(command, "re") : NULL;
    free(command);
    return output;
}

/* For each address its line, "0x...", then two lines for each frame. */
static void read_addr2line(FILE *output, const size_t *index, size_t count, struct symbol *symbols)
{
    char *function = NULL, *place = NULL;
    size_t function_size = 0, place_size = 0, addresses = 0;
    while (getline(&function, &function_size, output) > 0) {
        if (strncmp(function, "0x", 2) == 0)
            addresses++;
        else if (addresses > 0 && addresses <= count && getline(&place, &place_size, output) > 0)
            take_frame(&symbols[index[addresses - 1]], function, place);
    }
    free(function);
    free(place);
    pclose(output);
}

/* ---- */

enum { BATCH = 128 };

/* NULL: the address is in no loaded file. */
static struct link_map *module_of(const void *pc, Dl_info *info)
{
    void *map;
    return dladdr1((const char *)pc - 1, info, &map, RTLD_DL_LINKMAP) ? map : NULL;
}

static void by_dynamic_symbol(const void *pc, struct symbol *s)
{
    Dl_info info;
    const struct link_map *module = module_of(pc, &info);
    if (!module)
        return;
    const char *slash = strrchr(info.dli_fname, '/');
    if (info.dli_sname)
        snprintf(s->function, sizeof s->function, "%.70s+0x%zx", info.dli_sname,
                 (size_t)((const char *)pc - (const char *)info.dli_saddr));
    else
        snprintf(s->function, sizeof s->function, "%.70s+0x%zx", slash ? slash + 1 : info.dli_fname,
                 (size_t)((uintptr_t)pc - 1 - module->l_addr));
}

void symbolize(const void *const *pc, size_t count, struct symbol *symbols)
{
    const struct link_map *module[BATCH];
    Dl_info info;
    if (count > BATCH)
        count = BATCH;
    memset(symbols, 0, count * sizeof *symbols);
    for (size_t i = 0; i < count; i++)
        module[i] = module_of(pc[i], &info);
    for (size_t first = 0; first < count; first++) {
        /* All addresses of this module. */
        uintptr_t offset[BATCH];
        size_t index[BATCH], n = 0;
        for (size_t i = 0; i < count; i++)
            if (module[i] && module[i] == module[first]) {
                index[n] = i;
                offset[n++] = (uintptr_t)pc[i] - 1 - module[i]->l_addr;
            }
        FILE *output = n > 0 && index[0] == first ? start_addr2line(module[first], offset, n) : NULL;
        if (output)
            read_addr2line(output, index, n, symbols);
    }
    for (size_t i = 0; i < count; i++) {
        symbols[i].executor = !symbols[i].file[0] || strstr(symbols[i].file, "harness/device/simt/");
        if (!symbols[i].function[0])
            by_dynamic_symbol(pc[i], &symbols[i]);
    }
}
