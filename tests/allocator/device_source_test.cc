#include <gtest/gtest.h>

#include <memory>

#include "allocator/device_factory.h"
#include "allocator/memory_source.h"

namespace tierlib {
namespace {

std::unique_ptr<DeviceBackend> Make(std::uint64_t capacity) {
  DeviceOptions options;
  options.capacity = capacity;
  options.emulated.kernel_threads = 1;
  return MakeDevice(options).value();
}

TEST(DeviceSource, GrowsOneSegmentAndShrinksItByWholePieces) {
  const auto device = Make(KiB(64));
  const auto source = MakeDeviceSource(*device).value();
  EXPECT_EQ(source->tier(), Tier::kDevice);
  EXPECT_EQ(source->capacity(), KiB(64));
  EXPECT_EQ(source->grown(), 0u);
  ASSERT_TRUE(source->Grow(KiB(16)).ok());
  std::byte* base = source->base();
  ASSERT_TRUE(source->Grow(KiB(48)).ok());
  EXPECT_EQ(source->base(), base);
  EXPECT_EQ(source->grown(), KiB(64));
  EXPECT_EQ(source->locked(), 0u);
  base[KiB(64) - 1] = std::byte{1};
  EXPECT_EQ(source->Grow(256).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(source->Shrink(KiB(47)).value(), 0u) << "less than the last piece";
  EXPECT_EQ(source->Shrink(KiB(63)).value(), KiB(48));
  EXPECT_EQ(source->grown(), KiB(16));
  ASSERT_TRUE(source->Grow(KiB(32)).ok());
  EXPECT_EQ(source->base(), base);
}

TEST(DeviceSource, GivesPiecesBackFromBetweenOthersAndTakesThemAgain) {
  const auto device = Make(KiB(96));
  const auto source = MakeDeviceSource(*device).value();
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(source->Grow(KiB(16)).ok());
  std::byte* const base = source->base();
  base[KiB(16) - 1] = base[KiB(48)] = std::byte{7};
  ASSERT_TRUE(source->Discard(KiB(8), KiB(40)).ok());  // [16, 48) KiB are the whole pieces in it
  EXPECT_EQ(source->absent(), KiB(32));
  EXPECT_EQ(source->AbsentIn(KiB(8), KiB(16)), KiB(8));
  EXPECT_EQ(source->MissingFor(KiB(20), KiB(1)), KiB(16));
  EXPECT_EQ(source->grown(), KiB(64));
  ASSERT_TRUE(source->Grow(KiB(16)).ok()) << "the segment ends where it did";
  EXPECT_EQ(source->grown(), KiB(80));
  base[KiB(80) - 1] = std::byte{7};
  ASSERT_TRUE(source->Commit(KiB(20), KiB(1)).ok());
  EXPECT_EQ(source->absent(), KiB(16));
  EXPECT_EQ(base[KiB(16)], std::byte{0}) << "fresh memory";
  EXPECT_EQ(base[KiB(16) - 1], std::byte{7});
  EXPECT_EQ(base[KiB(48)], std::byte{7});
  void* const other = device->Reserve(KiB(16)).value();  // behind the segment
  void* const between = device->Reserve(KiB(16)).value();
  EXPECT_EQ(between, base + KiB(32)) << "what was given back is there for others";
  EXPECT_EQ(source->Commit(KiB(32), KiB(16)).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(source->absent(), KiB(16));
  ASSERT_TRUE(device->Release(between, KiB(16)).ok());
  EXPECT_EQ(source->Shrink(KiB(80)).value(), KiB(80));
  EXPECT_EQ(source->absent(), 0u);
  ASSERT_TRUE(device->Release(other, KiB(16)).ok());
  EXPECT_TRUE(device->Reserve(KiB(96)).ok()) << "nothing is kept";
}

TEST(DeviceSource, OfOnePieceGivesNothingBack) {
  const auto device = Make(KiB(64));
  const auto source = MakeWholeDeviceSource(*device).value();
  ASSERT_TRUE(source->Discard(0, KiB(64)).ok());
  EXPECT_EQ(source->absent(), 0u);
}

TEST(DeviceSource, GivesEverythingBackWhenItGoes) {
  const auto device = Make(KiB(64));
  ASSERT_TRUE(MakeDeviceSource(*device).value()->Grow(KiB(64)).ok());
  EXPECT_TRUE(device->Reserve(KiB(64)).ok());
}

TEST(DeviceSource, EndsWhereSomebodyElseReserved) {
  const auto device = Make(KiB(64));
  const auto source = MakeDeviceSource(*device).value();
  ASSERT_TRUE(source->Grow(KiB(16)).ok());
  ASSERT_TRUE(device->Reserve(KiB(16)).ok());
  EXPECT_EQ(source->Grow(KiB(16)).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(source->grown(), KiB(16));
  EXPECT_TRUE(device->Reserve(KiB(32)).ok()) << "what did not fit on was given back";
}

}  // namespace
}  // namespace tierlib
