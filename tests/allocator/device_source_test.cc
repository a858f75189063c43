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
