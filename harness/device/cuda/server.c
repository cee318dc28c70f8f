#include "harness/device/cuda/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/device/cuda/serve.h"

static const double start_limit_s = 120; /* a GPU in persistence mode takes one, some hosts take tens */

struct cuda_server {
    struct gpu gpu;
    struct cuda_channel *channel;
    pid_t pid; /* 0: none */
    int fd;
    unsigned generation;
};

struct cuda_server *cuda_server_new(const struct gpu *gpu)
{
    struct cuda_server *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->gpu = *gpu;
    s->fd = -1;
    s->channel = mmap(NULL, sizeof *s->channel, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s->channel == MAP_FAILED) {
        free(s);
        return NULL;
    }
    return s;
}

int cuda_server_stop(struct cuda_server *s)
{
    int status = 0;
    if (!s->pid)
        return 0;
    kill(s->pid, SIGKILL);
    while (waitpid(s->pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(s->fd);
    s->pid = 0;
    s->fd = -1;
    return status;
}

bool cuda_server_running(const struct cuda_server *s)
{
    return s->pid != 0;
}

void cuda_server_free(struct cuda_server *s)
{
    if (!s)
        return;
    cuda_server_stop(s);
    munmap(s->channel, sizeof *s->channel);
    free(s);
}

struct cuda_channel *cuda_server_channel(struct cuda_server *s)
{
    return s->channel;
}

unsigned cuda_server_generation(const struct cuda_server *s)
{
    return s->generation;
}

/* ---- one request ---- */

/* Waits for a byte. 1: came, 0: time is up, -1: the other end is gone. */
static int wait_for_byte(int fd, double limit_s)
{
    double end = clock_s() + limit_s;
    for (;;) {
        double left = end - clock_s();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int n = poll(&p, 1, left > 0 ? (int)(1e3 * left) + 1 : 0);
        if (n > 0) {
            char byte;
            ssize_t got = read(fd, &byte, 1);
            if (got == 1)
                return 1;
            if (got == 0 || errno != EINTR)
                return -1;
        } else if (n == 0 && left <= 0) {
            return 0;
        } else if (n < 0 && errno != EINTR) {
            return -1;
        }
    }
}

static void describe_end(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(text, size, "the GPU's process was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(text, size, "the GPU's process ended with exit code %d", WEXITSTATUS(status));
}

enum cuda_outcome cuda_server_ask(struct cuda_server *s, enum cuda_request request, double limit_s)
{
    struct cuda_channel *c = s->channel;
    c->request = request;
    c->status = STATUS_OK;
    c->error = 0;
    c->by_kernel = false;
    c->text[0] = '\0';
    char go = 'g';
    ssize_t sent;
    do
        sent = send(s->fd, &go, 1, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    int came = sent == 1 ? wait_for_byte(s->fd, limit_s) : -1;
    if (came == 1 && c->status == STATUS_OK)
        return CUDA_DONE;
    if (came == 1) {
        cuda_server_stop(s); /* its context may be lost: what it says next could not be trusted */
        return CUDA_FAILED;
    }
    if (came == 0) {
        cuda_server_stop(s);
        snprintf(c->text, sizeof c->text, "no answer within %.0f s: the GPU's process was ended", limit_s);
        return CUDA_HUNG;
    }
    /* Its own end, not the signal of ours, is what is to be told. */
    int status = 0;
    double end = clock_s() + 5;
    pid_t gone;
    while ((gone = waitpid(s->pid, &status, WNOHANG)) == 0 && clock_s() < end)
        usleep(1000);
    if (gone == s->pid) {
        close(s->fd);
        s->pid = 0;
        s->fd = -1;
    } else {
        status = cuda_server_stop(s);
    }
    describe_end(status, c->text, sizeof c->text);
    return CUDA_CRASHED;
}

/* ---- start ---- */

static enum status launch_process(struct cuda_server *s)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return status_fail(STATUS_IO, "no socket for a GPU's process: %s", strerror(errno));
    fflush(stdout);
    fflush(stderr);
    pid_t parent = getpid(), pid = fork();
    if (pid < 0) {
        close(pair[0]);
        close(pair[1]);
        return status_fail(STATUS_IO, "no process for a GPU: %s", strerror(errno));
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        /* The harness decides what an interrupt means; its death ends us as well. Its files, and the locks on
         * them, are its own. */
        signal(SIGINT, SIG_IGN);
        signal(SIGTERM, SIG_IGN);
        if (dup2(pair[1], 3) != 3)
            _exit(1);
        close_range(4, ~0u, 0);
        serve(3, s->channel);
    }
    close(pair[1]);
    s->pid = pid;
    s->fd = pair[0];
    s->generation++;
    return STATUS_OK;
}

static enum status start_failed(const struct cuda_server *s, enum cuda_outcome outcome)
{
    if (outcome == CUDA_FAILED)
        return status_fail(s->channel->status, "%s", s->channel->text);
    return status_fail(STATUS_DEVICE, "the CUDA driver is broken: while it started, %s", s->channel->text);
}

enum status cuda_server_ready(struct cuda_server *s, bool *fresh)
{
    if (fresh)
        *fresh = false;
    if (s->pid)
        return STATUS_OK;
    enum status status = launch_process(s);
    if (status != STATUS_OK)
        return status;
    s->channel->ordinal = s->gpu.ordinal;
    enum cuda_outcome outcome = cuda_server_ask(s, CUDA_REQUEST_start, start_limit_s);
    if (outcome != CUDA_DONE) {
        status = start_failed(s, outcome);
        /* There was a GPU when the run began. */
        return status == STATUS_ABSENT ? status_fail(STATUS_DEVICE, "the GPU is gone: %s", s->channel->text)
                                       : status;
    }
    if (fresh)
        *fresh = true;
    return STATUS_OK;
}

enum status cuda_gpus(const struct gpu **list, size_t *count)
{
    static struct gpu gpus[GPU_MAX];
    static size_t found;
    if (found == 0) {
        struct cuda_server *s = cuda_server_new(&(struct gpu){.ordinal = -1});
        if (!s)
            return status_no_memory("GPUs");
        enum status status = launch_process(s);
        if (status == STATUS_OK) {
            enum cuda_outcome outcome = cuda_server_ask(s, CUDA_REQUEST_list, start_limit_s);
            if (outcome == CUDA_DONE) {
                found = s->channel->count;
                memcpy(gpus, s->channel->window, found * sizeof gpus[0]);
            } else {
                status = start_failed(s, outcome);
            }
        }
        cuda_server_free(s);
        if (status != STATUS_OK)
            return status;
    }
    *list = gpus;
    *count = found;
    return STATUS_OK;
}
