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
matches GLOB. Both rows of a ratio have the same operation, shape and output type. Figures have two decimals, rounded to
the nearest; `rows` is a count.

Every other comment is refused, but for `<!-- not recorded -->` beside a figure that no recorded file has and
`<!-- output of: COMMAND -->` above a run: a mark with a mistake would leave its figure unchecked.
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
FIGURE = re.compile(r"(<!-- (results/recorded/\S+\.h5) = ([^\n]+?) -->)(-?\d+(?:\.\d+)?)(<!-- end -->)")
TERM = re.compile(r"(\w+)\(([^\s()/]+)\)")
COMMENT = re.compile(r"<!--(?! output of: [^\n]+? -->| not recorded -->)[^\n]*")
SHAPE = ("op", "m", "n", "k", "out_type")


def nf4bench(*arguments):
    return subprocess.run([sys.argv[1], *arguments], check=True, capture_output=True, text=True).stdout


@functools.cache
def verdicts():
    words = re.search(r"#define RECORD_VERDICT_MAP\(X\)(.*?)\n\n", (ROOT / "results/record.h").read_text(), re.DOTALL)[1]
    return re.findall(r'X\(\d+, \w+, "(\w+)"\)', words)


@functools.cache
def report(file):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "report.md"
        nf4bench("report", ROOT / file, "-o", out)
        return out.read_text().split("\n")


@functools.cache
def rows(file):
    return list(csv.DictReader(nf4bench("export", "--csv", ROOT / file).splitlines()))


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


def where(file, conditions):
    """The rows that meet all of COLUMN=VALUE. A value is a verdict, or one that some row has."""
    chosen = rows(file)
    for condition in conditions:
        column, _, value = condition.partition("=")
        values = {row.get(column) for row in rows(file)}
        if None in values:
            sys.exit(f"{file}: '{condition}' names no column")
        if value not in (verdicts() if column == "verdict" else values):
            sys.exit(f"{file}: '{condition}': no {column} is '{value}'")
        chosen = [row for row in chosen if row[column] == value]
    return chosen


def fastest(file, term, chosen):
    """The column that a term names, and the row."""
    match = TERM.fullmatch(term)
    if not match:
        sys.exit(f"{file}: '{term}' is not COLUMN(GLOB)")
    column, glob = match.groups()
    right = [row for row in chosen if row["verdict"] == "PASS" and row["primary"] == "1"
             and fnmatch.fnmatchcase(row["variant"], glob)]
    if not right:
        sys.exit(f"{file}: no PASS row matches '{glob}'")
    row = min(right, key=lambda row: float(row["median_us"]))
    if not re.fullmatch(r"-?\d[\d.e+-]*", row.get(column, "")):
        sys.exit(f"{file}: '{term}' names no column of numbers")
    return column, row


def figure(file, text):
    terms, _, conditions = text.partition(" where ")
    chosen = where(file, conditions.split())
    if terms == "rows":
        return str(len(chosen))
    if terms.count("/") > 1:
        sys.exit(f"{file}: '{terms}' is not one term, or the ratio of two")
    found = [fastest(file, term, chosen) for term in terms.split(" / ")]
    columns, of = zip(*found)
    if len(set(columns)) > 1:
        sys.exit(f"{file}: '{terms}' is a ratio of two columns")
    for column in SHAPE:
        if of[0][column] != of[-1][column]:
            sys.exit(f"{file}: '{text}' is a ratio of unlike rows: {column} is {of[0][column]} and {of[-1][column]}")
    values = [float(row[columns[0]]) for row in of]
    return f"{values[0] / values[1] if len(values) == 2 else values[0]:.2f}"


def without_marks(page):
    """The page without what is recomputed, and the comments in it that are neither recomputed nor allowed."""
    rest = FIGURE.sub("~", TABLE.sub("", page))
    return rest, COMMENT.findall(rest)


def renewed(page, pattern, compute, stale):
    def write(match):
        begin, file, what, before, end = match.groups()
        new = compute(file, what)
        if new != before:
            stale.append(f"{file}: {what}" + (f": {before} should be {new}" if "\n" not in new else ""))
        return begin + new + end

    return pattern.sub(write, page)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    check, stale, marked = "--check" in sys.argv, [], 0
    for page in PAGES:
        old, of_page = page.read_text(), []
        for comment in without_marks(old)[1]:
            sys.exit(f"{page.relative_to(ROOT)}: this is no mark, or has no end or no number: {comment}")
        new = renewed(renewed(old, TABLE, table, of_page), FIGURE, figure, of_page)
        marked += len(TABLE.findall(old)) + len(FIGURE.findall(old))
        stale += [f"{page.relative_to(ROOT)}: {line}" for line in of_page]
        if not check and new != old:
            page.write_text(new)
    if not marked:
        sys.exit("no page quotes results/recorded/")
    if check and stale:
        sys.exit("not what the recorded results give; write them anew with ./dev readme:\n" + "\n".join(stale))


if __name__ == "__main__":
    main()
