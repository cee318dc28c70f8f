"""Kernels out of tree: libraries built against an installed nf4bench, right ones and each kind of wrong one."""

import os
import pathlib
import platform
import re
import shlex
import shutil
import signal
import subprocess
import time

import h5py
import pytest

from conftest import SOURCE, Program, children, have_ended

HERE = SOURCE / "tests/end_to_end/plugin"
NAME = "nf4_dequant_bf16__scalar_"

# What a library is refused for, and what the message must say besides the file.
REFUSED = {
    "other_abi": "version 4 of the plugin interface, this program has version 3",
    "plugin_size": r"struct nf4bench_plugin has \d+ bytes, this program's has \d+",
    "variant_size": r"struct nf4bench_variant has \d+ bytes",
    "args_size": r"struct gemm_args has \d+ bytes",
    "null_plugin": r"nf4bench_plugin\(\) returns NULL",
    "no_variants": "has no variants",
    "null_variants": "has no variants",
    "wild_variants": "SIGSEGV",
    "too_many": "it has 1025 variants, a library may have 1024",
    "bad_plugin_name": "its name is not 1 to 63 of",
    "null_name": r"variant 0, \(NULL\): its name is not",
    "bad_characters": "variant 0, nf4_dequant_bf16__scalar_Mine: its name is not 1 to 127 of a-z",
    "unknown_contract": "nf4_dequant_bf17__scalar_mine: its name is not <contract>__<arch>",
    "no_arch": "nf4_dequant_bf16: its name is not <contract>__<arch>",
    "bad_knobs": "nf4_dequant_bf16__scalar__mine: its name is not <contract>__<arch>",
    "other_layout": "nf4_dequant_bf16__scalar_gptq: the layout 'gptq' is not one of nf4",
    "taken": r"nf4_dequant_bf16__scalar: the name is taken, by nf4_dequant/scalar\.c",
    "twice": "variant 2, nf4_gemm_f32_acc1__scalar_mine2: the name stands there twice",
    "null_function": "its function dequant is NULL",
    "wrong_function": "its function gemm is NULL",
    "unknown_feature": "'mmx' is none of avx2",
    "unknown_backend": "its backend is 3",
    "other_backend": "its name says sm75, which is not of its backend",
    "reserved": "reserved is not 0",
    "repacked": "repacked weights are for CUDA variants",
    "no_entry": "needs an entry",
    "entry_name": "its entry `fast` has another name",
    "image_size": "its image needs a size",
    "image_text": "does not end with NUL",
    "cuda_function": "functions and cpu_features are for CPU variants",
    "no_run": "its entry `checked` has no run function",
    "no_launch": "its entry `fast` has no launch function",
    "threads": "threads_max 1025, not 1 to 1024",
    "two_functions": "it has a function gemm, and the name says dequant",
    "cpu_entry": "entries and an image are for CUDA variants",
    "whole_blocks": "whole_blocks is neither 0 nor 1",
    "bad_source": "its source is not 1 to 127 of",
    "bad_hash": "a hash of it is not 16 of 0-9 and a-f",
    "no_symbol": "it has no symbol nf4bench_plugin",
    "crash_at_load": "SIGABRT",
    "crash_in_entry": "SIGSEGV",
    "exit_at_load": "ended the process with exit code 0",
    "hang_at_load": "did not end within 10 s",
    "undefined": "undefined symbol: nobody_defines_this",
}

# What each faulty variant gets: verdict, check, and what the reason says. Timed ones pass `verify`.
FAULTY = {
    "third_call": ("CRASHED", "crash", r"SIGSEGV \(Segmentation fault\) in a call"),
    "timed_crash": ("CRASHED", "crash", r"SIGABRT \(Aborted\) in a (timed sample|call before or after timing)"),
    "hang": ("TIMEOUT", "hang", "a call did not end within (0.5|2) s"),
    "timed_hang": ("TIMEOUT", "hang", "a (timed sample|call before or after timing) did not end within (0.5|2) s"),
    "ends": ("CRASHED", "crash", "it ended the process with exit code 0 in a call"),
    "overflow": ("CRASHED", "crash", "SIGSEGV"),
    "lies": ("FAIL", "real_data", "1 of [0-9]+ differ"),
    "timed_lies": ("FAIL", "timed_output", "timed output|timing"),
    "clobbers": ("FAIL", "exhaustive_decode|real_data", "wrote to its inputs"),
    "past_end": ("FAIL", "exhaustive_decode|real_data", "outside of the output"),
}
TIMED = [what for what in FAULTY if what.startswith("timed_")]

SUITE = """\
suite: plugins
measure: {min_samples: 3, max_samples: 3, max_seconds: 5, settle_seconds: 0}
cases:
  - {op: dequant, shapes: [[16, 64], [3, 34], [64, 128]], regime: [cold, hot]}
  - {op: gemm, m: [1, 3], shapes: [[8, 96]], bias: [false, true], regime: cold}
"""
GROUPS = 7


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def cmake(*arguments):
    done = subprocess.run([os.environ["NF4BENCH_CMAKE"], *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.args}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """(the installed program, the folder with all libraries)"""
    root = tmp_path_factory.mktemp("plugin")
    cmake("--install", os.environ["NF4BENCH_BUILD"], "--prefix", root / "prefix")
    libraries = root / "libraries"
    libraries.mkdir()
    for build, source, *more in (("example", SOURCE / "examples/plugin"),
                                 ("test", HERE, f"-DEXAMPLE_CU={SOURCE}/examples/dequant.cu",
                                  f"-DNF4BENCH_SOURCE={SOURCE}")):
        cmake("-S", source, "-B", root / build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={root}/prefix", *more)
        cmake("--build", root / build)
        for file in (root / build).glob("*.so"):
            file.rename(libraries / file.name)
    return Program(root / "prefix/bin/nf4bench"), libraries


@pytest.fixture
def program(built):
    return built[0]


@pytest.fixture
def libraries(built):
    return built[1]


@pytest.fixture
def plugins(suite):
    return suite(SUITE)


def with_plugins(libraries, *names):
    return [argument for name in names for argument in ("--plugin", libraries / f"{name}.so")]


def only(*variants):
    return [argument for name in variants for argument in ("-v", name)]


def rows_of(path):
    with h5py.File(path) as f:
        words = {value: word for word, value in h5py.check_enum_dtype(f["results"].dtype["verdict"]).items()}
        return [dict({n: r[n] for n in r.dtype.names}, variant=text(r["variant"]), reason=text(r["reason"]),
                     case_key=text(r["case_key"]), check=text(r["check"]), verdict=words[r["verdict"]])
                for r in f["results"][:]]


# ---- right ones ----


def test_a_library_exports_one_symbol(libraries):
    names = subprocess.run(["nm", "-D", "--defined-only", libraries / "example.so"], capture_output=True, text=True)
    assert [line.split()[-1] for line in names.stdout.splitlines()] == ["nf4bench_plugin"]


def test_listed_with_the_file(program, libraries):
    lines = program("list", *with_plugins(libraries, "example"), "*_example").stdout.splitlines()
    assert len(lines) == 2 and all("runs here" in line and line.endswith("from example.so") for line in lines)
    assert "example" not in program("list").stdout


def test_the_example_passes_and_is_recorded(program, libraries, plugins, tmp_path):
    out = tmp_path / "r.h5"
    done = program("run", plugins, *with_plugins(libraries, "example"), "-v", "*_example", "-o", out)
    assert "7 pass, 0 fail, 0 mistrusted, 0 skipped" in done.stdout and not re.search("refused|crash", done.stderr)
    mine = [r for r in rows_of(out) if r["variant"].endswith("_example")]
    assert len(mine) == 2 * 3 + 4 and {r["verdict"] for r in mine} == {"PASS"}
    assert all(r["sample_count"] == 3 for r in mine)
    with h5py.File(out) as f:
        assert "example.so" in text(f.attrs["plugins"])


def test_on_the_edge_shapes(program, libraries):
    suite = pathlib.Path(libraries).parent / "prefix/share/nf4bench/suites/edge-shapes.yaml"
    done = program("verify", suite, *with_plugins(libraries, "example"), "-v", "nf4_dequant*_example", "-q")
    assert re.search(r"^\d\d+ pass, 0 fail, 0 mistrusted", done.stdout, re.M)
    case = "gemm f32 m=3 n=5 k=97 blocksize=32 nested=0 bias=1 seed=1 weights=normal"
    assert "1 pass, 0 fail" in program("verify", "--case", case, *with_plugins(libraries, "example"), "-v", "*_example").stdout


def test_named_by_the_environment_and_only_once(program, libraries, plugins):
    example, faulty = libraries / "example.so", libraries / "faulty.so"
    done = program("list", "--plugin", example, "*_example", "*_lies",
                   environment={"NF4BENCH_PLUGINS": f"{faulty}::{example}"})
    assert len(done.stdout.splitlines()) == 4


def test_a_bare_name_is_a_file_here(program, libraries):
    assert "from example.so" in program("list", "--plugin", "example.so", "*_example", cwd=libraries).stdout


def test_constraints(program, libraries, plugins):
    name = "nf4_dequant_bf16__mine_constrained"
    done = program("verify", plugins, *with_plugins(libraries, "faulty"), "-v", name, "-V")
    assert "2 pass, 0 fail, 0 mistrusted, 1 skipped" in done.stdout
    assert re.search(f"^SKIPPED +{name} .*n=3 k=34.*\n +takes k in multiples of 64", done.stdout, re.M)
    for case, why in (("n=3 k=64 blocksize=64", "takes n in multiples of 2"),
                      ("n=4 k=64 blocksize=128", "takes k in multiples of the blocksize")):
        done = program("verify", "--case", f"dequant bf16 {case}", *with_plugins(libraries, "faulty"), "-v", name, "-V",
                       code=77)
        assert why in done.stdout


def test_a_cuda_variant_under_the_executor(program, libraries):
    case = ("--case", "dequant bf16 n=40 k=100 blocksize=64", *with_plugins(libraries, "cuda"), "-v",
            "nf4_dequant_bf16__example")
    for device in ("simt:fast", "simt:checked"):
        assert "1 pass, 0 fail" in program("verify", *case, "--device", device).stdout
    assert "not here" not in program("list", *with_plugins(libraries, "cuda"), "*__example").stdout


def test_a_cuda_variant_on_a_gpu(libraries, tmp_path):
    fake, out = Program(os.environ["NF4BENCH_FAKE"]), tmp_path / "r.h5"
    name = "nf4_dequant_bf16__example"
    fake("run", "--case", "dequant bf16 n=40 k=100 blocksize=64", *with_plugins(libraries, "cuda"), "-v", name, "--device",
         "cuda", "-o", out, "--measure", "settle_seconds=0", "--measure", "max_samples=3", "--measure", "min_samples=3")
    assert {r["verdict"] for r in rows_of(out) if r["variant"] == name} == {"PASS"}


def test_a_call_of_a_hot_graph_that_is_skipped(libraries, suite, tmp_path):
    fake, out = Program(os.environ["NF4BENCH_FAKE"]), tmp_path / "r.h5"
    path = suite("suite: hot\nmeasure: {min_samples: 30, max_samples: 30, max_seconds: 9, settle_seconds: 0}\n"
                 "cases:\n  - {op: dequant, shapes: [[64, 64]], regime: hot}\n")
    fake("run", path, *with_plugins(libraries, "hostile", "cuda"), *only("nf4_dequant_bf16__sm80_skips", "*__example"),
         "--device", "cuda", "-o", out, code=1)
    verdicts = {(r["variant"], r["verdict"]) for r in rows_of(out) if r["verdict"] != "NONE"}
    assert verdicts == {("nf4_dequant_bf16__example", "PASS"), ("nf4_dequant_bf16__sm80_skips", "FAIL")}, rows_of(out)


def test_a_gate_on_a_gpu(libraries, tmp_path):
    """Its times are of the fake driver's model, which has no noise: what is injected is what is found."""
    fake, out, suite = Program(os.environ["NF4BENCH_FAKE"]), tmp_path / "calibration.h5", tmp_path / "suite.yaml"
    suite.write_text("suite: one\nmeasure: {settle_seconds: 0}\ncases:\n  - {op: dequant, shapes: [[256, 512]], blocksize: 64, regime: [cold, hot],\n"
                     "     variants: [nf4_dequant_bf16__example]}\n")
    library, copy = libraries / "cuda.so", tmp_path / "copy.so"
    shutil.copy(library, copy)
    few = ("--device", "cuda", "--rounds", 3, "--confirm-rounds", 3, "--samples", 3)
    done = fake("gate", suite, "--baseline", library, "--candidate", copy, *few)
    assert "2 SAME; exit code 0" in done.stderr
    fake("calibrate", suite, "--candidate", library, "-o", out, "--gates", 2, *few)
    with h5py.File(out) as f:
        us, levels = f["us"][:], f["levels"][:]
        assert f.attrs["device_name"] == "fake GPU (executor)"
    ratios = us[..., 1:] / us[..., :1]
    assert abs(ratios - 1 - levels).max() < 1e-9, ratios


# ---- those that are refused ----


@pytest.mark.parametrize("what", REFUSED)
def test_refused_and_the_run_goes_on(program, libraries, plugins, what):
    done = program("verify", plugins, *with_plugins(libraries, f"refused_{what}", "example"), "-v", "*_example", code=2)
    line = done.stderr.splitlines()[0]
    assert f"refused_{what}.so is refused: " in line and re.search(REFUSED[what], line)
    assert "7 pass, 0 fail, 0 mistrusted, 0 skipped" in done.stdout
    assert "1 of the plugins and manifests that were asked for was refused" in done.stderr


def test_every_refusal_is_tried(libraries):
    assert {f.stem for f in libraries.glob("refused_*.so")} == {f"refused_{what}" for what in REFUSED}


@pytest.mark.parametrize("content,word", [(None, "No such file"), ("", "file too short"), ("text\n" * 100, "ELF")])
def test_what_is_no_library(program, libraries, plugins, tmp_path, content, word):
    path = tmp_path / "none.so"
    if content is not None:
        path.write_text(content)
    done = program("verify", plugins, "--plugin", path, *with_plugins(libraries, "example"), "-v", "*_example", code=2)
    assert "none.so is refused" in done.stderr and word in done.stderr and "7 pass" in done.stdout


def test_names_of_another_plugin_are_taken(program, libraries, plugins, tmp_path):
    copy = tmp_path / "copy.so"
    copy.write_bytes((libraries / "example.so").read_bytes())
    done = program("list", *with_plugins(libraries, "example"), "--plugin", copy, "*_example", code=2)
    assert "copy.so is refused" in done.stderr and "the name is taken, by example.so" in done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_wrong_comes_before_refused(program, libraries, plugins):
    program("verify", plugins, *with_plugins(libraries, "refused_no_symbol", "faulty"), "-v", f"{NAME}lies", code=1)


# ---- those that are wrong ----


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="flush-to-zero is set by MXCSR")
def test_a_library_that_turns_flush_to_zero_on(program, libraries):
    """It convicts nobody else, and its own wrong variant does not pass by it."""
    case = ("--case", "dequant f32 n=16 k=64 blocksize=64")
    done = program("verify", *case, "--plugin", libraries / "fastmath.so", "-v", "nf4_dequant_f32__scalar*", "-V", code=1)
    verdicts = dict(reversed(line.split()[:2]) for line in done.stdout.splitlines() if re.match("(PASS|FAIL) ", line))
    assert verdicts.pop("nf4_dequant_f32__scalar_flushes") == "FAIL"
    assert len(verdicts) > 1 and set(verdicts.values()) == {"PASS"}
    assert done.stderr.count("fastmath.so changed how floating point is computed (flush-to-zero is on)") == 1


@pytest.mark.parametrize("what", [what for what in FAULTY if what not in TIMED])
def test_wrong_alone(program, libraries, plugins, what):
    verdict, _, reason = FAULTY[what]
    wrong, start = 3, time.monotonic()  # cases
    done = program("verify", plugins, *with_plugins(libraries, "faulty"), *only(NAME + what, "nf4_dequant_bf16__scalar"),
                   "-v", "nf4_dequant_bf16__scalar_table", "--device", "cpu,limit=2", code=1)  # of a busy machine
    assert len(re.findall(f"^{verdict} +{NAME}{what} ", done.stdout, re.M)) == wrong and re.search(reason, done.stdout)
    assert done.stdout.splitlines()[-1].startswith(f"{9 - wrong} pass, ")
    if verdict in ("CRASHED", "TIMEOUT"):
        count = (wrong, 0) if verdict == "CRASHED" else (0, wrong)
        assert "{} crashed and {} hung, which is wrong".format(*count) in done.stdout
        later = "not called after an earlier case: a call did not end within 2 s"
        assert done.stdout.count(later) == (wrong - 1 if verdict == "TIMEOUT" else 0)
    assert time.monotonic() - start < 30  # one limit, not one for each call


@pytest.mark.parametrize("what", TIMED)
def test_wrong_when_timed_only(program, libraries, plugins, what):
    done = program("verify", plugins, *with_plugins(libraries, "faulty"), "-v", NAME + what)
    assert "3 pass, 0 fail" in done.stdout


def test_the_repro_line_loads_the_library(program, libraries, plugins):
    done = program("verify", plugins, *with_plugins(libraries, "faulty"), "-v", NAME + "lies", code=1)
    line = re.search("reproduce: nf4bench (.*)", done.stdout)[1]
    again = program(*shlex.split(line), code=1)
    assert "0 pass, 1 fail" in again.stdout


def test_all_at_once_cost_nobody_else_a_row(program, libraries, plugins, tmp_path):
    """Ten wrong variants in one run; each gets its verdict, and what is right has every row, samples included."""
    out = tmp_path / "r.h5"
    right = ["nf4_dequant_bf16__scalar", "nf4_dequant_bf16__scalar_example", "nf4_gemm_f32_acc1__scalar",
             "nf4_gemm_f32_acc1__scalar_example"]
    done = program("run", plugins, *with_plugins(libraries, "faulty", "example"), *only(*right, *(NAME + w for w in FAULTY)),
                   "--device", "cpu,limit=2", "-o", out, "-V", code=1)
    rows = rows_of(out)
    for name in right:
        mine = [r for r in rows if r["variant"] == name]
        assert len(mine) == (6 if "dequant" in name else 4) and {r["verdict"] for r in mine} == {"PASS"}, name
        assert all(r["sample_count"] == 3 for r in mine)
    for what, (verdict, check, reason) in FAULTY.items():
        mine = [r for r in rows if r["variant"] == NAME + what]
        assert {r["case_key"] for r in mine} == {r["case_key"] for r in rows if r["case_key"].startswith("dequant")}, what
        if what in TIMED:  # seen where calls follow each other on one output: the others are as verified calls are
            mine = [r for r in mine if r["verdict"] != "PASS"]
        assert mine and {r["verdict"] for r in mine} == {verdict}, (what, mine)
        assert all(re.fullmatch(check, r["check"]) for r in mine), (what, mine)
        assert all(re.search(reason, r["reason"]) for r in mine), what
    # No group stands there twice, and a line is told once.
    keys = [(r["case_key"], r["variant"], r["regime"]) for r in rows]
    assert len(keys) == len(set(keys))
    told = [line for line in done.stdout.splitlines() if re.match("FAIL|CRASHED|TIMEOUT", line)]
    timed_lies = [line for line in told if "timed_lies" in line]
    assert len(told) - len(timed_lies) == 9 * 3
    assert len(re.findall("^PASS .*_scalar_example ", done.stdout, re.M)) == 7
    assert "9 crashed and 3 hung, which is wrong" in done.stdout
    shown = program("show", out).stdout
    assert "CRASHED" in shown and "TIMEOUT" in shown
    program("report", out, "-o", tmp_path / "r.html")


INNOCENT = ["nf4_dequant_bf16__scalar", "nf4_dequant_bf16__scalar_table"]


@pytest.mark.parametrize("what, verdict, reason", [
    ("truncates", "PASS", ""),
    ("alarm_clock", "PASS|CRASHED", ""),
    ("answers_twice", "PASS|FAIL", ""),
    ("skips", "FAIL", "it needs 230 KiB"),
    ("interrupts", "FAIL", "exhaustive_decode: "),
])
def test_hostile(program, libraries, plugins, what, verdict, reason):
    """What is wrong does not pass, and the variants before and after it are called in another process."""
    done = subprocess.run([program.path, "verify", plugins, *with_plugins(libraries, "hostile"), *only(*INNOCENT, NAME + what),
                           "-V"], capture_output=True, text=True, timeout=300)
    mine = re.findall(rf"^(\w+) +{NAME}{what} .*", done.stdout, re.M)
    assert len(mine) == 3 and all(re.fullmatch(verdict, word) for word in mine), done.stdout
    assert done.returncode == (0 if set(mine) == {"PASS"} else 1), done.stderr
    assert re.search(reason, done.stdout)
    assert len(re.findall("^PASS +nf4_dequant_bf16__scalar(?:_table)? ", done.stdout, re.M)) == 6, done.stdout


def test_hostile_when_timed(program, libraries, plugins, tmp_path):
    """Inputs are read-only while they are timed; the others are timed all the same."""
    out = tmp_path / "r.h5"
    program("run", plugins, *with_plugins(libraries, "hostile"), *only(*INNOCENT, NAME + "timed_scribbles"), "-o", out, code=1)
    rows = rows_of(out)
    mine = [r for r in rows if r["variant"] == NAME + "timed_scribbles"]
    # Of very many small sets, the inputs are compared.
    assert {r["verdict"] for r in mine} <= {"CRASHED", "FAIL"} and len(mine) == 6, mine
    others = [(r["verdict"], r["sample_count"], r["reason"]) for r in rows if r["variant"] != NAME + "timed_scribbles"]
    assert len(others) == 24 and set(others) == {("PASS", 3, ""), ("NONE", 3, "")}  # the ceilings have no verdict


@pytest.mark.parametrize("what", ["skips_what_is_there", "skips_as_before"])
def test_a_call_of_a_hot_sample_that_is_skipped(program, libraries, suite, tmp_path, what):
    """Its output would be there from the call before."""
    path, out = suite(
        "suite: hot\nmeasure: {min_samples: 20, max_samples: 20, max_seconds: 9, settle_seconds: 0}\n"
        "cases:\n  - {op: dequant, shapes: [[512, 512], [16, 64]], regime: hot}\n"), tmp_path / "r.h5"
    program("run", path, *with_plugins(libraries, "hostile"), *only(INNOCENT[0], NAME + what), "-o", out, code=1)
    verdicts = {(r["variant"], r["verdict"]) for r in rows_of(out) if r["verdict"] != "NONE"}
    assert verdicts == {(INNOCENT[0], "PASS"), (NAME + what, "FAIL")}, verdicts


@pytest.mark.parametrize("regime, wrong", [("hot", ["keeps", "keeps_by_first", "keeps_by_magnitudes"]),
                                           ("cold", ["keeps_by_magnitudes"])])
def test_products_that_are_kept(program, libraries, suite, tmp_path, regime, wrong):
    """Activations have other signs in each sample, and between the calls of a hot one; who damages them is out, and alone."""
    path, out = suite(
        "suite: products\nmeasure: {min_samples: 20, max_samples: 20, max_seconds: 9, settle_seconds: 0}\n"
        f"cases:\n  - {{op: gemm, m: [1, 3], shapes: [[32, 576]], regime: {regime}}}\n"), tmp_path / "r.h5"
    right, scribbles = "nf4_gemm_f32_acc1__scalar", "multiplies_and_scribbles"
    names = [f"nf4_gemm_f32_{contract}__scalar_{what}" for what in [*wrong, scribbles] for contract in ("acc1", "any")]
    program("run", path, *with_plugins(libraries, "hostile"), *only(right, *names), "-o", out, code=1)
    rows = [r for r in rows_of(out) if r["verdict"] != "NONE"]
    verdicts = {(r["variant"], r["verdict"]) for r in rows}
    assert verdicts == {(right, "PASS"), *((name, "FAIL") for name in names)}, verdicts
    reasons = {r["reason"] for r in rows if scribbles in r["variant"]}
    assert all("wrote to its activations" in reason for reason in reasons), reasons


def test_a_launch_function_that_computes(program, libraries):
    """It has no use for operands, and sees none: what the host computed is no kernel's."""
    done = program("verify", "--case", "dequant bf16 n=40 k=100 blocksize=64", *with_plugins(libraries, "hostile"), "-v",
                   "nf4_dequant_bf16__sm80_host", "--device", "simt:fast", code=1)
    assert re.search("^CRASHED .*\n.*\n.*SIGSEGV.* in its launch function", done.stdout, re.M), done.stdout


def test_a_library_that_ends_the_second_process(program, libraries, plugins, tmp_path):
    done = program("verify", plugins, *with_plugins(libraries, "hostile"), *only(*INNOCENT, NAME + "truncates"), "-V", code=1,
                   environment={"NF4BENCH_TEST_LOADED": str(tmp_path / "loaded")})
    assert len(re.findall(f"^FAIL +{NAME}truncates ", done.stdout, re.M)) == 3, done.stdout
    assert done.stdout.count("load, under --device cpu") == 3 and done.stdout.count("ended the process with exit code 0") == 3
    assert len(re.findall("^PASS +nf4_dequant_bf16__scalar(?:_table)? ", done.stdout, re.M)) == 6, done.stdout


def test_what_a_variant_leaves_running_is_ended(program, libraries, tmp_path):
    left = tmp_path / "left"
    program("verify", "--case", "dequant bf16 n=40 k=100 blocksize=64", *with_plugins(libraries, "hostile"), "-v",
            NAME + "leaves_a_process", environment={"NF4BENCH_TEST_LEFT": str(left)})
    pids = left.read_text().split()
    assert pids
    assert have_ended(pids, 10), pids


def test_an_interrupt_ends_a_call_that_does_not(program, libraries, plugins, tmp_path):
    """Ctrl-C while a variant hangs, long before its limit; --resume then completes the run."""
    out, mark = tmp_path / "r.h5", tmp_path / "waiting"
    run = subprocess.Popen(
        [program.path, "run", plugins, *with_plugins(libraries, "faulty"), "-v", NAME + "waits", "-a", "shape=16x64", "-o",
         out], env=dict(os.environ, NF4BENCH_TEST_WAIT=str(mark)), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.time() + 60
    while time.time() < deadline and not mark.exists():
        time.sleep(0.01)
    start = time.monotonic()
    run.send_signal(signal.SIGINT)
    _, stderr = run.communicate(timeout=50)
    assert run.returncode == 130 and b"--resume" in stderr and time.monotonic() - start < 30
    program("run", "--resume", out)
    assert {r["verdict"] for r in rows_of(out) if r["variant"] == NAME + "waits"} == {"PASS"}


def test_resumed_with_other_files_is_refused(program, libraries, plugins, tmp_path):
    out, mark, mine = tmp_path / "r.h5", tmp_path / "waiting", tmp_path / "mine.so"
    mine.write_bytes((libraries / "faulty.so").read_bytes())
    run = subprocess.Popen(
        [program.path, "run", plugins, "--plugin", mine, "-v", NAME + "waits", "-a", "shape=16x64", "-o", out],
        env=dict(os.environ, NF4BENCH_TEST_WAIT=str(mark)), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.time() + 60
    while time.time() < deadline and not mark.exists():
        time.sleep(0.01)
    run.kill()
    run.communicate(timeout=50)
    with open(mine, "ab") as f:
        f.write(b"rebuilt")
    assert "plugins, or their files, have changed" in program("run", "--resume", out, code=2).stderr


@pytest.mark.parametrize("library, what", [("faulty", "waits"), ("hostile", "waits_when_timed")])
def test_a_caller_that_is_killed_convicts_nobody(program, libraries, plugins, tmp_path, library, what):
    """From outside, as the system does where memory is short: the call is made again."""
    out, mark = tmp_path / "r.h5", tmp_path / "waiting"
    run = subprocess.Popen(
        [program.path, "run", plugins, *with_plugins(libraries, library), "-v", NAME + what, "-a", "shape=16x64", "-o",
         out], env=dict(os.environ, NF4BENCH_TEST_WAIT=str(mark)), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.time() + 60
    while time.time() < deadline and not mark.exists():
        time.sleep(0.01)
    callers = children(run.pid)
    assert len(callers) == (1 if what == "waits" else 2)
    for caller in callers:
        os.kill(caller, signal.SIGKILL)
    stdout, stderr = run.communicate(timeout=50)
    assert run.returncode == 0, (stdout, stderr)
    assert {r["verdict"] for r in rows_of(out) if r["variant"] == NAME + what} == {"PASS"}
