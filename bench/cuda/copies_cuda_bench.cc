// Copies of 64 MiB between pinned memory and a GPU, to the host, to the device, and both at once: by the runtime's
// transfer engine with the chunks that it makes, and by cudaMemcpyAsync alone, between the same memory. Times are the
// host's, from the first call until all copies of a round have ended. Counter: `bytes_per_second`, of both directions
// together.
#include <benchmark/benchmark.h>
#include <cuda_runtime_api.h>
#include <sys/mman.h>

#include <memory>
#include <optional>

#include "allocator/cuda/cuda_device.h"
#include "base/check.h"
#include "base/clock.h"
#include "cuda/gpu_clock.h"
#include "storage/event_pool.h"
#include "storage/transfer_engine.h"
#include "tierlib/bytes.h"
#include "tierlib/options.h"

namespace tierlib::bench {
namespace {

constexpr std::size_t kBytes = MiB(64);
constexpr int kCopies = 8;  // of a round, in each direction

enum Direction : std::int64_t { kOut, kIn, kBoth };

// A block on the device and one on the host for each direction, as the runtime's tiers have them.
class Blocks {
 public:
  Blocks() {
    DeviceOptions options;
    options.kind = DeviceKind::kCuda;
    options.capacity = 2 * kBytes;
    device = MakeCudaDevice(options).value();
    void* const pages = mmap(nullptr, 2 * kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TIERLIB_CHECK(pages != MAP_FAILED, "copies_cuda_bench: no memory of the host");
    host_ = static_cast<std::byte*>(pages);
    (void)madvise(host_, 2 * kBytes, MADV_HUGEPAGE);
    for (std::size_t i = 0; i < 2 * kBytes; i += 4096) host_[i] = std::byte{1};
    TIERLIB_CHECK(device->PinHost(host_, 2 * kBytes).ok(), "copies_cuda_bench: the host's memory cannot be pinned");
    auto* const memory = static_cast<std::byte*>(device->Reserve(2 * kBytes).value());
    out = {host_, memory, kBytes};
    in = {memory + kBytes, host_ + kBytes, kBytes};
  }
  ~Blocks() {
    (void)device->Synchronize();
    (void)device->UnpinHost(host_, 2 * kBytes);
    (void)munmap(host_, 2 * kBytes);
  }
  Blocks(const Blocks&) = delete;
  Blocks& operator=(const Blocks&) = delete;

  std::unique_ptr<DeviceBackend> device;
  CopyRun out, in;

 private:
  std::byte* host_ = nullptr;
};

// Times rounds of copies; the first is not counted. The callables answer whether that was possible.
template <typename CopyOut, typename CopyIn, typename Wait>
void Measure(benchmark::State& state, const CopyOut& copy_out, const CopyIn& copy_in, const Wait& wait) {
  const std::int64_t direction = state.range(0);
  const auto round = [&] {
    bool ok = true;
    for (int i = 0; i < kCopies; ++i) {
      if (direction != kIn) ok = copy_out() && ok;
      if (direction != kOut) ok = copy_in() && ok;
    }
    return wait() && ok;
  };
  bool ok = round();
  std::int64_t total_ns = 0;
  std::int64_t rounds = 0;
  for (auto _ : state) {
    const std::int64_t begin_ns = NowNs();
    ok = round() && ok;
    const std::int64_t ns = NowNs() - begin_ns;
    state.SetIterationTime(static_cast<double>(ns) * 1e-9);
    total_ns += ns;
    ++rounds;
  }
  if (!ok) return state.SkipWithError("a copy failed");
  const double bytes = static_cast<double>(kBytes) * kCopies * (direction == kBoth ? 2 : 1);
  state.counters["bytes_per_second"] = bytes * static_cast<double>(rounds) / (static_cast<double>(total_ns) * 1e-9);
}

void BareCopies(benchmark::State& state) {
  if (!HasGpu(state)) return;
  const Blocks blocks;
  const Clock out, in;  // for their streams
  const auto copy = [](const CopyRun& run, cudaMemcpyKind kind, const Clock& clock) {
    return cudaMemcpyAsync(run.destination, run.source, run.bytes, kind, clock.queue()) == cudaSuccess;
  };
  Measure(
      state, [&] { return copy(blocks.out, cudaMemcpyDeviceToHost, out); },
      [&] { return copy(blocks.in, cudaMemcpyHostToDevice, in); },
      [&] {
        const bool ended = cudaStreamSynchronize(out.queue()) == cudaSuccess;
        return cudaStreamSynchronize(in.queue()) == cudaSuccess && ended;
      });
}

void EngineCopies(benchmark::State& state) {
  if (!HasGpu(state)) return;
  const Blocks blocks;
  EventPool events(*blocks.device);
  const Stream compute = blocks.device->CreateStream("compute").value();
  {
    const auto engine = TransferEngine::Create(*blocks.device, events, /*recorder=*/nullptr, /*time=*/nullptr,
                                               CopyLimits{DeviceOptions().chunk_bytes, DeviceOptions().coalesce_bytes})
                            .value();
    const MarkRef produced = events.MarkNow(compute).value();
    Measure(
        state,
        [&] {
          return engine->CopyOut({&blocks.out, 1}, *produced, StorageId(), nullptr).ok();
        },
        [&] {
          return engine->CopyIn({&blocks.in, 1}, {}, StorageId(), nullptr).ok();
        },
        [&] { return engine->Drain(NowNs() + 60'000'000'000).ok(); });
  }
  (void)blocks.device->DestroyStream(compute);
}

void Directions(benchmark::internal::Benchmark* bench) {
  bench->ArgName("direction")->Arg(kOut)->Arg(kIn)->Arg(kBoth)->UseManualTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK(BareCopies)->Apply(Directions);
BENCHMARK(EngineCopies)->Apply(Directions);

}  // namespace
}  // namespace tierlib::bench

BENCHMARK_MAIN();
