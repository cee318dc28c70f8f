"""The README's tables are what results/recorded/ gives, and a stale one is found; no recorded file names a place of
the machine that it was made on."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLES = ROOT / "results/recorded/tables.py"


def tables(script, *arguments):
    return subprocess.run([sys.executable, script, os.environ["NF4BENCH"], *arguments], capture_output=True, text=True)


def test_the_readme_is_up_to_date():
    done = tables(TABLES, "--check")
    assert done.returncode == 0, done.stderr


def test_a_stale_table_is_found_and_written_anew(tmp_path):
    folder = tmp_path / "results/recorded"
    shutil.copytree(ROOT / "results/recorded", folder)
    readme = (ROOT / "README.md").read_text()
    number = re.search(r"(<!-- results/recorded/.*?)(\d\.\d\d\d)", readme, re.DOTALL)
    at = number.start(2)
    (tmp_path / "README.md").write_text(readme[:at] + "9.876" + readme[at + 5 :])
    done = tables(folder / "tables.py", "--check")
    assert done.returncode == 1 and "not what the recorded results give" in done.stderr
    assert tables(folder / "tables.py").returncode == 0
    assert (tmp_path / "README.md").read_text() == readme


def test_recorded_files_name_no_place_of_a_machine():
    files = list((ROOT / "results/recorded").rglob("*.h5"))
    assert files
    for file in files:
        assert file.stat().st_size < 4 << 20, file
        assert not re.search(rb"/(home|root|tmp|work|Users)/", file.read_bytes()), file
