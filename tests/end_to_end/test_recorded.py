"""What README.md and docs/ quote is what results/recorded/ gives: a stale table or figure is found and written anew, a
figure of a time that is not recomputed is found; no recorded file names a place of the machine that it was made on."""
import os
import pathlib
import re
import runpy
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLES = ROOT / "results/recorded/tables.py"
without_marks = runpy.run_path(str(TABLES))["without_marks"]


def tables(script, *arguments):
    return subprocess.run([sys.executable, script, os.environ["NF4BENCH"], *arguments], capture_output=True, text=True)


def test_the_pages_are_up_to_date():
    done = tables(TABLES, "--check")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def copy(tmp_path):
    """The pages and the recorded files, to be spoiled."""
    shutil.copytree(ROOT / "results/recorded", tmp_path / "results/recorded")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copy(ROOT / "results/record.h", tmp_path / "results")
    return tmp_path


@pytest.mark.parametrize("page, number", [
    ("docs/findings.md", r"<!-- results/recorded/\S+: .*?(\d\.\d\d\d)"),
    ("docs/findings.md", r"<!-- results/recorded/\S+ = [^\n]*?-->(\d\.\d\d)"),
    ("docs/findings.md", r"<!-- results/recorded/\S+ = rows [^\n]*?-->(\d+)"),
    ("README.md", r"<!-- results/recorded/\S+ = [^\n]*?-->(\d\.\d\d)"),
], ids=["table", "figure", "count", "readme"])
def test_a_stale_number_is_found_and_written_anew(copy, page, number):
    script, text = copy / "results/recorded/tables.py", (ROOT / page).read_text()
    at = re.search(number, text, re.DOTALL)
    (copy / page).write_text(text[:at.start(1)] + "9.876" + text[at.end(1):])
    done = tables(script, "--check")
    assert done.returncode == 1 and "not what the recorded results give" in done.stderr and page in done.stderr
    assert tables(script).returncode == 0
    assert (copy / page).read_text() == text


@pytest.mark.parametrize("what, said", [
    ("median_us(nf5_*)", "no PASS row"),
    ("median_us(nf4_dequant_bf16__sm75_prmt_scaled) where n=14336 blocksize=128", "no PASS row"),
    ("median_us", "not COLUMN"),
    ("median_us(nf4_dequant_*) / median_us(int4_dequant_*) / median_us(int8_dequant_*)", "not one term"),
    ("median_us(nf4_dequant_*) / median_us(nf4_gemm_*)", "unlike rows: op"),
    ("median_us(nf4_gemm_bf16_*) / median_us(cublas_gemm_bf16)", "unlike rows: m is 1 and 64"),
    ("median_us(nf4_dequant_*) / min_us(nf4_dequant_*)", "two columns"),
    ("mode_us(nf4_dequant_*)", "no column of numbers"),
    ("variant(nf4_dequant_*)", "no column of numbers"),
    ("rows where verdict=FIAL", "no verdict is 'FIAL'"),
    ("rows where verdit=FAIL", "names no column"),
    ("rows where n=4095", "no n is '4095'"),
    ("rows where n", "no n is ''"),
], ids=["unknown", "suspect", "malformed", "three terms", "two operations", "two shapes", "two columns", "no column",
        "text", "no verdict", "no condition's column", "no value", "no ="])
def test_a_figure_that_makes_no_sense_is_refused(copy, what, said):
    page = copy / "README.md"
    page.write_text(page.read_text() + f"<!-- results/recorded/nvidia-h200/gpu.h5 = {what} -->1.00<!-- end -->\n")
    done = tables(copy / "results/recorded/tables.py", "--check")
    assert done.returncode == 1 and said in done.stderr, done.stderr


GPU = "results/recorded/nvidia-h200/gpu.h5"


@pytest.mark.parametrize("text", [
    f"<!-- {GPU}: The fastest format: gemm bf16 --> \n| 9.99 |\n<!-- end of table -->",
    f"<!-- {GPU}: The fastest format: gemm bf16 -->\n| 9.99 |\n<!-- end of the table -->",
    f"<!-- {GPU}  = rows -->9.99<!-- end -->",
    f"<!--{GPU} = rows -->9.99<!-- end -->",
    f"<!--\n{GPU} = rows -->9.99<!-- end -->",
    f"<!-- {GPU} = rows -->9.99 times<!-- end -->",
    f"<!-- {GPU} = rows -->**9.99**<!-- end -->",
    f"<!-- {GPU} = rows --><!-- end -->",
    f"<!-- {GPU} = rows -->9.99<!-- End -->",
    f"<!-- {GPU} = rows -->9.99",
    "<!-- results/recorded/nvidia-h200/gpu.hdf5 = rows -->9.99<!-- end -->",
    "<!-- see -->It is 9.99 times as fast<!-- end -->",
    "<!-- not  recorded -->",
    "<!-- not recorded: 9.99 times",
])
def test_what_is_nearly_a_mark_is_refused(copy, text):
    for page in ("README.md", "docs/gate.md"):
        was = (copy / page).read_text()
        (copy / page).write_text(f"{was}\n{text}\n")
        for arguments in (["--check"], []):
            done = tables(copy / "results/recorded/tables.py", *arguments)
            assert done.returncode == 1 and f"{page}: this is no mark" in done.stderr, done.stderr
        (copy / page).write_text(was)


# Pages of measurements, and in how many paragraphs of each the figures are of no recorded file.
QUOTING = {"README.md": 0, "docs/findings.md": 0, "results/recorded/README.md": 5}
NOT_RECORDED = "<!-- not recorded -->"
DEFINITION = "under 0.8 of its ceiling"  # what a star, or a pair that is left out, means
MEASURED = re.compile(r"""(?<![\w^.])(?:
    \d[\d.,]*\s*(?:
        x\b(?!\s*\d) | ×(?!\s*\d) | [-\s]?fold\b | times\b | (?:as\s)?(?:fast|slow)(?:er)?\b
        | % | percent | per\scent
        | [nmuµμ]?s\b | (?:nano|micro|milli)?-?seconds?\b
        | [kKMGTP]?i?B/s | [KMGTP]?FLOPS?\b | [kMG]Hz\b
    )
    | 0?\.\d+\sof\b
    | (?<=\|)\s*\d+\.\d+\s*(?=\|)
)""", re.VERBOSE)


def paragraphs(text):
    """Paragraphs, items of lists and whole tables."""
    return re.split(r"\n\s*\n|\n(?=[ ]*(?:[-*+]|\d+\.) |#)", text)


def unmarked(text):
    """The ratios, shares, times and speeds that no mark recomputes, and the marks `not recorded` without a figure."""
    found = []
    rest = re.sub(r"<!-- output of: .*? -->\n(?: {4}.*\n)+", "", without_marks(text)[0])
    for paragraph in paragraphs(rest):
        plain = re.sub(r"<!--.*?-->|</?\w[^>]*>|[`*]|__", "", paragraph, flags=re.DOTALL)
        plain = " ".join(plain.replace("&nbsp;", " ").split()).replace(DEFINITION, "")
        figures = [figure.strip() for figure in MEASURED.findall(plain)]
        if NOT_RECORDED in paragraph:
            figures = [] if figures else [NOT_RECORDED]
        found += figures
    return found


@pytest.mark.parametrize("page", QUOTING)
def test_every_figure_is_marked(page):
    text = (ROOT / page).read_text()
    assert not unmarked(text)
    assert text.count(NOT_RECORDED) == QUOTING[page]
    # Markdown would take the line for a block of HTML.
    assert not re.search(r"^ *(?:[-*+] +)?<!-- (?:\S+ = |not recorded)", text, re.MULTILINE)


@pytest.mark.parametrize("text, figures", [
    ("It is 1.58 times as fast, 12 % of it at 3.5 us.", ["1.58 times", "12 %", "3.5 us"]),
    ("It is 1.58x as fast.", ["1.58x"]),
    ("It is 1.58 x as fast.", ["1.58 x"]),
    ("It is 1.58 × as fast.", ["1.58 ×"]),
    ("It is 1.58\ntimes as fast.", ["1.58 times"]),
    ("- It is 1.58\n  times as fast.", ["1.58 times"]),
    ("It is 2 times as fast.", ["2 times"]),
    ("It is **1.58** times as fast.", ["1.58 times"]),
    ("It is **1.58 times** as fast.", ["1.58 times"]),
    ("It is <b>1.58</b>&nbsp;times as fast.", ["1.58 times"]),
    ("It is `1.58` times as fast, in `3.5 ms`.", ["1.58 times", "3.5 ms"]),
    ("A 3-fold gain, 2 fold, 4fold.", ["3-fold", "2 fold", "4fold"]),
    ("It is 12 percent faster.", ["12 percent"]),
    ("It is 12%.", ["12%"]),
    ("3.5 ms, 12 ns, 7 µs, 7 μs, 2 s, 1,250 seconds", ["3.5 ms", "12 ns", "7 µs", "7 μs", "2 s", "1,250 seconds"]),
    ("320 GB/s, 3 TB/s, 600 TFLOP, 600 TFLOPS, 1,980 MHz", ["320 GB/s", "3 TB/s", "600 TFLOP", "600 TFLOPS", "1,980 MHz"]),
    ("It reaches 0.98 of the ceiling, or .98\nof it.", ["0.98 of", ".98 of"]),
    ("under 0.7 of its ceiling", ["0.7 of"]),
    ("| dequantize | 14336 x 4096 | 1.58 |", ["1.58"]),
    ("    $ nf4bench show r.h5\n    1.58 times", ["1.58 times"]),
    (f"<!-- {GPU} = rows -->321<!-- end --> rows, and 3 us.", ["3 us"]),
    (f"Takes 3 us. {NOT_RECORDED}\n\nTakes 4 us.", ["4 us"]),
    (f"- Takes 3 us. {NOT_RECORDED}\n- Takes 4 us.", ["4 us"]),
    (f"Takes none. {NOT_RECORDED}", [NOT_RECORDED]),
    # No measurements:
    (f"A row is {DEFINITION}; 4096 x 4096, 4096 × 4096, M 2–32, 4.25 bits, 60 MB, sm80, 2^-126, version 0.50.2", []),
    (f"Takes 3 us, 12 % of all. {NOT_RECORDED}", []),
    (f"It is <!-- {GPU} = rows -->1.58<!-- end --> times as fast.", []),
])
def test_an_unmarked_figure_is_found(text, figures):
    assert unmarked(text) == figures
    for page in QUOTING:
        assert unmarked((ROOT / page).read_text() + f"\n\n{text}\n") == unmarked((ROOT / page).read_text()) + figures


def test_recorded_files_name_no_place_of_a_machine():
    files = list((ROOT / "results/recorded").rglob("*.h5"))
    assert files
    for file in files:
        assert file.stat().st_size < 4 << 20, file
        assert not re.search(rb"/(home|root|tmp|work|Users)/", file.read_bytes()), file
