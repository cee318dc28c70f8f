/*
 * simt.c: a launch: its limits, the child that runs it, and the report. The child only takes notes in memory
 * that it shares with its parent (struct child_outcome); the parent, which has the same code at the same addresses
 * and is whole, makes text of them.
 */
#include "harness/device/simt/simt.h"

#include <errno.h>
#include <execinfo.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "harness/base/child.h"
#include "harness/base/clock.h"
#include "harness/base/machine.h"
#include "harness/device/simt/checker.h"
#include "harness/device/simt/symbolize.h"
#include "harness/device/simt/worker.h"

#ifdef FIBER_ASAN
#include <sanitizer/asan_interface.h>
#define CHILD_CAN_GO_ON 0 /* its shadow of the stacks is no longer clean */
#else
#define CHILD_CAN_GO_ON 1
#endif

enum { HANDLER_STACK = 256 * 1024, KEPT_BUFFERS_MAX = 16 };

const char *simt_fault_word(enum simt_fault f)
{
    static const char *const words[SIMT_FAULT_COUNT] = {
#define X(name, word) word,
        SIMT_FAULT_MAP(X)
#undef X
    };
    return f < SIMT_FAULT_COUNT ? words[f] : "?";
}

/* ---- the child: notes ---- */

static pthread_mutex_t notes = PTHREAD_MUTEX_INITIALIZER;

static uint64_t place_hash(uint64_t h, const struct executor_place *p)
{
    if (p->pc)
        return random_mix(h ^ (uintptr_t)p->pc);
    for (const char *c = p->file ? p->file : ""; *c; c++)
        h = (h ^ (unsigned char)*c) * 0x100000001b3u;
    return random_mix(h ^ (uint64_t)p->line);
}

/* Whether the fault is a new one. When the table is full everything is old. */
static bool is_new(enum simt_fault fault, const struct executor_place *place,
                   const struct executor_place *other)
{
    enum { SEEN = 4096 };
    static uint64_t seen[SEEN];
    static unsigned used;
    uint64_t h = place_hash(place_hash(random_mix((uint64_t)fault + 1), place), other) | 1;
    size_t i = h >> 32;
    while (seen[i % SEEN] && seen[i % SEEN] != h)
        i++;
    if (seen[i % SEEN] == h || used > SEEN / 2)
        return false;
    seen[i % SEEN] = h;
    used++;
    return true;
}

void executor_report(enum simt_fault fault, struct executor_place place, struct executor_place other,
                     const char *format, ...)
{
    struct child_outcome *o = simt_run.outcome;
    pthread_mutex_lock(&notes);
    if (is_new(fault, &place, &other)) {
        o->distinct++;
        if (o->record_count < RECORDS_MAX) {
            struct fault_record *r = &o->records[o->record_count];
            r->fault = fault;
            r->place = place;
            r->other = other;
            va_list ap;
            va_start(ap, format);
            vsnprintf(r->what, sizeof r->what, format, ap);
            va_end(ap);
            o->record_count++;
        }
    }
    pthread_mutex_unlock(&notes);
}

void executor_abort(void)
{
    pthread_mutex_lock(&notes); /* another worker's note is then complete */
    atomic_store(&simt_run.outcome->ended, 2);
    _exit(0);
}

/* ---- the child: signals ---- */

static const void *context_pc(const void *context)
{
    const ucontext_t *c = context;
#if defined(__x86_64__)
    return (const void *)c->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (const void *)c->uc_mcontext.pc;
#else
    (void)c;
    return NULL;
#endif
}

/* What lies at or near an address: "out + 12 of 400 bytes". Whether it is memory of the launch. */
static bool describe_address(const void *address, char *text, size_t size)
{
    enum { NEAR = 8192 };
    const struct simt_worker *w = simt_worker;
    uintptr_t a = (uintptr_t)address, nearest = NEAR;
    *text = 0;
    for (size_t i = 0; i < simt_run.buffer_count; i++) {
        const struct simt_buffer *b = &simt_run.buffers[i];
        const uintptr_t data = (uintptr_t)b->data, end = data + b->size;
        const uintptr_t distance = a < data ? data - a : a >= end ? a - end + 1 : 0;
        if (distance >= nearest)
            continue;
        nearest = distance;
        snprintf(text, size, " (%s, byte %+lld of its %zu)", b->name, (long long)(a - data), b->size);
    }
    for (unsigned i = 0; w && i < w->array_count; i++) {
        uintptr_t data = (uintptr_t)w->arena + w->arrays[i].offset;
        if (a + SHARED_GUARD >= data && a < data + w->arrays[i].size + SHARED_GUARD)
            snprintf(text, size, " (shared array %s, byte %+lld of its %zu)", w->arrays[i].name,
                     (long long)(a - data), w->arrays[i].size);
    }
    return nearest < NEAR;
}

/* The crash note, for the first worker that asks; the others wait for the end. */
static struct fault_record *claim_crash(void)
{
    if (atomic_exchange(&simt_run.outcome->crashed, 1))
        for (;;)
            pause();
    return &simt_run.outcome->crash;
}

/* The frames at `context`. May crash itself where the stack is damaged: all else is noted before. */
static void note_frames(struct frames *f, const void *pc)
{
    const struct simt_worker *w = simt_worker;
    if (w)
        f->site = w->reading.file ? w->reading : w->thread[w->current].site;
    f->pc[0] = (const char *)pc + 1;
    f->count = pc != NULL;
    void *all[2 * FRAMES_MAX];
    int count = backtrace(all, 2 * FRAMES_MAX), i = 0;
    while (i < count && all[i] != pc) /* the handler's own */
        i++;
    for (i++; i < count && f->count < FRAMES_MAX; i++)
        f->pc[f->count++] = all[i];
}

static void on_crash(int signal, siginfo_t *info, void *context)
{
    struct fault_record *r = claim_crash();
    const struct simt_worker *w = simt_worker;
    const char *address = info->si_addr;
    bool running = w && executor_thread.valid;
    char where[160], thread[80] = "outside of a thread";
    if (running)
        snprintf(thread, sizeof thread, "thread %u of block %llu", w->current, (unsigned long long)w->block);
    if ((signal == SIGSEGV || signal == SIGBUS) && running && address < executor_thread.stack &&
        address >= executor_thread.stack - STACK_GUARD) {
        r->fault = SIMT_STACK_OVERFLOW;
        snprintf(r->what, sizeof r->what, "%s needs more than %d KiB of stack", thread, STACK_BYTES / 1024);
    } else {
        r->fault = SIMT_CRASH;
        const char *name = signal == SIGSEGV  ? "SIGSEGV, an access to memory that is not there"
                           : signal == SIGBUS ? "SIGBUS, an access to memory that is not there"
                           : signal == SIGFPE ? "SIGFPE, an integer division by zero"
                                              : "SIGILL, an illegal instruction";
        if (describe_address(address, where, sizeof where) && signal == SIGSEGV)
            r->fault = SIMT_OUT_OF_BOUNDS; /* without access are what is around buffers, and no buffer */
        if (signal == SIGSEGV || signal == SIGBUS)
            snprintf(r->what, sizeof r->what, "%s: %s, at address %p%s", thread, name, info->si_addr, where);
        else
            snprintf(r->what, sizeof r->what, "%s: %s", thread, name);
    }
    note_frames(&simt_run.outcome->crash_frames, context_pc(context));
    _exit(0);
}

#ifdef FIBER_ASAN
static void on_asan(const char *report)
{
    (void)report; /* it is on stderr by now */
    struct fault_record *r = claim_crash();
    const struct simt_worker *w = simt_worker;
    char where[160];
    const void *address = __asan_get_report_address();
    describe_address(address, where, sizeof where);
    const char *description = __asan_get_report_description();
    r->fault =
        strstr(description, "overflow") || strstr(description, "poison") ? SIMT_OUT_OF_BOUNDS : SIMT_CRASH;
    snprintf(
        r->what, sizeof r->what, "thread %u of block %llu: AddressSanitizer: %s, %s of %zu bytes at %p%s",
        w ? w->current : 0, (unsigned long long)(w ? w->block : 0), description,
        __asan_get_report_access_type() ? "write" : "read", __asan_get_report_access_size(), address, where);
    note_frames(&simt_run.outcome->crash_frames, __asan_get_report_pc());
    _exit(0);
}
#endif

/* Time is up: this worker says where it stands, and waits for the end. One that has not come to its first
 * thread, or is between two blocks or two threads, goes on and is asked again. */
static void on_ask(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    const struct simt_worker *w = simt_worker;
    if (!w || !executor_thread.valid || fiber_between(context_pc(context)))
        return;
    struct worker_position *s = &simt_run.outcome->standing[w->index];
    s->running = true;
    s->thread = w->current;
    s->block = w->block;
    collective_standing(w, s->others, sizeof s->others);
    note_frames(&s->frames, context_pc(context));
    atomic_store(&s->ready, 1);
    for (;;)
        pause();
}

static void set_handler(int signal, void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_sigaction = handler;
    a.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigfillset(&a.sa_mask);
    sigaction(signal, &a, NULL);
}

/* ---- the child: life ---- */

/* Where the child says that a launch has come to its end, and is told of the next one. */
static int parent_fd;

static void *map_private(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void __attribute__((noreturn)) child_broken(const char *why)
{
    snprintf(simt_run.outcome->broken, sizeof simt_run.outcome->broken, "%s", why);
    _exit(0);
}

/* What a worker keeps from launch to launch. */
static struct {
    pthread_t thread;
    struct simt_worker *worker;
    void *handler_stack;
} kept_workers[WORKERS_MAX];

static void *worker_main(void *data)
{
    struct simt_worker *w = data;
    stack_t stack = {.ss_sp = kept_workers[w->index].handler_stack, .ss_size = HANDLER_STACK};
    if (sigaltstack(&stack, NULL))
        child_broken("no stack for signals");
    executor_work(w);
    if (simt_run.options.checked)
        checker_worker_end();
    atomic_store(&simt_run.outcome->standing[w->index].ready, 1); /* nowhere */
    if (atomic_fetch_sub(&simt_run.workers_left, 1) == 1) {
        atomic_store(&simt_run.outcome->ended, 1);
        if (send(parent_fd, "", 1, MSG_NOSIGNAL) != 1)
            _exit(0);
    }
    return NULL;
}

/* SIGUSR1, the parent's question: the workers say where they stand, then the launch is over. */
static void on_time_up(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    (void)context;
    bool all = false;
    for (int ms = 0; ms < 2000 && !all; ms++) {
        all = true;
        for (unsigned i = 0; i < simt_run.workers; i++) {
            if (atomic_load(&simt_run.outcome->standing[i].ready))
                continue; /* its thread may be gone */
            all = false;
            pthread_kill(kept_workers[i].thread, SIGUSR2);
        }
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    _exit(0);
}

static void start_workers(void)
{
    for (unsigned i = 0; i < simt_run.workers; i++) {
        struct simt_worker *w = kept_workers[i].worker;
        if (!w) {
            w = kept_workers[i].worker = map_private(sizeof *w);
            kept_workers[i].handler_stack = map_private(HANDLER_STACK);
            if (!w || !(w->arena = map_private(SHARED_ARENA)) || !kept_workers[i].handler_stack)
                child_broken("no memory for a worker");
        } else {
            char *arena = w->arena;
            memset(w, 0, sizeof *w);
            w->arena = arena;
        }
        w->index = i;
        if (pthread_create(&kept_workers[i].thread, NULL, worker_main, w))
            child_broken("no thread for a worker");
    }
}

/* The next launch; false: the connection has ended. A signal, or that all were stopped for a time, cuts a recv() short, also
 * one with MSG_WAITALL. */
static bool next_launch(void)
{
    char *to = (char *)&simt_run;
    for (size_t have = 0; have < sizeof simt_run;) {
        const ssize_t got = recv(parent_fd, to + have, sizeof simt_run - have, 0);
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        have += got > 0 ? (size_t)got : 0;
    }
    return true;
}

static void __attribute__((noreturn)) child_main(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
    /* Ctrl-C is the parent's to handle, when this launch is over. */
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    sigset_t mask;
    sigemptyset(&mask);
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++) {
        set_handler(crashes[i], on_crash);
        sigaddset(&mask, crashes[i]);
    }
    set_handler(SIGUSR2, on_ask);
    sigaddset(&mask, SIGUSR2);
    set_handler(SIGUSR1, on_time_up);
    pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1); /* this thread's alone */
#ifdef FIBER_ASAN
    __asan_set_error_report_callback(on_asan);
#endif
    for (;;) {
        if (simt_run.options.checked && !checker_start(simt_run.buffers, simt_run.buffer_count))
            child_broken("no memory for the checker");
        pthread_sigmask(SIG_BLOCK, &mask, NULL);
        start_workers();
        pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
        for (unsigned i = 0; i < simt_run.workers; i++)
            pthread_join(kept_workers[i].thread, NULL);
        if (simt_run.options.checked)
            checker_end();
        if (!next_launch())
            _exit(0); /* nothing of the parent's is flushed or torn down */
    }
}

/* ---- the parent: waiting ---- */

/* Until the child says that the launch has ended (true; it lives on), or is gone: then *status is its exit
 * status, or *lost is set. `fd` ends when the child does; should something else hold it open too, the child
 * is looked after ten times a second. */
static bool wait_for_launch(pid_t pid, int fd, double limit_s, int *status, bool *timed_out, bool *lost)
{
    enum { GRACE_S = 5 }; /* to say where it stands */
    double deadline = clock_s() + limit_s;
    bool closed = false;
    *timed_out = *lost = false;
    for (;;) {
        double left = deadline - clock_s();
        if (!(left > 0)) {
            kill(pid, *timed_out ? SIGKILL : SIGUSR1);
            *timed_out = true;
            deadline = clock_s() + GRACE_S;
            left = GRACE_S;
        }
        if (closed) {
            nanosleep(&(struct timespec){0, 50000}, NULL);
        } else {
            struct pollfd p = {fd, POLLIN, 0};
            char byte;
            if (poll(&p, 1, left < 0.1 ? (int)(left * 1e3) + 1 : 100) > 0) {
                if (read(fd, &byte, 1) == 1)
                    return true;
                closed = true;
            }
        }
        pid_t got = waitpid(pid, status, WNOHANG);
        if (got == pid)
            return false;
        if (got < 0 && errno != EINTR) {
            *lost = true;
            return false;
        }
    }
}

/* ---- the parent: the report ---- */

struct report {
    struct simt_result *result;
    const char *kernel;
    size_t used;
    char written[RECORDS_MAX + 2][2 * sizeof(((struct symbol *)0)->file) + 64];
    unsigned written_count;
};

enum { PLACE_TEXT = 224, SYMBOLS_MAX = 128 };

/* Of all code addresses of a report: looking up many costs as much as one. */
static struct {
    size_t count;
    const void *pc[SYMBOLS_MAX];
    struct symbol symbol[SYMBOLS_MAX];
} symbols;

static void want_symbol(const void *pc)
{
    for (size_t i = 0; i < symbols.count; i++)
        if (symbols.pc[i] == pc)
            return;
    if (pc && symbols.count < SYMBOLS_MAX)
        symbols.pc[symbols.count++] = pc;
}

static void find_symbols(const struct child_outcome *o)
{
    symbols.count = 0;
    for (unsigned i = 0; i < o->record_count; i++) {
        want_symbol(o->records[i].place.pc);
        want_symbol(o->records[i].other.pc);
    }
    for (unsigned i = 0; i < o->crash_frames.count; i++)
        want_symbol(o->crash_frames.pc[i]);
    for (unsigned w = 0; w < o->workers; w++)
        for (unsigned i = 0; atomic_load(&o->standing[w].ready) && i < o->standing[w].frames.count; i++)
            want_symbol(o->standing[w].frames.pc[i]);
    symbolize(symbols.pc, symbols.count, symbols.symbol);
}

static const struct symbol *symbol_of(const void *pc)
{
    static const struct symbol unknown = {.executor = true};
    for (size_t i = 0; i < symbols.count; i++)
        if (symbols.pc[i] == pc)
            return &symbols.symbol[i];
    return &unknown;
}

/* "file:line" of a place in kernel code; "" for none. */
static void place_text(const struct executor_place *p, char *text)
{
    const struct symbol *s = symbol_of(p->pc);
    *text = 0;
    if (s->file[0])
        snprintf(text, PLACE_TEXT, "%s:%d", s->file, s->line);
    else if (p->file)
        snprintf(text, PLACE_TEXT, "%s:%d", symbolize_path(p->file), p->line);
    else
        snprintf(text, PLACE_TEXT, "%s", s->function);
}

/* The innermost frame of the kernel's own code. */
static void frames_text(const struct frames *f, char *text)
{
    for (unsigned i = 0; i < f->count; i++) {
        const struct symbol *s = symbol_of(f->pc[i]);
        if (!s->executor) {
            snprintf(text, PLACE_TEXT, "%s:%d", s->file, s->line);
            return;
        }
    }
    place_text(
        &(struct executor_place){f->count && !f->site.file ? f->pc[0] : NULL, f->site.file, f->site.line},
        text);
}

static void PRINTF_LIKE(5, 6) add_paragraph(struct report *r, enum simt_fault fault, const char *at,
                                            const char *at_other, const char *format, ...)
{
    char what[2 * WHAT_BYTES];
    /* Unrolled code has several addresses for one line. */
    char key[sizeof r->written[0]];
    snprintf(key, sizeof key, "%d %.180s %.180s", (int)fault, at, at_other);
    for (unsigned i = 0; i < r->written_count; i++) {
        if (strcmp(r->written[i], key) == 0) {
            r->result->faults--;
            return;
        }
    }
    if (r->written_count < sizeof r->written / sizeof r->written[0])
        memcpy(r->written[r->written_count++], key, sizeof key);
    if (r->result->fault == SIMT_OK)
        r->result->fault = fault;
    va_list ap;
    va_start(ap, format);
    vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    size_t left = SIMT_REPORT_TEXT - r->used;
    int n =
        snprintf(r->result->text + r->used, left, "%s: %s%s%s%s%s: %s.\n", r->kernel, simt_fault_word(fault),
                 at[0] ? " at " : "", at, at_other[0] ? " and " : "", at_other, what);
    if (n > 0)
        r->used += (size_t)n < left ? (size_t)n : left - 1;
}

static void report_timeout(struct report *r, const struct child_outcome *o, double limit_s)
{
    bool any = false;
    for (unsigned i = 0; i < o->workers; i++) {
        const struct worker_position *s = &o->standing[i];
        if (!atomic_load(&s->ready) || !s->running)
            continue;
        if (any)
            r->result->faults++; /* a paragraph for each worker that stands elsewhere */
        any = true;
        char at[PLACE_TEXT];
        frames_text(&s->frames, at);
        add_paragraph(r, SIMT_TIMEOUT, at, "", "not done after %g s; thread %u of block %llu still runs%s%s",
                      limit_s, s->thread, (unsigned long long)s->block, s->others[0] ? "; " : "", s->others);
    }
    if (!any)
        add_paragraph(r, SIMT_TIMEOUT, "", "", "not done after %g s", limit_s);
}

static bool assemble(const struct child_outcome *o, bool lost, int status, bool timed_out, double limit_s,
                     struct simt_result *result)
{
    static struct report r;
    memset(&r, 0, sizeof r);
    r.result = result;
    r.kernel = simt_run.entry->name;
    result->faults = o->distinct;
    char at[PLACE_TEXT], at_other[PLACE_TEXT];
    find_symbols(o);
    for (unsigned i = 0; i < o->record_count; i++) {
        place_text(&o->records[i].place, at);
        place_text(&o->records[i].other, at_other);
        add_paragraph(&r, o->records[i].fault, at, at_other, "%s", o->records[i].what);
    }
    result->faults++; /* unless the launch came to its end, something below is one more */
    if (o->crash.what[0]) {
        frames_text(&o->crash_frames, at);
        add_paragraph(&r, o->crash.fault, at, "", "%s", o->crash.what);
    } else if (o->broken[0]) {
        add_paragraph(&r, SIMT_BROKEN, "", "", "%s", o->broken);
    } else if (lost) {
        add_paragraph(&r, SIMT_BROKEN, "", "", "the child was lost: %s", strerror(errno));
    } else if (atomic_load(&o->ended)) {
        result->faults--;
    } else if (timed_out) {
        report_timeout(&r, o, limit_s);
    } else if (WIFSIGNALED(status)) {
        add_paragraph(&r, SIMT_CRASH, "", "", "the launch was ended by signal %d (%s)", WTERMSIG(status),
                      strsignal(WTERMSIG(status)));
    } else {
        add_paragraph(&r, SIMT_CRASH, "", "", "the launch ended itself with exit code %d",
                      WEXITSTATUS(status));
    }
    return result->fault == SIMT_OK;
}

/* ---- the parent: a launch ---- */

static bool within_limits(const struct entry *e, const struct launch *l, struct simt_result *result)
{
    unsigned threads_max = e->threads_max < LAUNCH_THREADS_MAX ? e->threads_max : LAUNCH_THREADS_MAX;
    char *text = result->text;
    int n = 0;
    if (l->threads < 1 || l->threads > threads_max)
        n = snprintf(text, SIMT_REPORT_TEXT, "%s: limit: %u threads in a block: from 1 to %u are possible.\n",
                     e->name, l->threads, threads_max);
    else if (l->grid[0] < 1 || l->grid[0] > INT32_MAX || l->grid[1] < 1 || l->grid[1] > 65535 ||
             l->grid[2] < 1 || l->grid[2] > 65535)
        n = snprintf(text, SIMT_REPORT_TEXT,
                     "%s: limit: a grid of %u x %u x %u blocks: from 1 to 2147483647 x 65535 x 65535 are "
                     "possible.\n",
                     e->name, l->grid[0], l->grid[1], l->grid[2]);
    else if (l->shared > LAUNCH_DYNAMIC_SHARED_MAX)
        n = snprintf(text, SIMT_REPORT_TEXT,
                     "%s: limit: %zu bytes of dynamic shared memory: %d is the most.\n", e->name, l->shared,
                     LAUNCH_DYNAMIC_SHARED_MAX);
    if (!n)
        return true;
    result->fault = SIMT_LIMIT;
    result->faults = 1;
    return false;
}

static unsigned worker_count(const struct simt_options *options, uint64_t blocks, unsigned threads)
{
    unsigned count = options->workers ? options->workers : cpu_available();
    if (count > WORKERS_MAX)
        count = WORKERS_MAX;
    if (count > STACKS_MAX / threads)
        count = STACKS_MAX / threads;
    if (count > blocks)
        count = (unsigned)blocks;
    return count ? count : 1;
}

/* The child of the last launch, for more of the same; pid 0: there is none. */
static struct {
    pid_t pid, parent;
    int fd;
    struct run run; /* the first that it was given */
    size_t stacks;
    struct simt_buffer buffers[KEPT_BUFFERS_MAX];
} child;

static void retire_child(void)
{
    if (!child.pid)
        return;
    /* In a fork of the process that started it the socket's number can be something else's by now: those
     * processes close what they inherit. */
    if (child.parent == 0 || child.parent == getpid())
        close(child.fd);
    if (child.parent == getpid()) {
        kill(child.pid, SIGKILL);
        (void)process_wait(child.pid, NULL);
    }
    child.pid = 0;
}

/* Memory that later launches use again; a child writes to copies of the stacks. */
static struct {
    struct child_outcome *outcome;
    char *stacks;
    size_t stack_count;
} kept;

static const size_t stack_stride = (size_t)STACK_BYTES + STACK_GUARD;

static bool keep_memory(size_t stacks)
{
    if (!kept.outcome) {
        kept.outcome = shared_alloc(sizeof *kept.outcome);
        if (!kept.outcome)
            return false;
        void *first[1];
        (void)backtrace(first, 1); /* loads the unwinder, which must not happen in a signal handler */
    }
    if (stacks <= kept.stack_count)
        return true;
    retire_child();
    if (kept.stacks)
        munmap(kept.stacks, kept.stack_count * stack_stride + STACK_GUARD);
    kept.stack_count = 0;
    kept.stacks = NULL;
    char *p = mmap(NULL, stacks * stack_stride + STACK_GUARD, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return false;
    for (size_t i = 0; i < stacks; i++) {
        if (mprotect(p + STACK_GUARD + i * stack_stride, STACK_BYTES, PROT_READ | PROT_WRITE)) {
            munmap(p, stacks * stack_stride + STACK_GUARD);
            return false;
        }
    }
    kept.stacks = p;
    kept.stack_count = stacks;
    return true;
}

static bool broken(const struct entry *e, struct simt_result *result, const char *what)
{
    result->fault = SIMT_BROKEN;
    result->faults = 1;
    snprintf(result->text, sizeof result->text, "%s: broken: %s: %s.\n", e->name, what, strerror(errno));
    return false;
}

/* Whether the kept child can run simt_run. */
static bool child_fits(void)
{
    const struct run *r = &simt_run, *first = &child.run;
    /* Those of one variant; their code came into the process together, and so is in a child of the first. */
    const struct entry *was = first->entry, *is = r->entry;
    if (!child.pid || child.parent != getpid() || !r->options.shared || !first->options.shared ||
        (was != is && was->next != is && is->next != was) || first->args_size != r->args_size ||
        first->buffer_count != r->buffer_count || r->buffer_count > KEPT_BUFFERS_MAX ||
        child.stacks < (size_t)r->workers * r->launch.threads)
        return false;
    for (size_t i = 0; i < r->buffer_count; i++) {
        const struct simt_buffer *a = &child.buffers[i], *b = &r->buffers[i];
        if (a->data != b->data || a->size != b->size || a->writable != b->writable ||
            a->granule != b->granule || strcmp(a->name, b->name) != 0)
            return false;
    }
    return true;
}

/* Gives the launch to the kept child, or to a new one. */
static bool start_launch(void)
{
    if (child_fits()) {
        simt_run.buffers = child.buffers; /* where the child has them */
        if (send(child.fd, &simt_run, sizeof simt_run, MSG_NOSIGNAL) == sizeof simt_run)
            return true;
    }
    retire_child();
    int fd[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd))
        return false;
    child.run = simt_run;
    child.stacks = kept.stack_count;
    for (size_t i = 0; i < simt_run.buffer_count && i < KEPT_BUFFERS_MAX; i++)
        child.buffers[i] = simt_run.buffers[i];
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        close(fd[0]);
        parent_fd = fd[1];
        child_main(parent);
    }
    close(fd[1]);
    if (pid < 0) {
        close(fd[0]);
        return false;
    }
    child.fd = fd[0];
    child.parent = parent;
    child.pid = pid;
    return true;
}

bool simt_launch(const struct entry *e, const void *args, size_t args_size, const struct simt_buffer *buffers,
                 size_t buffer_count, const struct simt_options *options, struct simt_result *result)
{
    memset(result, 0, sizeof *result);
    struct launch l = e->launch(args);
    if (options->launched)
        options->launched();
    if (!within_limits(e, &l, result))
        return false;
    uint64_t blocks = (uint64_t)l.grid[0] * l.grid[1] * l.grid[2];
    unsigned workers = worker_count(options, blocks, l.threads);
    if (!keep_memory((size_t)workers * l.threads))
        return broken(e, result, "no memory for the threads' stacks");
    memset(kept.outcome, 0, sizeof *kept.outcome);
    kept.outcome->workers = workers;

    if (args_size > ARGS_BYTES_MAX) {
        errno = E2BIG;
        return broken(e, result, "the arguments");
    }
    simt_run = (struct run){
        .entry = e,
        .args_size = args_size,
        .launch = l,
        .options = *options,
        .buffers = buffers,
        .buffer_count = buffer_count,
        .blocks = blocks,
        .workers = workers,
        .stacks = kept.stacks + STACK_GUARD,
        .stack_stride = stack_stride,
        .outcome = kept.outcome,
        .workers_left = workers,
    };
    memcpy(simt_run.args, args, args_size);
    double limit_s = options->limit_s > 0 ? options->limit_s : SIMT_LIMIT_S;
    if (!start_launch())
        return broken(e, result, "no child process");
    int status = 0;
    bool timed_out, lost;
    bool lives = wait_for_launch(child.pid, child.fd, limit_s, &status, &timed_out, &lost);
    bool ok = assemble(kept.outcome, lost, status, timed_out, limit_s, result);
    if (!lives)
        child.parent = 0; /* gone already */
    if (!lives || !ok || !options->shared || !CHILD_CAN_GO_ON)
        retire_child();
    return ok;
}
