// Learners that are late, leave, give up or call something else: a status on every learner within a set time.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "base/clock.h"
#include "comm/learners.h"

namespace tierlib::comm {
namespace {

constexpr int kGroups[] = {2, 3, 5, 8};
constexpr std::uint64_t kShortNs = 400'000'000;  // long enough for threads to start in
constexpr std::uint64_t kPauseNs = 50'000'000;
// Far above what a loaded machine takes to wake a thread, and far below kLongNs.
constexpr std::int64_t kSoonNs = 20'000'000'000;

void SleepNs(std::uint64_t ns) { std::this_thread::sleep_for(std::chrono::nanoseconds(ns)); }

bool Names(const Status& status, const std::string& words) {
  return std::string(status.message()).find(words) != std::string::npos;
}

TEST(BrokenGroup, ALateLearnerIsAStatusOnAll) {
  for (const int learners : kGroups) {
    const int late = learners / 2;
    const auto statuses = RunLearners<Status>(learners, kShortNs, [&](std::unique_ptr<Communicator>& me) {
      EXPECT_TRUE(me->Barrier().ok());
      if (me->rank() == late) SleepNs(2 * kShortNs);
      const std::int64_t begin_ns = NowNs();
      const Status status = me->Barrier();
      EXPECT_LT(NowNs() - begin_ns, kSoonNs);
      return status;
    });
    for (const Status& status : statuses) {
      EXPECT_EQ(status.code(), StatusCode::kDeadlineExceeded) << status;
      EXPECT_TRUE(Names(status, "learner " + std::to_string(late) + " did not come within 400 ms")) << status;
      EXPECT_TRUE(Names(status, "collective 1 (barrier)")) << status;
    }
  }
}

TEST(BrokenGroup, StaysBrokenForEveryLaterCall) {
  const auto statuses = RunLearners<Status>(3, kShortNs, [](std::unique_ptr<Communicator>& me) {
    if (me->rank() == 2) SleepNs(2 * kShortNs);
    const Status first = me->Barrier();
    const std::int64_t begin_ns = NowNs();
    float value = 1;
    EXPECT_EQ(me->AllReduce(&value, &value, 1, DType::kF32, Reduction::kSum), first);
    EXPECT_LT(NowNs() - begin_ns, kSoonNs);
    EXPECT_EQ(value, 1) << "memory was touched by a collective that failed";
    return first;
  });
  for (const Status& status : statuses) EXPECT_EQ(status.code(), StatusCode::kDeadlineExceeded);
}

// The deadline is long: a learner that is gone is noticed by its leaving, before anybody waits and while all do.
TEST(BrokenGroup, ADeadLearnerIsAStatusOnAllTheOthersAtOnce) {
  for (const int learners : kGroups) {
    for (const bool others_wait : {false, true}) {
      const int dead = learners - 1;
      RunLearners<int>(learners, kLongNs, [&](std::unique_ptr<Communicator>& me) {
        EXPECT_TRUE(me->Barrier().ok());
        if (me->rank() == dead) {
          if (others_wait) SleepNs(kPauseNs);
          me.reset();
          return 0;
        }
        if (!others_wait) SleepNs(kPauseNs);
        const std::int64_t begin_ns = NowNs();
        const Status status = me->Barrier();
        EXPECT_LT(NowNs() - begin_ns, kSoonNs);
        EXPECT_EQ(status.code(), StatusCode::kUnavailable) << status;
        EXPECT_TRUE(Names(status, "learner " + std::to_string(dead) + " left the group")) << status;
        return 0;
      });
    }
  }
}

TEST(BrokenGroup, WhoGivesUpSaysWhy) {
  const auto statuses = RunLearners<Status>(3, kLongNs, [](std::unique_ptr<Communicator>& me) {
    if (me->rank() == 1) me->Abort("the device is full");
    return me->Barrier();
  });
  for (const Status& status : statuses) {
    EXPECT_EQ(status.code(), StatusCode::kUnavailable);
    EXPECT_TRUE(Names(status, "learner 1 gave up: the device is full")) << status;
  }
}

TEST(BrokenGroup, CallsThatDifferAreNamed) {
  struct Case {
    const char* words;
    Status (*call)(Communicator& me, bool odd);
  };
  const Case cases[] = {
      {"learner 2 calls broadcast of 4 u8 where learner 0 calls barrier:",
       [](Communicator& me, bool odd) {
         std::int32_t value = 0;
         return odd ? me.Broadcast(&value, 4, 0) : me.Barrier();
       }},
      {"learner 2 calls all_reduce of 2 f32 (sum) where learner 0 calls all_reduce of 1 f32 (sum)",
       [](Communicator& me, bool odd) {
         float values[2] = {};
         return me.AllReduce(values, values, odd ? 2 : 1, DType::kF32, Reduction::kSum);
       }},
      {"learner 2 calls all_reduce of 1 f32 (max)",
       [](Communicator& me, bool odd) {
         float value = 0;
         return me.AllReduce(&value, &value, 1, DType::kF32, odd ? Reduction::kMax : Reduction::kSum);
       }},
      {"learner 2 calls all_gather of 4 u8",
       [](Communicator& me, bool odd) {
         std::uint8_t part[4] = {}, whole[4] = {};
         const std::vector<std::uint64_t> even = {2, 1, 1}, other = {1, 1, 2};
         return me.AllGather(part, odd ? other : even, whole);
       }},
  };
  for (const Case& one : cases) {
    const auto statuses = RunLearners<Status>(
        3, kLongNs, [&](std::unique_ptr<Communicator>& me) { return one.call(*me, me->rank() == 2); });
    for (const Status& status : statuses) {
      EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
      EXPECT_TRUE(Names(status, one.words)) << status;
    }
  }
}

// Whoever is done may go: the others have what they need of it.
TEST(BrokenGroup, LeavingAfterTheLastCollectiveHurtsNobody) {
  for (int round = 0; round < 100; ++round) {
    const auto statuses = RunLearners<Status>(5, kLongNs, [](std::unique_ptr<Communicator>& me) {
      std::int64_t value = me->rank();
      const Status status = me->AllReduce(&value, &value, 1, DType::kI64, Reduction::kSum);
      me.reset();
      EXPECT_EQ(value, 10);
      return status;
    });
    for (const Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
  }
}

// All succeed or all fail, however close the last one comes to the deadline.
TEST(BrokenGroup, ACollectiveSucceedsOnAllOrOnNone) {
  constexpr std::uint64_t kTightNs = 3'000'000;
  int failed = 0, rounds = 0;
  for (int round = 0; round < 60; ++round) {
    const auto statuses = RunLearners<Status>(4, kTightNs, [&](std::unique_ptr<Communicator>& me) {
      if (me->rank() == 3) SleepNs(kTightNs / 30 * static_cast<std::uint64_t>(round));
      return me->Barrier();
    });
    if (statuses.empty()) continue;  // this process is not in the group
    ++rounds;
    for (const Status& status : statuses) EXPECT_EQ(status, statuses.front()) << round;
    failed += statuses.front().ok() ? 0 : 1;
  }
  EXPECT_TRUE(failed > 0 || rounds == 0) << "no round came past the deadline";
}

}  // namespace
}  // namespace tierlib::comm
