#include "plots/html.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "harness/base/text.h"

const char *ink_variable(enum ink ink)
{
    static const char *const names[] = {
#define X(name, variable, light, dark) variable,
        INK_MAP(X)
#undef X
    };
    return names[ink];
}

static bool is_unsafe(uint32_t c)
{
    return text_is_control(c) || c == '\r' || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069); /* bidi overrides and isolates */
}

static void write_text(FILE *out, const char *s, bool breaks)
{
    for (unsigned length, after = 0; *s; s += length, after = s[-1] == '_') {
        uint32_t c = 0;
        char one[5] = "";
        length = text_sequence(s, &c);
        memcpy(one, s, length);
        text_put(TEXT_HTML, length == 0 || is_unsafe(c) ? "\ufffd" : one, out);
        length = length ? length : 1;
        if (breaks && c == '_' && after)
            fputs("<wbr/>", out);
    }
}

void html_text(FILE *out, const char *s)
{
    write_text(out, s, false);
}

void html_name(FILE *out, const char *s)
{
    write_text(out, s, true);
}

void html_number(FILE *out, double v, int decimals)
{
    if (isfinite(v))
        fprintf(out, fabs(v) < 1e15 ? "%.*f" : "%.*g", fabs(v) < 1e15 ? decimals : 6, v);
    else
        fputs("\u2013", out);
}

int html_decimals(double smallest, int digits)
{
    if (!(smallest > 0) || !isfinite(smallest))
        return 0;
    int decimals = digits - 1 - (int)floor(log10(smallest));
    return decimals < 0 ? 0 : decimals > 6 ? 6 : decimals;
}

static void write_count(FILE *out, uint64_t v)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, v);
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            fputs("\u202f", out);
        fputc(digits[i], out);
    }
}

/* Writes what the conversion at p stands for, and returns its last character. */
static const char *print_one(FILE *out, const char *p, va_list *ap)
{
    const bool grouped = *p == '\'';
    int decimals = 0;
    uint64_t count;
    p += grouped;
    if (*p == '.') {
        decimals = p[1] == '*' ? va_arg(*ap, int) : p[1] - '0';
        p += 2;
    }
    const char size = *p;
    p += strspn(p, "zl");
    switch (*p) {
    case 's':
        html_text(out, va_arg(*ap, const char *));
        break;
    case 'f':
        html_number(out, va_arg(*ap, double), decimals);
        break;
    case 'u':
        count = size == 'z'   ? va_arg(*ap, size_t)
                : size == 'l' ? va_arg(*ap, uint64_t)
                              : va_arg(*ap, unsigned);
        if (grouped)
            write_count(out, count);
        else
            fprintf(out, "%" PRIu64, count);
        break;
    default:
        fputc(*p, out); /* "%%" */
    }
    return p;
}

void html_print(FILE *out, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    for (const char *p = format; *p; p++)
        if (*p == '%')
            p = print_one(out, p + 1, &ap);
        else
            fputc(*p, out);
    va_end(ap);
}

/* Colours as variables: figures and tables follow the reader's scheme, and paper is always white. */
static void write_inks(FILE *out, const char *selector, bool dark)
{
    static const char *const colours[][2] = {
#define X(name, variable, light, dark) {light, dark},
        INK_MAP(X)
#undef X
    };
    fprintf(out, "%s{", selector);
    for (int i = 0; i < INK_COUNT; i++)
        fprintf(out, "--%s:%s;", ink_variable((enum ink)i), colours[i][dark]);
    fputs("}", out);
}

static const char style[] =
#include "plots/style.inc"
    ;

/* The digest is of the script below: the browser then runs it and nothing else, whatever a results file
 * holds. tests/end_to_end/test_report.py prints the new one when the script was changed. */
static const char script_digest[] = "sha256-M+G6uT5hYAl/svdgHM5XwzmM9BTfonxUmErCxi5K1+A=";
static const char script[] =
#include "plots/script.inc"
    ;

void html_begin(FILE *out, const char *title)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
          "<meta name=\"color-scheme\" content=\"light dark\"/>\n<meta name=\"generator\" "
          "content=\"nf4bench\"/>\n",
          out);
    fprintf(out,
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
            "'unsafe-inline'; script-src '%s'\"/>\n<title>",
            script_digest);
    html_text(out, title);
    fputs("</title>\n<style>\n", out);
    write_inks(out, ":root", false);
    fputs("\n@media screen and (prefers-color-scheme:dark){", out);
    write_inks(out, ":root", true);
    fputs("}\n", out);
    fputs(style, out);
    fputs("</style>\n</head>\n<body>\n<main>\n", out);
}

void html_end(FILE *out)
{
    fprintf(out, "</main>\n<script>%s</script>\n</body>\n</html>\n", script);
}
