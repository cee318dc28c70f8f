#!/usr/bin/env python3
"""Writes the README's tables anew from the recorded results, or says which are not what the results give.

    tables.py NF4BENCH [--check]

A table of the README stands between two lines:

    <!-- results/recorded/FOLDER/FILE.h5: TITLE -->
    <!-- end of table -->

and is the one that `NF4BENCH report FILE.h5 -o x.md` has under the line **TITLE**.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
MARKED = re.compile(r"(<!-- (results/recorded/\S+\.h5): (.+?) -->\n)(.*?)(<!-- end of table -->)", re.DOTALL)


def report(nf4bench, file):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "report.md"
        subprocess.run([nf4bench, "report", ROOT / file, "-o", out], check=True, stdout=subprocess.DEVNULL)
        return out.read_text()


def table(markdown, title, file):
    lines = markdown.split("\n")
    if f"**{title}**" not in lines:
        sys.exit(f"{file}: its report has no table called '{title}'")
    rows = []
    for line in lines[lines.index(f"**{title}**") + 1 :]:
        if line.startswith("|"):
            rows.append(line)
        elif rows:
            return "\n".join(rows) + "\n"
        elif line.startswith("**") or line.startswith("#"):
            break
    sys.exit(f"{file}: its report has nothing under '{title}'")


def main():
    nf4bench, check = sys.argv[1], "--check" in sys.argv
    readme = ROOT / "README.md"
    old = readme.read_text()
    reports, stale = {}, []

    def write(match):
        begin, file, title, before, end = match.groups()
        if file not in reports:
            reports[file] = report(nf4bench, file)
        new = table(reports[file], title, file)
        if new != before:
            stale.append(f"{file}: {title}")
        return begin + new + end

    new = MARKED.sub(write, old)
    if not MARKED.search(old):
        sys.exit("README.md: no table is marked as one of results/recorded/")
    if check and stale:
        sys.exit("README.md: not what the recorded results give; write them anew with ./dev readme:\n" + "\n".join(stale))
    if not check:
        readme.write_text(new)


main()
