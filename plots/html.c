#include "plots/html.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

const char *ink_variable(enum ink ink)
{
    static const char *const names[] = {
#define X(name, variable, light, dark) variable,
        INK_MAP(X)
#undef X
    };
    return names[ink];
}

/* Length of the UTF-8 sequence at s and its code point; 0 when it is none (overlong, surrogate, out of
 * range). */
static int utf8_decode(const unsigned char *s, uint32_t *code)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (s[0] < 0x80) {
        *code = s[0];
        return 1;
    }
    int length = s[0] >= 0xf0 && s[0] < 0xf8   ? 4
                 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                 : s[0] >= 0xc0 && s[0] < 0xe0 ? 2
                                               : 0;
    if (!length)
        return 0;
    uint32_t c = s[0] & (0x7fu >> length);
    for (int i = 1; i < length; i++) { /* stops at the terminator: NUL is no continuation byte */
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < smallest[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *code = c;
    return length;
}

static bool is_unsafe(uint32_t c)
{
    return (c < 0x20 && c != '\t' && c != '\n') || (c >= 0x7f && c < 0xa0) || /* C0, C1 */
           (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || /* bidi overrides and isolates */
           c == 0xfffe || c == 0xffff;                                     /* not characters in XML */
}

static void write_text(FILE *out, const char *s, bool breaks)
{
    const unsigned char *p = (const unsigned char *)s;
    while (*p) {
        uint32_t c = 0;
        int length = utf8_decode(p, &c);
        if (length == 0 || is_unsafe(c)) {
            fputs(REPLACEMENT, out);
            p += length ? length : 1;
            continue;
        }
        switch (c) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\'':
            fputs("&#39;", out);
            break;
        default:
            fwrite(p, 1, (size_t)length, out);
            if (breaks && c == '_' && p > (const unsigned char *)s && p[-1] == '_')
                fputs("<wbr/>", out);
        }
        p += length;
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
        fputs("\xe2\x80\x93", out);
}

int html_decimals(double smallest, int digits)
{
    if (!(smallest > 0) || !isfinite(smallest))
        return 0;
    int decimals = digits - 1 - (int)floor(log10(smallest));
    return decimals < 0 ? 0 : decimals > 6 ? 6 : decimals;
}

void html_count(FILE *out, uint64_t v)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, v);
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            fputs("\xe2\x80\xaf", out);
        fputc(digits[i], out);
    }
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
