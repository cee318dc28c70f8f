/* contract.c: names of contracts, formatted and parsed from the rows of contract.inc; see contract.h. */
#include "reference/contract.h"

#include <stdio.h>
#include <string.h>

/* A field is known by where it lies in struct contract; every field with words is an enum, read as unsigned.
 */
struct word {
    size_t field;
    unsigned value;
    const char *text;
};

static const struct word words[] = {
#define CONTRACT_WORD(field, enumerator, word, meaning) {offsetof(struct contract, field), enumerator, word},
#include "reference/contract.inc"
};
enum { WORD_COUNT = sizeof words / sizeof words[0] };

_Static_assert(sizeof(enum format) == sizeof(unsigned) && sizeof(enum op) == sizeof(unsigned) &&
                   sizeof(enum dtype) == sizeof(unsigned) && sizeof(enum decode) == sizeof(unsigned) &&
                   sizeof(enum scale_point) == sizeof(unsigned) &&
                   sizeof(enum accumulation) == sizeof(unsigned) && sizeof(enum nested) == sizeof(unsigned) &&
                   sizeof(enum denormals) == sizeof(unsigned),
               "an enum field is copied as an unsigned");

static unsigned field_get(const struct contract *c, size_t field)
{
    unsigned value;
    memcpy(&value, (const char *)c + field, sizeof value);
    return value;
}

static void field_set(struct contract *c, size_t field, unsigned value)
{
    memcpy((char *)c + field, &value, sizeof value);
}

/* The word of a value, or NULL if contract.inc has no such value for the field. */
static const char *word_of(size_t field, unsigned value)
{
    for (unsigned i = 0; i < WORD_COUNT; ++i)
        if (words[i].field == field && words[i].value == value)
            return words[i].text;
    return NULL;
}

/* Index of the first row after the rows of the field that row i belongs to. */
static unsigned next_field(unsigned i)
{
    size_t field = words[i].field;
    while (i < WORD_COUNT && words[i].field == field)
        ++i;
    return i;
}

/* What follows an accumulation word: "<L>[w<W>][x<S>]", "[x<S>]" or nothing. */
static void format_numbers(const struct contract *c, char *buffer, size_t size)
{
    char chains[12] = "", width[12] = "", splits[12] = "";
    if (c->accumulation == ACC_CHAINS) {
        snprintf(chains, sizeof chains, "%u", c->chains);
        if (c->width != 1)
            snprintf(width, sizeof width, "w%u", c->width);
    }
    if ((c->accumulation == ACC_CHAINS || accumulation_is_mma(c->accumulation)) && c->splits != 1)
        snprintf(splits, sizeof splits, "x%u", c->splits);
    snprintf(buffer, size, "%s%s%s", chains, width, splits);
}

bool contract_format(const struct contract *c, char *buffer, size_t size)
{
    size_t used = 0;
    for (unsigned i = 0; i < WORD_COUNT; i = next_field(i)) {
        const char *text = word_of(words[i].field, field_get(c, words[i].field));
        if (!text)
            return false;
        if (!*text)
            continue;
        char numbers[36] = "";
        if (words[i].field == offsetof(struct contract, accumulation))
            format_numbers(c, numbers, sizeof numbers);
        int length = snprintf(buffer + used, size - used, "%s%s%s", used ? "_" : "", text, numbers);
        if (length < 0 || (size_t)length >= size - used)
            return false;
        used += (size_t)length;
    }
    return true;
}

/* A decimal number of one or two digits without a leading zero, at *text, which moves past it. */
static bool parse_number(const char **text, const char *end, unsigned *out)
{
    const char *p = *text;
    unsigned value = 0;
    while (p < end && p - *text < 2 && *p >= '0' && *p <= '9')
        value = value * 10 + (unsigned)(*p++ - '0');
    if (p == *text || **text == '0')
        return false;
    *text = p;
    *out = value;
    return true;
}

/* "<letter><number>" with a number above 1, or nothing, which is 1: each number has one spelling. */
static bool parse_optional(const char **text, const char *end, char letter, unsigned *out)
{
    *out = 1;
    if (*text == end || **text != letter)
        return true;
    ++*text;
    return parse_number(text, end, out) && *out > 1;
}

/* The numbers of an accumulation word, all of [text, end). */
static bool parse_numbers(enum accumulation a, const char *text, const char *end, struct contract *c)
{
    unsigned chains = 0, width = 0, splits = 0;
    if (a == ACC_CHAINS && !(parse_number(&text, end, &chains) && parse_optional(&text, end, 'w', &width)))
        return false;
    if ((a == ACC_CHAINS || accumulation_is_mma(a)) && !parse_optional(&text, end, 'x', &splits))
        return false;
    c->chains = a == ACC_DPBF16 ? 16 : chains;
    c->width = width;
    c->splits = a == ACC_DPBF16 ? 1 : splits;
    return text == end;
}

/* True if [text, end) is the word of row `w`; then the field is set. */
static bool word_match(const struct word *w, const char *text, const char *end, struct contract *c)
{
    size_t length = strlen(w->text);
    if (!length || (size_t)(end - text) < length || memcmp(text, w->text, length) != 0)
        return false;
    if (w->field == offsetof(struct contract, accumulation)) {
        if (!parse_numbers(w->value, text + length, end, c))
            return false;
    } else if (text + length != end) {
        return false;
    }
    field_set(c, w->field, w->value);
    return true;
}

const char *contract_parse_error(const char *name, struct contract *c, const char **arch)
{
    const char *separator = strstr(name, "__");
    const char *end = separator ? separator : name + strlen(name);
    const char *text = name; /* the next word, up to `word_end`; NULL when all are taken */
    struct contract parsed = {0};

    for (unsigned i = 0; i < WORD_COUNT; i = next_field(i)) {
        bool found = false;
        if (text) {
            const char *word_end = memchr(text, '_', (size_t)(end - text));
            if (!word_end)
                word_end = end;
            for (unsigned row = i; row < next_field(i) && !found; ++row)
                found = word_match(&words[row], text, word_end, &parsed);
            if (found)
                text = word_end < end ? word_end + 1 : NULL;
        }
        if (!found && *words[i].text) /* only a field whose default has no word may be left out */
            return "a word is missing, unknown, out of order or without its number";
        if (!found)
            field_set(&parsed, words[i].field, words[i].value);
    }
    if (text)
        return "a word is unknown, repeated, out of order or without its number";
    if (separator && !separator[2])
        return "no arch follows the contract";
    const char *invalid = contract_invalid(&parsed);
    if (invalid)
        return invalid;
    *c = parsed;
    if (arch)
        *arch = separator ? separator + 2 : end;
    return NULL;
}

bool contract_parse(const char *name, struct contract *c, const char **arch)
{
    return contract_parse_error(name, c, arch) == NULL;
}

static bool power_of_two_to_64(unsigned x)
{
    return x >= 1 && x <= 64 && (x & (x - 1)) == 0;
}

const char *contract_invalid(const struct contract *c)
{
    for (unsigned i = 0; i < WORD_COUNT; i = next_field(i))
        if (!word_of(words[i].field, field_get(c, words[i].field)))
            return "a field has a value that is not in contract.inc";

    bool product = op_is_product(c->op), repack = op_is_repack(c->op);
    bool chains = c->accumulation == ACC_CHAINS;
    bool dpbf16 = c->accumulation == ACC_DPBF16;
    bool mma = accumulation_is_mma(c->accumulation);
    const bool dense = c->format == FORMAT_DENSE;
    const struct {
        bool broken;
        const char *sentence;
    } rules[] = {
        {c->format != FORMAT_NF4 && c->nested != NESTED_NONE, "nested scales are NF4's"},
        {c->format != FORMAT_NF4 && repack, "repack and unrepack move NF4 codes"},
        {dense && !product, "dense weights are for products: there is nothing to dequantize"},
        {dense && (c->scale == SCALE_BLOCK || c->decode == DECODE_OUT),
         "dense weights have no scales and no codebook"},
        {repack != (c->out == DTYPE_U8), "u8 is what repack and unrepack give, and nothing else"},
        {repack && (c->decode != DECODE_F32 || c->nested != NESTED_NONE || c->denormals != DENORMALS_IEEE),
         "repack and unrepack move codes: they have no codebook, absmax or denormals"},
        {!product && c->accumulation != ACC_NONE, "dequantize has no accumulation"},
        {!product && c->scale != SCALE_WEIGHT, "dequantize scales per weight"},
        {product && c->accumulation == ACC_NONE, "a product needs an accumulation"},
        {c->op == OP_GEMMDX && c->scale != SCALE_WEIGHT,
         "gemmdx scales per weight: its sum runs across the blocks"},
        {c->decode == DECODE_OUT && dtype_size(c->out) != 2, "c16 needs a 16-bit output type"},
        {dpbf16 && c->op != OP_GEMM, "dpbf16 is a forward order"},
        {dpbf16 && c->out != DTYPE_BF16, "dpbf16 needs bf16 output and activations"},
        {dpbf16 && c->denormals != DENORMALS_FLUSH, "dpbf16 flushes denormals: ftz is missing"},
        {dpbf16 && c->scale == SCALE_BLOCK && c->decode != DECODE_OUT,
         "dpbf16 with sblk multiplies bf16 codebook entries: c16 is missing"},
        {mma && dtype_size(c->out) != 2, "mma80 and mma90 need a 16-bit output type"},
        {mma && c->scale != SCALE_WEIGHT,
         "mma80 and mma90 scale per weight: their operands are 16-bit weights"},
        {mma && c->denormals != DENORMALS_IEEE, "mma80 and mma90 keep denormals"},
        {chains && !power_of_two_to_64(c->chains),
         "the number of chains must be a power of two from 1 to 64"},
        {chains && !power_of_two_to_64(c->width), "the width of a chain must be a power of two from 1 to 64"},
        {(chains || mma) && (c->splits < 1 || c->splits > 64), "the number of splits must be from 1 to 64"},
        {dpbf16 && (c->chains != 16 || c->splits != 1), "dpbf16 has 16 chains and one split"},
        {!chains && !dpbf16 && c->chains != 0, "chains belong to acc<L>w<W>x<S>"},
        {!chains && c->width != 0, "width belongs to acc<L>w<W>x<S>"},
        {!chains && !dpbf16 && !mma && c->splits != 0,
         "splits belong to acc<L>w<W>x<S>, mma80x<S>, mma90x<S>"},
    };
    for (unsigned i = 0; i < sizeof rules / sizeof rules[0]; ++i)
        if (rules[i].broken)
            return rules[i].sentence;
    return NULL;
}

bool contract_equal(const struct contract *a, const struct contract *b)
{
    for (unsigned i = 0; i < WORD_COUNT; i = next_field(i))
        if (field_get(a, words[i].field) != field_get(b, words[i].field))
            return false;
    return a->chains == b->chains && a->width == b->width && a->splits == b->splits;
}

bool accumulation_is_mma(enum accumulation a)
{
    return a == ACC_MMA80 || a == ACC_MMA90;
}

bool op_is_product(enum op op)
{
    return op == OP_GEMM || op == OP_GEMMDX;
}

bool op_is_repack(enum op op)
{
    return op == OP_REPACK || op == OP_UNREPACK;
}

const char *format_word(enum format f)
{
    return word_of(offsetof(struct contract, format), f);
}

const char *op_word(enum op op)
{
    return word_of(offsetof(struct contract, op), op);
}

/* The value whose word it is. */
static bool value_of(size_t field, const char *word, unsigned *value)
{
    for (unsigned i = 0; i < WORD_COUNT; ++i)
        if (words[i].field == field && strcmp(words[i].text, word) == 0) {
            *value = words[i].value;
            return true;
        }
    return false;
}

bool format_parse(const char *word, enum format *out)
{
    return value_of(offsetof(struct contract, format), word, out);
}

bool op_parse(const char *word, enum op *out)
{
    return value_of(offsetof(struct contract, op), word, out);
}
