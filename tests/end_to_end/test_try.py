"""`nf4bench try`: a right file, a racy one, a wrong one, and ones that never end, crash or do not compile."""

import pathlib
import re
import time

import pytest

from conftest import SOURCE

HERE = pathlib.Path(__file__).parent / "try"
RIGHT = SOURCE / "examples/dequant.cu"


def test_right(nf4bench):
    start = time.monotonic()
    done = nf4bench("try", RIGHT)
    print(f"{time.monotonic() - start:.1f} s\n{done.stdout}")
    assert re.search(r"^simt:fast: [1-9]\d* pass, 0 fail", done.stdout, re.M)
    assert re.search(r"dequant.cu: PASS", done.stdout)


def test_a_file_runs_its_own_functions(nf4bench):
    """Of an inline one that the compiler left a symbol, the program has another build's."""
    assert "mma_split.cu: PASS" in nf4bench("try", SOURCE / "kernels/nf4_gemm/mma_split.cu").stdout


def test_racy(nf4bench):
    if "no checker" in nf4bench("try", RIGHT).stdout:
        pytest.skip("this build has no checker")
    done = nf4bench("try", HERE / "racy.cu", code=1)
    print(done.stdout)
    assert "WRONG" in done.stdout
    assert re.search(r"race|uninitialised", done.stdout)
    assert re.search(r"racy\.cu:\d+", done.stdout)
    assert "nf4_dequant_bf16__example" in done.stdout


def test_second_launch(nf4bench, tmp_path):
    done = nf4bench("try", HERE / "then.cu")
    print(done.stdout)
    assert "PASS, 1 entries" in done.stdout
    text = (HERE / "then.cu").read_text()
    without = tmp_path / "without.cu"
    without.write_text(text[:text.index("ENTRY_THEN")])
    assert "exhaustive_decode" in nf4bench("try", without, "--fast", code=1).stdout
    faulty = tmp_path / "faulty.cu"
    faulty.write_text(text.replace("out[i] = __fmul", "out[i + ((size_t)1 << 36)] = __fmul"))
    done = nf4bench("try", faulty, "--checked", "--first", code=1)
    print(done.stdout)
    assert "nf4_dequant_f32__then_then" in done.stdout and "out-of-bounds" in done.stdout


def test_wrong(nf4bench):
    done = nf4bench("try", HERE / "wrong.cu", "--fast", code=1)
    print(done.stdout)
    assert "exhaustive_decode" in done.stdout and "WRONG" in done.stdout
    assert re.search(r"expected 0x[0-9a-f]+.*got 0x", done.stdout)


def test_endless(nf4bench):
    start = time.monotonic()
    done = nf4bench("try", HERE / "endless.cu", "--fast", code=1)
    print(done.stdout)
    assert "timeout" in done.stdout and re.search(r"endless\.cu:\d+", done.stdout)
    assert re.search("^TIMEOUT ", done.stdout, re.M) and "0 fail" in done.stdout and " hung" in done.stdout
    assert "thread 3" in done.stdout
    assert time.monotonic() - start < 30  # one launch's limit, not one for each case


def test_wild(nf4bench):
    done = nf4bench("try", HERE / "wild.cu", "--fast", code=1)
    print(done.stdout)
    assert re.search(r"wild\.cu:\d+", done.stdout) and re.search("^CRASHED ", done.stdout, re.M)


def test_does_not_compile(nf4bench, tmp_path):
    bad = tmp_path / "bad.cu"
    bad.write_text('#include "kernels/device/cuda.h"\nENTRY(x, dequant, 32, launch) { }\n')
    done = nf4bench("try", bad, code=2)
    assert "does not compile" in done.stderr and "bad.cu:2" in done.stderr


def test_name_must_be_a_contract(nf4bench, tmp_path):
    mine = tmp_path / "mine.cu"
    mine.write_text(RIGHT.read_text().replace("nf4_dequant_bf16__example", "my_kernel"))
    done = nf4bench("try", mine, "--fast", code=2)
    assert "my_kernel" in done.stderr and "contract" in done.stderr


def test_missing_file(nf4bench):
    assert "No such file" in nf4bench("try", "no_such.cu", code=2).stderr


def test_plain_shared_is_explained(nf4bench, tmp_path):
    mine = tmp_path / "mine.cu"
    mine.write_text(RIGHT.read_text().replace("SHARED(float, codebook, [16]);", "__shared__ float codebook[16];"))
    done = nf4bench("try", mine, "--fast", code=2)
    assert "SHARED(type, name, [dims])" in done.stderr
