#!/usr/bin/env python3
"""Makes PyTorch's caching allocator do the allocations of a log, in its order, and prints what it reserved for them.

The log is RMM's (CSV: Thread,Time,Action,Pointer,Size,Stream), as `tierlib-trace export --format rmm-csv` writes it: the one that
`tierlib-replay` tries on tierlib's pool. Set PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to compare with the setting that
fragments least. Streams are told apart as they are there. Output: JSON as Google Benchmark's.
"""
import csv
import json
import os
import sys
import time


def read_log(path):
    """Rows (action, pointer, bytes, stream)."""
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        needed = {"Action", "Pointer", "Size", "Stream"}
        if reader.fieldnames is None or not needed <= {name.strip() for name in reader.fieldnames}:
            raise ValueError(f"{path}: not RMM's log: its first line must name {', '.join(sorted(needed))}")
        return [(row["Action"], row["Pointer"], int(row["Size"]), row["Stream"]) for row in reader]


def replay(rows, allocate, free):
    """Calls allocate(bytes, stream) and free(block) in the log's order. Frees of unknown pointers are left out, as by
    tierlib-replay. Returns the most bytes that were live at once."""
    blocks, live, peak = {}, 0, 0
    for action, pointer, size, stream in rows:
        if action == "allocate":
            blocks[pointer] = (allocate(size, stream), size)
            live += size
            peak = max(peak, live)
        elif action == "free" and pointer in blocks:
            block, size = blocks.pop(pointer)
            free(block)
            live -= size
    for block, _ in blocks.values():
        free(block)
    return peak


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(f"{__doc__}\nusage: pytorch_replay.py LOG.csv")
    try:
        rows = read_log(sys.argv[1])
    except (OSError, ValueError) as error:
        sys.exit(f"pytorch_replay: {error}")
    import torch  # here, so that a test of the above needs none
    if not torch.cuda.is_available():
        sys.exit("pytorch_replay: PyTorch sees no CUDA device: install its CUDA build, and the driver")
    streams = {}

    def allocate(size, stream):
        if stream not in streams:
            streams[stream] = torch.cuda.Stream()
        return torch.cuda.caching_allocator_alloc(size, stream=streams[stream])

    torch.cuda.init()
    begin = time.perf_counter()
    live = replay(rows, allocate, torch.cuda.caching_allocator_delete)
    seconds = time.perf_counter() - begin
    entry = {"name": "TorchReplay", "run_name": "TorchReplay", "run_type": "iteration", "time_unit": "ns",
             "real_time": seconds * 1e9 / max(1, len(rows)), "live_peak": live,
             "reserved_peak": torch.cuda.max_memory_reserved()}
    context = {"torch": torch.__version__, "PYTORCH_CUDA_ALLOC_CONF": os.environ.get("PYTORCH_CUDA_ALLOC_CONF", "")}
    print(json.dumps({"context": context, "benchmarks": [entry]}, indent=1))


if __name__ == "__main__":
    main()
