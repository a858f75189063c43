// Memory that goes back to the system, and comes again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/device_factory.h"
#include "allocator/fake_device.h"
#include "allocator/growth_ahead.h"
#include "allocator/memory_source.h"
#include "allocator/piece_list.h"
#include "base/random.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

const Stream kStream{0, 1};
const Stream kOther{0, 2};

std::size_t ResidentBytes(const void* base, std::size_t bytes) {
  std::vector<unsigned char> pages(bytes / PageBytes());
  EXPECT_EQ(mincore(const_cast<void*>(base), bytes, pages.data()), 0);
  std::size_t resident = 0;
  for (const unsigned char page : pages) resident += (page & 1) * PageBytes();
  return resident;
}

std::unique_ptr<BlockPool> MakePool(FakeDevice& device, std::unique_ptr<MemorySource> source, CacheBounds cache = {}) {
  BlockPool::Options options;
  options.cache = cache;
  options.source = std::move(source);
  options.device = &device;
  return std::make_unique<BlockPool>(std::move(options));
}

std::unique_ptr<MemorySource> HostMemory(FakeDevice& device, std::uint64_t capacity, Tier tier = Tier::kPinned) {
  return MakeHostSource({.tier = tier, .capacity = capacity, .device = &device}).value();
}

void ExpectBooked(BlockPool& pool) {
  const TierStatistics now = pool.Snapshot();
  EXPECT_EQ(now.live + now.waste + now.cached + now.pending, now.reserved);
  pool.CheckInvariants();
}

TEST(PieceList, GivesBackNoPartOfAHugePage) {
  PieceList pieces(100);
  for (const std::size_t bytes : {100, 50, 30, 20, 100, 60}) pieces.Append(bytes, bytes / 10);
  EXPECT_EQ(pieces.grown(), 360u);
  EXPECT_EQ(pieces.locked(), 36u);
  const auto within = [&](std::size_t offset, std::size_t bytes) {
    const auto some = pieces.Within(offset, bytes);
    return some.empty() ? std::pair<std::size_t, std::size_t>(0, 0) : std::pair(some.front().offset, some.back().end());
  };
  using Range = std::pair<std::size_t, std::size_t>;
  EXPECT_EQ(within(0, 360), Range(0, 360));
  EXPECT_EQ(within(90, 240), Range(100, 300)) << "the last piece does not lie within";
  EXPECT_EQ(within(110, 190), Range(200, 300)) << "of [100, 200) something is missing";
  EXPECT_EQ(within(100, 90), Range(0, 0));
  EXPECT_EQ(within(200, 160), Range(200, 360)) << "the end of the segment is a border";
  EXPECT_EQ(pieces.Overlapping(149, 2).size(), 2u);
  pieces.MarkAbsent(pieces.Within(200, 100).front());
  EXPECT_EQ(pieces.absent(), 100u);
  EXPECT_EQ(pieces.locked(), 26u);
  EXPECT_EQ(pieces.AbsentIn(0, 250), 50u);
  EXPECT_EQ(pieces.AbsentIn(290, 50), 10u);
  pieces.RemoveLast();
  pieces.RemoveLast();
  EXPECT_EQ(pieces.absent(), 0u);
  EXPECT_EQ(pieces.locked(), 20u);
}

TEST(GiveBack, PiecesBetweenLiveBlocksGoAndComeAgain) {
  FakeDevice device;
  auto pool = MakePool(device, HostMemory(device, MiB(32)));
  std::vector<void*> blocks;
  for (int i = 0; i < 8; ++i) blocks.push_back(pool->Allocate(MiB(2), kStream).value());
  for (int i = 0; i < 8; ++i) std::memset(blocks[i], i + 1, MiB(2));
  for (const int i : {1, 2, 5}) pool->Free(blocks[i], {kStream});
  device.pending.clear();
  const std::size_t locked = pool->statistics().locked;
  EXPECT_EQ(pool->Snapshot().scattered, MiB(2)) << "the smaller of two ranges";
  EXPECT_EQ(pool->Trim(), MiB(6));
  ExpectBooked(*pool);
  EXPECT_EQ(pool->statistics().reserved, MiB(10));
  EXPECT_LE(pool->statistics().locked, locked);
  EXPECT_EQ(pool->Snapshot().cached, 0u);
  EXPECT_EQ(ResidentBytes(blocks[0], MiB(16)), MiB(10));
  EXPECT_EQ(device.pinned.size(), 5u) << "what goes is not registered any more";
  EXPECT_EQ(pool->Trim(), 0u);
  for (const int i : {0, 3, 4, 6, 7}) {
    const auto* bytes = static_cast<const std::uint8_t*>(blocks[i]);
    EXPECT_TRUE(bytes[0] == i + 1 && bytes[MiB(2) - 1] == i + 1) << "a neighbour keeps its bytes";
  }
  void* small = pool->Allocate(KiB(4), kOther).value();
  EXPECT_EQ(small, blocks[1]) << "addresses do not depend on what was given back";
  std::memset(small, 1, KiB(4));
  EXPECT_EQ(pool->statistics().reserved, MiB(12)) << "one piece came again";
  EXPECT_EQ(pool->Snapshot().cached, MiB(2) - KiB(4));
  EXPECT_EQ(pool->Snapshot().scattered, 0u) << "what has no memory behind it counts for no range";
  EXPECT_EQ(device.pinned.size(), 6u);
  ExpectBooked(*pool);
  pool->Free(small, {kOther});
  for (const int i : {0, 3, 4, 6, 7}) pool->Free(blocks[i], {kStream});
  EXPECT_EQ(pool->Trim(), MiB(12));
  EXPECT_EQ(pool->statistics().reserved, 0u);
  EXPECT_EQ(pool->statistics().locked, 0u);
  EXPECT_TRUE(device.pinned.empty());
  ExpectBooked(*pool);
}

TEST(GiveBack, DeviceMemoryBetweenLiveBlocksGoesAndComesAgain) {
  DeviceOptions emulated;
  emulated.capacity = MiB(32);
  emulated.emulated.kernel_threads = 1;
  emulated.emulated.poison = true;
  const std::unique_ptr<DeviceBackend> device = MakeDevice(emulated).value();
  const Stream stream = device->CreateStream("stream").value();
  BlockPool::Options options;
  options.source = MakeDeviceSource(*device).value();
  options.device = device.get();
  BlockPool pool(std::move(options));
  std::vector<void*> blocks;
  for (int i = 0; i < 8; ++i) blocks.push_back(pool.Allocate(MiB(2), stream).value());
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(device->Fill(blocks[i], static_cast<std::uint8_t>(i + 1), MiB(2), stream).ok());
  }
  for (const int i : {1, 2, 5}) pool.Free(blocks[i], {stream});
  EXPECT_EQ(pool.Trim(), MiB(6)) << "the middle of the range";
  ExpectBooked(pool);
  EXPECT_EQ(pool.statistics().reserved, MiB(10));
  EXPECT_EQ(pool.Snapshot().cached, 0u);
  EXPECT_EQ(pool.Trim(), 0u);
  void* const behind = pool.Allocate(MiB(6), stream).value();
  EXPECT_EQ(behind, static_cast<std::byte*>(blocks[7]) + MiB(2)) << "growth follows the end, not the gaps";
  void* const small = pool.Allocate(KiB(4), stream).value();
  EXPECT_EQ(small, blocks[1]) << "addresses do not depend on what was given back";
  EXPECT_EQ(pool.statistics().reserved, MiB(18)) << "one piece came again";
  ASSERT_TRUE(device->Fill(small, 9, KiB(4), stream).ok());
  ASSERT_TRUE(device->Synchronize().ok());
  for (const int i : {0, 3, 4, 6, 7}) {
    const auto* bytes = static_cast<const std::uint8_t*>(blocks[i]);
    EXPECT_TRUE(bytes[0] == i + 1 && bytes[MiB(2) - 1] == i + 1) << "a neighbour keeps its bytes";
  }
  ExpectBooked(pool);
  for (void* const block : {behind, small}) pool.Free(block, {stream});
  for (const int i : {0, 3, 4, 6, 7}) pool.Free(blocks[i], {stream});
  EXPECT_EQ(pool.Trim(), MiB(18));
  EXPECT_EQ(pool.statistics().reserved, 0u);
  ExpectBooked(pool);
}

TEST(GiveBack, GivesNoMoreThanAskedButForTheLastPiece) {
  FakeDevice device;
  auto pool = MakePool(device, HostMemory(device, MiB(64), Tier::kPageable));
  std::vector<void*> blocks;
  for (int i = 0; i < 16; ++i) blocks.push_back(pool->Allocate(MiB(2), kStream).value());
  for (int i = 0; i < 16; ++i) {
    if (i != 0 && i != 8) pool->Free(blocks[i], {kStream});
  }
  EXPECT_EQ(pool->Trim(0), 0u);
  EXPECT_EQ(pool->Trim(1), MiB(2)) << "a piece is the least";
  EXPECT_EQ(pool->Trim(MiB(4)), MiB(4));
  EXPECT_EQ(pool->statistics().reserved, MiB(26));
  EXPECT_EQ(pool->Trim(MiB(12)), MiB(12)) << "of which 4 MiB from between live blocks";
  EXPECT_EQ(pool->statistics().reserved, MiB(14));
  EXPECT_EQ(pool->Trim(), MiB(10));
  ExpectBooked(*pool);
  pool->Free(blocks[0], {kStream});
  pool->Free(blocks[8], {kStream});
}

TEST(GiveBack, KeepsWithinABoundOfBytesAndWaitsForNoWork) {
  FakeDevice device;
  auto pool = MakePool(device, HostMemory(device, MiB(32)), {.bytes = MiB(4)});
  void* low = pool->Allocate(MiB(8), kStream).value();
  void* high = pool->Allocate(MiB(8), kStream).value();
  pool->Free(high, {kStream});
  pool->Tick(kStream);  // an event that is pending
  EXPECT_EQ(pool->TrimToBounds(0), 0u) << "work may still use it";
  device.pending.clear();
  EXPECT_EQ(pool->TrimToBounds(0), MiB(8)) << "it is one piece";
  EXPECT_EQ(pool->TrimToBounds(0), 0u);
  ExpectBooked(*pool);
  pool->Free(low, {kStream});
  EXPECT_EQ(MakePool(device, HostMemory(device, MiB(32)))->TrimToBounds(1 << 30), 0u) << "no bounds";
}

TEST(GiveBack, WhatWasNotUsedForItsAgeGoes) {
  FakeDevice device;
  auto pool = MakePool(device, HostMemory(device, MiB(64)), {.age_ns = 100});
  const auto step = [&](int count) {  // takes and frees the lowest blocks, as a step does
    std::vector<void*> taken;
    for (int i = 0; i < count; ++i) taken.push_back(pool->Allocate(MiB(2), kStream).value());
    for (void* block : taken) pool->Free(block, {kStream});
  };
  void* low = pool->Allocate(MiB(2), kStream).value();
  step(6);
  EXPECT_EQ(pool->TrimToBounds(1000), 0u) << "nobody looked before";
  step(2);
  pool->Tick(kStream);
  EXPECT_EQ(pool->TrimToBounds(1099), 0u) << "not old enough";
  EXPECT_EQ(pool->TrimToBounds(1100), 0u) << "what was enqueued before the first look may still run";
  device.pending.clear();
  step(2);
  pool->Tick(kStream);
  EXPECT_EQ(pool->TrimToBounds(1101), MiB(8)) << "all but what was used since; later work does not matter";
  EXPECT_EQ(pool->statistics().reserved, MiB(6));
  ExpectBooked(*pool);
  device.pending.clear();
  std::vector<void*> blocks;
  for (int i = 0; i < 4; ++i) blocks.push_back(pool->Allocate(MiB(2), kStream).value());
  pool->Free(blocks[1], {kStream});
  pool->Free(blocks[2], {kStream});
  device.pending.clear();
  EXPECT_EQ(pool->TrimToBounds(1201), 0u);
  device.pending.clear();
  EXPECT_EQ(pool->TrimToBounds(1301), MiB(4)) << "from between live blocks";
  ExpectBooked(*pool);
  for (const int i : {0, 3}) pool->Free(blocks[i], {kStream});
  pool->Free(low, {kStream});
}

TEST(GiveBack, AWholeSegmentComesAgainWithAThreadThatGrowsAhead) {
  FakeDevice device;
  auto pool = MakePool(device, GrowAhead(HostMemory(device, MiB(48)), MiB(2)));
  Random random(7);
  struct Held {
    std::size_t bytes;
    std::uint8_t value;
  };
  std::map<std::uint8_t*, Held> held;
  std::size_t given_back = 0;
  const auto check_and_free = [&](std::map<std::uint8_t*, Held>::iterator one) {
    for (const std::size_t at : {std::size_t{0}, one->second.bytes / 2, one->second.bytes - 1}) {
      EXPECT_EQ(one->first[at], one->second.value);
    }
    pool->Free(one->first, {kStream});
    held.erase(one);
  };
  for (int round = 0; round < 4000 / TIERLIB_RANDOM_SCALE; ++round) {
    const std::uint64_t choice = random.UniformInt(16);
    if (choice == 0) {
      device.pending.clear();
      given_back += pool->Trim(random.UniformInt(2) == 0 ? random.UniformInt(MiB(8)) : MiB(64));
      ExpectBooked(*pool);
    } else if (choice < 8 && !held.empty()) {
      check_and_free(std::next(held.begin(), static_cast<std::ptrdiff_t>(random.UniformInt(held.size()))));
    } else {
      const std::size_t bytes = 1 + random.UniformInt(random.UniformInt(4) == 0 ? MiB(5) : KiB(64));
      const StatusOr<void*> block = pool->Allocate(bytes, kStream);
      if (!block.ok()) continue;
      const auto value = static_cast<std::uint8_t>(round);
      std::memset(*block, value, bytes);
      ASSERT_TRUE(held.emplace(static_cast<std::uint8_t*>(*block), Held{bytes, value}).second);
    }
  }
  while (!held.empty()) check_and_free(held.begin());
  EXPECT_GT(given_back, MiB(20) / TIERLIB_RANDOM_SCALE) << "or this tests little";
  pool->Trim();
  EXPECT_EQ(pool->statistics().reserved, 0u);
  EXPECT_EQ(pool->statistics().locked, 0u);
  EXPECT_TRUE(device.pinned.empty());
}

// Of the mappings that reach into [base, base + bytes), bytes on huge pages.
std::size_t HugeBytes(const void* base, std::size_t bytes) {
  std::ifstream maps("/proc/self/smaps");
  const auto first = reinterpret_cast<std::uintptr_t>(base);
  std::size_t huge = 0;
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    unsigned long long begin = 0;
    unsigned long long end = 0;
    unsigned long long kilobytes = 0;
    if (std::sscanf(line.c_str(), "%llx-%llx ", &begin, &end) == 2) inside = begin < first + bytes && first < end;
    if (inside && std::sscanf(line.c_str(), "AnonHugePages: %llu kB", &kilobytes) == 1) huge += kilobytes << 10;
  }
  return huge;
}

TEST(GiveBack, HugePagesOfNeighboursSurvive) {
  FakeDevice device;
  auto pool = MakePool(device, HostMemory(device, MiB(64)));
  std::vector<std::uint8_t*> blocks;
  for (int i = 0; i < 24; ++i) blocks.push_back(static_cast<std::uint8_t*>(pool->Allocate(MiB(1), kStream).value()));
  const auto huge = [&] { return HugeBytes(blocks[0], MiB(24)); };
  if (huge() < MiB(24)) GTEST_SKIP() << "this system has no huge pages for it now";
  for (int i = 5; i < 18; ++i) pool->Free(blocks[i], {kStream});
  EXPECT_EQ(pool->Trim(), MiB(12)) << "[6, 18) MiB: a huge page of which a part is live stays";
  EXPECT_EQ(huge(), MiB(12)) << "what stays is whole";
  for (int i = 0; i < 24; ++i) {
    if (i < 5 || i >= 18) pool->Free(blocks[i], {kStream});
  }
}

}  // namespace
}  // namespace tierlib
