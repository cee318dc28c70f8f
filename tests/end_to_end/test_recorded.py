"""What README.md and docs/ quote is what results/recorded/ gives: a stale table or figure is found and written anew, a
figure of a time that is not recomputed is found; no recorded file names a place of the machine that it was made on."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLES = ROOT / "results/recorded/tables.py"


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
], ids=["unknown", "suspect", "malformed"])
def test_a_figure_needs_a_row_that_passed(copy, what, said):
    page = copy / "README.md"
    page.write_text(page.read_text() + f"<!-- results/recorded/nvidia-h200/gpu.h5 = {what} -->1.00<!-- end -->\n")
    done = tables(copy / "results/recorded/tables.py", "--check")
    assert done.returncode == 1 and said in done.stderr


def unmarked(text):
    """Ratios, percentages and times in the prose of a page that no mark recomputes."""
    prose = re.sub(r"<!-- results/recorded/\S+: .*?<!-- end of table -->", "", text, flags=re.DOTALL)
    prose = re.sub(r"<!-- .*?-->[^<\n]*<!-- end -->", "", prose)
    prose = re.sub(r"<!--.*?-->|^ {4}.*$|`[^`\n]*`", "", prose, flags=re.MULTILINE)
    return re.findall(r"\d+\.\d+ times|\d[\d.]* ?(?:%|us\b|µs)|\b(?:at|with) \d\.\d+ of", prose)


@pytest.mark.parametrize("page", ["README.md", "docs/findings.md"])
def test_every_figure_is_marked(page):
    text = (ROOT / page).read_text()
    assert not unmarked(text)
    assert not re.search(r"^ *<!-- \S+ = ", text, re.MULTILINE)  # Markdown would take the line for a block of HTML
    assert unmarked(text + "\nIt is 1.58 times as fast, 12 % of it at 3.5 us.\n") == ["1.58 times", "12 %", "3.5 us"]


def test_recorded_files_name_no_place_of_a_machine():
    files = list((ROOT / "results/recorded").rglob("*.h5"))
    assert files
    for file in files:
        assert file.stat().st_size < 4 << 20, file
        assert not re.search(rb"/(home|root|tmp|work|Users)/", file.read_bytes()), file
