#!/usr/bin/env python3
"""Breaks CUDA kernels on purpose and expects `nf4bench try` to notice.

    mutate.py --nf4bench PROGRAM [--share I/N] [--only SOURCE] [--list] [--jobs J] [--log FILE] FILE.cu...

Every operator of OPERATORS is applied to every place in the files, and in the device headers of the project that they
include, where it fits; each result is compiled and verified. A place in a header is broken once, and must be noticed
through one of the files that use it. A mutant is caught when `try` says WRONG. One that does not compile is no mutant,
and one that compiles to the same machine code as the original is the same program. A survivor must be argued in
equivalent.txt, one line each:

    FILE | OPERATOR `REPLACEMENT` | the line of code, as it stands | why no input can tell the difference

and is not run then, unless --argued asks for it. Where several places of such a line, or of lines that read the same, fit,
the argument is for all of them, or for the N-th with N after the replacement: change_operator `-` 2.

Exit code: 0 every mutant caught or argued, 1 survivors, argued ones that are caught, or an original that does not pass,
2 an argument fits no place.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ---- operators: each yields (start, end, replacement) for a file's text --------------------------------------------


def blank(text):
    """The text with comments, strings and preprocessor lines replaced by spaces, so that offsets stay."""
    def spaces(match):
        return re.sub(r"[^\n]", " ", match.group())
    text = re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\])*\"", spaces, text, flags=re.S)
    return re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda m: keep_macro(m.group()), text, flags=re.M)


def keep_macro(line):
    """Bodies of function-like macros are code; other directives are not."""
    define = re.match(r"[ \t]*#[ \t]*define[ \t]+\w+\([^)]*\)", line)
    cut = define.end() if define else len(line)
    return re.sub(r"[^\n]", " ", line[:cut]) + line[cut:]


def closing(text, start):
    """Index of the bracket that closes the one at `start`."""
    pairs = {"(": ")", "[": "]", "{": "}"}
    depth, open_, close = 0, text[start], pairs[text[start]]
    for i in range(start, len(text)):
        depth += (text[i] == open_) - (text[i] == close)
        if depth == 0:
            return i
    return -1


def statements(text, pattern):
    for match in re.finditer(pattern, text):
        yield match.start(), match.end(), ";"


def drop_barrier(text):
    yield from statements(text, r"__sync(threads|warp)\s*\([^;]*\);")


def drop_wait(text):
    yield from statements(text, r"cp_async_wait<[^;]*;")


def drop_commit(text):
    yield from statements(text, r"cp_async_commit\(\);")


def longer_wait(text):
    for match in re.finditer(r"cp_async_wait<([^>]*)>", text):
        yield match.start(1), match.end(1), f"{match.group(1)} + 1"


def drop_guard(text):
    """if (c) -> if (true), for each condition with a comparison; each && operand alone as well."""
    for match in re.finditer(r"\bif\s*\(", text):
        end = closing(text, match.end() - 1)
        condition = text[match.end():end]
        if not re.search(r"[<>]|!=|==", condition):
            continue
        yield match.end(), end, "true"
        yield match.end(), end, "false"
    for match in re.finditer(r"&&", text):
        yield match.start(), match.end(), "||"


def drop_select(text):
    """c ? a : b -> a, and -> b: a guard in an expression."""
    for match in re.finditer(r"(?<![?\w])((?:\w[\w.\->]*|\([^()?;]*\))(?:\s*(?:[<>!=]=|[<>%&+*/-])\s*(?:\w[\w.\->]*|\([^()?;]*\)))*)\s*\?",
                             text):
        yield match.start(1), match.end(1), "true"
        yield match.start(1), match.end(1), "false"


def narrow_mask(text):
    for match in re.finditer(r"\b0xffffffffu?\b|\b(?:FULL_WARP|WARP_ALL|FULL_MASK|ALL_LANES)\b", text):
        yield match.start(), match.end(), "0x7fffffffu"


def shift_index(text):
    """a[i] -> a[i + 1], not in declarations."""
    for match in re.finditer(r"(\w)\s*\[", text):
        start = match.end() - 1
        end = closing(text, start)
        index = text[start + 1:end]
        line = text[text.rfind("\n", 0, start) + 1:start]
        declared = re.match(r"\s*(?:static |const |CONSTANT |DEVICE |constexpr )*"
                            r"(?:struct \w+|u?int\w*|float|unsigned|size_t|double|char|bool|uint[24]|float[24])[\s*&]+"
                            r"(?:\w+(?:\[[^\]]*\])*(?:\s*=[^;]*)?,\s*)*\w*$", line)
        in_parameters = re.search(r"\b(?:uint\w+|float|int|unsigned|T) \w*$", line)
        if not index.strip() or declared or in_parameters or "SHARED(" in line or "operator" in line:
            continue
        yield start + 1, end, f"({index}) + 1"


def single_buffer(text):
    """The stage of a pipeline: x % 2, x & 1, x ^ 1, % STAGES -> 0."""
    for match in re.finditer(r"\w+\s*(?:%\s*(?:2|STAGES)|\^\s*1)\b|\b(?:stage|buffer|slot|step|tile)\w*\s*&\s*1\b", text):
        yield match.start(), match.end(), "0"


def swap_fragment(text):
    """A constant index of a small array: [0] -> [1], [1] -> [0], [2] -> [3] ..."""
    for match in re.finditer(r"(?<=[\w\]])\[([0-3])\]", text):
        line = text[text.rfind("\n", 0, match.start()) + 1:match.start()]
        if re.search(r"(?:uint\w+|float|int|unsigned) \w*$", line):
            continue
        yield match.start(1), match.end(1), str(int(match.group(1)) ^ 1)


def change_loop(text):
    """for (...; i < n; ...) -> one round less at the end; and one at the beginning."""
    for match in re.finditer(r"\bfor\s*\(", text):
        end = closing(text, match.end() - 1)
        parts = text[match.end():end].split(";")
        if len(parts) != 3:
            continue
        offset = match.end() + len(parts[0]) + 1
        comparison = re.search(r"(<=?|>=?)", parts[1])
        if comparison and "<" in comparison.group():
            at = offset + comparison.end()
            step = re.search(r"\+=\s*(.+)", parts[2])
            less = step.group(1).strip() if step else "1"
            yield at, offset + len(parts[1]), f" ({parts[1][comparison.end():].strip()}) - ({less})"
        elif re.search(r"\w", parts[1]):
            # for (h = 16; h; h /= 2): the last round is left out
            yield offset, offset + len(parts[1]), f" ({parts[1].strip()}) && !(({parts[1].strip()}) == 1)"
        start = re.search(r"=\s*([^,;]+)$", parts[0])
        step = re.search(r"(\w+)\s*(?:\+\+|\+=|/=|>>=)|\+\+\s*(\w+)", parts[2])
        if start and step and "+" in parts[2]:
            more = re.search(r"\+=\s*(.+)", parts[2])
            more = more.group(1).strip() if more else "1"
            yield match.end() + start.start(1), match.end() + start.end(1), f"({start.group(1).strip()}) + ({more})"


def change_initial(text):
    """T x = 0 -> = 1: accumulators and flags begin wrong."""
    for match in re.finditer(r"=\s*(0(?:\.0f)?|\{\s*0?(?:\.0f)?\s*\})\s*(?=[;,)])", text):
        value = match.group(1)
        yield match.start(1), match.end(1), "{1}" if "{" in value else ("1.0f" if "." in value else "1")


def drop_store(text):
    """x[...] = ...; at the start of a statement -> nothing: initialisations of shared memory, outputs."""
    for match in re.finditer(r"(?<=[;{})\n])[ \t]*((?:\w+(?:\.|->))*\w+\s*\[[^;={}]*\](?:\.\w+)?\s*\|?=\s*[^=;][^;]*;)", text):
        yield match.start(1), match.end(1), ";"


def change_constant(text):
    """A literal of the decode: another digit."""
    for match in re.finditer(r"\b0x[0-9a-f]{2,8}u?\b(?!p)", text):
        if match.group().rstrip("u") in ("0xffffffff", "0x7fffffff"):
            continue
        digits = match.group()
        digit = digits[2]
        yield match.start() + 2, match.start() + 3, "123456789abcdef0"["0123456789abcdef".index(digit)]


def change_operator(text):
    """+ -> -, >> -> <<, / -> *, % -> /, & -> | between operands with spaces around, one at a time."""
    other = {"+": "-", "-": "+", ">>": "<<", "<<": ">>", "/": "*", "%": "/", "&": "|", "|": "&", "*": "+", "<": "<=",
             ">=": ">", "==": "!=", "!=": "=="}
    for match in re.finditer(r"(?<=[\w)\]] )(\+|-|>>|<<|/|%|&|\||\*|<|>=|==|!=)(?= [\w(])", text):
        before = text[text.rfind("\n", 0, match.start()) + 1:match.start()]
        if match.group() == "*" and re.search(r"(?:void|char|uint\w*|float\w*|args|int|T|const|unsigned) $", before):
            continue  # a pointer
        if match.group() == "&" and re.search(r"(?:_args|const|struct \w+) $", before):
            continue
        if match.group() == "<" and "template" in before:
            continue
        if match.group() == "/" and re.search(r"(?:uint\w*|float|int|unsigned|struct \w+) \w+(?:\[[^\]]*\])*\[[^\]]*$", before):
            continue  # a longer array
        yield match.start(), match.end(), other[match.group()]


# What these break is an order of threads: the checker says so where a fast run mostly gives the right bits.
OF_ORDER = ["drop_barrier", "drop_wait", "drop_commit", "longer_wait", "single_buffer"]

OPERATORS = [drop_barrier, drop_wait, drop_commit, longer_wait, drop_guard, drop_select, narrow_mask, shift_index,
             single_buffer, swap_fragment, change_loop, change_initial, drop_store, change_constant, change_operator]

# ---- mutants -------------------------------------------------------------------------------------------------------

OWN_HEADER = re.compile(r'^#include "(kernels/device/(?!cuda\.h|entry\.h|host\.h)[\w/]+\.h)"$', re.M)


def read(source):
    with open(os.path.join(ROOT, source)) as f:
        return f.read()


class Mutant:
    """A place in `source`, a kernel file or a header, and what stands there instead."""

    def __init__(self, source, operator, start, end, replacement, text):
        self.source, self.operator = source, operator
        self.start, self.end, self.replacement, self.text = start, end, replacement, text
        self.line_number = text.count("\n", 0, start) + 1
        first = text.rfind("\n", 0, start) + 1
        last = text.find("\n", start)
        self.line = text[first:last if last >= 0 else len(text)].strip()
        self.key = (source, f"{operator} `{replacement}`", self.line)
        self.number = 1  # which one of those with this key

    def is_in(self, argued):
        return self.key in argued or self.numbered_key() in argued

    def numbered_key(self):
        source, change, line = self.key
        return source, f"{change} {self.number}", line

    def body(self):
        return self.text[:self.start] + self.replacement + self.text[self.end:]

    def __str__(self):
        old = " ".join(self.text[self.start:self.end].split())
        return f"{self.source}:{self.line_number} {self.operator}: `{old}` -> `{self.replacement}` in `{self.line}`"


def headers_of(source):
    """The project's device headers that a file includes, and those that these include."""
    found = []
    for header in OWN_HEADER.findall(read(source)):
        found += [h for h in headers_of(header) + [header] if h not in found]
    return found


def mutants_of(source):
    text = read(source)
    code, seen, numbers = blank(text), set(), {}
    for operator in OPERATORS:
        for start, end, replacement in operator(code):
            key = (start, end, replacement)
            if key not in seen and code[start:end] != replacement:
                seen.add(key)
                mutant = Mutant(source, operator.__name__, start, end, replacement, text)
                mutant.number = numbers[mutant.key] = numbers.get(mutant.key, 0) + 1
                yield mutant


# `GEMM_TYPE(bf16, ELEMENT_BF16)` at the end of a file: entries of one kind.
ENTRIES = re.compile(r"^(?!ENTRY)[A-Z][A-Z0-9_]*\(.*\)$", re.M)


def with_few_entries(text):
    """The file with the first and the last of its lines of entries, of two with the last: quicker to compile and to verify, and
    mostly enough."""
    lines = ENTRIES.findall(text)
    few = lines[-1:] if len(lines) == 2 else [lines[0], lines[-1]] if lines else []
    return ENTRIES.sub(lambda m: m.group() if m.group() in few else "", text) if len(few) < len(lines) else None


def complete(source, mutant):
    """The file with its headers in the places of their #includes, the mutant in it, and every line's own number."""
    text = mutant.body() if mutant and mutant.source == source else read(source)

    def inline(match):
        after = text.count("\n", 0, match.end()) + 2
        return f'{complete(match.group(1), mutant)}\n#line {after} "{source}"'
    return f'#line 1 "{source}"\n{OWN_HEADER.sub(inline, text)}'


# ---- running -------------------------------------------------------------------------------------------------------

TRY_S = 600  # a `try` that takes longer is ended
COMPILE = [os.environ.get("CXX") or "c++", "-x", "c++", "-std=c++17", "-ffp-contract=off", "-fno-math-errno", "-w", "-fPIC",
           "-DSIMT_TRY", "-I", ROOT]


def lines_used(path):
    """{header: its lines that have code in this complete file}, from the compiler's line table."""
    subprocess.run(COMPILE + ["-O0", "-g", "-c", path, "-o", path + ".o"], check=True)
    table = subprocess.run(["objdump", "--dwarf=decodedline", path + ".o"], check=True, stdout=subprocess.PIPE).stdout
    used = {}
    for name, line in re.findall(r"^(\S+\.h)\s+(\d+)\s+0x", table.decode(), re.M):
        used.setdefault(os.path.basename(name), set()).add(int(line))
    return {name: sorted(lines) for name, lines in used.items()}


def machine_code(path):
    """A hash of the assembly of a file, without the names of files."""
    done = subprocess.run(COMPILE + ["-O2", "-S", path, "-o", "-"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    text = re.sub(rb"^\s*\.file.*$", b"", done.stdout, flags=re.M)
    return hashlib.sha256(text).hexdigest() if done.returncode == 0 else None


def run_try(program, path, extra):
    """(exit code, output); no exit code where it had to be ended: neither caught nor survived."""
    try:
        done = subprocess.run([program, "try", path] + extra, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TRY_S)
    except subprocess.TimeoutExpired as ended:
        return None, f"{(ended.stdout or b'').decode(errors='replace')}\nnf4bench try ran past {TRY_S} s"
    return done.returncode, done.stdout.decode(errors="replace")


def kept(parts, find):
    """What find() returns, kept under build/mutants/ by a hash of `parts`."""
    key = hashlib.sha256(b"\0".join(part if isinstance(part, bytes) else part.encode() for part in parts)).hexdigest()[:24]
    path = os.path.join(ROOT, "build", "mutants", key + ".json")
    if os.path.exists(path):
        with open(path) as f:
            return json.load(f)
    found = find()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.{os.getpid()}.{threading.get_ident()}", "w") as f:
        json.dump(found, f)
    os.replace(f.name, path)
    return found


class Original:
    """What there is to know of an unbroken file. Each thing is found when somebody asks for it, and kept."""

    def __init__(self, program, source):
        self.program, self.source, self.text, self.one_asks = program, source, complete(source, None), threading.Lock()

    def asked(self, what, find, *more):
        with self.one_asks:
            return kept([what, " ".join(COMPILE), self.text, *more], find)

    def in_a_file(self, find):
        with tempfile.TemporaryDirectory(prefix="nf4bench-mutants-") as folder:
            path = os.path.join(folder, "k.cu")
            with open(path, "w") as f:
                f.write(self.text)
            return find(path)

    def machine_code(self):
        return self.asked("machine code", lambda: self.in_a_file(machine_code))

    def uses(self, mutant):
        """Whether the file has code of the mutant's line."""
        lines = self.asked("lines", lambda: self.in_a_file(lines_used))
        return mutant.source == self.source or mutant.line_number in lines.get(os.path.basename(mutant.source), ())

    def complaint(self):
        """What `try` says of the unbroken file, "" where it passes: only there a mutant counts as caught."""
        def find():
            code, output = run_try(self.program, os.path.join(ROOT, self.source), [])
            return f"{output}\n{self.source}: the original does not pass" if code != 0 else ""
        with open(self.program, "rb") as f:
            return self.asked("try", find, f.read())


def judge(program, mutant, originals):
    """(verdict, output): 'caught (fast)', 'caught (checked)', 'invalid', 'same code', 'SURVIVED' or 'ERROR'. What is quick is
    tried in all of `originals` before anything slower is in one: without the checker before with it, and a few entries before
    all of them. A mutant of the order of threads goes to the checker first."""
    same = set()
    steps = [(True, "fast"), (False, "fast"), (True, "checked"), (False, "checked")]
    if mutant.operator in OF_ORDER:
        steps[:3] = [(True, "checked"), (True, "fast"), (False, "fast")]
    with tempfile.TemporaryDirectory(prefix="nf4bench-mutants-") as folder:
        path = os.path.join(folder, "k.cu")
        for few, build in steps:
            for original in originals:
                text = complete(original.source, mutant)
                body = with_few_entries(text) if few else text
                if not body or original in same:
                    continue
                with open(path, "w") as f:
                    f.write(body)
                if not few and build == "fast" and machine_code(path) == original.machine_code():
                    same.add(original)
                    continue
                code, output = run_try(program, path, [f"--{build}", "--first"])
                if code == 2 and "does not compile" in output:
                    return "invalid", output
                if code != 0:
                    complaint = original.complaint()
                    return ("ERROR" if complaint or code != 1 else f"caught ({build})"), complaint or output
    return ("same code" if len(same) == len(originals) else "SURVIVED"), ""


def read_arguments(path):
    """{(source, operator, replacement and, if any, number; line): why}."""
    result = {}
    if os.path.exists(path):
        with open(path) as f:
            for number, line in enumerate(f, 1):
                if not line.strip() or line.startswith("#"):
                    continue
                parts = [part.strip() for part in line.split(" | ")]
                if len(parts) < 4 or not parts[-1]:
                    sys.exit(f"{path}:{number}: not FILE | OPERATOR `REPLACEMENT` | line of code | why")
                result[(parts[0], parts[1], " | ".join(parts[2:-1]))] = parts[-1]
    return result


def without_line(text):
    """A mutant as it is printed, whatever its line's number is now."""
    return re.sub(r":\d+ ", " ", text, count=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nf4bench", required=True)
    parser.add_argument("--share", default="1/1", help="I/N: every Nth mutant, from the Ith")
    parser.add_argument("--only", action="append", help="break this file or header alone; may be repeated")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--list", action="store_true", help="print the mutants and stop")
    parser.add_argument("--log", help="a file for every mutant's verdict")
    parser.add_argument("--argued", action="store_true", help="run those that equivalent.txt argues, too")
    parser.add_argument("--again", metavar="LOG", help="only the mutants that survived there")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    share, shares = map(int, options.share.split("/"))
    program = os.path.abspath(options.nf4bench)
    argued = read_arguments(os.path.join(ROOT, "tests", "mutants", "equivalent.txt"))

    files = [os.path.relpath(os.path.abspath(path), ROOT) for path in options.files]
    includes = {source: headers_of(source) for source in files}
    sources = files + sorted(set().union(*includes.values()))
    if options.only:
        sources = [source for source in sources if source in options.only]
    mutants = [m for source in sources for m in mutants_of(source)]
    total = len(mutants)
    places = {m.key for m in mutants} | {m.numbered_key() for m in mutants}
    for key in argued:
        if key[0] in sources and key not in places:
            print(f"equivalent.txt argues a mutant that there is not: {' | '.join(key)}", file=sys.stderr)
            return 2
    if options.again:
        with open(options.again) as f:
            survived = {without_line(line.split(": ", 1)[1].strip()) for line in f if line.startswith("SURVIVED")}
        mutants = [m for m in mutants if without_line(str(m)) in survived]
    not_run = 0 if options.argued else sum(m.is_in(argued) for m in mutants)
    if not_run:
        mutants = [m for m in mutants if not m.is_in(argued)]
    mutants = mutants[share - 1::shares]
    if options.list:
        for mutant in mutants:
            print(mutant)
        print(f"{len(mutants)} of {total} mutants")
        return 0

    originals = {source: Original(program, source) for source in files}

    def judged(mutant):
        """In the shortest file first. A line without code of its own may act anywhere."""
        if mutant.source in files:
            return judge(program, mutant, [originals[mutant.source]])
        including = sorted((originals[f] for f in files if mutant.source in includes[f]), key=lambda o: len(o.text))
        return judge(program, mutant, [o for o in including if o.uses(mutant)] or including)

    counts, survivors, refuted, errors, done = {}, [], [], [], 0
    log = open(options.log, "w") if options.log else None
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        futures = {pool.submit(judged, m): m for m in mutants}
        for future in concurrent.futures.as_completed(futures):
            mutant = futures[future]
            verdict, output = future.result()
            if mutant.is_in(argued):
                verdict = {"SURVIVED": "equivalent (argued)"}.get(verdict, verdict)
                if verdict.startswith("caught"):
                    refuted.append(mutant)
                    print(f"ARGUED, BUT {verdict}: {mutant}", flush=True)
            counts[verdict] = counts.get(verdict, 0) + 1
            done += 1
            if log:
                print(f"{verdict}: {mutant}", file=log, flush=True)
            if verdict == "SURVIVED":
                survivors.append(mutant)
                print(f"SURVIVED {mutant}", flush=True)
            elif verdict == "ERROR":
                errors.append(mutant)
                print(f"ERROR {mutant}\n{output}", flush=True)
            if sys.stderr.isatty():
                print(f"\r{done} of {len(mutants)} mutants, {len(survivors)} survive", end="", file=sys.stderr, flush=True)
            elif done % 25 == 0:
                print(f"{done} of {len(mutants)}", file=sys.stderr, flush=True)
    print(", ".join(f"{verdict}: {count}" for verdict, count in sorted(counts.items())))
    caught = sum(c for v, c in counts.items() if v.startswith("caught"))
    argued_count = counts.get("equivalent (argued)", 0)
    print(f"{caught} of {caught + argued_count + len(survivors)} mutants caught, {argued_count} argued to be equivalent, "
          f"{len(survivors)} survive; {counts.get('same code', 0)} are the same machine code; "
          f"{not_run} that are argued were not run")
    return 1 if survivors or refuted or errors else 0


if __name__ == "__main__":
    sys.exit(main())
