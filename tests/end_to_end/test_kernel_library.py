"""libnf4bench_kernels.so: the kernels of the table as a library, whose code is reached through one symbol and is its own."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

LIBRARY = pathlib.Path(os.environ["NF4BENCH_BUILD"]) / "libnf4bench_kernels.so"


def symbols(*options):
    done = subprocess.run(["nm", "-D", *options, LIBRARY], capture_output=True, text=True, check=True)
    return [line.split()[-1] for line in done.stdout.splitlines()]


def test_it_exports_one_symbol():
    assert symbols("--defined-only") == ["nf4bench_plugin"]


def test_it_takes_no_kernel_from_the_program():
    """What is undefined comes from the program, which has kernels of the same names: the executor's functions only."""
    undefined = [name.split("@")[0] for name in symbols("--undefined-only")]
    assert "simt_syncthreads" in undefined
    assert [name for name in undefined if "nf4" in name or "kernel" in name or "cuda_image" in name] == []


def test_it_has_what_it_says_of_itself(nf4bench):
    """Its layout is the program's; and as a plugin it can add nothing, since each name is in the table."""
    done = nf4bench("list", "--plugin", LIBRARY, "nf4_dequant_bf16__scalar", code=2)
    assert re.search(r"libnf4bench_kernels\.so is refused: variant 0, nf4_dequant_f32__scalar: the name is taken, by "
                     r"nf4_dequant/scalar\.c", done.stderr)
    assert len(done.stdout.splitlines()) == 1


def test_results_say_what_was_run(nf4bench, tmp_path):
    """Rows of one source have its hashes, and those of another source others."""
    import h5py

    out = tmp_path / "r.h5"
    nf4bench("run", "--case", "dequant bf16 n=16 k=64 blocksize=64", "-v", "nf4_dequant_bf16__scalar*", "-v",
             "nf4_dequant_bf16__avx2", "-o", out, "--measure", "settle_seconds=0", "--measure", "max_samples=3",
             "--measure", "min_samples=3")
    with h5py.File(out) as f:
        rows = {r["variant"].decode(): (r["source_hash"].decode(), r["code_hash"].decode()) for r in f["results"][:]}
    own = {name: hashes for name, hashes in rows.items() if not name.startswith("ceiling_")}
    assert all(re.fullmatch("[0-9a-f]{16}", h) for hashes in own.values() for h in hashes)
    assert own["nf4_dequant_bf16__scalar"] == own["nf4_dequant_bf16__scalar_table"]
    for name in set(own) - {"nf4_dequant_bf16__scalar", "nf4_dequant_bf16__scalar_table"}:
        assert not set(own[name]) & set(own["nf4_dequant_bf16__scalar"])
    assert all(hashes == ("", "") for name, hashes in rows.items() if name.startswith("ceiling_"))


# ---- the hashes, when something changes (cmake/HashKernels.cmake) ----

CODE = "static const float table[2] = {1.5f, 2.5f};\nfloat f(int i) { return table[i & 1] * (float)i; }\n"


@pytest.fixture
def hashes(tmp_path):
    """Compiles kernels/family/one.c with this text and returns (hash of the source, hash of the code)."""
    source = pathlib.Path(__file__).resolve().parents[2]
    compiler = shutil.which("cc") or shutil.which("gcc")

    def hash_of(text, folder="a"):
        kernels = tmp_path / folder / "kernels"
        (kernels / "family").mkdir(parents=True, exist_ok=True)
        (kernels / "family/one.c").write_text(text)
        (kernels / "family/two.c").write_text("")
        built = tmp_path / folder / "kernels/family/one.c.o"
        subprocess.run([compiler, "-O2", "-g", "-fPIC", "-c", kernels / "family/one.c", "-o", built], check=True)
        (tmp_path / "objects.txt").write_text(f"{built}\n")
        subprocess.run([os.environ["NF4BENCH_CMAKE"], f"-DKERNELS={kernels}",
                        "-DSOURCES=family/one.c family/two.c", f"-DOBJECTS={tmp_path}/objects.txt",
                        "-DOBJCOPY=objcopy", f"-DSCRATCH={tmp_path}/s.o", f"-DOUT={tmp_path}/out.c", "-P",
                        source / "cmake/HashKernels.cmake"], check=True)
        one, two = re.findall(r'\{"([0-9a-f]*)", "([0-9a-f]*)"\}', (tmp_path / "out.c").read_text())
        assert len(one[0]) == len(one[1]) == len(two[0]) == 16 and two[1] == ""  # nothing was compiled from two.c
        return one

    return hash_of


def test_the_same_is_the_same_anywhere(hashes):
    assert hashes(CODE) == hashes(CODE, "b")


def test_a_comment_is_no_other_code(hashes):
    before, after = hashes(CODE), hashes("/* A comment. */\n" + CODE)
    assert before[0] != after[0] and before[1] == after[1]


@pytest.mark.parametrize("old,new", [("* (float)i", "+ (float)i"), ("2.5f", "3.5f"), ("float f(", "float g(")])
def test_other_code_is_other_code(hashes, old, new):
    before, after = hashes(CODE), hashes(CODE.replace(old, new))
    assert before[0] != after[0] and before[1] != after[1]


def test_what_only_a_relocation_says_counts(hashes):
    """Two calls are the same bytes, and need the same symbols, until a linker fills in where to."""
    text = "void a(void); void b(void); void e(void) { a(); b(); } void f(void) { %s(); }\n"
    assert hashes(text % "a")[1] != hashes(text % "b")[1]
