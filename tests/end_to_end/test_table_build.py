"""The table of variants and the build: what does not fit together does not build."""

import shutil
import subprocess

import pytest

from conftest import SOURCE

FOLDERS = ["cmake", "kernels", "reference", "harness", "results", "plots"]
FUNCTION = '#include "kernels/kernel.h"\nvoid {name}(const struct {op}_args *a) {{ (void)a; }}\n'
CUDA = '#include "kernels/device/dequant.h"\nENTRY({name}, {op}, 64, launch) {{ (void)a; }}\n'


@pytest.fixture(scope="module")
def configured(tmp_path_factory):
    """A copy of the sources, configured, so that a test's own configuring asks the compiler nothing."""
    tree = tmp_path_factory.mktemp("table") / "tree"
    for folder in FOLDERS:
        shutil.copytree(SOURCE / folder, tree / folder)
    shutil.copy(SOURCE / "CMakeLists.txt", tree)
    done = configure(tree)
    assert done.returncode == 0, done.stderr
    return tree


@pytest.fixture
def tree(configured):
    yield configured
    shutil.rmtree(configured / "kernels/nf4_dequant")
    shutil.copytree(SOURCE / "kernels/nf4_dequant", configured / "kernels/nf4_dequant")


def add_row(tree, *words):
    with open(tree / "kernels/nf4_dequant/rows.inc", "a") as table:
        table.write(f"kernels({' '.join(words)})\n")


def add_file(tree, name, text=""):
    (tree / "kernels/nf4_dequant" / name).write_text(text)


def configure(tree):
    return subprocess.run(
        ["cmake", "-G", "Ninja", "-S", tree, "-B", tree / "build", "-DNF4BENCH_TESTS=OFF", "-DCMAKE_BUILD_TYPE=Debug"],
        capture_output=True,
        text=True,
    )


def expect_refused(tree, sentence):
    done = configure(tree)
    # CMake wraps its messages: undo that.
    assert done.returncode != 0 and sentence in " ".join(done.stderr.split()), done.stderr


def compile_one(tree, target, source):
    """Compiles one kernel file and nothing else."""
    assert configure(tree).returncode == 0
    return subprocess.run(
        ["cmake", "--build", tree / "build", "--target", f"CMakeFiles/{target}.dir/kernels/nf4_dequant/{source}.o"],
        capture_output=True,
        text=True,
    )


def test_braces_stand_for_each_name(tree):
    add_file(tree, "mine.c")
    add_row(tree, "mine.c", "nf4_dequant_{f32,bf16}{,_fused}__scalar_mine{,_x}", "K_MULTIPLE 32")
    assert configure(tree).returncode == 0
    table = (tree / "build/generated/kernel_table.inc").read_text()
    for contract in ("f32", "f32_fused", "bf16", "bf16_fused"):
        for knob in ("mine", "mine_x"):
            rows = [line for line in table.splitlines() if f'"nf4_dequant_{contract}__scalar_{knob}"' in line]
            assert len(rows) == 1 and ".k_multiple = 32" in rows[0] and "m_max" not in rows[0]
    assert table.count('"nf4_dequant/mine.c"') == 8


@pytest.mark.parametrize("names,sentence", [
    ("nf4_dequant_f32__scalar", "rows.inc: mine.c: nf4_dequant_f32__scalar is listed twice"),
    ("nf4_dequant_f32__scalar_{m,m}", "nf4_dequant_f32__scalar_m is listed twice"),
    ("nf4_dequant_f32__mmx", "nf4_dequant_f32__mmx has arch mmx, which is not in kernels/arch.inc"),
    ("nf4_dequant_f32__scalar_m nf4_dequant_f32__avx2_m", "nf4_dequant_f32__avx2_m is of avx2, and other names are of scalar"),
    ("nf4_dequant_f32_twstep__scalar_m", "nf4_dequant_f32_twstep__scalar_m: 'twstep' is not a word that may stand there"),
    ("nf4_dequant_f32_fused_c16__scalar_m", "'c16' is not a word that may stand there"),
    ("nf4_dequent_f32__scalar_m", "'dequent' is not a word that may stand there"),
    ("nf4_dequant__scalar_m", "'' is not a word that may stand there"),
    ("nf4_dequant_f32_scalar_m", "nf4_dequant_f32_scalar_m is not <contract>__<arch>[_<knobs>]"),
    ("M_MXA 4 nf4_dequant_f32__scalar_m", "M_MXA is not <contract>__<arch>[_<knobs>]"),
    ("nf4_dequant_f32__sm75_m", "mine.c has no REGISTERS"),
    ("", "mine.c has no name"),
])
def test_row_that_is_refused(tree, names, sentence):
    add_file(tree, "mine.c")
    add_row(tree, "mine.c", names)
    expect_refused(tree, sentence)


def test_two_rows_of_a_file(tree):
    add_row(tree, "scalar.c", "nf4_dequant_f32__scalar_m")
    expect_refused(tree, "kernels/nf4_dequant/rows.inc: scalar.c has two rows")


def test_row_without_file(tree):
    add_row(tree, "none.c", "nf4_dequant_f32__scalar_m")
    expect_refused(tree, "rows.inc: none.c: kernels/nf4_dequant/none.c does not exist")


def test_file_without_row(tree):
    add_file(tree, "orphan.c")
    expect_refused(tree, "kernels/nf4_dequant/orphan.c has no row in kernels/nf4_dequant/rows.inc")


NAME = "nf4_dequant_f32__scalar_m"
CODE = ["right", "of another operation", "under another name", "missing"]
GPU_NAME = "nf4_dequant_f32__sm75_m"


@pytest.mark.parametrize("text,sentence", [
    (FUNCTION.format(name=NAME, op="dequant"), None),
    (FUNCTION.format(name=NAME, op="gemm"), f"conflicting types for {NAME}"),
    (FUNCTION.format(name=NAME + "x", op="dequant"), f"no previous prototype for {NAME}x"),
    ("", f"row_{NAME} aliased to undefined symbol {NAME}"),
], ids=CODE)
def test_function_that_is_not_its_rows(tree, text, sentence):
    add_file(tree, "mine.c", text)
    add_row(tree, "mine.c", NAME)
    expect_compiled(compile_one(tree, "kernels", "mine.c"), sentence)


@pytest.mark.parametrize("text,sentence", [
    (CUDA.format(name=GPU_NAME, op="dequant"), None),
    (CUDA.format(name=GPU_NAME, op="gemm"), f"row_{GPU_NAME}_gemm"),
    (CUDA.format(name=GPU_NAME + "x", op="dequant"), f"row_{GPU_NAME}x_dequant"),
    ("", f"row_{GPU_NAME} aliased to undefined symbol {GPU_NAME}__fast"),
], ids=CODE)
def test_entry_that_is_not_its_rows(tree, text, sentence):
    launch = "static struct launch launch(const void *) { return launch_1d(1, 64); }\n"
    add_file(tree, "mine.cu", text.replace("ENTRY", launch + "ENTRY"))
    add_row(tree, "mine.cu", "REGISTERS 32", GPU_NAME)
    expect_compiled(compile_one(tree, "kernels_fast", "mine.cu"), sentence)


def expect_compiled(done, sentence):
    text = done.stdout.translate({ord(quote): None for quote in "'‘’`"})
    assert (done.returncode == 0) == (sentence is None), text
    assert not sentence or sentence in text, text
