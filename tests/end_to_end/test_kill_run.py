"""The whole program, killed at writes of a 2,000-row run: no recorded row is lost, and --resume completes it.

NF4BENCH_KILL_RUN_STRIDE (default 60) is the distance between the writes to the journal at which it is killed, from another
one on for each commit; the writes of the final build are all tried. 1 is the exhaustive test, which takes about half an hour.
"""

import os
import pathlib
import subprocess

import h5py
import pytest

from conftest import stride

GROUPS = 1000
ROWS = 3 * GROUPS  # the variant, and the ceilings copy and fill
HEADER_CALLS = 3  # of the journal: made empty, the header's write, fsync of its folder


def suite_text():
    """1,000 shapes, each with its variant and its two ceilings: 3,000 rows, 1,000 entries of the journal."""
    shapes = ", ".join(f"[{1 + i % 40}, {33 + i // 40}]" for i in range(GROUPS))
    return (
        "suite: kill\n"
        "measure: {min_samples: 1, max_samples: 1, max_seconds: 1, settle_seconds: 0}\n"
        f"cases:\n  - {{op: dequant, shapes: [{shapes}], blocksize: 32, regime: hot, threads: 1,\n"
        '     variants: ["nf4_dequant_f32__scalar"]}\n'
    )


def keys(rows):
    return [(r["case_key"], r["variant"]) for r in rows]


@pytest.mark.parametrize("part", ["journal", "final_build"])
def test_killed_at_writes(nf4bench, suite, tmp_path, part):
    killat = os.environ["NF4BENCH_KILLAT"]
    path = suite(suite_text())
    out = tmp_path / "run.h5"
    journal = pathlib.Path(f"{out}.journal")
    shim = {"LD_PRELOAD": killat, "KILLAT_MATCH": str(out), "ASAN_OPTIONS": "verify_asan_link_order=0"}

    def run(**more):
        environment = dict(os.environ, **shim, **more)
        return subprocess.run(
            [nf4bench.path, "run", path, "-o", out], env=environment, capture_output=True, text=True, timeout=300
        )

    count_file = tmp_path / "count"
    done = run(KILLAT_COUNT_FILE=str(count_file))
    assert done.returncode == 0, done.stderr
    with h5py.File(out) as f:
        wanted = keys(f["results"][:])
    assert len(wanted) == ROWS
    total = int(count_file.read_text().split()[0])
    entries = HEADER_CALLS + GROUPS  # and one write for each group
    assert total > entries
    if part == "journal":
        step, first = stride("NF4BENCH_KILL_RUN_STRIDE", 60)
        points = range(first, entries, step)
    else:
        points = range(entries, total + 1)
    assert len(points) > 0
    lost = unresumed = 0
    for n in points:
        for torn in ("0", "1"):
            for file in (out, journal, pathlib.Path(f"{out}.tmp")):
                file.unlink(missing_ok=True)
            done = run(KILLAT_N=str(n), KILLAT_TORN=torn)
            assert done.returncode == -9, (n, torn, done.returncode, done.stderr)
            if out.exists() and not journal.exists():
                pass  # complete: only the removal of the journal, or what follows it, was left
            elif n < HEADER_CALLS:
                continue  # killed before the header was whole: there was no run yet
            else:
                # Every group whose write was made is in the journal.
                before = journal.stat().st_size
                resumed = subprocess.run(
                    [nf4bench.path, "run", "--resume", out], capture_output=True, text=True, timeout=300
                )
                unresumed += resumed.returncode != 0
                assert resumed.returncode == 0, (n, torn, before, resumed.stderr)
                kept = [w for w in resumed.stdout.split() if w.startswith("(")]
                already = int(kept[0][1:]) if kept else 0
                lost += already < min(max(n - 1 - HEADER_CALLS, 0), GROUPS)
            with h5py.File(out) as f:
                assert keys(f["results"][:]) == wanted, (n, torn)
                assert len(f["samples/time_us"]) == ROWS
            assert not journal.exists() and not pathlib.Path(f"{out}.tmp").exists()
    print(f"{total} writes, killed at {len(points)} of them, whole and torn; {lost} lost rows, {unresumed} not resumed")
    assert lost == 0
