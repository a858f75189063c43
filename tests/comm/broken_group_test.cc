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
constexpr std::uint64_t kShortNs = 1'000'000'000;  // long enough for threads to start in
constexpr std::uint64_t kPauseNs = 50'000'000;
// Far above what a loaded machine takes to wake a thread, and far below kLongNs.
constexpr std::int64_t kSoonNs = 20'000'000'000;

void SleepNs(std::uint64_t ns) { std::this_thread::sleep_for(std::chrono::nanoseconds(ns)); }

bool Names(const Status& status, const std::string& words) {
  return std::string(status.message()).find(words) != std::string::npos;
}

TEST(BrokenGroup, ALateLearnerIsAStatusOnAll) {
  for (const int learners : {2, 8}) {
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
      EXPECT_TRUE(Names(status, "learner " + std::to_string(late) + " did not come within 1000 ms")) << status;
      EXPECT_TRUE(Names(status, "collective 1 (barrier)")) << status;
    }
  }
}

// Where learner 0 decides, it may be late as any other.
TEST(BrokenGroup, ALateFirstLearnerIsAStatusOnAll) {
  for (const int learners : {2, 5}) {
    const auto statuses = RunLearners<Status>(learners, kShortNs, [&](std::unique_ptr<Communicator>& me) {
      EXPECT_TRUE(me->Barrier().ok());
      if (me->rank() == 0) SleepNs(2 * kShortNs);
      const Status status = me->Barrier();
      EXPECT_EQ(me->Barrier(), status) << "it stays broken";
      return status;
    });
    for (const Status& status : statuses) {
      EXPECT_EQ(status.code(), StatusCode::kDeadlineExceeded) << status;
      EXPECT_TRUE(Names(status, "learner 0 did not come within 1000 ms")) << status;
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
        EXPECT_TRUE(Names(status, "collective 1 (barrier): learner " + std::to_string(dead) + " left the group"))
            << status;
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

// As where an operator fails whose kernel is in a collective.
TEST(BrokenGroup, GivesUpOnAnotherThreadThanThatOfItsCalls) {
  RunLearners<int>(3, kLongNs, [](std::unique_ptr<Communicator>& me) {
    if (me->rank() == 1) {
      std::thread kernel([&] { (void)me->Barrier(); });
      SleepNs(kPauseNs);
      me->Abort("the device is full");
      kernel.join();
      EXPECT_EQ(me->Barrier().code(), StatusCode::kUnavailable);
      return 0;
    }
    SleepNs(2 * kPauseNs);
    Status status = me->Barrier();
    if (status.ok()) status = me->Barrier();  // the kernel's barrier may have been met
    EXPECT_EQ(status.code(), StatusCode::kUnavailable) << status;
    EXPECT_TRUE(Names(status, "learner 1 gave up: the device is full")) << status;
    return 0;
  });
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
      {"learner 2 calls all_gather of 4 u8 with 1 for learner 0 where learner 0 calls it with 2:",
       [](Communicator& me, bool odd) {
         std::uint8_t part[4] = {}, whole[4] = {};
         const std::vector<std::uint64_t> even = {2, 1, 1}, other = {1, 1, 2};
         return me.AllGather(part, odd ? other : even, whole);
       }},
      {"learner 2 calls all_gather of 3 u8 tagged 5 where learner 0 calls all_gather of 3 u8 tagged 7:",
       [](Communicator& me, bool odd) {
         std::uint8_t part[1] = {}, whole[3] = {};
         return me.AllGather(part, {1, 1, 1}, whole, odd ? 5 : 7);
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

// What one learner alone cannot call fails on all at once, for its reason.
TEST(BrokenGroup, ARefusalOfOneIsThatOfAll) {
  struct Case {
    const char* words;
    Status (*call)(Communicator& me, bool odd);
  };
  const Case cases[] = {
      {"learner 1: dtype bf16 is not reduced over learners",
       [](Communicator& me, bool odd) {
         float value = 0;
         return me.AllReduce(&value, &value, 1, odd ? DType::kBF16 : DType::kF32, Reduction::kSum);
       }},
      {"learner 1: broadcast: learner 3 is not one of 3",
       [](Communicator& me, bool odd) {
         float value = 0;
         return me.Broadcast(&value, 4, odd ? 3 : 0);
       }},
      {"learner 1: all_gather: 2 shares for 3 learners",
       [](Communicator& me, bool odd) {
         std::uint8_t part[1] = {}, whole[3] = {};
         const std::vector<std::uint64_t> right = {1, 1, 1}, wrong = {1, 1};
         return me.AllGather(part, odd ? wrong : right, whole);
       }},
      {"learner 1: dtype u8 is not reduced over learners",
       [](Communicator& me, bool odd) {
         float part = 0, whole[3] = {};
         return me.ReduceScatter(whole, {1, 1, 1}, odd ? DType::kU8 : DType::kF32, Reduction::kSum, &part);
       }},
  };
  for (const Case& one : cases) {
    const auto statuses = RunLearners<Status>(3, kLongNs, [&](std::unique_ptr<Communicator>& me) {
      const std::int64_t begin_ns = NowNs();
      const Status status = one.call(*me, me->rank() == 1);
      EXPECT_LT(NowNs() - begin_ns, kSoonNs);
      EXPECT_EQ(me->Barrier(), status) << "the group goes on without a learner that is elsewhere";
      return status;
    });
    for (const Status& status : statuses) {
      EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
      EXPECT_TRUE(Names(status, one.words)) << status;
    }
  }
}

TEST(BrokenGroup, ARefusalByAllBreaksNothing) {
  RunLearners<int>(3, kLongNs, [](std::unique_ptr<Communicator>& me) {
    std::uint16_t value = 0;
    const Status status = me->AllReduce(&value, &value, 1, DType::kBF16, Reduction::kSum);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_TRUE(Names(status, "dtype bf16")) << status;
    const Status barrier = me->Barrier();
    EXPECT_TRUE(barrier.ok()) << barrier;
    return 0;
  });
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
