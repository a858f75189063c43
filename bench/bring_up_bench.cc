// How long it takes until 1 GiB of host memory is there to be copied into: pages of 4 KiB touched one by one, pages
// that mmap touches, and a pinned tier (huge pages, on their node, touched by several threads, page-locked), grown at
// once or in the steps of a pool. Counter: seconds per GiB.
//
// usage: bring_up_bench [Google Benchmark's options]
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <cstddef>
#include <memory>

#include "allocator/memory_source.h"
#include "allocator/numa_topology.h"
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

void PinnedTier(benchmark::State& state, std::size_t step) {
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

BENCHMARK_CAPTURE(PlainPages, touched_one_by_one, 0)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(PlainPages, map_populate, MAP_POPULATE)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(PinnedTier, at_once, kBytes)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(PinnedTier, by_2_mib, MiB(2))->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tierlib

BENCHMARK_MAIN();
