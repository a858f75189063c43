#include "tierlib/memory_resource.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <new>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

bool IsIn(Runtime& runtime, Tier tier, const void* data) {
  return runtime.core()->tier(0).PoolOf(tier)->Contains(data);
}

TEST(HostMemoryResource, HoldsContainersOfTheStandardLibrary) {
  const std::unique_ptr<Runtime> runtime = Runtime::Create(Options()).value();
  for (const Tier tier : {Tier::kPinned, Tier::kPageable}) {
    const auto resource = HostMemoryResource::Create(*runtime, tier).value();
    EXPECT_EQ(resource->tier(), tier);
    {
      std::pmr::vector<std::uint64_t> numbers(resource.get());
      for (std::uint64_t i = 0; i < 100'000; ++i) numbers.push_back(i * i);
      std::pmr::unordered_map<int, std::pmr::string> names(resource.get());
      for (int i = 0; i < 2'000; ++i) names[i] = std::string(40, 'a') + std::to_string(i);
      for (std::uint64_t i = 0; i < 100'000; ++i) ASSERT_EQ(numbers[i], i * i);
      for (int i = 0; i < 2'000; ++i) ASSERT_EQ(std::string(names.at(i)), std::string(40, 'a') + std::to_string(i));
      EXPECT_TRUE(IsIn(*runtime, tier, numbers.data()));
      EXPECT_TRUE(IsIn(*runtime, tier, names.at(7).data())) << "the allocator goes to the elements";
      const Statistics now = runtime->statistics();
      EXPECT_GE((tier == Tier::kPinned ? now.pinned : now.pageable).live, 800'000u);
    }
    const Statistics now = runtime->statistics();
    EXPECT_EQ(now.pinned.live + now.pageable.live, 0u);
  }
}

TEST(HostMemoryResource, AlignsAsAsked) {
  const std::unique_ptr<Runtime> runtime = Runtime::Create(Options()).value();
  const auto resource = HostMemoryResource::Create(*runtime).value();
  for (std::size_t alignment = 1; alignment <= MiB(2); alignment *= 2) {
    void* odd = resource->allocate(1, 1);
    void* block = resource->allocate(100, alignment);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % alignment, 0u);
    resource->deallocate(block, 100, alignment);
    resource->deallocate(odd, 1, 1);
  }
  EXPECT_THROW((void)resource->allocate(100, MiB(4)), std::bad_alloc);
}

TEST(HostMemoryResource, ThrowsWhereTheTierIsFullAndGoesOn) {
  Options options;
  options.pinned_limit = MiB(1);
  const std::unique_ptr<Runtime> runtime = Runtime::Create(options).value();
  const auto resource = HostMemoryResource::Create(*runtime).value();
  EXPECT_THROW((void)resource->allocate(MiB(1) + 1), std::bad_alloc);
  EXPECT_THROW((void)resource->allocate(~std::size_t{0} / 2), std::bad_alloc);
  void* all = resource->allocate(MiB(1));
  EXPECT_THROW((void)resource->allocate(1), std::bad_alloc);
  std::pmr::vector<int> empty(resource.get());
  EXPECT_THROW(empty.push_back(1), std::bad_alloc);
  resource->deallocate(all, MiB(1));
  empty.push_back(1);
  EXPECT_EQ(empty.front(), 1);
}

// A copy that is still to run writes to the block that the host gets next.
TEST(HostMemoryResource, WaitsForDeviceWorkThatMayStillUseTheMemory) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Options options = DeterministicOptions(seed);
    options.pinned_limit = KiB(64);
    options.pageable_limit = 0;
    Program p(options);
    const auto resource = HostMemoryResource::Create(*p.runtime).value();
    const Allocation x = p.Make(Bytes(KiB(64), 1));
    Saved saved = p.Pack(x.storage, WholeOf(KiB(64)));
    ASSERT_EQ(p.ledger().moved, KiB(64));
    saved = Saved();
    p.Retire(x.storage);
    auto* block = static_cast<std::uint8_t*>(resource->allocate(KiB(64)));
    std::memset(block, 2, KiB(64));
    ASSERT_TRUE(p.runtime->Drain().ok());
    ASSERT_TRUE(p.device->Synchronize().ok());
    for (std::size_t i = 0; i < KiB(64); ++i) ASSERT_EQ(block[i], 2) << "seed " << seed << ", byte " << i;
    resource->deallocate(block, KiB(64));
  }
}

TEST(HostMemoryResource, ServesSeveralThreads) {
  const std::unique_ptr<Runtime> runtime = Runtime::Create(Options()).value();
  const auto resource = HostMemoryResource::Create(*runtime).value();
  std::atomic<int> wrong{0};
  const auto work = [&](std::uint8_t mark) {
    Random random(mark);
    std::vector<std::pmr::vector<std::uint8_t>> held;
    for (int i = 0; i < 4'000 / TIERLIB_RANDOM_SCALE; ++i) {
      if (held.size() > 20) {
        for (const std::uint8_t byte : held.front()) wrong += byte != mark ? 1 : 0;
        held.erase(held.begin());
      }
      held.emplace_back(1 + random.UniformInt(4096), mark, resource.get());
    }
  };
  std::thread first(work, std::uint8_t{1});
  std::thread second(work, std::uint8_t{2});
  first.join();
  second.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_EQ(runtime->statistics().pinned.live, 0u);
}

TEST(HostMemoryResource, OutlivesTheRuntime) {
  std::unique_ptr<Runtime> runtime = Runtime::Create(Options()).value();
  const auto resource = HostMemoryResource::Create(*runtime).value();
  std::pmr::vector<int> before(1000, 7, resource.get());
  runtime.reset();
  before.resize(100'000, 8);
  EXPECT_EQ(before.front(), 7);
  EXPECT_EQ(before.back(), 8);
}

TEST(HostMemoryResource, IsEqualToAnotherOfTheSameTierAlone) {
  const std::unique_ptr<Runtime> runtime = Runtime::Create(Options()).value();
  const std::unique_ptr<Runtime> other = Runtime::Create(Options()).value();
  const auto pinned = HostMemoryResource::Create(*runtime).value();
  const auto again = HostMemoryResource::Create(*runtime, Tier::kPinned).value();
  const auto pageable = HostMemoryResource::Create(*runtime, Tier::kPageable).value();
  const auto elsewhere = HostMemoryResource::Create(*other).value();
  EXPECT_TRUE(pinned->is_equal(*again));
  EXPECT_FALSE(pinned->is_equal(*pageable));
  EXPECT_FALSE(pinned->is_equal(*elsewhere));
  EXPECT_FALSE(pinned->is_equal(*std::pmr::new_delete_resource()));
  void* block = pinned->allocate(100);
  again->deallocate(block, 100);
  EXPECT_EQ(runtime->statistics().pinned.live, 0u);
}

TEST(HostMemoryResource, IsRefusedForWhatIsNoHostMemory) {
  const std::unique_ptr<Runtime> runtime = Runtime::Create(Options()).value();
  const auto code = [&](Tier tier, int device) {
    return HostMemoryResource::Create(*runtime, tier, device).status().code();
  };
  EXPECT_EQ(code(Tier::kDevice, 0), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Tier::kFile, 0), StatusCode::kInvalidArgument) << "no directory was given";
  EXPECT_EQ(code(Tier::kPinned, 3), StatusCode::kInvalidArgument);
  Options shapes;
  shapes.devices[0].emulated.schedule = EmulatedSchedule::kShapeOnly;
  const std::unique_ptr<Runtime> shape_only = Runtime::Create(shapes).value();
  EXPECT_EQ(HostMemoryResource::Create(*shape_only).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tierlib
