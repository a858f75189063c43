// Options::checksums: what neither an announcement nor a version tells of is found before it is given back.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kSize = 4096;

Bytes Pattern(std::uint64_t seed) {
  Random random(seed);
  return RandomBytes(random, kSize);
}

Options CheckedOptions(std::uint64_t seed, OffloadMode mode = OffloadMode::kMarshal,
                       OffloadPolicy policy = OffloadPolicy::kAll) {
  Options options = DeterministicOptions(seed, mode, policy);
  options.checksums = true;
  return options;
}

StatusOr<Bytes> Unpack(Program& p, const Saved& saved) {
  TIERLIB_ASSIGN_OR_RETURN(const Loaded loaded, p.runtime->Unpack(saved, p.compute()));
  return p.Read(loaded, p.compute());
}

void ExpectLost(Program& p, const Saved& saved) {
  const Status status = p.runtime->Unpack(saved, p.compute()).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status;
  EXPECT_THAT(status.ToString(), HasSubstr("'saved'"));
  EXPECT_THAT(status.ToString(), HasSubstr("checksum"));
}

// The bytes that the host has of a value.
char* OnHost(const Saved& saved) { return static_cast<char*>(saved.value()->snapshot->host[0].buffer->data()); }

TEST(Checksums, AWriteIntoACopyInFlightIsFound) {
  for (const OffloadMode mode : {OffloadMode::kNaive, OffloadMode::kMarshal}) {
    int lost = 0, whole = 0;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      Program p(CheckedOptions(seed, mode));
      const Allocation x = p.Make(Pattern(1));
      const Saved saved = p.Pack(x.storage, WholeOf(kSize));
      p.Write(x.data, Pattern(2), p.compute());  // which nobody announces
      p.Retire(x.storage);
      const StatusOr<Bytes> back = Unpack(p, saved);
      if (back.ok()) {
        EXPECT_EQ(*back, Pattern(1)) << "seed " << seed;
        ++whole;
      } else {
        ExpectLost(p, saved);
        EXPECT_EQ(p.runtime->health(), back.status());
        ++lost;
      }
    }
    EXPECT_GT(lost, 0) << "some of the copies are meant to come after the write";
    EXPECT_GT(whole, 0) << "and some before it";
  }
}

// While the program's allocator runs for one, another one finds out.
TEST(Checksums, AValueMayBeFoundLostTwice) {
  Options options = CheckedOptions(1);
  std::vector<Bytes> blocks;
  blocks.reserve(8);
  Program* program = nullptr;
  const Saved* also = nullptr;
  options.devices[0].allocator = std::make_shared<DeviceAllocator>();
  options.devices[0].allocator->allocate = [&](std::size_t bytes, Stream) -> void* {
    if (const Saved* const saved = std::exchange(also, nullptr)) ExpectLost(*program, *saved);
    return blocks.emplace_back(bytes).data();
  };
  options.devices[0].allocator->deallocate = [](void*, std::size_t, Stream) {};
  Program p(options);
  program = &p;
  const Allocation x = p.Make(Pattern(1));
  const Saved saved = p.Pack(x.storage, WholeOf(kSize));
  p.Retire(x.storage);
  ASSERT_TRUE(p.runtime->Drain().ok());
  OnHost(saved)[7] ^= 1;
  also = &saved;
  ExpectLost(p, saved);
}

TEST(Checksums, WhatChangedOnTheHostIsLostAndOthersAreNot) {
  const Layout transposed{DType::kU8, {64, 64}, {1, 64}, 0};
  for (const OffloadMode mode : {OffloadMode::kNaive, OffloadMode::kMarshal}) {
    for (const Layout& layout : {WholeOf(kSize), transposed}) {
      Program p(CheckedOptions(1, mode));
      const Allocation x = p.Make(Pattern(1));
      const Allocation y = p.Make(Pattern(2));
      const Saved sx = p.Pack(x.storage, layout);
      const Saved sy = p.Pack(y.storage, layout);
      p.Retire(x.storage);
      p.Retire(y.storage);
      ASSERT_TRUE(p.runtime->Drain().ok());
      OnHost(sx)[1000] ^= 0x10;
      ExpectLost(p, sx);
      ExpectLost(p, sx);
      EXPECT_EQ(Unpack(p, sy).value(), ElementsOf(Pattern(2).data(), layout));
      EXPECT_EQ(p.runtime->health().code(), StatusCode::kDataLoss);
      ExpectBookedOnce(p.ledger());
    }
  }
}

TEST(Checksums, AStorageOfWhichAValueWasLostMayBePackedAgain) {
  Program p(CheckedOptions(1), /*with_memory=*/true);
  Adopted x = Adopt(p, Pattern(1));
  const Saved lost = p.Pack(x.storage, WholeOf(kSize), x.memory);
  ASSERT_TRUE(p.runtime->Drain().ok());
  OnHost(lost)[0] ^= 1;
  ExpectLost(p, lost);
  const Saved saved = p.Pack(x.storage, WholeOf(kSize), x.memory);
  p.Retire(x.storage);
  x.memory.reset();
  EXPECT_EQ(Unpack(p, saved).value(), Pattern(1));
  ExpectLost(p, lost);
}

// Nothing of it is copied a second time, so the host has what was there at first.
TEST(Checksums, AWriteBetweenTwoPacksThatNobodySawIsFound) {
  Program p(CheckedOptions(1));
  const Allocation x = p.Make(Pattern(1));
  const Saved first = p.Pack(x.storage, WholeOf(kSize));
  ASSERT_TRUE(p.runtime->Drain().ok());
  p.Write(x.data, Pattern(2), p.compute());
  const Saved second = p.Pack(x.storage, WholeOf(kSize));
  EXPECT_EQ(p.ledger().avoided_identity, kSize);
  p.Retire(x.storage);
  ExpectLost(p, second);
}

// The value stays on the device until memory is short, which is when it is copied.
TEST(Checksums, AWriteBeforeALateCopyIsFound) {
  for (const bool writes : {false, true}) {
    Program p(CheckedOptions(1, OffloadMode::kMarshal, OffloadPolicy::kFit));
    const Allocation x = p.Make(Pattern(1));
    const Saved saved = p.Pack(x.storage, WholeOf(kSize));
    if (writes) p.Write(x.data, Pattern(2), p.compute());
    p.Retire(x.storage);
    ASSERT_EQ(p.runtime->Reclaim(0, kSize).value(), kSize);
    if (writes) {
      ExpectLost(p, saved);
    } else {
      EXPECT_EQ(Unpack(p, saved).value(), Pattern(1));
    }
  }
}

// The replay reads the source's own bytes, which have changed. Neither was copied.
TEST(Checksums, WhatIsMadeAgainFromWrittenBytesIsFound) {
  for (const bool writes : {false, true}) {
    Program p(CheckedOptions(1));
    const Allocation x = p.Make(Pattern(1));
    const Allocation y = p.Make(Pattern(1));
    ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy()).ok());
    const Saved sx = p.Pack(x.storage, WholeOf(kSize));
    const Saved sy = p.Pack(y.storage, WholeOf(kSize));
    ASSERT_EQ(p.ledger().avoided_lineage, kSize);
    p.Retire(y.storage);
    if (writes) p.Write(x.data, Pattern(2), p.compute());
    if (writes) {
      ExpectLost(p, sy);
    } else {
      EXPECT_EQ(Unpack(p, sy).value(), Pattern(1));
    }
    EXPECT_EQ(p.ledger().replayed, kSize);
  }
}

// Pieces are copied as they are first needed, whatever ranges the values have.
TEST(Checksums, ValuesOfSeveralPiecesAreCompared) {
  for (const std::size_t changed : {0, 1, 2}) {
    Program p(CheckedOptions(1));
    const Allocation x = p.Make(Pattern(1));
    const Saved middle = p.Pack(x.storage, PartOf(1000, 2000));
    const Saved across = p.Pack(x.storage, PartOf(500, 1500));
    const Saved stripes = p.Pack(x.storage, Layout{DType::kU8, {8, 100}, {500, 1}, 0});
    p.Retire(x.storage);
    ASSERT_TRUE(p.runtime->Drain().ok());
    ASSERT_EQ(middle.value()->snapshot->host.size(), 3u);
    EXPECT_EQ(Unpack(p, across).value(), Slice(Pattern(1), 500, 1500));
    ASSERT_TRUE(p.runtime->Reclaim(0, MiB(1)).ok());
    *static_cast<char*>(middle.value()->snapshot->host[changed].buffer->data()) ^= 1;
    ExpectLost(p, middle);
    ExpectLost(p, stripes);
  }
}

// On a device whose streams run beside each other.
TEST(Checksums, StreamsAndThreadsMayPackOneStorage) {
  Options options = CheckedOptions(1);
  options.devices[0].emulated.schedule = EmulatedSchedule::kThreaded;
  Program p(options, /*with_memory=*/true);
  Adopted x = Adopt(p, Pattern(1));
  ASSERT_TRUE(p.runtime->Synchronize(p.compute()).ok());
  std::vector<std::thread> threads;
  std::vector<std::vector<Saved>> saved(3);
  for (std::size_t i = 0; i < saved.size(); ++i) {
    const Stream stream = p.runtime->CreateStream(0, "packs").value();
    threads.emplace_back([&p, &x, &mine = saved[i], stream] {
      for (int packs = 0; packs < 10; ++packs) {
        mine.push_back(p.runtime->Pack({x.storage, WholeOf(kSize)}, x.memory, stream, "saved").value());
        EXPECT_TRUE(p.runtime->Unpack(mine.front(), stream).ok());
      }
      EXPECT_TRUE(p.runtime->Synchronize(stream).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  p.Retire(x.storage);
  x.memory.reset();
  ASSERT_TRUE(p.runtime->Reclaim(0, MiB(1)).ok());
  for (const std::vector<Saved>& mine : saved) EXPECT_EQ(Unpack(p, mine.back()).value(), Pattern(1));
  EXPECT_EQ(saved[0][0].value()->snapshot->checksums.size(), saved.size()) << "one for each stream";
  ExpectBookedOnce(p.ledger());
}

TEST(Checksums, APackThatCannotTakeOneBooksNothing) {
  Options options = CheckedOptions(1);
  auto faults = std::make_shared<Faults>();
  options.devices[0].faults = faults;
  Program p(options);
  const Allocation x = p.Make(Pattern(1));
  FaultPlan plan;
  plan.call = 1;
  plan.points = {FaultPoint::kLaunch};
  faults->Arm(plan);
  const Status status = p.runtime->Pack({x.storage, WholeOf(kSize)}, nullptr, p.compute(), "refused").status();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable) << status;
  EXPECT_EQ(p.ledger().packs, 0u);
  ExpectBookedOnce(p.ledger());
  const Saved saved = p.Pack(x.storage, WholeOf(kSize));
  p.Retire(x.storage);
  EXPECT_EQ(Unpack(p, saved).value(), Pattern(1));
}

TEST(Checksums, NoneIsTakenUnlessAskedForAndNoneOfWhatStays) {
  const auto launches = [](const Options& asked, Holds holds) {
    Options options = asked;
    auto faults = std::make_shared<Faults>();
    options.devices[0].faults = faults;
    Program p(options);
    const Allocation x = p.Make(Pattern(1), holds);
    const std::uint64_t before = faults->calls(FaultPoint::kLaunch);
    const Saved saved = p.Pack(x.storage, WholeOf(kSize));
    return faults->calls(FaultPoint::kLaunch) - before;
  };
  Options plain = DeterministicOptions(1);
  plain.devices[0].emulated.poison = false;  // whose fills are launches too
  Options checked = plain;
  checked.checksums = true;
  EXPECT_EQ(launches(plain, Holds::kTransient), 0u);
  EXPECT_EQ(launches(checked, Holds::kTransient), 1u);
  EXPECT_EQ(launches(checked, Holds::kPersistent), 0u);
  checked.mode = OffloadMode::kOff;
  EXPECT_EQ(launches(checked, Holds::kTransient), 0u);
}

}  // namespace
}  // namespace tierlib
