#!/usr/bin/env python3
"""What decoding costs, in instructions: counts those that a warp issues for a weight in the same skeleton, format by format.

    tests/bench/decode_cost.py [--arch sm_90]

Reads machine code, so that no GPU is needed: nvcc compiles a kernel, cuobjdump (of the toolkit, or of the package
nvidia-cuda-cuobjdump, with nvdisasm of nvidia-cuda-nvdisasm on the path) writes it out. Counted is the shortest way through
the branches that does the whole work: a dequantize from its start to its end with all stores of a lane, a product once
around its loop with all its multiplications, of up to 16 rows; for NF4 on the tensor cores with the planes of a block built
again as often as blocks of 64 weights want it. Instructions that are issued and do nothing because of their predicate are counted.
"""

import argparse
import heapq
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

STORES = (r"STG\.E\.EF\.128", 4)
# skeleton: what must be on the way, weights of a lane, kernels: format, file, entry, what more must be on its way
SKELETONS = {
    "dequantize": ([STORES], 32, False, [
        ("NF4", "nf4_dequant/prmt_scaled", "nf4_dequant_{t}__sm75_prmt_scaled", []),
        ("int4", "formats_dequant/tiles", "int4_dequant_{t}__sm75_tiles", []),
        ("int8", "formats_dequant/tiles", "int8_dequant_{t}__sm75_tiles", []),
        ("fp8", "formats_dequant/tiles", "fp8_dequant_{t}__sm75_tiles", []),
    ]),
    "m = 1, a block for each 8 k": ([(r"FFMA", 9)], 8, True, [
        ("NF4", "nf4_gemm/gemv_prmt", "nf4_gemm_{t}_sblk_acc32w8__sm75_prmt", []),
        ("NF4, 16-bit codebook", "nf4_gemm/gemv_prmt", "nf4_gemm_{t}_c16_sblk_acc32w8__sm75_prmt", []),
        ("NF4 by shuffle", "nf4_gemm/gemv_shuffle", "nf4_gemm_{t}_sblk_acc32w8__sm75_shuffle", []),
        ("int4", "formats_gemm/gemv", "int4_gemm_{t}_sblk_acc32w8__sm75_rows", []),
        ("int8", "formats_gemm/gemv", "int8_gemm_{t}_sblk_acc32w8__sm75_rows", []),
        ("fp8", "formats_gemm/gemv", "fp8_gemm_{t}_sblk_acc32w8__sm75_rows", []),
        ("AWQ, GEMV", "formats_gemm/gemv_awqgemv", "int4_gemm_{t}_sblk_acc32w8__sm75_awqgemv", []),
    ]),
    "m up to 16, tensor cores": ([(r"HMMA", 8)], 32, True, [
        ("NF4", "nf4_gemm/mma_stages", "nf4_gemm_{t}_mma90__sm80_stages_64x32x128", [(r"F2FP", 16)]),
        ("NF4 repacked", "nf4_gemm/mma_repacked", "nf4_gemm_{t}_mma90__sm80_repacked_64x32x128", [(r"F2FP", 16)]),
        ("int4", "formats_gemm/mma_stages", "int4_gemm_{t}_mma90__sm80_stages_64x32x128", []),
        ("int8", "formats_gemm/mma_stages", "int8_gemm_{t}_mma90__sm80_stages_64x32x128", []),
        ("fp8", "formats_gemm/mma_stages", "fp8_gemm_{t}_mma90__sm80_stages_64x32x128", []),
        ("dense", "formats_gemm/mma_stages", "dense_gemm_{t}_mma90__sm80_stages_64x32x128", []),
        ("GPTQ", "formats_gemm/mma_columns", "int4_gemm_{t}_mma90__sm80_gptq_64x32x128", []),
        ("AWQ", "formats_gemm/mma_columns", "int4_gemm_{t}_mma90__sm80_awq_64x64x128", []),
    ]),
    "m up to 16, tensor cores, 16 columns a warp": ([(r"HMMA", 16)], 64, True, [
        ("Marlin", "formats_gemm/marlin", "int4_gemm_{t}_mma90__sm80_marlin_64x128x128", []),
    ]),
    "backward, m up to 16, tensor cores": ([(r"HMMA", 4)], 16, True, [
        ("NF4", "nf4_gemmdx/mma", "nf4_gemmdx_{t}_mma90__sm80_mma_64x64x32", []),
        ("int4", "formats_gemmdx/mma", "int4_gemmdx_{t}_mma90__sm80_mma_64x64x32", []),
        ("dense", "formats_gemmdx/mma", "dense_gemmdx_{t}_mma90__sm80_mma_64x64x32", []),
    ]),
}


def machine_code(source, arch, directory, cache={}):
    """The kernels of a file: name to a list of (address, instruction)."""
    if source not in cache:
        cubin = os.path.join(directory, "a.cubin")
        subprocess.run(["nvcc", f"-I{ROOT}", "-std=c++17", "-O3", "-fmad=false", "-diag-suppress", "177", f"-arch={arch}",
                        "-cubin", "-o", cubin, os.path.join(ROOT, "kernels", source + ".cu")], check=True)
        text = subprocess.run(["cuobjdump", "-sass", cubin], check=True, capture_output=True, text=True).stdout
        kernels = {}
        for part in text.split("Function : ")[1:]:
            found = re.findall(r"^\s+/\*([0-9a-f]{4,})\*/\s+(.*?)\s*;", part, re.M)
            kernels[part.split()[0]] = [(int(a, 16), i) for a, i in found]
        cache[source] = kernels
    return cache[source]


def blocks_of(code):
    """Basic blocks: [instructions, [targets]], and the index of each block's first address."""
    branch = re.compile(r"^(@!?U?P\d )?\s*(BRA|EXIT|RET|CALL)\b")
    starts = {code[0][0]}
    jumps = {}
    for (address, text), following in zip(code, code[1:] + [(None, "")]):
        text = re.sub(r"^(@!?U?P[0-9T]+)\s+", r"\1 ", text)
        if not branch.match(text) or "BRA.DIV" in text or "CALL" in text:
            continue
        target = re.search(r"(0x[0-9a-f]+)$", text)
        to = [int(target[1], 16)] if target and "BRA" in text else []
        if text.startswith("@") or re.search(r"BRA !?U?P", text):
            to.append(following[0])
        jumps[address] = [t for t in to if t is not None]
        starts.update(jumps[address])
        if following[0] is not None:
            starts.add(following[0])
    blocks, index = [], {}
    for address, text in code:
        if address in starts:
            if blocks and blocks[-1][1] is None:
                blocks[-1][1] = [address]
            index[address] = len(blocks)
            blocks.append([[], None])
        blocks[-1][0].append(text)
        if address in jumps:
            blocks[-1][1] = jumps[address]
    return [(texts, [index[t] for t in (to or []) if t in index]) for texts, to in blocks]


def shortest(blocks, marks, start, ends):
    """The fewest instructions from `start` to the end of a block of `ends`, forward only, with all marks."""
    def marked(texts):
        return [sum(1 for t in texts if re.search(p, t)) for p, _ in marks]

    full = tuple(n for _, n in marks)
    weight = [len(texts) for texts, _ in blocks]
    count = [marked(texts) for texts, _ in blocks]
    calls = [any("CALL" in t for t in texts) for texts, _ in blocks]
    queue = [(weight[start], start, tuple(map(min, count[start], full)))]
    seen = set()
    while queue:
        length, b, have = heapq.heappop(queue)
        if (b, have) in seen:
            continue
        seen.add((b, have))
        if b in ends and have == full:
            return length
        for to in blocks[b][1]:
            if to > b and not calls[to]:
                now = tuple(min(h + c, f) for h, c, f in zip(have, count[to], full))
                heapq.heappush(queue, (length + weight[to], to, now))
    return None


def instructions(code, marks, loop):
    blocks = blocks_of(code)
    if not loop:
        return shortest(blocks, marks, 0, {i for i, (texts, _) in enumerate(blocks) if "EXIT" in texts[-1]})
    ways = [shortest(blocks, marks, to, {i}) for i, (_, targets) in enumerate(blocks) for to in targets if to <= i]
    return min((w for w in ways if w), default=None)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--arch", default="sm_90")
    arch = options.parse_args().arch
    with tempfile.TemporaryDirectory() as directory:
        for skeleton, (marks, weights, loop, kernels) in SKELETONS.items():
            print(f"{skeleton + ':':48}  {'f16':>6} {'bf16':>6}   instructions a weight")
            for name, source, entry, more in kernels:
                row = []
                for t in ("f16", "bf16"):
                    code = machine_code(source, arch, directory)[entry.format(t=t)]
                    ways = instructions(code, marks + more, loop)
                    row.append(f"{ways / weights:6.1f}" if ways else f"{'?':>6}")
                print(f"  {name:46}  {' '.join(row)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
