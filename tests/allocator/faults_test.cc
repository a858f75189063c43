#include "tierlib/faults.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/device_factory.h"
#include "allocator/faulty_source.h"
#include "allocator/memory_source.h"
#include "gtest/gtest.h"

namespace tierlib {
namespace {

std::string Outcomes(Faults& faults, FaultPoint point, int calls) {
  std::string outcomes;
  for (int i = 0; i < calls; ++i) outcomes += faults.Call(point).ok() ? '.' : 'x';
  return outcomes;
}

DeviceOptions FaultyOptions(std::shared_ptr<Faults> faults, std::uint64_t seed = 1) {
  DeviceOptions options;
  options.capacity = MiB(1);
  options.emulated.schedule = EmulatedSchedule::kDeterministic;
  options.emulated.seed = seed;
  options.emulated.kernel_threads = 1;
  options.faults = std::move(faults);
  return options;
}

TEST(Faults, CountsAndFailsNothingByItself) {
  Faults faults;
  EXPECT_EQ(Outcomes(faults, FaultPoint::kCopy, 5), ".....");
  EXPECT_EQ(Outcomes(faults, FaultPoint::kPin, 2), "..");
  EXPECT_EQ(faults.calls(), 7u);
  EXPECT_EQ(faults.calls(FaultPoint::kCopy), 5u);
  EXPECT_EQ(faults.failures(), 0u);
}

TEST(Faults, FailsTheCallThatThePlanNamesOnceOrFromThenOn) {
  FaultPlan plan;
  plan.call = 3;
  Faults faults(plan);
  EXPECT_EQ(Outcomes(faults, FaultPoint::kCopy, 5), "..x..");
  plan.persistent = true;
  faults.Arm(plan);
  EXPECT_EQ(Outcomes(faults, FaultPoint::kCopy, 5), "..xxx");
  EXPECT_EQ(faults.failures(), 3u);
  EXPECT_EQ(faults.failures(FaultPoint::kCopy), 3u);
  faults.Disarm();
  EXPECT_EQ(Outcomes(faults, FaultPoint::kCopy, 2), "..");
  EXPECT_EQ(faults.calls(), 7u) << "counts go on";
}

TEST(Faults, CountsAndFailsOnlyThePointsOfThePlan) {
  FaultPlan plan;
  plan.points = {FaultPoint::kPin, FaultPoint::kGrow};
  plan.call = 2;
  Faults faults(plan);
  EXPECT_EQ(Outcomes(faults, FaultPoint::kCopy, 3), "...");
  EXPECT_EQ(Outcomes(faults, FaultPoint::kPin, 1), ".");
  EXPECT_EQ(Outcomes(faults, FaultPoint::kCopy, 1), ".");
  EXPECT_EQ(Outcomes(faults, FaultPoint::kGrow, 2), "x.");
  EXPECT_EQ(faults.calls(), 3u);
  EXPECT_EQ(faults.calls(FaultPoint::kCopy), 4u);
}

TEST(Faults, FailsAsOftenAsTheProbabilitySaysAndTheSameForASeed) {
  FaultPlan plan;
  plan.probability = 0.25;
  plan.seed = 7;
  Faults faults(plan);
  const std::string first = Outcomes(faults, FaultPoint::kCopy, 4000);
  EXPECT_NEAR(static_cast<double>(faults.failures()), 1000, 120);
  faults.Arm(plan);
  EXPECT_EQ(Outcomes(faults, FaultPoint::kCopy, 4000), first);
  plan.seed = 8;
  faults.Arm(plan);
  EXPECT_NE(Outcomes(faults, FaultPoint::kCopy, 4000), first);
}

TEST(Faults, NeitherCountsNorFailsWherePaused) {
  FaultPlan plan;
  plan.call = 1;
  plan.persistent = true;
  Faults faults(plan);
  {
    const Faults::Paused paused;
    EXPECT_EQ(Outcomes(faults, FaultPoint::kCopy, 3), "...");
  }
  EXPECT_EQ(faults.calls(), 0u);
  EXPECT_EQ(Outcomes(faults, FaultPoint::kCopy, 1), "x");
}

TEST(Faults, SayWhatFailed) {
  FaultPlan plan;
  plan.call = 1;
  plan.persistent = true;
  Faults faults(plan);
  EXPECT_EQ(faults.Call(FaultPoint::kCopy).ToString(), "UNAVAILABLE: copy: a fault was injected");
  EXPECT_EQ(faults.Call(FaultPoint::kCreateEvent).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(faults.Call(FaultPoint::kReserve).ToString(), "RESOURCE_EXHAUSTED") << "as the contract of devices says";
}

// --- The device, the sources and the pools ---------------------------------------------------------------------------

TEST(Faults, OfADeviceComeBeforeAnythingHappened) {
  auto faults = std::make_shared<Faults>();
  const std::unique_ptr<DeviceBackend> device = MakeDevice(FaultyOptions(faults)).value();
  const Stream stream = device->CreateStream("s").value();
  const EventId event = device->CreateEvent().value();
  void* const memory = device->Reserve(4096).value();
  const auto fails = [&](FaultPoint point, auto call) {
    FaultPlan plan;
    plan.points = {point};
    plan.call = 1;
    faults->Arm(plan);
    EXPECT_FALSE(call().ok()) << FaultPointName(point);
    EXPECT_EQ(faults->failures(point), 1u) << FaultPointName(point);
    faults->Disarm();
  };
  char host[64] = {};
  fails(FaultPoint::kReserve, [&] { return device->Reserve(4096).status(); });
  fails(FaultPoint::kReserve, [&] { return device->AllocateInOrder(4096, stream).status(); });
  fails(FaultPoint::kPin, [&] { return device->PinHost(host, sizeof(host)); });
  fails(FaultPoint::kCreateStream, [&] { return device->CreateStream("t").status(); });
  fails(FaultPoint::kCreateEvent, [&] { return device->CreateEvent().status(); });
  fails(FaultPoint::kRecordEvent, [&] { return device->RecordEvent(event, stream); });
  fails(FaultPoint::kWaitEvent, [&] { return device->WaitEvent(stream, event); });
  fails(FaultPoint::kCopy, [&] { return device->Copy({{memory, host, 64}}, CopyDirection::kHostToDevice, stream); });
  fails(FaultPoint::kLaunch, [&] { return device->Fill(memory, 1, 64, stream); });
  EXPECT_EQ(device->CopiedBytes(CopyDirection::kHostToDevice), 0u);
  EXPECT_EQ(faults->outstanding(FaultPoint::kReserve), 1);
  EXPECT_EQ(faults->outstanding(FaultPoint::kPin), 0);
  EXPECT_EQ(faults->outstanding(FaultPoint::kCreateStream), 1);
  EXPECT_EQ(faults->outstanding(FaultPoint::kCreateEvent), 1);
  ASSERT_TRUE(device->Release(memory, 4096).ok());
  device->DestroyEvent(event);
  ASSERT_TRUE(device->DestroyStream(stream).ok());
  for (const FaultPoint point : {FaultPoint::kReserve, FaultPoint::kCreateStream, FaultPoint::kCreateEvent}) {
    EXPECT_EQ(faults->outstanding(point), 0) << FaultPointName(point);
  }
}

// Of memory in stream order the blocks are counted as the pieces of a pool are.
TEST(Faults, OfADevicesOwnAllocatorAreThoseOfItsMemory) {
  auto faults = std::make_shared<Faults>();
  const std::unique_ptr<DeviceBackend> device = MakeDevice(FaultyOptions(faults)).value();
  const Stream stream = device->CreateStream("s").value();
  void* const block = device->AllocateInOrder(4096, stream).value();
  EXPECT_EQ(faults->calls(FaultPoint::kReserve), 1u);
  EXPECT_EQ(faults->outstanding(FaultPoint::kReserve), 1);
  EXPECT_EQ(device->ReservedInOrder(), 4096u);
  FaultPlan plan;
  plan.call = 1;
  plan.persistent = true;
  faults->Arm(plan);
  const Status refused = device->AllocateInOrder(4096, stream).status();
  EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(refused.message().empty()) << refused;
  EXPECT_TRUE(device->FreeInOrder(block, stream).ok()) << "giving back never fails by a plan";
  EXPECT_EQ(faults->outstanding(FaultPoint::kReserve), 0);
}

TEST(Faults, KeepAPoolFromGrowingAndBoundItsBytes) {
  auto faults = std::make_shared<Faults>();
  const std::unique_ptr<DeviceBackend> device = MakeDevice(FaultyOptions(faults)).value();
  const Stream stream = device->CreateStream("s").value();
  HostSourceOptions host;
  host.tier = Tier::kPageable;
  host.capacity = MiB(1);
  BlockPool::Options options;
  options.source = MakeFaultySource(MakeHostSource(host).value(), *faults);
  options.device = device.get();
  options.faults = faults.get();
  BlockPool pool(std::move(options));
  FaultPlan plan;
  plan.points = {FaultPoint::kGrow};
  plan.call = 1;
  plan.persistent = true;  // a pool asks again for less
  faults->Arm(plan);
  EXPECT_EQ(pool.Allocate(512, stream).status().code(), StatusCode::kResourceExhausted) << "growth fails";
  EXPECT_EQ(faults->failures(FaultPoint::kGrow), 2u);
  plan = FaultPlan();
  plan.byte_budget[static_cast<std::size_t>(Tier::kPageable)] = 1024;
  faults->Arm(plan);
  void* const first = pool.Allocate(512, stream).value();
  void* const second = pool.Allocate(512, stream).value();
  EXPECT_EQ(pool.Allocate(1, stream).status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(faults->failures(FaultPoint::kAllocatePageable), 1u);
  pool.Free(first, {&stream, 1});
  EXPECT_EQ(pool.Allocate(513, stream).status().code(), StatusCode::kResourceExhausted);
  void* const third = pool.Allocate(512, stream).value();
  for (void* const block : {second, third}) pool.Free(block, {&stream, 1});
}

// --- Late and reordered events ---------------------------------------------------------------------------------------

class LateEvents : public testing::Test {
 protected:
  // Where the plan delays nothing, this many queries find an event done whose stream was synchronized on the device
  // below: the work itself is never late here.
  void Use(FaultPlan plan) {
    faults_ = std::make_shared<Faults>(std::move(plan));
    DeviceOptions options = FaultyOptions(faults_);
    options.emulated.schedule = EmulatedSchedule::kShapeOnly;  // events are complete when they are recorded
    device_ = MakeDevice(options).value();
  }
  EventId RecordOn(Stream stream) {
    const EventId event = device_->CreateEvent().value();
    EXPECT_TRUE(device_->RecordEvent(event, stream).ok());
    return event;
  }
  bool Done(EventId event) { return device_->EventDone(event).value(); }

  std::shared_ptr<Faults> faults_;
  std::unique_ptr<DeviceBackend> device_;
};

FaultPlan Slow(std::uint32_t queries, std::uint64_t ns = 0) {
  FaultPlan plan;
  plan.slow_queries = queries;
  plan.slow_ns = ns;
  return plan;
}

TEST_F(LateEvents, AreSaidToBeCompleteAfterSoManyQueriesAndThenAlways) {
  Use(Slow(3));
  const EventId event = RecordOn(device_->CreateStream("s").value());
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(Done(event)) << i;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Done(event)) << i;
  faults_->Disarm();
  EXPECT_TRUE(Done(RecordOn(device_->CreateStream("t").value()))) << "nothing is late any more";
}

TEST_F(LateEvents, AreSaidToBeCompleteAfterSoLong) {
  Use(Slow(0, 2'000'000));
  const EventId event = RecordOn(device_->CreateStream("s").value());
  EXPECT_FALSE(Done(event));
  while (!Done(event)) {
  }
}

TEST_F(LateEvents, AreCompleteOnceWaitedFor) {
  Use(Slow(100));
  const Stream stream = device_->CreateStream("s").value();
  const EventId first = RecordOn(stream);
  const EventId second = RecordOn(stream);
  const EventId third = RecordOn(stream);
  EXPECT_FALSE(Done(first));
  ASSERT_TRUE(device_->SynchronizeEvent(second).ok());
  EXPECT_TRUE(Done(first)) << "it comes before the one that was waited for";
  EXPECT_TRUE(Done(second));
  EXPECT_FALSE(Done(third));
  ASSERT_TRUE(device_->SynchronizeStream(stream).ok());
  EXPECT_TRUE(Done(third));
  const EventId fourth = RecordOn(stream);
  EXPECT_FALSE(Done(fourth));
  ASSERT_TRUE(device_->Synchronize().ok());
  EXPECT_TRUE(Done(fourth));
}

TEST_F(LateEvents, ComeInAnOtherOrderThatTheDeviceCouldHaveHad) {
  std::vector<std::string> orders;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    FaultPlan plan;
    plan.reorder = true;
    plan.seed = seed;
    Use(plan);
    const Stream a = device_->CreateStream("a").value();
    const Stream b = device_->CreateStream("b").value();
    const EventId a1 = RecordOn(a);
    const EventId b1 = RecordOn(b);
    ASSERT_TRUE(device_->WaitEvent(b, a1).ok());
    const EventId b2 = RecordOn(b);  // comes after a1 and b1
    const EventId a2 = RecordOn(a);
    std::string order;
    const std::vector<std::pair<char, EventId>> events = {{'p', a1}, {'q', b1}, {'r', b2}, {'s', a2}};
    for (int round = 0; round < 20; ++round) {
      for (const auto& [name, event] : events) {
        const bool said = order.find(name) != std::string::npos;
        const bool done = Done(event);
        ASSERT_TRUE(done || !said) << "seed " << seed << ": " << name << " is no longer complete";
        if (!done || said) continue;
        order += name;
        if (name == 'r') {
          EXPECT_TRUE(Done(a1) && Done(b1)) << "seed " << seed << ": what comes before b2 is not complete";
        }
        if (name == 's') {
          EXPECT_TRUE(Done(a1)) << "seed " << seed;
        }
      }
    }
    ASSERT_EQ(order.size(), 4u) << "every event is complete in the end";
    orders.push_back(order);
  }
  EXPECT_NE(std::count(orders.begin(), orders.end(), orders.front()), 20) << "the seed has no say in the order";
  const std::string in_order = "pqrs";
  EXPECT_LT(std::count(orders.begin(), orders.end(), in_order), 15);
}

TEST_F(LateEvents, AreAsLateAgainWhenTheyAreRecordedAgain) {
  Use(Slow(1));
  const Stream stream = device_->CreateStream("s").value();
  const EventId event = RecordOn(stream);
  EXPECT_FALSE(Done(event));
  EXPECT_TRUE(Done(event));
  ASSERT_TRUE(device_->RecordEvent(event, stream).ok());
  EXPECT_FALSE(Done(event));
  EXPECT_TRUE(Done(event));
}

}  // namespace
}  // namespace tierlib
