"""Results files of several formats and devices, made from a small real one: its columns and attributes, other rows.

    made_results.make(template, path, devices=("CPU",))

Times follow from the bytes that a row moves, a factor of its format, and noise that all rows of a group share, as the
machine's drift would be.
"""
import json

import h5py
import numpy as np

SAMPLES = 40
SHAPES = [(6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336)]  # Llama-3-8B: qkv, o, gate_up, down
SIZES = [1, 16, 256]
# name, layout, format, blocksize, nested, zeros, bits per weight, time over that of the bytes
GPU = [
    ("nf4_gemm_bf16_mma80_fused__sm80_prmt", "checkpoint", "nf4", 64, 1, 0, 4.127, 1.30),
    ("nf4_gemm_bf16_mma80__sm80_prmt", "checkpoint", "nf4", 64, 0, 0, 4.5, 1.25),
    ("nf4_gemm_bf16_mma80_fused__sm80_repacked_prmt", "repacked", "nf4", 64, 1, 0, 4.127, 1.15),
    ("int4_gemm_bf16_mma80__sm80_prmt", "rows", "int4", 128, 0, 0, 4.125, 1.20),
    ("int4_gemm_bf16_mma80__sm80_simt_gptq", "checkpoint", "int4", 128, 0, 1, 4.15625, 1.22),
    ("int4_gemm_bf16_mma80__sm80_simt_marlin", "repacked", "int4", 128, 0, 0, 4.125, 1.05),
    ("int8_gemm_bf16_mma80__sm80_prmt", "rows", "int8", 128, 0, 0, 8.125, 1.08),
    ("fp8_gemm_bf16_mma80__sm80_prmt", "rows", "fp8", 128, 0, 0, 8.125, 1.09),
    ("dense_gemm_bf16_mma80__sm80_prmt", "dense", "dense", 0, 0, 0, 16.0, 1.07),
    ("cublas_gemm_bf16", "dense", "dense", 0, 0, 0, 16.0, 1.02),
]
CPU = [(n.replace("mma80", "c16_sblk_dpbf16").replace("sm80", "avx512bf16").replace("cublas", "openblas"), *rest)
       for n, *rest in GPU if "marlin" not in n and "repacked" not in n]
BYTES_PER_S = {"gpu": 3.0e12, "cpu": 2.0e10}
FLOP_PER_S = {"gpu": 6.0e14, "cpu": 1.0e11}


def make(template, path, devices=("gpu",), seed=1, weights="normal"):
    """Writes `path`, whose columns are those of the results file `template`. Returns the rows as a structured array."""
    random = np.random.default_rng(seed)
    with h5py.File(template) as f:
        kind = f["results"].dtype
        blank = f["results"][0].copy()
        results_attributes = dict(f["results"].attrs)
        attributes = dict(f.attrs)
    rows, samples, group = [], [], 0
    for device in devices:
        for n, k in SHAPES:
            for m in SIZES:
                group += 4
                group_rows(rows, samples, blank, device, m, n, k, group, random, weights)
    table = np.array(rows, dtype=kind)
    with h5py.File(template) as old, h5py.File(path, "w") as f:
        for name in old:
            if name not in ("results", "samples"):
                old.copy(name, f)
        results = f.create_dataset("results", data=table)
        for name, value in results_attributes.items():
            results.attrs[name] = value
        f.create_dataset("samples/time_us", data=np.concatenate(samples))
        f.create_dataset("samples/flags", data=np.zeros(len(table) * SAMPLES, np.uint8))
        for name, value in attributes.items():
            f.attrs[name] = value
        f.attrs["argv"] = json.dumps(["nf4bench run", "suites/made.yaml", "-o", "/some/where/made.h5"])
    return table


def group_rows(rows, samples, blank, device, m, n, k, group, random, weights):
    drift = 1 + 0.05 * random.random(SAMPLES)
    gpu = device == "gpu"
    words = dict(device="NVIDIA Made 9000" if gpu else "Made Processor", suite="made", weights=weights,
                 device_uuid="GPU-1" if gpu else "", check="real_data", ceiling="read")
    variants = [*(GPU if gpu else CPU), ("ceiling_read", "", "", 0, 0, 0, 4.5, 1.0)]
    for name, layout, form, blocksize, nested, zeros, bits, slow in variants:
        r = blank.copy()
        is_ceiling = name == "ceiling_read"
        for column, text in dict(words, variant=name, layout=layout, format=form,
                                 arch="sm80" if gpu else "avx512bf16",
                                 case_key=f"gemm bf16 m={m} n={n} k={k} {form} {blocksize}").items():
            r[column] = text.encode()
        moved = n * k * bits / 8 + 2 * m * (n + k)
        time = max(moved / BYTES_PER_S[device], 2 * m * n * k / FLOP_PER_S[device]) * 1e6
        time *= slow if gpu else slow ** 0.5  # some of the CPU's rows are far from its ceiling, some are not
        measured = time * drift * (1 + 0.004 * random.standard_normal(SAMPLES))
        median = float(np.median(measured))
        numbers = dict(op=1, out_type=2, m=m, n=n, k=k, blocksize=blocksize, nested=nested, zeros=zeros,
                       act_order=0, bias=0, threads=0 if gpu else 8, seed=1, bits_per_weight=bits,
                       verdict=0 if is_ceiling else 1, regime=1, primary=1, precise=1, settled=1, bimodal=0,
                       group_id=group + 1, sample_start=SAMPLES * len(rows), sample_count=SAMPLES,
                       calls_per_sample=1, retried_count=0, excluded_count=0, compared_count=1000,
                       mismatch_count=0, ulp_0=1000, device_sm=80 if gpu else 0,
                       median_us=median, median_lo_us=float(np.quantile(measured, 0.4)),
                       median_hi_us=float(np.quantile(measured, 0.6)), min_us=float(measured.min()),
                       p10_us=float(np.quantile(measured, 0.1)), p90_us=float(np.quantile(measured, 0.9)),
                       format_bytes=moved, bytes_per_s=moved / median * 1e6, weights_per_s=n * k / median * 1e6,
                       flop_per_s=2 * m * n * k / median * 1e6, gemm_flop_per_s=FLOP_PER_S[device],
                       ceiling_fraction=moved / BYTES_PER_S[device] * 1e6 / median, timer_overhead_us=0.01,
                       lag1_autocorrelation=0.1,
                       weight_sqnr_db=quality(form) if weights != "normal" and not is_ceiling else np.nan,
                       weight_max_abs_error=0.01 if weights != "normal" else np.nan)
        for column, value in numbers.items():
            r[column] = value
        for column in ("ceiling_fraction_lo", "ceiling_fraction_hi"):
            r[column] = np.nan
        if is_ceiling:
            r["ceiling"] = b""
        rows.append(r)
        samples.append(measured)


def quality(form):
    return {"nf4": 20.6, "int4": 18.9, "int8": 43.5, "fp8": 31.0, "dense": np.nan}[form]


if __name__ == "__main__":
    import sys

    make(sys.argv[1], sys.argv[2], devices=sys.argv[3:])
