"""A million rows in a file are read, reported, compared and exported in bounded memory, and in time that grows with the rows.

The files are made out of a real one (many_rows.py). Memory is the sum over all processes of a command of what each has
for itself and its share of what they have in common. Times are printed; what is held is their growth alone.

    NF4BENCH=build/tests/nf4bench python3 -m pytest -s tests/end_to_end/test_many_rows.py
"""

import concurrent.futures
import os
import pathlib
import subprocess
import time

import pytest

import many_rows
from conftest import children, stride

ROWS, FEWER = 1_000_000, 100_000
MEMORY_MIB = 2048
SMALL = """\
suite: many
measure: {min_samples: 3, max_samples: 3, max_seconds: 2, settle_seconds: 0}
cases:
  - {op: dequant, shapes: [[16, 64]], regime: [cold, hot]}
  - {op: gemm, m: [1, 4], shapes: [[8, 96]], regime: [cold, hot], variants: ["nf4_gemm_f32_*"]}
"""


@pytest.fixture(scope="module")
def files(nf4bench, tmp_path_factory):
    """Two files of a million rows, and two of a tenth."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "suite.yaml").write_text(SMALL)
    nf4bench("run", folder / "suite.yaml", "-o", folder / "small.h5")
    files = {count: [folder / f"{count}-{seed}.h5" for seed in (1, 2)] for count in (ROWS, FEWER)}
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        list(pool.map(many_rows.make, *zip(*[
            (folder / "small.h5", path, count, seed)
            for count, paths in files.items() for seed, path in enumerate(paths, 1)
        ])))
    yield files
    for paths in files.values():  # pytest keeps the folders of its last runs
        for path in paths:
            path.unlink()


def processes(pid):
    """The process and all below it."""
    return [pid, *(p for child in children(pid) for p in processes(child))]


def proportional_mib(pid):
    try:
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def measure(program, arguments, output):
    """Runs a command; seconds by the clock and of processors, and the most MiB that it had at any time."""
    start, peak = time.monotonic(), 0
    with open(output, "wb") as out:
        running = subprocess.Popen([program, *map(str, arguments)], stdout=out)
        while True:
            pid, status, usage = os.wait4(running.pid, os.WNOHANG)
            if pid:
                break
            peak = max(peak, sum(map(proportional_mib, processes(running.pid))))
            time.sleep(0.05)
    running.returncode = os.waitstatus_to_exitcode(status)
    assert running.returncode in (0, 1), arguments  # 1: compare found rows that are wrong now
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, peak


COMMANDS = {
    "report": lambda base, new, out: ["report", base, "-o", out],
    "compare": lambda base, new, out: ["compare", base, new],
    "compare --json": lambda base, new, out: ["compare", "--json", base, new],
    "show": lambda base, new, out: ["show", base, "--against", "*scalar"],
    "export --csv": lambda base, new, out: ["export", "--csv", base],
    "export --jsonl": lambda base, new, out: ["export", "--jsonl", base],
}


STEP, FIRST = stride("NF4BENCH_STRIDE", 1)


@pytest.mark.parametrize("name", list(COMMANDS)[FIRST - 1 :: STEP])
def test_a_million_rows(nf4bench, files, name, tmp_path):
    page, cpu = tmp_path / "page.html", {}
    for count in (FEWER, ROWS):
        seconds, cpu[count], peak = measure(nf4bench.path, COMMANDS[name](*files[count], page), "/dev/null")
        print(f"{name}: {count} rows, {seconds:.1f} s, {cpu[count]:.1f} s of processors, {peak:.0f} MiB")
        assert peak > 10, "nothing was measured"
        assert peak < MEMORY_MIB
    assert cpu[ROWS] < 2 * cpu[FEWER] * ROWS / FEWER, "it grows faster than the rows"
    if name == "report":
        text = page.read_text()
        assert len(text) < 10e6 and "timed rows are shown" in text


def test_people_are_shown_the_first_changes_of_many(nf4bench, files):
    for option in ("--html", None):
        words = nf4bench("compare", *([option] if option else []), *files[FEWER]).stdout
        assert "rows are shown, those that matter most" in words and len(words) < 5e6
        assert words.count("nf4_dequant") < 11_000
