// How long it takes to find who has an address, beside the least that could be done: a table of two levels, read once
// each, that gives the number of the block. Lookups depend on each other: the next address is made out of the result.
//
//   hot      64 interior addresses again and again
//   random   every address of one of 100,000 blocks that lie without gaps, each block and each of its bytes as likely
//
// `mixed`: blocks of 256 bytes to 64 KiB, and a bare table with a word for each 256 bytes. `pages`: blocks of 4 KiB to
// 1 MiB, and a bare table with a word for each page of 4 KiB. `map` is a pool's Find, `runtime` is Runtime::OwnerOf.
//
// usage: owner_bench [Google Benchmark's options]
#include <benchmark/benchmark.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/device_factory.h"
#include "base/check.h"
#include "base/random.h"
#include "tierlib/tierlib.h"

namespace tierlib {
namespace {

constexpr std::size_t kBlocks = 100'000;
constexpr std::size_t kHot = 64;
constexpr std::uint64_t kCapacity = GiB(64);

// Sizes that repeat, so that where a block lies is reckoned and not loaded.
class Sizes {
 public:
  Sizes(std::size_t unit, std::size_t most) : unit_(unit) {
    Random random(20261129, 0);
    for (std::size_t i = 0; i < kRepeat; ++i) {
      const double exponent = random.UniformDouble() * std::log2(static_cast<double>(most / unit));
      bytes_[i] = static_cast<std::size_t>(std::lround(std::exp2(exponent))) * unit;
      begin_[i] = period_;
      period_ += bytes_[i];
    }
  }

  std::size_t unit() const { return unit_; }
  std::size_t bytes(std::size_t block) const { return bytes_[block % kRepeat]; }
  std::size_t extent() const { return (kBlocks / kRepeat + 1) * period_; }
  // An offset into one of the blocks, made out of 64 random bits.
  std::size_t Interior(std::uint64_t random) const {
    const std::size_t block = Scale(random >> 32, kBlocks);
    const std::size_t in_block = Scale(random & 0xffffffff, bytes_[block % kRepeat]);
    return block / kRepeat * period_ + begin_[block % kRepeat] + in_block;
  }

 private:
  static constexpr std::size_t kRepeat = 64;
  static std::size_t Scale(std::uint64_t random32, std::size_t bound) { return random32 * bound >> 32; }

  std::size_t unit_;
  std::size_t period_ = 0;
  std::array<std::size_t, kRepeat> bytes_{};
  std::array<std::size_t, kRepeat> begin_{};
};

Sizes Mixed() { return {256, KiB(64)}; }
Sizes Pages() { return {KiB(4), MiB(1)}; }

// The bare table: of two levels, 2^16 words in a leaf.
class Bare {
 public:
  explicit Bare(const Sizes& sizes) : shift_(sizes.unit() == 256 ? 8 : 12) {
    std::size_t unit = 0;
    for (std::uint32_t block = 0; block < kBlocks; ++block) {
      for (std::size_t end = unit + sizes.bytes(block) / sizes.unit(); unit < end; ++unit) {
        if (unit >> kLeafBits == leaves_.size()) {
          leaves_.push_back(std::make_unique<std::uint32_t[]>(std::size_t{1} << kLeafBits));
          root_.push_back(leaves_.back().get());
        }
        root_.back()[unit % (std::size_t{1} << kLeafBits)] = block;
      }
    }
  }
  std::uint64_t operator()(std::size_t offset) const {
    const std::size_t unit = offset >> shift_;
    return root_[unit >> kLeafBits][unit % (std::size_t{1} << kLeafBits)];
  }

 private:
  static constexpr int kLeafBits = 16;
  const int shift_;
  std::vector<std::uint32_t*> root_;
  std::vector<std::unique_ptr<std::uint32_t[]>> leaves_;
};

// A pool with the blocks.
class Map {
 public:
  explicit Map(const Sizes& sizes) {
    DeviceOptions options;
    options.capacity = kCapacity;
    options.emulated = {.schedule = EmulatedSchedule::kShapeOnly, .kernel_threads = 1};
    device_ = MakeDevice(options).value();
    const Stream stream = device_->CreateStream("bench").value();
    pool_ = std::make_unique<BlockPool>(
        BlockPool::Options{.source = MakeDeviceSource(*device_).value(), .device = device_.get()});
    for (std::size_t block = 0; block < kBlocks; ++block) {
      auto* const at = static_cast<std::byte*>(pool_->Allocate(sizes.bytes(block), stream).value());
      if (block == 0) base_ = at;
      pool_->SetOwner(at, block);
    }
  }
  std::uint64_t operator()(std::size_t offset) const {
    BlockPool::Place place;
    (void)pool_->Find(base_ + offset, &place);
    return place.owner + place.offset + place.bytes + static_cast<std::uint64_t>(place.tag);
  }

 private:
  std::unique_ptr<DeviceBackend> device_;
  std::unique_ptr<BlockPool> pool_;
  std::byte* base_ = nullptr;
};

// A runtime with the blocks as its storages.
class OfRuntime {
 public:
  explicit OfRuntime(const Sizes& sizes) {
    Options options;
    options.devices[0].capacity = kCapacity;
    options.devices[0].emulated.schedule = EmulatedSchedule::kShapeOnly;
    runtime_ = Runtime::Create(options).value();
    const Stream stream = runtime_->CreateStream(0, "bench").value();
    for (std::size_t block = 0; block < kBlocks; ++block) {
      const Allocation made = runtime_->Allocate(sizes.bytes(block), Holds::kPersistent, stream, "").value();
      if (block == 0) base_ = static_cast<std::byte*>(made.data);
    }
  }
  std::uint64_t operator()(std::size_t offset) const {
    const StatusOr<Owner> owner = runtime_->OwnerOf(base_ + offset);
    return owner->storage.slot + owner->offset + owner->block_offset + owner->block_bytes;
  }

 private:
  std::unique_ptr<Runtime> runtime_;
  std::byte* base_ = nullptr;
};

template <typename Lookup>
void LookUpHot(benchmark::State& state, const Sizes& sizes) {
  const Lookup lookup(sizes);
  Random random(7, 0);
  std::array<std::size_t, kHot> hot;
  for (std::size_t& offset : hot) offset = sizes.Interior(random.NextU64());
  std::uint64_t at = 0;
  for (auto _ : state) at += lookup(hot[at % kHot]) | 1;
  benchmark::DoNotOptimize(at);
}

template <typename Lookup>
void LookUpRandom(benchmark::State& state, const Sizes& sizes) {
  const Lookup lookup(sizes);
  std::uint64_t at = 1;
  for (auto _ : state) {
    at = (at + lookup(sizes.Interior(at))) * 0x9e3779b97f4a7c15 + 1;
    at ^= at >> 29;
  }
  benchmark::DoNotOptimize(at);
}

template <typename Lookup>
void AddCases(const std::string& name) {
  benchmark::RegisterBenchmark(("hot/mixed/" + name).c_str(), LookUpHot<Lookup>, Mixed());
  benchmark::RegisterBenchmark(("random/mixed/" + name).c_str(), LookUpRandom<Lookup>, Mixed());
  benchmark::RegisterBenchmark(("random/pages/" + name).c_str(), LookUpRandom<Lookup>, Pages());
}

}  // namespace
}  // namespace tierlib

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  tierlib::AddCases<tierlib::Bare>("bare");
  tierlib::AddCases<tierlib::Map>("map");
  tierlib::AddCases<tierlib::OfRuntime>("runtime");
  benchmark::RunSpecifiedBenchmarks();
}
