#!/usr/bin/env python3
"""Makes one JSON file of what scripts/gpu-check measured, and prints the table of such a file.

  figures.py --results FOLDER --out FILE    reads FOLDER/*.json (Google Benchmark's output, or that of tierlib-replay or
                                            ablation) and FOLDER/train/*.json (train_nanogpt.py)
  figures.py --table FILE

The file has device, driver, clocks, toolkit, PyTorch, commit and date, and `figures`: name, value, unit, goal, peer (what stands
beside it, in words), kept. A figure whose measurements are absent has value null, kept null, and `missing` says what is not there.
"""
import argparse
import datetime
import json
import os
import shutil
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCHEMA_VERSION = 1
NS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
NVIDIA_SMI = {"device": "name", "driver": "driver_version", "memory_mib": "memory.total", "compute_capability": "compute_cap",
              "sm_clock_mhz": "clocks.sm", "sm_clock_most_mhz": "clocks.max.sm", "memory_clock_mhz": "clocks.mem",
              "memory_clock_most_mhz": "clocks.max.mem"}


class Missing(Exception):
    """A measurement that is not there; the text says which."""


class Results:
    """What a folder of results holds."""

    def __init__(self, folder):
        self.runs = {}  # name without Google Benchmark's suffixes, to its entries
        self.documents = {}  # file without .json, to its content
        trained = os.path.join(folder, "train")
        files = sorted(os.listdir(folder))
        files += sorted(os.path.join("train", file) for file in (os.listdir(trained) if os.path.isdir(trained) else ()))
        for file in files:
            if not file.endswith(".json"):
                continue
            path = os.path.join(folder, file)
            with open(path, encoding="utf-8") as opened:
                try:
                    document = json.load(opened)
                except json.JSONDecodeError as error:
                    raise ValueError(f"{path} is not JSON: {error}") from None
            self.documents[file[:-len(".json")]] = document
            for entry in document.get("benchmarks", []):
                if entry.get("run_type", "iteration") != "iteration":
                    continue
                parts = entry.get("run_name", entry["name"]).split("/")
                # Options of the measurement, which are no part of the case.
                kept = [part for part in parts if part != "manual_time" and not part.startswith(("min_time:", "repeats:"))]
                self.runs.setdefault("/".join(kept), []).append(entry)

    def values(self, name, counter):
        entries = self.runs.get(name)
        if entries is None:
            raise Missing(f"no measurement {name}")
        failed = [entry.get("error_message", "failed") for entry in entries if entry.get("error_occurred")]
        if failed:
            raise Missing(f"{name}: {failed[0]}")
        if any(counter not in entry for entry in entries):
            raise Missing(f"{name} has no {counter}")
        return [entry[counter] for entry in entries]

    def counter(self, name, counter):
        """The median over repetitions."""
        return statistics.median(self.values(name, counter))

    def ns(self, name):
        unit = NS[self.runs[name][0].get("time_unit", "ns")] if name in self.runs else 1
        return self.counter(name, "real_time") * unit

    def document(self, name):
        if name not in self.documents:
            raise Missing(f"no result of {name}")
        return self.documents[name]


# --- the figures: each a function from results to (value, what stands beside it) ------------------------------------------

def copy_rate(direction):
    def figure(r):
        bare = r.counter(f"BareCopies/direction:{direction}", "bytes_per_second")
        engine = r.counter(f"EngineCopies/direction:{direction}", "bytes_per_second")
        return 100 * engine / bare, f"cudaMemcpyAsync {bare / 1e9:.1f} GB/s"
    return figure


def offload_step(r):
    plain = r.ns("Step/offload:0/trace:0")
    beside = "PyTorch's save_on_cpu not measured"
    if "TorchStep/save_on_cpu:1" in r.runs:
        beside = f"PyTorch's save_on_cpu {r.ns('TorchStep/save_on_cpu:1') / r.ns('TorchStep/save_on_cpu:0'):.2f} of its own step"
    return r.ns("Step/offload:1/trace:0") / plain, beside


def overlap(r):
    return 100 * r.counter("Step/offload:1/trace:0", "overlap"), "by the runtime's own ledger of time"


EXACT = "Exact/m:4096/n:4096/k:8/T:3/graph:1"


def exact_over_bytes(r):
    rate = r.counter("DeviceCopy/536870912", "bytes_per_second")
    return r.counter(EXACT, "over_bytes"), f"device copy {rate / 1e12:.2f} TB/s, read and written"


def exact_over_dense(r):
    dense = r.ns("TorchDenseDkm/n:4096")
    return dense / r.ns(EXACT), f"dense DKM in PyTorch {dense / 1e6:.2f} ms"


def exact_over_table(r):
    table = r.ns("TorchTableDkm/n:4096")
    return table / r.ns(EXACT), f"on distinct values in PyTorch {table / 1e6:.2f} ms"


def exact_saved(r):
    beside = "PyTorch's not measured"
    if "TorchDenseDkm/n:4096" in r.runs:
        beside = f"dense DKM in PyTorch {r.counter('TorchDenseDkm/n:4096', 'saved_bytes') / 2**20:.0f} MiB"
    return r.counter(EXACT, "saved_bytes") / 2**20, beside


def pair(name):
    def figure(r):
        beside = [f"cudaMallocAsync {r.ns('CudaMallocAsync/bytes:65536'):.0f} ns"]
        if "TorchAllocateFree/bytes:65536" in r.runs:
            beside.append(f"PyTorch from Python {r.ns('TorchAllocateFree/bytes:65536'):.0f} ns")
        return r.ns(f"{name}/bytes:65536"), ", ".join(beside)
    return figure


def fragmentation(r):
    ours = r.document("tierlib_replay")["peak"]["reserved"]
    theirs = r.counter("TorchReplay", "reserved_peak")
    return ours / theirs, f"PyTorch, expandable segments, {theirs / 2**20:.0f} MiB reserved"


def matvec(r):
    theirs = r.ns("TorchMatvec/rows:4096/columns:11008")
    return theirs / r.ns("Matvec/rows:4096/columns:11008/bits:3"), f"cuBLAS bf16 {theirs / 1e3:.1f} us"


def trace_cost(offload):
    def figure(r):
        off = r.ns(f"Step/offload:{offload}/trace:0")
        return 100 * (r.ns(f"Step/offload:{offload}/trace:1") / off - 1), f"without {off / 1e6:.2f} ms"
    return figure


ABLATION = (("none", 1600), ("M", 544), ("MU", 97), ("MS", 68), ("MUS", 12))  # and the paper's MiB


def ablation_rows(r, names):
    document = r.document("ablation")
    rows = {row["name"]: row for row in document["rows"]}
    for name in names:
        if name not in rows or "error" in rows[name]:
            raise Missing(f"the ablation's row {name}: {rows.get(name, {}).get('error', 'is not there')}")
    return document, rows


def ablation_bytes(r):
    document, rows = ablation_rows(r, [name for name, _ in ABLATION])
    mib = {name: rows[name]["host_bytes"] / 2**20 for name, _ in ABLATION}
    # To a thousandth: beside maps and weights a row keeps a few sets of k numbers.
    worst = max(round(mib[name] / paper, 3) for name, paper in ABLATION)
    beside = ", ".join(f"{name} {mib[name]:.1f} ({paper})" for name, paper in ABLATION)
    return worst, f"MiB on the host, {document['learners']} learners: {beside}"


def ablation_device(r):
    _, rows = ablation_rows(r, ["none", "exact"])
    none = rows["none"]["device_peak_bytes"] / 2**20
    return rows["exact"]["device_peak_bytes"] / 2**20, f"MiB at most on the device; row none {none:.0f}"


def exact_over_own_dense(r):
    _, rows = ablation_rows(r, ["dense", "exact"])
    dense, exact = rows["dense"]["seconds"], rows["exact"]["seconds"]
    return exact / dense, f"{1e3 * exact:.2f} and {1e3 * dense:.2f} ms"


SEEDS = (1, 2, 3)


def stage_of_training(r):
    try:
        return r.document("train/stage")
    except Missing:
        raise Missing("stage train was not run") from None


def training(r, name):
    """The report of a run of nanoGPT's text."""
    stage = stage_of_training(r)
    if not stage["text"]:
        raise Missing("no tinyshakespeare.txt was there: nothing was trained")
    if not stage["is_tinyshakespeare"]:
        raise Missing(f"{stage['text']} is not nanoGPT's text")
    job = {job["name"]: job for job in stage["jobs"]}.get(name, {"state": "not tried", "why": "a run before it failed"})
    if job["state"] not in ("done", "kept"):
        raise Missing(f"{name}: {job['state']}: {job['why']}")
    return r.document(f"train/{name}")


def nanogpt_loss(which, what):
    def figure(r):
        values, absent = [], []
        for seed in SEEDS:
            try:
                values.append(training(r, f"plain_seed{seed}")["evaluations"][which])
            except Missing as missing:
                absent.append(str(missing))
        if len(absent) == len(SEEDS):
            raise Missing(absent[0])
        listed = ", ".join(f"{value:.4f}" for value in values)
        if absent:
            raise Missing(f"{len(values)} of {len(SEEDS)} seeds ({listed}); {absent[0]}")
        return statistics.mean(values), f"{what}: {listed}"
    return figure


def nanogpt_step_ms(r, kind):
    try:
        return training(r, f"{kind}_seed1")["step_ms_median"]
    except Missing:
        short = stage_of_training(r)["short"]
        if kind not in short:
            raise Missing(f"no measurement of train_lm's step ({kind})") from None
        return short[kind]["step_ms"]


def nanogpt_step(r):
    ours = nanogpt_step_ms(r, "plain")
    theirs = {}
    for name in ("autocast", "bf16"):
        if f"TorchTrainStep/dtype:{name}" in r.runs:
            theirs[name] = r.ns(f"TorchTrainStep/dtype:{name}") / 1e6
    if not theirs:
        raise Missing(f"train_lm takes {ours:.2f} ms; no measurement TorchTrainStep")
    listed = ", ".join(f"{name} {ms:.2f} ms" for name, ms in theirs.items())
    return ours / min(theirs.values()), f"train_lm {ours:.2f} ms; eager PyTorch: {listed}"


def nanogpt_dkm_step(r):
    plain, dkm = nanogpt_step_ms(r, "plain"), nanogpt_step_ms(r, "dkm")
    return dkm / plain, f"{dkm:.2f} ms"


def nanogpt_dkm_loss(r):
    plain, dkm = training(r, "plain_seed1"), training(r, "dkm_seed1")
    least = [run["evaluations"]["least_val_loss"] for run in (plain, dkm)]
    return least[1] - least[0], (f"plain {least[0]:.4f}, 3 bits {least[1]:.4f}; after the last step {plain['val_loss']:.4f} and "
                                 f"{dkm['val_loss']:.4f}")


# name, unit, goal as (comparison, bound) or None, figure
FIGURES = (
    ("pinned copy to the host through the runtime", "% of bare", (">=", 97), copy_rate(0)),
    ("pinned copy to the device through the runtime", "% of bare", (">=", 97), copy_rate(1)),
    ("pinned copies in both directions at once", "% of bare", (">=", 97), copy_rate(2)),
    ("step with all saved values on the host (compute: device copies)", "of the step without", ("<=", 1.03), offload_step),
    ("overlap of its transfers", "%", (">=", 95), overlap),
    ("exact DKM, bf16, k = 8, T = 3, 4096 x 4096", "of the time of its bytes", ("<=", 2.5), exact_over_bytes),
    ("exact DKM against dense DKM", "x faster", (">=", 100), exact_over_dense),
    ("exact DKM against distinct values in PyTorch", "x faster", None, exact_over_table),
    ("what exact DKM saves beside the weight", "MiB", ("<=", 1), exact_saved),
    ("allocate + free, pool", "ns", ("<=", 150), pair("Pool")),
    ("allocate + retire, verbs", "ns", None, pair("Verbs")),
    ("reserved for a training trace", "of PyTorch's", ("<=", 1), fragmentation),
    ("packed 3-bit matrix-vector product, 4096 x 11008", "x faster", (">=", 3), matvec),
    ("trace on against off, nothing moves", "% longer", ("<=", 0.5), trace_cost(0)),
    ("trace on against off, all moves", "% longer", ("<=", 0.5), trace_cost(1)),
    ("the ablation's five rows with 8 learners, the worst of them", "of the paper's bytes", ("<=", 1), ablation_bytes),
    ("what its exact row holds on the device", "MiB", None, ablation_device),
    ("its exact row, without offload", "of the dense chain's time", ("<=", 1), exact_over_own_dense),
    ("nanoGPT's GPU configuration, loss by its own estimate", "", ("<=", 1.48),
     nanogpt_loss("least_estimate", "least of each seed")),
    ("the same on the whole validation part", "", None, nanogpt_loss("least_val_loss", "least of each seed")),
    ("a step of it, bf16", "of eager PyTorch's", ("<=", 1), nanogpt_step),
    ("its step at 3 bits", "of the plain one", None, nanogpt_dkm_step),
    ("its loss at 3 bits less the plain one, whole validation part", "", ("<=", 0.02), nanogpt_dkm_loss),
)


def judge(goal, value):
    if goal is None or value is None:
        return None
    return value >= goal[1] if goal[0] == ">=" else value <= goal[1]


def figures_of(results):
    rows = []
    for name, unit, goal, figure in FIGURES:
        row = {"name": name, "value": None, "unit": unit, "goal": f"{goal[0]} {goal[1]:g}" if goal else None, "peer": None}
        try:
            row["value"], row["peer"] = figure(results)
        except Missing as missing:
            row["missing"] = str(missing)
        row["kept"] = judge(goal, row["value"])
        rows.append(row)
    return rows


# --- where it was measured -------------------------------------------------------------------------------------------------

def first_line(command):
    """Of the command's output; None where it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    except OSError:
        return None
    lines = done.stdout.strip().splitlines()
    return lines[0] if done.returncode == 0 and lines else None


def toolkit(nvcc):
    try:
        words = subprocess.run([nvcc, "--version"], capture_output=True, text=True).stdout.split()
    except OSError:
        return None
    return words[words.index("release") + 1].rstrip(",") if "release" in words[:-1] else None


def machine(arguments, results):
    line = first_line(["nvidia-smi", f"--query-gpu={','.join(NVIDIA_SMI.values())}", "--format=csv,noheader,nounits"])
    values = [value.strip() for value in line.split(",")] if line else []
    if len(values) != len(NVIDIA_SMI):
        values = [None] * len(NVIDIA_SMI)
    said = dict(zip(NVIDIA_SMI, values))
    clocks = {name: said.pop(name) for name in list(said) if "clock" in name}
    return {**said, "clocks": clocks, "toolkit": toolkit(arguments.nvcc),
            "pytorch": results.documents.get("pytorch_peers", {}).get("context", {}).get("torch"),
            "commit": first_line(["git", "rev-parse", "HEAD"]),
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")}


# --- the table -------------------------------------------------------------------------------------------------------------

def table(document):
    """Columns as wide as what stands in them, for a terminal."""
    head = ("what", "value", "goal", "", "beside")
    rows = [head]
    for figure in document["figures"]:
        value = "-" if figure["value"] is None else f"{figure['value']:.4g} {figure['unit']}".rstrip()
        kept = {True: "kept", False: "MISSED", None: ""}[figure["kept"]]
        rows.append((figure["name"], value, figure["goal"] or "", kept, figure["peer"] or figure.get("missing", "")))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    lines.insert(1, "-" * max(len(line) for line in lines))
    of = document["machine"]
    lines.insert(0, f"{of['device']}, driver {of['driver']}, CUDA {of['toolkit']}, PyTorch {of['pytorch']}, "
                    f"commit {(of['commit'] or 'unknown')[:12]}, {of['date']}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", help="the folder to read")
    parser.add_argument("--out", help="the file to write")
    parser.add_argument("--nvcc", default=shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc", help="whose version is the toolkit's")
    parser.add_argument("--table", help="print the table of this file instead")
    arguments = parser.parse_args()
    try:
        if arguments.table:
            with open(arguments.table, encoding="utf-8") as file:
                print(table(json.load(file)))
            return
        if not arguments.results or not arguments.out:
            parser.error("--results and --out, or --table, are needed")
        results = Results(arguments.results)
        document = {"schema_version": SCHEMA_VERSION, "machine": machine(arguments, results), "figures": figures_of(results)}
        with open(arguments.out, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
            file.write("\n")
    except (OSError, ValueError) as error:
        sys.exit(f"figures: {error}")


if __name__ == "__main__":
    main()
