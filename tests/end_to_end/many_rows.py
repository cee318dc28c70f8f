"""Makes a results file of as many rows as asked for, out of a real one: its rows over and over, each time of another shape.

    python3 tests/end_to_end/many_rows.py SMALL.h5 LARGE.h5 1000000 [SEED]

Types, chunks and attributes stay those of the file that `nf4bench run` wrote. A row has its samples, moved by a few
percent of noise; one right row in 500 is made wrong, with a reason of its own. SEED (default 1) is that of the noise:
files of the same rows with another one can be compared.
"""

import re
import shutil
import sys

import h5py
import numpy

ROWS_AT_ONCE = 50_000
PASS, FAIL = 1, 2
TIMES = ("median_us", "median_lo_us", "median_hi_us", "min_us", "p10_us", "p90_us")
RATES = ("bytes_per_s", "flop_per_s", "weights_per_s", "ceiling_fraction", "ceiling_fraction_lo", "ceiling_fraction_hi")


def shape_of(tile):
    return 16 * (1 + tile % 75), 64 * (1 + tile // 75)


def reshape(keys, tile):
    """The keys of a tile: "dequant f32 n=16 k=64 ..." of its own n and k."""
    n, k = shape_of(tile)
    return [re.sub(rb" n=\d+ k=\d+ ", b" n=%d k=%d " % (n, k), key) for key in keys]


def tiles(small, first, count, noise):
    """Rows of `count` tiles from tile `first` on, with samples not placed yet, and the factor of each row's times."""
    keys, of = numpy.unique(small["case_key"], return_inverse=True)
    rows = numpy.tile(small, count)
    tile = numpy.repeat(numpy.arange(first, first + count), len(small))
    rows["case_key"] = numpy.concatenate(
        [numpy.array(reshape(keys, t), dtype=small["case_key"].dtype)[of] for t in range(first, first + count)]
    )
    rows["n"], rows["k"] = shape_of(tile)
    rows["group_id"] += (tile * 4 * (1 + small["group_id"].max() // 4)).astype(numpy.uint64)
    factor = 1 + 0.05 * noise.standard_normal(len(rows)).clip(-3, 3)
    for column in TIMES:
        rows[column] *= factor
    for column in RATES:
        rows[column] /= factor
    wrong = numpy.flatnonzero((rows["verdict"] == PASS) & (numpy.arange(len(rows)) % 500 == 0))
    rows["verdict"][wrong] = FAIL
    rows["mismatch_count"][wrong] = 1
    rows["reason"][wrong] = [b"element %d: expected 0x4228, got 0x0000" % (first * len(small) + i) for i in wrong]
    return rows, factor


def make(small_path, path, row_count, seed=1):
    shutil.copy(small_path, path)
    noise = numpy.random.default_rng(seed)
    with h5py.File(path, "r+") as f:
        small, small_samples = f["results"][:], f["samples/time_us"][:]
        start, count = small["sample_start"].astype(int), small["sample_count"].astype(int)
        places = numpy.concatenate([numpy.arange(s, s + c) for s, c in zip(start, count)])
        f["results"].resize((row_count,))
        sample = 0
        per_tile = len(small)
        for first in range(0, -(-row_count // per_tile), ROWS_AT_ONCE // per_tile):
            tile_count = min(ROWS_AT_ONCE // per_tile, -(-row_count // per_tile) - first)
            rows, factor = tiles(small, first, tile_count, noise)
            samples = numpy.tile(small_samples[places], tile_count) * numpy.repeat(factor, rows["sample_count"].astype(int))
            at = first * per_tile
            rows = rows[: row_count - at]
            ends = sample + numpy.cumsum(rows["sample_count"])
            rows["sample_start"] = ends - rows["sample_count"]
            f["results"][at : at + len(rows)] = rows
            added = int(ends[-1]) - sample
            for name, values in (("time_us", samples[:added]), ("flags", numpy.zeros(added, numpy.uint8))):
                f["samples"][name].resize((sample + added,))
                f["samples"][name][sample : sample + added] = values
            sample += added


if __name__ == "__main__":
    make(sys.argv[1], sys.argv[2], int(sys.argv[3]), *map(int, sys.argv[4:5]))
