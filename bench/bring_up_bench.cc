// How long it takes until 1 GiB of host memory is there to be copied into: pages of 4 KiB touched one by one, pages
// that mmap touches, a source of pinned memory (huge pages, on their node, touched by several threads, page-locked)
// grown at once or by 2 MiB, and a pool of it, which grows as it chooses and ahead, asked for blocks of 1 MiB and of
// 64 MiB. Counter: seconds per GiB.
//
// What a pool grows by at once, 2 MiB unless more is asked for, is touched by one thread. That takes it 0.16 s of its
// processor for a GiB (by_2_mib), so there is no need of larger pieces, which would waste more and go back less easily.
//
// usage: bring_up_bench [--gates] [Google Benchmark's options]
//   --gates   exit code 1 where the source at once or the pool takes more than 0.25 s/GiB
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/device_factory.h"
#include "allocator/growth_ahead.h"
#include "allocator/memory_source.h"
#include "allocator/numa_topology.h"
#include "gates.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

constexpr std::size_t kBytes = GiB(1);

void CountGibibytes(benchmark::State& state) {
  state.counters["s/GiB"] = benchmark::Counter(static_cast<double>(state.iterations()) * kBytes / GiB(1),
                                               benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// Plain pages, touched by mmap (`flags`) or by us.
void PlainPages(benchmark::State& state, int flags) {
  for (auto _ : state) {
    void* const mapped =
        mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
    if (mapped == MAP_FAILED) return state.SkipWithError("mmap");
    auto* const bytes = static_cast<volatile std::byte*>(mapped);
    for (std::size_t offset = 0; offset < kBytes; offset += PageBytes()) bytes[offset] = std::byte{0};
    state.PauseTiming();
    munmap(mapped, kBytes);
    state.ResumeTiming();
  }
  CountGibibytes(state);
}

void PinnedSource(benchmark::State& state, std::size_t step) {
  std::size_t locked = 0;
  for (auto _ : state) {
    auto source = MakeHostSource({.tier = Tier::kPinned, .capacity = kBytes});
    if (!source.ok()) return state.SkipWithError("no host source");
    while ((*source)->grown() < kBytes) {
      if (!(*source)->Grow(step).ok()) return state.SkipWithError("no memory");
    }
    locked = (*source)->locked();
    state.PauseTiming();
    source->reset();
    state.ResumeTiming();
  }
  CountGibibytes(state);
  state.counters["locked"] = static_cast<double>(locked) / kBytes;
}

// As a DeviceTier makes it, asked for blocks until all is there. The device has no bytes and no threads: what its
// streams cost is not measured.
void PinnedPool(benchmark::State& state, std::size_t block) {
  DeviceOptions options;
  options.emulated.schedule = EmulatedSchedule::kShapeOnly;
  const std::unique_ptr<DeviceBackend> device = MakeDevice(options).value();
  const Stream stream = device->CreateStream("bench").value();
  double reserved = 0;
  for (auto _ : state) {
    auto source = MakeHostSource({.tier = Tier::kPinned, .capacity = 2 * kBytes});
    if (!source.ok()) return state.SkipWithError("no host source");
    BlockPool::Options as_default;
    as_default.source = GrowAhead(*std::move(source), as_default.growth);
    as_default.device = device.get();
    auto pool = std::make_unique<BlockPool>(std::move(as_default));
    std::vector<void*> blocks;
    while (blocks.size() < kBytes / block) {
      const StatusOr<void*> one = pool->Allocate(block, stream);
      if (!one.ok()) return state.SkipWithError("no memory");
      blocks.push_back(*one);
    }
    state.PauseTiming();
    reserved = static_cast<double>(pool->statistics().reserved);
    for (void* const one : blocks) pool->Free(one, {});
    pool.reset();
    state.ResumeTiming();
  }
  CountGibibytes(state);
  state.counters["reserved/asked"] = reserved / kBytes;
}

constexpr char kAtOnce[] = "pinned_source/at_once";
constexpr char kSmallBlocks[] = "pinned_pool/blocks_of_1_mib";
constexpr char kLargeBlocks[] = "pinned_pool/blocks_of_64_mib";

int Run(bool needs_gates) {
  const auto all = {benchmark::RegisterBenchmark("plain_pages/touched_one_by_one", PlainPages, 0),
                    benchmark::RegisterBenchmark("plain_pages/map_populate", PlainPages, MAP_POPULATE),
                    benchmark::RegisterBenchmark(kAtOnce, PinnedSource, kBytes),
                    benchmark::RegisterBenchmark("pinned_source/by_2_mib", PinnedSource, MiB(2)),
                    benchmark::RegisterBenchmark(kSmallBlocks, PinnedPool, MiB(1)),
                    benchmark::RegisterBenchmark(kLargeBlocks, PinnedPool, MiB(64))};
  for (benchmark::internal::Benchmark* const one : all) one->UseRealTime()->Unit(benchmark::kMillisecond);
  bench::LowestTimes times(bench::LowestTimes::Clock::kReal);
  benchmark::RunSpecifiedBenchmarks(&times);
  bench::Gates gates;
  for (const char* const name : {kAtOnce, kSmallBlocks, kLargeBlocks}) {
    if (times.Has(name)) gates.Say(name, times.ns(name) / 1e9, "s/GiB", 0.25);
  }
  return needs_gates && !gates.kept ? 1 : 0;
}

}  // namespace
}  // namespace tierlib

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const bool needs_gates = argc == 2 && std::strcmp(argv[1], "--gates") == 0;
  if (argc > 1 && !needs_gates) {
    std::fprintf(stderr, "bring_up_bench: unknown argument %s; --gates is known\n", argv[1]);
    return 2;
  }
  return tierlib::Run(needs_gates);
}
