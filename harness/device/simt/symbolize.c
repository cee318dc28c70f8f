#include "harness/device/simt/symbolize.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

const char *symbolize_path(const char *path)
{
    static const char self[] = __FILE__, inside[] = "harness/device/simt/symbolize.c";
    size_t root = sizeof self - sizeof inside;
    if (!path)
        return "?";
    return root && strncmp(path, self, root) == 0 ? path + root : path;
}

/* ---- the module of an address ---- */

struct module {
    uintptr_t address, bias;
    char path[PATH_MAX];
    bool found;
};

static int find_module(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    struct module *m = data;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || m->address - info->dlpi_addr - p->p_vaddr >= p->p_memsz)
            continue;
        m->found = true;
        m->bias = info->dlpi_addr;
        if (info->dlpi_name && *info->dlpi_name) {
            snprintf(m->path, sizeof m->path, "%s", info->dlpi_name);
        } else { /* the program; the child of a spawn would have another /proc/self */
            ssize_t n = readlink("/proc/self/exe", m->path, sizeof m->path - 1);
            m->path[n > 0 ? n : 0] = 0;
        }
        return 1;
    }
    return 0;
}

/* ---- addr2line ---- */

enum { ADDR2LINE_LIMIT_MS = 10000, BATCH = 128, OUTPUT_BYTES = BATCH * 2048 };

/* Its output for offsets in a module, which the caller frees; NULL if there is none. */
static char *run_addr2line(const char *path, const uintptr_t *offset, size_t count)
{
    char text[BATCH][20];
    char *argv[BATCH + 8] = {"addr2line", "-a", "-f", "-C", "-i", "-e", (char *)path};
    for (size_t i = 0; i < count; i++) {
        snprintf(text[i], sizeof text[i], "0x%llx", (unsigned long long)offset[i]);
        argv[7 + i] = text[i];
    }
    char *output = malloc(OUTPUT_BYTES);
    int fd[2];
    if (!output || pipe2(fd, O_CLOEXEC)) {
        free(output);
        return NULL;
    }
    posix_spawn_file_actions_t actions;
    bool ok = false;
    if (posix_spawn_file_actions_init(&actions))
        goto no_actions;
    pid_t pid;
    if (posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) ||
        posix_spawn_file_actions_adddup2(&actions, fd[1], 1) ||
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0) ||
        posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ))
        goto no_child;
    close(fd[1]);
    fd[1] = -1;
    size_t length = 0;
    while (length + 1 < OUTPUT_BYTES) {
        struct pollfd p = {fd[0], POLLIN, 0};
        if (poll(&p, 1, ADDR2LINE_LIMIT_MS) <= 0)
            break;
        ssize_t n = read(fd[0], output + length, OUTPUT_BYTES - 1 - length);
        if (n <= 0) {
            ok = n == 0;
            break;
        }
        length += (size_t)n;
    }
    output[length] = 0;
    if (!ok)
        kill(pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    ok = ok && WIFEXITED(status) && WEXITSTATUS(status) == 0;
no_child:
    posix_spawn_file_actions_destroy(&actions);
no_actions:
    close(fd[0]);
    if (fd[1] >= 0)
        close(fd[1]);
    if (ok)
        return output;
    free(output);
    return NULL;
}

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
    snprintf(s->function, sizeof s->function, "%.95s", *function == '?' ? "" : function);
    snprintf(s->file, sizeof s->file, "%.159s", name);
    s->line = line;
}

/* For each address its line, "0x...", then two lines for each frame. */
static void parse(char *output, const size_t *index, size_t count, struct symbol *symbols)
{
    char *save = NULL, *line = strtok_r(output, "\n", &save);
    for (size_t i = 0; i < count && line; i++) {
        char *place;
        while ((line = strtok_r(NULL, "\n", &save)) && strncmp(line, "0x", 2) != 0 &&
               (place = strtok_r(NULL, "\n", &save)))
            take_frame(&symbols[index[i]], line, place);
    }
}

/* ---- */

static void by_dynamic_symbol(const void *pc, const struct module *m, struct symbol *s)
{
    Dl_info info;
    if (dladdr(pc, &info) && info.dli_sname) {
        snprintf(s->function, sizeof s->function, "%.70s+0x%zx", info.dli_sname,
                 (size_t)((const char *)pc - (const char *)info.dli_saddr));
    } else {
        const char *slash = strrchr(m->path, '/');
        snprintf(s->function, sizeof s->function, "%.70s+0x%llx", slash ? slash + 1 : m->path,
                 (unsigned long long)(m->address - m->bias));
    }
}

static void locate(const void *pc, struct module *m)
{
    m->found = false;
    m->path[0] = 0;
    m->address = (uintptr_t)pc - 1;
    dl_iterate_phdr(find_module, m);
}

void symbolize(const void *const *pc, size_t count, struct symbol *symbols)
{
    static struct module m, other;
    static bool done[BATCH];
    if (count > BATCH)
        count = BATCH;
    memset(symbols, 0, count * sizeof *symbols);
    memset(done, 0, sizeof done);
    for (size_t first = 0; first < count; first++) {
        if (done[first])
            continue;
        /* All addresses of this module. */
        uintptr_t offset[BATCH];
        size_t index[BATCH], n = 0;
        locate(pc[first], &m);
        for (size_t i = first; i < count; i++) {
            if (!done[i] && (locate(pc[i], &other), other.found == m.found && other.bias == m.bias)) {
                done[i] = true;
                index[n] = i;
                offset[n++] = other.address - other.bias;
            }
        }
        char *output = m.found ? run_addr2line(m.path, offset, n) : NULL;
        if (output)
            parse(output, index, n, symbols);
        free(output);
        for (size_t i = 0; i < n; i++) {
            struct symbol *s = &symbols[index[i]];
            s->executor = !s->file[0] || strstr(s->file, "harness/device/simt/");
            m.address = m.bias + offset[i];
            if (m.found && !s->function[0])
                by_dynamic_symbol(pc[index[i]], &m, s);
        }
    }
}
