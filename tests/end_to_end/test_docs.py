"""What of the documentation a program can check: commands, options, suites and paths exist, links resolve, the run that
README.md shows prints what it shows, every command, suite, folder and kernel file is documented, and pages are short."""
import pathlib
import re

import pytest

from conftest import SOURCE

PAGES = [SOURCE / name for name in ("README.md", "CONTRIBUTING.md", "kernels/README.md", "results/recorded/README.md")]
PAGES += sorted((SOURCE / "docs").glob("*.md"))
FOLDERS = "cmake|docs|examples|harness|kernels|plots|reference|results|suites|tests"
every_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(SOURCE)) for page in PAGES])


def commands(text):
    """What a reader may type: lines of code blocks and code in prose; a line that ends in \\ goes on in the next."""
    text = text.replace("\\\n", " ").replace("\\|", "|")
    found = re.findall(r"^(?: {4}|\$ )(.*)$", text, re.MULTILINE) + re.findall(r"`([^`\n]+)`", text)
    return [part.strip().removeprefix("$ ") for line in found for part in re.split(r"&&|;", line.split(" # ")[0])]


def anchors(page):
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def dev_commands():
    dispatch = (SOURCE / "dev").read_text().split('case "$command" in')[1]
    return set(re.findall(r"^(\w+)\)", dispatch, re.MULTILINE))


@pytest.fixture(scope="session")
def options(nf4bench):
    """The options of each command, from its --help."""
    names = re.findall(r"^  (\w+) ", nf4bench("--help").stdout, re.MULTILINE)
    assert len(names) > 10
    return {name: set(re.findall(r"(?:^| )(--?[a-z][\w-]*)", nf4bench(name, "--help").stdout, re.MULTILINE))
            for name in names}


def wrong_commands(text, options):
    wrong, program = [], {"--help", "--version"}
    for command in commands(text):
        words = re.sub(r"'[^']*'", "X", command).split()
        if not words:
            continue
        if words[0] == "./dev" and len(words) > 1 and words[1] not in dev_commands() | {"COMMAND"}:
            wrong.append(command)
        if pathlib.Path(words[0]).name != "nf4bench" or len(words) < 2 or words[1] in program | {"COMMAND", "..."}:
            continue
        if words[1] not in options:
            wrong.append(command)
            continue
        wrong += [f"{word}: {command}" for word in words[2:]
                  if re.match(r"--?[a-z]", word) and word.split("=")[0] not in options[words[1]]]
    return wrong


@every_page
def test_commands_exist(page, options):
    assert not wrong_commands(page.read_text(), options)


def test_a_wrong_command_is_found(options):
    assert not wrong_commands("    nf4bench run suites/smoke.yaml -o r.h5 && ./dev test\n", options)
    for text in ("`nf4bench prove x`", "    nf4bench run x --oputput r.h5\n", "    a && build/release/nf4bench rum\n",
                 "`./dev tests`"):
        assert wrong_commands(text, options), text


def missing(page, text):
    """Links that lead nowhere, and paths of the tree that are not there."""
    lost = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        to = (page.parent / file) if file else page
        if not target.startswith("https://") and (not to.exists() or anchor and anchor not in anchors(to)):
            lost.append(target)
    for path in re.findall(rf"(?<![\w/.<~-])((?:{FOLDERS})/[\w./*+-]+)", re.sub(r"\]\([^)]*\)", "]", text)):
        path = path.rstrip(".")
        if "mine" not in path and not list(SOURCE.glob(path.rstrip("/"))):
            lost.append(path)
    return lost


@every_page
def test_links_and_paths_exist(page):
    assert not missing(page, page.read_text())


def test_a_missing_link_is_found():
    page = SOURCE / "README.md"
    assert not missing(page, "[a](docs/gate.md) [b](docs/gate.md#what-it-does) `kernels/*/mma.cu` https://x.y/docs/z")
    for text in ("[a](docs/none.md)", "[a](docs/gate.md#none)", "`kernels/none.h`", "suites/none.yaml"):
        assert missing(page, text), text


def tree():
    """Of each folder in README.md's table, what its row names."""
    section = (SOURCE / "README.md").read_text().split("## Where things are")[1].split("\n## ")[0]
    return {folder: re.findall(r"`([^`]+)`", text) for folder, text in re.findall(r"^\| `(.+?)` \| (.*) \|$", section, re.M)}


def test_the_tree_names_every_folder_and_no_other_file():
    folders = re.search(r"set\(NF4BENCH_FOLDERS (.*?)\)", (SOURCE / "CMakeLists.txt").read_text(), re.DOTALL)[1].split()
    devices = [str(path.parent.relative_to(SOURCE)) for path in (SOURCE / "harness/device").glob("*/sample.c")]
    assert devices and tree().keys() >= {f"{folder}/" for folder in folders + devices}
    lost = [f"{folder}: {name}" for folder, names in tree().items() for name in names
            if name != "include_order" and not (SOURCE / folder / name).exists() and not (SOURCE / name).exists()]
    assert not lost


def test_everything_is_documented(options):
    text = "\n".join(page.read_text() for page in PAGES)
    assert not [name for name in options if f"nf4bench {name}" not in text]
    internal = {"fuzz_one", "prove"}
    assert not [name for name in dev_commands() - internal if f"./dev {name}" not in text]
    models = set(re.findall(r"^([\w.-]+):", (SOURCE / "suites/models.yaml").read_text(), re.M))
    of_a_model = {suite for suite in (SOURCE / "suites").glob("*.yaml") for model in models
                  if suite.stem == model.lower()}
    assert not [suite.name for suite in (SOURCE / "suites").glob("*.yaml")
                if suite not in of_a_model and f"suites/{suite.name}" not in text]
    readme = (SOURCE / "README.md").read_text()
    assert not [page.name for page in PAGES if page.parent == SOURCE / "docs" and f"docs/{page.name}" not in readme]


def test_the_run_in_the_readme_prints_what_it_shows(nf4bench):
    mark, block = re.search(r"<!-- output of: (.*?) -->\n((?:    .*\n)+)", (SOURCE / "README.md").read_text()).groups()
    lines = [line.strip() for line in block.splitlines()]
    assert lines.pop(0) == f"$ {mark}"
    arguments = mark.split()[1:]
    if "no checker" in nf4bench("try", SOURCE / "examples/dequant.cu", "--first").stdout:
        pytest.skip("this build has no checker")
    # The words in order; `...` stands for what is left out, a line's end for any space.
    shown = [re.escape(piece) for piece in re.split(r"\s*\.\.\.\s*", " ".join(lines))]
    pattern = r".*?".join(re.sub(r"(\\ )+", r"\\s+", piece) for piece in shown)
    done = nf4bench(*arguments, code=1, cwd=SOURCE)
    assert re.fullmatch(pattern + r"\s*", done.stdout, re.DOTALL), done.stdout


def ladders():
    """The files of each ladder in kernels/README.md, from the first rung on."""
    sections = (SOURCE / "kernels/README.md").read_text().split("\n## ")[1:]
    return [re.findall(r"^\d+\. \[(.+?)\]\(\1\): \S", section, re.MULTILINE) for section in sections]


def test_the_ladder_has_every_kernel_once():
    rungs = [file for ladder in ladders() for file in ladder]
    assert sorted(rungs) == sorted(str(path.relative_to(SOURCE / "kernels")) for path in (SOURCE / "kernels").glob("*/*")
                                   if path.suffix in (".c", ".cu"))


def test_a_kernel_names_its_command_and_its_neighbours(nf4bench):
    for ladder in ladders():
        for before, file, after in zip(["none", *ladder], ladder, [*ladder[1:], "none"]):
            header = (SOURCE / "kernels" / file).read_text().split("*/")[0]
            folder = file.split("/")[0] + "/"
            near = [name.removeprefix(folder) for name in (before, after)]
            assert header.startswith(f"/*\n * {file}: "), file
            assert f"Ladder (kernels/README.md): before this {near[0]}, after this {near[1]}.\n" in header, file
            run = re.search(r"^ \* Run: (.*)$", header, re.MULTILINE)[1]
            if file.endswith(".cu"):
                assert run == f"nf4bench try kernels/{file}"
            else:
                glob = re.fullmatch(r"nf4bench verify suites/smoke.yaml -v '(.*)'", run)[1]
                assert "__" in nf4bench("list", glob).stdout, run


@every_page
def test_pages_are_short(page):
    limit = 140 if page.name == "README.md" and page.parent == SOURCE else 150
    assert len(page.read_text().splitlines()) <= limit
