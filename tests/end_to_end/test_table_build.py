"""The table of variants and the build: what does not fit together does not build."""

import os
import shutil
import subprocess

import pytest

from conftest import SOURCE

FOLDERS = ["cmake", "kernels", "reference", "harness", "results", "plots"]
ROW = "KERNEL({name}, {source}, dequant, {arch}, NF4, F32, F32, WEIGHT, NONE, 0, 0, 0, NONE, IEEE, 0, 1)\n"


@pytest.fixture
def tree(tmp_path):
    for folder in FOLDERS:
        shutil.copytree(SOURCE / folder, tmp_path / "tree" / folder)
    shutil.copy(SOURCE / "CMakeLists.txt", tmp_path / "tree")
    return tmp_path / "tree"


def add_row(tree, name, source="nf4_dequant/scalar.c", arch="scalar"):
    table = tree / "kernels/kernels.inc"
    text = table.read_text()
    marker = "KERNEL(nf4_dequant_f32__scalar,"
    assert marker in text
    table.write_text(text.replace(marker, ROW.format(name=name, source=source, arch=arch) + marker, 1))


def configure(tree, *options):
    return subprocess.run(
        ["cmake", "-G", "Ninja", "-S", tree, "-B", tree / "build", "-DNF4BENCH_TESTS=OFF", "-DCMAKE_BUILD_TYPE=Debug", *options],
        capture_output=True,
        text=True,
    )


def message(done):
    """CMake wraps its messages: undo that."""
    return " ".join(done.stderr.split())


def test_the_tree_as_it_is_configures(tree):
    done = configure(tree)
    assert done.returncode == 0, done.stderr


def test_duplicate_row(tree):
    add_row(tree, "nf4_dequant_f32__scalar")
    done = configure(tree)
    assert done.returncode != 0 and "duplicate row for nf4_dequant_f32__scalar" in message(done)


def test_row_without_file(tree):
    add_row(tree, "nf4_dequant_f32__scalar_x", "nf4_dequant/none.c")
    done = configure(tree)
    assert done.returncode != 0 and "kernels/nf4_dequant/none.c, which does not exist" in message(done)


def test_file_without_row(tree):
    (tree / "kernels/nf4_dequant/orphan.c").write_text('#include "kernels/kernel.h"\n')
    done = configure(tree)
    assert done.returncode != 0 and "kernels/nf4_dequant/orphan.c has no row" in message(done)


def test_unknown_arch(tree):
    add_row(tree, "nf4_dequant_f32__mmx", "nf4_dequant/mmx.c", "mmx")
    (tree / "kernels/nf4_dequant/mmx.c").write_text("\n")
    done = configure(tree)
    assert done.returncode != 0 and "arch mmx, which is not in kernels/arch.inc" in message(done)


def test_wrong_signature(tree):
    add_row(tree, "nf4_dequant_f32__scalar_x", "nf4_dequant/scalar_x.c")
    (tree / "kernels/nf4_dequant/scalar_x.c").write_text(
        '#include "kernels/kernel.h"\nvoid nf4_dequant_f32__scalar_x(const struct gemm_args *a) { (void)a; }\n'
    )
    assert configure(tree).returncode == 0
    done = subprocess.run(
        ["cmake", "--build", tree / "build", "--target", "kernels"], capture_output=True, text=True
    )
    assert done.returncode != 0 and "conflicting types for" in done.stdout
    assert "nf4_dequant_f32__scalar_x" in done.stdout


def test_row_without_function(tree):
    """A name that its file does not define must not link, and must not become a variant that is skipped."""
    add_row(tree, "nf4_dequant_f32__scalar_x")
    # Of the kernels of the CPU only the scalar ones: the others take longest, and say nothing of this one.
    without = [f"-DNF4BENCH_HAVE_ARCH_{arch}=OFF" for arch in ("avx2", "avx512", "avx512bf16")]
    assert configure(tree, *without).returncode == 0
    done = subprocess.run(["cmake", "--build", tree / "build", "--target", "nf4bench"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "undefined reference to `nf4_dequant_f32__scalar_x'" in done.stdout
