#!/usr/bin/env python3
"""Runs the pytest file FILE for ctest: run_file.py FILE.

Exit code 77 (ctest: skipped) when a package that the file imports is missing, or when every test of the file was skipped.
With NF4BENCH_TEST_ALL in the environment (`./dev test --all`) a missing package is a failure.
"""

import ast
import importlib.util
import os
import pathlib
import subprocess
import sys

SKIPPED = 77


def imports(path, seen):
    """Names of the packages that the file at path imports, by itself or through a file beside it."""
    seen.add(path)
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.split(".")[0])
    for beside in [path.with_name(f"{name}.py") for name in names]:
        if beside.exists():
            names.discard(beside.stem)
            names |= set() if beside in seen else imports(beside, seen)
    return names


def main():
    path = pathlib.Path(sys.argv[1]).resolve()
    names = imports(path, set()) | {"pytest"}
    missing = sorted(name for name in names if not importlib.util.find_spec(name))
    if missing:
        print(f"SKIPPED {path.name}: {sys.executable} has no {', '.join(missing)}")
        return 1 if os.environ.get("NF4BENCH_TEST_ALL") else SKIPPED
    return subprocess.run([sys.executable, "-m", "pytest", "-q", "-rPs", "-p", "no:cacheprovider", path]).returncode


if __name__ == "__main__":
    sys.exit(main())
