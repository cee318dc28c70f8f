/* Suites: what is read, and where and how it is complained about. */
#include "harness/suite/suite.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/closest.h"
#include "harness/base/models.h"
#include "harness/base/yaml.h"
#include "tests/test.h"

/* Beside the shipped suites, so that models.yaml is found. */
static const char *here(void)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s", test_path("../suites/t.yaml"));
    return path;
}

static enum status parse(const char *text, struct suite *out)
{
    return suite_parse(text, strlen(text), here(), out);
}

#define CASE(rest) "suite: t\ncases:\n- " rest "\n"
#define DEQUANT    "op: dequant\n  shapes: [[64, 64]]\n  "
#define GEMM       "op: gemm\n  m: 1\n  shapes: [[64, 64]]\n  "

TEST(suite, reads_every_key)
{
    struct suite s;
    ASSERT_EQ(STATUS_OK,
              parse("suite: all-keys\n"
                    "description: >\n"
                    "  two\n"
                    "  lines\n"
                    "measure: {min_samples: 7, max_samples: 90, max_seconds: 1.5, precision: 0.01,\n"
                    "          settle_seconds: 0}\n"
                    "defaults: {blocksize: 128, threads: 3}\n"
                    "cases:\n"
                    "  - op: gemm\n"
                    "    m: [1, 1048576]\n"
                    "    shapes: [[3, 5], [4096, 11008]]\n"
                    "    models: [Llama-3-8B, Gemma-2-9B]\n"
                    "    layers: [q, down]\n"
                    "    blocksize: [32, 4096]\n"
                    "    nested: [true, false]\n"
                    "    bias: true\n"
                    "    regime: [hot]\n"
                    "    threads: [1, all]\n"
                    "    variants: [\"nf4_gemm_*\", \"!*__scalar*\"]\n"
                    "  - op: dequant\n"
                    "    weights: x/model.safetensors\n"
                    "    tensors: \"*.weight\"\n"
                    "    checkpoint: true\n",
                    &s));
    EXPECT_STREQ("all-keys", s.name);
    EXPECT_STREQ(here(), s.path);
    EXPECT_EQ(7, s.measure.min_samples);
    EXPECT_EQ(90, s.measure.max_samples);
    EXPECT_NEAR(1.5, s.measure.max_seconds, 0);
    EXPECT_NEAR(0.01, s.measure.precision, 0);
    EXPECT_NEAR(0, s.measure.settle_seconds, 0);
    ASSERT_EQ(2, s.case_count);

    const struct suite_case *c = &s.cases[0];
    EXPECT_EQ(9, c->line);
    EXPECT_EQ(OP_GEMM, c->op);
    ASSERT_EQ(2, c->m_count);
    EXPECT_EQ(1048576, c->m[1]);
    ASSERT_EQ(6, c->shape_count);
    static const struct {
        size_t n, k;
        const char *label;
    } want[] = {{3, 5, NULL},
                {4096, 11008, NULL},
                {4096, 14336, "Llama-3-8B.down"},
                {4096, 4096, "Llama-3-8B.q"},
                {3584, 14336, "Gemma-2-9B.down"},
                {4096, 3584, "Gemma-2-9B.q"}};
    for (size_t i = 0; i < 6; i++) {
        test_note("shape %zu", i);
        EXPECT_EQ(want[i].n, c->shapes[i].n);
        EXPECT_EQ(want[i].k, c->shapes[i].k);
        EXPECT_STREQ(want[i].label, c->shapes[i].label);
    }
    test_note(NULL);
    ASSERT_EQ(2, c->blocksize_count);
    EXPECT_EQ(4096, c->blocksize[1]);
    ASSERT_EQ(2, c->nested_count);
    EXPECT_TRUE(c->nested[0] && !c->nested[1]);
    ASSERT_EQ(1, c->bias_count);
    EXPECT_TRUE(c->bias[0]);
    EXPECT_TRUE(c->hot && !c->cold);
    ASSERT_EQ(2, c->thread_count);
    EXPECT_EQ(1, c->threads[0]);
    EXPECT_EQ(0, c->threads[1]);
    ASSERT_EQ(2, c->variant_count);
    EXPECT_STREQ("!*__scalar*", c->variants[1]);
    EXPECT_TRUE(c->weights == NULL);

    c = &s.cases[1];
    EXPECT_EQ(OP_DEQUANT, c->op);
    EXPECT_CONTAINS(c->weights, "/suites/x/model.safetensors");
    ASSERT_EQ(1, c->tensor_count);
    EXPECT_STREQ("*.weight", c->tensors[0]);
    EXPECT_TRUE(c->checkpoint);
    ASSERT_EQ(1, c->thread_count);
    EXPECT_EQ(3, c->threads[0]);
    /* The default blocksize says nothing about a checkpoint. */
    ASSERT_EQ(1, c->blocksize_count);
    EXPECT_EQ(64, c->blocksize[0]);
    suite_release(&s);
}

TEST(suite, fills_in_what_is_left_out)
{
    struct suite s;
    ASSERT_EQ(STATUS_OK, parse(CASE("op: dequant\n  shapes: [[2, 3]]"), &s));
    const struct suite_case *c = &s.cases[0];
    EXPECT_EQ(1, c->m_count);
    EXPECT_EQ(0, c->m[0]);
    EXPECT_EQ(64, c->blocksize[0]);
    EXPECT_TRUE(c->nested_count == 1 && !c->nested[0]);
    EXPECT_TRUE(c->bias_count == 1 && !c->bias[0]);
    EXPECT_TRUE(c->cold && !c->hot);
    EXPECT_TRUE(c->thread_count == 1 && c->threads[0] == 0);
    EXPECT_EQ(0, c->variant_count);
    struct measure_settings d = measure_defaults();
    EXPECT_EQ(d.min_samples, s.measure.min_samples);
    EXPECT_EQ(30, d.min_samples);
    EXPECT_EQ(2000, d.max_samples);
    suite_release(&s);
}

TEST(suite, default_layers_are_the_fused_ones)
{
    struct suite s;
    ASSERT_EQ(STATUS_OK, parse(CASE("op: dequant\n  models: Llama-3-8B"), &s));
    static const char *const want[] = {"Llama-3-8B.qkv", "Llama-3-8B.o", "Llama-3-8B.gate_up",
                                       "Llama-3-8B.down"};
    ASSERT_EQ(4, s.cases[0].shape_count);
    for (size_t i = 0; i < 4; i++)
        EXPECT_STREQ(want[i], s.cases[0].shapes[i].label);
    EXPECT_EQ(6144, s.cases[0].shapes[0].n);
    suite_release(&s);
}

TEST(suite, defaults_give_way)
{
    struct suite s;
    ASSERT_EQ(STATUS_OK,
              parse("suite: t\n"
                    "defaults: {models: Llama-3-8B, layers: o, m: [1, 2], bias: true, regime: hot,\n"
                    "           tensors: '*', checkpoint: false}\n"
                    "cases:\n"
                    "- {op: dequant}\n"
                    "- {op: gemm, m: 5}\n"
                    "- {op: gemmdx, shapes: [[8, 8]]}\n"
                    "- {op: dequant, weights: /abs.safetensors}\n",
                    &s));
    ASSERT_EQ(4, s.case_count);
    EXPECT_EQ(1, s.cases[0].m_count);
    EXPECT_EQ(0, s.cases[0].m[0]);
    EXPECT_FALSE(s.cases[0].bias[0]);
    EXPECT_TRUE(s.cases[0].hot);
    EXPECT_EQ(1, s.cases[0].shape_count);
    EXPECT_EQ(1, s.cases[1].m_count);
    EXPECT_TRUE(s.cases[1].bias[0]);
    EXPECT_EQ(2, s.cases[2].m_count);
    EXPECT_EQ(1, s.cases[2].shape_count);
    EXPECT_EQ(8, s.cases[2].shapes[0].n);
    EXPECT_EQ(0, s.cases[3].shape_count);
    EXPECT_STREQ("/abs.safetensors", s.cases[3].weights);
    EXPECT_EQ(1, s.cases[3].tensor_count);
    suite_release(&s);
}

TEST(suite, formats)
{
    struct suite s;
    ASSERT_EQ(STATUS_OK,
              parse("suite: t\n"
                    "defaults: {shapes: [[8, 128]], formats: [int8 blocksize=k]}\n"
                    "cases:\n"
                    "- {op: dequant, formats: [nf4 nested=1, int4 blocksize=128 zeros=1 actorder=1, dense]}\n"
                    "- {op: dequant}\n"
                    "- {op: dequant, blocksize: 128}\n"
                    "- {op: repack}\n",
                    &s));
    const struct weight_format *f = s.cases[0].formats;
    ASSERT_EQ(3, s.cases[0].format_count);
    EXPECT_TRUE(f[0].kind == FORMAT_NF4 && f[0].blocksize == 64 && f[0].nested);
    EXPECT_TRUE(f[1].kind == FORMAT_INT4 && f[1].blocksize == 128 && f[1].zeros && f[1].act_order);
    EXPECT_TRUE(f[2].kind == FORMAT_DENSE);
    EXPECT_TRUE(s.cases[1].format_count == 1 && s.cases[1].formats[0].blocksize == 0); /* k */
    EXPECT_TRUE(s.cases[2].formats == NULL && s.cases[2].blocksize[0] == 128);
    EXPECT_TRUE(s.cases[3].formats == NULL);
    EXPECT_EQ(STATUS_OK, suite_override(&s, "formats=int4 blocksize=32,fp8 blocksize=k"));
    EXPECT_TRUE(s.cases[2].format_count == 2 && s.cases[2].formats[1].kind == FORMAT_FP8);
    EXPECT_TRUE(s.cases[3].formats == NULL);
    EXPECT_EQ(STATUS_USAGE, suite_override(&s, "formats=int4,int3"));
    EXPECT_CONTAINS(status_message(), "\"int3\" does not begin with");
    suite_release(&s);
}

TEST(suite, a_sample_limit_pulls_the_other)
{
    struct suite s;
    ASSERT_EQ(STATUS_OK, parse("measure: {max_samples: 4}\n" CASE(DEQUANT), &s));
    EXPECT_EQ(4, s.measure.min_samples);
    suite_release(&s);
    ASSERT_EQ(STATUS_OK, parse("measure: {min_samples: 5000}\n" CASE(DEQUANT), &s));
    EXPECT_EQ(5000, s.measure.max_samples);
    suite_release(&s);
}

/* ---- complaints ---- */

struct bad {
    const char *text;
    const char *where; /* line:column of the message */
    const char *what;
    const char *source; /* the line shown, or NULL */
    const char *meant;  /* suggestion, or NULL for none */
};

static const struct bad bad_suites[] = {
    /* keys */
    {"suite: t\ncase:\n- op: gemm\n", "2:1", "unknown key \"case\" in a suite", "case:", "cases"},
    {CASE(GEMM "bloksize: 64"), "6:3", "unknown key \"bloksize\" in a case", "  bloksize: 64", "blocksize"},
    {CASE(GEMM "zzzzzzzz: 64"), "6:3", "unknown key \"zzzzzzzz\" in a case", "  zzzzzzzz: 64", NULL},
    {CASE(GEMM "m: 2"), "6:3", "key \"m\" stands twice; first on line 4", "  m: 2", NULL},
    {"suite: t\nsuite: u\n", "2:1", "key \"suite\" stands twice; first on line 1", "suite: u", NULL},
    {"measure: {min_sample: 3}\n" CASE(DEQUANT), "1:11", "unknown key \"min_sample\" in measure",
     "measure: {min_sample: 3}", "min_samples"},
    {"defaults: {op: gemm}\n" CASE(DEQUANT), "1:12", "op has no default", "defaults: {op: gemm}", NULL},
    {CASE(DEQUANT "[a, b]: c"), "5:3", "a key must be text, not a list", "  [a, b]: c", NULL},
    /* what is missing */
    {"", "1:1", "the file is empty", NULL, NULL},
    {"# nothing\n", "1:1", "the file is empty", NULL, NULL},
    {"---\n", "2:1", "a suite must be a mapping (key: value), not nothing", NULL, NULL},
    {"cases: []\n", "1:1", "the suite has no name", "cases: []", NULL},
    {"suite: t\n", "1:1", "the suite has no cases", "suite: t", NULL},
    {"suite: t\ncases: []\n", "2:8", "cases: the list is empty", "cases: []", NULL},
    {"suite: t\ncases:\n", "2:7", "a case must be a mapping (key: value), not nothing", "cases:", NULL},
    {"suite:\ncases:\n", "1:7", "suite must be text, not nothing", "suite:", NULL},
    {CASE("m: 1"), "3:3", "the case has no op", "- m: 1", NULL},
    {CASE("op: dequant"), "3:3", "the case has no shapes, models or weights", "- op: dequant", NULL},
    {CASE("op: gemm\n  shapes: [[1, 1]]"), "3:3", "the case has no m", "- op: gemm", NULL},
    {CASE("op: dequant\n  weights: a"), "4:3", "weights need tensors", "  weights: a", NULL},
    {CASE("op: dequant\n  models: [Llama-3-8B]\n  layers: []"), "5:11", "layers: the list is empty",
     "  layers: []", NULL},
    /* what does not fit together */
    {CASE(DEQUANT "m: 1"), "5:3", "m: only products have an m", "  m: 1", NULL},
    {CASE(DEQUANT "bias: false"), "5:3", "bias: only gemm has a bias", "  bias: false", NULL},
    {CASE("op: gemmdx\n  m: 1\n  shapes: [[1, 1]]\n  bias: true"), "6:3", "only gemm has a bias",
     "  bias: true", NULL},
    {CASE(DEQUANT "weights: a\n  tensors: b"), "5:3", "no shapes and no models beside them", "  weights: a",
     NULL},
    {CASE(DEQUANT "tensors: b"), "5:3", "tensors are those of a weights file", "  tensors: b", NULL},
    {CASE(DEQUANT "checkpoint: true"), "5:3", "checkpoint: it says what the weights file is",
     "  checkpoint: true", NULL},
    {CASE(DEQUANT "layers: q"), "5:3", "layers are those of models", "  layers: q", NULL},
    {CASE("op: dequant\n  weights: a\n  tensors: b\n  checkpoint: true\n  blocksize: 64"), "7:3",
     "the checkpoint has its own", "  blocksize: 64", NULL},
    {CASE("op: dequant\n  weights: a\n  tensors: b\n  checkpoint: true\n  nested: true"), "7:3",
     "the checkpoint is or is not", "  nested: true", NULL},
    {CASE("op: dequant\n  weights: a\n  tensors: b\n  checkpoint: true\n  formats: dense"), "7:3",
     "formats: the checkpoint has its own", "  formats: dense", NULL},
    {CASE("op: repack\n  shapes: [[1, 1]]\n  formats: int4"), "5:3", "formats: NF4 is what is repacked",
     "  formats: int4", NULL},
    {CASE(DEQUANT "formats: int4\n  blocksize: 64"), "6:3", "blocksize: each of the formats has its own",
     "  blocksize: 64", NULL},
    {CASE(DEQUANT "formats: int4\n  nested: true"), "6:3", "nested: each of the formats is or is not",
     "  nested: true", NULL},
    {"measure: {min_samples: 9, max_samples: 8}\n" CASE(DEQUANT), "1:40", "max_samples is below min_samples",
     "measure: {min_samples: 9, max_samples: 8}", NULL},
    /* words */
    {CASE("op: gem"), "3:7", "unknown op \"gem\": it is dequant, gemm, gemmdx, repack or unrepack",
     "- op: gem", "gemm"},
    {CASE("op: [gemm]"), "3:7", "op must be text, not a list", "- op: [gemm]", NULL},
    {CASE("op: dequant\n  models: [Llama-3-8B, llama-3-70b]"), "4:24",
     "models.yaml has no model \"llama-3-70b\"", "  models: [Llama-3-8B, llama-3-70b]", "Llama-3-70B"},
    {CASE("op: dequant\n  models: Llama-3-8B\n  layers: [o, gateup]"), "5:15", "has a layer \"gateup\"",
     "  layers: [o, gateup]", "gate_up"},
    {CASE("op: dequant\n  models: [Llama-3-8B, DeepSeek-V3]\n  layers: [qkv]"), "4:24",
     "model \"DeepSeek-V3\" has none of the case's layers", "  models: [Llama-3-8B, DeepSeek-V3]", NULL},
    {CASE(DEQUANT "regime: [cold, warm]"), "5:18", "unknown regime \"warm\": it is cold or hot",
     "  regime: [cold, warm]", NULL},
    {CASE(DEQUANT "regime: hto"), "5:11", "unknown regime \"hto\"", "  regime: hto", "hot"},
    {CASE(DEQUANT "variants: [\"!\"]"), "5:14", "\"!\" alone removes nothing", "  variants: [\"!\"]", NULL},
    {CASE(DEQUANT "variants: [\"\"]"), "5:14", "variants must be text, not nothing", "  variants: [\"\"]",
     NULL},
    {CASE(DEQUANT "variants: [\"a\\0b\"]"), "5:14", "variants holds a control character (code 0)", NULL,
     NULL},
    {CASE(DEQUANT "variants: [\"\\x9b\"]"), "5:14", "variants holds a control character (code 155)", NULL,
     NULL},
    {"suite: ../x\ncases: []\n", "1:8", "a suite's name is made of letters", "suite: ../x", NULL},
    {"suite: .x\ncases: []\n", "1:8", "a suite's name is made of letters", "suite: .x", NULL},
    /* numbers */
    {CASE(DEQUANT "blocksize: 48"), "5:14",
     "blocksize must be 32, 64, 128, 256, 512, 1024, 2048 or 4096, not 48", "  blocksize: 48", NULL},
    {CASE(DEQUANT "blocksize: [64, 8192]"), "5:19", "2048 or 4096, not 8192", "  blocksize: [64, 8192]",
     NULL},
    {CASE(DEQUANT "blocksize: \"64\""), "5:14", "blocksize: \"64\" is text, not a whole number", NULL, NULL},
    {CASE(DEQUANT "blocksize: []"), "5:14", "blocksize: the list is empty", NULL, NULL},
    {CASE(DEQUANT "blocksize:"), "5:13", "blocksize must be a whole number, not nothing", NULL, NULL},
    {CASE(DEQUANT "blocksize: {a: 1}"), "5:14", "blocksize must be a whole number, not a mapping", NULL,
     NULL},
    {CASE(DEQUANT "blocksize: [64, 64]"), "5:19", "blocksize: the same value stands twice", NULL, NULL},
    {CASE("op: gemm\n  m: -1\n  shapes: [[1, 1]]"), "4:6", "m: \"-1\" is not a whole number", "  m: -1",
     NULL},
    {CASE("op: gemm\n  m: 0\n  shapes: [[1, 1]]"), "4:6", "m must be from 1 to 1048576, not 0", "  m: 0",
     NULL},
    {CASE("op: gemm\n  m: 1048577\n  shapes: [[1, 1]]"), "4:6", "m must be from 1 to 1048576, not 1048577",
     NULL, NULL},
    {CASE("op: gemm\n  m: 0x10\n  shapes: [[1, 1]]"), "4:6", "m: \"0x10\" is not a whole number", NULL, NULL},
    {CASE("op: gemm\n  m: 010\n  shapes: [[1, 1]]"), "4:6", "m: \"010\" is not a whole number", NULL, NULL},
    {CASE("op: gemm\n  m: 1e3\n  shapes: [[1, 1]]"), "4:6", "m: \"1e3\" is not a whole number", NULL, NULL},
    {CASE("op: gemm\n  m: 1_000\n  shapes: [[1, 1]]"), "4:6", "m: \"1_000\" is not a whole number", NULL,
     NULL},
    {CASE("op: gemm\n  m: 99999999999999999999\n  shapes: [[1, 1]]"), "4:6", "is too large", NULL, NULL},
    {CASE("op: gemm\n  m: 18446744073709551617\n  shapes: [[1, 1]]"), "4:6", "is too large", NULL, NULL},
    {CASE("op: gemm\n  m: [1, [2]]\n  shapes: [[1, 1]]"), "4:10", "m must be a whole number, not a list",
     NULL, NULL},
    {CASE(DEQUANT "threads: 0"), "5:12", "threads must be from 1 to 1024, not 0", NULL, NULL},
    {CASE(DEQUANT "threads: [2, 2]"), "5:16", "threads: the same value stands twice", NULL, NULL},
    {CASE(DEQUANT "threads: [[2]]"), "5:13", "threads must be a whole number, not a list", NULL, NULL},
    {CASE(DEQUANT "formats: int5"), "5:12", "\"int5\" does not begin with nf4, int4, int8, fp8 or dense",
     NULL, NULL},
    {CASE(DEQUANT "formats: [int4, nf4 zeros=1]"), "5:19", "zeros=1 or actorder=1 for int4", NULL, NULL},
    {CASE(DEQUANT "formats: int4 blocksize=48"), "5:12", "no power of two from 32, nor k", NULL, NULL},
    {CASE(DEQUANT "formats: nf4 blocksize=k"), "5:12", "no power of two from 32, nor k", NULL, NULL},
    {CASE(DEQUANT "formats: dense blocksize=64"), "5:12", "a word that is not blocksize=", NULL, NULL},
    {CASE(DEQUANT "formats: int4 zeros=2"), "5:12", "a word that is not blocksize=", NULL, NULL},
    {CASE(DEQUANT "formats: [int4, int4 blocksize=64]"), "5:19", "formats: the same value stands twice", NULL,
     NULL},
    {CASE(DEQUANT "nested: yes"), "5:11", "nested must be true or false", "  nested: yes", NULL},
    {CASE(DEQUANT "nested: [true, true]"), "5:18", "nested: the same value stands twice", NULL, NULL},
    {CASE(DEQUANT "nested: [true, false, true]"), "5:25", "nested: the same value stands twice", NULL, NULL},
    {"measure: {precision: 0}\n" CASE(DEQUANT), "1:22", "precision must be from 1e-06 to 1, not 0", NULL,
     NULL},
    {"measure: {precision: nan}\n" CASE(DEQUANT), "1:22", "precision: \"nan\" is not a number", NULL, NULL},
    {"measure: {max_seconds: 0x10}\n" CASE(DEQUANT), "1:24", "max_seconds: \"0x10\" is not a number", NULL,
     NULL},
    {"measure: {max_seconds: 1e999}\n" CASE(DEQUANT), "1:24", "max_seconds must be from 0.001 to 86400", NULL,
     NULL},
    {"measure: {min_samples: 0}\n" CASE(DEQUANT), "1:24", "min_samples must be from 1 to 1000000, not 0",
     NULL, NULL},
    {"measure: 3\n" CASE(DEQUANT), "1:10", "measure must be a mapping (key: value), not a single value", NULL,
     NULL},
    /* shapes */
    {CASE("op: dequant\n  shapes: [64, 64]"), "4:12", "shapes is a list of pairs, as in [[4096, 11008]]",
     NULL, NULL},
    {CASE("op: dequant\n  shapes: 64"), "4:11", "shapes is a list of pairs", NULL, NULL},
    {CASE("op: dequant\n  shapes: [[64]]"), "4:12", "shapes is a list of pairs", NULL, NULL},
    {CASE("op: dequant\n  shapes: [[64, 64, 64]]"), "4:12", "shapes is a list of pairs", NULL, NULL},
    {CASE("op: dequant\n  shapes: [[64, x]]"), "4:17", "k: \"x\" is not a whole number", NULL, NULL},
    {CASE("op: dequant\n  shapes: [[0, 64]]"), "4:13", "n must be from 1 to", NULL, NULL},
    {CASE("op: dequant\n  shapes: [[2147483649, 1]]"), "4:12", "shape: a side is longer than 2147483648",
     NULL, NULL},
    {CASE("op: dequant\n  shapes: [[1048576, 1048577]]"), "4:12", "shape: it has more than 2^40 elements",
     NULL, NULL},
    {CASE("op: dequant\n  shapes: [[1, 2], [1, 2]]"), "4:20", "shapes: the same value stands twice", NULL,
     NULL},
    /* defaults are checked even where no case takes them */
    {"defaults: {m: x}\n" CASE(DEQUANT), "1:15", "m: \"x\" is not a whole number", NULL, NULL},
    /* YAML */
    {"suite: [t\n", "2:1", "not valid YAML", NULL, NULL},
    {"suite: t\n\tcases: 1\n", "2:1", "not valid YAML: found a tab character that violates indentation",
     " cases: 1", NULL},
    {"suite: t\xff\n", "1:9", "not YAML text: invalid leading UTF-8 octet", "suite: t?", NULL},
    {"suite: \x01\n", "1:8", "not YAML text: control characters are not allowed", "suite: ?", NULL},
    {"a: 1\n---\nb: 2\n", "2:1", "a second document begins here", "---", NULL},
    {"a: &x 1\nb: 2\n", "1:4", "anchors are not supported", "a: &x 1", NULL},
    {"a: *x\n", "1:4", "aliases are not supported; a pattern that begins with * must stand in quotes",
     "a: *x", NULL},
    {CASE(DEQUANT "variants: [*.weight]"), "5:15", "a pattern that begins with * must stand in quotes", NULL,
     NULL},
    {CASE(DEQUANT "variants: !*scalar*"), "5:13", "a pattern that begins with ! must stand in quotes", NULL,
     NULL},
    {CASE(DEQUANT "variants: [!*scalar*]"), "5:23", "a pattern that begins with ! must stand in quotes", NULL,
     NULL},
    {"a: !!int 4\n", "1:4", "tags are not supported", "a: !!int 4", NULL},
    {"[[[[[[[[[1]]]]]]]]]\n", "1:9", "nested more than 8 deep", NULL, NULL},
    /* columns are characters, tabs take one cell, breaks are YAML's */
    {CASE("op: \"g\xc3\xa9mm\xe2\x82\xac\" #\t\n  \"\xc3\xa9\": 1"), "4:3", "unknown key \"\xc3\xa9\"",
     "  \"\xc3\xa9\": 1", NULL},
    {"suite: t # \xe2\x80\xa8"
     "cases: x\n",
     "2:8", "a case must be a mapping", "cases: x", NULL},
    {"suite: t\r\ncases:\r\n- {op: gamm,\tm: 1}\r\n", "3:8", "unknown op \"gamm\"", "- {op: gamm, m: 1}",
     "gemm"},
};

TEST(suite, complaints_name_the_place)
{
    for (size_t i = 0; i < sizeof bad_suites / sizeof *bad_suites; i++) {
        const struct bad *b = &bad_suites[i];
        struct suite s;
        char head[2048];
        test_note("row %zu: %.300s", i, b->text);
        enum status status = parse(b->text, &s);
        EXPECT_TRUE(status == STATUS_INPUT);
        EXPECT_TRUE(s.cases == NULL && s.name == NULL);
        if (status == STATUS_OK) {
            suite_release(&s);
            continue;
        }
        const char *message = status_message();
        snprintf(head, sizeof head, "%s:%s: ", here(), b->where);
        EXPECT_TRUE(strncmp(message, head, strlen(head)) == 0 || (printf("%s\n", message), false));
        EXPECT_CONTAINS(message, b->what);
        if (b->source) {
            /* The line, then the caret under the column. */
            int column = atoi(strchr(b->where, ':') + 1);
            snprintf(head, sizeof head, "\n%s\n%*s^", b->source, column - 1, "");
            EXPECT_CONTAINS(message, head);
        }
        if (b->meant) {
            snprintf(head, sizeof head, "^\ndid you mean \"%s\"?", b->meant);
            EXPECT_CONTAINS(message, head);
        } else {
            EXPECT_TRUE(strstr(message, "did you mean") == NULL);
        }
    }
}

TEST(suite, long_lines_are_shown_around_the_caret)
{
    struct suite s;
    char text[2048];
    int n = snprintf(text, sizeof text, "suite: t\ncases: [{op: dequant, variants: [");
    for (int i = 0; i < 30; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "\"nf4_dequant_%02d\", ", i);
    snprintf(text + n, sizeof text - (size_t)n, "a], oops: 1, shapes: [[1, 1]]}]\n");
    EXPECT_EQ(STATUS_INPUT, parse(text, &s));
    char *message = strdup(status_message()), *line = strchr(message, '\n'), *caret = strchr(line + 1, '\n');
    EXPECT_EQ(160, strcspn(line + 1, "\n") < 160 ? 160 : strcspn(line + 1, "\n"));
    EXPECT_TRUE(strncmp(line + 1 + strspn(caret + 1, " "), "oops: 1", 7) == 0);
    free(message);
}

TEST(suite, limits)
{
    struct suite s;
    size_t size = YAML_FILE_BYTES_MAX + 1;
    char *text = malloc(size);
    ASSERT_TRUE(text != NULL);
    memset(text, ' ', size);
    EXPECT_EQ(STATUS_LIMIT, suite_parse(text, size, "big.yaml", &s));
    EXPECT_CONTAINS(status_message(), "big.yaml: more than 262144 bytes");

    /* Bombs: each must be refused, and quickly. */
    static const char *const units[] = {"[",   "{",   "- ", "? ",  "a: [",   "%TAG !a! b\n",
                                        "!a ", "&a ", "'",  "\n#", "--- a\n"};
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        test_note("bomb of %s", units[u]);
        size_t unit = strlen(units[u]);
        for (size_t i = 0; i < size; i++)
            text[i] = units[u][i % unit];
        EXPECT_TRUE(suite_parse(text, size - 1, "bomb.yaml", &s) != STATUS_OK);
    }
    test_note(NULL);

    /* Defaults multiply by cases; the sum of all lists is bounded. */
    size_t n = (size_t)snprintf(text, size, "suite: t\ndefaults:\n  variants: [");
    for (int i = 1; i <= 4096; i++)
        n += (size_t)snprintf(text + n, size - n, "x,");
    n += (size_t)snprintf(text + n, size - n, "]\n  shapes: [[1, 1]]\ncases:\n");
    for (int i = 0; i < 100; i++)
        n += (size_t)snprintf(text + n, size - n, "- {op: dequant}\n");
    EXPECT_EQ(STATUS_INPUT, suite_parse(text, n, "sum.yaml", &s));
    EXPECT_CONTAINS(status_message(), "the suite's lists have more than 262144 entries together");

    n = (size_t)snprintf(text, size,
                         "suite: t\ndefaults: {models: [Llama-2-7B, Llama-2-13B, LLaMA-65B, Llama-3-8B, "
                         "Mistral-7B, Llama-3-70B, Llama-3.1-405B, Qwen2.5-7B], layers: [qkv, o, gate_up, "
                         "down, q, k, v, gate, up]}\ncases:\n");
    for (int i = 0; i < 4000; i++)
        n += (size_t)snprintf(text + n, size - n, "- {op: dequant}\n");
    EXPECT_EQ(STATUS_INPUT, suite_parse(text, n, here(), &s));
    EXPECT_CONTAINS(status_message(), "the suite's lists have more than 262144 entries together");

    n = (size_t)snprintf(text, size, "suite: t\ncases:\n- {op: gemm, shapes: [[1, 1]], m: [");
    for (int i = 1; i <= 4097; i++)
        n += (size_t)snprintf(text + n, size - n, "%d,", i);
    n += (size_t)snprintf(text + n, size - n, "]}\n");
    EXPECT_EQ(STATUS_INPUT, suite_parse(text, n, "list.yaml", &s));
    EXPECT_CONTAINS(status_message(), "list.yaml:3:35: m: more than 4096 entries");
    free(text);
}

TEST(suite, files)
{
    struct suite s;
    EXPECT_EQ(STATUS_IO, suite_load("/nonexistent/x.yaml", &s));
    EXPECT_CONTAINS(status_message(), "/nonexistent/x.yaml: cannot open: No such file or directory");
    EXPECT_EQ(STATUS_IO, suite_load("/", &s));

    /* No models.yaml beside it. */
    char path[1024];
    snprintf(path, sizeof path, "%s/s.yaml", test_temporary_directory());
    FILE *f = fopen(path, "w");
    ASSERT_TRUE(f != NULL);
    fputs(CASE("op: dequant\n  models: Llama-3-8B"), f);
    fclose(f);
    EXPECT_EQ(STATUS_INPUT, suite_load(path, &s));
    EXPECT_CONTAINS(status_message(), "s.yaml:4:11: models need a models.yaml beside the suite: ");
    EXPECT_CONTAINS(status_message(), "models.yaml: cannot open");

    /* A broken one: the message points into it. */
    snprintf(path, sizeof path, "%s/models.yaml", test_temporary_directory());
    f = fopen(path, "w");
    ASSERT_TRUE(f != NULL);
    fputs("Llama-3-8B: {q: [1]}\n", f);
    fclose(f);
    snprintf(path, sizeof path, "%s/s.yaml", test_temporary_directory());
    EXPECT_EQ(STATUS_INPUT, suite_load(path, &s));
    EXPECT_CONTAINS(status_message(), "models.yaml:1:17: a shape is a pair [n, k]");
}

/* ---- models ---- */

TEST(suite, models_complaints)
{
    static const struct {
        const char *text, *what;
    } rows[] = {
        {"a: 1\n", "m:1:4: a model must be a mapping of layers to shapes"},
        {"- a\n", "m:1:1: models must be a mapping of names to layers"},
        {"a: {}\n", "m:1:4: a model has 1 to 64 layers, not 0"},
        {"{}\n", "m:1:1: 1 to 256 models, not 0"},
        {"a: {q: [1, 2]}\na: {q: [1, 2]}\n", "m:2:1: model \"a\" stands twice"},
        {"a: {q: [1, 2], q: [1, 2]}\n", "m:1:16: layer \"q\" stands twice"},
        {"a: {q: [1, 0]}\n", "m:1:12: k must be from 1 to"},
        {"a: {q: [2147483649, 1]}\n", "m:1:8: shape: a side is longer"},
        {"a: {q: 7}\n", "m:1:8: a shape is a pair"},
        {"a: {blocks: 3}\n", "m:1:4: a model has layers"},
        {"a: {blocks: 0, q: [1, 2]}\n", "m:1:13: blocks must be from 1 to"},
        {"a: {blocks: 3, q: [1, 2], blocks: 3}\n", "m:1:27: \"blocks\" stands twice"},
        {"a: {experts: 2, q: [1, 2]}\n", "m:1:14: experts are a pair"},
        {"a: {experts: [9, 8], q: [1, 2]}\n", "m:1:15: experts used must be from 1 to 8"},
        {"", "m:1:1: the file is empty"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct models m;
        test_note("%s", rows[i].text);
        EXPECT_TRUE(models_parse(rows[i].text, strlen(rows[i].text), "m", &m) != STATUS_OK);
        EXPECT_CONTAINS(status_message(), rows[i].what);
        EXPECT_TRUE(m.models == NULL);
    }
}

/* The shipped table against itself: fused layers are the sums of their parts, and the parts agree. */
TEST(suite, models_are_consistent)
{
    struct models all;
    ASSERT_EQ(STATUS_OK, models_load(test_path("../suites/models.yaml"), &all));
    EXPECT_TRUE(all.model_count >= 16);
    for (size_t i = 0; i < all.model_count; i++) {
        const struct model *m = &all.models[i];
        test_note("%s", m->name);
        const struct model_layer *qkv = model_layer_find(m, "qkv"), *q = model_layer_find(m, "q"),
                                 *k = model_layer_find(m, "k"), *v = model_layer_find(m, "v"),
                                 *o = model_layer_find(m, "o"), *gate_up = model_layer_find(m, "gate_up"),
                                 *gate = model_layer_find(m, "gate"), *up = model_layer_find(m, "up"),
                                 *down = model_layer_find(m, "down");
        ASSERT_TRUE(gate_up && gate && up && down && o);
        EXPECT_TRUE(m->blocks >= 28 && m->blocks <= 126);
        EXPECT_EQ(m->experts_held > 0, !strcmp(m->name, "Mixtral-8x7B") || !strcmp(m->name, "DeepSeek-V3"));
        EXPECT_EQ(gate_up->n, gate->n + up->n);
        EXPECT_EQ(gate_up->k, gate->k);
        EXPECT_EQ(gate->k, up->k);
        EXPECT_EQ(down->k, gate->n);
        EXPECT_EQ(down->n, gate->k);
        EXPECT_TRUE(gate->part && up->part && !gate_up->part && !down->part && !o->part);
        if (!qkv) /* latent attention */
            continue;
        ASSERT_TRUE(q && k && v);
        EXPECT_EQ(qkv->n, q->n + k->n + v->n);
        EXPECT_EQ(k->n, v->n);
        EXPECT_TRUE(qkv->k == q->k && q->k == k->k && k->k == v->k);
        EXPECT_EQ(o->k, q->n);
        EXPECT_EQ(o->n, q->k);
        EXPECT_EQ(0, q->n % k->n);
        EXPECT_TRUE(q->part && k->part && v->part && !qkv->part);
    }
    models_release(&all);
}

TEST(suite, models_have_blocks_and_experts)
{
    static const char text[] =
        "a: {blocks: 32, experts: [2, 8], q: [1, 2], gate_up: [4, 5], up: [2, 5]}\nb: {o: [1, 2]}\n";
    struct models m;
    ASSERT_EQ(STATUS_OK, models_parse(text, strlen(text), "m", &m));
    EXPECT_EQ(3, m.models[0].layer_count);
    EXPECT_EQ(32, m.models[0].blocks);
    EXPECT_EQ(2, m.models[0].experts_used);
    EXPECT_EQ(8, m.models[0].experts_held);
    EXPECT_FALSE(m.models[0].layers[0].part); /* a q without a qkv */
    EXPECT_TRUE(m.models[0].layers[2].part);
    EXPECT_EQ(0, m.models[1].blocks);
    EXPECT_STREQ("gate_up", model_layer_whole("up"));
    EXPECT_TRUE(model_layer_whole("gate_up") == NULL);
    models_release(&m);
}

TEST(suite, every_shipped_suite_parses)
{
    char directory[1024], path[2048];
    snprintf(directory, sizeof directory, "%s", test_path("../suites"));
    DIR *d = opendir(directory);
    ASSERT_TRUE(d != NULL);
    size_t suites = 0;
    for (struct dirent *e; (e = readdir(d));) {
        const char *dot = strrchr(e->d_name, '.');
        if (!dot || strcmp(dot, ".yaml") != 0 || strcmp(e->d_name, "models.yaml") == 0)
            continue;
        struct suite s;
        snprintf(path, sizeof path, "%s/%s", directory, e->d_name);
        enum status status = suite_load(path, &s);
        test_note("%s: %s", e->d_name, status == STATUS_OK ? "" : status_message());
        EXPECT_TRUE(status == STATUS_OK);
        if (status != STATUS_OK)
            continue;
        suites++;
        EXPECT_TRUE(strlen(s.name) == (size_t)(dot - e->d_name) &&
                    strncmp(s.name, e->d_name, strlen(s.name)) == 0);
        char *text = NULL;
        size_t size = 0;
        ASSERT_EQ(STATUS_OK, yaml_file_read(path, &text, &size));
        EXPECT_TRUE(memmem(text, size, "\ndescription: ", 14) != NULL);
        free(text);
        suite_release(&s);
    }
    closedir(d);
    test_note(NULL);
    EXPECT_TRUE(suites >= 10);
}

/* ---- --axis ---- */

TEST(suite, override_replaces_axes)
{
    struct suite s;
    ASSERT_EQ(
        STATUS_OK,
        parse("suite: t\ndefaults: {shapes: [[1, 1]]}\ncases:\n- {op: dequant}\n- {op: gemm, m: [1, 2]}\n"
              "- {op: dequant, weights: a, tensors: b, checkpoint: true}\n",
              &s));
    struct suite_case *d = &s.cases[0], *g = &s.cases[1], *w = &s.cases[2];
    EXPECT_EQ(STATUS_OK, suite_override(&s, "m=4,8,16"));
    EXPECT_EQ(3, g->m_count);
    EXPECT_EQ(16, g->m[2]);
    EXPECT_EQ(1, d->m_count);
    EXPECT_EQ(0, d->m[0]);
    EXPECT_EQ(STATUS_OK, suite_override(&s, "blocksize=128"));
    EXPECT_EQ(128, d->blocksize[0]);
    EXPECT_EQ(128, g->blocksize[0]);
    EXPECT_EQ(64, w->blocksize[0]);
    EXPECT_EQ(STATUS_OK, suite_override(&s, "nested=true,false"));
    EXPECT_TRUE(d->nested_count == 2 && d->nested[0] && !d->nested[1]);
    EXPECT_EQ(1, w->nested_count);
    EXPECT_EQ(STATUS_OK, suite_override(&s, "bias=true"));
    EXPECT_TRUE(g->bias[0]);
    EXPECT_FALSE(d->bias[0]);
    EXPECT_EQ(STATUS_OK, suite_override(&s, "threads=1,all"));
    EXPECT_TRUE(w->thread_count == 2 && w->threads[0] == 1 && w->threads[1] == 0);
    EXPECT_EQ(STATUS_OK, suite_override(&s, "regime=hot"));
    EXPECT_TRUE(d->hot && !d->cold);
    EXPECT_EQ(STATUS_OK, suite_override(&s, "shape=8x16,4096x11008"));
    EXPECT_EQ(2, d->shape_count);
    EXPECT_EQ(11008, d->shapes[1].k);
    EXPECT_EQ(0, w->shape_count);

    static const struct {
        const char *assignment, *what;
    } bad[] = {
        {"m", "--axis m: expected NAME=VALUE"},
        {"=1", "there is no axis \"\""},
        {"blocksiz=64", "there is no axis \"blocksiz\"; did you mean \"blocksize\"?"},
        {"variants=x", "there is no axis \"variants\""},
        {"m=", "--axis m=: \"\" is not a whole number"},
        {"m=1,,2", "--axis m=1,,2: \"\" is not a whole number"},
        {"m=1,1", "m: the same value stands twice"},
        {"m=0", "m must be from 1 to 1048576, not 0"},
        {"m=-1", "\"-1\" is not a whole number"},
        {"m=1,x", "\"x\" is not a whole number"},
        {"blocksize=64,65", "blocksize must be 32, 64,"},
        {"nested=1", "nested must be true or false"},
        {"threads=0", "threads must be from 1 to 1024, not 0"},
        {"threads=", "threads: a value is empty"},
        {"regime=cald", "unknown regime \"cald\": it is cold or hot; did you mean \"cold\"?"},
        {"shape=4096", "shape 4096: is not NxK"},
        {"shape=4096x", "shape 4096x: is not NxK"},
        {"shape=0x4096", "shape 0x4096: a side is zero"},
        {"shape=1x1,1x1", "shape: the same value stands twice"},
        {"shape=2147483649x1", "a side is longer than"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        test_note("%s", bad[i].assignment);
        EXPECT_EQ(STATUS_USAGE, suite_override(&s, bad[i].assignment));
        EXPECT_CONTAINS(status_message(), bad[i].what);
    }
    test_note(NULL);
    /* A refused assignment changes nothing. */
    EXPECT_EQ(3, g->m_count);
    EXPECT_EQ(128, d->blocksize[0]);
    EXPECT_EQ(2, d->shape_count);
    suite_release(&s);

    ASSERT_EQ(STATUS_OK, parse(CASE(DEQUANT), &s));
    EXPECT_EQ(STATUS_USAGE, suite_override(&s, "m=1"));
    EXPECT_CONTAINS(status_message(), "--axis m=1: no case of suite t has this axis");
    suite_release(&s);
}

/* ---- suggestions ---- */

TEST(closest, distances)
{
    EXPECT_EQ(0, closest_distance("", ""));
    EXPECT_EQ(3, closest_distance("", "abc"));
    EXPECT_EQ(0, closest_distance("Llama", "LLAMA"));
    EXPECT_EQ(1, closest_distance("gemm", "gem"));
    EXPECT_EQ(1, closest_distance("gemm", "gmem")); /* a swap is one edit */
    EXPECT_EQ(3, closest_distance("kitten", "sitting"));
    EXPECT_EQ(closest_distance("sunday", "saturday"), closest_distance("saturday", "sunday"));
    char a[300], b[300];
    memset(a, 'a', sizeof a);
    memset(b, 'b', sizeof b);
    a[299] = b[299] = '\0';
    EXPECT_EQ(128, closest_distance(a, b)); /* bounded */
}

TEST(closest, suggests_only_what_is_near)
{
    static const char *const words[] = {"dequant", "gemm", "gemmdx"};
    EXPECT_STREQ("gemm", closest("gem", words, 3));
    EXPECT_STREQ("gemmdx", closest("gemdx", words, 3));
    EXPECT_TRUE(closest("quantize", words, 3) == NULL);
    EXPECT_TRUE(closest("", words, 3) == NULL);
    EXPECT_TRUE(closest("x", words, 0) == NULL);
}
