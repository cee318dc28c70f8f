"""What the end-to-end tests share: the program, run as a user would."""

import os
import pathlib
import subprocess
import time

import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BITSANDBYTES = os.environ.get("NF4BENCH_BITSANDBYTES")

# What a user, or ./dev, may have set would add rows to every command that a test runs, or change them.
for name in ("NF4BENCH_BITSANDBYTES", "NF4BENCH_BITSANDBYTES_CUDA", "NF4BENCH_FAKE_BITSANDBYTES", "NF4BENCH_LIBOPENBLAS",
             "NF4BENCH_FAKE_OPENBLAS", "NF4BENCH_PLUGINS", "OPENBLAS_CORETYPE", "CUDA_VISIBLE_DEVICES"):
    os.environ.pop(name, None)


def stride(name, default):
    """(stride, first) of a test that takes every stride-th item only: the environment's `name` over the default, and the
    first item, from 1 on, which differs from commit to commit: in time every item has its turn. The environment's
    NF4BENCH_PHASE, from 0 on, chooses it instead."""
    step = int(os.environ.get(name, default))
    phase = os.environ.get("NF4BENCH_PHASE")
    if phase is None:
        done = subprocess.run(["git", "-C", SOURCE, "rev-parse", "HEAD"], capture_output=True, text=True)
        phase = int(done.stdout, 16) if done.returncode == 0 else 0
    first = 1 + int(phase) % step
    print(f"{name}={step}: every {step}th, from {first} on")
    return step, first


def read_proc(path):
    """What the file says, "" where its process or thread has ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children(pid):
    """The processes that this one, or a thread of it, has started and not waited for."""
    return [int(child) for path in pathlib.Path(f"/proc/{pid}/task").glob("*/children") for child in read_proc(path).split()]


def have_ended(pids, seconds):
    """Whether all have ended so many seconds from now: a killed process runs until a busy machine has got round to its end."""
    def runs(pid):
        return read_proc(pathlib.Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()[:1] not in ([], ["Z"])
    deadline = time.monotonic() + seconds
    while any(map(runs, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def missing(reason):
    """Skips the test: something that can be installed is not there. A failure where everything is wanted."""
    (pytest.fail if os.environ.get("NF4BENCH_TEST_ALL") else pytest.skip)(reason)


def pytest_sessionfinish(session, exitstatus):
    """A file whose every test was skipped has not passed: ctest takes 77 for skipped. The file that run_file.py looks
    for shows that pytest came to its end."""
    if "NF4BENCH_PYTEST_FINISHED" in os.environ:
        pathlib.Path(os.environ["NF4BENCH_PYTEST_FINISHED"]).touch()
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and reporter and "skipped" in reporter.stats and "passed" not in reporter.stats:
        session.exitstatus = 77


@pytest.fixture
def peer(monkeypatch):
    """The bitsandbytes package's folder, or its CPU library, and the environment that names it."""
    if not BITSANDBYTES:
        missing("NF4BENCH_BITSANDBYTES names no library: the package could not be fetched")
    monkeypatch.setenv("NF4BENCH_BITSANDBYTES", BITSANDBYTES)
    return pathlib.Path(BITSANDBYTES)


class Program:
    def __init__(self, path):
        self.path = path

    def __call__(self, *arguments, code=0, environment=None, **options):
        """Runs the program; the exit code must be `code`. Returns the finished process, with text output."""
        env = dict(os.environ, **(environment or {}))
        done = subprocess.run(
            [self.path, *map(str, arguments)], capture_output=True, text=True, env=env, timeout=300, **options
        )
        assert done.returncode == code, f"{done.args}\nexit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done


@pytest.fixture(scope="session")
def nf4bench():
    path = os.environ.get("NF4BENCH")
    assert path, "NF4BENCH must name the program (ctest sets it)"
    return Program(path)


@pytest.fixture
def suite(tmp_path):
    """Writes a suite file and returns its path."""

    def write(text, name="suite.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


SMALL = """\
suite: small
measure: {min_samples: 3, max_samples: 5, max_seconds: 2, settle_seconds: 0}
cases:
  - op: dequant
    shapes: [[16, 64], [3, 33]]
    regime: [cold, hot]
    variants: ["nf4_dequant_bf16__*"]
  - op: gemm
    m: [1, 3]
    shapes: [[8, 96]]
    bias: [false, true]
    regime: cold
    variants: ["nf4_gemm_f32_acc1__scalar", "nf4_gemm_f32_acc16__*"]
"""


@pytest.fixture
def small(suite):
    return suite(SMALL)


@pytest.fixture
def results(nf4bench, small, tmp_path):
    """A results file of the small suite."""
    path = tmp_path / "small.h5"
    nf4bench("run", small, "-o", path)
    return path
