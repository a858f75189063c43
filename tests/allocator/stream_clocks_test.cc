#include "allocator/stream_clocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "allocator/fake_device.h"

namespace tierlib {
namespace {

using Stamp = StreamClocks::Stamp;
using testing::ElementsAre;
using testing::IsEmpty;

class StreamClocksTest : public testing::Test {
 protected:
  ~StreamClocksTest() override { clocks_.CheckInvariants(); }

  Stream At(std::uintptr_t handle) const { return Stream{0, handle}; }
  Stamp Free(std::uintptr_t handle) {
    Stamp stamp;
    clocks_.StampFree(stamp, At(handle));
    return stamp;
  }
  void Order(std::uintptr_t handle, const Stamp& stamp) { ASSERT_TRUE(clocks_.Order(At(handle), stamp).ok()); }

  FakeDevice device_;
  StreamClocks clocks_{device_};
};

TEST_F(StreamClocksTest, NothingWaitsForMemoryThatWasNeverFreed) {
  Order(1, {});
  EXPECT_THAT(device_.log, IsEmpty());
}

TEST_F(StreamClocksTest, AStreamDoesNotWaitForItself) {
  Order(1, Free(1));
  EXPECT_THAT(device_.log, IsEmpty());
  EXPECT_EQ(clocks_.events(), 0u);
}

TEST_F(StreamClocksTest, AnotherStreamWaitsOnceForAllFreesBeforeTheMark) {
  const Stamp first = Free(1);
  const Stamp second = Free(1);
  Order(2, first);
  Order(2, second);
  Order(2, first);
  EXPECT_THAT(device_.log, ElementsAre("record 1", "2 waits for 1"));
  Order(2, Free(1));
  EXPECT_THAT(device_.log, ElementsAre("record 1", "2 waits for 1", "record 1", "2 waits for 1"));
}

TEST_F(StreamClocksTest, ATickSparesTheWaitForLaterWork) {
  const Stamp early = Free(1);
  clocks_.Tick(At(1));
  (void)Free(1);
  clocks_.Tick(At(1));
  clocks_.Tick(At(1));  // nothing new
  EXPECT_THAT(device_.log, ElementsAre("record 1", "record 1"));
  const EventId first_event = *device_.existing.begin();
  Order(2, early);
  EXPECT_THAT(device_.waited, ElementsAre(first_event));
}

TEST_F(StreamClocksTest, WaitsForEachOfSeveralStreams) {
  Stamp stamp = Free(1);
  clocks_.StampFree(stamp, At(2));
  clocks_.StampFree(stamp, At(3));
  Order(3, stamp);
  EXPECT_THAT(device_.log, ElementsAre("record 1", "3 waits for 1", "record 2", "3 waits for 2"));
}

TEST_F(StreamClocksTest, KnowsWhatItIsOrderedAfterThroughOthers) {
  const Stamp first = Free(1);
  Order(2, first);
  Order(3, Free(2));
  device_.log.clear();
  Order(3, first);
  EXPECT_THAT(device_.log, IsEmpty()) << "2 had waited for 1 before the mark that 3 waited for";
}

TEST_F(StreamClocksTest, DoesNotKnowWhatAStreamLearntAfterTheMark) {
  const Stamp first = Free(1);
  const Stamp second = Free(2);
  clocks_.Tick(At(2));
  Order(2, first);
  Order(3, second);
  device_.log.clear();
  Order(3, first);
  EXPECT_THAT(device_.log, ElementsAre("3 waits for 1"));
}

TEST_F(StreamClocksTest, JoinTakesTheLaterOfEachClock) {
  Stamp joined = Free(1);
  const Stamp early = joined;
  clocks_.Tick(At(1));
  StreamClocks::Join(joined, Free(2));
  StreamClocks::Join(joined, Free(1));
  StreamClocks::Join(joined, early);
  Order(3, joined);
  EXPECT_THAT(device_.log, ElementsAre("record 1", "record 1", "3 waits for 1", "record 2", "3 waits for 2"));
}

TEST_F(StreamClocksTest, UsesCompletedEventsAgain) {
  for (int i = 0; i < 10'000; ++i) {
    Order(2, Free(1));
    device_.pending.clear();
  }
  EXPECT_LE(clocks_.events(), 2u);
}

TEST_F(StreamClocksTest, BoundsTheEventsOfADeviceThatLagsBehind) {
  const Stamp oldest = Free(1);
  for (int i = 0; i < 10'000; ++i) {
    clocks_.Tick(At(1));
    (void)Free(1);
    clocks_.CheckInvariants();
  }
  EXPECT_LE(clocks_.events(), 17u);
  EXPECT_EQ(device_.existing.size(), clocks_.events());
  Order(2, oldest);
  EXPECT_EQ(device_.waited.size(), 1u) << "for a later mark, never for none";
}

TEST_F(StreamClocksTest, BoundsTheClocksOfStreamsThatComeAndGo) {
  for (std::uintptr_t handle = 1; handle <= 10'000; ++handle) {
    Order(handle + 1, Free(handle));
    device_.pending.clear();
  }
  EXPECT_LE(clocks_.clocks(), 10u);
}

TEST_F(StreamClocksTest, AManyStreamsDeviceStillWaitsForEveryOne) {
  std::vector<Stamp> stamps;
  for (std::uintptr_t handle = 1; handle <= 40; ++handle) stamps.push_back(Free(handle));
  for (std::uintptr_t handle = 1; handle <= 40; ++handle) Order(100, stamps[handle - 1]);
  EXPECT_EQ(device_.waited.size(), 40u);
  // A clock that is used again knows nothing of what its earlier stream was ordered after.
  device_.pending.clear();
  const Stamp fresh = Free(1);
  clocks_.Tick(At(1));
  device_.waited.clear();
  for (std::uintptr_t handle = 201; handle <= 240; ++handle) Order(handle, fresh);
  EXPECT_EQ(device_.waited.size(), 40u);
}

TEST_F(StreamClocksTest, NeedsNoWaitForAStreamThatIsGone) {
  const Stamp forgotten = Free(1);
  clocks_.Forget(At(1));
  Order(2, forgotten);
  EXPECT_THAT(device_.log, IsEmpty());
  const Stamp destroyed = Free(3);
  device_.gone.insert(3);
  Order(2, destroyed);
  EXPECT_THAT(device_.log, IsEmpty());
  Order(4, destroyed);
  EXPECT_THAT(device_.log, IsEmpty());
}

// As where the program's library destroys a stream with work pending and the next one gets its handle.
TEST_F(StreamClocksTest, AStreamWaitsForAnEarlierOneOfItsHandle) {
  device_.foreign = {7};
  device_.numbers[7] = 100;
  const Stamp freed = Free(7);
  device_.numbers[7] = 101;
  Order(7, freed);
  EXPECT_THAT(device_.log, ElementsAre("record 7", "7 waits for 7"));
  Order(7, freed);
  EXPECT_EQ(device_.waited.size(), 1u) << "it is ordered after that now";
}

TEST_F(StreamClocksTest, OneHandleMayStandForAStreamOfEachThread) {
  device_.foreign = {2};
  device_.numbers[2] = 100;
  const Stamp first = Free(2);
  device_.numbers[2] = 101;
  (void)Free(2);
  Order(2, first);
  EXPECT_EQ(device_.waited.size(), 1u);
  device_.numbers[2] = 100;
  Order(2, first);
  EXPECT_EQ(device_.waited.size(), 1u) << "the one that freed";
}

TEST_F(StreamClocksTest, TouchesAStreamOfTheProgramOnlyWhileItIsNamed) {
  device_.foreign = {7};
  const Stamp freed = Free(7);
  const Stamp later = Free(7);
  EXPECT_THAT(device_.log, ElementsAre("record 7", "record 7"));
  device_.log.clear();
  Order(2, freed);
  clocks_.Tick(At(7));
  ASSERT_TRUE(clocks_.Synchronize(later).ok());
  EXPECT_THAT(device_.log, ElementsAre("2 waits for 7"));
}

TEST_F(StreamClocksTest, WaitsOnTheHostWhereAStreamOfTheProgramTakesNoMark) {
  device_.foreign = {7};
  device_.record_error = InternalError("no event");
  const Stamp freed = Free(7);
  EXPECT_THAT(device_.log, ElementsAre("synchronize 7"));
  device_.record_error = OkStatus();
  Order(2, freed);
  EXPECT_THAT(device_.waited, IsEmpty()) << "it has ended";
}

TEST_F(StreamClocksTest, AMarkThatFailsIsNoSignOfAStreamThatIsGone) {
  const Stamp freed = Free(1);
  device_.record_error = InvalidArgumentError("an event of another context");
  EXPECT_EQ(clocks_.Order(At(2), freed), device_.record_error);
  EXPECT_EQ(clocks_.Synchronize(freed), device_.record_error);
  device_.record_error = OkStatus();
  Order(2, freed);
  EXPECT_THAT(device_.log, ElementsAre("record 1", "2 waits for 1"));
}

TEST_F(StreamClocksTest, ForgetsTheStreamAndNotAnEarlierOneOfItsHandle) {
  device_.foreign = {7};
  device_.numbers[7] = 100;
  const Stamp freed = Free(7);
  device_.numbers[7] = 101;
  (void)Free(7);
  clocks_.Forget(At(7));
  Order(2, freed);
  EXPECT_THAT(device_.waited, testing::SizeIs(1));
}

TEST_F(StreamClocksTest, AnOwnStreamsHandleMayComeBackAsAnother) {
  const Stamp freed = Free(1);
  device_.numbers[1] = 100;
  device_.foreign = {1};  // destroyed, and the program made one that got the handle
  ++device_.destroyed;
  Order(1, freed);
  EXPECT_THAT(device_.log, IsEmpty()) << "the work of the first has ended";
  (void)Free(1);
  EXPECT_THAT(device_.log, ElementsAre("record 1")) << "the second is the program's: it may be gone after the call";
  Order(2, freed);
  EXPECT_THAT(device_.log, ElementsAre("record 1"));
}

TEST_F(StreamClocksTest, AsksAgainWhichStreamAHandleIsOnlyWhereOneWasDestroyed) {
  Order(1, Free(1));
  const int asked = device_.numbers_asked;
  for (int i = 0; i < 10; ++i) Order(1, Free(1));
  EXPECT_EQ(device_.numbers_asked, asked);
  ++device_.destroyed;
  Order(1, Free(1));
  EXPECT_GT(device_.numbers_asked, asked);
}

TEST_F(StreamClocksTest, AFreeSaysNothingThatItsStreamImplies) {
  Stamp stamp = Free(1);
  Order(2, stamp);
  clocks_.StampFree(stamp, At(2));
  device_.log.clear();
  Order(3, stamp);
  EXPECT_THAT(device_.log, ElementsAre("record 2", "3 waits for 2")) << "2 had waited for 1";
}

using StreamClocksDeathTest = StreamClocksTest;

TEST_F(StreamClocksDeathTest, AbortsOnAFreeOnAStreamOfAnotherDevice) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  Stamp stamp;
  EXPECT_DEATH(clocks_.StampFree(stamp, Stream{1, 7}), "stream of another device");
}

TEST_F(StreamClocksTest, SynchronizeWaitsForAllBeforeAStamp) {
  Stamp stamp = Free(1);
  clocks_.StampFree(stamp, At(2));
  clocks_.Tick(At(2));
  ASSERT_TRUE(clocks_.Synchronize(stamp).ok());
  EXPECT_THAT(device_.pending, IsEmpty());
  Order(3, stamp);
  EXPECT_THAT(device_.waited, IsEmpty()) << "it has ended";
}

TEST_F(StreamClocksTest, GivesItsEventsBack) {
  {
    StreamClocks clocks(device_);
    Stamp stamp;
    clocks.StampFree(stamp, At(1));
    ASSERT_TRUE(clocks.Order(At(2), stamp).ok());
    EXPECT_EQ(device_.existing.size(), 1u);
  }
  EXPECT_THAT(device_.existing, IsEmpty());
}

}  // namespace
}  // namespace tierlib
