// Two devices of one runtime: each has figures of its own, and the host's memory is there for both.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/program.h"
#include "runtime/tier_sums.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kValue = KiB(64);
constexpr int kDevices[] = {3, 1};  // not in the order of their numbers

Options TwoDevices(std::uint64_t seed) {
  Options options = DeterministicOptions(seed);
  options.devices.push_back(options.devices[0]);
  for (std::size_t i = 0; i < options.devices.size(); ++i) options.devices[i].device = kDevices[i];
  return options;
}

class TwoDevicesTest : public testing::Test {
 protected:
  void Start(const Options& options) {
    runtime_ = Runtime::Create(options).value();
    for (const DeviceOptions& device : options.devices) {
      streams_.push_back(runtime_->CreateStream(device.device, "s").value());
    }
  }

  // A value that only the host has, saved from device `which` of the options.
  Saved Save(std::size_t which, std::uint64_t bytes = kValue) {
    const Stream stream = streams_[which];
    const Allocation x = runtime_->Allocate(bytes, Holds::kTransient, stream, "x").value();
    Saved saved = runtime_->Pack({x.storage, WholeOf(bytes)}, nullptr, stream, "x").value();
    EXPECT_TRUE(runtime_->Retire(x.storage, stream).ok());
    EXPECT_TRUE(runtime_->Drain().ok());
    return saved;
  }

  // All work ends, and the pools notice.
  void Settle() {
    ASSERT_TRUE(runtime_->Drain().ok());
    const auto pending = [this] {
      const Statistics now = runtime_->statistics();
      return now.device.pending + now.pinned.pending + now.pageable.pending;
    };
    for (int i = 0; i < 1000 && pending() > 0; ++i) {
      for (const int device : kDevices) ASSERT_TRUE(runtime_->core()->backend(device).Synchronize().ok());
    }
    ASSERT_EQ(pending(), 0u);
  }

  std::unique_ptr<Runtime> runtime_;
  std::vector<Stream> streams_;
};

TEST_F(TwoDevicesTest, EachHasItsOwnFigures) {
  Start(TwoDevices(1));
  const Allocation first = runtime_->Allocate(3 * kValue - 100, Holds::kPersistent, streams_[0], "first").value();
  const std::vector<Saved> saved = {Save(1), Save(1)};
  Statistics now = runtime_->statistics();
  ExpectAddsUp(now);
  ASSERT_EQ(now.devices.size(), 2u);
  EXPECT_EQ(now.devices[0].device, kDevices[0]);
  EXPECT_EQ(now.devices[1].device, kDevices[1]);
  EXPECT_EQ(now.devices[0].memory.live, 3 * kValue - 100);
  EXPECT_EQ(now.devices[0].pinned.live, 0u);
  EXPECT_EQ(now.devices[1].memory.live, 0u);
  EXPECT_EQ(now.devices[1].memory.live_peak, kValue);
  EXPECT_EQ(now.devices[1].pinned.live, 2 * kValue);
  EXPECT_EQ(now.device.live_peak, 4 * kValue) << "the sum, though they were not at once";
  ASSERT_EQ(now.devices[1].pinned.tags.size(), 1u);
  EXPECT_EQ(now.devices[1].pinned.tags[0].live, 2 * kValue);
  ASSERT_TRUE(runtime_->Retire(first.storage, streams_[0]).ok());
  now = runtime_->statistics();
  ExpectAddsUp(now);
  EXPECT_EQ(now.devices[0].memory.live, 0u);
  EXPECT_EQ(now.devices[0].memory.live_peak, 3 * kValue);
}

// --- host memory ----------------------------------------------------------------------------------------------------

// Room for so much in pinned memory, and in pageable memory.
Options SmallHost(std::uint64_t seed, std::uint64_t bytes) {
  Options options = TwoDevices(seed);
  for (DeviceOptions& device : options.devices) device.capacity = MiB(32);
  options.pinned_limit = options.pageable_limit = bytes;
  return options;
}

TEST_F(TwoDevicesTest, OneMayHaveAllOfTheHostsMemory) {
  Start(SmallHost(2, 16 * kValue));
  EXPECT_EQ(runtime_->statistics().pinned.capacity, 16 * kValue);
  std::vector<Saved> saved;
  for (int i = 0; i < 13; ++i) saved.push_back(Save(0));
  for (int i = 0; i < 3; ++i) saved.push_back(Save(1));
  Statistics now = runtime_->statistics();
  ExpectAddsUp(now);
  EXPECT_EQ(now.fallbacks.to_pageable, 0u);
  EXPECT_EQ(now.devices[0].pinned.live, 13 * kValue) << "more than half";
  EXPECT_EQ(now.devices[1].pinned.live, 3 * kValue);
  EXPECT_EQ(now.pinned.reserved, 16 * kValue);
  saved.push_back(Save(0));
  saved.push_back(Save(1));
  now = runtime_->statistics();
  ExpectAddsUp(now);
  EXPECT_EQ(now.pinned.live, 16 * kValue) << "and no more than that together";
  EXPECT_EQ(now.fallbacks.to_pageable, 2u);
  EXPECT_EQ(now.pageable.live, 2 * kValue);
}

// Memory goes back by whole huge pages.
TEST_F(TwoDevicesTest, WhatOneKeepsUnusedIsThereForTheOther) {
  constexpr std::uint64_t kPage = MiB(2);
  Start(SmallHost(3, 16 * kPage));
  std::vector<Saved> saved;
  for (int i = 0; i < 16; ++i) saved.push_back(Save(0, kPage));
  saved.resize(10);
  Settle();
  ASSERT_EQ(runtime_->statistics().devices[0].pinned.reserved, 16 * kPage);
  const Saved large = Save(1, 7 * kPage);
  Statistics now = runtime_->statistics();
  EXPECT_EQ(now.devices[0].pinned.reserved, 16 * kPage) << "nothing goes for what has no room then either";
  EXPECT_EQ(now.devices[1].pageable.live, 7 * kPage);
  for (int i = 0; i < 6; ++i) saved.push_back(Save(1, kPage));
  now = runtime_->statistics();
  ExpectAddsUp(now);
  EXPECT_EQ(now.fallbacks.to_pageable, 1u) << "the large one";
  EXPECT_EQ(now.devices[0].pinned.live, 10 * kPage);
  EXPECT_EQ(now.devices[1].pinned.live, 6 * kPage);
  EXPECT_EQ(now.pinned.reserved, 16 * kPage);
}

// A hole whose memory the other has takes a whole piece to fill, where the end of the range takes what is asked for.
TEST_F(TwoDevicesTest, AHoleWithoutMemoryIsPassedOverWhereLessIsLeft) {
  constexpr std::uint64_t kPage = MiB(2);
  Start(SmallHost(6, 16 * kPage));
  std::vector<Saved> saved;
  saved.push_back(Save(0, 4 * kPage));
  saved.push_back(Save(0, kPage));
  saved[0] = Saved();
  Settle();
  saved[0] = Save(1, 14 * kPage);
  ASSERT_EQ(runtime_->statistics().devices[0].pinned.reserved, kPage) << "the hole's memory went to the other";
  saved[0] = Saved();
  Settle();
  saved.push_back(Save(0, kPage));
  saved.push_back(Save(0, 2 * kPage));
  const Statistics now = runtime_->statistics();
  ExpectAddsUp(now);
  EXPECT_EQ(now.fallbacks.to_pageable, 0u);
  EXPECT_EQ(now.devices[0].pinned.live, 4 * kPage);
}

TEST_F(TwoDevicesTest, HolesOfOnesOwnMakeRoomAtTheEnd) {
  constexpr std::uint64_t kPage = MiB(2);
  Start(SmallHost(7, 16 * kPage));
  std::vector<Saved> saved;
  for (int i = 0; i < 8; ++i) saved.push_back(Save(0, kPage));
  saved.push_back(Save(1, 6 * kPage));
  for (const std::size_t i : {0u, 2u, 4u, 6u}) saved[i] = Saved();
  Settle();
  saved[0] = Save(0, 4 * kPage);
  const Statistics now = runtime_->statistics();
  ExpectAddsUp(now);
  EXPECT_EQ(now.fallbacks.to_pageable, 0u) << "ten pages of sixteen were in use";
  EXPECT_EQ(now.devices[0].pinned.live, 8 * kPage);
  EXPECT_LE(now.pinned.reserved, 16 * kPage);
}

TEST_F(TwoDevicesTest, AShortageSaysWhatTheOtherHolds) {
  Start(SmallHost(7, 16 * kValue));
  std::vector<Saved> saved;
  for (int i = 0; i < 13; ++i) saved.push_back(Save(0));
  for (int i = 0; i < 2; ++i) saved.push_back(Save(1));
  saved.push_back(Save(1, 2 * kValue));
  EXPECT_FALSE(runtime_->LastShortage(kDevices[0], Tier::kPinned).has_value());
  const Shortage shortage = runtime_->LastShortage(kDevices[1], Tier::kPinned).value();
  EXPECT_EQ(shortage.reason, Shortage::Reason::kOtherDevices);
  EXPECT_EQ(shortage.device, kDevices[1]);
  EXPECT_EQ(shortage.capacity, 16 * kValue);
  EXPECT_EQ(shortage.live, 2 * kValue);
  EXPECT_EQ(shortage.other_devices, 13 * kValue);
  EXPECT_EQ(shortage.free, kValue);
  EXPECT_EQ(shortage.more_capacity, kValue);
  EXPECT_NE(shortage.ToString().find("other devices hold 832 KiB of what they share"), std::string::npos)
      << shortage.ToString();
}

TEST_F(TwoDevicesTest, OneMayHaveAllThatALimitOfATagLeaves) {
  Options options = SmallHost(5, 16 * kValue);
  options.tag_limits.push_back({"saved", Tier::kPinned, 4 * kValue});
  Start(options);
  std::vector<Saved> saved;
  for (int i = 0; i < 4; ++i) saved.push_back(Save(0));
  EXPECT_EQ(runtime_->statistics().devices[0].pinned.live, 4 * kValue) << "more than half";
  for (const std::size_t which : {1, 0}) saved.push_back(Save(which));
  Statistics now = runtime_->statistics();
  ExpectAddsUp(now);
  EXPECT_EQ(now.pinned.live, 4 * kValue) << "and no more than that together";
  EXPECT_EQ(now.pageable.live, 2 * kValue);
  saved.erase(saved.begin());
  Settle();
  saved.push_back(Save(1));
  now = runtime_->statistics();
  EXPECT_EQ(now.devices[1].pinned.live, kValue) << "what one let go is there for the other";
  EXPECT_EQ(now.pinned.live, 4 * kValue);
}

TEST_F(TwoDevicesTest, OneMayKeepAllThatTheLimitOfWhatIsCachedLeaves) {
  constexpr std::uint64_t kPage = MiB(2);
  Options options = SmallHost(6, 16 * kPage);
  options.cached_limit = 6 * kPage;
  Start(options);
  for (const int second : {0, 4}) {
    std::vector<Saved> saved;
    for (int i = 0; i < 6; ++i) saved.push_back(Save(0, kPage));
    for (int i = 0; i < second; ++i) saved.push_back(Save(1, kPage));
    saved.clear();
    Settle();
    runtime_->EndStep();
    const Statistics now = runtime_->statistics();
    ExpectAddsUp(now);
    EXPECT_EQ(now.pinned.cached, 6 * kPage) << "beside " << second;
  }
}

// Memory that threads grow ahead counts too, and goes where somebody needs it.
TEST_F(TwoDevicesTest, NothingIsTakenBeyondTheLimit) {
  constexpr std::uint64_t kLimit = MiB(16);
  Options options = SmallHost(4, kLimit);
  for (DeviceOptions& device : options.devices) device.emulated.schedule = EmulatedSchedule::kThreaded;
  Start(options);
  Random random(1);
  std::vector<Saved> saved;
  for (int round = 0; round < 200 / TIERLIB_RANDOM_SCALE + 40; ++round) {
    if (!saved.empty() && random.UniformInt(3) == 0) {
      saved.erase(saved.begin() + static_cast<std::ptrdiff_t>(random.UniformInt(saved.size())));
    } else if (saved.size() < 48) {
      saved.push_back(Save(random.UniformInt(2), 1 + random.UniformInt(MiB(1))));
    }
    const Statistics now = runtime_->statistics();
    ExpectAddsUp(now);
    ASSERT_LE(now.pinned.reserved, kLimit);
    ASSERT_LE(now.pageable.reserved, kLimit);
  }
  saved.clear();
  for (const std::size_t which : {0, 1}) {
    Settle();
    const Saved all = Save(which, kLimit);
    EXPECT_EQ(runtime_->statistics().devices[which].pinned.live, kLimit);
  }
}

}  // namespace
}  // namespace tierlib
