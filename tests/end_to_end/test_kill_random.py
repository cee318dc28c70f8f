"""Runs that are killed at any moment, whole or in part, and runs in which a call or an allocation fails: no recorded row is
lost, no variant is convicted, and --resume completes them.

NF4BENCH_RANDOM_KILLS (12) and NF4BENCH_RANDOM_FAULTS (8) are how many there are of each. What is drawn follows from the
revision and from NF4BENCH_PHASE.
"""

import errno
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import time

import h5py
import pytest

from conftest import children, have_ended, stride

SKIP = 5

SUITE = """\
suite: kills
measure: {min_samples: 2, max_samples: 2, max_seconds: 60, settle_seconds: 0}
cases:
  - {op: dequant, shapes: [[48, 64], [49, 64], [50, 64], [51, 64], [3, 33], [5, 96]], regime: hot, variants: ["nf4_dequant_f32__scalar"]}
  - {op: gemm, m: [1, 3], shapes: [[8, 96], [16, 64]], regime: hot, variants: ["nf4_gemm_f32_acc1__scalar"]}
"""


class Runs:
    """Runs of one suite into one file, and what must be in it."""

    def __init__(self, nf4bench, suite, folder):
        self.nf4bench, self.suite = nf4bench, suite
        self.out, self.kept = folder / "run.h5", folder / "kept.h5"
        self.log = folder / "log"
        begun = time.monotonic()
        self.nf4bench("run", suite, "-o", self.out)
        self.seconds = time.monotonic() - begun
        self.wanted = {key: row[0] for key, row in self.rows(self.out).items()}
        assert len(self.wanted) > 20

    @staticmethod
    def rows(path):
        """{(case, variant, regime): (verdict, reason, samples)}"""
        with h5py.File(path) as f:
            times = f["samples/time_us"][:]
            return {(r["case_key"], r["variant"], r["regime"]):
                    (r["verdict"], r["reason"], times[r["sample_start"]:r["sample_start"] + r["sample_count"]].tobytes())
                    for r in f["results"][:]}

    def start(self, **environment):
        for path in (self.out, self.journal(self.out), pathlib.Path(f"{self.out}.tmp")):
            path.unlink(missing_ok=True)
        with open(self.log, "w") as log:
            return subprocess.Popen([self.nf4bench.path, "run", self.suite, "-o", self.out], stdout=log, stderr=log,
                                    env=dict(os.environ, **environment), start_new_session=True)

    @staticmethod
    def journal(path):
        return pathlib.Path(f"{path}.journal")

    def recorded(self):
        """The rows that a broken-off run's journal holds, or None where there is no journal that has begun."""
        if not self.journal(self.out).exists():
            return None
        shutil.copy(self.journal(self.out), self.journal(self.kept))
        self.kept.unlink(missing_ok=True)
        done = subprocess.run([self.nf4bench.path, "run", "--resume", self.kept, "-v", "!*"], capture_output=True, text=True)
        if done.returncode == 2 and "nothing is recorded" in done.stderr:
            return None
        assert self.kept.exists(), done.stderr
        return {key: row for key, row in self.rows(self.kept).items() if b"left out when" not in row[1]}

    def check(self, what):
        """Completes the run, and compares."""
        before = self.rows(self.out) if self.out.exists() and not self.journal(self.out).exists() else self.recorded()
        # What the program said was done, whatever it reads in its journal.
        done = set(re.findall(r"^\[\d+/\d+\] (.*): \d+ pass, ", self.log.read_text(), re.M))
        lost = done - {case.decode() for case, _, _ in before or {}}
        assert not lost, (what, lost)
        if before is None:
            return 0
        if not self.out.exists() or self.journal(self.out).exists():
            done = subprocess.run([self.nf4bench.path, "run", "--resume", self.out], capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, (what, done.stderr)
        after = self.rows(self.out)
        for key, row in before.items():
            assert after[key] == row, (what, key)
        for case in {case for case, _, _ in self.wanted}:
            rows = {key: row[:2] for key, row in after.items() if key[0] == case}
            if not any(verdict == SKIP and re.search(b"memory|allocate", reason) for verdict, reason in rows.values()):
                assert {key: verdict for key, (verdict, _) in rows.items()} == \
                       {key: verdict for key, verdict in self.wanted.items() if key[0] == case}, (what, rows)
        assert {case for case, _, _ in after} == {case for case, _, _ in self.wanted}, what
        assert not self.journal(self.out).exists() and not pathlib.Path(f"{self.out}.tmp").exists()
        return len(before)


@pytest.fixture
def runs(nf4bench, suite, tmp_path):
    return Runs(nf4bench, suite(SUITE), tmp_path)


def drawn(name, default):
    """(how many, what draws them)"""
    count = int(os.environ.get(name, default))
    _, seed = stride(name + "_SEED", 1 << 30)
    return count, random.Random(seed)


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def test_killed_at_any_moment(runs):
    count, draw = drawn("NF4BENCH_RANDOM_KILLS", 12)
    kinds = {}
    for _ in range(count):
        target, after = draw.choice(["judge", "caller", "group"]), draw.uniform(0, runs.seconds)
        started = runs.start()
        time.sleep(after)
        callers = children(started.pid)
        if target != "caller":
            (kill if target == "judge" else lambda pid: os.killpg(pid, signal.SIGKILL))(started.pid)
        elif callers:
            kill(draw.choice(callers))
        code = started.wait(timeout=300)
        what = f"{target} killed after {after:.3f} s: exit code {code}\n{runs.log.read_text()[-2000:]}"
        assert code in ((0,) if target == "caller" else (0, -signal.SIGKILL)), what
        assert have_ended(callers, 30), what
        kinds.setdefault(target, []).append(runs.check(what))
    print({target: f"{len(rows)} kills, rows recorded: {min(rows)} to {max(rows)}" for target, rows in kinds.items()})


def test_the_first_caller_is_killed(runs):
    """It lists the variants; the kernel may end it for memory as any other."""
    started = runs.start()
    while not (callers := children(started.pid)):
        assert started.poll() is None
    kill(callers[0])
    assert started.wait(timeout=300) == 0, runs.log.read_text()[-2000:]
    runs.check("first caller killed")


def test_calls_and_allocations_that_fail(runs, tmp_path):
    count, draw = drawn("NF4BENCH_RANDOM_FAULTS", 8)
    shim = {"LD_PRELOAD": os.environ["NF4BENCH_KILLAT"], "KILLAT_MATCH": str(runs.out)}
    counted = tmp_path / "count"
    assert runs.start(**shim, KILLAT_COUNT_FILE=str(counted)).wait(timeout=300) == 0 and counted.exists()
    calls, allocations = map(int, counted.read_text().split())
    assert calls > 12 and allocations > 1000
    ended = {}
    for _ in range(count):
        if draw.random() < 0.5:
            fault = {"KILLAT_N": str(draw.randint(1, calls)), "KILLAT_ERRNO": str(draw.choice([errno.ENOSPC, errno.EIO]))}
        else:
            fault = {"KILLAT_ALLOCATION": str(draw.randint(1, allocations))}
        code = runs.start(**shim, **fault).wait(timeout=300)
        what = f"{fault}: exit code {code}\n{runs.log.read_text()[-2000:]}"
        ended[code] = ended.get(code, 0) + 1
        recorded = runs.check(what)
        # HDF5 1.10 itself ends the program at some allocations that fail (H5I_register() exits, H5O_attr_shared_size() reads
        # a name that was not copied): when the file is built, with all rows in the journal.
        assert code in (0, 1, 2) or recorded == len(runs.wanted), what
        assert code != 2 or "nf4bench run: " in runs.log.read_text(), what
    print(f"exit codes: {ended}")
