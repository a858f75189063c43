#include "storage/direct_pool.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "base/no_memory.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/failing_device.h"
#include "tierlib/faults.h"

namespace tierlib {
namespace {

// A device without such an allocator, as the contract's default says.
class WithoutOrder : public FailingDevice {
 public:
  using FailingDevice::FailingDevice;
  StatusOr<void*> AllocateInOrder(std::size_t bytes, Stream stream) override {
    return DeviceBackend::AllocateInOrder(bytes, stream);
  }
};

TEST(DirectPool, IsNotMadeWhereTheDeviceHasNoSuchAllocator) {
  WithoutOrder device(DeterministicDevice(1));
  EventPool events(device);
  const Status made = DirectPool::Create(device, events, {}).status();
  EXPECT_EQ(made.code(), StatusCode::kUnimplemented);
  EXPECT_NE(made.message().find("stream order"), std::string_view::npos) << made;
}

struct Block {
  std::uint8_t* data = nullptr;
  std::size_t bytes = 0;
  std::uint8_t value = 0;
  std::vector<Stream> users;
};

// Blocks are written and read on several streams, and are used again at once: each read sees its own block's bytes.
TEST(DirectPool, ABlockIsUsedAgainAfterTheWorkOfAllStreamsOnly) {
  std::size_t refused = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    const std::unique_ptr<DeviceBackend> device = MakeDevice(DeterministicDevice(seed, KiB(8))).value();
    EventPool events(*device);
    const std::unique_ptr<DirectPool> pool = DirectPool::Create(*device, events, {}).value();
    std::vector<Stream> streams;
    for (int i = 0; i < 3; ++i) streams.push_back(device->CreateStream("stream").value());
    int wrong = 0;
    std::size_t live = 0;
    std::vector<Block> blocks;
    for (int step = 0; step < 200; ++step) {
      const Stream stream = streams[random.UniformInt(streams.size())];
      if (random.UniformInt(2) == 0) {
        Block block;
        block.bytes = 1 + random.UniformInt(KiB(3));
        block.value = static_cast<std::uint8_t>(step);
        const StatusOr<void*> taken = pool->Allocate(block.bytes, stream, trace::Tag::kActivation);
        if (!taken.ok()) {
          ASSERT_EQ(taken.status().code(), StatusCode::kResourceExhausted);
          ++refused;
        } else {
          block.data = static_cast<std::uint8_t*>(*taken);
          ASSERT_TRUE(device->Fill(block.data, block.value, block.bytes, stream).ok());
          block.users = {stream};
          live += block.bytes;
          blocks.push_back(block);
        }
      } else if (!blocks.empty()) {
        std::swap(blocks[random.UniformInt(blocks.size())], blocks.back());
        Block& block = blocks.back();
        if (stream != block.users.front()) {
          const MarkRef filled = events.MarkNow(block.users.front()).value();
          ASSERT_TRUE(events.WaitOn(stream, *filled).ok());
          block.users.push_back(stream);
        }
        HostKernel read{
            "read", {}, [&wrong, data = block.data, bytes = block.bytes, value = block.value](KernelContext&) {
              for (std::size_t i = 0; i < bytes; ++i) wrong += data[i] != value ? 1 : 0;
            }};
        ASSERT_TRUE(device->Launch(stream, std::move(read)).ok());
        pool->Free(block.data, block.users);
        live -= block.bytes;
        blocks.pop_back();
      }
      ASSERT_EQ(pool->statistics().live, live);
      ASSERT_LE(pool->statistics().live + pool->statistics().waste, KiB(8));
    }
    for (const Block& block : blocks) pool->Free(block.data, block.users);
    ASSERT_TRUE(device->Synchronize().ok());
    EXPECT_EQ(wrong, 0) << "seed " << seed;
    EXPECT_EQ(pool->statistics().live, 0u);
  }
  EXPECT_GT(refused, 0u);
}

TEST(DirectPool, RefusesWhatAPlanHasFail) {
  Faults faults;
  const std::unique_ptr<DeviceBackend> device = MakeDevice(DeterministicDevice(1, KiB(16))).value();
  EventPool events(*device);
  DirectPool::Options options;
  options.faults = &faults;
  const std::unique_ptr<DirectPool> pool = DirectPool::Create(*device, events, options).value();
  const Stream stream = device->CreateStream("stream").value();
  const auto allocate = [&](std::size_t bytes) { return pool->Allocate(bytes, stream, trace::Tag::kNone); };
  FaultPlan plan;
  plan.points = {FaultPoint::kAllocateDevice};
  plan.call = 2;
  faults.Arm(plan);
  void* const first = allocate(1).value();
  EXPECT_EQ(allocate(1).status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(faults.failures(FaultPoint::kAllocateDevice), 1u);
  void* const second = allocate(1).value();
  plan = FaultPlan();
  plan.byte_budget[static_cast<std::size_t>(Tier::kDevice)] = 1024;
  faults.Arm(plan);
  void* const third = allocate(512).value();
  EXPECT_EQ(allocate(1).status().code(), StatusCode::kResourceExhausted) << "beyond the budget";
  EXPECT_EQ(pool->live_bytes(), 1024u);
  pool->CheckInvariants();
  for (void* const block : {first, second, third}) pool->Free(block, {&stream, 1});
}

// Without memory on the host for what the pool notes of it, a block of the device is not lost.
TEST(DirectPool, RefusesWithoutAChangeWhereTheHostHasNoMemory) {
  for (const bool hardened : {false, true}) {
    DeviceOptions emulated = DeterministicDevice(1, KiB(16));
    emulated.emulated.poison = false;  // which takes memory of the host
    const std::unique_ptr<DeviceBackend> device = MakeDevice(emulated).value();
    EventPool events(*device);
    DirectPool::Options options;
    if (hardened) options.quarantine_bytes = KiB(2);
    const std::unique_ptr<DirectPool> pool = DirectPool::Create(*device, events, options).value();
    const Stream stream = device->CreateStream("stream").value();
    ASSERT_TRUE(device->Synchronize().ok());
    void* block = nullptr;
    std::uint64_t refused = 0;
    for (std::uint64_t served = 0; block == nullptr; ++served) {
      ASSERT_LT(served, 100u) << "refused for another reason";
      void* taken = nullptr;
      bool short_of_memory = false;
      {
        const NoMemory none(served);
        try {
          const StatusOr<void*> allocated = pool->Allocate(KiB(4), stream, trace::Tag::kNone);
          if (allocated.ok()) taken = *allocated;
        } catch (const std::bad_alloc&) {
          taken = nullptr;
        }
        short_of_memory = none.failures() > 0;
      }
      if (!short_of_memory) {
        block = taken;
      } else if (taken != nullptr) {  // something was done without
        pool->Free(taken, {&stream, 1});
      } else {
        ++refused;
        EXPECT_EQ(pool->statistics().live, 0u);
      }
    }
    EXPECT_GT(refused, 0u);
    pool->CheckInvariants();
    pool->Free(block, {&stream, 1});
    ASSERT_TRUE(device->Synchronize().ok());
    EXPECT_EQ(pool->statistics().live, 0u);
    if (hardened) continue;
    void* const all = pool->Allocate(KiB(16), stream, trace::Tag::kNone).value();
    pool->Free(all, {&stream, 1});
  }
}

// A mark that the stream of the frees cannot be made to wait for is waited for by the host.
TEST(DirectPool, WaitsItselfWhereAStreamCannot) {
  auto faults = std::make_shared<Faults>();
  DeviceOptions options = DeterministicDevice(1, KiB(16));
  options.faults = faults;
  const std::unique_ptr<DeviceBackend> device = MakeDevice(options).value();
  EventPool events(*device);
  const std::unique_ptr<DirectPool> pool = DirectPool::Create(*device, events, {}).value();
  std::vector<Stream> streams;
  for (int i = 0; i < 2; ++i) streams.push_back(device->CreateStream("stream").value());
  auto* const block = static_cast<std::uint8_t*>(pool->Allocate(256, streams[0], trace::Tag::kNone).value());
  ASSERT_TRUE(device->Synchronize().ok());
  bool read = false;
  ASSERT_TRUE(device->Launch(streams[1], {"read", {}, [&](KernelContext&) { read = true; }}).ok());
  FaultPlan plan;
  plan.points = {FaultPoint::kWaitEvent};
  plan.call = 1;
  plan.persistent = true;
  faults->Arm(plan);
  pool->Free(block, streams);
  EXPECT_GT(faults->failures(), 0u);
  EXPECT_TRUE(read) << "the block was given back before its last reader";
}

std::unique_ptr<DirectPool> MakeHardened(DeviceBackend& device, EventPool& events) {
  DirectPool::Options options;
  options.quarantine_bytes = KiB(8);
  return DirectPool::Create(device, events, options).value();
}

TEST(DirectPool, HardenedHoldsFreedBlocksBackUntilItNeedsThem) {
  const std::unique_ptr<DeviceBackend> device = MakeDevice(DeterministicDevice(1, KiB(16))).value();
  EventPool events(*device);
  const std::unique_ptr<DirectPool> pool = MakeHardened(*device, events);
  const Stream stream = device->CreateStream("stream").value();
  EXPECT_EQ(pool->Rounded(1000), 1024u + 512u);
  for (int i = 0; i < 20; ++i) {
    void* const block = pool->Allocate(KiB(6), stream, trace::Tag::kActivation).value();
    AddressMap::Found found;
    ASSERT_TRUE(pool->Find(static_cast<char*>(block) + 100, &found));
    EXPECT_EQ(found.in_block, 100u);
    EXPECT_EQ(found.bytes, KiB(6));
    EXPECT_EQ(found.tag, trace::Tag::kActivation);
    EXPECT_FALSE(pool->Find(static_cast<char*>(block) - 1, &found)) << "a guard is nobody's";
    EXPECT_EQ(pool->statistics().live, KiB(6));
    pool->Free(block, {&stream, 1});
    EXPECT_EQ(pool->statistics().live, 0u);
    EXPECT_GE(pool->statistics().waste, KiB(6)) << "it is held back";
    pool->CheckInvariants();
  }
  void* const most = pool->Allocate(KiB(16) - 512, stream, trace::Tag::kNone).value();
  pool->Free(most, {&stream, 1});
}

TEST(DirectPoolDeathTest, HardenedNamesTheBlockThatIsMisused) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto misuse = [](int what) {
    const std::unique_ptr<DeviceBackend> device = MakeDevice(DeterministicDevice(1, KiB(16))).value();
    EventPool events(*device);
    std::unique_ptr<DirectPool> pool = MakeHardened(*device, events);
    const Stream stream = device->CreateStream("stream").value();
    auto* const block = static_cast<std::uint8_t*>(pool->Allocate(1000, stream, trace::Tag::kActivation).value());
    if (what == 0) (void)device->Fill(block + 1000, 1, 1, stream);
    if (what == 1) pool->Free(block + 8, {&stream, 1});
    if (what == 2) pool->Free(&pool, {&stream, 1});
    pool->Free(block, {&stream, 1});
    if (what == 3) pool->Free(block, {&stream, 1});
    (void)device->Synchronize();
    if (what == 4) (void)device->Fill(block + 5, 1, 1, stream);
    (void)device->Synchronize();
    pool.reset();
  };
  const std::string name = "1000 bytes at 0x[0-9a-f]+ of device memory \\(activations\\)";
  EXPECT_DEATH(misuse(0), "write behind the end of a block: " + name + "; byte 0 behind the end holds 0x01");
  EXPECT_DEATH(misuse(1), "interior pointer\\): byte 8 of " + name);
  EXPECT_DEATH(misuse(2), "free of 0x[0-9a-f]+, which is not from this device pool \\(foreign pointer\\)");
  EXPECT_DEATH(misuse(3), "double free of 0x[0-9a-f]+: " + name + " are already free");
  EXPECT_DEATH(misuse(4), "write after free: " + name + ", which were free; byte 5 holds 0x01");
}

TEST(DirectPool, TakesBlocksBackWhoseStreamIsGone) {
  const std::unique_ptr<DeviceBackend> device = MakeDevice(DeterministicDevice(1, KiB(16))).value();
  EventPool events(*device);
  const std::unique_ptr<DirectPool> pool = DirectPool::Create(*device, events, {}).value();
  const Stream gone = device->CreateStream("gone").value();
  const Stream other = device->CreateStream("other").value();
  void* const block = pool->Allocate(KiB(16), gone, trace::Tag::kNone).value();
  ASSERT_TRUE(device->DestroyStream(gone).ok());
  pool->Free(block, {gone});
  void* const again = pool->Allocate(KiB(16), other, trace::Tag::kNone).value();
  pool->Free(again, {});
  void* const third = pool->Allocate(KiB(16), other, trace::Tag::kNone).value();
  EXPECT_EQ(pool->Allocate(1, other, trace::Tag::kNone).status().code(), StatusCode::kResourceExhausted);
  pool->Free(third, {other});
}

// The graph writes to it in every launch, long after the program has dropped it.
TEST(DirectPool, ABlockThatIsFreedInACaptureOfTheProgramStaysWithTheGraph) {
  for (const bool hardened : {false, true}) {
    const std::unique_ptr<DeviceBackend> device = MakeDevice(DeterministicDevice(1, KiB(64))).value();
    EventPool events(*device);
    std::unique_ptr<DirectPool> pool =
        hardened ? MakeHardened(*device, events) : DirectPool::Create(*device, events, {}).value();
    const Stream stream = device->CreateStream("stream").value();
    const Stream other = device->CreateStream("other").value();
    void* const block = pool->Allocate(KiB(8), stream, trace::Tag::kActivation).value();
    const TierStatistics before = pool->statistics();
    ASSERT_TRUE(device->BeginCapture(stream).ok());
    ASSERT_TRUE(device->Fill(block, 7, KiB(8), stream).ok());
    pool->Free(block, {stream, other});
    const GraphId graph = device->EndCapture(stream).value();
    EXPECT_EQ(pool->statistics().live, before.live);
    pool->CheckInvariants();
    std::vector<void*> others;  // none of them is the graph's memory
    for (;;) {
      const StatusOr<void*> next = pool->Allocate(KiB(4), other, trace::Tag::kNone);
      if (!next.ok()) break;
      ASSERT_TRUE(device->Fill(*next, 1, KiB(4), other).ok());
      others.push_back(*next);
    }
    EXPECT_GE(others.size(), 4u);
    ASSERT_TRUE(device->LaunchGraph(graph, stream).ok());
    int wrong = 0;
    HostKernel read{"read", {}, [&](KernelContext&) {
                      for (void* const one : others) wrong += *static_cast<std::uint8_t*>(one) != 1 ? 1 : 0;
                    }};
    ASSERT_TRUE(device->Launch(other, std::move(read)).ok());
    for (void* const one : others) pool->Free(one, {&other, 1});
    ASSERT_TRUE(device->Synchronize().ok());
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(pool->statistics().live, before.live);
    ASSERT_TRUE(device->DestroyGraph(graph).ok());
    pool.reset();  // takes it back: the device has all its memory again
    pool = DirectPool::Create(*device, events, {}).value();
    void* const all = pool->Allocate(KiB(64), other, trace::Tag::kNone).value();
    pool->Free(all, {&other, 1});
  }
}

TEST(DirectPoolDeathTest, ABlockThatAGraphHasIsNotFreedAgain) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto twice = [](bool in_capture) {
    const std::unique_ptr<DeviceBackend> device = MakeDevice(DeterministicDevice(1, KiB(16))).value();
    EventPool events(*device);
    const std::unique_ptr<DirectPool> pool = DirectPool::Create(*device, events, {}).value();
    const Stream stream = device->CreateStream("stream").value();
    void* const block = pool->Allocate(1000, stream, trace::Tag::kActivation).value();
    (void)device->BeginCapture(stream);
    pool->Free(block, {&stream, 1});
    if (!in_capture) (void)device->EndCapture(stream);
    pool->Free(block, {&stream, 1});
  };
  EXPECT_DEATH(twice(true), "free of 0x[0-9a-f]+, which is not from this device pool");
  EXPECT_DEATH(twice(false), "free of 0x[0-9a-f]+, which is not from this device pool");
}

}  // namespace
}  // namespace tierlib
