"""GPTQ and AWQ checkpoints, as auto-gptq and AutoAWQ wrote them: found by name, verified, timed and reported."""

import csv
import pathlib

import pytest

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"
LAYERS = {"gptq": ["act_order", "asym", "column", "sym"], "awq": ["gemm", "gemv"]}
LAYOUTS = {"gptq": {"gptq"}, "awq": {"awq", "awqgemv"}}


@pytest.mark.parametrize("package", LAYERS)
def test_a_checkpoint_is_read_verified_and_timed(nf4bench, suite, tmp_path, package):
    path = suite(
        f"""
suite: checkpoint
measure: {{min_samples: 5, max_samples: 5, max_seconds: 5, settle_seconds: 0}}
defaults:
  weights: {FIXTURES / package}.safetensors
  checkpoint: true
  tensors: ["*.qweight"]
  regime: cold
cases:
  - {{op: dequant, variants: ["*_bf16*__scalar*"]}}
  - {{op: gemm, m: 3, variants: ["*_bf16_acc1__*"]}}
"""
    )
    out = tmp_path / "checkpoint.h5"
    nf4bench("run", path, "-o", out)
    rows = list(csv.DictReader(nf4bench("export", "--csv", out).stdout.splitlines()))
    timed = [r for r in rows if r["verdict"] == "PASS" and r["median_us"] and float(r["median_us"]) > 0]
    assert {r["weights"].rsplit(":", 1)[1] for r in timed} == {f"{layer}.qweight" for layer in LAYERS[package]}
    assert {r["verdict"] for r in rows} <= {"PASS", "SKIPPED", "NONE"}  # NONE: a ceiling
    for layout in LAYOUTS[package]:  # by its own bytes, and in both operations
        assert {"dequant", "gemm"} <= {r["op"] for r in timed if r["variant"].endswith(f"_{layout}")}
    nf4bench("report", out, "-o", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert all(r["variant"] in page for r in timed)
