"""The CUDA back end on the fake driver (tests/fake_cuda/): what is told when all is well, and that whatever fails,
the run ends and no row is called right that is not."""

import json
import os
import re
import statistics
import subprocess

import h5py
import pytest

from conftest import SOURCE, Program

FAKE = {name: os.environ[name] for name in ("NF4BENCH_LIBCUDA", "NF4BENCH_LIBCUBLAS", "NF4BENCH_LIBNVML")
        if name in os.environ}
FUNCTIONS = re.findall(r"^CUDA_FUNCTION\((\w+), \w+, (\w+),", (SOURCE / "harness/device/cuda/functions.inc").read_text(), re.M)
CUBLAS = re.findall(r"^CUBLAS_FUNCTION\((\w+), (\w+),", (SOURCE / "harness/device/cuda/cublas_functions.inc").read_text(), re.M)
CASE = "dequant bf16 n=16 k=64 blocksize=64"
VARIANT = "nf4_dequant_bf16__sm75_prmt"
FOUR = (VARIANT, "nf4_dequant_bf16__sm75_lut_shared", "nf4_dequant_bf16__sm75_prmt_scaled", "nf4_dequant_bf16_c16__sm75_prmt")
TINY = f"""\
suite: tiny
measure: {{min_samples: 3, max_samples: 4, max_seconds: 2, settle_seconds: 0}}
cases:
  - op: dequant
    shapes: [[16, 64]]
    regime: [cold, hot]
    variants: [{", ".join(FOUR)}]
"""


@pytest.fixture(scope="module")
def fake():
    """The program with placeholders for device code; the environment names the fake driver."""
    path = os.environ.get("NF4BENCH_FAKE")
    assert path and len(FAKE) == 3, "NF4BENCH_FAKE and NF4BENCH_LIB{CUDA,CUBLAS,NVML} must be set (ctest does)"
    return Program(path)


@pytest.fixture
def tiny(suite):
    return suite(TINY)


def run(fake, *arguments, fail=None, **environment):
    """Ends within the limit, whatever happens; returns the finished process."""
    env = dict(os.environ, **environment)
    if fail:
        env["NF4BENCH_FAKE_CUDA_FAIL"] = fail
    return subprocess.run([fake.path, *map(str, arguments)], capture_output=True, text=True, env=env, timeout=120)


def rows_of(path):
    with h5py.File(path) as f:
        verdicts = {v: k for k, v in h5py.check_enum_dtype(f["results"].dtype["verdict"]).items()}
        regimes = {v: k for k, v in h5py.check_enum_dtype(f["results"].dtype["regime"]).items()}
        return [
            dict(zip(row.dtype.names, row), verdict=verdicts[row["verdict"]], regime=regimes[row["regime"]])
            for row in f["results"][:]
        ]


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def test_run_verifies_times_and_says_where(fake, tiny, tmp_path):
    out = tmp_path / "r.h5"
    fake("run", tiny, "--device", "cuda", "-o", out)
    rows = rows_of(out)
    variants = [r for r in rows if r["verdict"] != "NONE"]
    assert len(variants) == 8 and all(r["verdict"] == "PASS" for r in variants)
    assert {r["regime"] for r in rows} == {"cold", "hot"}
    for r in rows:
        assert text(r["device"]) == "fake GPU (executor)" and r["device_sm"] == 90
        assert text(r["device_uuid"]).startswith("GPU-00fa")
        assert r["sample_count"] >= 3 and r["median_us"] > 0
        assert r["sm_mhz"] == 1500 and r["power_w"] == 123 and r["excluded_count"] == 0
        assert r["timer_overhead_us"] == pytest.approx(0.5, abs=0.01)
        if r["verdict"] == "PASS":
            assert r["temperature_c"] == 40
            assert r["registers"] == 32 and r["shared_bytes"] == 1024 and r["local_bytes"] == 0 and r["blocks_per_sm"] in (8, 16)
            assert r["hot_graph"] == (r["regime"] == "hot")
            assert (r["calls_per_sample"] > 1) == (r["regime"] == "hot")
            assert text(r["ceiling"]) == "copy" and 0 < r["ceiling_fraction"] <= 1
            # 3 us, and a pair of events takes 0.5: cold is mostly overhead, so hot is to be quoted.
            assert r["overhead_limited"] == (r["regime"] == "cold") and r["primary"] == (r["regime"] == "hot")
            assert r["cold_ratio"] > 1.5 and not r["cold_not_achieved"] and r["gemm_flop_per_s"] > 0
    assert {text(r["variant"]) for r in rows if r["verdict"] == "NONE"} == {"ceiling_fill", "ceiling_copy"}
    with h5py.File(out) as f:
        (gpu,) = json.loads(f.attrs["gpus"])
        assert not f["samples/flags"][:].any() and len(f["samples/flags"]) == len(f["samples/time_us"])
    assert gpu["driver_version"] == "fake 1.0" and gpu["power_limit_w"] == 300 and gpu["other_processes"] == 1
    assert gpu["sm_mhz_max"] == 1980 and gpu["sm_mhz_application"] == 1755 and gpu["persistence_mode"] == 1
    assert gpu["ecc"] is False and gpu["mig_mode"] is None


BIG = "dequant bf16 n=1024 k=1024 blocksize=64"  # twice what the fake's cache holds


def timed(fake, out, *more, case=BIG, samples=6, settle=0, **environment):
    """The row of VARIANT in a run of one case, cold, and the finished process."""
    done = run(fake, "run", "--case", case, "-v", VARIANT, "--device", "cuda", "-o", out, "--force", "--axis",
               "regime=cold", "--measure", f"settle_seconds={settle}", "--measure", f"max_samples={samples}", "--measure",
               f"min_samples={samples}", *more, **environment)
    return [r for r in rows_of(out) if text(r["variant"]) == VARIANT][0], done


def samples_of(out, row):
    with h5py.File(out) as f:
        part = slice(int(row["sample_start"]), int(row["sample_start"] + row["sample_count"]))
        return f["samples/time_us"][part], f["samples/flags"][part]


def test_faster_than_its_bytes_is_suspect(fake, tmp_path):
    out = tmp_path / "r.h5"
    row, done = timed(fake, out)
    assert row["verdict"] == "PASS" and row["primary"] and not row["overhead_limited"]
    row, done = timed(fake, out, NF4BENCH_FAKE_CUDA_SPEED="0.6")
    assert row["verdict"] == "SUSPECT" and "as fast as the copy ceiling takes" in text(row["reason"])
    assert row["ceiling_fraction"] > 1.02 and "SUSPECT" in done.stdout


def test_cold_that_is_not_cold_is_told(fake, tmp_path):
    row, _ = timed(fake, tmp_path / "r.h5", NF4BENCH_FAKE_CUDA_WARM="1")
    assert row["cold_not_achieved"] and row["cold_ratio"] < 1.5 and row["primary"]  # there is no hot row


def test_slow_clocks_are_retried_kept_and_left_out(fake, tmp_path):
    """One reading in four is low: its sample is kept behind the others, flagged, and another takes its place."""
    out = tmp_path / "r.h5"
    row, _ = timed(fake, out, settle=3, samples=12, NF4BENCH_FAKE_NVML_CLOCKS="1500,1500,1440,1500")
    times, flags = samples_of(out, row)
    assert row["verdict"] == "PASS" and row["settled"] and row["settled_mhz"] == 1500
    assert row["excluded_count"] == 0 and row["retried_count"] > 0 and row["sample_count"] == 12 + row["retried_count"]
    assert not flags[:12].any() and (flags[12:] == 1).all() and (times > 0).all()


def test_a_fifth_may_be_excluded(fake, tmp_path):
    """Four bad readings in a row outlast the retries: the sample stays, flagged, out of the statistics."""
    out = tmp_path / "r.h5"
    for good, verdict in ((40, "PASS"), (1, "UNSTABLE")):
        reasons = ",".join(["0"] * good + ["0x40"] * 4)
        row, _ = timed(fake, out, samples=20, NF4BENCH_FAKE_NVML_REASONS=reasons, NF4BENCH_FAKE_CUDA_DRIFT="0.01")
        times, flags = samples_of(out, row)
        left_out = flags[:20] != 0
        assert row["verdict"] == verdict and row["excluded_count"] == left_out.sum()
        assert row["retried_count"] == len(flags) - 20 and (flags[20:] == 2).all() and len(times) == len(flags)
        assert row["median_us"] == pytest.approx(statistics.median(times[:20][~left_out]), rel=1e-12)
        assert row["p90_us"] <= max(times[:20][~left_out])
    assert left_out.sum() > 4 and row["median_us"] != statistics.median(times[:20])


def test_a_worker_killed_while_it_writes_leaves_the_others_whole(fake, tiny, tmp_path):
    """The first of two GPUs' processes to write dies in the middle of its entry; the other one's comes behind it."""
    out = tmp_path / "r.h5"
    two = {"NF4BENCH_FAKE_CUDA_GPUS": "2"}
    header_calls = 3  # of the parent: the journal made empty, the header's write, fsync of its folder
    done = run(fake, "run", tiny, "--device", "all", "-o", out, LD_PRELOAD=os.environ["NF4BENCH_KILLAT"],
               KILLAT_MATCH=f"{out}.journal", KILLAT_N=str(header_calls + 1), KILLAT_TORN="1",
               KILLAT_ONCE=str(tmp_path / "once"), ASAN_OPTIONS="verify_asan_link_order=0", **two)
    assert done.returncode == 2 and "ended early" in done.stderr, done
    resumed = run(fake, "run", "--resume", out, **two)
    assert resumed.returncode == 0 and "(1 " in resumed.stdout, resumed
    assert len(rows_of(out)) == 24


def test_the_report_says_that_the_times_are_not_a_gpus(fake, tiny, tmp_path):
    out, html = tmp_path / "r.h5", tmp_path / "r.html"
    fake("run", tiny, "--device", "cuda", "-o", out)
    fake("report", out, "-o", html)
    page = html.read_text()
    assert "Not a GPU's times" in page and "on a GPU, " not in page
    assert "Not a GPU's times" in fake("show", out).stdout


def test_products_and_their_ceiling(fake, tmp_path):
    out = tmp_path / "r.h5"
    done = fake("run", "--case", "gemm bf16 m=16 n=64 k=64 blocksize=64", "-v", "*mma*__sm80_mma*", "--device", "cuda",
                "-o", out, "--measure", "settle_seconds=0", "--measure", "max_samples=3", "--measure", "min_samples=3")
    rows = {text(r["variant"]): r for r in rows_of(out)}
    assert rows["nf4_gemm_bf16_mma90__sm80_mma_64x32x64"]["verdict"] == "PASS"
    assert rows["nf4_gemm_bf16_mma80__sm80_mma_64x32x64"]["verdict"] == "SKIPPED"  # of sm 9.0, not of 8.x
    assert "8.x" in text(rows["nf4_gemm_bf16_mma80__sm80_mma_64x32x64"]["reason"])
    assert "ceiling_read" in rows and "1 pass" in done.stdout


def test_compute_capability_decides_what_runs(fake):
    environment = {"NF4BENCH_FAKE_CUDA_SM": "75"}
    done = fake("verify", "--case", "gemm bf16 m=16 n=64 k=64 blocksize=64", "-v", "*mma*", "--device", "cuda", "-V",
                code=77, environment=environment)
    assert "needs compute capability 8.0, this GPU has 7.5" in done.stdout


@pytest.mark.parametrize("where", ["cuda", "all"])
def test_no_gpu_is_77(fake, tiny, where):
    for environment in ({"NF4BENCH_LIBCUDA": "/nonexistent/libcuda.so.1"}, {"NF4BENCH_FAKE_CUDA_GPUS": "0"}):
        done = fake("verify", tiny, "--device", where, code=77, environment=environment)
        assert "no GPU" in done.stderr


def test_named_gpu_that_is_missing_is_2(fake, tiny):
    done = fake("verify", tiny, "--device", "cuda:7", code=2, environment={"NF4BENCH_FAKE_CUDA_GPUS": "2"})
    assert "no GPU is '7'" in done.stderr and "cuda:1  fake GPU (executor)  GPU-01fa" in done.stderr
    fake("verify", tiny, "--device", "cuda:0", code=2, environment={"NF4BENCH_LIBCUDA": "/nonexistent/libcuda.so.1"})


@pytest.mark.parametrize("code,word", [(34, "STUB_LIBRARY"), (36, ""), (222, ""), (803, "container"), (999, "dmesg")])
def test_broken_driver_is_2_never_77(fake, tiny, code, word):
    done = run(fake, "verify", tiny, "--device", "cuda", fail=f"cuInit:1:{code}")
    assert done.returncode == 2 and "broken" in done.stderr and f"({code}," in done.stderr and word in done.stderr


def test_build_without_device_code_says_so(nf4bench, tiny):
    done = run(nf4bench, "verify", tiny, "--device", "cuda")
    if "no device code" not in done.stderr and done.returncode == 0:
        pytest.skip("built with nvcc")
    assert done.returncode == 2 and "no device code" in done.stderr


def test_gpus_are_named_in_every_way(fake):
    environment = {"NF4BENCH_FAKE_CUDA_GPUS": "3"}
    for name in ("cuda:2", "cuda:GPU-02fafafa", "cuda:0000:03:00.0"):
        done = fake("verify", "--case", CASE, "-v", VARIANT, "--device", name, "-V", environment=environment)
        assert "1 pass" in done.stdout
    fake("verify", "--case", CASE, "-v", VARIANT, "--device", "cuda:fake gpu (EXECUTOR)", environment=environment)


@pytest.mark.parametrize("option", [(), ("--one-gpu-at-a-time",)])
def test_all_gpus_into_one_file(fake, tiny, tmp_path, option):
    out = tmp_path / "r.h5"
    done = fake("run", tiny, "--device", "all", "-o", out, *option, environment={"NF4BENCH_FAKE_CUDA_GPUS": "2"})
    rows = rows_of(out)
    per_gpu = [[r for r in rows if r["device_number"] == n] for n in (0, 1)]
    assert len(per_gpu[0]) == len(per_gpu[1]) == 12 and len(rows) == 24
    assert not {r["group_id"] for r in per_gpu[0]} & {r["group_id"] for r in per_gpu[1]}
    assert all(r["verdict"] in ("PASS", "NONE") for r in rows) and "8 pass" in done.stdout


def test_a_gpu_that_breaks_does_not_stop_the_others(fake, tiny, tmp_path):
    """The first GPU to make a context fails: an error, and the other GPU's rows are in the journal all the same."""
    out = tmp_path / "r.h5"
    once = tmp_path / "once"
    done = run(fake, "run", tiny, "--device", "all", "-o", out, fail=f"cuDevicePrimaryCtxRetain:1:999:{once}",
               NF4BENCH_FAKE_CUDA_GPUS="2")
    assert done.returncode == 2 and "cuDevicePrimaryCtxRetain" in done.stderr
    fake("run", "--resume", out, environment={"NF4BENCH_FAKE_CUDA_GPUS": "2"})
    assert len(rows_of(out)) == 24


def check_ended_well(done, out, good):
    """The run ended by itself; what it recorded has a verdict, and what did not pass is not timed as right."""
    assert done.returncode in (0, 1, 2, 77), done
    if done.returncode == 2:
        assert "nf4bench run:" in done.stderr and len(done.stderr) > 40
        return
    rows = [r for r in rows_of(out) if r["verdict"] != "NONE"]
    assert rows
    for r in rows:
        assert r["verdict"] in ("PASS", "FAIL", "MISTRUSTED", "SKIPPED", "CRASHED", "TIMEOUT")
        if r["verdict"] != "PASS":
            assert text(r["reason"])
    assert (done.returncode == 0) == all(r["verdict"] == "PASS" for r in rows)


@pytest.mark.parametrize("need,function", FUNCTIONS)
def test_every_function_may_fail(fake, tmp_path, need, function):
    for i, what in enumerate(("1:999", "1:700", "3:700", "2:2")):
        out = tmp_path / f"{i}.h5"
        done = run(fake, "run", "--case", CASE, "-v", VARIANT, "--device", "cuda", "-o", out, "--measure", "min_samples=2",
                   "--measure", "max_samples=2", "--measure", "settle_seconds=0", fail=f"{function}:{what}")
        check_ended_well(done, out, VARIANT)


@pytest.mark.parametrize("what,word", [("700", "illegal-address"), ("719", "launch-failed"), ("702", "launch-timeout"),
                                       ("710", "assert"), ("701", "launch-resources"), ("1", "launch-refused"),
                                       ("crash", "crash"), ("hang", "hang")])
def test_a_fault_costs_its_own_row_only(fake, tmp_path, what, word):
    once = tmp_path / "once"
    limit = 8 if what == "hang" else 30
    only = [argument for name in FOUR for argument in ("-v", name)]
    done = run(fake, "verify", "--case", CASE, *only, "--device", f"cuda,limit={limit}", "-V",
               fail=f"cuLaunchKernel:3:{what}:{once}")
    assert once.exists() and done.returncode == 1
    verdict, count = {"crash": ("CRASHED", "1 crashed and 0 hung"), "hang": ("TIMEOUT", "0 crashed and 1 hung")}.get(
        what, ("FAIL", "1 fail, 0 mistrusted"))
    assert count in done.stdout and "3 pass" in done.stdout and f": {word}, under" in done.stdout
    assert re.search(f"^{verdict} ", done.stdout, re.M)


def test_wrong_bits_are_seen_in_verification_and_in_timing(fake, tmp_path):
    common = ("--case", CASE, "-v", VARIANT, "--device", "cuda", "--measure", "min_samples=3", "--measure",
              "max_samples=3", "--measure", "settle_seconds=0")
    done = run(fake, "verify", "--case", CASE, "-v", VARIANT, "--device", "cuda", fail="cuLaunchKernel:2:wrong")
    assert done.returncode == 1 and "differ" in done.stdout
    # In the order of launches of the process: 15 to verify (8 are reads beside one), then support kernels and the first calls. Every later launch of
    # the variant is one whose bits are looked at; those of support kernels pass the order on to the next of it.
    seen = set()
    for n in range(16, 52, 3):
        out = tmp_path / f"{n}.h5"
        done = run(fake, "run", *common, "-o", out, fail=f"cuLaunchKernel:{n}:wrong")
        reasons = " ".join(text(r["reason"]) for r in rows_of(out))
        assert done.returncode == 1 and "verified one" in reasons, n
        seen.update(re.findall(r"before timing|timed output of round|after timing", reasons))
    assert "timed output of round" in seen


def test_explain_says_why(fake, tmp_path):
    out = tmp_path / "wrong.h5"
    done = run(fake, "run", "--case", CASE, "-v", VARIANT, "--device", "cuda", "-o", out, fail="cuLaunchKernel:2:wrong")
    assert done.returncode == 1
    done = run(fake, "explain", out)
    row = re.search(rf"^ +(\d+)  FAIL +{VARIANT} ", done.stdout, re.M)
    assert row and "1 of " in done.stdout
    said = run(fake, "explain", out, row[1]).stdout
    for part in ("FAIL", "exhaustive_decode (all 16 codes", "nibble, code", "one element differs", "--device cuda:GPU-"):
        assert part in said, part
    none = run(fake, "explain", out, "99")
    assert none.returncode == 2 and "there is no row 99" in none.stderr
    assert run(fake, "explain", out, "-1").returncode == 2


def test_hot_without_graphs_is_a_loop(fake, tmp_path):
    out = tmp_path / "r.h5"
    done = run(fake, "run", "--case", CASE, "-v", VARIANT, "--device", "cuda", "-o", out, "--axis", "regime=hot",
               "--measure", "settle_seconds=0", "--measure", "max_samples=3", "--measure", "min_samples=3",
               fail="cuGraphInstantiateWithFlags:1:900")
    assert done.returncode == 0, done
    timed = [r for r in rows_of(out) if r["verdict"] == "PASS"]
    assert len(timed) == 1 and timed[0]["hot_graph"] == 0 and timed[0]["calls_per_sample"] > 1


def test_slowdowns_are_told(fake, tmp_path):
    out = tmp_path / "r.h5"
    options = ("run", "--case", CASE, "-v", VARIANT, "--device", "cuda", "-o", out, "--force", "--measure",
               "settle_seconds=0", "--measure", "max_samples=3", "--measure", "min_samples=3")
    done = run(fake, *options, NF4BENCH_FAKE_NVML_REASONS="0x8")
    row = [r for r in rows_of(out) if text(r["variant"]) == VARIANT][0]
    assert row["verdict"] == "UNSTABLE" and row["excluded_count"] == 3 and row["retried_count"] == 9
    assert row["sample_count"] == 12 and row["median_us"] > 0  # all are excluded: then none is left out
    assert row["throttle_reasons"] == 8 and "UNSTABLE" in done.stdout
    run(fake, *options, NF4BENCH_FAKE_NVML_REASONS="0x4")  # the power cap: told, not held against it
    row = [r for r in rows_of(out) if text(r["variant"]) == VARIANT][0]
    assert row["verdict"] == "PASS" and row["throttle_reasons"] == 4


def test_without_nvml_nothing_is_missing_but_its_numbers(fake, tmp_path):
    out = tmp_path / "r.h5"
    fake("run", "--case", CASE, "-v", VARIANT, "--device", "cuda", "-o", out, "--measure", "settle_seconds=0",
         "--measure", "max_samples=3", "--measure", "min_samples=3", environment={"NF4BENCH_LIBNVML": "/nonexistent"})
    row = [r for r in rows_of(out) if text(r["variant"]) == VARIANT][0]
    assert row["verdict"] == "PASS" and row["sm_mhz"] != row["sm_mhz"]


# ---- cuBLAS and cuBLASLt ----


@pytest.mark.parametrize("case,expected", [
    ("gemm bf16 m=3 n=1100 k=512 blocksize=64", 4),
    ("gemm f16 m=5 n=40 k=97 blocksize=64 nested=1", 4),
    ("gemmdx bf16 m=5 n=70 k=96 blocksize=32", 4),
])
def test_products_of_cublas_are_verified(fake, case, expected):
    done = fake("verify", "--case", case, "-v", "*cublas*", "--device", "cuda")
    assert f"{expected} pass, 0 fail, 0 mistrusted, 0 skipped" in done.stdout


def test_products_of_cublas_are_timed(fake, tmp_path):
    out = tmp_path / "r.h5"
    fake("run", "--case", "gemm bf16 m=3 n=64 k=64 blocksize=64", "-v", "*cublas*", "--device", "cuda", "-o", out, "--axis",
         "regime=cold,hot", "--measure", "settle_seconds=0", "--measure", "max_samples=3", "--measure", "min_samples=3")
    rows = [r for r in rows_of(out) if r["verdict"] != "NONE"]
    assert len(rows) == 8 and all(r["verdict"] == "PASS" and r["median_us"] > 0 for r in rows)
    for r in rows:  # 64 x 64 weights, activations and output of 3 x 64, bf16: dense, or of 4.5 bits
        bits = 16 if text(r["variant"]).startswith(("cublas_", "cublaslt_")) else 4.5
        assert text(r["layout"]) == ("dense" if bits == 16 else "checkpoint")
        assert r["bits_per_weight"] == bits and r["format_bytes"] == 64 * 64 * bits / 8 + 2 * 2 * 3 * 64
        assert r["bytes_per_s"] == pytest.approx(r["format_bytes"] / (1e-6 * r["median_us"]))
    assert all(r["hot_graph"] == (r["regime"] == "hot") for r in rows)


def test_without_cublas_its_rows_are_skipped(fake):
    done = fake("verify", "--case", "gemm bf16 m=3 n=64 k=64 blocksize=64", "-v", "*cublas*", "-v", "*_mma90__sm80_mma_*",
                "--device", "cuda", "-V", environment={"NF4BENCH_LIBCUBLAS": "/nonexistent"})
    assert "1 pass, 0 fail, 0 mistrusted, 4 skipped" in done.stdout and "there is no cuBLAS" in done.stdout


def test_without_cublas_nothing_else_is_missing(fake, tmp_path):
    out = tmp_path / "r.h5"
    fake("run", "--case", CASE, "-v", VARIANT, "--device", "cuda", "-o", out, "--measure", "settle_seconds=0", "--measure",
         "max_samples=3", "--measure", "min_samples=3", environment={"NF4BENCH_LIBCUBLAS": "/nonexistent"})
    row = [r for r in rows_of(out) if text(r["variant"]) == VARIANT][0]
    assert row["verdict"] == "PASS" and row["gemm_flop_per_s"] != row["gemm_flop_per_s"]


def test_cublas_is_not_of_the_executor(fake):
    done = run(fake, "verify", "--case", "gemm bf16 m=3 n=64 k=64 blocksize=64", "-v", "*cublas*", "--device", "simt")
    assert done.returncode == 2 and "no variant" in done.stderr, done


@pytest.mark.parametrize("name,function", CUBLAS)
def test_every_function_of_cublas_may_fail(fake, tmp_path, name, function):
    variant = "nf4_gemm_bf16_any__sm80_" + ("cublaslt" if name.startswith("cublasLt") else "cublas") + "_whole"
    for i, what in enumerate(("1:13", "1:15", "2:3", "1:crash")):
        out = tmp_path / f"{i}.h5"
        done = run(fake, "run", "--case", "gemm bf16 m=3 n=64 k=64 blocksize=64", "-v", variant, "--device", "cuda", "-o",
                   out, "--measure", "min_samples=2", "--measure", "max_samples=2", "--measure", "settle_seconds=0",
                   fail=f"{function}:{what}")
        check_ended_well(done, out, VARIANT)


@pytest.mark.parametrize("library,launch", [("cublas", "cuLaunchKernel:1"), ("cublas", "cublasGemmEx:2"),
                                            ("cublaslt", "cublasLtMatmul:2")])
def test_a_wrong_product_of_cublas_is_seen(fake, library, launch):
    done = run(fake, "verify", "--case", "gemm bf16 m=3 n=64 k=64 blocksize=64", "-v", f"{library}_gemm_bf16", "--device",
               "cuda", fail=f"{launch}:wrong")
    assert done.returncode == 1 and "1 fail" in done.stdout


# ---- tensor cores against the models ----


@pytest.mark.parametrize("sm,model", [("80", 0), ("89", 0), ("90", 1), ("120", 1)])
def test_probe_finds_the_models_equal(fake, sm, model):
    """The executor's tensor cores and the reference's models are two programs: neither knows of the other."""
    done = fake("probe", environment={"NF4BENCH_FAKE_CUDA_SM": sm})
    rows = re.findall(r"^(f16|bf16) +([a-z ]+?) +(\d+) +(\d+) +(\d+)  [0-9a-f]{16}$", done.stdout, re.M)
    assert len(rows) == 12 and all(int(r[2]) == 1024 * 128 == int(r[3 + model]) for r in rows)
    assert any(r[3] != r[4] for r in rows)  # the models differ, and the operands show it


def test_probe_tells_the_model_that_is_not_followed(fake):
    done = fake("probe", code=1, environment={"NF4BENCH_FAKE_CUDA_MMA": "80"})
    assert "against mma90" in done.stdout and "the model has" in done.stdout and "outputs differ" in done.stdout


def test_probe_needs_tensor_cores_for_bf16(fake):
    done = fake("probe", code=77, environment={"NF4BENCH_FAKE_CUDA_SM": "75"})
    assert "has no mma.m16n8k16" in done.stdout


# ---- repacked weights ----


@pytest.mark.parametrize("op", ["repack", "unrepack"])
def test_repack_and_back_are_verified_and_timed(fake, tmp_path, op):
    out = tmp_path / "r.h5"
    fake("run", "--case", f"{op} u8 n=41 k=101", "--device", "cuda", "-o", out, "--axis", "regime=cold,hot", "--measure",
         "settle_seconds=0", "--measure", "max_samples=3", "--measure", "min_samples=3")
    rows = [r for r in rows_of(out) if r["verdict"] != "NONE"]
    assert [text(r["variant"]) for r in rows] == [f"nf4_{op}_u8__sm75_lanes"] * 2
    assert all(r["verdict"] == "PASS" and r["median_us"] > 0 and text(r["ceiling"]) == "copy" for r in rows)
    assert all(r["format_bytes"] == (41 * 101 + 1) // 2 + 6 * 512 for r in rows)  # 6 tiles of 8 rows


def test_a_variant_on_repacked_weights_has_its_own_track(fake, tmp_path):
    out = tmp_path / "r.h5"
    fake("run", "--case", "gemm bf16 m=16 n=64 k=128 blocksize=64", "-v", "*_mma90__sm80_repacked_*", "-v",
         "*_mma90__sm80_stages_*", "--device", "cuda", "-o", out, "--axis", "regime=cold", "--measure", "settle_seconds=0",
         "--measure", "max_samples=3", "--measure", "min_samples=3")
    layouts = {text(r["variant"]): text(r["layout"]) for r in rows_of(out) if r["verdict"] == "PASS"}
    assert layouts == {"nf4_gemm_bf16_mma90__sm80_repacked_64x32x128": "repacked",
                       "nf4_gemm_bf16_mma90__sm80_stages_64x32x128": "checkpoint"}
