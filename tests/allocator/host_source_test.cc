#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/fake_device.h"
#include "allocator/memory_source.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

// Pages of [base, base + bytes) that are in memory.
std::size_t ResidentPages(std::byte* base, std::size_t bytes) {
  std::vector<unsigned char> pages(bytes / PageBytes());
  EXPECT_EQ(mincore(base, bytes, pages.data()), 0);
  std::size_t resident = 0;
  for (const unsigned char page : pages) resident += page & 1;
  return resident;
}

TEST(HostSource, TouchesPinnedMemoryAheadAndRegistersIt) {
  FakeDevice device;
  auto source = MakeHostSource({.tier = Tier::kPinned, .capacity = MiB(8), .device = &device}).value();
  EXPECT_EQ(source->tier(), Tier::kPinned);
  ASSERT_TRUE(source->Grow(MiB(4)).ok());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(source->base()) % MiB(2), 0u) << "for huge pages";
  EXPECT_EQ(ResidentPages(source->base(), MiB(4)), MiB(4) / PageBytes());
  EXPECT_THAT(device.pinned, testing::ElementsAre(std::pair<void*, std::size_t>(source->base(), MiB(4))));
  ASSERT_TRUE(source->Grow(MiB(4)).ok());
  EXPECT_EQ(device.pinned.size(), 2u);
  EXPECT_EQ(source->Grow(PageBytes()).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(source->Shrink(MiB(4)).value(), MiB(4));
  EXPECT_EQ(device.pinned.size(), 1u);
  source.reset();
  EXPECT_THAT(device.pinned, IsEmpty());
}

// What the system says this process has locked.
std::size_t LockedBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "VmLck:") continue;
    std::size_t kilobytes = 0;
    status >> kilobytes;
    return kilobytes << 10;
  }
  return 0;
}

// Whether mlock() is the kernel's: the run times of the sanitizers replace it by one that says yes and locks nothing.
bool LocksForReal() {
  void* page = mmap(nullptr, PageBytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const std::size_t before = LockedBytes();
  const bool locked = mlock(page, PageBytes()) != 0 || LockedBytes() == before + PageBytes();
  munmap(page, PageBytes());
  return locked;
}

TEST(HostSource, LocksAsFarAsTheSystemAllowsAndSaysHowFar) {
  if (!LocksForReal()) GTEST_SKIP() << "mlock() locks nothing in this program (a sanitizer replaces it)";
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_MEMLOCK, &before), 0);
  for (const rlim_t limit : {before.rlim_cur, rlim_t{MiB(3)}, rlim_t{0}}) {
    const rlimit lower{std::min(limit, before.rlim_max), before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_MEMLOCK, &lower), 0);
    const std::size_t locked_before = LockedBytes();
    auto source = MakeHostSource({.tier = Tier::kPinned, .capacity = MiB(64)}).value();
    testing::internal::CaptureStderr();
    EXPECT_TRUE(source->Grow(MiB(2)).ok());
    EXPECT_TRUE(source->Grow(MiB(62)).ok()) << "whatever can be locked";
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    EXPECT_EQ(source->locked(), LockedBytes() - locked_before);
    source->base()[MiB(64) - 1] = std::byte{1};
    EXPECT_EQ(source->Shrink(MiB(64)).value(), MiB(64));
    EXPECT_EQ(source->locked(), 0u);
    EXPECT_EQ(LockedBytes(), locked_before);
  }
  ASSERT_EQ(setrlimit(RLIMIT_MEMLOCK, &before), 0);
}

TEST(HostSource, LeavesPageableMemoryAlone) {
  FakeDevice device;
  auto source = MakeHostSource({.tier = Tier::kPageable, .capacity = MiB(8), .device = &device}).value();
  ASSERT_TRUE(source->Grow(MiB(8)).ok());
  EXPECT_EQ(ResidentPages(source->base(), MiB(8)), 0u);
  EXPECT_EQ(source->locked(), 0u);
  EXPECT_THAT(device.pinned, IsEmpty());
  source->base()[0] = std::byte{1};
  EXPECT_EQ(ResidentPages(source->base(), PageBytes()), 1u);
}

TEST(HostSource, GivesMemoryBackWhenItShrinks) {
  auto source = MakeHostSource({.tier = Tier::kPinned, .capacity = MiB(8)}).value();
  ASSERT_TRUE(source->Grow(MiB(4)).ok());
  std::byte* base = source->base();
  ASSERT_EQ(source->Shrink(MiB(4)).value(), MiB(4));
  EXPECT_EQ(ResidentPages(base, MiB(4)), 0u);
  ASSERT_TRUE(source->Grow(MiB(8)).ok());
  EXPECT_EQ(source->base(), base);
  EXPECT_EQ(base[0], std::byte{0});
}

TEST(HostSource, FailsAndGivesBackWhereTheDeviceCannotRegister) {
  FakeDevice device;
  auto source = MakeHostSource({.tier = Tier::kPinned, .capacity = MiB(8), .device = &device}).value();
  device.pin_fails = true;
  EXPECT_EQ(source->Grow(MiB(4)).code(), StatusCode::kUnavailable);
  EXPECT_EQ(source->grown(), 0u);
  EXPECT_EQ(ResidentPages(source->base(), MiB(4)), 0u);
  device.pin_fails = false;
  EXPECT_TRUE(source->Grow(MiB(8)).ok());
}

TEST(HostSource, RefusesBadArgumentsWithALineThatNamesThem) {
  EXPECT_THAT(MakeHostSource({.tier = Tier::kPinned, .capacity = MiB(1), .numa_node = 4000}).status().ToString(),
              HasSubstr("INVALID_ARGUMENT: NUMA node 4000: the highest of this machine is"));
  EXPECT_THAT(MakeHostSource({.tier = Tier::kPinned, .capacity = std::uint64_t{1} << 50}).status().ToString(),
              HasSubstr("RESOURCE_EXHAUSTED: pinned memory 1 PiB"));
  EXPECT_THAT(MakeHostSource({.tier = Tier::kPageable, .capacity = ~std::uint64_t{0}}).status().ToString(),
              HasSubstr("RESOURCE_EXHAUSTED: pageable memory"));
  EXPECT_EQ(MakeHostSource({.tier = Tier::kDevice, .capacity = MiB(1)}).status().code(), StatusCode::kInvalidArgument);
  auto source = MakeHostSource({.tier = Tier::kPageable, .capacity = MiB(1)}).value();
  EXPECT_EQ(source->Grow(0).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(source->Grow(100).code(), StatusCode::kInvalidArgument);
}

TEST(HostSource, UnderAPoolKeepsToItsCapacity) {
  FakeDevice device;
  BlockPool pool({.source = MakeHostSource({.tier = Tier::kPinned, .capacity = MiB(3), .device = &device}).value(),
                  .device = &device});
  const Stream stream{0, 1};
  EXPECT_EQ(pool.tier(), Tier::kPinned);
  void* first = pool.Allocate(MiB(1), stream).value();
  void* second = pool.Allocate(MiB(2), stream).value();
  EXPECT_FALSE(pool.Allocate(1, stream).ok());
  EXPECT_EQ(pool.statistics().reserved, MiB(3)) << "locked and asked are equal";
  EXPECT_EQ(static_cast<std::byte*>(second) - static_cast<std::byte*>(first), static_cast<std::ptrdiff_t>(MiB(1)));
  pool.Free(second, {stream});
  pool.Free(first, {stream});
  EXPECT_EQ(pool.Trim(), MiB(3));
  EXPECT_THAT(device.pinned, IsEmpty());
  EXPECT_EQ(pool.statistics().locked, 0u);
}

using HostSourceDeathTest = testing::Test;

TEST(HostSourceDeathTest, HasNoBytesWithShapeOnly) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  auto source = MakeHostSource({.tier = Tier::kPinned, .capacity = GiB(256), .shape_only = true}).value();
  ASSERT_TRUE(source->Grow(GiB(200)).ok());
  EXPECT_EQ(source->locked(), 0u);
  auto* bytes = reinterpret_cast<volatile std::uint8_t*>(source->base());
  EXPECT_DEATH(bytes[0] = 1, "");
}

}  // namespace
}  // namespace tierlib
