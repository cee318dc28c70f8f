#!/usr/bin/env python3
"""Runs the pytest file FILE for ctest: run_file.py FILE [OPTION..]. The options are pytest's.

Exit code 77 (ctest: skipped) when a package that the file imports is missing, or when every test of the file was skipped.
With NF4BENCH_TEST_ALL in the environment (`./dev test --all`) a missing package is a failure.
"""

import ast
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile

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
    options = ["-q", "-rPs", "-p", "no:cacheprovider", "--durations=5", "-W", "error::pytest.PytestCollectionWarning",
               "-o", "empty_parameter_set_mark=fail_at_collect", *sys.argv[2:]]
    with tempfile.TemporaryDirectory(prefix="nf4bench-pytest-") as folder:
        finished = pathlib.Path(folder, "finished")  # conftest.py writes it when the last test ended
        environment = dict(os.environ, NF4BENCH_PYTEST_FINISHED=str(finished))
        environment.pop("PYTEST_ADDOPTS", None)
        code = subprocess.run([sys.executable, "-m", "pytest", *options, path], env=environment).returncode
        if not finished.exists():
            print(f"{path.name}: a test ended pytest with exit code {code}; the tests after it did not run")
            return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
