#!/usr/bin/env python3
"""What takes too long for each commit, as a flat list of small jobs.

    ./dev nightly [--share I/N] [--minutes M] [--only WORDS] [--go-on] [--list]

--share runs every N-th job, from the I-th on; I may be the word `commit`: I, and the job of the share that is the first,
then follow from the revision, so that in time every job has its turn. As many jobs run at once as there are cores.
After M minutes no other begins. --go-on leaves out the jobs that have passed with the same files: those that the job's
result follows from (Job.files). The seeds of the executor's inputs follow from the revision.

Exit code: 0 every job passed, 1 one failed (its log is printed), 2 there is no such job.
"""
import argparse
import concurrent.futures
import hashlib
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
PASSED = ROOT / "build/nightly/passed.txt"  # lines of a job's key and name
EQUIVALENT = "tests/mutants/equivalent.txt"
sys.path.insert(0, str(ROOT / "tests/mutants"))
import mutate  # noqa: E402
MUTANTS_A_JOB = 25
EDGE_SHAPES_PARTS = 8
RANDOM_PARTS, RANDOM_KILLS, RANDOM_FAULTS = 10, 30, 20  # of a part
# `nf4bench verify` passes an empty shard, as of a suite with fewer groups than shards. The parts here are never empty.
VERIFIED = r"[1-9]\d* pass, "


class Job:
    """A command, run in the root of the project. `build` is what it needs: a preset and targets, all when none is named.
    `environment` is added to this program's. `proof` is a pattern that a line of a passing job's output begins with.
    `files` are the git pathspecs of what the result follows from; `more` is text that it follows from, too."""

    def __init__(self, name, command, build=None, environment=None, proof=None, files=(".",), more=""):
        self.name, self.command, self.build = name, list(map(str, command)), build
        self.environment, self.proof, self.files, self.more = environment or {}, proof, files, more

    def key(self):
        """A hash of all that the result follows from, as it is in the working tree; whatever the seed is."""
        def git(*arguments):
            return subprocess.run(["git", "-C", str(ROOT), *arguments, "--", *self.files], capture_output=True, check=True).stdout
        new = [path for path in git("ls-files", "-o", "-z", "--exclude-standard").split(b"\0") if path]
        command = re.sub(r"--seed \d+", "", " ".join(self.command)) + str(self.build) + self.more
        parts = [git("ls-files", "-s"), git("diff", "HEAD"), command.encode()]
        parts += [path + (ROOT / os.fsdecode(path)).read_bytes() for path in new]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


# ---- the list ------------------------------------------------------------------------------------------------------


# The program that verifies kernels, and how it is built.
PROGRAM = ["CMakeLists.txt", "CMakePresets.json", "cmake", "dev", "harness", "reference", "results", "plots", "suites",
           ":(glob)kernels/*", ":(glob)kernels/*/*.inc", ":(glob)kernels/*/*.c", "kernels/device/cuda.h",
           "kernels/device/entry.h", "kernels/device/host.h", "tests/nightly.py"]


def executor_jobs():
    """Every CUDA kernel under the executor: both compilers, both builds, both suites, other inputs than ./dev simt's."""
    seed = 1000 + commit_number() % 1000000
    for preset, build in (("tests", ("tests", "nf4bench")), ("clang-simt", ("clang-simt",))):
        for kind in ("fast", "checked"):
            for suite, parts in (("smoke", 2), ("edge-shapes", EDGE_SHAPES_PARTS)):
                for part in range(1, parts + 1):
                    yield Job(f"executor {preset} {kind} {suite} part {part}/{parts}",
                              [f"build/{preset}/nf4bench", "verify", f"suites/{suite}.yaml", "--device", f"simt:{kind}",
                               "--shard", f"{part}/{parts}", "--seed", seed, "--quiet"], build, proof=VERIFIED,
                              files=[*PROGRAM, "kernels"])


def mutant_jobs():
    """Every mutant of every kernel (tests/mutants/mutate.py). A header's are tried with all kernels that include it."""
    program = [sys.executable, "tests/mutants/mutate.py", "--nf4bench", "build/tests/nf4bench"]
    files = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("kernels/*/*.cu")) + ["examples/dequant.cu"]
    listed = subprocess.run([*program, "--list", *files], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    counts = {}
    for source in re.findall(r"^(\S+?):\d+ ", listed, re.M):
        counts[source] = counts.get(source, 0) + 1
    if not counts:
        sys.exit(f"no mutants listed: {' '.join(program)} --list printed\n{listed}")
    arguments = (ROOT / EQUIVALENT).read_text().splitlines()
    for source, count in counts.items():
        parts = -(-count // MUTANTS_A_JOB)
        tried_with = [source] if source.endswith(".cu") else files
        kernels = {file: [file, *mutate.headers_of(file)] for file in tried_with}
        used = sorted(set().union(*(of for of in kernels.values() if source in of)))
        for part in range(1, parts + 1):
            yield Job(f"mutants {source} part {part}/{parts}",
                      [*program, "--only", source, "--share", f"{part}/{parts}", "--jobs", 1, *tried_with],
                      ("tests", "nf4bench"),
                      files=[*PROGRAM, *used, "tests/mutants/mutate.py"],
                      more="\n".join(line for line in arguments if line.startswith(source + " ")))


def kill_jobs():
    """A journal that is killed at every write, and runs that are killed, or have a fault, at random. The environment is the
    one that ctest gives these tests."""
    for phase in range(8):
        yield Job(f"kill journal part {phase + 1}/8", ctest_command("end_to_end_kill", "-k", "long_run"), ("tests",),
                  {"NF4BENCH_KILL_STRIDE": "8", "NF4BENCH_PHASE": str(phase)})
    for part in range(1, RANDOM_PARTS + 1):
        yield Job(f"kill random part {part}/{RANDOM_PARTS}", ctest_command("end_to_end_kill_random"), ("tests",),
                  {"NF4BENCH_RANDOM_KILLS": str(RANDOM_KILLS), "NF4BENCH_RANDOM_FAULTS": str(RANDOM_FAULTS),
                   "NF4BENCH_PHASE": str((commit_number() + part) % (1 << 30))})


def whole_jobs():
    """The tests that `.ci/run` takes a part of."""
    for name in ("many_rows", "report"):
        yield Job(f"whole {name}", ctest_command(f"end_to_end_{name}"), ("tests",))
    yield Job("whole every variant", ["build/tests/tests/nf4bench_tests",
                                      "--gtest_filter=verify.every_variant_passes_a_small_case"], ("tests",))


def ctest_command(name, *arguments):
    return [sys.executable, "tests/nightly.py", "--as-ctest", "tests", name, *arguments]


def sanitizer_jobs():
    parts = 24
    for part in range(parts):
        yield Job(f"sanitizers unit part {part + 1}/{parts}", ["build/sanitize/tests/nf4bench_tests"], ("sanitize",),
                  {"GTEST_TOTAL_SHARDS": str(parts), "GTEST_SHARD_INDEX": str(part),
                   "ASAN_OPTIONS": "allocator_may_return_null=1"})


def device_code_jobs():
    """Device code for every GPU of the list, some files at a time; then the program that it is in."""
    if not shutil.which("nvcc") and not os.path.exists("/usr/local/cuda/bin/nvcc"):
        print("no nvcc: no jobs that compile device code", file=sys.stderr)
        return
    sources = [str(path.relative_to(ROOT / "kernels")) for path in sorted((ROOT / "kernels").glob("*/*.cu"))]
    for source in [*sources, "support.cu"]:
        yield Job(f"nvcc {source}", ["true"], ("cuda", f"fatbin/{re.sub('[/.]', '_', source)}.fatbin"))
    yield Job("nvcc program", ["build/cuda-quick/nf4bench", "list"], ("cuda-quick", "nf4bench"))


def fuzz_jobs():
    for part in (1, 2, 3):
        for path in sorted((ROOT / "tests/fuzz").glob("fuzz_*.c")):
            yield Job(f"fuzz {path.stem} part {part}/3", ["./dev", "fuzz_one", path.stem, 100], ("fuzz",))


def other_jobs():
    yield Job("clang, all kernels of the CPU", ["build/clang/nf4bench", "verify", "suites/smoke.yaml", "--quiet"],
              ("clang", "nf4bench"), proof=VERIFIED)
    yield Job("selftest, 10 seeds", ["build/tests/nf4bench", "selftest", "--seeds", 10], ("tests", "nf4bench"))


def all_jobs():
    for jobs in (executor_jobs, mutant_jobs, kill_jobs, whole_jobs, sanitizer_jobs, device_code_jobs, fuzz_jobs, other_jobs):
        yield from jobs()


# ---- running -------------------------------------------------------------------------------------------------------


def as_ctest(preset, name, arguments):
    """Becomes the command of a test, in the environment that ctest gives it, with more arguments."""
    shown = subprocess.run(["ctest", "--test-dir", f"build/{preset}", "--show-only=json-v1"], check=True, capture_output=True)
    test = next(test for test in json.loads(shown.stdout)["tests"] if test["name"] == name)
    for one in test["properties"]:
        if one["name"] == "ENVIRONMENT":
            os.environ.update(pair.split("=", 1) for pair in one["value"])
    os.execvp(test["command"][0], test["command"] + arguments)


building, built = threading.Lock(), set()


def run(job, log):
    """The exit code; what the job and its build say goes to the file `log`."""
    with building:
        if job.build and job.build not in built:
            done = subprocess.run(["./dev", "build", *job.build], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
            if done.returncode:
                return done.returncode
            built.add(job.build)
    log.write(" ".join(job.command) + "\n")
    log.flush()
    # As many jobs as cores, of as many threads each: those that wait leave the cores to the others.
    environment = dict(os.environ, OMP_WAIT_POLICY="passive", **job.environment)
    if "NF4BENCH_PHASE" not in job.environment:  # .ci/run's
        environment.pop("NF4BENCH_STRIDE", None)
    code = subprocess.run(job.command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=environment).returncode
    if code == 0 and job.proof and not re.search(f"^{job.proof}", pathlib.Path(log.name).read_text(errors="replace"), re.M):
        log.write(f"the job ended with exit code 0, but no line begins with {job.proof}\n")
        return 1
    return code


def run_all(jobs, minutes):
    started, ended, failed, late = time.monotonic(), 0, [], []
    folder = ROOT / "build/nightly"
    folder.mkdir(parents=True, exist_ok=True)

    def one(job):
        began, key = time.monotonic(), job.key()
        if minutes is not None and began - started > 60 * minutes:
            return job, None, None, 0
        path = folder / (re.sub(r"\W+", "_", job.name) + ".log")
        path.unlink(missing_ok=True)
        with open(path, "a") as log:
            code = run(job, log)
        if code == 0 and key == job.key():  # else somebody has changed the files meanwhile
            with open(PASSED, "a") as passed:
                print(key, job.name, file=passed)
        return job, code, path, time.monotonic() - began

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for future in concurrent.futures.as_completed([pool.submit(one, job) for job in jobs]):
            job, code, path, seconds = future.result()
            if code is None:
                late.append(job)
                continue
            ended += 1
            print(f"[{ended}/{len(jobs)}] {'ok' if code == 0 else 'FAILED':6} {seconds:5.0f} s  {job.name}", flush=True)
            if code:
                failed.append(job)
                print(f"{path.read_text(errors='replace')}\n{job.name}: exit code {code}: {' '.join(job.command)}", flush=True)
    for job in late:
        print(f"not begun, time is up: {job.name}")
    for job in failed:
        print(f"FAILED: {job.name}")
    print(f"nightly: {ended - len(failed)} of {len(jobs)} jobs passed, {len(failed)} failed, {len(late)} not begun, "
          f"{time.monotonic() - started:.0f} s")
    return 1 if failed or ended == 0 else 0


def commit_number():
    done = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True)
    return int(done.stdout, 16) if done.returncode == 0 else 0


def mixed(jobs):
    """The same jobs, those of each kind in turn: the first word of a job's name is its kind."""
    kinds = {}
    for job in jobs:
        kinds.setdefault(job.name.split()[0], []).append(job)
    return [job for turn in itertools.zip_longest(*kinds.values()) for job in turn if job]


def main():
    if sys.argv[1:2] == ["--as-ctest"]:
        os.chdir(ROOT)
        as_ctest(sys.argv[2], sys.argv[3], sys.argv[4:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     prog="./dev nightly")
    parser.add_argument("--share", default="1/1", metavar="I/N", help="every N-th job, from the I-th on; I may be `commit`")
    parser.add_argument("--minutes", type=float, metavar="M", help="begin no job after so many minutes")
    parser.add_argument("--only", metavar="WORDS", help="the jobs whose name has these words in it")
    parser.add_argument("--go-on", action="store_true", help="leave out the jobs that passed with the same files")
    parser.add_argument("--list", action="store_true", help="print the jobs' names and stop")
    options = parser.parse_args()
    jobs = [job for job in all_jobs() if not options.only or options.only in job.name]
    every = len(jobs)
    if options.go_on and PASSED.exists():
        passed = set(PASSED.read_text().splitlines())
        jobs = [job for job in jobs if f"{job.key()} {job.name}" not in passed]
        print(f"nightly: {every - len(jobs)} of {every} jobs have passed with the same files")
    share, _, shares = options.share.partition("/")
    if not shares.isdigit() or int(shares) < 1 or not (share == "commit" or share.isdigit() and 1 <= int(share) <= int(shares)):
        parser.error(f"--share {options.share}: not I/N with I from 1 to N")
    commit, shares = commit_number(), int(shares)
    first = commit % shares if share == "commit" else int(share) - 1
    chosen = jobs[first::shares]
    if share == "commit" and chosen:  # with --minutes the last jobs are not begun: in time each job is the first
        turn = commit // shares % len(chosen)
        chosen = mixed(chosen[turn:] + chosen[:turn])
    print(f"nightly: share {first + 1}/{shares}, {len(chosen)} of {len(jobs)} jobs", flush=True)
    if not chosen:
        return 0 if every and not jobs else 2
    for job in chosen if options.list else []:
        print(job.name)
    return 0 if options.list else run_all(chosen, options.minutes)


if __name__ == "__main__":
    sys.exit(main())
