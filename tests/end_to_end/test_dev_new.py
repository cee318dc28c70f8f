"""./dev new: what it makes is right as it is made."""

import re
import shutil
import subprocess

import pytest

from conftest import SOURCE

# op: dequant or gemm, whose arguments gemmdx takes as well.
PLUGIN = """\
#include "kernels/plugin.h"
void {name}(const struct {op}_args *);
static const struct nf4bench_variant variants[] = {{{{.name = "{name}_as_plugin", .backend = NF4BENCH_CPU, .{op} = {name}}}}};
NF4BENCH_PLUGIN("made", variants)
"""


@pytest.fixture
def tree(tmp_path):
    shutil.copytree(SOURCE / "kernels", tmp_path / "kernels")
    shutil.copy(SOURCE / "dev", tmp_path)
    return tmp_path


def new(tree, *words, code=0):
    done = subprocess.run(["./dev", "new", *words], cwd=tree, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stderr


@pytest.mark.parametrize("contract", ["nf4_dequant_bf16_twostep", "nf4_gemm_f16_acc1_fused", "nf4_gemmdx_f32_acc1"])
def test_a_cpu_kernel_verifies(nf4bench, tree, contract):
    said = new(tree, contract, "scalar", "mine")
    source, name = re.match(r"kernels/(\S+) defines (\S+)\. ", said).groups()
    assert name == f"{contract}__scalar_mine"
    (tree / "plugin.c").write_text(PLUGIN.format(name=name, op="dequant" if "dequant" in contract else "gemm"))
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-fopenmp", "-ffp-contract=off", "-Wall", "-Werror", "-I", tree, "-o",
                    tree / "made.so", tree / "plugin.c", tree / "kernels" / source, "-lm"], check=True)
    done = nf4bench("verify", SOURCE / "suites/try.yaml", "--plugin", tree / "made.so", "-v", f"{name}_as_plugin")
    assert re.search(r"^[1-9]\d* pass, 0 fail, 0 mistrusted, 0 skipped$", done.stdout, re.M), done.stdout


@pytest.mark.parametrize("contract", ["nf4_dequant_f32_fused", "nf4_gemm_bf16_acc1", "nf4_gemmdx_f16_acc1_fused"])
def test_a_cuda_kernel_verifies(nf4bench, tree, contract):
    said = new(tree, contract, "sm80", "mine")
    source, name = re.match(r"kernels/(\S+) defines (\S+)\. ", said).groups()
    assert name == f"{contract}__sm80_mine"
    done = nf4bench("try", tree / "kernels" / source)
    assert "PASS, 1 entries" in done.stdout + done.stderr


def test_what_it_refuses_changes_nothing(tree):
    new(tree, "nf4_dequant_f32", "avx2", "mine")
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    assert "must not be there" in new(tree, "nf4_dequant_f32", "avx2", "mine", code=2)
    assert "no template" in new(tree, "nf4_gemm_f32_acc16", "avx2", "mine", code=2)
    assert "no arch mmx" in new(tree, "nf4_dequant_f32", "mmx", "mine", code=2)
    assert before == {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
