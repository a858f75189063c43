#include "storage/event_pool.h"

#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "storage/failing_device.h"

namespace tierlib {
namespace {

TEST(EventPool, MakesNoMoreEventsThanMarksAreHeldAtOnce) {
  FailingDevice device(DeterministicDevice(1));
  const Stream stream = device.CreateStream("s").value();
  {
    EventPool pool(device);
    std::vector<MarkRef> held;
    for (int i = 0; i < 100'000 / TIERLIB_RANDOM_SCALE; ++i) {
      if (held.size() == 8) held.erase(held.begin());
      held.push_back(pool.MarkNow(stream).value());
    }
    EXPECT_EQ(device.create_event.count, 8u);
  }
  EXPECT_EQ(device.destroyed_events, device.create_event.count) << "a pool leaves no event behind";
}

TEST(EventPool, AWaitIsForTheMarkEvenWhenItsEventIsUsedAgain) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    FailingDevice device(DeterministicDevice(seed));
    EventPool pool(device);
    const Stream first = device.CreateStream("first").value();
    const Stream second = device.CreateStream("second").value();
    auto* bytes = static_cast<std::uint8_t*>(device.Reserve(256).value());
    ASSERT_TRUE(device.Fill(bytes, 1, 256, first).ok());
    {
      const MarkRef mark = pool.MarkNow(first).value();
      ASSERT_TRUE(pool.WaitOn(second, *mark).ok());
    }
    const MarkRef other = pool.MarkNow(second).value();  // takes the same event
    std::uint8_t seen = 0;
    ASSERT_TRUE(device.Launch(second, {"read", {}, [&](KernelContext&) { seen = bytes[255]; }}).ok());
    ASSERT_TRUE(device.SynchronizeStream(second).ok());
    EXPECT_EQ(seen, 1) << "seed " << seed;
    EXPECT_EQ(device.create_event.count, 1u);
  }
}

TEST(EventPool, WaitingOnTheSameStreamDoesNothing) {
  FailingDevice device(DeterministicDevice(1));
  EventPool pool(device);
  const Stream stream = device.CreateStream("s").value();
  const MarkRef mark = pool.MarkNow(stream).value();
  EXPECT_TRUE(pool.WaitOn(stream, *mark).ok());
}

TEST(EventPool, AFailureLosesNoEvent) {
  FailingDevice device(DeterministicDevice(1));
  const Stream stream = device.CreateStream("s").value();
  {
    EventPool pool(device);
    device.record_event.calls = 0;
    for (int i = 0; i < 10; ++i) EXPECT_EQ(pool.MarkNow(stream).status().code(), StatusCode::kUnavailable);
    device.record_event.calls = -1;
    EXPECT_TRUE(pool.MarkNow(stream).ok());
    EXPECT_EQ(device.create_event.count, 1u);
  }
  EXPECT_EQ(device.destroyed_events, 1u);
}

TEST(EventPool, WaitsWhereAStreamTakesNoMark) {
  FailingDevice device(DeterministicDevice(1));
  EventPool pool(device);
  const Stream stream = device.CreateStream("s").value();
  EXPECT_NE(pool.MarkOrWait(stream), nullptr);
  EXPECT_EQ(device.synchronize_stream.count, 0u);
  device.record_event.calls = 0;
  bool ran = false;
  ASSERT_TRUE(device.Launch(stream, {"run", {}, [&](KernelContext&) { ran = true; }}).ok());
  EXPECT_EQ(pool.MarkOrWait(stream), nullptr);
  EXPECT_TRUE(ran);
  device.record_event.calls = -1;
  ASSERT_TRUE(device.DestroyStream(stream).ok());
  EXPECT_EQ(pool.MarkOrWait(stream), nullptr);
  EXPECT_EQ(device.synchronize_stream.count, 1u) << "a stream that is gone needs no wait";
}

TEST(EventPool, ServesSeveralThreads) {
  DeviceOptions options;
  options.capacity = MiB(1);
  FailingDevice device(options);
  EventPool pool(device);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      const Stream mine = device.CreateStream("mine").value();
      MarkRef last;
      for (int i = 0; i < 500; ++i) {
        MarkRef mark = pool.MarkNow(mine).value();
        if (last != nullptr) {
          EXPECT_TRUE(pool.WaitOn(mine, *last).ok());
        }
        last = std::move(mark);
      }
      EXPECT_TRUE(device.SynchronizeStream(mine).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(device.create_event.count, 8u);
}

}  // namespace
}  // namespace tierlib
