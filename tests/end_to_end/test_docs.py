"""What of the documentation a program can check: commands, options, suites and paths exist, links resolve, the run that
README.md shows prints what it shows, every command, suite, folder and kernel file is documented, and pages are short."""
import fnmatch
import functools
import json
import pathlib
import re

import pytest

from conftest import SOURCE

PAGES = [SOURCE / name for name in ("README.md", "CONTRIBUTING.md", "kernels/README.md", "results/recorded/README.md")]
PAGES += sorted((SOURCE / "docs").glob("*.md"))
FOLDERS = "cmake|docs|examples|harness|kernels|plots|reference|results|suites|tests"
MINE = re.compile(r"(?<![A-Za-z0-9])mine(?![A-Za-z0-9_])")  # is in avx2_mine.c, not in determined.c
every_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(SOURCE)) for page in PAGES])


def commands(text):
    """What a reader may type: lines of code blocks and code in prose, split where a shell begins another command. A line
    that ends in \\ goes on in the next."""
    text = text.replace("\\\n", " ").replace("\\|", "|")
    found = re.findall(r"^(?: {4}|\t|\$ )(.*)$", text, re.MULTILINE)
    for paragraph in re.split(r"\n\s*\n", text):
        found += [code.replace("\n", " ") for code in re.findall(r"`([^`]+)`", paragraph)]
    lines = [re.sub(r"'[^'\n]*'|\"[^\"\n]*\"", "X", line.split(" # ")[0]) for line in found]
    return [part.strip() for line in lines for part in re.split(r"[;&|()]+", line) if part.strip()]


def anchors(page):
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@functools.cache
def dev_commands():
    dispatch = (SOURCE / "dev").read_text().split('case "$command" in')[1]
    return set(re.findall(r"^(\w+)\)", dispatch, re.MULTILINE))


@functools.cache
def presets(kind):
    found = json.loads((SOURCE / "CMakePresets.json").read_text())[f"{kind}Presets"]
    return {preset["name"] for preset in found if not preset.get("hidden")}


@pytest.fixture(scope="session")
def options(nf4bench):
    """The options of each command, from its --help."""
    names = re.findall(r"^  (\w+) ", nf4bench("--help").stdout, re.MULTILINE)
    assert len(names) > 10
    return {name: set(re.findall(r"(?:^| )(--?[A-Za-z][\w-]*)", nf4bench(name, "--help").stdout, re.MULTILINE))
            for name in names}


def program(word):
    """Which of the programs that are checked a word of a command names."""
    name = word.rsplit("/", 1)[-1]
    return name if name in ("nf4bench", "cmake", "ctest") or word.endswith("./dev") else ""


def wrong_words(words, options):
    """What is wrong in the words of a command from the program's name on."""
    name, rest = program(words[0]), [word.strip("[]") for word in words[1:]]
    if name == "dev":
        if rest and rest[0] not in dev_commands() | {"COMMAND"}:
            return rest[:1]
        return [preset for preset in rest[1:2] if rest[0] == "build" and preset not in presets("build")]
    if name == "nf4bench":
        if not rest or rest[0] in ("--help", "--version", "COMMAND", "..."):
            return []
        if rest[0] not in options:
            return rest[:1]
        return [word for word in rest[1:]
                if re.match(r"--?[A-Za-z]", word) and word.split("=")[0] not in options[rest[0]]]
    kind = "test" if name == "ctest" else "build" if "--build" in rest else "configure"
    return [preset for preset in re.findall(r"--preset[ =](\S+)", " ".join(rest)) if preset not in presets(kind)]


def wrong_commands(text, options):
    wrong = [f"a fenced block, whose commands are not read: {fence}"
             for fence in re.findall(r"^[ >]*(?:```|~~~).*", text, re.MULTILINE)]
    for command in commands(text):
        words = command.split()
        first = next((number for number, word in enumerate(words) if program(word)), len(words))
        if words[first:]:
            wrong += [f"{word}: {command}" for word in wrong_words(words[first:], options)]
        wrong += [f"build/{preset}: {command}" for preset in re.findall(r"(?<![\w/])(?:\./)?build/([\w-]+)", command)
                  if preset not in presets("configure")]
    return wrong


@every_page
def test_commands_exist(page, options):
    assert not wrong_commands(page.read_text(), options)


@pytest.mark.parametrize("text", [
    "    nf4bench run suites/smoke.yaml -o r.h5 && ./dev test\n",
    "| `nf4bench list ['*dequant*']` | lists \\| shows |",
    "    cmake --preset release && cmake --build --preset release\n    ctest --preset tests -R '^unit'\n",
    "    cmake --install build/release --prefix ~/nf4bench",
    "`./dev build clang-simt` `sudo ./dev demo` `nf4bench --version` `nf4bench COMMAND --help`",
    "    gdb --args nf4bench verify suites/smoke.yaml\n",
])
def test_a_right_command_is_not_found(text, options):
    assert not wrong_commands(text, options)


@pytest.mark.parametrize("text", [
    "`nf4bench prove x`",
    "see `nf4bench\nprove x`",
    "``nf4bench prove x``",
    "\tnf4bench rum\n",
    "    nf4bench run x --oputput r.h5\n",
    "    nf4bench run x \\\n      --oputput r.h5\n",
    "`nf4bench run x [--oputput r.h5]`",
    "`nf4bench run x -Q`",
    "`nf4bench run x --Output=r.h5`",
    "    a && build/release/nf4bench rum\n",
    "    a || nf4bench rum\n",
    "    a; nf4bench rum\n",
    "    a | nf4bench rum\n",
    "    (cd out; a) & (nf4bench rum)\n",
    "    x=$(nf4bench rum)\n",
    "    VARIABLE=1 nf4bench rum\n",
    "    VARIABLE='a b' OTHER=2 ./dev tests\n",
    "    sudo nf4bench rum\n",
    "    sudo -E nice -n 15 nf4bench rum\n",
    "    gdb --args nf4bench rum\n",
    "`./dev tests`",
    "`sudo ./dev tests`",
    "`../dev/../../dev tests; cd .. && ./dev tests`",
    "`./dev build realese`",
    "    cmake --preset realese\n",
    "    cmake --preset=realese\n",
    "    cmake --preset base\n",
    "    cmake --build --preset realese\n",
    "    ctest --preset release\n",
    "    cmake --install build/realese\n",
    "    build/realese/nf4bench run x\n",
    "```\nnf4bench rum\n```\n",
    "1. First:\n\n   ~~~sh\n   nf4bench rum\n   ~~~\n",
    "> ```\n> nf4bench rum\n> ```\n",
])
def test_a_wrong_command_is_found(text, options):
    assert wrong_commands(text, options)


@functools.cache
def names():
    """Every name of a file of the tree."""
    folders = [SOURCE / folder for folder in (*FOLDERS.split("|"), ".ci")]
    return {path.name for folder in folders for path in folder.rglob("*")} | {path.name for path in SOURCE.iterdir()}


def lost_links(page, text):
    text = re.sub(r"`[^`\n]*`", "X", text)
    defined = dict(re.findall(r"^ {0,3}\[([^\]]+)\]: *<?([^\s>]+)", text, re.MULTILINE))
    targets = re.findall(r"\]\(\s*<?([^)\s>]*)", text) + re.findall(r"\b(?:href|src) *= *[\"']?([^\"'\s>]+)", text)
    lost = [f"[{label}]" for label in re.findall(r"\]\[([^\]]+)\]", text) if label not in defined]
    for target in targets + list(defined.values()):
        file, _, anchor = target.partition("#")
        to = (page.parent / file).resolve() if file else page
        if not target.startswith("https://") and (
                not target or not to.exists() or SOURCE not in (to, *to.parents) or anchor and anchor not in anchors(to)):
            lost.append(target)
    return lost


def missing(page, text):
    """Links that lead nowhere, and files of the tree that are not there. A reader's own file is called `mine`; its folder
    must be there."""
    lost = lost_links(page, text)
    without_targets = re.sub(r"\]\([^)]*\)|^ {0,3}\[[^\]]+\]:.*", "]", text, flags=re.MULTILINE)
    for path in re.findall(rf"(?<![\w/.<~-])(?:\.\.?/)*((?:{FOLDERS})/[\w./*+-]+)", without_targets):
        path = path.rstrip("./")
        if re.search(MINE, path):
            path = path.rpartition("/")[0]
        if not list(SOURCE.glob(path)):
            lost.append(path)
    for name in re.findall(r"`([\w.*+-]+\.(?:c|h|inc|cmake|py))`", without_targets):
        if not re.search(MINE, name) and not fnmatch.filter(names(), name):
            lost.append(name)
    return lost


@every_page
def test_links_and_paths_exist(page):
    assert not missing(page, page.read_text())


@pytest.mark.parametrize("text", [
    "[a](docs/gate.md) [b](docs/gate.md#what-it-does) `kernels/*/mma.cu` https://x.y/docs/z",
    "[a](docs/gate.md \"title\") [b][gate]\n\n[gate]: docs/gate.md \"title\"\n",
    "`racy.cu` in `./kernels/` and `../suites/smoke.yaml`, `kernel.h`, `kernels/nf4_dequant/avx2_mine.c`, `mine.c`",
])
def test_a_right_link_is_not_found(text):
    assert not missing(SOURCE / "README.md", text)


@pytest.mark.parametrize("text", [
    "[a](docs/none.md)",
    "[a](docs/gate.md#none)",
    "[a](docs/none.md \"title\")",
    "[a](docs/none.md 'title')",
    "[a]( docs/none.md )",
    "[a](<docs/none.md>)",
    "[a]()",
    "[a](../../../etc)",
    "[a](http://x.y/z)",
    "[a][gate]",
    "[a][gate]\n\n[gate]: docs/none.md\n",
    "[gate]\n\n[gate]: <docs/none.md> \"title\"\n",
    "<a href=\"docs/none.md\">",
    "<img src=docs/none.png>",
    "`kernels/none.h`",
    "suites/none.yaml",
    "`./suites/none.yaml`",
    "`../suites/none.yaml`",
    "`../../suites/none.yaml`",
    "`none.h`", "`none.c`", "`none.inc`", "`none.cmake`", "`none.py`", "`none_*.h`",
    "`kernels/determined.h`",
    "`kernels/nf4_dequant/miner.c`",
    "`determined.c`",
    "`kernels/none/mine.c`",
])
def test_a_missing_link_is_found(text):
    assert missing(SOURCE / "README.md", text)


def tree():
    """Of each folder in README.md's table, what its row names."""
    section = (SOURCE / "README.md").read_text().split("## Where things are")[1].split("\n## ")[0]
    return {folder: re.findall(r"`([^`]+)`", text) for folder, text in re.findall(r"^\| `(.+?)` \| (.*) \|$", section, re.M)}


def test_the_tree_names_every_folder_and_no_other_file():
    folders = re.search(r"set\(NF4BENCH_FOLDERS (.*?)\)", (SOURCE / "CMakeLists.txt").read_text(), re.DOTALL)[1].split()
    devices = [str(path.parent.relative_to(SOURCE)) for path in (SOURCE / "harness/device").glob("*/serve.c")]
    assert devices and tree().keys() >= {f"{folder}/" for folder in folders + devices}
    lost = [f"{folder}: {name}" for folder, names in tree().items() for name in names
            if name != "include_order" and not (SOURCE / folder / name).exists() and not (SOURCE / name).exists()]
    assert not lost


def documented(phrase, text):
    """Whether a text has the words, not as a part of longer ones."""
    return re.search(rf"(?<![\w-]){re.escape(phrase)}(?![\w-])", text)


def test_everything_is_documented(options):
    text = "\n".join(page.read_text() for page in PAGES)
    assert not [name for name in options if not documented(f"nf4bench {name}", text)]
    internal = {"fuzz_one", "prove"}
    assert not [name for name in dev_commands() - internal if not documented(f"./dev {name}", text)]
    models = set(re.findall(r"^([\w.-]+):", (SOURCE / "suites/models.yaml").read_text(), re.M))
    of_a_model = {suite for suite in (SOURCE / "suites").glob("*.yaml") for model in models
                  if suite.stem == model.lower()}
    assert not [suite.name for suite in (SOURCE / "suites").glob("*.yaml")
                if suite not in of_a_model and not documented(f"suites/{suite.name}", text)]
    readme = (SOURCE / "README.md").read_text()
    assert not [page.name for page in PAGES
                if page.parent == SOURCE / "docs" and not documented(f"docs/{page.name}", readme)]


@pytest.mark.parametrize("text, phrase", [
    ("`./dev cuda_quick`", "./dev cuda"),
    ("`./dev cuda-quick`", "./dev cuda"),
    ("`nf4bench runs`", "nf4bench run"),
    ("`my_nf4bench run`", "nf4bench run"),
    ("suites/smoke.yamlx", "suites/smoke.yaml"),
    ("suites/smokeXyaml", "suites/smoke.yaml"),
])
def test_a_part_of_a_word_documents_nothing(text, phrase):
    assert not documented(phrase, text)
    assert documented(phrase, f"{text} `{phrase}`.")


def test_the_run_in_the_readme_prints_what_it_shows(nf4bench):
    mark, block = re.search(r"<!-- output of: (.*?) -->\n((?:    .*\n)+)", (SOURCE / "README.md").read_text()).groups()
    lines = [line.strip() for line in block.splitlines()]
    assert lines.pop(0) == f"$ {mark}"
    arguments = mark.split()[1:]
    if "no checker" in nf4bench("try", SOURCE / "examples/dequant.cu", "--first").stdout:
        pytest.skip("this build has no checker")
    # The words in order; `...` stands for what is left out, a line's end for any space. Which of the blocks that run side by
    # side is reported first is chance.
    def without_places(text):
        return re.sub(r"\b(thread|block|bytes|to|warp) \d+", r"\1 N", text)

    shown = [re.escape(piece) for piece in re.split(r"\s*\.\.\.\s*", without_places(" ".join(lines)))]
    pattern = r".*?".join(re.sub(r"(\\ )+", r"\\s+", piece) for piece in shown)
    done = nf4bench(*arguments, code=1, cwd=SOURCE)
    assert re.fullmatch(pattern + r"\s*", without_places(done.stdout), re.DOTALL), done.stdout


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
