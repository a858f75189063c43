// A step that saves all that it makes, on a GPU, by the runtime's verbs: with saved values on the device and on the
// host, and with a trace. Compute is copies on the device, as many as take half as long again as the value's copy to
// the host: so transfers can hide behind it. Times are the host's, from the first call of a step until its work has
// ended.
//
// Counters: `overlap` is hidden / transfer time over all steps by the runtime's own ledger; `moved_bytes` of a step.
#include <benchmark/benchmark.h>
#include <cuda_runtime_api.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "cuda/gpu_clock.h"
#include "tierlib/bytes.h"
#include "tierlib/runtime.h"

namespace tierlib::bench {
namespace {

constexpr std::uint64_t kBytes = MiB(16);  // of a value
constexpr int kValues = 24;

const Layout kValue = Layout::Contiguous(DType::kU8, {static_cast<std::int64_t>(kBytes)});

// How many copies on the device are 1.5 of one to pinned memory.
int CopiesOfAKernel() {
  const Memory from(kBytes), to(kBytes);
  void* host = nullptr;
  if (cudaMallocHost(&host, kBytes) != cudaSuccess) return 1;
  Clock clock;
  double inside = 1, outside = 1;
  for (int i = 0; i < 5; ++i) {
    inside = std::min(inside, clock.Time([&] {
      for (int j = 0; j < 16; ++j) {
        (void)cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice, clock.queue());
      }
      return true;
    }) / 16);
    outside = std::min(outside, clock.Time([&] {
      return cudaMemcpyAsync(host, from.data(), kBytes, cudaMemcpyDeviceToHost, clock.queue()) == cudaSuccess;
    }));
  }
  (void)cudaFreeHost(host);
  return std::max(1, static_cast<int>(std::ceil(1.5 * outside / std::max(inside, 1e-9))));
}

class Program {
 public:
  Program(OffloadMode mode, const std::string& trace, int copies) : copies_(copies), scratch_(kBytes) {
    Options options;
    options.devices[0].kind = DeviceKind::kCuda;
    options.devices[0].capacity = 2 * kValues * kBytes;
    options.devices[0].prefetch_bytes = 4 * kBytes;
    options.devices[0].spare_bytes = 0;  // each value is copied in
    options.pinned_limit = (kValues + 4) * kBytes;
    options.mode = mode;
    options.trace = trace;
    runtime_ = Runtime::Create(std::move(options)).value();
    stream_ = runtime_->CreateStream(0, "compute").value();
  }

  bool Step(std::uint64_t number) {
    runtime_->BeginStep(number);
    std::vector<Saved> saved;
    bool ok = true;
    for (int i = 0; i < kValues; ++i) {
      const Allocation x = runtime_->Allocate(kBytes, Holds::kTransient, stream_, "activation").value();
      ok = Compute(x.data, scratch_.data()) && ok;
      saved.push_back(runtime_->Pack({x.storage, kValue}, nullptr, stream_, "activation").value());
      ok = runtime_->Retire(x.storage, stream_).ok() && ok;
    }
    runtime_->BeginBackward();
    while (!saved.empty()) {
      const Loaded loaded = runtime_->Unpack(saved.back(), stream_).value();
      saved.pop_back();
      ok = Compute(scratch_.data(), loaded.origin()) && ok;
    }
    runtime_->EndStep();
    return runtime_->Synchronize(stream_).ok() && ok;
  }
  Statistics statistics() {
    (void)runtime_->Drain();
    return runtime_->statistics();
  }

 private:
  bool Compute(void* to, const void* from) {
    bool ok = true;
    for (int i = 0; i < copies_; ++i) {
      ok = cudaMemcpyAsync(to, from, kBytes, cudaMemcpyDeviceToDevice,
                           reinterpret_cast<cudaStream_t>(stream_.handle)) == cudaSuccess &&
           ok;
    }
    return ok;
  }

  const int copies_;
  const Memory scratch_;
  std::unique_ptr<Runtime> runtime_;
  Stream stream_;
};

// Arguments: whether saved values go to the host, whether there is a trace.
void Step(benchmark::State& state) {
  if (!HasGpu(state)) return;
  static const int copies = CopiesOfAKernel();
  const bool offload = state.range(0) != 0;
  std::string trace;
  if (state.range(1) != 0) {
    trace = std::filesystem::temp_directory_path() / ("tierlib_steps_cuda_bench." + std::to_string(getpid()) + ".tlt");
  }
  bool ok = true;
  {
    Program program(offload ? OffloadMode::kMarshal : OffloadMode::kOff, trace, copies);
    std::uint64_t number = 0;
    for (; number < 2; ++number) ok = program.Step(number) && ok;  // the order of values is known after the first
    const std::uint64_t moved = program.statistics().total.moved;
    for (auto _ : state) {
      const std::int64_t begin_ns = NowNs();
      ok = program.Step(number++) && ok;
      state.SetIterationTime(static_cast<double>(NowNs() - begin_ns) * 1e-9);
    }
    const Statistics statistics = program.statistics();
    const StepTimes& times = statistics.times[0].total;
    if (times.transfer_ns > 0) {
      state.counters["overlap"] = static_cast<double>(times.hidden_ns) / static_cast<double>(times.transfer_ns);
    }
    state.counters["moved_bytes"] =
        static_cast<double>(statistics.total.moved - moved) / static_cast<double>(state.iterations());
  }
  if (!trace.empty()) (void)std::remove(trace.c_str());
  if (!ok) state.SkipWithError("a step failed");
}
BENCHMARK(Step)
    ->ArgNames({"offload", "trace"})
    ->ArgsProduct({{0, 1}, {0, 1}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->MinTime(0.5)
    ->Repetitions(9);

}  // namespace
}  // namespace tierlib::bench

BENCHMARK_MAIN();
