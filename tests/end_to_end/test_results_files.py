"""What others see in a results file: h5py, pandas, PyTables, h5dump, and the exports in Python's csv and json.

Run by ctest, or by hand with NF4BENCH_JOURNAL_DRIVER set (see test_kill.py).
"""

import csv
import io
import json
import math
import os
import shutil
import subprocess
import warnings

import h5py
import numpy
import pandas
import pytest
import tables

from conftest import missing

ROWS = 300


@pytest.fixture(scope="module")
def driver():
    path = os.environ.get("NF4BENCH_JOURNAL_DRIVER")
    if not path or not os.path.exists(path):
        pytest.fail(f"NF4BENCH_JOURNAL_DRIVER must name a built file (ctest sets it): {path!r}")
    return os.path.abspath(path)


@pytest.fixture(scope="module")
def path(driver, tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "run.h5"
    subprocess.run([driver, "run", path, str(ROWS)], check=True)
    return path


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def words(table, column):
    return {value: word for word, value in h5py.check_enum_dtype(table.dtype[column]).items()}


def test_h5py(path):
    with h5py.File(path, "r") as f:
        table = f["results"]
        assert table.shape == (ROWS,)
        assert table[7]["case_key"].decode() == "row 7"
        assert words(table, "verdict")[1] == "PASS"
        assert words(table, "op") == {0: "dequant", 1: "gemm", 2: "gemmdx", 3: "repack", 4: "unrepack"}
        assert words(table, "regime") == {0: "none", 1: "cold", 2: "hot"}
        assert h5py.check_enum_dtype(f["types/verdict"].dtype) == h5py.check_enum_dtype(table.dtype["verdict"])
        assert set(f["types"]) == {c for c in table.dtype.names if h5py.check_enum_dtype(table.dtype[c])}
        for name in table.dtype.names:
            kind = h5py.check_string_dtype(table.dtype[name])
            if kind:
                assert kind.encoding == "utf-8" and kind.length
                for text in table[name]:
                    text.decode("utf-8")
        assert table.dtype["median_us"] == numpy.float64 and table.dtype["seed"] == numpy.uint64
        assert numpy.isnan(table["median_us"]).any() and not numpy.isnan(table["median_us"]).all()


def test_h5py_attributes(path):
    with h5py.File(path, "r") as f:
        assert f.attrs["schema_version"] == 1
        assert f.attrs["host"] == "café"
        assert json.loads(f.attrs["argv"]) == ["a", "b c"]
        assert f.attrs["clock_hz"] == 2.5e9 and f.attrs["cores"] == 2 and f.attrs["note"] == ""
        assert f["samples/time_us"].attrs["unit"] == "us"
        table = f["results"]
        assert table.attrs["unit_median_us"] == "us" and table.attrs["unit_verify_s"] == "s"
        assert table.attrs["unit_bytes_per_s"] == "B/s"
        assert "unit_m" not in table.attrs
        for name in table.dtype.names:
            assert len(table.attrs["doc_" + name]) > 3


def test_samples(path):
    with h5py.File(path, "r") as f:
        table, samples = f["results"][:], f["samples/time_us"][:]
        ends = table["sample_start"] + table["sample_count"]
        assert table["sample_start"][0] == 0 and (ends[:-1] == table["sample_start"][1:]).all()
        assert ends[-1] == len(samples)
        assert (samples >= 1).all()


def test_pandas(path):
    frame = pandas.read_hdf(path, "results")
    with h5py.File(path, "r") as f:
        table = f["results"][:]
    assert list(frame.columns) == list(table.dtype.names) and len(frame) == ROWS
    for name in frame.columns:
        if table.dtype[name].kind == "S":
            assert [t.decode("utf-8") for t in table[name]] == list(frame[name]), name
        else:
            assert numpy.array_equal(frame[name].to_numpy(), table[name], equal_nan=table.dtype[name].kind == "f"), name
    assert frame.loc[7, "case_key"] == "row 7"
    assert frame["variant"].str.contains("é").any()


def test_pandas_lists_the_table(path):
    with pandas.HDFStore(path, "r") as store:
        assert store.keys(include="native") == ["/results"]


def test_pytables(path):
    with tables.open_file(path, "r") as f:
        table = f.root.results
        assert table.nrows == ROWS and table.attrs.CLASS == "TABLE" and table.attrs.VERSION == "3.0"
        assert table.get_enum("verdict").PASS == 1
        assert [r["case_key"] for r in table.where("verdict == 1")]
        assert f.root._v_attrs.host == "café"
        for node in f.walk_nodes("/"):
            str(node)


def test_h5dump(path):
    if not shutil.which("h5dump"):
        missing("h5dump is not installed")

    def dump(*arguments):
        return subprocess.run(["h5dump", *arguments, path], check=True, capture_output=True, text=True).stdout

    assert '"row 299"' in dump()
    assert 'ATTRIBUTE "host"' in dump("-a", "/host")
    unit = dump("-a", "/results/unit_median_us")
    assert '(0): "us"' in unit
    assert "H5T_ENUM" in dump("-H")


def export(driver, path, *arguments):
    return subprocess.run([driver, "export", arguments[0], path, *arguments[1:]], check=True, capture_output=True,
                          text=True, encoding="utf-8").stdout


def same(text_or_number, value, enum_words):
    if enum_words is not None:
        return text_or_number == enum_words[value]
    if isinstance(value, bytes):
        return text_or_number == value.decode("utf-8")
    if isinstance(value, numpy.floating):
        if math.isnan(value):
            return text_or_number in ("", None)
        return float(text_or_number) == value
    return int(text_or_number) == value


def test_csv(driver, path):
    rows = list(csv.DictReader(io.StringIO(export(driver, path, "csv"), newline="")))
    with h5py.File(path, "r") as f:
        table = f["results"]
        enums = {c: words(table, c) if h5py.check_enum_dtype(table.dtype[c]) else None for c in table.dtype.names}
        assert len(rows) == ROWS and list(rows[0]) == list(table.dtype.names)
        for row, want in zip(rows, table[:]):
            for name in enums:
                assert same(row[name], want[name], enums[name]), (name, row[name], want[name])


def test_csv_in_pandas(driver, path):
    frame = pandas.read_csv(io.StringIO(export(driver, path, "csv")), float_precision="round_trip")
    want = pandas.read_hdf(path, "results")
    assert numpy.array_equal(frame["median_us"], want["median_us"], equal_nan=True)
    assert numpy.array_equal(frame["seed"].astype("uint64"), want["seed"])


def test_jsonl(driver, path):
    rows = [json.loads(line, parse_constant=pytest.fail) for line in export(driver, path, "jsonl").splitlines()]
    with h5py.File(path, "r") as f:
        table, samples = f["results"], f["samples/time_us"][:]
        enums = {c: words(table, c) if h5py.check_enum_dtype(table.dtype[c]) else None for c in table.dtype.names}
        assert len(rows) == ROWS
        for row, want in zip(rows, table[:]):
            assert list(row) == [*table.dtype.names, "samples_us"]
            for name in enums:
                assert same(row[name], want[name], enums[name]), (name, row[name], want[name])
            start = int(want["sample_start"])
            assert row["samples_us"] == list(samples[start:start + int(want["sample_count"])])


def test_markdown(driver, path):
    text = export(driver, path, "md")
    assert text.startswith("# ") and "## Verdicts" in text and "### row 0\n" in text
    cells = {}
    for number, line in enumerate(text.splitlines()):
        if line.startswith("|"):
            assert line.endswith(" |")
            cells[number] = line.replace("\\|", "").count("|")
    for number, count in cells.items():
        assert cells.get(number - 1, count) == count


def test_a_damaged_file_is_one_line(driver, path, tmp_path):
    whole = path.read_bytes()
    broken = tmp_path / "broken.h5"
    broken.write_bytes(whole[:len(whole) // 2])
    ended = subprocess.run([driver, "export", "csv", broken], capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stdout == ""
    assert str(broken) in ended.stderr and ended.stderr.count("\n") == 1
