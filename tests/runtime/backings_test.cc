// The backings of device memory: what each takes from the device, and that programs do not see which it is.
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/program.h"
#include "runtime/tier_sums.h"

namespace tierlib {
namespace {

Options WithBacking(DeviceBacking backing, std::uint64_t capacity) {
  Options options = DeterministicOptions(1, OffloadMode::kMarshal, OffloadPolicy::kFit);
  options.devices[0].capacity = capacity;
  options.devices[0].backing = backing;
  return options;
}

TEST(Backings, APieceIsTakenWholeAndAtOnce) {
  Program p(WithBacking(DeviceBacking::kMalloc, KiB(64)));
  EXPECT_EQ(p.runtime->statistics().device.reserved, KiB(64));
  EXPECT_EQ(p.device->Reserve(256).status().code(), StatusCode::kResourceExhausted);
  const Allocation made = p.Make(Bytes(KiB(60), 1));
  EXPECT_EQ(p.runtime->Allocate(KiB(5), Holds::kTransient, p.compute(), "y").status().code(),
            StatusCode::kResourceExhausted);
  EXPECT_EQ(p.runtime->LastShortage(0)->reason, Shortage::Reason::kCapacity);
  ExpectAddsUp(p.runtime->statistics().device);
  p.Retire(made.storage);
  EXPECT_EQ(p.runtime->core()->tier(0).pool->Trim(), 0u);
  EXPECT_EQ(p.runtime->statistics().device.reserved, KiB(64));
  EXPECT_TRUE(p.runtime->Allocate(KiB(64), Holds::kTransient, p.compute(), "y").ok());
}

TEST(Backings, WithoutAPoolTheDeviceHasWhatIsLiveAndWhatIsOnItsWayBack) {
  Program p(WithBacking(DeviceBacking::kMallocAsync, KiB(64)));
  EXPECT_EQ(p.runtime->statistics().device.live, 0u);
  EXPECT_EQ(p.runtime->Allocate(1, Holds::kTransient, p.compute(), "y", 512).status().code(),
            StatusCode::kInvalidArgument)
      << "the device's allocator aligns to 256 bytes";
  const Allocation first = p.Make(Bytes(KiB(10) + 1, 1));
  (void)p.Make(Bytes(KiB(20), 2));
  TierStatistics device = p.runtime->statistics().device;
  EXPECT_EQ(device.live, KiB(30) + 1);
  EXPECT_EQ(device.waste, 255u);
  EXPECT_EQ(device.capacity, KiB(64));
  ExpectAddsUp(device);
  ASSERT_EQ(device.tags.size(), 1u);
  EXPECT_EQ(device.tags[0].blocks, 2u);
  p.Retire(first.storage);
  ASSERT_TRUE(p.device->Synchronize().ok());
  (void)p.Make(Bytes(KiB(1), 3));  // what has ended is noticed when something is asked for
  device = p.runtime->statistics().device;
  EXPECT_EQ(device.reserved, KiB(21));
  EXPECT_EQ(device.live_peak, KiB(30) + 256);
  ExpectAddsUp(device);
  EXPECT_EQ(p.runtime->core()->tier(0).pool->statistics().reserved, 0u) << "tierlib's pool has taken nothing";
}

// What compute-sanitizer is to see: each block by itself.
TEST(Backings, TheEnvironmentLeavesOutPools) {
  for (const DeviceBacking backing : {DeviceBacking::kVirtualMemory, DeviceBacking::kMalloc, DeviceBacking::kManaged}) {
    for (const char* value : {"1", "0"}) {
      ASSERT_EQ(setenv("TIERLIB_NO_POOLS", value, /*overwrite=*/1), 0);
      Program p(WithBacking(backing, KiB(64)));
      ASSERT_EQ(unsetenv("TIERLIB_NO_POOLS"), 0);
      const bool left_out = *value == '1' && backing != DeviceBacking::kManaged;
      EXPECT_EQ(p.runtime->options().devices[0].backing, left_out ? DeviceBacking::kMallocAsync : backing);
      (void)p.Make(Bytes(KiB(10), 1));
      EXPECT_EQ(p.runtime->core()->tier(0).pool->statistics().live, left_out ? 0u : KiB(10));
    }
  }
}

TEST(Backings, WithoutAPoolSavedValuesMakeRoomAndComeBack) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Options options = WithBacking(DeviceBacking::kMallocAsync, KiB(16));
    options.devices[0].emulated.seed = seed;
    Program p(options);
    std::vector<Saved> saved;
    for (std::uint8_t i = 0; i < 6; ++i) {
      const Allocation made = p.Make(Bytes(KiB(6), i));
      saved.push_back(p.Pack(made.storage, WholeOf(KiB(6))));
      p.Retire(made.storage);
    }
    for (std::uint8_t i = 6; i-- > 0;) EXPECT_EQ(p.Unpack(saved[i]), Bytes(KiB(6), i)) << "seed " << seed;
    EXPECT_GT(p.runtime->statistics().shortages.evictions, 0u);
    const Loaded lease = p.runtime->Unpack(saved[0], p.compute()).value();
    const Status full = p.runtime->Allocate(KiB(12), Holds::kTransient, p.compute(), "y").status();
    EXPECT_EQ(full.code(), StatusCode::kResourceExhausted);
    EXPECT_NE(full.message().find("it would have fitted with 2 KiB more capacity"), std::string_view::npos) << full;
    ExpectBookedOnce(p.ledger());
  }
}

TEST(Backings, WithoutAPoolTagsHaveTheirLimitsToo) {
  Options options = WithBacking(DeviceBacking::kMallocAsync, KiB(64));
  options.tag_limits.push_back({"activations", Tier::kDevice, KiB(16)});
  Program p(options);
  const Allocation made = p.Make(Bytes(KiB(10), 1));
  EXPECT_EQ(p.runtime->Allocate(KiB(8), Holds::kTransient, p.compute(), "y").status().code(),
            StatusCode::kResourceExhausted);
  EXPECT_EQ(p.runtime->LastShortage(0)->reason, Shortage::Reason::kTagLimit);
  const Saved saved = p.Pack(made.storage, WholeOf(KiB(10)));
  p.Retire(made.storage);
  EXPECT_TRUE(p.runtime->Allocate(KiB(8), Holds::kTransient, p.compute(), "y").ok());
  EXPECT_EQ(p.Unpack(saved), Bytes(KiB(10), 1));
}

}  // namespace
}  // namespace tierlib
