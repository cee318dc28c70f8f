#include "harness/base/text.h"

#include <stdlib.h>
#include <string.h>

static const struct form {
    const char *quote;     /* around it; NULL: none */
    const char *quoted_if; /* quoted where it has one of these; NULL: see bare */
    const char *bare;      /* quoted where it is empty or has another character; NULL: always quoted */
    const char *control;   /* in place of a control character that has no escape of its own; NULL: as it is */
    struct {
        char character;
        const char *text;
    } escapes[8];
} forms[] = {
    [TEXT_LINE] = {.control = " "},
    [TEXT_HTML] =
        {.escapes = {{'<', "&lt;"}, {'>', "&gt;"}, {'&', "&amp;"}, {'"', "&quot;"}, {'\'', "&#39;"}}},
    [TEXT_XML] = {.escapes = {{'<', "&lt;"},
                              {'>', "&gt;"},
                              {'&', "&amp;"},
                              {'"', "&quot;"},
                              {'\r', "&#13;"},
                              {'\n', "&#10;"},
                              {'\t', "&#9;"}}},
    [TEXT_JSON] = {.quote = "\"", .control = "\\u%04x", .escapes = {{'"', "\\\""}, {'\\', "\\\\"}}},
    [TEXT_CSV] = {.quote = "\"", .quoted_if = ",\"\r\n", .escapes = {{'"', "\"\""}}},
    [TEXT_SHELL] = {.quote = "'",
                    .bare = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,",
                    .escapes = {{'\'', "'\\''"}}},
    [TEXT_MARKDOWN] = {.control = " ",
                       .escapes = {{'\\', "\\\\"}, {'<', "\\<"}, {'&', "\\&"}, {'`', "\\`"}, {'*', "\\*"}}},
    [TEXT_MARKDOWN_STRICT] =
        {.control = " ", .escapes = {{'<', "\\<"}, {'[', "\\["}, {'`', "\\`"}, {'*', "\\*"}, {'_', "\\_"}}},
    [TEXT_MARKDOWN_LINE] = {.control = " ", .escapes = {{'<', "\\<"}}},
    [TEXT_MARKDOWN_CODE] = {.quote = "`", .control = " ", .escapes = {{'`', "'"}}},
    [TEXT_MARKDOWN_CELL] = {.control = " ", .escapes = {{'|', "\\|"}}},
    /* docs.github.com, "Workflow commands for GitHub Actions"; the escapes are those of its toolkit. */
    [TEXT_GITHUB_MESSAGE] = {.escapes = {{'%', "%25"}, {'\r', "%0D"}, {'\n', "%0A"}}},
    [TEXT_GITHUB_PROPERTY] =
        {.escapes = {{'%', "%25"}, {'\r', "%0D"}, {'\n', "%0A"}, {':', "%3A"}, {',', "%2C"}}},
};

static bool is_quoted(const struct form *f, const char *text)
{
    if (f->quoted_if)
        return text[strcspn(text, f->quoted_if)] != '\0';
    if (f->bare)
        return !text[0] || text[strspn(text, f->bare)] != '\0';
    return f->quote != NULL;
}

/* What is written in place of a character, in at most ESCAPE_BYTES; NULL: the character itself. */
enum { ESCAPE_BYTES = 6 };
static const char *escape_of(const struct form *f, char character, char buffer[ESCAPE_BYTES + 1])
{
    const unsigned char c = (unsigned char)character;
    for (size_t i = 0; f->escapes[i].text; i++)
        if (f->escapes[i].character == character)
            return f->escapes[i].text;
    if (!f->control || (c >= 0x20 && c != 0x7f))
        return NULL;
    snprintf(buffer, ESCAPE_BYTES + 1, f->control, c);
    return buffer;
}

/* Writes the first `length` bytes of a text. */
static void put(const struct form *f, const char *text, size_t length, FILE *out)
{
    const char *quote = is_quoted(f, text) ? f->quote : "";
    const bool plain = f->quote && !*quote; /* then it needs no escape */
    char buffer[ESCAPE_BYTES + 1];
    fputs_unlocked(quote, out);
    for (size_t i = 0; i < length; i++) {
        const char *escape = plain ? NULL : escape_of(f, text[i], buffer);
        if (escape)
            fputs_unlocked(escape, out);
        else
            fputc_unlocked(text[i], out);
    }
    fputs_unlocked(quote, out);
}

void text_put(enum text_form form, const char *text, FILE *out)
{
    put(&forms[form], text, strlen(text), out);
}

void text_put_lines(const char *before, const char *text, FILE *out)
{
    while (*text) {
        size_t length = strcspn(text, "\n");
        fprintf(out, "%s%.*s\n", before, (int)length, text);
        text += length + (text[length] == '\n');
    }
}

void text_list_add(char *list, size_t size, const char *name, size_t most)
{
    size_t count = 0, used = 0;
    for (; list[used]; count++) {
        const size_t length = strcspn(list + used, ",");
        if (length == strlen(name) && strncmp(list + used, name, length) == 0)
            return;
        used += length + (list[used + length] ? strlen(", ") : 0);
    }
    if (count <= most)
        snprintf(list + used, size - used, "%s%s", count ? ", " : "", count == most ? "\u2026" : name);
}

char *text_escaped(enum text_form form, const char *text, size_t most)
{
    const size_t length = text_prefix(text, most);
    char *whole = NULL;
    size_t size;
    FILE *out = open_memstream(&whole, &size);
    if (!out)
        return NULL;
    put(&forms[form], text, length, out);
    fputs_unlocked(text[length] ? "..." : "", out);
    if (fclose(out) == 0)
        return whole;
    free(whole);
    return NULL;
}

unsigned text_sequence(const char *text, uint32_t *code)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *s = (const unsigned char *)text;
    const unsigned length = s[0] < 0x80   ? 1
                            : s[0] < 0xc0 ? 0
                            : s[0] < 0xe0 ? 2
                            : s[0] < 0xf0 ? 3
                            : s[0] < 0xf8 ? 4
                                          : 0;
    uint32_t c = length > 1 ? s[0] & (0x7fu >> length) : s[0];
    for (unsigned i = 1; i < length; i++) { /* stops at the terminator: NUL is no continuation byte */
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < smallest[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *code = c;
    return length;
}

bool text_is_control(uint32_t code)
{
    return (code < 0x20 && code != '\t' && code != '\n' && code != '\r') || (code >= 0x7f && code < 0xa0) ||
           code == 0xfffe || code == 0xffff;
}

size_t text_prefix(const char *text, size_t most)
{
    size_t length = strnlen(text, most);
    if (text[length])
        while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
            length--; /* back to the start of a character */
    return length;
}

void text_repair(char *text, size_t size)
{
    uint32_t code;
    if (size == 0)
        return;
    text[size - 1] = '\0';
    char *at = text;
    while (*at) {
        const unsigned length = text_sequence(at, &code);
        if (length == 0)
            *at = '?';
        at += length ? length : 1;
    }
    memset(at, 0, size - (size_t)(at - text));
}
