// DKM on a GPU: the exact form, forward and backward, beside what it costs to copy the same bytes on the device, W in,
// W~ out, G and W in, dW out; and the packed matrix-vector product beside the time that the bytes of the dense matrix
// in bf16 take. Times are the device's, between two events; also as a CUDA graph, which leaves launching out.
//
// Counters: `over_bytes` is the time over that of the bytes at the rate of DeviceCopy (run it first, as it is);
// `saved_bytes` is what forward leaves for backward.
#include <benchmark/benchmark.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "autograd/kernels/host/float16.h"
#include "base/random.h"
#include "cuda/gpu_clock.h"
#include "dkm/kernels/cuda/exact.h"
#include "dkm/kernels/cuda/host_words.h"
#include "dkm/kernels/cuda/palette.h"

namespace tierlib::dkm::cuda {
namespace {

using bench::Clock;
using bench::HasGpu;
using bench::Memory;

constexpr float kDeviation = 0.02f;
double copied_bytes_per_second = 0;  // read and written, by DeviceCopy

// Runs it once more than it is measured; with `as_graph` captured once and replayed.
template <typename Enqueue>
void Measure(benchmark::State& state, Clock& clock, bool as_graph, double bytes, const Enqueue& enqueue) {
  if (!enqueue() || cudaStreamSynchronize(clock.queue()) != cudaSuccess) {
    state.SkipWithError("the kernels failed");
    return;
  }
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  if (as_graph) {
    bool captured = cudaStreamBeginCapture(clock.queue(), cudaStreamCaptureModeThreadLocal) == cudaSuccess;
    captured = enqueue() && captured;
    captured = cudaStreamEndCapture(clock.queue(), &graph) == cudaSuccess && captured;
    captured = captured && cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess;
    if (!captured) {
      state.SkipWithError("the kernels cannot be captured");
      return;
    }
  }
  double total = 0;
  std::int64_t runs = 0;
  for (auto _ : state) {
    const double seconds =
        clock.Time([&] { return as_graph ? cudaGraphLaunch(executable, clock.queue()) == cudaSuccess : enqueue(); });
    if (seconds < 0) {
      state.SkipWithError("the kernels failed");
      break;
    }
    state.SetIterationTime(seconds);
    total += seconds;
    ++runs;
  }
  if (runs > 0 && copied_bytes_per_second > 0) {
    state.counters["over_bytes"] = total / static_cast<double>(runs) * copied_bytes_per_second / bytes;
  }
  state.counters["bytes"] = bytes;
  if (executable != nullptr) (void)cudaGraphExecDestroy(executable);
  if (graph != nullptr) (void)cudaGraphDestroy(graph);
}

void DeviceCopy(benchmark::State& state) {
  if (!HasGpu(state)) return;
  const auto bytes = static_cast<std::size_t>(state.range(0));
  const Memory from(bytes), to(bytes);
  Clock clock;
  (void)cudaMemsetAsync(from.data(), 1, bytes, clock.queue());
  double best = 0;
  for (auto _ : state) {
    const double seconds = clock.Time([&] {
      return cudaMemcpyAsync(to.data(), from.data(), bytes, cudaMemcpyDeviceToDevice, clock.queue()) == cudaSuccess;
    });
    state.SetIterationTime(seconds);
    const double rate = 2 * static_cast<double>(bytes) / seconds;
    if (rate > best) best = rate;
  }
  copied_bytes_per_second = best;
  state.counters["bytes_per_second"] = best;
}

// Arguments: m, n, k, T, whether as a graph. bf16.
void Exact(benchmark::State& state) {
  if (!HasGpu(state)) return;
  const std::int64_t weights = state.range(0) * state.range(1);
  const auto count = static_cast<std::size_t>(weights);
  const auto clusters = static_cast<int>(state.range(2));
  ExactShape shape;
  shape.table = {weights,
                 1,
                 clusters,
                 static_cast<int>(state.range(3)),
                 Metric::kSquared,
                 Attention::kLast,
                 0.01 * static_cast<double>(kDeviation) * static_cast<double>(kDeviation)};
  Random random(1);
  std::vector<std::uint16_t> w(count), g(count);
  for (std::size_t i = 0; i < count; ++i) {
    w[i] = autograd::host::BF16FromFloat(kDeviation * static_cast<float>(random.Normal()));
    g[i] = autograd::host::BF16FromFloat(random.UniformFloat() - 0.5f);
  }
  std::vector<float> start;
  for (int j = 0; j < clusters; ++j) {
    start.push_back(kDeviation * (4 * (static_cast<float>(j) + 0.5f) / static_cast<float>(clusters) - 2));
  }
  const std::size_t trajectory_bytes =
      (static_cast<std::size_t>(shape.table.iterations + 1) * 2 * static_cast<std::size_t>(clusters) + 3) * 8;
  const Memory weight(2 * count), gradient(2 * count), output(2 * count), weight_gradient(2 * count);
  const Memory first(start.size() * 4), newest(start.size() * 4), trajectory(trajectory_bytes);
  const Memory table(ExactTableBytes(shape)), forward_room(ExactForwardWorkspaceBytes(shape));
  const Memory backward_room(ExactBackwardWorkspaceBytes(shape));
  const auto words = MakeHostWords();
  if (!backward_room.ok() || !words.ok()) {
    state.SkipWithError("no device memory");
    return;
  }
  (void)cudaMemcpy(weight.data(), w.data(), 2 * count, cudaMemcpyHostToDevice);
  (void)cudaMemcpy(gradient.data(), g.data(), 2 * count, cudaMemcpyHostToDevice);
  (void)cudaMemcpy(first.data(), start.data(), start.size() * 4, cudaMemcpyHostToDevice);
  Clock clock;
  ExactForwardArguments forward;
  forward.shape = shape;
  forward.weights = weight.data();
  forward.start = static_cast<const float*>(first.data());
  forward.trajectory = static_cast<double*>(trajectory.data());
  forward.newest = static_cast<float*>(newest.data());
  forward.table = table.data();
  forward.output = output.data();
  forward.first_non_finite = DeviceWord((*words)->first_non_finite);
  forward.workspace = forward_room.data();
  ExactBackwardArguments backward;
  backward.shape = shape;
  backward.weights = weight.data();
  backward.trajectory = forward.trajectory;
  backward.gradient = gradient.data();
  backward.weight_gradient = weight_gradient.data();
  backward.workspace = backward_room.data();
  // Beside the weight, which stays where it is anyway.
  state.counters["saved_bytes"] = static_cast<double>(trajectory_bytes);
  Measure(state, clock, state.range(4) != 0, 10.0 * static_cast<double>(count),
          [&] { return ExactForward(forward, clock.stream()).ok() && ExactBackward(backward, clock.stream()).ok(); });
}

// Arguments: rows, columns, bits. `over_bytes` is over the dense matrix in bf16.
void Matvec(benchmark::State& state) {
  if (!HasGpu(state)) return;
  const PaletteShape shape{state.range(0), state.range(1), static_cast<int>(state.range(2)), state.range(0)};
  Random random(1);
  std::vector<std::uint8_t> packed(static_cast<std::size_t>(shape.index_bytes()));
  for (std::uint8_t& byte : packed) byte = static_cast<std::uint8_t>(random());
  std::vector<float> values(static_cast<std::size_t>(shape.columns + shape.table_values()));
  for (float& value : values) value = random.UniformFloat();
  const Memory indices(packed.size()), floats(values.size() * 4), y(static_cast<std::size_t>(shape.rows) * 4);
  (void)cudaMemcpy(indices.data(), packed.data(), packed.size(), cudaMemcpyHostToDevice);
  (void)cudaMemcpy(floats.data(), values.data(), values.size() * 4, cudaMemcpyHostToDevice);
  const auto* const x = static_cast<const float*>(floats.data());
  const MatvecArguments a{shape, static_cast<const std::uint8_t*>(indices.data()), x + shape.columns, x,
                          static_cast<float*>(y.data())};
  Clock clock;
  Measure(state, clock, false, 2.0 * static_cast<double>(shape.rows) * static_cast<double>(shape.columns),
          [&] { return PackedMatvec(a, clock.stream()).ok(); });
}

BENCHMARK(DeviceCopy)->Arg(std::int64_t{512} << 20)->UseManualTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(Exact)
    ->ArgNames({"m", "n", "k", "T", "graph"})
    ->ArgsProduct({{4096}, {4096}, {4, 8, 16}, {3}, {0, 1}})
    ->ArgsProduct({{4096}, {4096}, {8}, {1, 6}, {1}})
    ->ArgsProduct({{1024}, {1024}, {8}, {3}, {0, 1}})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(Matvec)
    ->ArgNames({"rows", "columns", "bits"})
    ->ArgsProduct({{4096}, {11008}, {2, 3, 4, 8}})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace tierlib::dkm::cuda

BENCHMARK_MAIN();
