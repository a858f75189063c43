// Memory that belongs to the program: adopted storages with keepalives, and reloads from the program's own allocator.
// tierlib may touch a block until it dropped the keepalive, and never after.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kSize = 4096;

Bytes Pattern(std::uint64_t seed, std::uint64_t count = kSize) {
  Random random(seed);
  return RandomBytes(random, count);
}

// --- keepalives
// -------------------------------------------------------------------------------------------------------

TEST(ForeignMemory, IsLetGoOnceTheCopyEndedAndComesBack) {
  for (const OffloadMode mode : {OffloadMode::kNaive, OffloadMode::kMarshal}) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      Program p(DeterministicOptions(seed, mode), /*with_memory=*/true);
      Adopted x = Adopt(p, Pattern(1));
      Saved saved = p.Pack(x.storage, WholeOf(kSize), x.memory);
      EXPECT_EQ(x.memory.use_count(), 2) << "the copy holds a reference of its own";
      p.Retire(x.storage);
      x.memory.reset();
      ASSERT_TRUE(p.runtime->Drain().ok());
      EXPECT_EQ(p.memory->blocks(), 0u) << "the copy is on the host";
      EXPECT_EQ(p.Unpack(saved), Pattern(1)) << "seed " << seed;
      saved = Saved();
      EXPECT_EQ(p.runtime->statistics().pinned.live, 0u);
    }
  }
}

TEST(ForeignMemory, StaysWithAValueThatStaysOnTheDevice) {
  Program p(DeterministicOptions(1, OffloadMode::kOff), /*with_memory=*/true);
  Adopted x = Adopt(p, Pattern(1));
  Saved saved = p.Pack(x.storage, WholeOf(kSize), x.memory);
  p.Retire(x.storage);
  x.memory.reset();
  EXPECT_EQ(p.memory->blocks(), 1u);
  EXPECT_EQ(p.Unpack(saved), Pattern(1));
  saved = Saved();
  ASSERT_TRUE(p.runtime->Drain().ok());
  EXPECT_EQ(p.memory->blocks(), 0u);
}

// As in a framework whose tensors retire their storage when their last reference goes, which may be tierlib's.
TEST(ForeignMemory, AKeepaliveMayCallTheRuntime) {
  for (const OffloadMode mode : {OffloadMode::kOff, OffloadMode::kNaive, OffloadMode::kMarshal}) {
    Program p(DeterministicOptions(1, mode), /*with_memory=*/true);
    int retired = 0;
    const Keepalive memory = p.TakeMemory(kSize);
    p.Write(memory.get(), Pattern(1), p.compute());
    const StorageId id = p.runtime->Register(memory.get(), kSize, 0, Holds::kTransient, "x").value();
    Keepalive tensor(memory.get(), [&p, &retired, id, memory](void*) {
      EXPECT_TRUE(p.runtime->Retire(id, p.compute()).ok());
      (void)p.runtime->statistics();
      ++retired;
    });
    Saved saved = p.Pack(id, WholeOf(kSize), tensor);
    tensor.reset();
    ASSERT_TRUE(p.runtime->Drain().ok());
    EXPECT_EQ(retired, mode == OffloadMode::kOff ? 0 : 1);
    EXPECT_EQ(p.Unpack(saved), Pattern(1));
    saved = Saved();
    ASSERT_TRUE(p.runtime->Drain().ok());
    EXPECT_EQ(retired, 1);
  }
}

// The value comes back before its copy out is known to have ended; then the last reference on the program's bytes goes.
TEST(ForeignMemory, AValueReloadedEarlySurvivesItsOriginal) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Program p(DeterministicOptions(seed), /*with_memory=*/true);
    Adopted x = Adopt(p, Pattern(1));
    const Saved saved = p.Pack(x.storage, WholeOf(kSize), x.memory);
    const Loaded first = p.runtime->Unpack(saved, p.compute()).value();
    x.memory.reset();
    p.Retire(x.storage);
    ASSERT_TRUE(p.runtime->Drain().ok());
    EXPECT_EQ(p.Read(first, p.compute()), Pattern(1)) << "seed " << seed;
    EXPECT_EQ(p.Unpack(saved), Pattern(1)) << "seed " << seed;
  }
}

// --- whoever reads the memory
// ------------------------------------------------------------------------------------------

Layout Transposed() {
  Layout layout;
  layout.dtype = DType::kU8;
  layout.sizes = {64, 64};
  layout.strides = {1, 64};
  return layout;
}

// Naive copies of a strided view are gathered first, by a kernel on the stream of the pack: the program's own order is
// enough, and its memory comes back at once.
TEST(ForeignMemory, IsLetGoOnceANaiveCopyIsGathered) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Program p(DeterministicOptions(seed, OffloadMode::kNaive), /*with_memory=*/true);
    Adopted x = Adopt(p, Pattern(1));
    const Saved saved = p.Pack(x.storage, Transposed(), std::move(x.memory));
    EXPECT_EQ(p.memory->blocks(), 0u);
    p.Retire(x.storage);
    EXPECT_EQ(p.Unpack(saved), ElementsOf(Pattern(1).data(), Transposed())) << "seed " << seed;
  }
}

// A lease on bytes that never moved: they stay for the work enqueued before it was dropped.
TEST(ForeignMemory, IsKeptForTheReadersOfALease) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Program p(DeterministicOptions(seed, OffloadMode::kOff), /*with_memory=*/true);
    Adopted x = Adopt(p, Pattern(1));
    Saved saved = p.Pack(x.storage, WholeOf(kSize), std::move(x.memory));
    p.Retire(x.storage);
    Loaded loaded = p.runtime->Unpack(saved, p.other()).value();
    auto seen = std::make_shared<Bytes>();
    LaunchUnseen(p, loaded, kSize, seen);
    saved = Saved();
    loaded = Loaded();
    ASSERT_TRUE(p.runtime->Synchronize(p.other()).ok());
    ASSERT_EQ(*seen, Pattern(1)) << "seed " << seed;
    ASSERT_TRUE(p.runtime->Drain().ok());
    EXPECT_EQ(p.memory->blocks(), 0u);
  }
}

TEST(ForeignMemory, IsKeptForReplaysThatReadIt) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Program p(DeterministicOptions(seed, OffloadMode::kMarshal, OffloadPolicy::kFit), /*with_memory=*/true);
    Adopted x = Adopt(p, Pattern(1));
    Adopted y = Adopt(p, Pattern(1));
    ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy()).ok());
    Saved sy = p.Pack(y.storage, WholeOf(kSize), std::move(y.memory));
    Saved sx = p.Pack(x.storage, WholeOf(kSize), std::move(x.memory));
    p.Retire(x.storage);
    p.Retire(y.storage);
    ASSERT_EQ(p.runtime->Reclaim(0, 1).value(), kSize);
    ASSERT_EQ(p.ledger().avoided_lineage, kSize) << "y, saved first, is to be made again from x";
    const Loaded loaded = p.runtime->Unpack(sy, p.other()).value();
    auto seen = std::make_shared<Bytes>();
    LaunchUnseen(p, loaded, kSize, seen);
    sx = Saved();
    sy = Saved();  // drops x as well, whose bytes the replay may not have read yet
    ASSERT_TRUE(p.runtime->Synchronize(p.other()).ok());
    ASSERT_EQ(*seen, Pattern(1)) << "seed " << seed;
    ASSERT_TRUE(p.runtime->Drain().ok());
    EXPECT_EQ(p.memory->blocks(), 0u);
  }
}

// --- the ledger
// -----------------------------------------------------------------------------------------------------

TEST(ForeignMemory, IsBookedAsFreedOnce) {
  for (const bool retire_first : {false, true}) {
    for (const bool replayable : {false, true}) {
      Program p(DeterministicOptions(1, OffloadMode::kMarshal, OffloadPolicy::kFit), /*with_memory=*/true);
      const Allocation source = p.Make(Pattern(1), Holds::kPersistent);
      Adopted x = Adopt(p, Pattern(1));
      if (replayable) {
        const View from{source.storage, WholeOf(kSize)};
        ASSERT_TRUE(p.runtime->Derive({x.storage, WholeOf(kSize)}, from, Replay::Copy()).ok());
      }
      const Saved saved = p.Pack(x.storage, WholeOf(kSize), std::move(x.memory));
      if (retire_first) p.Retire(x.storage);
      ASSERT_TRUE(p.runtime->Reclaim(0, kSize).ok());
      ASSERT_TRUE(p.runtime->Drain().ok());
      if (!retire_first) p.Retire(x.storage);
      EXPECT_EQ(p.memory->blocks(), 0u);
      EXPECT_EQ(p.ledger().freed, kSize) << retire_first << replayable;
      EXPECT_EQ(p.Unpack(saved), Pattern(1));
      ASSERT_TRUE(p.runtime->Reclaim(0, kSize).ok());
      EXPECT_EQ(p.ledger().freed, kSize) << "what came back frees nothing of its own";
    }
  }
}

// --- views saved one after another
// ------------------------------------------------------------------------------------

// The first view was reloaded into a block of its own size; the second lies outside of it.
TEST(ForeignMemory, AViewSavedAfterAReloadOfAnotherComesBackWhole) {
  for (const OffloadPolicy policy : {OffloadPolicy::kAll, OffloadPolicy::kFit}) {
    Program p(DeterministicOptions(1, OffloadMode::kMarshal, policy), /*with_memory=*/true);
    Adopted x = Adopt(p, Pattern(1));
    const Saved low = p.Pack(x.storage, PartOf(0, 64), x.memory);
    ASSERT_TRUE(p.runtime->Reclaim(0, 1).ok());
    ASSERT_TRUE(p.runtime->Drain().ok());
    EXPECT_EQ(p.Unpack(low), Slice(Pattern(1), 0, 64));
    const Saved high = p.Pack(x.storage, PartOf(kSize - 64, kSize), x.memory);
    EXPECT_EQ(p.Unpack(high), Slice(Pattern(1), kSize - 64, kSize));
    ASSERT_TRUE(p.runtime->Reclaim(0, MiB(1)).ok());
    ASSERT_TRUE(p.runtime->Drain().ok());
    p.Retire(x.storage);
    x.memory.reset();
    EXPECT_EQ(p.Unpack(high), Slice(Pattern(1), kSize - 64, kSize));
    EXPECT_EQ(p.Unpack(low), Slice(Pattern(1), 0, 64));
  }
}

// --- the program's allocator
// ------------------------------------------------------------------------------------------

struct CountingAllocator {
  std::shared_ptr<DeviceAllocator> Make() {
    auto allocator = std::make_shared<DeviceAllocator>();
    allocator->allocate = [this](std::size_t bytes, Stream) -> void* {
      if (before != nullptr) before();
      void* data = memory == nullptr || live + bytes > limit ? nullptr : memory->Take(bytes);
      if (data == nullptr) return nullptr;
      live += bytes;
      ++allocations;
      return data;
    };
    allocator->deallocate = [this](void* data, std::size_t bytes, Stream) {
      memory->Give(data, bytes);
      live -= bytes;
      ++frees;
    };
    return allocator;
  }
  ProgramMemory* memory = nullptr;
  std::function<void()> before;
  std::size_t limit = MiB(1);
  std::size_t live = 0;
  int allocations = 0;
  int frees = 0;
};

TEST(ForeignMemory, ReloadsComeFromTheProgramsAllocatorAndGoBackToIt) {
  for (const OffloadMode mode : {OffloadMode::kNaive, OffloadMode::kMarshal}) {
    CountingAllocator counting;
    Options options = DeterministicOptions(1, mode);
    options.devices[0].allocator = counting.Make();
    Program p(options, /*with_memory=*/true);
    counting.memory = p.memory.get();
    const Allocation x = p.Make(Pattern(1));
    Saved saved = p.Pack(x.storage, WholeOf(kSize));
    p.Retire(x.storage);
    const std::uint64_t before = p.runtime->statistics().device.live;
    Loaded loaded = p.runtime->Unpack(saved, p.compute()).value();
    EXPECT_EQ(counting.live, kSize);
    EXPECT_EQ(p.runtime->statistics().device.live, before) << "none from tierlib's own pool";
    EXPECT_EQ(p.Read(loaded, p.compute()), Pattern(1));
    loaded = Loaded();
    saved = Saved();
    ASSERT_TRUE(p.runtime->Drain().ok());
    EXPECT_EQ(counting.live, 0u);
    EXPECT_EQ(counting.allocations, 1);
    EXPECT_EQ(counting.frees, 1);
  }
}

TEST(ForeignMemory, AFullAllocatorGetsReloadsBackOrSaysNo) {
  CountingAllocator counting;
  counting.limit = 2 * kSize;
  Options options = DeterministicOptions(1);
  options.devices[0].allocator = counting.Make();
  Program p(options, /*with_memory=*/true);
  counting.memory = p.memory.get();
  std::vector<Saved> saved;
  for (std::uint64_t i = 0; i < 4; ++i) {
    const Allocation x = p.Make(Pattern(i));
    saved.push_back(p.Pack(x.storage, WholeOf(kSize)));
    p.Retire(x.storage);
  }
  for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(p.Unpack(saved[i]), Pattern(i));
  ASSERT_TRUE(p.runtime->Drain().ok());
  const Loaded first = p.runtime->Unpack(saved[0], p.compute()).value();
  const Loaded second = p.runtime->Unpack(saved[1], p.compute()).value();
  const Status full = p.runtime->Unpack(saved[2], p.compute()).status();
  EXPECT_EQ(full.code(), StatusCode::kResourceExhausted);
  EXPECT_NE(full.message().find("the program's device allocator has no 4 KiB"), std::string_view::npos) << full;
  EXPECT_EQ(p.Read(second, p.compute()), Pattern(1));
}

TEST(ForeignMemory, AnAllocatorMayReclaimWhileTierlibAsksIt) {
  CountingAllocator counting;
  Options options = DeterministicOptions(1, OffloadMode::kMarshal, OffloadPolicy::kFit);
  options.devices[0].allocator = counting.Make();
  Program p(options, /*with_memory=*/true);
  counting.memory = p.memory.get();
  counting.before = [&p] {
    EXPECT_TRUE(p.runtime->Reclaim(0, MiB(1)).ok());
    EXPECT_TRUE(p.runtime->Drain().ok());
  };
  std::vector<Saved> saved;
  for (std::uint64_t i = 0; i < 4; ++i) {
    Adopted x = Adopt(p, Pattern(i));
    saved.push_back(p.Pack(x.storage, WholeOf(kSize), std::move(x.memory)));
    p.Retire(x.storage);
  }
  ASSERT_TRUE(p.runtime->Reclaim(0, 2 * kSize).ok());
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t i = 4; i-- > 0;) EXPECT_EQ(p.Unpack(saved[i]), Pattern(i));
  }
  saved.clear();
  ASSERT_TRUE(p.runtime->Drain().ok());
  EXPECT_EQ(counting.live, 0u);
  EXPECT_EQ(p.memory->blocks(), 0u);
}

// A block is given back in stream order: it may go to the next reload while its own copy is still on its way.
TEST(ForeignMemory, AFullAllocatorGetsABlockBackWhoseCopyIsInFlight) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CountingAllocator counting;
    counting.limit = kSize;
    Options options = DeterministicOptions(seed);
    options.devices[0].allocator = counting.Make();
    Program p(options, /*with_memory=*/true);
    counting.memory = p.memory.get();
    // As a caching allocator: what uses the block next comes after the work on the stream it was given back on.
    const EventId given_back = p.device->CreateEvent().value();
    const auto allocate = options.devices[0].allocator->allocate;
    options.devices[0].allocator->allocate = [&](std::size_t bytes, Stream stream) {
      EXPECT_TRUE(p.device->WaitEvent(stream, given_back).ok());
      return allocate(bytes, stream);
    };
    const auto deallocate = options.devices[0].allocator->deallocate;
    options.devices[0].allocator->deallocate = [&](void* data, std::size_t bytes, Stream stream) {
      EXPECT_TRUE(p.device->RecordEvent(given_back, stream).ok());
      deallocate(data, bytes, stream);
    };
    std::vector<Saved> saved;
    for (std::uint64_t i = 0; i < 4; ++i) {
      const Allocation x = p.Make(Pattern(i));
      saved.push_back(p.Pack(x.storage, WholeOf(kSize)));
      p.Retire(x.storage);
    }
    std::vector<std::shared_ptr<Bytes>> seen;
    for (std::uint64_t i = 0; i < 4; ++i) {
      const StatusOr<Loaded> loaded = p.runtime->Unpack(saved[i], p.compute());
      ASSERT_TRUE(loaded.ok()) << "seed " << seed << ": " << loaded.status();
      seen.push_back(p.ReadLater(*loaded, p.compute()));
    }
    ASSERT_TRUE(p.runtime->Synchronize(p.compute()).ok());
    for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(*seen[i], Pattern(i)) << "seed " << seed;
    saved.clear();
    ASSERT_TRUE(p.runtime->Drain().ok());
    p.runtime.reset();
  }
}

// No time at all to shut down in: the copies are still waited for, and what belongs to the program goes back to it.
TEST(ForeignMemory, GoesBackToTheProgramWhateverTheShutdownDeadlineIs) {
  CountingAllocator counting;
  int kept = 0;
  alignas(256) static std::uint8_t memory[2 * kSize];
  {
    Options options = DeterministicOptions(1);
    options.devices[0].emulated.schedule = EmulatedSchedule::kThreaded;
    options.devices[0].emulated.copy_out_bytes_per_s = 40'000;  // 4 KiB take 0.1 s
    options.shutdown_deadline_ns = 0;
    auto allocator = std::make_shared<DeviceAllocator>();
    allocator->allocate = [&](std::size_t, Stream) -> void* {
      ++counting.allocations;
      return memory + kSize;
    };
    allocator->deallocate = [&](void*, std::size_t, Stream) { ++counting.frees; };
    options.devices[0].allocator = allocator;
    std::unique_ptr<Runtime> runtime = Runtime::Create(options).value();
    const Stream stream = runtime->CreateStream(0, "s").value();
    const StorageId id = runtime->Register(memory, kSize, 0, Holds::kTransient, "x").value();
    ++kept;
    const Saved saved =
        runtime->Pack({id, WholeOf(kSize)}, Keepalive(memory, [&](void*) { --kept; }), stream, "x").value();
    const Loaded loaded = runtime->Unpack(saved, stream).value();
    runtime.reset();
  }
  EXPECT_EQ(kept, 0);
  EXPECT_EQ(counting.allocations, 1);
  EXPECT_EQ(counting.frees, 1);
}

}  // namespace
}  // namespace tierlib
