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
    shutil.rmtree(configured / "kernels")
    shutil.copytree(SOURCE / "kernels", configured / "kernels")


NAME = "nf4_dequant_f32__scalar_m"


def add_row(tree, *words):
    with open(tree / "kernels/nf4_dequant/rows.inc", "a") as table:
        table.write(f"kernels({' '.join(words)})\n")


def add_file(tree, name, text=""):
    (tree / "kernels/nf4_dequant" / name).write_text(text)


def configure(tree, *options):
    done = subprocess.run(
        ["cmake", "-G", "Ninja", "-S", tree, "-B", tree / "build", "-DNF4BENCH_TESTS=OFF", "-DCMAKE_BUILD_TYPE=Debug", *options],
        capture_output=True,
        text=True,
    )
    done.messages = " ".join(done.stderr.split())  # CMake wraps its messages: undo that.
    return done


def expect_refused(tree, sentence):
    done = configure(tree)
    assert done.returncode != 0 and sentence in done.messages, done.stderr


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
    ("nf4_dequant_f32__sm75_m", "mine.c: nf4_dequant_f32__sm75_m is of sm75, a CUDA arch: its source must be a .cu file"),
    ("nf4_repack_u8__scalar_m", "nf4_repack_u8__scalar_m: repack is for CUDA arches, and scalar is a CPU's"),
    ("nf4_unrepack_u8__avx2_m", "nf4_unrepack_u8__avx2_m: unrepack is for CUDA arches, and avx2 is a CPU's"),
    ("nf4_gemm_f32_acc1__scalar_repacked_m", "the layout 'repacked' is for CUDA arches, and scalar is a CPU's"),
    ("", "mine.c has no name"),
    ("nf4_dequant_f32__scalar_m M_MAX", "mine.c: M_MAX has no value"),
    ("M_MAX K_MULTIPLE 4 nf4_dequant_f32__scalar_m", "mine.c: M_MAX has no value"),
    ("nf4_dequant_f32__scalar_m K_MULTIPLE", "mine.c: K_MULTIPLE has no value"),
    ("M_MAX nf4_dequant_f32__scalar_m", "mine.c: M_MAX is nf4_dequant_f32__scalar_m, which is not a whole number above 0"),
    ("M_MAX 0 nf4_dequant_f32__scalar_m", "mine.c: M_MAX is 0, which is not a whole number above 0"),
    ("M_MAX -1 nf4_dequant_f32__scalar_m", "mine.c: M_MAX is -1, which"),
    ("M_MAX 1.5 nf4_dequant_f32__scalar_m", "mine.c: M_MAX is 1.5, which"),
    ("M_MAX 0x10 nf4_dequant_f32__scalar_m", "mine.c: M_MAX is 0x10, which"),
    ("K_MULTIPLE 0 nf4_dequant_f32__scalar_m", "mine.c: K_MULTIPLE is 0, which"),
    ("REGISTERS 32 nf4_dequant_f32__scalar_m", "mine.c has REGISTERS, which is for .cu files"),
    ("STACK 0 nf4_dequant_f32__scalar_m", "mine.c has STACK, which is for .cu files"),
])
def test_row_that_is_refused(tree, names, sentence):
    add_file(tree, "mine.c")
    add_row(tree, "mine.c", names)
    expect_refused(tree, sentence)


@pytest.mark.parametrize("names,sentence", [
    ("nf4_dequant_f32__sm75_m", "mine.cu has no REGISTERS"),
    ("nf4_dequant_f32__sm75_m REGISTERS", "mine.cu: REGISTERS has no value"),
    ("nf4_dequant_f32__sm75_m REGISTERS STACK 8", "mine.cu: REGISTERS has no value"),
    ("REGISTERS 0 nf4_dequant_f32__sm75_m", "mine.cu: REGISTERS is 0, which is not a whole number above 0"),
    ("REGISTERS few nf4_dequant_f32__sm75_m", "mine.cu: REGISTERS is few, which"),
    ("REGISTERS 32 STACK 08 nf4_dequant_f32__sm75_m", "mine.cu: STACK is 08, which"),
    ("REGISTERS 32 nf4_dequant_f32__sm75_m STACK", "mine.cu: STACK has no value"),
    ("REGISTERS 32 nf4_dequant_f32__scalar_m", "nf4_dequant_f32__scalar_m is of scalar, a CPU arch: its source must be a .c file"),
])
def test_row_of_a_cu_file_that_is_refused(tree, names, sentence):
    add_file(tree, "mine.cu")
    add_row(tree, "mine.cu", names)
    expect_refused(tree, sentence)


@pytest.mark.parametrize("source", ["mine.cc", "Mine.c", "mine", "../nf4_dequant/mine.c", "./mine.c", "my-kernel.c"])
def test_source_that_is_refused(tree, source):
    add_row(tree, source, NAME)
    expect_refused(tree, f"rows.inc: {source}: a source is a file of this folder called <a-z, 0-9 and _>.c or .cu")


@pytest.mark.parametrize("name,sentence", [
    ("nf4_dequant_f32__scalar_m", None),
    ("nf4_dequant_f32_acc16__scalar_m", "dequantize has no accumulation"),
    ("nf4_gemm_f32__scalar_m", "a product needs an accumulation"),
    ("nf4_gemm_f32_acc__scalar_m", "without its number"),
    ("nf4_gemm_f32_acc16w__scalar_m", "without its number"),
    ("nf4_gemm_f32_acc3__scalar_m", "the number of chains must be a power of two"),
    ("nf4_dequant_u8__scalar_m", "u8 is what repack and unrepack give"),
    ("int4_dequant_f32_fused__scalar_m", "nested scales are NF4's"),
    ("nf4_dequant_f32__scalar_gptq", "the layout 'gptq' is not one of nf4"),
    ("nf4_dequant_f32__scalar_m_marlin_x", "the layout 'marlin' is not one of nf4"),
    ("int8_dequant_f32__scalar_awq", "the layout 'awq' is not one of int8"),
    ("int4_dequant_f32__scalar_m_gptq_awq", "it names two layouts, 'gptq' and 'awq'"),
    ("int4_dequant_f32__scalar_gptqv3", None),
])
def test_name_whose_words_do_not_fit_together(tree, name, sentence):
    op = name.split("_")[1]
    add_file(tree, "mine.c", FUNCTION.format(name=name, op=op))
    add_row(tree, "mine.c", name)
    done = compile_one(tree, "kernels", "mine.c")
    assert (done.returncode == 0) == (sentence is None), done.stdout
    if sentence:
        line, = (line for line in done.stdout.splitlines() if line.startswith(f"kernels/nf4_dequant/rows.inc: mine.c: {name}: "))
        assert sentence in line
        assert "Building C object CMakeFiles/kernels.dir" not in done.stdout, "a kernel was compiled first"


def test_two_rows_of_a_file(tree):
    add_row(tree, "scalar.c", "nf4_dequant_f32__scalar_m")
    expect_refused(tree, "kernels/nf4_dequant/rows.inc: scalar.c has two rows")


def test_row_without_file(tree):
    add_row(tree, "none.c", "nf4_dequant_f32__scalar_m")
    expect_refused(tree, "rows.inc: none.c: kernels/nf4_dequant/none.c does not exist")


def test_file_without_row(tree):
    add_file(tree, "orphan.c")
    expect_refused(tree, "kernels/nf4_dequant/orphan.c has no row in kernels/nf4_dequant/rows.inc")


@pytest.mark.parametrize("file,sentence", [
    ("nf4_dequant/orphan.cu", "kernels/nf4_dequant/orphan.cu has no row in kernels/nf4_dequant/rows.inc"),
    ("nf4_dequant/orphan.cc", "kernels/nf4_dequant/orphan.cc: the source of a variant is a .c or .cu file"),
    ("nf4_dequant/orphan.cpp", "kernels/nf4_dequant/orphan.cpp: the source of a variant is a .c or .cu file"),
    ("nf4_dequant/orphan.cxx", "kernels/nf4_dequant/orphan.cxx: the source of a variant is a .c or .cu file"),
    ("mine/orphan.c", "kernels/mine/orphan.c is in none of the folders of variants: add 'mine' to kernel_folders in"),
    ("mine/orphan.cc", "kernels/mine/orphan.cc is in none of the folders of variants: add 'mine' to kernel_folders in"),
    ("mine/rows.inc", "kernels/mine/rows.inc is in none of the folders of variants: add 'mine' to kernel_folders in"),
    ("nf4_dequant/more/orphan.c", "kernels/nf4_dequant/more/orphan.c is in none of the folders of variants"),
])
def test_file_that_no_row_names(tree, file, sentence):
    path = tree / "kernels" / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    expect_refused(tree, sentence)


def test_arch_whose_flags_the_compiler_refuses(tree):
    with open(tree / "kernels/arch.inc", "a") as arches:
        arches.write('KERNEL_ARCH(mine, CPU, CPU_AVX2, "-mno-such-set")\n')
    warning = "the compiler refuses the flags of arch mine in kernels/arch.inc (-mno-such-set): its variants are not built"
    for _ in range(2):
        done = configure(tree)
        assert done.returncode == 0 and warning in done.messages
    assert "the compiler refuses" not in configure(tree, "-DNF4BENCH_HAVE_ARCH_mine=OFF").messages


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
