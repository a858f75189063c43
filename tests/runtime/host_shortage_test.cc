// Why a host tier had no room: figures as for a device, for each tier by itself.
#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/program.h"
#include "tierlib/memory_resource.h"

namespace tierlib {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kValue = KiB(64);

// Room for so many values in pinned memory, and for as many in pageable memory.
Options SmallHost(std::uint64_t values) {
  Options options = DeterministicOptions(1);
  options.pinned_limit = options.pageable_limit = values * kValue;
  return options;
}

Saved Save(Program& p, std::uint64_t bytes = kValue) {
  const Allocation x = p.Make(Bytes(bytes, 1));
  Saved saved = p.Pack(x.storage, WholeOf(bytes));
  p.Retire(x.storage);
  EXPECT_TRUE(p.runtime->Drain().ok());
  return saved;
}

TEST(HostShortage, OfEachTierThatWasFullSaysWhatItHeld) {
  Program p(SmallHost(2));
  std::vector<Saved> saved = {Save(p), Save(p)};
  EXPECT_FALSE(p.runtime->LastShortage(0, Tier::kPinned).has_value()) << "it always had room";
  saved.push_back(Save(p, KiB(48)));
  const Shortage pinned = p.runtime->LastShortage(0, Tier::kPinned).value();
  EXPECT_EQ(pinned.reason, Shortage::Reason::kCapacity);
  EXPECT_EQ(pinned.tier, Tier::kPinned);
  EXPECT_EQ(pinned.device_name, "emulated:0");
  EXPECT_EQ(pinned.tag, "saved");
  EXPECT_EQ(pinned.asked, KiB(48));
  EXPECT_EQ(pinned.capacity, 2 * kValue);
  EXPECT_EQ(pinned.live, 2 * kValue);
  EXPECT_EQ(pinned.free, 0u);
  EXPECT_EQ(pinned.largest_hole, 0u);
  EXPECT_EQ(pinned.other_devices, 0u);
  EXPECT_EQ(pinned.reserved, 2 * kValue);
  ASSERT_EQ(pinned.tags.size(), 1u);
  EXPECT_EQ(pinned.tags[0].name, "saved");
  EXPECT_EQ(pinned.tags[0].bytes, 2 * kValue);
  EXPECT_EQ(pinned.more_capacity, KiB(48));
  EXPECT_EQ(pinned.less_live, kValue) << "the smallest range that would hold it";
  EXPECT_EQ(pinned.least_change, KiB(48));
  EXPECT_THAT(pinned.ToString(), HasSubstr("pinned memory of emulated:0 is full: asked 48 KiB, free 0 B of 128 KiB"));
  EXPECT_THAT(pinned.ToString(), HasSubstr("48 KiB more capacity, or with 64 KiB of saved given up"));
  EXPECT_FALSE(p.runtime->LastShortage(0, Tier::kPageable).has_value()) << "it had room for the third";
  EXPECT_FALSE(p.runtime->LastShortage(0).has_value()) << "the device did";
  saved.push_back(Save(p));
  saved.push_back(Save(p));
  const Shortage pageable = p.runtime->LastShortage(0, Tier::kPageable).value();
  EXPECT_EQ(pageable.tier, Tier::kPageable);
  EXPECT_EQ(pageable.asked, kValue);
  EXPECT_EQ(pageable.live, kValue + KiB(48));
  EXPECT_EQ(pageable.free, KiB(16));
  EXPECT_EQ(p.runtime->LastShortage(0, Tier::kPinned)->asked, KiB(48)) << "a larger request is no news";
  EXPECT_FALSE(p.runtime->LastShortage(0, Tier::kFile).has_value()) << "there is no file";
  EXPECT_FALSE(p.runtime->LastShortage(7, Tier::kPinned).has_value()) << "nor such a device";
}

TEST(HostShortage, IsToldAgainOnceThereWasRoomForAsMuch) {
  Program p(SmallHost(2));
  std::vector<Saved> saved = {Save(p), Save(p), Save(p)};
  EXPECT_EQ(p.runtime->LastShortage(0, Tier::kPinned)->asked, kValue);
  saved.push_back(Save(p, KiB(4)));
  EXPECT_EQ(p.runtime->LastShortage(0, Tier::kPinned)->asked, KiB(4)) << "that not even so little fits is news";
  saved.erase(saved.begin());
  saved.push_back(Save(p));  // has room
  saved.push_back(Save(p));
  EXPECT_EQ(p.runtime->LastShortage(0, Tier::kPinned)->asked, kValue);
}

TEST(HostShortage, OfMemoryInPiecesSaysHowLargeTheLargestIs) {
  Program p(SmallHost(4));
  const auto resource = HostMemoryResource::Create(*p.runtime, Tier::kPinned, 0).value();
  std::vector<void*> blocks;
  for (int i = 0; i < 4; ++i) blocks.push_back(resource->allocate(kValue));
  for (const int i : {0, 2}) resource->deallocate(blocks[i], kValue);
  EXPECT_THROW((void)resource->allocate(2 * kValue), std::bad_alloc);
  const Shortage shortage = p.runtime->LastShortage(0, Tier::kPinned).value();
  EXPECT_EQ(shortage.reason, Shortage::Reason::kFragmentation);
  EXPECT_EQ(shortage.free, 2 * kValue);
  EXPECT_EQ(shortage.largest_hole, kValue);
  EXPECT_EQ(shortage.less_live, kValue);
  for (const int i : {1, 3}) resource->deallocate(blocks[i], kValue);
}

TEST(HostShortage, OfATagsLimitNamesIt) {
  Options options = SmallHost(4);
  options.tag_limits.push_back({"saved", Tier::kPinned, 2 * kValue});
  Program p(options);
  const std::vector<Saved> saved = {Save(p), Save(p), Save(p)};
  const Shortage shortage = p.runtime->LastShortage(0, Tier::kPinned).value();
  EXPECT_EQ(shortage.reason, Shortage::Reason::kTagLimit);
  EXPECT_EQ(shortage.tag_limit, 2 * kValue);
  EXPECT_EQ(shortage.more_capacity, kValue);
  EXPECT_THAT(shortage.ToString(), HasSubstr("pinned memory of emulated:0: the limit of 128 KiB for saved is reached"));
}

TEST(HostShortage, NamesTheStreamWhoseWorkPinsFreeBytes) {
  Options options = SmallHost(2);
  options.devices[0].emulated.schedule = EmulatedSchedule::kThreaded;
  options.devices[0].emulated.poison = false;  // a kernel, for which a block of the resource would wait behind this one
  Program p(options);
  const auto resource = HostMemoryResource::Create(*p.runtime, Tier::kPinned, 0).value();
  std::atomic<bool> go = false;
  const Allocation x = p.runtime->Allocate(kValue, Holds::kTransient, p.compute(), "x").value();
  p.Launch(p.compute(), {}, [&go] {
    while (!go) std::this_thread::yield();
  });
  std::optional<Saved> dropped = p.Pack(x.storage, WholeOf(kValue));  // its copy comes after the kernel
  void* const behind = resource->allocate(kValue);
  dropped.reset();
  EXPECT_THROW((void)resource->allocate(2 * kValue), std::bad_alloc);
  const std::optional<Shortage> shortage = p.runtime->LastShortage(0, Tier::kPinned);
  go = true;
  ASSERT_TRUE(shortage.has_value());
  EXPECT_EQ(shortage->free, kValue);
  EXPECT_EQ(shortage->pending, kValue);
  ASSERT_EQ(shortage->streams.size(), 1u);
  EXPECT_EQ(shortage->streams[0].bytes, kValue);
  EXPECT_NE(shortage->streams[0].stream, p.compute()) << "the stream of the copies";
  EXPECT_THAT(shortage->ToString(), HasSubstr("pending 64 KiB on 1 stream"));
  resource->deallocate(behind, kValue);
  p.Retire(x.storage);
}

}  // namespace
}  // namespace tierlib
