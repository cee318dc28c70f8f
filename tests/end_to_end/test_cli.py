"""The commands, as a user runs them, and the files they leave, as other programs read them."""

import fcntl
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import stat
import subprocess
import time

import h5py
import pytest

from conftest import SOURCE, children

RECORDED = SOURCE / "results/recorded/xeon-avx512-2-cores/nf4-vs-int4.h5"


def test_help_and_version(nf4bench):
    for argument in ("--help", "help"):
        text = nf4bench(argument).stdout
        for command in ("list", "verify", "try", "run", "show", "report", "export"):
            assert re.search(rf"^  {command} ", text, re.M)
    assert nf4bench("--version").stdout.startswith("nf4bench ")
    assert "--resume" in nf4bench("run", "--help").stdout
    assert "--resume" not in nf4bench("verify", "--help").stdout


def test_wrong_command_suggests(nf4bench):
    done = nf4bench("verfy", code=2)
    assert "did you mean 'verify'?" in done.stderr


def test_list_says_what_runs_here(nf4bench):
    lines = nf4bench("list").stdout.splitlines()
    names = [line.split()[0] for line in lines]
    assert len(names) == len(set(names)) > 50
    for line in lines:
        assert "runs here" in line or "skipped: " in line
    assert all("__scalar" in n for n in (l.split()[0] for l in nf4bench("list", "*__scalar").stdout.splitlines()))
    assert "no variant matches" in nf4bench("list", "no_such_*", code=2).stderr


def test_verify_passes_and_counts(nf4bench, small):
    done = nf4bench("verify", small)
    assert re.search(r"^\d+ pass, 0 fail, 0 mistrusted, \d+ skipped$", done.stdout, re.M)


def test_cuda_kernels_run_under_the_executor(nf4bench, tmp_path):
    case = ("--case", "dequant bf16 n=40 k=100 blocksize=64")
    for device in ("simt", "simt:fast,schedule=3,async=eager"):
        done = nf4bench("verify", *case, "--device", device, "-V")
        assert re.search(r"^PASS +nf4_dequant_bf16__sm75_", done.stdout, re.M)
        assert "__scalar" not in done.stdout
    out = tmp_path / "r.h5"
    nf4bench("run", *case, "--device", "simt", "-o", out)
    with h5py.File(out) as f:
        assert f.attrs["device"] == "simt:fast"
        rows = f["results"][:]
        assert len(rows) and all(r["sample_count"] == 0 for r in rows)  # no time of the executor is recorded


def test_unknown_device_says_what_there_is(nf4bench, small):
    assert "simt:checked" in nf4bench("verify", small, "--device", "gpu", code=2).stderr


def test_repro_line_runs_one_case(nf4bench):
    case = "gemm bf16 m=4 n=96 k=100 blocksize=64 nested=0 bias=1 seed=1 weights=normal"
    done = nf4bench("verify", "--case", case, "--variant", "nf4_gemm_bf16_acc1__scalar", "-V")
    assert "PASS" in done.stdout and "1 pass, 0 fail" in done.stdout


def test_unknown_variant_suggests(nf4bench, small):
    done = nf4bench("verify", small, "-v", "nf4_gemm_f32_acc1__scalra", code=2)
    assert "did you mean 'nf4_gemm_f32_acc1__scalar'?" in done.stderr
    assert done.stderr.count("\n") == 1


def test_suite_errors_point_at_the_place(nf4bench, suite):
    path = suite("suite: x\ncases:\n  - op: dequant\n    shaps: [[1, 2]]\n")
    done = nf4bench("verify", path, code=2)
    assert f"{path}:4:5:" in done.stderr and "shaps" in done.stderr and "^" in done.stderr
    assert "shapes" in done.stderr


def test_dry_run_runs_nothing(nf4bench, small, tmp_path):
    done = nf4bench("run", small, "-o", tmp_path / "x.h5", "--dry-run")
    assert re.search(r"^\d+ rows in \d+ groups, \d+ of them skipped; about \d+ s$", done.stdout, re.M)
    assert os.listdir(tmp_path) == ["suite.yaml"]


def test_axis_overrides(nf4bench, small):
    text = nf4bench("run", small, "--dry-run", "-a", "m=7", "-a", "blocksize=128").stdout
    assert " m=7 " in text and " m=1 " not in text and "blocksize=64" not in text


def test_run_writes_every_sample(results):
    with h5py.File(results) as f:
        rows = f["results"][:]
        samples = f["samples/time_us"][:]
        assert f["samples/time_us"].attrs["unit"] in (b"us", "us")
        for key in ("git_revision", "compiler", "cpu_model", "argv", "plan_hash", "started_utc"):
            assert key in f.attrs, key
        timed = rows[rows["sample_count"] > 0]
        assert len(timed) > 10
        assert sum(timed["sample_count"]) == len(samples)
        for row in timed:
            part = samples[row["sample_start"] : row["sample_start"] + row["sample_count"]]
            assert 3 <= len(part) <= 5 and (part > 0).all()
            assert abs(sorted(part)[len(part) // 2] - row["median_us"]) < 1e-9 or len(part) % 2 == 0
        # The rows of a group have the same rounds, and their ceilings among them.
        for group in set(timed["group_id"]):
            members = timed[timed["group_id"] == group]
            assert len(set(members["sample_count"])) == 1
            ceilings = sum(m["variant"].startswith(b"ceiling_") for m in members)
            assert ceilings == (2 if b"dequant" in members[0]["case_key"] else 1)


def test_show_export_report(nf4bench, results, tmp_path):
    text = nf4bench("show", results, "--against", "*scalar").stdout
    assert "nf4_dequant_bf16__scalar" in text and "| " in text
    lines = nf4bench("export", "--csv", results).stdout.splitlines()
    with h5py.File(results) as f:
        assert len(lines) == 1 + len(f["results"])
        assert lines[0].split(",") == list(f["results"].dtype.names)
    rows = [json.loads(line) for line in nf4bench("export", "--jsonl", results).stdout.splitlines()]
    assert all(len(r["samples_us"]) == r["sample_count"] for r in rows)
    described = nf4bench("export", "--columns").stdout
    assert all(f"| {name} |" in described for name in lines[0].split(","))
    page = tmp_path / "r.html"
    nf4bench("report", results, "-o", page)
    html = page.read_text()
    assert "nf4_dequant_bf16__scalar" in html and "<svg" in html and "<script src" not in html


def test_output_is_not_overwritten_unless_asked(nf4bench, small, results):
    before = results.read_bytes()
    assert "--force" in nf4bench("run", small, "-o", results, code=2).stderr
    assert results.read_bytes() == before
    nf4bench("run", small, "-o", results, "--force")
    assert results.read_bytes() != before


@pytest.mark.parametrize("command", ["report F -o O", "export F -o O", "export --jsonl F -o O", "compare F F -o O",
                                     "compare --json F F -o O", "gate F --history F -o O", "gate F --history F --json O",
                                     "gate F --history F --junit O", "gate F --history F --step-summary O"])
@pytest.mark.parametrize("way", ["itself", "link", "other name"])
def test_an_output_never_replaces_measurements(nf4bench, tmp_path, command, way):
    results = tmp_path / "r.h5"
    results.write_bytes(RECORDED.read_bytes())
    out = {"itself": results, "link": tmp_path / "link", "other name": tmp_path / "copy"}[way]
    if way == "link":
        out.symlink_to(results)
    elif way == "other name":
        os.link(results, out)
    done = nf4bench(*[{"F": results, "O": out}.get(word, word) for word in command.split()], code=2)
    assert str(out) in done.stderr and results.read_bytes() == RECORDED.read_bytes()


def test_force_replaces_results_only(nf4bench, small, results, tmp_path):
    other = tmp_path / "suite"
    other.write_text("suite: mine\n")
    for command in (["run", small, "--force"], ["verify", small, "--force"], ["merge", results, "--force"]):
        assert "is not an HDF5 file" in nf4bench(*command, "-o", other, code=2).stderr
    assert other.read_text() == "suite: mine\n"
    before = results.read_bytes()
    assert "is one of the parts" in nf4bench("merge", results, "-o", results, "--force", code=2).stderr
    assert "no output's" in nf4bench("gate", small, "-o", small, "--baseline", "none.so", code=2).stderr
    assert "ending of HDF5" in nf4bench("report", results, "-o", tmp_path / "new.h5", code=2).stderr
    assert results.read_bytes() == before and not (tmp_path / "new.h5").exists()


def test_no_permission_and_no_folder(nf4bench, small, tmp_path):
    done = nf4bench("run", small, "-o", tmp_path / "no" / "x.h5", code=2)
    assert "x.h5" in done.stderr
    if os.geteuid() != 0:
        locked = tmp_path / "locked"
        locked.mkdir()
        locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
        assert "x.h5" in nf4bench("run", small, "-o", locked / "x.h5", code=2).stderr


def test_unreadable_and_foreign_results(nf4bench, small, tmp_path):
    missing = nf4bench("show", tmp_path / "missing.h5", code=2)
    assert "missing.h5" in missing.stderr and missing.stderr.count("\n") == 1
    assert "suite.yaml" in nf4bench("show", small, code=2).stderr
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as f:
        f["else"] = [1, 2, 3]
    assert "foreign.h5" in nf4bench("show", foreign, code=2).stderr


def test_full_disk_loses_nothing(nf4bench, suite, tmp_path):
    """A file size limit stands for the full disk: write(2) fails in the middle of the run, or of the build."""
    small = suite(
        "suite: hot\nmeasure: {min_samples: 3, max_samples: 3, max_seconds: 2, settle_seconds: 0}\ncases:\n"
        '  - {op: dequant, shapes: [[16, 64], [3, 33], [8, 96]], regime: hot, variants: ["nf4_dequant_bf16__*"]}\n'
    )
    lost = 0
    for limit in (2000, 6000, 12000, 20000, 30000):
        out = tmp_path / f"limited-{limit}.h5"
        done = subprocess.run(
            [nf4bench.path, "run", small, "-o", out],
            capture_output=True,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )
        if done.returncode == 0:
            continue
        lost += 1
        assert done.returncode == 2, done.stderr
        assert not out.exists() and not pathlib.Path(f"{out}.tmp").exists()
        assert "--resume" in done.stderr or "journal" in done.stderr or "ulimit -f" in done.stderr
        journal = pathlib.Path(f"{out}.journal")
        if journal.exists() and journal.stat().st_size > 0:
            nf4bench("run", "--resume", out)
            with h5py.File(out) as f:
                assert len(f["results"]) > 10
    assert lost >= 2


def test_interrupt_keeps_rows_and_resume_completes(nf4bench, suite, tmp_path):
    path = suite(
        "suite: slow\nmeasure: {min_samples: 20, max_samples: 20, max_seconds: 60, settle_seconds: 0}\ncases:\n"
        "  - {op: dequant, shapes: ["
        + ", ".join(f"[{512 + i}, 512]" for i in range(40))
        + '], regime: hot, variants: ["nf4_dequant_f32__scalar"]}\n'
    )
    out = tmp_path / "slow.h5"
    run = subprocess.Popen([nf4bench.path, "run", path, "-o", out], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    journal = pathlib.Path(f"{out}.journal")
    deadline = time.time() + 60
    while time.time() < deadline and not (journal.exists() and journal.stat().st_size > 8000):
        time.sleep(0.005)
    for _ in range(2):  # as timeout(1) does: the process, then its group
        run.send_signal(signal.SIGINT)
        time.sleep(0.02)
    _, stderr = run.communicate(timeout=60)
    if run.returncode == 0:
        pytest.skip("the run was over before the signal came")
    assert run.returncode == 130
    assert b"--resume" in stderr
    with h5py.File(out) as f:
        before = f["results"][:]
        assert 1 <= len(before) < 120
    nf4bench("run", "--resume", out)
    assert not journal.exists()
    with h5py.File(out) as f:
        after = f["results"][:]
        assert len(after) == 120  # 40 shapes, the variant and two ceilings
        assert (after[: len(before)]["median_us"] == before["median_us"]).all()


def test_a_file_that_comes_during_a_run_is_not_replaced(nf4bench, suite, tmp_path):
    path = suite(
        "suite: slow\nmeasure: {min_samples: 20, max_samples: 20, max_seconds: 60, settle_seconds: 0.5}\ncases:\n"
        '  - {op: dequant, shapes: [[512, 512]], regime: hot, variants: ["nf4_dequant_f32__scalar"]}\n'
    )
    out, aside = tmp_path / "x.h5", tmp_path / "aside"
    run = subprocess.Popen([nf4bench.path, "run", path, "-o", out], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    journal = pathlib.Path(f"{out}.journal")
    while run.poll() is None and not journal.exists():
        time.sleep(0.001)
    out.write_text("somebody's")
    _, stderr = run.communicate(timeout=120)
    assert run.returncode == 2 and b"made by somebody else during the run" in stderr, stderr
    assert out.read_text() == "somebody's"
    out.rename(aside)
    nf4bench("run", "--resume", out)
    assert aside.read_text() == "somebody's" and not journal.exists()
    with h5py.File(out) as f:
        assert len(f["results"]) == 3  # the variant and two ceilings


@pytest.mark.parametrize("command", ["report {} -o page.html", "show {}", "compare {0} {0} -o page.md"])
def test_the_first_interrupt_ends_what_measures_nothing(nf4bench, tmp_path, command):
    """And leaves no file behind. Sixteen times the H200's rows take seconds to read."""
    words = command.format(*[SOURCE / "results/recorded/nvidia-h200/gpu.h5"] * 2).split()
    if words[0] == "report":
        words[1:2] = words[1:2] * 16
    started = subprocess.Popen([nf4bench.path, *words], cwd=tmp_path, stdout=subprocess.DEVNULL)
    for _ in range(2000):  # until it reads: before, a signal ends any process
        if children(started.pid):
            break
        time.sleep(0.001)
    started.send_signal(signal.SIGINT)
    assert started.wait(timeout=60) == -signal.SIGINT
    assert list(tmp_path.iterdir()) == []


def test_a_small_suite_that_makes_millions_of_rows_is_refused(nf4bench, suite):
    shapes = ", ".join(f"[{i}, 64]" for i in range(1, 1001))
    m = ", ".join(map(str, range(1, 1001)))
    path = suite(f"suite: big\ncases:\n  - {{op: gemm, m: [{m}], shapes: [{shapes}]}}\n")
    assert "suite big makes more than 2097152 rows" in nf4bench("run", path, "--dry-run", code=2).stderr


def test_a_second_run_on_the_same_output_is_told(nf4bench, small, tmp_path):
    out = tmp_path / "x.h5"
    with open(f"{out}.journal", "w") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        assert "another nf4bench is writing" in nf4bench("run", small, "-o", out, code=2).stderr


BROKEN_OFF = """\
suite: broken
measure: {min_samples: 2, max_samples: 2, max_seconds: 60, settle_seconds: 0}
cases:
  - {op: dequant, shapes: [[48, 64], [49, 64], [50, 64], [51, 64]], variants: ["nf4_dequant_f32__*"]}
"""


def broken_off(nf4bench, path, out):
    """A run that was killed after its journal had the rows of two groups or more."""
    journal = pathlib.Path(f"{out}.journal")
    done = subprocess.run(
        [nf4bench.path, "run", path, "-o", out, "-q"],
        env={**os.environ, "LD_PRELOAD": os.environ["NF4BENCH_KILLAT"], "KILLAT_MATCH": str(out), "KILLAT_N": "7",
             "KILLAT_COUNT_FILE": str(out.parent / "count")},
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == -9 and journal.exists(), done.stderr
    return journal


def test_resume_leaves_out_what_broke_the_run(nf4bench, suite, tmp_path):
    out = tmp_path / "x.h5"
    broken_off(nf4bench, suite(BROKEN_OFF), out)
    nf4bench("run", "--resume", out, "-v", "!*scalar")
    with h5py.File(out) as f:
        left = [r for r in f["results"][:] if b"scalar" in r["variant"] and b"left out when" in r["reason"]]
        assert 1 <= len(left) <= 3  # what was recorded before stays


def test_resume_on_another_build(nf4bench, suite, tmp_path):
    out = tmp_path / "x.h5"
    broken_off(nf4bench, suite(BROKEN_OFF), out)
    other = tmp_path / "nf4bench"
    shutil.copy(nf4bench.path, other)
    with open(other, "ab") as f:
        f.write(b"another build")
    done = subprocess.run([other, "run", "--resume", out], capture_output=True, text=True)
    assert done.returncode == 2 and "program_hash was" in done.stderr and "--force" in done.stderr
    done = subprocess.run([other, "run", "--resume", out, "--force"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert out.exists()


def test_resume_salvages_a_damaged_journal(nf4bench, suite, tmp_path):
    out = tmp_path / "x.h5"
    journal = broken_off(nf4bench, suite(BROKEN_OFF), out)
    data = bytearray(journal.read_bytes())
    header = int.from_bytes(data[19:23], "little") + 19 + 12
    data[header + 100] ^= 1  # in the first entry of rows
    journal.write_bytes(data)
    assert "is damaged" in nf4bench("run", "--resume", out, code=2).stderr
    assert "damaged bytes are left out" in nf4bench("run", "--resume", out, "--salvage").stderr
    assert pathlib.Path(f"{journal}.damaged").read_bytes() == data
    with h5py.File(out) as f:
        shapes = {(r["n"], r["k"]) for r in f["results"][:]}
        assert shapes == {(48, 64), (49, 64), (50, 64), (51, 64)}


@pytest.mark.parametrize("option", [["-v", "*scalar"], ["-o", "y.h5"], ["--seed", "2"], ["-q"]])
def test_resume_takes_no_other_option(nf4bench, tmp_path, option):
    done = nf4bench("run", "--resume", tmp_path / "x.h5", *option, code=2)
    assert "takes no other" in done.stderr


def test_broken_off_run_is_not_started_over_by_accident(nf4bench, small, tmp_path):
    out = tmp_path / "x.h5"
    pathlib.Path(f"{out}.journal").write_text("x")
    assert "--resume" in nf4bench("run", small, "-o", out, code=2).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "a.yaml"],
        ["verify"],
        ["verify", "a.yaml", "b.yaml"],
        ["verify", "--case", "gemm bf16 m=1 n=1"],
        ["verify", "no-such-suite.yaml"],
        ["run", "no-such-suite.yaml", "-o", "x.h5"],
        ["run", "--resume", "no-such-file.h5"],
        ["verify", "--device", "cuda", "a.yaml"],
        ["verify", "--seed", "-1", "a.yaml"],
        ["show"],
        ["report", "no-such-file.h5"],
        ["export", "--xml", "a.h5"],
    ],
)
def test_usage_errors_exit_2(nf4bench, arguments, tmp_path):
    done = nf4bench(*arguments, code=2, cwd=tmp_path)
    assert done.stderr.strip() and os.listdir(tmp_path) == []


FOR_GPUS = ("gate-gpu.yaml", "claim-shared-lut.yaml")  # suites that no variant of a CPU takes part in


def test_all_suites_plan(nf4bench):
    for path in sorted((SOURCE / "suites").glob("*.yaml")):
        if path.name in ("models.yaml", "minilm.yaml"):
            continue  # a list of shapes; a suite of a file that is fetched first
        nf4bench("run", path, "--dry-run", *(("--device", "simt:fast") if path.name in FOR_GPUS else ()))


def test_peer_bitsandbytes(nf4bench, suite, peer):
    path = suite(
        "suite: peer\ncases:\n"
        '  - {op: dequant, shapes: [[64, 96]], variants: ["bitsandbytes_*"]}\n'
        '  - {op: gemm, m: [1, 4, 17], shapes: [[64, 128]], variants: ["bitsandbytes_*"]}\n'
    )
    done = nf4bench("verify", path, "-V")
    assert re.search(r"^PASS +bitsandbytes_nf4_dequant_bf16", done.stdout, re.M)
    assert " 0 fail" in done.stdout


@pytest.mark.parametrize("out", ["f32", "f16", "bf16"])
@pytest.mark.parametrize("n, k, blocksize", [(64, 96, 64), (1024, 80, 64), (3, 4112, 4096), (4, 16, 32)])
def test_peer_called_by_rows_is_wrong_where_a_row_is_no_whole_number_of_blocks(nf4bench, peer, out, n, k, blocksize):
    if "avx512f" not in pathlib.Path("/proc/cpuinfo").read_text():
        pytest.skip("the defect is in its AVX-512 code, and this CPU has none")
    plain = f"bitsandbytes_nf4_dequant_{out}"
    case = f"dequant {out} n={n} k={k} blocksize={blocksize} nested=0 bias=0 seed=1 weights=normal"
    done = nf4bench("verify", "--case", case, "-V", "-v", plain, "-v", plain + "_rows", code=1)
    assert re.search(rf"^PASS +{plain} ", done.stdout, re.M)
    found = re.search(
        rf"^FAIL +{plain}_rows .*\n +real_data: (\d+) of {n * k} differ; element (\d+): expected .* got .*\n"
        r" +weight row (\d+) column (\d+): block (\d+), byte \d+, (?:high|low) nibble, code \d+ \(.*\), absmax .*\n",
        done.stdout, re.M)
    assert found, done.stdout
    mismatches, element, row, column, block = map(int, found.groups())
    # All blocks of the first row are right; from the second row on they are counted from another one.
    assert 0 < mismatches <= (n - 1) * k and element == row * k + column and block == element // blocksize and row > 0
    assert re.search(rf"reproduce: .* --variant {plain}_rows .* --bitsandbytes '.*'", done.stdout)


@pytest.mark.parametrize("out", ["f32", "f16", "bf16"])
@pytest.mark.parametrize("n, k, blocksize", [(64, 128, 64), (1, 96, 64), (5, 4096, 4096), (7, 32, 32)])
def test_peer_called_by_rows_is_right_elsewhere(nf4bench, peer, out, n, k, blocksize):
    case = f"dequant {out} n={n} k={k} blocksize={blocksize} nested=0 bias=0 seed=1 weights=normal"
    done = nf4bench("verify", "--case", case, "-V", "-v", f"bitsandbytes_nf4_dequant_{out}_rows")
    assert "1 pass, 0 fail" in done.stdout


def test_peer_called_by_rows_runs_only_when_named(nf4bench, peer, suite):
    case = "dequant bf16 n=64 k=96 blocksize=64 nested=0 bias=0 seed=1 weights=normal"
    for options in ([], ["-v", "bitsandbytes_*"], ["-v", "*_rows", "-v", "bitsandbytes_nf4_dequant_bf16"]):
        assert "_rows" not in nf4bench("verify", "--case", case, "-V", *options).stdout
    path = suite("suite: peer\ncases:\n"
                 "  - {op: dequant, shapes: [[64, 96]], variants: [bitsandbytes_nf4_dequant_bf16_rows]}\n")
    assert "0 pass, 1 fail" in nf4bench("verify", path, code=1).stdout
    done = nf4bench("verify", path, "-v", "bitsandbytes_*", code=1)
    assert "0 pass, 1 fail" in done.stdout
    assert re.search(r"_bf16_rows .* only when asked for by this name", nf4bench("list", "bitsandbytes_*").stdout)


def test_peer_that_python_has(nf4bench, peer, tmp_path):
    """auto: where python3 would import the package from, without importing it."""
    package = tmp_path / "site" / "bitsandbytes"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('it was imported')\n")
    library = peer if peer.is_file() else peer / "libbitsandbytes_cpu.so"
    (package / library.name).symlink_to(library.resolve())
    done = nf4bench("list", "--bitsandbytes", "auto", "bitsandbytes_*", environment={"PYTHONPATH": str(package.parent)})
    assert "bitsandbytes_nf4_dequant_bf16 " in done.stdout


def test_peer_that_python_has_not(nf4bench, tmp_path):
    done = nf4bench("list", "--bitsandbytes", "auto", code=2, environment={"PATH": str(tmp_path)})
    assert "auto: python3 cannot be asked" in done.stderr
    # A python3 that finds nothing, whatever this machine's has.
    (tmp_path / "python3").write_text("#!/bin/sh\necho\n")
    (tmp_path / "python3").chmod(0o755)
    done = nf4bench("list", "--bitsandbytes", "auto", code=2, environment={"PATH": str(tmp_path)})
    assert "auto: python3 finds no package bitsandbytes; activate the environment" in done.stderr


def test_peer_errors(nf4bench, small, tmp_path):
    done = nf4bench("verify", small, "--bitsandbytes", tmp_path / "none.so", code=2)
    assert "none.so" in done.stderr
