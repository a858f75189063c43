#!/usr/bin/env python3
"""Measures on the GPU what tierlib is compared with, in PyTorch, and prints it as Google Benchmark prints JSON.

  TorchAllocateFree      a block from the caching allocator and back
  TorchMatvec            a bf16 matrix times a vector (cuBLAS)
  TorchDenseDkm          DKM forward and backward with dense N x k maps, differentiated by PyTorch; `saved_bytes` are those of
                         the distinct storages that its graph saves
  TorchTableDkm          the same on the distinct values of the weights, a table of 65536 rows
  TorchStep              a step of layers that each save their input of 16 MiB; with save_on_cpu (pinned memory) and without

scripts/gpu-check runs it. A case that the card has no memory for has `error_occurred`, as Google Benchmark says it.
"""
import argparse
import json
import sys
import time

import torch

TAU = 4e-6
CLUSTERS, ITERATIONS = 8, 3


def fail(message):
    print(f"pytorch_peers: {message}", file=sys.stderr)
    sys.exit(1)


def time_on_gpu(body, rounds):
    """Seconds of each round, by events of the device; two rounds before are not counted."""
    times = []
    for i in range(rounds + 2):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        body()
        end.record()
        end.synchronize()
        if i >= 2:
            times.append(begin.elapsed_time(end) * 1e-3)
    return times


def entries(name, times, unit="us", **counters):
    scale = {"ns": 1e9, "us": 1e6, "ms": 1e3}[unit]
    return [{"name": name, "run_name": name, "run_type": "iteration", "real_time": seconds * scale, "time_unit": unit, **counters}
            for seconds in times]


def allocate_free(arguments):
    result = []
    for size in (64 << 10, 1 << 20):
        live = [torch.empty(size, dtype=torch.uint8, device="cuda") for _ in range(16)]
        times = []
        for _ in range(arguments.rounds):
            begin = time.perf_counter()
            for _ in range(2000):
                torch.cuda.caching_allocator_delete(torch.cuda.caching_allocator_alloc(size))
            times.append((time.perf_counter() - begin) / 2000)
        del live
        result += entries(f"TorchAllocateFree/bytes:{size}", times, "ns")
    return result


def matvec(arguments):
    rows, columns = 4096, 11008
    matrix = torch.randn(rows, columns, device="cuda").to(torch.bfloat16)
    vector = torch.randn(columns, device="cuda").to(torch.bfloat16)
    out = torch.empty(rows, device="cuda", dtype=torch.bfloat16)
    times = time_on_gpu(lambda: torch.mv(matrix, vector, out=out), 10 * arguments.rounds)
    return entries(f"TorchMatvec/rows:{rows}/columns:{columns}", times)


def problem(n):
    """Weights, the gradient of the result, and centroids to start from."""
    torch.manual_seed(0)
    weights = (torch.randn(n * n, device="cuda") * 0.02).to(torch.bfloat16)
    gradient = torch.randn(n * n, device="cuda").to(torch.bfloat16)
    start = 0.02 * (4 * (torch.arange(CLUSTERS, device="cuda") + 0.5) / CLUSTERS - 2)
    return weights, gradient, start


def cluster(w, start, count):
    """Soft centroids after all iterations, and what each weight becomes. w: N x 1; count: N x 1, or 1 for each."""
    c = start
    for _ in range(ITERATIONS):
        a = torch.softmax(-((w - c) ** 2) / TAU, 1)
        before, c = c, (count * a * w).sum(0) / (count * a).sum(0)
    return before, c, (a * c).sum(1)


def dense_gradients(weights, gradient, start):
    """What the weights become, and the gradient with respect to them: by an N x k map per iteration, as section 3.1 of the
    DKM paper has it. Maps are float32: bf16 has 8 bits."""
    weights = weights.detach().requires_grad_(True)
    result = cluster(weights.float()[:, None], start, 1.0)[2].to(torch.bfloat16)
    return result, torch.autograd.grad(result, weights, gradient)[0]


def table_gradients(weights, gradient, start):
    """The same on the 65536 values that a bf16 weight can have: each counts as often as it is there."""
    bits = torch.arange(-32768, 32768, device=weights.device, dtype=torch.int32).to(torch.int16).view(torch.bfloat16).float()
    index = weights.view(torch.int16).long() + 32768
    count = torch.bincount(index, minlength=65536).float()[:, None]
    values = torch.where(count > 0, bits[:, None], torch.zeros_like(count))  # of others the square may be beyond float32
    sums = torch.zeros(65536, device=weights.device).index_add_(0, index, gradient.float())
    u = values.clone().requires_grad_(True)
    before, c, table = cluster(u, start, count)
    total, = torch.autograd.grad((table * sums).sum(), u)
    direct = values.clone().requires_grad_(True)  # through the last map alone
    a = torch.softmax(-((direct - before.detach()) ** 2) / TAU, 1)
    slope = torch.autograd.grad((a * c.detach()).sum(), direct)[0][:, 0]
    offset = (total[:, 0] - sums * slope) / count[:, 0].clamp(min=1)
    result = table.detach()[index].to(torch.bfloat16)
    return result, (gradient * slope[index] + offset[index]).to(torch.bfloat16)


def dense_dkm(arguments):
    given = problem(arguments.n)
    storages = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        dense_gradients(*given)
    storages.pop(given[0].untyped_storage().data_ptr(), None)
    times = time_on_gpu(lambda: dense_gradients(*given), arguments.rounds)
    return entries(f"TorchDenseDkm/n:{arguments.n}", times, "ms", saved_bytes=sum(storages.values()))


def table_dkm(arguments):
    given = problem(arguments.n)
    return entries(f"TorchTableDkm/n:{arguments.n}", time_on_gpu(lambda: table_gradients(*given), arguments.rounds), "ms")


class Layer(torch.autograd.Function):
    """Saves its input of 16 MiB and computes for longer than that takes to copy."""

    @staticmethod
    def forward(ctx, x, w, products):
        ctx.save_for_backward(x)
        ctx.w, ctx.products = w, products
        y = x
        for _ in range(products):
            y = x @ w
        return y

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        y = g
        for _ in range(ctx.products):
            y = g @ ctx.w
        return y + 0 * x, None, None


def step_with_offload(arguments):
    layers, products = 24, arguments.products
    w = torch.randn(4096, 4096, device="cuda").to(torch.bfloat16) * 4096**-0.5
    x = torch.randn(2048, 4096, device="cuda").to(torch.bfloat16).requires_grad_(True)

    def forward():
        y = x
        for _ in range(layers):
            y = Layer.apply(y, w, products)
        return y

    def plain():
        forward().sum().backward()

    def offloaded():
        with torch.autograd.graph.save_on_cpu(pin_memory=True):
            y = forward()
        y.sum().backward()

    return (entries("TorchStep/save_on_cpu:0", time_on_gpu(plain, arguments.rounds), "ms") +
            entries("TorchStep/save_on_cpu:1", time_on_gpu(offloaded, arguments.rounds), "ms"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--n", type=int, default=4096, help="of n x n weights")
    parser.add_argument("--products", type=int, default=8, help="matrix products of a layer; more make compute longer")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        fail("PyTorch sees no CUDA device: install its CUDA build, and the driver")
    benchmarks = []
    for case in (allocate_free, matvec, table_dkm, dense_dkm, step_with_offload):
        try:
            benchmarks += case(arguments)
        except torch.cuda.OutOfMemoryError as error:
            benchmarks.append({"name": case.__name__, "run_type": "iteration", "error_occurred": True,
                               "error_message": str(error).splitlines()[0]})
        torch.cuda.empty_cache()
    context = {"torch": torch.__version__, "cuda": torch.version.cuda, "device": torch.cuda.get_device_name()}
    print(json.dumps({"context": context, "benchmarks": benchmarks}, indent=1))


if __name__ == "__main__":
    main()
