"""OpenBLAS's products: of the real library, and of a fake one that is wrong, crashes or hangs (fake_openblas.c)."""

import os
import re

import h5py
import pytest

SLABS = {  # more than one
    "gemm f32 m=1 n=1024 k=4096 blocksize=64": 3,
    "gemm f32 m=3 n=512 k=4096 blocksize=64 nested=1": 3,
}
CASES = {
    "gemm f32 m=1 n=37 k=64 blocksize=64 nested=1": 3,
    "gemm f32 m=50 n=37 k=67 blocksize=64": 3,  # rows are divided among threads
    "gemmdx f32 m=1 n=70 k=96 blocksize=32": 2,
    "gemmdx f32 m=5 n=70 k=96 blocksize=32 nested=1": 2,
}
SMALL = "gemm f32 m=3 n=64 k=96 blocksize=64"


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setenv("NF4BENCH_LIBOPENBLAS", os.environ["NF4BENCH_FAKE_LIBOPENBLAS"])

    def be(what):
        monkeypatch.setenv("NF4BENCH_FAKE_OPENBLAS", what)

    return be


def verify(nf4bench, case, *options, code=0):
    return nf4bench("verify", "--case", case, "-v", "*openblas*", *options, code=code).stdout


def words(table, name):
    return [word.decode() if isinstance(word, bytes) else word for word in table[name]]


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("case,count", (SLABS | CASES).items())
def test_products_are_verified(nf4bench, case, count, threads):
    out = verify(nf4bench, case, "--axis", f"threads={threads}")
    assert f"{count} pass, 0 fail, 0 mistrusted, 0 skipped" in out


@pytest.mark.parametrize("case,count", CASES.items())
def test_the_fake_is_right_unless_it_is_to_be_wrong(nf4bench, fake, case, count):
    assert f"{count} pass, 0 fail" in verify(nf4bench, case)


@pytest.mark.parametrize("what", ["stride", "last"])
@pytest.mark.parametrize("case,count", CASES.items())
def test_wrong_products_are_rejected(nf4bench, fake, what, case, count):
    fake(what)
    assert f"0 pass, {count} fail" in verify(nf4bench, case, code=1)


# The limit also ends what returns: a busy machine takes more than two seconds for the preparation of weights.
@pytest.mark.parametrize("what,device,verdict,reason", [
    ("crash", "cpu", "CRASHED", r"SIGABRT .* in a call"),
    ("hang", "cpu,limit=5", "TIMEOUT", r"a call did not end within 5 s"),
])
def test_a_product_that_does_not_return_costs_its_row(nf4bench, fake, what, device, verdict, reason):
    fake(what)
    out = verify(nf4bench, SMALL, "-V", "-v", "nf4_gemm_f32_acc1__scalar", "--device", device, code=1)
    assert len(re.findall(rf"^{verdict} .*openblas", out, re.M)) == 3 and re.search(reason, out)
    assert re.search(r"^PASS +nf4_gemm_f32_acc1__scalar", out, re.M)


def test_products_are_timed(nf4bench, tmp_path):
    path = tmp_path / "r.h5"
    nf4bench("run", "--case", SMALL, "-v", "*openblas*", "-v", "nf4_gemm_f32_acc1__scalar", "-o", path, "--axis",
             "regime=cold,hot", "--measure", "settle_seconds=0", "--measure", "max_samples=3", "--measure", "min_samples=3")
    with h5py.File(path) as f:
        table = f["results"][...]
    rows = [r for r in zip(words(table, "variant"), words(table, "layout"), words(table, "format"),
                           table["bits_per_weight"]) if "openblas" in r[0]]
    assert len(rows) == 6
    for variant, layout, form, bits in rows:  # 64 x 96 weights, with a scale for 64: 4.5 bits
        dense = variant.startswith("openblas_")
        assert (layout, form, bits) == (("dense", "dense", 32) if dense else ("checkpoint", "nf4", 4.5))


def test_without_a_library_there_are_no_products(nf4bench, monkeypatch):
    monkeypatch.setenv("NF4BENCH_LIBOPENBLAS", "/nonexistent")
    assert "openblas" not in nf4bench("list").stdout


def test_the_choice_of_kernels(nf4bench, fake, monkeypatch):
    """Of a library that does not know the CPU: the best that the CPU has, unless the environment says which."""
    features = open("/proc/cpuinfo").read()
    core = "SkylakeX" if "avx512vl" in features else "Haswell" if "avx2" in features else "Prescott"
    assert f"libopenblas, {core}\n" in nf4bench("list", "openblas_gemm_f32").stdout
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem")
    assert "libopenblas, Nehalem\n" in nf4bench("list", "openblas_gemm_f32").stdout


def test_bitsandbytes_multiplies_with_it(nf4bench, peer):
    for op in ("gemm", "gemmdx"):
        case = f"{op} f32 m=3 n=64 k=100 blocksize=64"
        done = nf4bench("verify", "--case", case, "-V", "-v", "bitsandbytes_*")
        assert re.search(rf"^PASS +bitsandbytes_nf4_{op}_f32_openblas", done.stdout, re.M)

