#include "plots/gnuplot.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* Two numbers that no palette holds: red 254 and green 3 mean "ink number blue". */
enum { STAND_IN_RED = 254, STAND_IN_GREEN = 3 };
enum { GNUPLOT_SECONDS = 30, SVG_BYTES_MAX = 8 << 20 };

bool figure_init(struct figure *f, int height)
{
    *f = (struct figure){.height = height};
    f->script = tmpfile();
    if (!f->script)
        return false;
    fprintf(f->script, "set terminal svg size %d,%d noenhanced font 'sans,12'\nset encoding utf8\n",
            FIGURE_WIDTH, height);
    return true;
}

void figure_release(struct figure *f)
{
    if (f->script)
        fclose(f->script);
    for (int i = 0; i < f->text_count; i++)
        free(f->texts[i]);
    *f = (struct figure){0};
}

int figure_text(struct figure *f, const char *text, int longest)
{
    if (f->text_count == FIGURE_TEXTS) {
        f->failed = true;
        return 0;
    }
    size_t bytes = 0;
    int characters = 0;
    while (text[bytes] && (longest == 0 || characters < longest)) {
        bytes++;
        while ((text[bytes] & 0xc0) == 0x80) /* the rest of a UTF-8 sequence */
            bytes++;
        characters++;
    }
    char *copy = malloc(bytes + 4);
    if (!copy) {
        f->failed = true;
        return 0;
    }
    memcpy(copy, text, bytes);
    memcpy(copy + bytes, text[bytes] ? "\xe2\x80\xa6" : "", text[bytes] ? 4 : 1);
    f->texts[f->text_count] = copy;
    return f->text_count++;
}

unsigned figure_ink(enum ink ink)
{
    return (unsigned)STAND_IN_RED << 16 | (unsigned)STAND_IN_GREEN << 8 | (unsigned)ink;
}

/* ---- the rewriting ---- */

struct rewriter {
    const struct figure *figure;
    const char *prefix;
    FILE *out;
    const char *pending; /* a <g ...> not yet written: half of gnuplot's groups turn out to be empty */
    size_t pending_size;
    int depth;
};

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_' || c == ':';
}

static bool starts(const char *p, const char *end, const char *with)
{
    size_t n = strlen(with);
    return (size_t)(end - p) >= n && memcmp(p, with, n) == 0;
}

/* A colour as CSS: black is the text, white the page, a stand-in its ink. False for any other value. */
static bool write_colour(FILE *out, const char *value, size_t size)
{
    char text[40];
    unsigned r, g, b;
    if (size >= sizeof text)
        return false;
    memcpy(text, value, size);
    text[size] = '\0';
    if (strcmp(text, "black") == 0 || strcmp(text, "white") == 0) {
        fputs(text[0] == 'b' ? "currentColor" : "var(--back)", out);
        return true;
    }
    if (sscanf(text, "rgb(%u,%u,%u)", &r, &g, &b) != 3 || r != STAND_IN_RED || g != STAND_IN_GREEN ||
        b >= INK_COUNT)
        return false;
    fprintf(out, "var(--%s)", ink_variable((enum ink)b));
    return true;
}

static void write_attribute(struct rewriter *w, const char *name, size_t name_size, const char *value,
                            size_t size)
{
    const bool link = name_size == 10 && memcmp(name, "xlink:href", 10) == 0;
    /* Fonts are the page's; namespaces are not needed inside HTML. */
    if ((name_size == 11 && memcmp(name, "font-family", 11) == 0) ||
        (name_size >= 5 && memcmp(name, "xmlns", 5) == 0))
        return;
    fprintf(w->out, " %.*s=\"", link ? 4 : (int)name_size, link ? "href" : name);
    if (name_size == 2 && memcmp(name, "id", 2) == 0) {
        fprintf(w->out, "%s%.*s", w->prefix, (int)size, value);
    } else if (link && size > 0 && value[0] == '#') {
        fprintf(w->out, "#%s%.*s", w->prefix, (int)size - 1, value + 1);
    } else if (starts(value, value + size, "url(#")) {
        fprintf(w->out, "url(#%s%.*s", w->prefix, (int)size - 5, value + 5);
    } else if (!write_colour(w->out, value, size)) {
        bool space = true;
        for (size_t i = 0; i < size; i++) {
            const bool blank = isspace((unsigned char)value[i]);
            if (!(blank && space))
                fputc(blank ? ' ' : value[i] == '"' ? '\'' : value[i], w->out);
            space = blank;
        }
    }
    fputc('"', w->out);
}

/* One tag, from '<' to behind '>'; false when it is malformed. */
static bool write_tag(struct rewriter *w, const char *p, const char *end)
{
    fputc('<', w->out);
    for (p++; p < end && (is_name(*p) || *p == '/') && !(*p == '/' && p[1] == '>'); p++)
        fputc(*p, w->out);
    for (;;) {
        while (p < end && isspace((unsigned char)*p))
            p++;
        if (p >= end)
            return false;
        if (*p == '>' || *p == '/') {
            fputs(*p == '>' ? ">" : "/>", w->out);
            return true;
        }
        const char *name = p;
        while (p < end && is_name(*p))
            p++;
        const size_t name_size = (size_t)(p - name);
        while (p < end && (isspace((unsigned char)*p) || *p == '='))
            p++;
        if (name_size == 0 || p >= end || (*p != '"' && *p != '\''))
            return false;
        const char *value = ++p;
        while (p < end && *p != value[-1])
            p++;
        if (p >= end)
            return false;
        write_attribute(w, name, name_size, value, (size_t)(p - value));
        p++;
    }
}

/* Text between tags, its tokens replaced. gnuplot has escaped the rest of it. */
static void write_content(struct rewriter *w, const char *p, const char *end)
{
    while (p < end && isspace((unsigned char)*p))
        p++;
    while (end > p && isspace((unsigned char)end[-1]))
        end--;
    while (p < end) {
        char *after = NULL;
        const long n =
            *p == '~' && p + 1 < end && isdigit((unsigned char)p[1]) ? strtol(p + 1, &after, 10) : -1;
        if (n >= 0 && n < w->figure->text_count && after < end && *after == '~') {
            html_text(w->out, w->figure->texts[n]);
            p = after + 1;
        } else {
            fputc(*p++, w->out);
        }
    }
}

static bool flush_pending(struct rewriter *w)
{
    bool ok = !w->pending || write_tag(w, w->pending, w->pending + w->pending_size);
    w->pending = NULL;
    return ok;
}

/* Where the element that starts at p ends, for elements that hold no other of their kind; NULL when it does
 * not. */
static const char *behind_element(const char *p, const char *end, const char *closing)
{
    const char *q = memmem(p, (size_t)(end - p), closing, strlen(closing));
    return q ? q + strlen(closing) : NULL;
}

/* All between the <svg> tag and its end. */
static bool write_body(struct rewriter *w, const char *p, const char *end)
{
    while (p < end) {
        if (*p != '<') {
            const char *text = p;
            bool blank = true;
            for (; p < end && *p != '<'; p++)
                blank = blank && isspace((unsigned char)*p);
            if (blank)
                continue;
            if (!flush_pending(w))
                return false;
            write_content(w, text, p);
            continue;
        }
        /* gnuplot's own title, description and unused filters; a <title> of ours is a token and a tooltip. */
        const char *skip = starts(p, end, "<desc>")                                   ? "</desc>"
                           : starts(p, end, "<filter ")                               ? "</filter>"
                           : starts(p, end, "<title>") && !starts(p, end, "<title>~") ? "</title>"
                                                                                      : NULL;
        if (skip) {
            p = behind_element(p, end, skip);
            if (!p)
                return false;
            continue;
        }
        const char *close = memchr(p, '>', (size_t)(end - p));
        if (!close)
            return false;
        close++;
        if (starts(p, end, "</g>") && w->pending) {
            w->pending = NULL;
            w->depth--;
            p = close;
            continue;
        }
        if (!flush_pending(w))
            return false;
        if (p[1] == '/')
            w->depth--;
        else if (close[-2] != '/')
            w->depth++;
        if (w->depth < 0)
            return false;
        if ((starts(p, end, "<g ") || starts(p, end, "<g>")) && close[-2] != '/') {
            w->pending = p;
            w->pending_size = (size_t)(close - p);
        } else if (!write_tag(w, p, close)) {
            return false;
        }
        p = close;
    }
    return w->depth == 0 && !w->pending;
}

bool svg_inline(const char *svg, size_t size, const struct figure *f, const char *prefix, const char *label,
                FILE *out)
{
    static const char last[] = "</svg>";
    const char *end = svg + size, *p = memmem(svg, size, "<svg", 4), *tail = NULL;
    for (const char *q = p; q && (q = memmem(q, (size_t)(end - q), last, sizeof last - 1)); q++)
        tail = q;
    p = p && tail ? memchr(p, '>', (size_t)(tail - p)) : NULL;
    if (!p)
        return false;
    struct rewriter w = {.figure = f, .prefix = prefix, .out = out};
    fprintf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", FIGURE_WIDTH, f->height);
    html_text(out, label);
    fputs("\">", out);
    bool ok = write_body(&w, p + 1, tail);
    fputs("</svg>", out);
    return ok;
}

/* ---- the process ---- */

/* Waits GNUPLOT_SECONDS for pid, then kills it. */
static bool wait_for(pid_t pid, int *wait_status)
{
    const struct timespec pause = {0, 2000000};
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        pid_t got = waitpid(pid, wait_status, WNOHANG);
        if (got == pid)
            return true;
        if (got < 0 && errno != EINTR)
            return false;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - start.tv_sec >= GNUPLOT_SECONDS) {
            kill(pid, SIGKILL);
            waitpid(pid, wait_status, 0);
            return false;
        }
        nanosleep(&pause, NULL);
    }
}

/* Standard input, output and error are files, not pipes: neither side can block the other. */
static bool run_gnuplot(FILE *script, FILE *svg, FILE *errors, char problem[256], bool *missing)
{
    const char *program = getenv("NF4BENCH_GNUPLOT");
    program = program && program[0] ? program : "gnuplot";
    char *argv[] = {(char *)program, (char *)"-d", NULL}; /* -d: no start-up file of the user */
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int wait_status = 0;

    *missing = false;
    if (posix_spawn_file_actions_init(&actions)) {
        snprintf(problem, 256, "out of memory");
        return false;
    }
    int e = posix_spawn_file_actions_adddup2(&actions, fileno(script), STDIN_FILENO);
    e = e ? e : posix_spawn_file_actions_adddup2(&actions, fileno(svg), STDOUT_FILENO);
    e = e ? e : posix_spawn_file_actions_adddup2(&actions, fileno(errors), STDERR_FILENO);
    e = e ? e : posix_spawnp(&pid, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (e) {
        snprintf(problem, 256, "%s: %s", program, strerror(e));
        *missing = true;
        return false;
    }
    if (!wait_for(pid, &wait_status)) {
        snprintf(problem, 256, "%s took longer than %d s", program, GNUPLOT_SECONDS);
        return false;
    }
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0)
        return true;
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 127) {
        snprintf(problem, 256, "%s could not be started", program);
        *missing = true;
        return false;
    }
    /* gnuplot repeats the line, points at the fault, then says what it is: the last line that is not blank.
     */
    char line[160], said[160] = "";
    rewind(errors);
    while (fgets(line, sizeof line, errors)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[strspn(line, " \t^")])
            memcpy(said, line, sizeof said);
    }
    snprintf(problem, 256, "%s failed: %s", program, said[0] ? said : "no message");
    return false;
}

/* All of a file that is at most SVG_BYTES_MAX long; NULL otherwise. Caller frees. */
static char *read_all(FILE *file, size_t *size)
{
    char *text = NULL;
    long length;
    if (fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) > 0 && length <= SVG_BYTES_MAX &&
        (text = malloc((size_t)length)) != NULL) {
        rewind(file);
        *size = fread(text, 1, (size_t)length, file);
    }
    return text;
}

bool figure_render(struct figure *f, const char *prefix, const char *label, FILE *out, char problem[256],
                   bool *missing)
{
    bool ok = false;
    FILE *svg = tmpfile(), *errors = tmpfile(), *inlined = NULL;
    char *text = NULL, *page = NULL;
    size_t size = 0, page_size = 0;

    *missing = false;
    snprintf(problem, 256, "no temporary file, or no memory");
    if (!svg || !errors || f->failed || fflush(f->script) || ferror(f->script))
        goto done;
    rewind(f->script);
    if (lseek(fileno(f->script), 0, SEEK_SET) != 0 || !run_gnuplot(f->script, svg, errors, problem, missing))
        goto done;
    text = read_all(svg, &size);
    inlined = open_memstream(&page, &page_size);
    if (!text || !inlined) {
        snprintf(problem, 256, "gnuplot wrote nothing, or too much");
        goto done;
    }
    ok = svg_inline(text, size, f, prefix, label, inlined);
    ok = fclose(inlined) == 0 && ok;
    inlined = NULL;
    if (ok)
        fwrite(page, 1, page_size, out);
    else
        snprintf(problem, 256, "gnuplot wrote an SVG that this program does not understand");
done:
    if (inlined)
        fclose(inlined);
    free(page);
    free(text);
    if (svg)
        fclose(svg);
    if (errors)
        fclose(errors);
    return ok;
}
