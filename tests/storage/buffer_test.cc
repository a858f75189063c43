// DeviceBuffer gives its memory back to where it came from, once, after the work of every stream that used it.
#include "storage/buffer.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "allocator/memory_source.h"
#include "base/clock.h"
#include "gtest/gtest.h"
#include "storage/failing_device.h"

namespace tierlib {
namespace {

TEST(StreamSet, HoldsEachStreamOnce) {
  StreamSet set;
  EXPECT_TRUE(set.Get().empty());
  for (int i = 0; i < 3; ++i) {
    set.Add({0, 1});
    set.Add({0, 2});
    set.Add({1, 1});
  }
  ASSERT_EQ(set.Get().size(), 3u);
  EXPECT_EQ(set.Get()[1], (Stream{0, 2}));
}

TEST(StreamSet, TakesStreamsFromSeveralThreads) {
  StreamSet set;
  std::vector<std::thread> threads;
  for (std::uintptr_t t = 0; t < 4; ++t) {
    threads.emplace_back([&set, t] {
      for (std::uintptr_t i = 0; i < 200; ++i) set.Add({0, (t + i) % 7});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(set.Get().size(), 7u);
}

class DeviceBufferTest : public testing::Test {
 protected:
  DeviceBufferTest()
      : device_(DeterministicDevice(1)),
        first_(device_.CreateStream("first").value()),
        second_(device_.CreateStream("second").value()) {}

  FailingDevice device_;
  const Stream first_;
  const Stream second_;
};

TEST_F(DeviceBufferTest, CountsAddressesFromByteZeroOfTheStorage) {
  Deferred deferred;
  EventPool events(device_);
  KeepaliveQueue keepalives(device_, events, deferred);
  char memory[64];
  const DeviceBuffer whole(nullptr, keepalives, first_, memory, 64);
  EXPECT_EQ(whole.storage_base(), memory);
  BlockPool::Options options;
  options.source = MakeDeviceSource(device_).value();
  options.device = &device_;
  BlockPool pool(std::move(options));
  void* block = pool.Allocate(100, first_).value();
  ASSERT_TRUE(device_.Synchronize().ok());
  const DeviceBuffer part(pool, block, /*origin=*/40, 100);
  EXPECT_EQ(static_cast<char*>(part.storage_base()) + 40, block);
}

TEST_F(DeviceBufferTest, ABlockMayComeBackAsLongAsSomebodyWantsIt) {
  BlockPool pool({.source = MakeDeviceSource(device_).value(), .device = &device_});
  void* const block = pool.Allocate(100, first_).value();
  auto buffer = std::make_unique<DeviceBuffer>(pool, block, /*origin=*/40, 100);
  std::shared_ptr<FormerBlock> former = buffer->Former();
  EXPECT_FALSE(former->may_come_back()) << "it is there";
  EXPECT_EQ(former->TakeBack(trace::Tag::kReload), nullptr);
  for (int i = 0; i < 2; ++i) {
    buffer.reset();
    ASSERT_TRUE(former->may_come_back());
    buffer = former->TakeBack(trace::Tag::kReload);
    ASSERT_NE(buffer, nullptr);
    EXPECT_EQ(buffer->data(), block);
    EXPECT_EQ(buffer->origin(), 40u);
    EXPECT_EQ(buffer->bytes(), 100u);
    EXPECT_EQ(pool.statistics().live, 100u);
  }
  constexpr std::uint64_t kThird = 3;  // the pool's tickets are numbered
  buffer.reset();
  EXPECT_TRUE(pool.MayTakeBack(block, kThird));
  former.reset();
  EXPECT_FALSE(pool.MayTakeBack(block, kThird)) << "nobody is left who could want it";
  ASSERT_TRUE(device_.Synchronize().ok());  // what poisons the block
}

TEST_F(DeviceBufferTest, ABlockOfThePoolGoesBackWithTheLastReference) {
  BlockPool::Options options;
  options.source = MakeDeviceSource(device_).value();
  options.device = &device_;
  BlockPool pool(std::move(options));
  auto buffer = std::make_shared<DeviceBuffer>(pool, pool.Allocate(512, first_).value(), 0, 512);
  EXPECT_TRUE(buffer->stream_ordered());
  buffer->UsedOn(first_);
  std::shared_ptr<DeviceBuffer> other = buffer;
  buffer.reset();
  EXPECT_EQ(pool.statistics().live, 512u);
  other.reset();
  EXPECT_EQ(pool.statistics().live, 0u);
  pool.CheckInvariants();
  EXPECT_TRUE(device_.Synchronize().ok());
}

TEST_F(DeviceBufferTest, TheProgramsAllocatorGetsItsMemoryBackAfterAllStreams) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    FailingDevice device(DeterministicDevice(seed));
    const Stream reader = device.CreateStream("reader").value();
    const Stream last = device.CreateStream("last").value();
    EventPool events(device);
    auto* memory = static_cast<std::uint8_t*>(device.Reserve(256).value());
    int freed = 0;
    Stream freed_on;
    auto allocator = std::make_shared<DeviceAllocator>();
    allocator->allocate = [](std::size_t, Stream) -> void* { return nullptr; };
    allocator->deallocate = [&](void* data, std::size_t bytes, Stream stream) {
      EXPECT_EQ(data, memory);
      EXPECT_EQ(bytes, 200u);
      freed_on = stream;
      ++freed;
    };
    Deferred deferred;
    ASSERT_TRUE(device.Fill(memory, 5, 256, last).ok());
    ASSERT_TRUE(device.SynchronizeStream(last).ok());
    std::uint8_t seen = 0;
    {
      DeviceBuffer buffer(allocator, events, deferred, memory, 0, 200);
      EXPECT_FALSE(buffer.stream_ordered());
      EXPECT_FALSE(buffer.adopted());
      buffer.UsedOn(reader);
      ASSERT_TRUE(device.Launch(reader, {"read", {}, [&](KernelContext&) { seen = memory[0]; }}).ok());
      buffer.UsedOn(last);
    }
    EXPECT_EQ(freed, 0) << "not inside the destructor, where a lock may be held";
    deferred.Run();
    deferred.Run();
    EXPECT_EQ(freed, 1);
    // What the allocator does next with the memory on that stream comes after the read on the other one.
    ASSERT_TRUE(device.Fill(memory, 0xEE, 256, freed_on).ok());
    ASSERT_TRUE(device.SynchronizeStream(freed_on).ok());
    ASSERT_TRUE(device.SynchronizeStream(reader).ok());
    EXPECT_EQ(seen, 5) << "seed " << seed;
  }
}

TEST_F(DeviceBufferTest, AKeepaliveIsDroppedOnceAndLater) {
  Deferred deferred;
  EventPool events(device_);
  KeepaliveQueue keepalives(device_, events, deferred);
  int dropped = 0;
  char memory[8];
  {
    const DeviceBuffer buffer(Keepalive(&memory, [&](void*) { ++dropped; }), keepalives, first_, memory,
                              sizeof(memory));
    EXPECT_TRUE(buffer.adopted());
    EXPECT_TRUE(buffer.has_keepalive());
  }
  EXPECT_EQ(dropped, 0) << "not inside the destructor, where a lock may be held";
  deferred.Run();
  EXPECT_EQ(dropped, 1);
}

TEST_F(DeviceBufferTest, AKeepaliveIsHeldUntilTheReadersEnded) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    FailingDevice device(DeterministicDevice(seed));
    const Stream home = device.CreateStream("home").value();
    const Stream reader = device.CreateStream("reader").value();
    Deferred deferred;
    EventPool events(device);
    KeepaliveQueue keepalives(device, events, deferred);
    bool read = false;
    int dropped = 0;
    char memory[8];
    {
      DeviceBuffer buffer(Keepalive(&memory,
                                    [&](void*) {
                                      EXPECT_TRUE(read) << "seed " << seed;
                                      ++dropped;
                                    }),
                          keepalives, home, memory, sizeof(memory));
      ASSERT_TRUE(device.Launch(reader, {"read", {}, [&](KernelContext&) { read = true; }}).ok());
      buffer.UsedOn(home);
      buffer.UsedOn(reader);
    }
    keepalives.Poll();
    deferred.Run();
    ASSERT_TRUE(keepalives.Drain(NowNs() + 10'000'000'000).ok());
    deferred.Run();
    EXPECT_EQ(dropped, 1);
  }
}

TEST_F(DeviceBufferTest, MemoryIsGivenBackAfterReadersThatTakeNoMark) {
  for (const bool adopted : {true, false}) {
    FailingDevice device(DeterministicDevice(1));
    const Stream home = device.CreateStream("home").value();
    const Stream reader = device.CreateStream("reader").value();
    Deferred deferred;
    EventPool events(device);
    KeepaliveQueue keepalives(device, events, deferred);
    bool read = false;
    int given_back = 0;
    const auto give_back = [&] {
      EXPECT_TRUE(read);
      ++given_back;
    };
    auto allocator = std::make_shared<DeviceAllocator>();
    allocator->deallocate = [&](void*, std::size_t, Stream) { give_back(); };
    char memory[8];
    std::unique_ptr<DeviceBuffer> buffer;
    if (adopted) {
      Keepalive keepalive(&memory, [&](void*) { give_back(); });
      buffer = std::make_unique<DeviceBuffer>(std::move(keepalive), keepalives, home, memory, sizeof(memory));
    } else {
      buffer = std::make_unique<DeviceBuffer>(allocator, events, deferred, memory, 0, sizeof(memory));
    }
    buffer->UsedOn(reader);
    ASSERT_TRUE(device.Launch(reader, {"read", {}, [&](KernelContext&) { read = true; }}).ok());
    device.record_event.calls = 0;
    buffer.reset();
    deferred.Run();
    EXPECT_EQ(given_back, 1);
  }
}

// There the program's own allocator orders the next use: waiting would hold memory for as long as the host runs ahead.
TEST_F(DeviceBufferTest, AKeepaliveIsNotHeldForReadersOfItsOwnStream) {
  DeviceOptions options;
  options.capacity = MiB(1);
  FailingDevice threaded(options);
  const Stream home = threaded.CreateStream("home").value();
  Deferred deferred;
  EventPool events(threaded);
  KeepaliveQueue keepalives(threaded, events, deferred);
  std::atomic<bool> go = false;
  ASSERT_TRUE(threaded
                  .Launch(home, {"wait",
                                 {},
                                 [&](KernelContext&) {
                                   while (!go) std::this_thread::yield();
                                 }})
                  .ok());
  bool dropped = false;
  char memory[8];
  {
    DeviceBuffer buffer(Keepalive(&memory, [&](void*) { dropped = true; }), keepalives, home, memory, sizeof(memory));
    buffer.UsedOn(home);
  }
  deferred.Run();
  EXPECT_TRUE(dropped);
  go = true;
}

TEST_F(DeviceBufferTest, WaitingForReadersStopsAtItsDeadline) {
  Deferred deferred;
  DeviceOptions options;
  options.capacity = MiB(1);
  FailingDevice threaded(options);
  EventPool events(threaded);
  std::atomic<bool> go = false;
  const Stream reader = threaded.CreateStream("reader").value();
  KeepaliveQueue queue(threaded, events, deferred);
  ASSERT_TRUE(threaded
                  .Launch(reader, {"wait",
                                   {},
                                   [&](KernelContext&) {
                                     while (!go) std::this_thread::yield();
                                   }})
                  .ok());
  queue.DropAfter(KeepaliveQueue::Held::Of(std::make_shared<int>(1)), {&reader, 1});
  EXPECT_EQ(queue.Drain(NowNs() + 1'000'000).code(), StatusCode::kDeadlineExceeded);
  go = true;
  EXPECT_TRUE(queue.Drain(NowNs() + 10'000'000'000).ok());
}

TEST(Deferred, RunsWhatIsAddedWhileItRunsAndWhatIsLeftAtTheEnd) {
  std::vector<int> order;
  {
    Deferred deferred;
    deferred.Later(Deferred::Of([&] {
      order.push_back(1);
      deferred.Later(Deferred::Of([&] { order.push_back(3); }));
    }));
    deferred.Later(Deferred::Of([&] { order.push_back(2); }));
    deferred.Run();
    EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
    deferred.Later(Deferred::Of([&] { order.push_back(4); }));
  }
  EXPECT_EQ(order.back(), 4) << "memory of the program must not stay behind";
}

}  // namespace
}  // namespace tierlib
