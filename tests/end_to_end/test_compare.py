"""`nf4bench compare`: two files of one machine, files that are not to be compared, and the three outputs."""

import json
import shutil
import xml.etree.ElementTree

import h5py
import pytest

TINY = """\
suite: tiny
measure: {min_samples: 6, max_samples: 8, max_seconds: 2, settle_seconds: 0}
cases:
  - {op: dequant, shapes: [[16, 64]], regime: [cold, hot], variants: ["nf4_dequant_bf16__scalar*"]}
"""


@pytest.fixture
def files(nf4bench, suite, tmp_path):
    path, out = suite(TINY), [tmp_path / "base.h5", tmp_path / "new.h5"]
    nf4bench("run", path, "-o", out[0])
    shutil.copy(*out)  # of two runs some row would be slower, by chance
    return out


def edit(file, change):
    """Changes rows in place; change(rows) gets the table."""
    with h5py.File(file, "r+") as f:
        rows = f["results"][...]
        change(rows)
        f["results"][...] = rows


def test_every_output_says_the_same(nf4bench, files, tmp_path):
    def slower(rows):
        of = rows["variant"] == b"nf4_dequant_bf16__scalar"
        for column in ("median_us", "median_lo_us", "median_hi_us"):
            rows[column][of] *= 1_000_000  # beyond any interval that a busy machine makes

    edit(files[1], slower)
    said = nf4bench("compare", *files).stdout
    assert "2 SLOWER" in said and "| SLOWER | nf4_dequant_bf16__scalar " in said.replace("  ", " ")
    assert "One run each" in said and "The environments differ" not in said
    rows = json.loads(nf4bench("compare", "--json", *files).stdout)["rows"]
    assert [r["change"] for r in rows[:2]] == ["SLOWER", "SLOWER"] and len(rows) == 4
    assert all(r["ratio_lo"] <= r["ratio"] <= r["ratio_hi"] for r in rows)
    page = tmp_path / "page.html"
    nf4bench("compare", "--html", "-o", page, *files)
    text = page.read_text()
    assert text.count("<td>SLOWER</td>") == 2 and "http" not in text.split("</style>")[1]
    xml.etree.ElementTree.fromstring(text.split(">", 1)[1])


def test_what_was_right_and_is_wrong_is_1(nf4bench, files):
    def broken(rows):
        """As a run has it: what is wrong is not timed, and has one row without a regime."""
        of = rows["variant"] == b"nf4_dequant_bf16__scalar"
        rows["verdict"][of] = 2
        rows["regime"][of] = 0
        rows["sample_count"][of] = 0

    edit(files[1], broken)
    said = nf4bench("compare", *files, code=1).stdout
    assert "BROKEN: PASS, then FAIL" in said and "1 BROKEN" in said
    assert "MENDED" in nf4bench("compare", *reversed(files)).stdout


def test_files_that_are_not_to_be_compared(nf4bench, files, tmp_path):
    def refused(*names):
        return nf4bench("compare", *names, code=2).stderr

    assert "are one file" in refused(files[0], files[0])
    link = tmp_path / "link.h5"
    link.symlink_to(files[0])
    assert "are one file" in refused(files[0], link)
    other = tmp_path / "other.h5"
    shutil.copy(files[0], other)
    edit(other, lambda rows: rows["device"].fill(b"another machine"))
    assert "no verdict is called between devices" in refused(files[0], other)
    shutil.copy(files[0], other)
    edit(other, lambda rows: rows["variant"].fill(b"nf4_dequant_bf16__none"))
    assert "no row in common" in refused(files[0], other)
    for column, nothing in (("sample_count", 0), ("median_us", float("nan"))):
        shutil.copy(files[0], other)
        edit(other, lambda rows: rows[column].fill(nothing))
        assert "no row has times in both" in refused(files[0], other)
        assert "no row has times in both" in refused(other, files[0])
    other.write_bytes(files[0].read_bytes()[:5000])
    assert "other.h5" in refused(files[0], other)
    newer = tmp_path / "newer.h5"
    shutil.copy(files[0], newer)
    with h5py.File(newer, "r+") as f:
        f.attrs["schema_version"] = 99
    assert "99" in refused(files[0], newer)
    assert "two results files" in refused(files[0])


def test_an_unlike_environment_is_told(nf4bench, files):
    with h5py.File(files[1], "r+") as f:
        f.attrs["compiler"] = "another compiler"
    assert "another compiler" in nf4bench("compare", *files).stdout
