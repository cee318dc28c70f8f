#include "harness/device/caller.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/child.h"
#include "harness/base/clock.h"
#include "harness/base/interrupt.h"
#include "harness/device/serve.h"
#include "harness/problem/variant_data.h"

static const double start_limit_s = 120;     /* a GPU in persistence mode takes one, some hosts take tens */
static const double load_limit_s = 10;       /* of a library, which is looked at */
static const double interrupted_limit_s = 5; /* of a request, once a person wants the run to end */
static const double look_s = 0.25;           /* between two looks at how long a request takes */

struct caller {
    enum device_kind kind;
    struct gpu gpu; /* of DEVICE_CUDA */
    bool spin;
    struct channel *channel;
    int channel_fd;
    struct arena *arena; /* NULL for a GPU */
    pid_t pid;           /* 0: none */
    int fd;
    bool was_killed;
    const struct load *only; /* it loads nothing but this; NULL: what `library` says */
    int library;             /* caller_ready() */
    size_t loaded;           /* of what callers load, when it was started */
    unsigned generation;
    char mark[56]; /* in its environment, and in that of what it starts */
};

/* ---- what callers load ---- */

enum { LOADS_MAX = 256 };
static struct load {
    const char *option, *value;
    bool apart;
} loads[LOADS_MAX];
static size_t load_count;

void caller_loads(const char *option, const char *value)
{
    if (load_count < LOADS_MAX)
        loads[load_count++] = (struct load){option, value, false};
}

unsigned caller_loads_apart(const char *option, const char *value)
{
    caller_loads(option, value);
    loads[load_count - 1].apart = true;
    return (unsigned)load_count;
}

/* ---- memory ---- */

/* Memory of its own for each process: what an earlier one left behind can write to none that is in use. The channel stays where
 * it is. */
static enum status renew_memory(struct caller *s)
{
    int fd;
    TRY(sealed_memory("nf4bench-channel", sizeof *s->channel, &fd));
    if (s->channel_fd >= 0)
        close(s->channel_fd);
    s->channel_fd = fd;
    void *p = mmap(s->channel, sizeof *s->channel, PROT_READ | PROT_WRITE,
                   MAP_SHARED | (s->channel ? MAP_FIXED : 0), fd, 0);
    if (p == MAP_FAILED)
        return status_no_memory("a channel");
    s->channel = p;
    return s->arena ? arena_renew(s->arena) : STATUS_OK;
}

/* gpu: which one, for DEVICE_CUDA. spin: threads of its team wait for each other by spinning, as they do by default and
 * timing wants it; else they sleep. A person's OMP_WAIT_POLICY comes before that. NULL when out of memory. Starts nothing
 * yet. */
static struct caller *caller_new(enum device_kind kind, const struct gpu *gpu, bool spin)
{
    struct caller *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->kind = kind;
    s->gpu = *gpu;
    s->spin = spin;
    s->fd = -1;
    s->channel_fd = -1;
    if (renew_memory(s) == STATUS_OK) {
        s->arena = kind == DEVICE_CUDA ? NULL : arena_new();
        if (kind == DEVICE_CUDA || s->arena)
            return s;
    }
    caller_free(s);
    return NULL;
}

void caller_free(struct caller *s)
{
    if (!s)
        return;
    caller_stop(s);
    arena_free(s->arena);
    if (s->channel)
        munmap(s->channel, sizeof *s->channel);
    if (s->channel_fd >= 0)
        close(s->channel_fd);
    free(s);
}

struct caller *caller_of(struct device *d, bool timed)
{
    struct caller **at = &d->callers[timed && d->kind == DEVICE_CPU];
    if (!*at)
        *at = caller_new(d->kind, &d->gpu, timed);
    return *at;
}

bool caller_running(const struct caller *s)
{
    return s->pid != 0;
}

struct channel *caller_channel(struct caller *s)
{
    return s->channel;
}

struct arena *caller_arena(struct caller *s)
{
    return s->arena;
}

bool caller_was_killed(const struct caller *s)
{
    return s->was_killed;
}

unsigned caller_generation(const struct caller *s)
{
    return s->generation;
}

/* ---- the end of a process ---- */

static bool has_mark(const char *pid, const char *mark)
{
    char path[64], *variable = NULL;
    size_t room = 0;
    bool found = false;
    snprintf(path, sizeof path, "/proc/%.20s/environ", pid);
    FILE *f = fopen(path, "re");
    while (f && !found && getdelim(&variable, &room, '\0', f) > 0)
        found = strcmp(variable, mark) == 0;
    free(variable);
    if (f)
        fclose(f);
    return found;
}

/* Ends what the process started, whatever group or session it made for itself, until there is none: it might start others. */
static void end_descendants(const struct caller *s)
{
    for (int round = 0, found = 1; found && round < 100; round++) {
        DIR *all = opendir("/proc");
        found = 0;
        for (struct dirent *e; all && (e = readdir(all));)
            if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && has_mark(e->d_name, s->mark))
                found += kill((pid_t)atol(e->d_name), SIGKILL) == 0;
        if (all)
            closedir(all);
    }
}

/* Forgets the process, which has been waited for, and ends what it started. */
static void forget(struct caller *s)
{
    kill(-s->pid, SIGKILL); /* its group */
    end_descendants(s);
    close(s->fd);
    s->pid = 0;
    s->fd = -1;
}

void caller_stop(struct caller *s)
{
    if (!s->pid)
        return;
    kill(s->pid, SIGKILL);
    (void)process_wait(s->pid, NULL);
    forget(s);
}

/* The wait status of a process whose end of the socket is closed. Its own end, not the signal of ours, is what is to be
 * told. */
static int end_of(struct caller *s)
{
    int status = 0;
    const double end = clock_s() + 5;
    pid_t gone;
    while ((gone = waitpid(s->pid, &status, WNOHANG)) == 0 && clock_s() < end)
        usleep(1000);
    if (gone != s->pid) {
        kill(s->pid, SIGKILL);
        (void)process_wait(s->pid, &status);
    }
    forget(s);
    return status;
}

/* ---- one request ---- */

/* Seconds for which the threads of the process, together, have waited for a processor so far (proc(5), schedstat); 0 where the
 * system does not say. */
static double waited_s(const struct caller *s)
{
    char path[64 + sizeof((struct dirent *)0)->d_name];
    double sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)s->pid);
    DIR *tasks = opendir(path);
    for (struct dirent *e; tasks && (e = readdir(tasks));) {
        unsigned long long ran, waited;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)s->pid, e->d_name);
        FILE *f = fopen(path, "re");
        if (f && fscanf(f, "%llu %llu", &ran, &waited) == 2)
            sum += 1e-9 * (double)waited;
        if (f)
            fclose(f);
    }
    if (tasks)
        closedir(tasks);
    return sum;
}

/* Reads the answer's byte, for which poll() says there is something. */
static bool read_byte(int fd)
{
    char byte;
    ssize_t got;
    do
        got = read(fd, &byte, 1);
    while (got < 0 && errno == EINTR);
    return got == 1;
}

enum { GONE = -1, LATE, CAME, STOPPED };

/* Waits for a byte. GONE: the other end is. */
static int wait_for_byte(const struct caller *s, double limit_s)
{
    double passed = 0, before = clock_s(), waited = -1;
    for (;;) {
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        const int n = poll(&p, 1, (int)(1e3 * (limit_s < look_s ? limit_s : look_s)) + 1);
        if (n > 0)
            return read_byte(s->fd) ? CAME : GONE;
        if (n < 0 && errno != EINTR)
            return GONE;
        /* Of the time since the last look, what this process ran in, without what a thread of the other waited for a
         * processor in; a tenth of it at least, as all threads of a call that does not end may always wait. */
        const double now = clock_s(), waited_now = waited_s(s), since = fmin(now - before, 4 * look_s);
        const double in_vain = waited >= 0 ? fmax(waited_now - waited, 0) : 0;
        before = now;
        waited = waited_now;
        passed += fmax(since - in_vain, 0.1 * since);
        if (passed >= limit_s)
            return LATE;
        if (interrupt_pending() && passed >= interrupted_limit_s)
            return STOPPED;
    }
}

enum outcome caller_ask(struct caller *s, enum request request, double limit_s)
{
    struct channel *c = s->channel;
    char go = 'g', how[PROCESS_TEXT_MAX];
    ssize_t sent;
    c->request = request;
    c->status = STATUS_OK;
    c->by_variant = c->sentence = c->endless = c->crashed = false;
    c->word[0] = c->doing[0] = c->text[0] = '\0';
    s->was_killed = false;
    if (!s->pid) {
        c->status = STATUS_DEVICE;
        snprintf(c->text, sizeof c->text, "there is no process to ask");
        return OUTCOME_FAILED;
    }
    do
        sent = send(s->fd, &go, 1, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    const int came = sent == 1 ? wait_for_byte(s, limit_s) : GONE;
    c->text[sizeof c->text - 1] = c->word[sizeof c->word - 1] = c->doing[sizeof c->doing - 1] = '\0';
    if (came == CAME && c->status == STATUS_OK)
        return OUTCOME_DONE;
    if (came == CAME) {
        caller_stop(s); /* what it says next could not be trusted */
        if (c->status == STATUS_INTERRUPTED)
            c->status = STATUS_DEVICE; /* that a person alone can */
        return OUTCOME_FAILED;
    }
    if (came == STOPPED) {
        caller_stop(s);
        snprintf(c->text, sizeof c->text, "interrupted");
        return OUTCOME_STOPPED;
    }
    if (came == LATE) {
        caller_stop(s);
        snprintf(c->text, sizeof c->text, "%s did not end within %g s", *c->doing ? c->doing : "it", limit_s);
        return OUTCOME_HUNG;
    }
    const int status = end_of(s);
    s->was_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    process_end_text(status, how);
    snprintf(c->text, sizeof c->text, *c->doing ? "%s in %s" : "%s", how, c->doing);
    return OUTCOME_CRASHED;
}

/* ---- start ---- */

extern char **environ;

/* The environment, with OMP_WAIT_POLICY as the caller is to have it, and its mark. Owned, its strings are not. */
static char **make_environment(struct caller *s)
{
    static const char policy[] = "OMP_WAIT_POLICY=", passive[] = "OMP_WAIT_POLICY=passive";
    const bool own = getenv(CALLER_OWN_WAIT_POLICY) || !getenv("OMP_WAIT_POLICY");
    size_t count = 0;
    while (environ[count])
        count++;
    char **list = calloc(count + 3, sizeof *list);
    size_t kept = 0;
    uint64_t drawn[2] = {(uint64_t)(uintptr_t)s, (uint64_t)clock_us()};
    (void)!getrandom(drawn, sizeof drawn, 0);
    snprintf(s->mark, sizeof s->mark, "NF4BENCH_CALLER=%016" PRIx64 "%016" PRIx64, drawn[0], drawn[1]);
    for (size_t i = 0; list && i < count; i++)
        if (!own || strncmp(environ[i], policy, strlen(policy)) != 0)
            list[kept++] = environ[i];
    if (list && own && !s->spin)
        list[kept++] = (char *)passive;
    if (list)
        list[kept] = s->mark;
    return list;
}

static int spawn(struct caller *s, int socket)
{
    enum { FIXED = 9 };
    const char *arguments[FIXED + 2 * LOADS_MAX + 1];
    char parent[16], base[24], each[24];
    snprintf(parent, sizeof parent, "%d", (int)getpid());
    snprintf(base, sizeof base, "%llu", (unsigned long long)(uintptr_t)(s->arena ? s->arena->base : NULL));
    snprintf(each, sizeof each, "%llu", (unsigned long long)(s->arena ? s->arena->each : 0));
    const char *const fixed[FIXED] = {"nf4bench", "caller", "--device", back_end_for(s->kind)->word,
                                      "--parent", parent,   "--arena",  base,
                                      each};
    size_t count = 0;
    for (size_t i = 0; i < FIXED; i++)
        arguments[count++] = fixed[i];
    const struct load *list = s->only ? s->only : loads;
    for (size_t i = 0; i < (s->only ? 1 : load_count); i++) {
        if (!s->only && loads[i].apart && s->library != CALLER_ALL && (size_t)s->library != i + 1)
            continue;
        arguments[count++] = list[i].option;
        arguments[count++] = list[i].value;
    }
    arguments[count] = NULL;

    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    char **environment = make_environment(s);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&how);
    /* Its standard output is ours alone: what a variant leaves behind must not hold a pipe open, and what a library prints is
     * for people. */
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, socket, SERVE_SOCKET);
    posix_spawn_file_actions_adddup2(&files, s->channel_fd, SERVE_CHANNEL);
    posix_spawn_file_actions_adddup2(&files, s->arena ? s->arena->fd : s->channel_fd, SERVE_ARENA);
    posix_spawn_file_actions_addclosefrom_np(&files, SERVE_ARENA + 1);
    /* A group of its own: a Ctrl-C is for the harness, and all of the group is ended at once. */
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP);
    const int error =
        environment ? posix_spawn(&s->pid, "/proc/self/exe", &files, &how, (char **)arguments, environment)
                    : ENOMEM;
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    free(environment);
    return error;
}

/* A descriptor that is none of those which the caller has. NULL-safe: -1 stays. */
static int move_up(int fd)
{
    const int moved = fcntl(fd, F_DUPFD_CLOEXEC, SERVE_ARENA + 1);
    close(fd);
    return moved;
}

static enum status launch_process(struct caller *s)
{
    int pair[2];
    if (s->generation)
        TRY(renew_memory(s));
    s->channel->tells = s->only != NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return status_fail(STATUS_IO, "no socket for a process that calls variants: %s", strerror(errno));
    pair[1] = move_up(pair[1]);
    s->channel_fd = move_up(s->channel_fd);
    if (s->arena)
        s->arena->fd = move_up(s->arena->fd);
    fflush(stdout);
    fflush(stderr);
    const int error = spawn(s, pair[1]);
    close(pair[1]);
    if (error) {
        s->pid = 0;
        close(pair[0]);
        return status_fail(STATUS_IO,
                           "no process to call variants in: %s: end others, or raise the limit of processes "
                           "(ulimit -u)",
                           strerror(error));
    }
    s->fd = pair[0];
    s->loaded = load_count;
    s->generation++;
    return STATUS_OK;
}

/* The first thing that it is asked. One that the kernel ends for memory is started once more. */
static enum status launch_and_ask(struct caller *s, enum request first, double limit_s, const char *table,
                                  enum outcome *outcome)
{
    int starts = 0;
    do {
        TRY(launch_process(s));
        s->channel->ordinal = s->gpu.ordinal;
        snprintf(s->channel->table, sizeof s->channel->table, "%s", table);
        *outcome = caller_ask(s, first, limit_s);
    } while (*outcome == OUTCOME_CRASHED && s->was_killed && ++starts < 2);
    return STATUS_OK;
}

static enum status start_failed(const struct caller *s, enum outcome outcome)
{
    if (outcome == OUTCOME_FAILED)
        return status_fail(s->channel->status, "%s", s->channel->text);
    if (s->kind == DEVICE_CUDA)
        return status_fail(STATUS_DEVICE, "the CUDA driver is broken: while it started, %s",
                           s->channel->text);
    return status_fail(STATUS_INTERNAL, "the process that calls variants could not start: %s",
                       s->channel->text);
}

enum status caller_ready(struct caller *s, int library, bool *fresh)
{
    if (s->kind == DEVICE_CUDA)
        library = CALLER_ALL;
    if (fresh)
        *fresh = false;
    /* One that says something before it is asked, or has ended, is not what the next variant is called in. */
    struct pollfd early = {.fd = s->fd, .events = POLLIN};
    if (s->loaded != load_count || s->library != library || (s->pid && poll(&early, 1, 0) != 0))
        caller_stop(s);
    if (s->pid)
        return STATUS_OK;
    s->library = library;
    enum outcome outcome;
    TRY(launch_and_ask(s, REQUEST_start, start_limit_s, "", &outcome));
    if (outcome != OUTCOME_DONE) {
        enum status status = start_failed(s, outcome);
        /* There was a GPU when the run began. */
        return status == STATUS_ABSENT ? status_fail(STATUS_DEVICE, "the GPU is gone: %s", s->channel->text)
                                       : status;
    }
    if (fresh)
        *fresh = true;
    return STATUS_OK;
}

/* What the process said, in memory that what it left behind may still write: each thing is read once. */
static enum status take_variants(const struct channel *c, struct kernel **list, size_t *count,
                                 char said[CHANNEL_NAME])
{
    const struct variant_data *data = (const struct variant_data *)c->window;
    const size_t there = *(const volatile size_t *)&c->count;
    if (there > CHANNEL_WINDOW_BYTES / sizeof *data)
        return status_fail(STATUS_INPUT, "it says that it has %zu variants", there);
    snprintf(said, CHANNEL_NAME, "%.*s", CHANNEL_NAME - 1, c->variant);
    *list = calloc(there + 1, sizeof **list);
    if (!*list)
        return status_no_memory("variants");
    for (*count = 0; *count < there; ++*count) {
        const struct variant_data one = data[*count];
        TRY(variant_from_data(&one, *list, &(*list)[*count]));
    }
    return STATUS_OK;
}

enum status caller_variants(const char *option, const char *value, const char *table, struct kernel **list,
                            size_t *count, char said[CHANNEL_NAME])
{
    const struct load only = {option, value, false};
    struct caller *s = caller_new(DEVICE_CPU, &(struct gpu){0}, false);
    *list = NULL;
    *count = 0;
    if (!s)
        return status_fail(STATUS_MEMORY, "%s", *status_message() ? status_message() : "out of memory");
    s->only = &only;
    enum outcome outcome;
    enum status status = launch_and_ask(s, REQUEST_variants, load_limit_s, table, &outcome);
    if (status == STATUS_OK)
        status = outcome == OUTCOME_DONE      ? take_variants(s->channel, list, count, said)
                 : outcome == OUTCOME_STOPPED ? status_fail(STATUS_INTERRUPTED, "interrupted")
                                              : status_fail(STATUS_INPUT, "%s", s->channel->text);
    caller_free(s);
    return status;
}

enum status caller_gpus(const struct gpu **list, size_t *count)
{
    static struct gpu gpus[GPU_MAX];
    static size_t found;
    if (found == 0) {
        struct caller *s = caller_new(DEVICE_CUDA, &(struct gpu){.ordinal = -1}, false);
        if (!s)
            return status_no_memory("GPUs");
        enum outcome outcome;
        enum status status = launch_and_ask(s, REQUEST_list, start_limit_s, "", &outcome);
        if (status == STATUS_OK && outcome == OUTCOME_DONE) {
            found = s->channel->count < GPU_MAX ? s->channel->count : GPU_MAX;
            memcpy(gpus, s->channel->window, found * sizeof gpus[0]);
        } else if (status == STATUS_OK) {
            status = start_failed(s, outcome);
        }
        caller_free(s);
        if (status != STATUS_OK)
            return status;
    }
    *list = gpus;
    *count = found;
    return STATUS_OK;
}
