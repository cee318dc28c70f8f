#!/usr/bin/env python3
"""Fails when a folder of the program calls, or reads, what only a folder above it defines: a declaration written by hand
passes include_order, and links.

    symbol_order.py NM FILE

FILE has a line for each folder, from the ground up: its name, a colon, and its object files, separated by semicolons.
"""
import pathlib
import re
import subprocess
import sys

# What may point up: (from, to, names). Host builds of the CUDA kernels call the executor, and, where they are
# instrumented, its checker, which takes the place of the sanitizers' libraries.
UPWARD = [("kernels", "harness/device", r"simt_\w+|__(tsan|ubsan)_\w+")]


def symbols(nm, objects):
    """(defined, undefined) names of the objects."""
    defined, undefined = set(), set()
    shown = subprocess.run([nm, "-P", "-g", *objects], check=True, capture_output=True, text=True).stdout
    for line in shown.splitlines():
        fields = line.split()
        if len(fields) >= 2 and len(fields[1]) == 1:
            # V and W: a function that every object may have a copy of. v and w: the like, undefined.
            (undefined if fields[1] in "Uvw" else defined).add(fields[0])
    return defined, undefined - defined


def main():
    folders = []
    for line in pathlib.Path(sys.argv[2]).read_text().splitlines():
        name, _, objects = line.partition(":")
        folders.append((name, *symbols(sys.argv[1], [one for one in objects.split(";") if one])))
    names = sum(len(defined) for _, defined, _ in folders)
    if names < 500:
        sys.exit(f"only {names} symbols were found: the test looks in the wrong place")
    faults = 0
    for own, (folder, _, undefined) in enumerate(folders):
        below = set().union(*(defined for _, defined, _ in folders[: own + 1]))
        for above, defined, _ in folders[own + 1 :]:
            for name in sorted((undefined & defined) - below):
                if not any((folder, above) == (low, high) and re.fullmatch(allowed, name) for low, high, allowed in UPWARD):
                    print(f"{folder} uses {name}, which only {above}, above it, defines")
                    faults += 1
    print(f"{names} symbols of {len(folders)} folders, {faults} point up")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
