"""The bitsandbytes package's CUDA library as a peer, on the fake driver and a fake of the library
(tests/fake_cuda/fake_bitsandbytes.c), which calculates as the real one's machine code says that it does."""

import os
import re
import shutil
import subprocess

import pytest

from conftest import Program

DEQUANT = "dequant {} n=48 k=80 blocksize=64 nested={} bias=0 seed=1 weights=normal"
GEMV = "gemm {} m={} n={} k={} blocksize=64 nested=0 bias={} seed=1 weights=normal"
GEMM = "gemm {} m={} n={} k={} blocksize={} nested={} bias={} seed=1 weights=normal"
TYPES = ("f32", "f16", "bf16")


@pytest.fixture(scope="module")
def fake():
    return Program(os.environ["NF4BENCH_FAKE"])


@pytest.fixture
def library():
    return os.environ["NF4BENCH_FAKE_BITSANDBYTES_LIBRARY"]


@pytest.fixture
def package(library, tmp_path):
    """A package's folder: libraries of the given versions of CUDA, and a CPU library without functions."""

    def make(*versions):
        folder = tmp_path / "bitsandbytes"
        folder.mkdir()
        for name in ("libbitsandbytes_cpu.so", *(f"libbitsandbytes_cuda{v}.so" for v in versions)):
            shutil.copy(library, folder / name)
        return folder

    return make


def verify(fake, case, *options, code=0, what=None, file=None, variant="bitsandbytes_cuda_*"):
    environment = {"NF4BENCH_FAKE_BITSANDBYTES": what or ""}
    if file:
        environment["NF4BENCH_BITSANDBYTES_CUDA"] = str(file)
    return fake("verify", "--case", case, "--device", "cuda", "-V", "-v", variant, *options, code=code,
                environment=environment)


@pytest.mark.parametrize("out", TYPES)
def test_passes(fake, library, out):
    for nested in (0, 1):
        done = verify(fake, DEQUANT.format(out, nested), file=library)
        assert re.search(rf"^PASS +bitsandbytes_cuda_nf4_dequant_{out}{'_nested' * nested} ", done.stdout, re.M)
    for n, k in ((48, 320), (4, 32), (8, 4096)):
        done = verify(fake, GEMV.format(out, 1, n, k, 0), file=library)
        assert re.search(rf"^PASS +bitsandbytes_cuda_nf4_gemv_{out} ", done.stdout, re.M)


@pytest.mark.parametrize("nested", [0, 1])
@pytest.mark.parametrize("out", TYPES)
def test_fused_products_pass(fake, library, out, nested):
    name = f"bitsandbytes_cuda_nf4_gemm_{out}" + "_nested" * nested
    # One to three rows, and 16 bits from four on: two kernels of theirs.
    for m, n, k, blocksize, bias in ((1, 48, 320, 64, 0), (3, 6, 96, 32, 1), (4, 66, 256, 128, 1), (33, 20, 512, 256, 0)):
        done = verify(fake, GEMM.format(out, m, n, k, blocksize, nested, bias), file=library, variant=name)
        assert re.search(rf"^PASS +{name} ", done.stdout, re.M)
    done = verify(fake, GEMM.format(out, 5, 48, 320, 64, nested, 0), file=library, what="wrong", variant=name, code=1)
    assert re.search(rf"^FAIL +{name} ", done.stdout, re.M)


@pytest.mark.parametrize("nested", [0, 1])
def test_its_dequantize_and_cublas_are_one_product(fake, library, nested):
    for out in ("f16", "bf16"):
        case = GEMM.format(out, 5, 48, 96, 64, nested, 0)  # a row of one and a half blocks
        name = f"bitsandbytes_cuda_nf4_gemm_{out}" + "_nested" * nested + "_cublas"
        assert "1 pass, 0 fail" in verify(fake, case, file=library, variant=name).stdout
        assert "1 fail" in verify(fake, case, file=library, what="wrong", variant=name, code=1).stdout
    done = verify(fake, case, file=os.environ["NF4BENCH_LIBNVML"], variant=name, code=77)
    assert f"has no function for {name}" in done.stdout


@pytest.mark.parametrize("out", TYPES)
def test_a_wrong_one_fails(fake, library, out):
    for nested in (0, 1):
        done = verify(fake, DEQUANT.format(out, nested), file=library, what="wrong", code=1)
        assert re.search(rf"^FAIL +bitsandbytes_cuda_nf4_dequant_{out}{'_nested' * nested} ", done.stdout, re.M)
    done = verify(fake, GEMV.format(out, 1, 48, 320, 0), file=library, what="wrong", code=1)
    assert re.search(rf"^FAIL +bitsandbytes_cuda_nf4_gemv_{out} ", done.stdout, re.M)
    if out == "f16":
        return  # fp16 has none of fp32's denormals
    # The contract says that denormals are flushed: one that keeps them is another.
    done = verify(fake, DEQUANT.format(out, 0), file=library, what="denormals", code=1)
    assert re.search(rf"^FAIL +bitsandbytes_cuda_nf4_dequant_{out} ", done.stdout, re.M)


def test_what_it_does_not_take_is_skipped(fake, library):
    for n, k, m, bias, reason in ((48, 320, 2, 0, "takes m up to 1"), (48, 48, 1, 0, "takes k in multiples of 32"),
                                  (6, 64, 1, 0, "takes n in multiples of 4"), (48, 320, 1, 1, "has no bias")):
        assert reason in verify(fake, GEMV.format("bf16", m, n, k, bias), file=library, code=77,
                                variant="bitsandbytes_cuda_nf4_gemv_*").stdout
    for out, n, k, m, reason in (("bf16", 48, 320, 1537, "takes m up to 1536"), ("f16", 47, 320, 2, "n in multiples of 2"),
                                 ("f32", 48, 96, 2, "takes k in multiples of the blocksize")):
        assert reason in verify(fake, GEMM.format(out, m, n, k, 64, 0, 0), file=library, code=77,
                                variant=f"bitsandbytes_cuda_nf4_gemm_{out}").stdout


def test_another_context_and_an_end_of_the_process_are_noticed(fake, library):
    done = verify(fake, DEQUANT.format("bf16", 0), file=library, what="context", code=1)
    assert "works in another context than the GPU's primary one" in done.stdout and "PASS" not in done.stdout
    done = verify(fake, DEQUANT.format("bf16", 0), file=library, what="exit", code=1)
    assert re.search(r"^CRASHED .*\n.*crash", done.stdout, re.M) and "it ended the process with exit code 1" in done.stdout
    # The next variants run all the same.
    done = verify(fake, DEQUANT.format("bf16", 0), "-v", "nf4_dequant_bf16__sm75_prmt", file=library, what="exit", code=1)
    assert re.search(r"^PASS +nf4_dequant_bf16__sm75_prmt", done.stdout, re.M)


def test_the_newest_library_that_the_driver_knows_is_taken(fake, package):
    folder = package(118, 130, 132)  # the fake driver says 13.0
    (folder / "libbitsandbytes_cuda132.so").write_text("for another driver")
    (folder / "libbitsandbytes_cudax.so").write_text("of no version")
    (folder / "libbitsandbytes_rocm64.so").write_text("for other GPUs")
    assert "1 pass" in verify(fake, DEQUANT.format("bf16", 0), "--bitsandbytes", folder).stdout
    # One that cannot be loaded gives way to the one before it.
    (folder / "libbitsandbytes_cuda130.so").write_text("not a library")
    assert "1 pass" in verify(fake, DEQUANT.format("bf16", 0), "--bitsandbytes", folder).stdout
    done = verify(fake, DEQUANT.format("bf16", 0), "--bitsandbytes", folder / "libbitsandbytes_cpu.so")
    assert "1 pass" in done.stdout
    # One for a newer driver is not tried, though it could be loaded.
    (folder / "libbitsandbytes_cuda118.so").rename(folder / "libbitsandbytes_cuda132.so")
    done = verify(fake, DEQUANT.format("bf16", 0), "--bitsandbytes", folder, code=77)
    assert re.search(r"SKIPPED .*\n(.*\n)*.*no libbitsandbytes_cuda\*\.so for CUDA up to 13\.0 can be loaded from .*"
                     r"cuda130\.so: .*LD_LIBRARY_PATH", done.stdout)


def test_without_a_library_it_is_skipped_with_the_reason(fake, package, tmp_path):
    folder = package()
    done = verify(fake, DEQUANT.format("bf16", 0), "--bitsandbytes", folder, "-v", "nf4_dequant_bf16__sm75_prmt")
    assert re.search(r"^PASS +nf4_dequant_bf16__sm75_prmt", done.stdout, re.M)
    assert re.search(r"^SKIPPED +bitsandbytes_cuda_nf4_dequant_bf16", done.stdout, re.M)
    assert "NF4BENCH_BITSANDBYTES_CUDA=FILE names one" in done.stdout
    done = verify(fake, DEQUANT.format("bf16", 0), file=tmp_path / "none.so", code=77)
    assert "bitsandbytes: cannot load" in done.stdout and "none.so" in done.stdout
    # A library without the functions.
    done = verify(fake, DEQUANT.format("bf16", 0), file=os.environ["NF4BENCH_LIBNVML"], code=77)
    assert "has no function for bitsandbytes_cuda_nf4_dequant_bf16" in done.stdout


def test_where_nothing_is_asked_for_there_is_none(fake, library):
    assert "bitsandbytes" not in fake("list").stdout
    done = fake("list", "bitsandbytes_*", environment={"NF4BENCH_BITSANDBYTES_CUDA": library})
    assert len(re.findall(r"^bitsandbytes_cuda_\w+ +peer +skipped: bitsandbytes' CUDA library runs on a GPU", done.stdout,
                          re.M)) == 15
    assert len(re.findall(r"^bitsandbytes_cuda_nf4_gemm_b?f16(?:_nested)?_cublas +peer +skipped: cuBLAS runs on a GPU", done.stdout,
                          re.M)) == 4


def test_run_times_it_beside_ours(fake, library, suite, tmp_path):
    path = suite("""\
suite: tiny
measure: {min_samples: 3, max_samples: 4, max_seconds: 2, settle_seconds: 0}
cases:
  - {op: dequant, shapes: [[16, 64]], regime: [cold, hot], variants: ["bitsandbytes_*", nf4_dequant_bf16__sm75_prmt]}
  - {op: gemm, m: 1, shapes: [[16, 64]], regime: [cold, hot], variants: ["bitsandbytes_cuda_nf4_gemv_*"]}
""")
    out = tmp_path / "r.h5"
    done = fake("run", path, "--device", "cuda", "-V", "-o", out, environment={"NF4BENCH_BITSANDBYTES_CUDA": library})
    assert " 0 fail, 0 mistrusted, 0 skipped" in done.stdout
    shown = subprocess.run([fake.path, "show", out], capture_output=True, text=True).stdout
    for name in ("nf4_dequant_f32", "nf4_dequant_bf16", "nf4_gemv_f16", "nf4_gemv_bf16"):
        assert f"bitsandbytes_cuda_{name}" in shown
