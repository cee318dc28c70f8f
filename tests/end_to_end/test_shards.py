"""`nf4bench run --shard I/N` and `nf4bench merge`: the parts make the whole, and what is no part is refused."""

import json
import re

import h5py
import pytest

FIVE = """\
suite: five
measure: {min_samples: 3, max_samples: 3, max_seconds: 2, settle_seconds: 0}
cases:
  - op: dequant
    shapes: [[16, 64], [3, 33], [1, 5], [8, 96], [2, 65]]
    regime: [cold, hot]
    variants: ["nf4_dequant_bf16__scalar*"]
"""


def table(file):
    with h5py.File(file) as f:
        return f["results"][...]


def cases(file):
    return sorted((r["group_id"], r["case_key"], r["variant"], r["regime"], r["sample_count"]) for r in table(file))


@pytest.fixture
def path(suite):
    return suite(FIVE)


@pytest.fixture
def parts(nf4bench, path, tmp_path):
    files = [tmp_path / f"part{i}.h5" for i in range(1, 5)]
    for i, file in enumerate(files):
        nf4bench("run", path, "--shard", f"{i + 1}/4", "-o", file)
    return files


def test_four_parts_make_the_whole(nf4bench, path, parts, tmp_path):
    whole, merged = tmp_path / "whole.h5", tmp_path / "merged.h5"
    nf4bench("run", path, "-o", whole)
    nf4bench("merge", *reversed(parts), "-o", merged)
    assert cases(merged) == cases(whole) and len(cases(merged)) == sum(len(table(p)) for p in parts)
    with h5py.File(merged) as m, h5py.File(parts[1]) as second:
        shards = json.loads(m.attrs["shards"])
        assert [s["shard"] for s in shards] == ["1/4", "2/4", "3/4", "4/4"] and "shard" not in m.attrs
        assert shards[1]["started_utc"] == second.attrs["started_utc"] and "--shard" in shards[1]["argv"]
        assert m.attrs["cpu_count"] == second.attrs["cpu_count"]  # a number still
        # Every row still has its own samples.
        for part in parts:
            with h5py.File(part) as p:
                mine = {(r["group_id"], r["variant"], r["regime"]): r for r in m["results"][...]}
                for r in p["results"][...]:
                    of = mine[(r["group_id"], r["variant"], r["regime"])]
                    a, b, n = int(r["sample_start"]), int(of["sample_start"]), int(r["sample_count"])
                    assert (p["samples/time_us"][a : a + n] == m["samples/time_us"][b : b + n]).all()
    assert nf4bench("explain", merged).stdout
    assert "exists" in nf4bench("merge", *parts, "-o", merged, code=2).stderr


def test_a_shard_says_what_it_would_run(nf4bench, path):
    said = [nf4bench("run", path, "--shard", f"{i}/2", "--dry-run").stdout for i in (1, 2)]
    groups = [re.findall(r"^dequant .*?weights=\S+", s, re.M) for s in said]
    assert len(groups[0]) == 3 and len(groups[1]) == 2 and not set(groups[0]) & set(groups[1])
    for wrong in ("0/4", "5/4", "1", "1/", "a/b", "1/2x", "-1/4"):
        assert "--shard" in nf4bench("run", path, "--shard", wrong, "--dry-run", code=2).stderr


def test_more_shards_than_cases(nf4bench, path, tmp_path):
    empty = tmp_path / "empty.h5"
    nf4bench("run", path, "--shard", "9/9", "-o", empty)
    assert len(table(empty)) == 0


def test_what_does_not_belong_together(nf4bench, path, suite, parts, tmp_path):
    def refused(*arguments):
        return nf4bench("merge", *arguments, "-o", tmp_path / "none.h5", code=2).stderr

    assert "shard 3/4 is missing" in refused(*parts[:2], parts[3])
    assert "shard 2/4 is there twice" in refused(*parts, parts[1])
    whole = tmp_path / "whole.h5"
    nf4bench("run", path, "-o", whole)
    assert "not of a run with --shard" in refused(*parts, whole)
    other = tmp_path / "other.h5"
    nf4bench("run", suite(FIVE.replace("[1, 5], ", ""), "other.yaml"), "--shard", "3/4", "-o", other)
    assert "are of other plans" in refused(*parts[:2], other, parts[3])
    third = tmp_path / "third.h5"
    nf4bench("run", path, "--shard", "2/3", "-o", third)
    assert "shards" in refused(parts[0], third)
    with h5py.File(parts[2], "r+") as f:
        rows = f["results"][...]
        rows["device"] = b"another machine"
        f["results"][...] = rows
    assert "--unlike merges them all the same" in refused(*parts)
    nf4bench("merge", *parts, "--unlike", "-o", tmp_path / "unlike.h5")
    with h5py.File(parts[1], "r+") as f:
        f.attrs["compiler"] = "another compiler"
        rows = f["results"][...]
        rows["group_id"] += 4
        f["results"][...] = rows
    assert "is not of shard 2/4" in refused(*parts, "--unlike")
    assert "another compiler" in refused(*parts, "--unlike")
    assert not (tmp_path / "none.h5").exists() and not (tmp_path / "none.h5.journal").exists()


def test_partial(nf4bench, parts, tmp_path):
    out = tmp_path / "some.h5"
    nf4bench("merge", parts[3], parts[0], "--partial", "-o", out)
    assert len(table(out)) == len(table(parts[0])) + len(table(parts[3]))
