"""nf4bench gate and calibrate: two libraries of kernels against each other, as a CI would see it."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import xml.etree.ElementTree as ElementTree

import h5py
import numpy
import pytest

from conftest import SOURCE

SUITE = """\
suite: two
measure: {settle_seconds: 0}
cases:
  - op: dequant
    shapes: [[512, 512]]
    regime: hot
    threads: 1
    variants: ["nf4_dequant_f32__scalar_one", "nf4_dequant_f32__scalar_two"]
"""
FEW = ["--rounds", "6", "--confirm-rounds", "6"]


@pytest.fixture(scope="module")
def side(tmp_path_factory):
    """Compiles a library of one kind, each time another file. Returns its path."""
    folder = tmp_path_factory.mktemp("sides")

    def build(*defines):
        path = folder / f"{len(list(folder.iterdir()))}.so"
        subprocess.run(
            ["cc", "-std=gnu11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", f"-I{SOURCE}",
             *(f"-D{d}" for d in defines), SOURCE / "tests/end_to_end/gate/side.c", "-o", path],
            check=True,
        )
        return path

    return build


@pytest.fixture
def two(suite):
    return suite(SUITE)


def rows_of(path):
    report = json.loads(path.read_text())
    return {row["variant"].rsplit("_", 1)[1]: row for row in report["rows"]}, report


def test_a_slowed_kernel_is_caught_and_an_untouched_one_is_not(nf4bench, side, two, tmp_path):
    out = {name: tmp_path / name for name in ("gate.json", "junit.xml", "summary.md", "smaller.json")}
    out["summary.md"].write_text("what was there before\n")
    done = nf4bench(
        "gate", two, "--baseline", side(), "--candidate", side("SLOWER=0.3"), *FEW, "--json", out["gate.json"],
        "--junit", out["junit.xml"], "--step-summary", out["summary.md"], "--smaller-is-better", out["smaller.json"],
        "--annotations", code=3,
    )
    rows, report = rows_of(out["gate.json"])
    assert rows["two"]["outcome"] == "REGRESSED" and rows["one"]["outcome"] != "REGRESSED"
    assert 1.2 < rows["two"]["first"]["ratio"] < 1.45 and rows["two"]["confirmation"]["rounds"] == 6
    assert len(rows["two"]["first"]["differences"]) == 6 and min(rows["two"]["first"]["differences"]) > 0.1
    assert report["exit_code"] == 3
    assert "1 REGRESSED" in done.stderr and "exit code 3" in done.stderr
    annotations = [line for line in done.stdout.splitlines() if line.startswith("::")]
    assert any(line.startswith("::error ") and "nf4_dequant_f32__scalar_two" in line for line in annotations)
    summary = out["summary.md"].read_text()
    assert summary.startswith("what was there before\n") and "REGRESSED" in summary
    checked = subprocess.run(
        ["xmllint", "--noout", "--schema", SOURCE / "tests/fixtures/junit.xsd", out["junit.xml"]],
        capture_output=True, text=True,
    )
    assert checked.returncode == 0, checked.stderr
    cases = {c.get("name").split()[0]: c for c in ElementTree.parse(out["junit.xml"]).iter("testcase")}
    assert cases["nf4_dequant_f32__scalar_two"].find("failure") is not None
    assert cases["nf4_dequant_f32__scalar_one"].find("failure") is None
    smaller = json.loads(out["smaller.json"].read_text())
    assert len(smaller) == 2 and all(row["unit"] == "us" and row["value"] > 0 for row in smaller)


def test_the_same_code_is_no_regression(nf4bench, side, two, tmp_path):
    path = tmp_path / "gate.json"
    nf4bench("gate", two, "--baseline", side(), "--candidate", side(), *FEW, "--allow-inconclusive", "--json", path)
    rows, _ = rows_of(path)
    assert {row["outcome"] for row in rows.values()} <= {"SAME", "INCONCLUSIVE"}


def test_a_faster_kernel_is_improved(nf4bench, side, two, tmp_path):
    path = tmp_path / "gate.json"
    nf4bench("gate", two, "--baseline", side("SLOWER=0.3"), "--candidate", side(), *FEW, "--allow-inconclusive",
             "--json", path)
    assert rows_of(path)[0]["two"]["outcome"] == "IMPROVED"


@pytest.mark.parametrize(
    "kind, reason",
    [
        ("WRONG", "exhaustive_decode|real_data"),
        ("LACKS", "the baseline has this variant and the candidate has not"),
        ("CRASHES", "SIGABRT"),
        ("CRASHES_LATE", "SIGABRT"),
        ("HANGS", "did not end within 1 s"),
    ],
)
def test_a_wrong_candidate_fails_whatever_its_times(nf4bench, side, two, tmp_path, kind, reason):
    path = tmp_path / "gate.json"
    nf4bench("gate", two, "--baseline", side(), "--candidate", side(kind), "--rounds", 3, "--device", "cpu,limit=1",
             "--json", path, code=1)
    rows, _ = rows_of(path)
    assert rows["two"]["outcome"] == "WRONG" and re.search(reason, rows["two"]["reason"])
    assert rows["one"]["outcome"] in ("SAME", "INCONCLUSIVE") and rows["one"]["first"]["rounds"] == 3


def test_a_wrong_baseline_is_no_fault_of_the_candidate(nf4bench, side, two, tmp_path):
    path = tmp_path / "gate.json"
    nf4bench("gate", two, "--baseline", side("WRONG"), "--candidate", side(), "--rounds", 3, "--allow-inconclusive",
             "--json", path)
    rows, _ = rows_of(path)
    assert rows["two"]["outcome"] == "SKIPPED" and "the baseline is wrong" in rows["two"]["reason"]


def test_a_new_variant_is_verified_and_not_compared(nf4bench, side, two, tmp_path):
    path = tmp_path / "gate.json"
    nf4bench("gate", two, "--baseline", side("LACKS"), "--candidate", side(), "--rounds", 3, "--allow-inconclusive",
             "--json", path)
    assert rows_of(path)[0]["two"]["outcome"] == "SKIPPED"
    nf4bench("gate", two, "--baseline", side("LACKS"), "--candidate", side("WRONG"), "--rounds", 3, code=1)


def test_a_new_variant_that_cannot_run_here_is_not_called(nf4bench, side, suite, tmp_path):
    path = tmp_path / "gate.json"
    three = suite(SUITE.replace('"nf4_dequant_f32__scalar_two"', '"nf4_dequant_f32__scalar_two", "*_three"'))
    nf4bench("gate", three, "--baseline", side(), "--candidate", side("THIRD"), "--rounds", 3, "--allow-inconclusive",
             "--json", path)
    row = rows_of(path)[0]["three"]
    assert row["outcome"] == "SKIPPED" and "multiples of 7" in row["reason"]


def test_what_a_library_prints_disturbs_nothing(nf4bench, side, two):
    nf4bench("gate", two, "--baseline", side("PRINTS"), "--candidate", side("PRINTS"), "--rounds", 3, "--allow-inconclusive")


def test_bad_arguments_are_told(nf4bench, side, two, tmp_path, suite):
    base = side()
    linked, hard, broken = tmp_path / "linked.so", tmp_path / "hard.so", tmp_path / "broken.so"
    linked.symlink_to(base)
    os.link(base, hard)
    broken.write_bytes(base.read_bytes()[:1000])

    def fails(*arguments):
        return nf4bench("gate", *arguments, code=2).stderr

    for same in (base, linked, hard):
        assert "copy" in fails(two, "--baseline", base, "--candidate", same)
    assert re.search("cannot be loaded|SIGBUS", fails(two, "--baseline", base, "--candidate", broken))
    assert "nothing.so" in fails(two, "--baseline", "nothing.so", "--candidate", base)
    assert "--baseline" in fails(two, "--candidate", base)
    assert "suite" in fails("--baseline", base, "--candidate", base)
    assert "executor" in fails(two, "--baseline", base, "--candidate", base, "--device", "simt:fast")
    other = suite(SUITE.replace("dequant\n", "gemm\n    m: 1\n", 1), "other.yaml")
    assert "no variant" in fails(other, "--baseline", base, "--candidate", side())
    assert "'*nothing*'" in fails(two, "--baseline", base, "--candidate", side(), "-v", "*nothing*")


def test_an_output_that_cannot_be_written_keeps_no_other_back(nf4bench, side, two, tmp_path):
    path = tmp_path / "gate.json"
    done = nf4bench("gate", two, "--baseline", side(), "--candidate", side(), "--rounds", 3, "--junit",
                    tmp_path / "nowhere/junit.xml", "--json", path, code=2)
    assert "nowhere/junit.xml" in done.stderr and path.exists()


def test_an_interrupt_ends_it_and_all_that_it_started(nf4bench, side, two):
    gate = subprocess.Popen(
        [nf4bench.path, "gate", two, "--baseline", side(), "--candidate", side(), "--rounds", "500"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )
    time.sleep(3)
    gate.send_signal(signal.SIGTERM)
    _, stderr = gate.communicate(timeout=60)
    assert gate.returncode == 130 and "interrupted" in stderr
    time.sleep(0.5)
    with pytest.raises(ProcessLookupError):
        os.killpg(gate.pid, 0)


# ---- calibration ----


@pytest.fixture(scope="module")
def calibrated(nf4bench, side, tmp_path_factory):
    """A calibration of the two rows, and its library."""
    folder = tmp_path_factory.mktemp("calibration")
    library, path = side(), folder / "calibration.h5"
    (folder / "two.yaml").write_text(SUITE)
    done = nf4bench("calibrate", folder / "two.yaml", "--candidate", library, "-o", path, "--gates", 3, "--rounds", 4,
                    "--confirm-rounds", 5)
    assert "false alarms in 6 row-gates" in done.stdout and "clock readings" in done.stdout
    nf4bench("calibrate", folder / "two.yaml", "--candidate", library, "-o", path, code=2)
    return library, path


def changed(path, to, **attributes):
    shutil.copy(path, to)
    with h5py.File(to, "r+") as f:
        for name, value in attributes.items():
            f.attrs[name] = value
    return to


def test_a_calibration_holds_all_that_was_measured(calibrated):
    with h5py.File(calibrated[1]) as f:
        assert f["us"].shape == (2, 3, 5, 6) and numpy.isfinite(f["us"][:]).all()
        assert list(f["levels"]) == [0, 0.01, 0.02, 0.03, 0.05]
        assert f.attrs["row_gates"] == 6 and 0 <= f.attrs["false_alarm_rate_lower"] <= f.attrs["false_alarm_rate_upper"]
        row = f["rows"][0]
        assert row["variant"] == b"nf4_dequant_f32__scalar_one" and row["noise_floor"] >= 0
        # The slowdowns are there: over all rounds, their medians have the ratios that were asked for.
        us = f["us"][:].reshape(2, -1, 6)
        ratios = numpy.median(us[:, :, 1:] / us[:, :, :1], axis=(0, 1))
        assert abs(ratios[0] - 1) < 0.02 and abs(ratios[4] - ratios[0] - 0.05) < 0.02


def test_a_gate_takes_a_calibration(nf4bench, side, two, calibrated, tmp_path):
    out = tmp_path / "gate.json"
    nf4bench("gate", two, "--baseline", calibrated[0], "--candidate", side("SLOWER=0.5"), *FEW, "--calibration",
             changed(calibrated[1], tmp_path / "c.h5", false_alarm_rate_lower=0.0), "--json", out, code=3)
    rows, report = rows_of(out)
    assert "6 row-gates" in report["calibration"] and rows["two"]["threshold"] >= 0.01


def test_a_gate_that_cries_wolf_is_disabled(nf4bench, side, two, calibrated, tmp_path):
    noisy = changed(calibrated[1], tmp_path / "noisy.h5", false_alarm_rate_lower=0.02, false_alarm_rate_upper=0.5)
    arguments = ["gate", two, "--baseline", calibrated[0], "--rounds", 3, "--calibration", noisy]
    done = nf4bench(*arguments, "--candidate", side("SLOWER=0.5"), "--allow-inconclusive", code=4)
    assert "disabled" in done.stdout and "disabled" in done.stderr
    nf4bench(*arguments, "--candidate", side("WRONG"), code=1)


def test_calibrations_that_do_not_fit_are_refused(nf4bench, side, suite, calibrated, tmp_path, results):
    library, good = calibrated
    other, two = side(), suite(SUITE, "two.yaml")

    def fails(path):
        return nf4bench("gate", two, "--baseline", library, "--candidate", other, "--calibration", path, code=2).stderr

    assert "another GPU" in fails(changed(good, tmp_path / "a.h5", device_name="another GPU"))
    assert "schema version 2" in fails(changed(good, tmp_path / "b.h5", schema_version=2))
    assert "not a file of `nf4bench calibrate`" in fails(results)
    assert "no bounds" in fails(changed(good, tmp_path / "c.h5", false_alarm_rate_lower=float("nan")))
    cut = tmp_path / "cut.h5"
    cut.write_bytes(good.read_bytes()[:3000])
    assert "cannot be read" in fails(cut)
    nan = changed(good, tmp_path / "nan.h5")
    with h5py.File(nan, "r+") as f:
        rows = f["rows"][:]
        rows["noise_floor"] = numpy.nan
        f["rows"][:] = rows
    assert "no noise floor" in fails(nan)


# ---- history ----

TIMED = """\
suite: timed
measure: {min_samples: 5, max_samples: 5, max_seconds: 2, settle_seconds: 0}
cases: [{op: dequant, shapes: [[64, 64]], regime: hot, threads: 1, variants: ["nf4_dequant_f32__scalar"]}]
"""


def test_recorded_results_are_held_against_their_history(nf4bench, suite, tmp_path):
    base = tmp_path / "0.h5"
    nf4bench("run", suite(TIMED), "-o", base)

    def like(name, factor, **attributes):
        path = changed(base, tmp_path / name, **attributes)
        with h5py.File(path, "r+") as f:
            rows = f["results"][:]
            rows["median_us"] = rows["median_us"] * factor
            f["results"][:] = rows
        return path

    history = [like(f"{i + 1}.h5", 1 + 0.001 * i) for i in range(5)]
    arguments = [word for path in history for word in ("--history", path)]
    out = tmp_path / "gate.json"
    for factor, outcome in ((1.002, "SAME"), (1.2, "REGRESSED"), (0.8, "IMPROVED")):
        done = nf4bench("gate", *arguments, like("now.h5", factor), "--json", out)
        rows, report = rows_of(out)
        assert rows["scalar"]["outcome"] == outcome and report["advisory"]
        assert "advisory" in done.stdout.lower()
    elsewhere = like("elsewhere.h5", 1, cpu_model="another")
    done = nf4bench("gate", *arguments[:-2], "--history", elsewhere, like("now.h5", 1), code=2)
    assert "left out of the history" in done.stderr and "cpu_model" in done.stderr
    assert "5 earlier times" in done.stderr
