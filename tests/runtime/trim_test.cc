// Memory that is not in use goes back to the system: when asked, and beyond the bounds that the options set.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/resident_memory.h"
#include "runtime/tier_sums.h"
#include "tierlib/tierlib.h"

namespace tierlib {
namespace {

constexpr Tier kTiers[] = {Tier::kDevice, Tier::kPinned, Tier::kPageable, Tier::kFile};

Options ThreadedOptions() {
  Options options;
  options.devices[0].capacity = MiB(64);
  options.devices[0].emulated.kernel_threads = 1;
  options.devices[0].emulated.poison = true;  // so that device bytes are touched
  options.pinned_limit = MiB(128);
  options.pageable_limit = MiB(96);
  options.file_directory = testing::TempDir();
  options.file_limit = MiB(96);
  return options;
}

constexpr std::uint64_t kValue = MiB(4);

// `count` values of 4 MiB that only the host has.
std::vector<Saved> Fill(Runtime& runtime, Stream stream, std::uint64_t count) {
  std::vector<Saved> values;
  for (std::uint64_t i = 0; i < count; ++i) {
    const Allocation x = runtime.Allocate(kValue, Holds::kTransient, stream, "x").value();
    const Layout layout = Layout::Contiguous(DType::kU8, {static_cast<std::int64_t>(kValue)});
    values.push_back(runtime.Pack({x.storage, layout}, nullptr, stream, "x").value());
    EXPECT_TRUE(runtime.Retire(x.storage, stream).ok());
    EXPECT_TRUE(runtime.Synchronize(stream).ok());
  }
  EXPECT_TRUE(runtime.Drain().ok());
  return values;
}

TEST(Trim, GivesTheMemoryOfEveryTierBack) {
  const std::uint64_t at_start = ResidentBytes();
  const std::unique_ptr<Runtime> runtime = Runtime::Create(ThreadedOptions()).value();
  const Stream stream = runtime->CreateStream(0, "s").value();
  std::vector<Saved> values = Fill(*runtime, stream, 80);  // 320 MiB: every host tier is full
  const std::uint64_t peak = ResidentBytes() - at_start;
  for (const Tier tier : kTiers) EXPECT_GT(Of(runtime->statistics(), tier).reserved, 0u) << TierName(tier);
  for (const Tier tier : kTiers) (void)runtime->Trim(tier, MiB(1024)).value();
  EXPECT_EQ(runtime->statistics().pinned.live, MiB(128)) << "what is in use stays";
  values.clear();
  ASSERT_TRUE(runtime->Drain().ok());
  for (const Tier tier : kTiers) {
    const std::uint64_t reserved = Of(runtime->statistics(), tier).reserved;
    EXPECT_EQ(runtime->Trim(tier, MiB(1024)).value(), reserved) << TierName(tier);
    EXPECT_EQ(Of(runtime->statistics(), tier).reserved, 0u) << TierName(tier);
  }
  EXPECT_EQ(runtime->statistics().pinned.locked, 0u);
  ExpectAddsUp(runtime->statistics());
  if (kSanitized) GTEST_SKIP() << "a sanitizer keeps memory for what the program touched";
  const std::uint64_t now = ResidentBytes();
  const std::uint64_t left = now - std::min(now, at_start);
  std::printf("resident: %s at the peak, %s after Trim (%.2f %%)\n", FormatBytes(peak).c_str(),
              FormatBytes(left).c_str(), 100.0 * static_cast<double>(left) / static_cast<double>(peak));
  EXPECT_GT(peak, MiB(300));
  EXPECT_LE(left * 20, peak);
}

TEST(Trim, GivesBackAsMuchAsAskedAndReturnsWhatWent) {
  const std::unique_ptr<Runtime> runtime = Runtime::Create(ThreadedOptions()).value();
  const Stream stream = runtime->CreateStream(0, "s").value();
  std::vector<Saved> values = Fill(*runtime, stream, 32);
  for (std::size_t i = 1; i < values.size(); i += 2) values[i] = Saved();
  ASSERT_TRUE(runtime->Drain().ok());
  const std::uint64_t before = runtime->statistics().pinned.reserved;
  const std::uint64_t went = runtime->Trim(Tier::kPinned, MiB(10)).value();
  EXPECT_GE(went, MiB(10));
  EXPECT_LT(went, MiB(10) + kValue);
  EXPECT_EQ(runtime->statistics().pinned.reserved, before - went);
  ExpectAddsUp(runtime->statistics());
  EXPECT_GE(runtime->Trim(Tier::kPinned, MiB(1024)).value() + went, MiB(48)) << "from between live values";
  ExpectAddsUp(runtime->statistics());
  const std::vector<Saved> again = Fill(*runtime, stream, 16);
  EXPECT_EQ(runtime->statistics().pinned.live, MiB(128)) << "it comes again";
  ExpectAddsUp(runtime->statistics());
}

TEST(Trim, CachedMemoryBeyondTheLimitGoesAtTheEndOfAStep) {
  Options options = ThreadedOptions();
  options.cached_limit = MiB(16);
  const std::unique_ptr<Runtime> runtime = Runtime::Create(options).value();
  const Stream stream = runtime->CreateStream(0, "s").value();
  std::vector<Saved> values = Fill(*runtime, stream, 40);
  runtime->EndStep();
  EXPECT_EQ(runtime->statistics().pinned.live, MiB(128));
  EXPECT_EQ(runtime->statistics().pageable.live, MiB(32));
  values.clear();
  // What is poisoned on the copy streams has to end: the bounds wait for nothing.
  for (int i = 0; i < 1000 && Of(runtime->statistics(), Tier::kPinned).cached < MiB(128); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  runtime->EndStep();
  const Statistics now = runtime->statistics();
  for (const Tier tier : {Tier::kPinned, Tier::kPageable}) {
    EXPECT_LE(Of(now, tier).cached, MiB(16)) << TierName(tier);
    EXPECT_GE(Of(now, tier).cached, MiB(16) - kValue) << TierName(tier) << ": no more than needed goes";
  }
  EXPECT_GT(now.device.reserved, 0u) << "the limit is for host tiers";
  ExpectAddsUp(runtime->statistics());
}

TEST(Trim, CachedMemoryThatNobodyUsesForItsAgeGoes) {
  Options options = ThreadedOptions();
  options.cached_age_ns = 30'000'000;
  const std::unique_ptr<Runtime> runtime = Runtime::Create(options).value();
  const Stream stream = runtime->CreateStream(0, "s").value();
  (void)Fill(*runtime, stream, 30);
  EXPECT_GE(runtime->statistics().pinned.reserved, MiB(120));
  for (int step = 0; step < 6; ++step) {
    std::this_thread::sleep_for(std::chrono::milliseconds(31));
    (void)Fill(*runtime, stream, 2);
    runtime->EndStep();
  }
  const std::uint64_t kept = runtime->statistics().pinned.reserved;
  EXPECT_GE(kept, 2 * kValue) << "each step used it";
  EXPECT_LE(kept, 2 * kValue + MiB(4));
  ExpectAddsUp(runtime->statistics());
}

// --- device memory ---------------------------------------------------------------------------------------------------

std::vector<StorageId> Allocate(Runtime& runtime, Stream stream, int count) {
  std::vector<StorageId> storages;
  for (int i = 0; i < count; ++i) {
    storages.push_back(runtime.Allocate(kValue, Holds::kPersistent, stream, "x").value().storage);
  }
  return storages;
}

void Retire(Runtime& runtime, Stream stream, const std::vector<StorageId>& storages) {
  for (const StorageId storage : storages) ASSERT_TRUE(runtime.Retire(storage, stream).ok());
  ASSERT_TRUE(runtime.Synchronize(stream).ok());
}

// The bounds wait for nothing, so what is poisoned on the copy streams has to end first.
void AwaitDevice(const Runtime& runtime) {
  for (int i = 0; i < 1000 && runtime.statistics().device.pending > 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(runtime.statistics().device.pending, 0u);
}

TEST(Trim, CachedDeviceMemoryBeyondItsLimitGoesAtTheEndOfAStep) {
  for (const bool is_bounded : {false, true}) {
    Options options = ThreadedOptions();
    options.devices[0].spare_bytes = 0;
    if (is_bounded) options.devices[0].cached_limit = MiB(16);
    const std::unique_ptr<Runtime> runtime = Runtime::Create(options).value();
    const Stream stream = runtime->CreateStream(0, "s").value();
    const std::vector<StorageId> kept = Allocate(*runtime, stream, 2);
    Retire(*runtime, stream, Allocate(*runtime, stream, 10));
    (void)Fill(*runtime, stream, 8);  // on the host, where the limit is another
    const std::uint64_t host = runtime->statistics().pinned.reserved;
    AwaitDevice(*runtime);
    runtime->EndStep();
    const Statistics now = runtime->statistics();
    ExpectAddsUp(now);
    EXPECT_EQ(now.device.live, 2 * kValue);
    EXPECT_EQ(now.device.reserved, 2 * kValue + (is_bounded ? MiB(16) : 10 * kValue));
    EXPECT_EQ(now.pinned.reserved, host);
    Retire(*runtime, stream, kept);
    AwaitDevice(*runtime);
    ASSERT_TRUE(runtime->Drain().ok());
    EXPECT_EQ(runtime->statistics().device.reserved, is_bounded ? MiB(16) : 12 * kValue) << "in Drain too";
  }
}

TEST(Trim, DeviceMemoryThatNobodyUsesForItsAgeGoes) {
  Options options = ThreadedOptions();
  options.devices[0].spare_bytes = 0;
  options.devices[0].cached_age_ns = 20'000'000;
  const std::unique_ptr<Runtime> runtime = Runtime::Create(options).value();
  const Stream stream = runtime->CreateStream(0, "s").value();
  Retire(*runtime, stream, Allocate(*runtime, stream, 10));
  EXPECT_EQ(runtime->statistics().device.reserved, 10 * kValue);
  for (int step = 0; step < 4; ++step) {
    std::this_thread::sleep_for(std::chrono::milliseconds(21));
    Retire(*runtime, stream, Allocate(*runtime, stream, 2));
    AwaitDevice(*runtime);
    runtime->EndStep();
  }
  EXPECT_EQ(runtime->statistics().device.reserved, 2 * kValue) << "each step used it";
  ExpectAddsUp(runtime->statistics());
}

TEST(HostMemory, WhatIsLockedIsHardlyMoreThanWhatWasAsked) {
  Options options = ThreadedOptions();
  options.pinned_limit = MiB(512);
  const std::unique_ptr<Runtime> runtime = Runtime::Create(options).value();
  const auto resource = HostMemoryResource::Create(*runtime).value();
  std::vector<void*> blocks;
  for (int i = 0; i < 300; ++i) blocks.push_back(resource->allocate(MiB(1) - 1000));
  const TierStatistics pinned = runtime->statistics().pinned;
  const double asked = static_cast<double>(pinned.live);
  std::printf("pinned: asked %s, reserved %s, locked %s (%.4f of what was asked)\n", FormatBytes(pinned.live).c_str(),
              FormatBytes(pinned.reserved).c_str(), FormatBytes(pinned.locked).c_str(),
              static_cast<double>(pinned.locked) / asked);
  EXPECT_LE(static_cast<double>(pinned.reserved), 1.02 * asked);
  EXPECT_LE(pinned.locked, pinned.reserved);
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
  if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > 2 * pinned.reserved) {
    EXPECT_EQ(pinned.locked, pinned.reserved);
  } else {
    EXPECT_GT(pinned.locked, 0u) << "as far as the limit goes";
  }
  for (void* block : blocks) resource->deallocate(block, MiB(1) - 1000);
}

}  // namespace
}  // namespace tierlib
