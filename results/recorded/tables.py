#!/usr/bin/env python3
"""Recomputes what the documentation quotes from the recorded results: writes it anew, or prints what is stale.

    tables.py NF4BENCH [--check]

A page (README.md, docs/*.md, results/recorded/README.md) quotes tables and figures between marks. FILE is a path under
results/recorded/. A table is the one that `nf4bench report FILE -o x.md` has under the line **TITLE**:

    <!-- FILE: TITLE -->
    <!-- end of table -->

A figure is a term, or the ratio of two:

    <!-- FILE = COLUMN(GLOB) / COLUMN(GLOB) where COLUMN=VALUE ... -->1.25<!-- end -->
    <!-- FILE = rows where verdict=PASS -->321<!-- end -->

COLUMN(GLOB) is the column (`nf4bench export --columns`) of the fastest PASS row in its primary regime whose variant
matches GLOB. Figures have two decimals, rounded to the nearest; `rows` is a count.
"""
import csv
import fnmatch
import functools
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "results/recorded/README.md"]
TABLE = re.compile(r"(<!-- (results/recorded/\S+\.h5): ([^\n]+?) -->\n)(.*?)(<!-- end of table -->)", re.DOTALL)
FIGURE = re.compile(r"(<!-- (results/recorded/\S+\.h5) = ([^\n]+?) -->)([^<\n]*)(<!-- end -->)")
TERM = re.compile(r"(\w+)\((\S+)\)")
NF4BENCH = sys.argv[1]


@functools.cache
def report(file):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "report.md"
        subprocess.run([NF4BENCH, "report", ROOT / file, "-o", out], check=True, stdout=subprocess.DEVNULL)
        return out.read_text().split("\n")


@functools.cache
def rows(file):
    text = subprocess.run([NF4BENCH, "export", "--csv", ROOT / file], check=True, capture_output=True, text=True).stdout
    return list(csv.DictReader(text.splitlines()))


def table(file, title):
    lines = report(file)
    if f"**{title}**" not in lines:
        sys.exit(f"{file}: its report has no table called '{title}'")
    found = []
    for line in lines[lines.index(f"**{title}**") + 1 :]:
        if line.startswith("|"):
            found.append(line)
        elif found:
            return "\n".join(found) + "\n"
        elif line.startswith("**") or line.startswith("#"):
            break
    sys.exit(f"{file}: its report has nothing under '{title}'")


def fastest(file, term, chosen):
    match = TERM.fullmatch(term.strip())
    if not match:
        sys.exit(f"{file}: '{term}' is not COLUMN(GLOB)")
    column, glob = match.groups()
    right = [row for row in chosen if row["verdict"] == "PASS" and row["primary"] == "1"
             and fnmatch.fnmatchcase(row["variant"], glob)]
    if not right:
        sys.exit(f"{file}: no PASS row matches '{glob}'")
    return float(min(right, key=lambda row: float(row["median_us"]))[column])


def figure(file, text):
    terms, _, conditions = text.partition(" where ")
    wanted = [condition.split("=", 1) for condition in conditions.split()]
    chosen = [row for row in rows(file) if all(row[column] == value for column, value in wanted)]
    if terms == "rows":
        return str(len(chosen))
    values = [fastest(file, term, chosen) for term in terms.split(" / ")]
    return f"{values[0] / values[1] if len(values) == 2 else values[0]:.2f}"


def renewed(page, pattern, compute, stale):
    def write(match):
        begin, file, what, before, end = match.groups()
        new = compute(file, what)
        if new != before:
            stale.append(f"{file}: {what}" + (f": {before} should be {new}" if "\n" not in new else ""))
        return begin + new + end

    return pattern.sub(write, page)


def main():
    check, stale, marked = "--check" in sys.argv, [], 0
    for page in PAGES:
        old, of_page = page.read_text(), []
        new = renewed(renewed(old, TABLE, table, of_page), FIGURE, figure, of_page)
        marked += len(TABLE.findall(old)) + len(FIGURE.findall(old))
        stale += [f"{page.relative_to(ROOT)}: {line}" for line in of_page]
        if not check and new != old:
            page.write_text(new)
    if not marked:
        sys.exit("no page quotes results/recorded/")
    if check and stale:
        sys.exit("not what the recorded results give; write them anew with ./dev readme:\n" + "\n".join(stale))


main()
