// What a block on a GPU costs on the hot path, taken and given back on one stream: from tierlib's pool, by the
// runtime's verbs (which also make and retire a storage), and from the driver's own pool (cudaMallocAsync). Some blocks
// are live beside it.
#include <benchmark/benchmark.h>
#include <cuda_runtime_api.h>

#include <array>
#include <memory>
#include <utility>

#include "allocator/block_pool.h"
#include "allocator/cuda/cuda_device.h"
#include "cuda/gpu_clock.h"
#include "tierlib/bytes.h"
#include "tierlib/runtime.h"

namespace tierlib::bench {
namespace {

constexpr std::size_t kLive = 16;

DeviceOptions Device() {
  DeviceOptions options;
  options.kind = DeviceKind::kCuda;
  options.capacity = MiB(512);
  return options;
}

// `take` gives a block or null, `give` takes it back.
template <typename Take, typename Give>
void Measure(benchmark::State& state, const Take& take, const Give& give) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  bool ok = true;
  std::array<decltype(take(bytes)), kLive> live = {};
  for (auto& block : live) block = take(bytes);
  give(take(bytes));
  for (auto _ : state) {
    auto block = take(bytes);
    benchmark::DoNotOptimize(block);
    give(block);
  }
  for (const auto& block : live) ok = give(block) && ok;
  if (!ok) state.SkipWithError("a block could not be given back");
}

void Pool(benchmark::State& state) {
  if (!HasGpu(state)) return;
  const auto device = MakeCudaDevice(Device()).value();
  const Stream stream = device->CreateStream("compute").value();
  {
    BlockPool pool(BlockPool::Options{.source = MakeDeviceSource(*device).value(), .device = device.get()});
    Measure(
        state, [&](std::size_t bytes) { return pool.Allocate(bytes, stream).value(); },
        [&](void* block) {
          return pool.Free(block, {&stream, 1}), true;
        });
  }
  (void)device->DestroyStream(stream);
}

void Verbs(benchmark::State& state) {
  if (!HasGpu(state)) return;
  Options options;
  options.devices = {Device()};
  const auto runtime = Runtime::Create(std::move(options)).value();
  const Stream stream = runtime->CreateStream(0, "compute").value();
  Measure(
      state,
      [&](std::size_t bytes) { return runtime->Allocate(bytes, Holds::kTransient, stream, "x").value().storage; },
      [&](StorageId storage) { return runtime->Retire(storage, stream).ok(); });
}

void CudaMallocAsync(benchmark::State& state) {
  if (!HasGpu(state)) return;
  const Clock clock;
  // What is freed is kept, as everybody sets it who measures this.
  cudaMemPool_t pool = nullptr;
  std::uint64_t keep = ~std::uint64_t{0};
  if (cudaDeviceGetDefaultMemPool(&pool, 0) != cudaSuccess ||
      cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep) != cudaSuccess) {
    return state.SkipWithError("the device has no memory pools");
  }
  Measure(
      state,
      [&](std::size_t bytes) {
        void* block = nullptr;
        return cudaMallocAsync(&block, bytes, clock.queue()) == cudaSuccess ? block : nullptr;
      },
      [&](void* block) { return cudaFreeAsync(block, clock.queue()) == cudaSuccess; });
  (void)cudaStreamSynchronize(clock.queue());
}

BENCHMARK(Pool)->ArgName("bytes")->Arg(KiB(64))->Arg(MiB(1));
BENCHMARK(Verbs)->ArgName("bytes")->Arg(KiB(64))->Arg(MiB(1));
BENCHMARK(CudaMallocAsync)->ArgName("bytes")->Arg(KiB(64))->Arg(MiB(1));

}  // namespace
}  // namespace tierlib::bench

BENCHMARK_MAIN();
