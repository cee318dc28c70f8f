"""Kills runs at every write and checks that nothing that was recorded is lost.

Run by ctest, or by hand:

    NF4BENCH_KILLAT=build/tests/end_to_end/killat.so \
    NF4BENCH_JOURNAL_DRIVER=build/tests/end_to_end/journal_driver \
    python3 -m pytest tests/end_to_end/test_kill.py

The long run is killed at every 16th call, from another one on for each commit. NF4BENCH_KILL_STRIDE=1 kills it at every
call, which takes two to three minutes.
kill_points() is for any program: it is how the command line itself is to be tested.
"""

import json
import os
import signal
import subprocess
import tempfile

import pytest

from conftest import stride


def tool(name):
    path = os.environ.get(name)
    if not path or not os.path.exists(path):
        pytest.fail(f"{name} must name a built file (ctest sets it): {path!r}")
    return os.path.abspath(path)


@pytest.fixture
def directory():
    # In memory where that is possible: the exhaustive test writes several gigabytes.
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="nf4bench-kill-", dir=place) as path:
        yield os.path.realpath(path)


def shim(match, n=0, torn=False, count_file=None):
    """The environment that loads killat.so."""
    env = dict(os.environ, LD_PRELOAD=tool("NF4BENCH_KILLAT"), KILLAT_MATCH=match, KILLAT_N=str(n))
    env["KILLAT_TORN"] = "1" if torn else "0"
    if count_file:
        env["KILLAT_COUNT_FILE"] = count_file
    return env


def count_calls(command, match, count_file):
    """How many calls touch the files that begin with match, in a run that is not killed."""
    subprocess.run(command, env=shim(match, count_file=count_file), check=True, capture_output=True)
    with open(count_file) as f:
        count = int(f.read().split()[0])
    os.unlink(count_file)
    assert count > 0, f"{match}: nothing was written under this name: a wrong prefix proves nothing"
    return count


def kill_points(command, match, reset):
    """Yields (n, torn) after the command was killed at that call; reset() is called before each run."""
    total = count_calls(command, match, match + ".count-of-calls")
    for torn in (False, True):
        for n in range(1, total + 1):
            reset()
            ended = subprocess.run(command, env=shim(match, n, torn), capture_output=True)
            assert ended.returncode == -signal.SIGKILL, (n, torn, ended)
            yield n, torn


def kill_everywhere(directory, rows, step, second_step=0, first=1):
    numbers = map(str, (rows, step, second_step, first))
    command = [tool("NF4BENCH_JOURNAL_DRIVER"), "kill", directory, *numbers]
    env = dict(os.environ, LD_PRELOAD=tool("NF4BENCH_KILLAT"))
    ended = subprocess.run(command, env=env, capture_output=True, text=True)
    assert ended.returncode == 0, (ended.stdout, ended.stderr[-4000:])
    counts = json.loads(ended.stdout)
    print(counts)
    assert counts["rows_lost"] == 0 and counts["wrong"] == 0 and counts["unfinished"] == 0
    assert counts["kills"] == 2 * len(range(first, counts["calls"] + 1, step)) > 0
    return counts


def test_calls_of_a_long_run(directory):
    step, first = stride("NF4BENCH_KILL_STRIDE", 16)
    counts = kill_everywhere(directory, rows=2000, step=step, first=first)
    # Half of the kills are torn, and most calls are appends to the journal: the check saw what it is for.
    assert counts["torn_tails"] > counts["kills"] // 4
    assert counts["rows_confirmed"] > 0


def test_every_call_of_a_short_run(directory):
    counts = kill_everywhere(directory, rows=60, step=1)
    assert counts["torn_tails"] > 0


def test_resumed_runs_are_killed_too(directory):
    counts = kill_everywhere(directory, rows=40, step=3, second_step=2)
    assert counts["second_kills"] > counts["kills"]


def test_by_environment_as_for_any_program(directory):
    """The same from outside: environment variables, a fresh process a kill."""
    driver = tool("NF4BENCH_JOURNAL_DRIVER")
    h5 = os.path.join(directory, "run.h5")
    command = [driver, "run", h5, "12"]

    def reset():
        for name in os.listdir(directory):
            os.unlink(os.path.join(directory, name))

    killed = 0
    for n, torn in kill_points(command, h5, reset):
        killed += 1
        if not os.path.exists(h5) or os.path.exists(h5 + ".journal"):
            subprocess.run(command, check=True)
        subprocess.run([driver, "check", h5, "12"], check=True)
        assert os.listdir(directory) == ["run.h5"], (n, torn)
    assert killed >= 20


def test_a_check_that_fails(directory):
    """The checker itself: a file with other rows is not right."""
    driver = tool("NF4BENCH_JOURNAL_DRIVER")
    h5 = os.path.join(directory, "run.h5")
    subprocess.run([driver, "run", h5, "12"], check=True)
    assert subprocess.run([driver, "check", h5, "12"]).returncode == 0
    assert subprocess.run([driver, "check", h5, "11"], capture_output=True).returncode == 1
