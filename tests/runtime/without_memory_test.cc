// What a runtime does where the host has no memory for figures and for handing blocks back.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/no_memory.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kSize = 4096;

TEST(WithoutMemory, FiguresAreEmpty) {
  Program p(DeterministicOptions(1));
  const Allocation x = p.Make(Bytes(kSize, 1));
  ASSERT_FALSE(p.runtime->Allocate(MiB(64), Holds::kTransient, p.compute(), "large").ok());
  Statistics statistics;
  std::optional<Shortage> shortage;
  {
    const NoMemory none;
    statistics = p.runtime->statistics();
    shortage = p.runtime->LastShortage(0);
  }
  EXPECT_EQ(statistics.device.capacity, 0u);
  EXPECT_TRUE(statistics.times.empty());
  EXPECT_FALSE(shortage.has_value());
  EXPECT_EQ(p.runtime->statistics().device.capacity, MiB(4));
  EXPECT_TRUE(p.runtime->LastShortage(0).has_value());
  p.Retire(x.storage);
}

// Handles that are dropped give their blocks back, of the device and of the host.
TEST(WithoutMemory, HandlesMayBeDropped) {
  Program p(DeterministicOptions(1));
  const Allocation x = p.Make(Bytes(kSize, 1));
  const Allocation y = p.Make(Bytes(kSize, 2));
  std::optional<Saved> saved = p.Pack(x.storage, WholeOf(kSize));
  std::optional<Saved> lost = p.Pack(y.storage, WholeOf(kSize));
  p.Retire(x.storage);
  p.Retire(y.storage);
  ASSERT_TRUE(p.runtime->Drain().ok());
  std::optional<Loaded> loaded = p.runtime->Unpack(*saved, p.compute()).value();
  ASSERT_TRUE(p.runtime->Synchronize(p.compute()).ok());
  {
    const NoMemory none;
    loaded.reset();
    saved.reset();
    lost.reset();
  }
  ASSERT_TRUE(p.runtime->Drain().ok());
  const Statistics statistics = p.runtime->statistics();
  EXPECT_EQ(statistics.pinned.live, 0u);
}

// Memory of the program that several streams read goes back once, after the readers, whichever of the allocations on
// the way is the first that fails: there is none that must not.
TEST(WithoutMemory, MemoryOfTheProgramGoesBackAfterItsReaders) {
  bool all_served = false;
  for (std::uint64_t served = 0; !all_served; ++served) {
    ASSERT_LT(served, 200u) << "something allocates without end";
    SCOPED_TRACE("after " + std::to_string(served) + " allocations");
    Options options = DeterministicOptions(served + 1, OffloadMode::kOff);
    Program p(options, /*with_memory=*/true);
    std::vector<Stream> readers = p.streams;
    for (int i = 0; i < 3; ++i) readers.push_back(p.runtime->CreateStream(0, "reader").value());
    std::size_t read = 0;
    std::size_t read_before = 0;
    int dropped = 0;
    void* const memory = p.memory->Take(kSize);
    Keepalive keepalive(memory, [&](void*) {  // may run without memory itself
      read_before = read;
      ++dropped;
    });
    const StorageId x = p.runtime->Register(memory, kSize, 0, Holds::kTransient, "x").value();
    std::optional<Saved> saved = p.runtime->Pack({x, WholeOf(kSize)}, std::move(keepalive), p.compute(), "x").value();
    ASSERT_TRUE(p.runtime->Retire(x, p.compute()).ok());
    std::vector<Loaded> loaded;
    for (const Stream reader : readers) {
      loaded.push_back(p.runtime->Unpack(*saved, reader).value());
      p.Launch(reader, {}, [&read] { ++read; });
    }
    ASSERT_TRUE(p.runtime->Synchronize(p.compute()).ok());  // the stream of the pack is the program's to order
    {
      const NoMemory none(served);
      loaded.clear();
      saved.reset();
      all_served = none.failures() == 0;
    }
    ASSERT_TRUE(p.runtime->Drain().ok());
    EXPECT_EQ(dropped, 1);
    EXPECT_EQ(read_before, readers.size()) << "it went before its readers had ended";
    p.memory->Give(memory, kSize);
  }
}

TEST(WithoutMemory, BlocksOfTheProgramsAllocatorGoBackAfterTheirReaders) {
  bool all_served = false;
  for (std::uint64_t served = 0; !all_served; ++served) {
    ASSERT_LT(served, 200u) << "something allocates without end";
    SCOPED_TRACE("after " + std::to_string(served) + " allocations");
    Options options = DeterministicOptions(served + 1);
    auto allocator = std::make_shared<DeviceAllocator>();
    Program* program = nullptr;
    int read = 0;
    int read_before = -1;
    int given_back = 0;
    allocator->allocate = [&program](std::size_t bytes, Stream) { return program->memory->Take(bytes); };
    allocator->deallocate = [&](void* data, std::size_t bytes, Stream stream) {  // may run without memory itself
      (void)program->device->SynchronizeStream(stream);
      read_before = read;
      program->memory->Give(data, bytes);
      ++given_back;
    };
    options.devices[0].allocator = allocator;
    Program p(options, /*with_memory=*/true);
    program = &p;
    const Allocation x = p.Make(Bytes(kSize, 1));
    std::optional<Saved> saved = p.Pack(x.storage, WholeOf(kSize));
    p.Retire(x.storage);
    ASSERT_TRUE(p.runtime->Drain().ok());
    std::optional<Loaded> loaded = p.runtime->Unpack(*saved, p.compute()).value();
    ASSERT_TRUE(loaded->UsedOn(p.other()).ok());
    for (const Stream reader : {p.compute(), p.other()}) p.Launch(reader, {}, [&read] { ++read; });
    {
      const NoMemory none(served);
      loaded.reset();
      saved.reset();
      all_served = none.failures() == 0;
    }
    ASSERT_TRUE(p.runtime->Drain().ok());
    EXPECT_EQ(given_back, 1);
    EXPECT_EQ(read_before, 2) << "the stream that it is ordered after did not wait for all readers";
    EXPECT_EQ(p.memory->blocks(), 0u);
  }
}

}  // namespace
}  // namespace tierlib
