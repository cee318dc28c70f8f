"""Device code from elsewhere (--manifest): right code passes the checks, code that is launched wrongly does not, and a
manifest that cannot be right is refused, with its place, while the others run. On the fake driver, which runs a symbol
of an image as the variant that the image's comment says it is, with the parameters that the comment says it has."""

import os
import re
import subprocess

import pytest

from conftest import Program

PTX = """\
.version 8.0
.target sm_75
// fake_cuda: decode = nf4_dequant_bf16__sm75_prmt(packed, absmax, count:u64, blocksize, out)
// fake_cuda: decode_nested = nf4_dequant_bf16_fused__sm75_prmt(out, packed, absmax_code, nested_absmax, nested_map, \
nested_offset, count:i64, blocksize:u64)
// fake_cuda: multiply = nf4_gemm_bf16_sblk_acc32w8__sm75_prmt(x, packed, absmax, bias, y, m, n, k, blocksize)
// nf4_dequant_bf16__sm75_prmt takes its arguments as a struct
"""
DECODE = {
    "name": "nf4_dequant_bf16__sm75_elsewhere",
    "image": "code.ptx",
    "entry": "decode",
    "threads": "256",
    "grid": '["ceil(count, 8 * 256)"]',
    "arguments": "[packed, absmax, count:u64, blocksize, out]",
}
NESTED = dict(
    DECODE,
    name="nf4_dequant_bf16_fused__sm80_elsewhere",
    entry="decode_nested",
    arguments="[out, packed, absmax_code, nested_absmax, nested_map, nested_offset, count:i64, blocksize:u64]",
)
MULTIPLY = {
    "name": "nf4_gemm_bf16_sblk_acc32w8__sm75_elsewhere",
    "image": "code.ptx",
    "entry": "multiply",
    "threads": "128",
    "grid": '["ceil(n, 4)"]',
    "arguments": "[x, packed, absmax, bias, y, m, n, k, blocksize]",
    "m_max": "1",
}
CASE = "dequant bf16 n=48 k=80 blocksize=64 nested={} bias=0 seed=1 weights=normal"
GEMM = "gemm bf16 m={} n=24 k=160 blocksize=64 nested=0 bias={} seed=1 weights=normal"


@pytest.fixture(scope="module")
def fake():
    return Program(os.environ["NF4BENCH_FAKE"])


@pytest.fixture
def manifest(tmp_path):
    """Writes a manifest, with what is different about it, and its image; returns its path."""
    (tmp_path / "code.ptx").write_text(PTX)

    def write(base=DECODE, file="m.yaml", **changes):
        keys = {key: value for key, value in dict(base, **changes).items() if value is not None}
        path = tmp_path / file
        path.write_text("".join(f"{key}: {value}\n" for key, value in keys.items()))
        return path

    return write


def verify(fake, manifests, case, *options, code=0, variant="*elsewhere*"):
    arguments = [a for m in manifests for a in ("--manifest", m)]
    return fake("verify", "--case", case, "--device", "cuda", "-V", "-v", variant, *arguments, *options, code=code)


def verdicts(done):
    return dict(reversed(line.split()[:2]) for line in done.stdout.splitlines()
                if re.match(r"(PASS|FAIL|MISTRUSTED|SKIPPED) ", line))


def test_right_code_passes_with_its_parameters_and_with_the_struct(fake, manifest):
    one = manifest()
    two = manifest(file="two.yaml", name="nf4_dequant_bf16__sm75_elsewhere_struct", entry="nf4_dequant_bf16__sm75_prmt",
                   arguments="args")
    done = verify(fake, [one, two], CASE.format(0))
    assert verdicts(done) == {"nf4_dequant_bf16__sm75_elsewhere": "PASS",
                              "nf4_dequant_bf16__sm75_elsewhere_struct": "PASS"}


def test_nested_scales_and_products(fake, manifest):
    assert verdicts(verify(fake, [manifest(NESTED)], CASE.format(1))) == {NESTED["name"]: "PASS"}
    path = manifest(MULTIPLY)
    assert verdicts(verify(fake, [path], GEMM.format(1, 1))) == {MULTIPLY["name"]: "PASS"}
    done = verify(fake, [path], GEMM.format(2, 0), code=77)
    assert "takes m up to 1" in done.stdout
    path = manifest(MULTIPLY, k_multiple="64")
    assert "multiples of 64" in verify(fake, [path], GEMM.format(1, 0), code=77).stdout


def test_a_product_that_is_given_no_bias_is_not_asked_for_one(fake, manifest, tmp_path):
    path = manifest(MULTIPLY, arguments="[x, packed, absmax, y, m, n, k, blocksize]")
    (tmp_path / "code.ptx").write_text(PTX.replace("absmax, bias, y", "absmax, y"))
    assert verdicts(verify(fake, [path], GEMM.format(1, 0))) == {MULTIPLY["name"]: "PASS"}
    assert "has no bias" in verify(fake, [path], GEMM.format(1, 1), code=77).stdout


@pytest.mark.parametrize("changes, what", [
    ({"arguments": "[absmax, packed, count:u64, blocksize, out]"}, ""),
    ({"arguments": "[packed, absmax, blocks:u64, blocksize, out]"}, ""),
    ({"arguments": "[packed, absmax, count:u64, 32, out]"}, ""),
    ({"grid": '["ceil(count, 8 * 512)"]'}, ""),
    ({"grid": '[1, "ceil(count, 8 * 256)"]'}, ""),
    ({"threads": "128"}, ""),
    ({"threads": "512"}, "launch-refused"),
    ({"arguments": "[packed, absmax, count, blocksize, out]"}, "parameter 3 is of 8 bytes, and 4 are given"),
    ({"arguments": "[packed, absmax, count:u64, blocksize]"}, "more parameters than the 4 that are given"),
    ({"arguments": "[packed, absmax, count:u64, blocksize, out, 0:u64]"}, "5 parameters, and 6 are given"),
    ({"arguments": "args"}, "parameter 1 is of 8 bytes"),
    ({"grid": '["count / (n - n)"]'}, "grid along x: count / (n - n): division by zero"),
    ({"grid": '["count / 1000000000"]'}, "grid along x: count / 1000000000 is 0, and must be from 1 to"),
    ({"grid": "[1, 1, 70000]"}, "grid along z: 70000 is 70000, and must be from 1 to 65535"),
    ({"shared": "0 - 1"}, "shared: 0 - 1 is -1"),
    ({"grid": '["count * count * count * count * count * count"]'}, "does not fit into 64 bits"),
])
def test_code_that_is_launched_wrongly_fails(fake, manifest, changes, what):
    done = verify(fake, [manifest(**changes)], CASE.format(0), code=1)
    assert verdicts(done) == {DECODE["name"]: "FAIL"}
    assert what in done.stdout and re.search(r"reproduce: .* --manifest '.*m\.yaml'\n", done.stdout)


def test_more_shared_memory_than_the_gpu_has_is_a_skip(fake, manifest):
    done = verify(fake, [manifest(shared="1024 * 1024")], CASE.format(0), code=77)
    assert "shared memory" in done.stdout


def test_code_that_claims_another_contract_fails(fake, manifest):
    done = verify(fake, [manifest(name="nf4_dequant_bf16_c16__sm75_elsewhere")], CASE.format(0), code=1)
    assert "FAIL" in verdicts(done).values()


def test_a_symbol_that_the_driver_does_not_find(fake, manifest, tmp_path):
    (tmp_path / "code.ptx").write_text(PTX + "// no_kernel\n")
    done = verify(fake, [manifest(entry="no_kernel")], CASE.format(0), code=1)
    assert "cuModuleGetFunction" in done.stdout and "PASS" not in verdicts(done).values()


def test_compute_capability(fake, manifest):
    path = manifest(name="nf4_dequant_bf16__sm100_elsewhere")
    assert "needs compute capability 10.0" in verify(fake, [path], CASE.format(0), code=77).stdout
    path = manifest(name="nf4_dequant_bf16__sm75_elsewhere", min_sm="100")
    assert "needs compute capability 10.0" in verify(fake, [path], CASE.format(0), code=77).stdout
    path = manifest(name="nf4_dequant_bf16__sm90a_elsewhere")
    verify(fake, [path], CASE.format(0))


REFUSED = [
    ({"grids": "[1]"}, r"m\.yaml:7:1: unknown key \"grids\" in a manifest\ngrids: .*\n\^\ndid you mean \"grid\"\?"),
    ({"threads": None}, r"m\.yaml:1:1: a manifest must have the key \"threads\""),
    ({"image": "none.ptx"}, r"m\.yaml:2:8: image .*none\.ptx: No such file"),
    ({"image": "."}, r"m\.yaml:2:8: image .*: not a file of 1 to"),
    ({"image": "m.yaml"}, r"m\.yaml:2:8: image .*m\.yaml is neither a cubin \(ELF\), a fatbin nor PTX text"),
    ({"image": "/bin/true"}, r"m\.yaml:2:8: image .* is an ELF file, but not of device code"),
    ({"image": "[a]"}, r"m\.yaml:2:8: image must be text, not a list"),
    ({"entry": "other"}, r"m\.yaml:3:8: image .*code\.ptx has no such entry"),
    ({"entry": "code"}, r"m\.yaml:3:8: image .*code\.ptx has no such entry"),
    ({"entry": "x" * 300}, r"m\.yaml:3:8: entry: longer than 240"),
    ({"threads": "many"}, r"m\.yaml:4:10: threads: \"many\" is not a whole number"),
    ({"threads": "1025"}, r"m\.yaml:4:10: threads must be from 1 to 1024, not 1025"),
    ({"grid": "[ceil(count, 2048)]"}, r"m\.yaml:5:18: grid along x: ',' is missing at the end; .* must stand in quotes"),
    ({"grid": '["count / 0"]'}, r"m\.yaml:5:15: grid along x: division by zero"),
    ({"grid": "[1, counts]"}, r"m\.yaml:5:11: grid along y: unknown word \"counts\"; did you mean \"count\"\?"),
    ({"grid": "[m]"}, r"m\.yaml:5:8: grid along x: unknown word \"m\""),
    ({"grid": "[1, 1, 1, 1]"}, r"m\.yaml:5:17: grid: it has 3 dimensions, not 4"),
    ({"grid": "[]"}, r"m\.yaml:5:7: grid: the list is empty"),
    ({"shared": "n +"}, r"m\.yaml:7:12: shared: the expression ends"),
    ({"arguments": "[paked]"}, r"m\.yaml:6:13: arguments: unknown word \"paked\".*\n.*\n.*\ndid you mean \"packed\"\?"),
    ({"arguments": "[packed, y]"}, r"m\.yaml:6:21: arguments: .* has no y: only gemm and gemmdx have it"),
    ({"arguments": "[nested_map]"}, r"m\.yaml:6:13: arguments: .* has no nested_map: only contracts with twostep or fused"),
    ({"arguments": "[count:i16]"}, r"m\.yaml:6:19: arguments: the type of a number is i32, u32, i64 or u64"),
    ({"arguments": "[out:u64]"}, r"m\.yaml:6:16: arguments: only sizes and numbers have a choice of types"),
    ({"arguments": "[99999999999999999999]"}, r"m\.yaml:6:13: arguments: \"99999999999999999999\" is too large"),
    ({"arguments": "[5000000000]"}, r"m\.yaml:6:13: arguments: 5000000000 does not fit into i32"),
    ({"arguments": "{a: 1}"}, r"m\.yaml:6:12: an argument must be text, not a mapping"),
    ({"min_sm": "-1"}, r"m\.yaml:7:9: min_sm: \"-1\" is not a whole number"),
    ({"m_max": "0"}, r"m\.yaml:7:8: m_max must be from 1 to"),
    ({"name": "mine"}, r"m\.yaml:1:7: name \"mine\" must be <contract>__<arch>"),
    ({"name": "nf4_dequant_bf16"}, r"m\.yaml:1:7: name .* must be <contract>__<arch>"),
    ({"name": "nf4_gemm_bf16__sm80_x"}, r"m\.yaml:1:7: name .* must be <contract>__<arch>.* \(a product names an accumulation"),
    ({"name": "nf4_dequant_bf16__avx512_x"}, r"m\.yaml:1:7: name .*: after \"__\" the architecture must stand"),
    ({"name": "nf4_dequant_bf16__sm80-x"}, r"m\.yaml:1:7: name .*: after \"__\" the architecture must stand"),
    ({"name": "nf4_dequant_bf16__sm80_x-y"}, r"m\.yaml:1:31: name: only letters, digits and _"),
    ({"name": "nf4_dequant_bf16__sm75_" + "x" * 128}, r"m\.yaml:1:7: name: longer than 127"),
    ({"name": "nf4_dequant_bf16__sm75_prmt"}, r"m\.yaml:1:7: name .* is taken by a variant from nf4_dequant/prmt\.cu"),
]


@pytest.mark.parametrize("changes, message", REFUSED, ids=[next(iter(c)) + str(i) for i, (c, _) in enumerate(REFUSED)])
def test_a_manifest_that_cannot_be_right_is_refused_and_the_others_run(fake, manifest, changes, message):
    bad = manifest(**changes)
    good = manifest(file="good.yaml", name="nf4_dequant_bf16__sm75_elsewhere_good")
    done = verify(fake, [bad, good], CASE.format(0), code=2)
    assert re.search(message, done.stderr), done.stderr
    assert verdicts(done) == {"nf4_dequant_bf16__sm75_elsewhere_good": "PASS"}


def test_wrong_code_beside_a_refused_manifest_is_what_counts(fake, manifest):
    bad = manifest(threads="many")
    wrong = manifest(file="wrong.yaml", name="nf4_dequant_bf16__sm75_elsewhere_wrong", grid="[1]")
    verify(fake, [bad, wrong], CASE.format(0), code=1)


def test_the_same_name_twice_and_no_such_file(fake, manifest, tmp_path):
    one, two = manifest(), manifest(file="two.yaml")
    done = verify(fake, [one, two], CASE.format(0), code=2)
    assert re.search(r"two\.yaml:1:7: name .* is taken by a variant from .*code\.ptx", done.stderr)
    done = verify(fake, [one, tmp_path / "no.yaml"], CASE.format(0), code=2)
    assert "no.yaml: cannot open: No such file" in done.stderr and "PASS" in verdicts(done).values()
    (tmp_path / "empty.yaml").write_text("")
    assert "empty.yaml:1:1: the file is empty" in verify(fake, [tmp_path / "empty.yaml", one], CASE.format(0), code=2).stderr


def test_list_and_the_executor_say_where_it_runs(fake, manifest):
    path = manifest()
    done = fake("list", "--manifest", path, "*elsewhere*")
    assert "device code alone runs on a GPU: --device cuda" in done.stdout
    done = fake("list", "--manifest", manifest(file="bad.yaml", threads="0"), "nf4_dequant_bf16__sm75_prmt", code=2)
    assert "threads must be from 1" in done.stderr and "nf4_dequant_bf16__sm75_prmt" in done.stdout
    done = fake("verify", "--case", CASE.format(0), "--device", "simt:fast", "-v", "*elsewhere*", "--manifest", path, code=2)
    assert "no variant for this device" in done.stderr


def test_run_times_it_beside_ours(fake, manifest, suite, tmp_path):
    path = suite("""\
suite: tiny
measure: {min_samples: 3, max_samples: 4, max_seconds: 2, settle_seconds: 0}
cases:
  - op: dequant
    shapes: [[16, 64]]
    regime: [cold, hot]
    variants: ["nf4_dequant_bf16__sm75_elsewhere*", nf4_dequant_bf16__sm75_prmt]
""")
    out = tmp_path / "r.h5"
    done = fake("run", path, "--device", "cuda", "-V", "--manifest", manifest(), "-o", out)
    assert "4 pass, 0 fail" in done.stdout or "2 pass, 0 fail" in done.stdout
    shown = subprocess.run([fake.path, "show", out], capture_output=True, text=True).stdout
    assert "nf4_dequant_bf16__sm75_elsewhere" in shown
