// Collectives: what they compute, for groups and sizes that do not divide each other. Over every kind of group.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <string>

#include "base/random.h"
#include "comm/learners.h"
#include "tierlib/comm/thread_group.h"

namespace tierlib::comm {
namespace {

constexpr int kGroups[] = {1, 2, 3, 5, 8};
constexpr std::uint64_t kCounts[] = {0, 1, 7, 8, 1001};

using Floats = std::vector<float>;
using Bytes = std::vector<std::uint8_t>;

// Values whose sum depends on the order in which they are added.
Floats ValuesOf(int rank, std::uint64_t count) {
  Random random(static_cast<std::uint64_t>(rank) + 1);
  Floats values(count);
  for (float& value : values) value = std::ldexp(static_cast<float>(random.Normal()), static_cast<int>(random() % 40));
  return values;
}

Floats ReducedInOrder(int learners, std::uint64_t count) {
  Floats sum = ValuesOf(0, count);
  for (int rank = 1; rank < learners; ++rank) {
    const Floats next = ValuesOf(rank, count);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += next[i];
  }
  return sum;
}

TEST(EvenShares, DifferByOneAtMostAndAddUp) {
  for (const int learners : kGroups) {
    for (const std::uint64_t count : kCounts) {
      const std::vector<std::uint64_t> shares = EvenShares(count, learners);
      ASSERT_EQ(shares.size(), static_cast<std::size_t>(learners));
      EXPECT_EQ(std::accumulate(shares.begin(), shares.end(), std::uint64_t{0}), count);
      EXPECT_LE(shares.front() - shares.back(), 1u);
    }
  }
}

TEST(Group, GathersPartsOfOddSizesInTheOrderOfRanks) {
  for (const int learners : kGroups) {
    for (const std::uint64_t count : kCounts) {
      Bytes truth(count);
      for (std::size_t i = 0; i < truth.size(); ++i) truth[i] = static_cast<std::uint8_t>(i * 7 + 3);
      const auto gathered = RunLearners<Bytes>(learners, kLongNs, [&](std::unique_ptr<Communicator>& me) {
        const std::vector<std::uint64_t> shares = EvenShares(count, learners);
        const auto begin =
            static_cast<std::ptrdiff_t>(std::accumulate(shares.begin(), shares.begin() + me->rank(), std::uint64_t{0}));
        const auto mine = static_cast<std::ptrdiff_t>(shares[static_cast<std::size_t>(me->rank())]);
        const Bytes part(truth.begin() + begin, truth.begin() + begin + mine);
        Bytes whole(count);
        EXPECT_TRUE(me->AllGather(part.data(), shares, whole.data()).ok());
        return whole;
      });
      for (const Bytes& whole : gathered) EXPECT_EQ(whole, truth) << learners << " learners, " << count << " bytes";
    }
  }
}

TEST(Group, GathersInPlace) {
  const auto gathered = RunLearners<Bytes>(3, kLongNs, [](std::unique_ptr<Communicator>& me) {
    Bytes whole(7, 0xFF);
    const std::vector<std::uint64_t> shares = {3, 0, 4};
    const std::size_t begin = me->rank() == 0 ? 0 : 3;
    for (std::size_t i = 0; i < shares[static_cast<std::size_t>(me->rank())]; ++i) {
      whole[begin + i] = static_cast<std::uint8_t>(begin + i);
    }
    EXPECT_TRUE(me->AllGather(whole.data() + begin, shares, whole.data()).ok());
    return whole;
  });
  for (const Bytes& whole : gathered) EXPECT_EQ(whole, (Bytes{0, 1, 2, 3, 4, 5, 6}));
}

TEST(Group, ReducesInTheOrderOfRanksToTheBit) {
  for (const int learners : kGroups) {
    for (const std::uint64_t count : kCounts) {
      const Floats truth = ReducedInOrder(learners, count);
      const auto sums = RunLearners<Floats>(learners, kLongNs, [&](std::unique_ptr<Communicator>& me) {
        const Floats mine = ValuesOf(me->rank(), count);
        Floats sum(count), in_place = mine;
        EXPECT_TRUE(me->AllReduce(mine.data(), sum.data(), count, DType::kF32, Reduction::kSum).ok());
        EXPECT_TRUE(me->AllReduce(in_place.data(), in_place.data(), count, DType::kF32, Reduction::kSum).ok());
        EXPECT_EQ(in_place, sum);
        return sum;
      });
      for (const Floats& sum : sums) EXPECT_EQ(sum, truth) << learners << " learners, " << count << " values";
    }
  }
}

TEST(Group, ScattersWhatItReducedByShares) {
  for (const int learners : kGroups) {
    constexpr std::uint64_t kCount = 1001;
    const Floats truth = ReducedInOrder(learners, kCount);
    RunLearners<int>(learners, kLongNs, [&](std::unique_ptr<Communicator>& me) {
      const std::vector<std::uint64_t> shares = EvenShares(kCount, learners);
      const Floats mine = ValuesOf(me->rank(), kCount);
      Floats part(shares[static_cast<std::size_t>(me->rank())]);
      EXPECT_TRUE(me->ReduceScatter(mine.data(), shares, DType::kF32, Reduction::kSum, part.data()).ok());
      const auto begin =
          truth.begin() + std::accumulate(shares.begin(), shares.begin() + me->rank(), std::ptrdiff_t{0});
      EXPECT_EQ(part, Floats(begin, begin + static_cast<std::ptrdiff_t>(part.size()))) << learners << " learners";
      return 0;
    });
  }
}

TEST(Group, TakesMinimaAndMaximaAndKeepsNaN) {
  const auto results = RunLearners<std::vector<double>>(3, kLongNs, [](std::unique_ptr<Communicator>& me) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const std::vector<double> values[] = {{1, nan, 3, 4}, {-2, 2, nan, 9}, {5, 5, 5, -1}};
    const std::vector<double>& mine = values[me->rank()];
    std::vector<double> low(4), high(4);
    EXPECT_TRUE(me->AllReduce(mine.data(), low.data(), 4, DType::kF64, Reduction::kMin).ok());
    EXPECT_TRUE(me->AllReduce(mine.data(), high.data(), 4, DType::kF64, Reduction::kMax).ok());
    low.insert(low.end(), high.begin(), high.end());
    return low;
  });
  for (const std::vector<double>& r : results) {
    EXPECT_EQ(r[0], -2);
    EXPECT_TRUE(std::isnan(r[1]) && std::isnan(r[2]) && std::isnan(r[5]) && std::isnan(r[6]));
    EXPECT_EQ(r[3], -1);
    EXPECT_EQ(r[4], 5);
    EXPECT_EQ(r[7], 9);
  }
}

TEST(Group, WrapsIntegersAround) {
  const auto sums = RunLearners<std::int32_t>(2, kLongNs, [](std::unique_ptr<Communicator>& me) {
    std::int32_t value = me->rank() == 0 ? std::numeric_limits<std::int32_t>::max() : 1;
    EXPECT_TRUE(me->AllReduce(&value, &value, 1, DType::kI32, Reduction::kSum).ok());
    return value;
  });
  for (const std::int32_t sum : sums) EXPECT_EQ(sum, std::numeric_limits<std::int32_t>::min());
}

TEST(Group, BroadcastsFromEveryRoot) {
  for (const int learners : kGroups) {
    const auto seen = RunLearners<Bytes>(learners, kLongNs, [&](std::unique_ptr<Communicator>& me) {
      Bytes all;
      for (int root = 0; root < learners; ++root) {
        Bytes data(5, static_cast<std::uint8_t>(100 + me->rank()));
        EXPECT_TRUE(me->Broadcast(data.data(), data.size(), root).ok());
        all.insert(all.end(), data.begin(), data.end());
      }
      return all;
    });
    for (const Bytes& all : seen) {
      for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], 100 + i / 5);
    }
  }
}

TEST(Group, LetsNobodyPastABarrierBeforeAllHaveCome) {
  if (!ShareMemory()) GTEST_SKIP() << "they share no counter";
  constexpr int kLearners = 5, kRounds = 200;
  std::atomic<int> came{0};
  RunLearners<int>(kLearners, kLongNs, [&](std::unique_ptr<Communicator>& me) {
    for (int round = 1; round <= kRounds; ++round) {
      ++came;
      EXPECT_TRUE(me->Barrier().ok());
      EXPECT_GE(came.load(), round * kLearners);
    }
    return 0;
  });
}

// What stands in memory that another learner reads may change once the call returned.
TEST(Group, ReadsNothingOfALearnerWhoseCallReturned) {
  static constexpr std::size_t kBytes = 4096;
  RunLearners<int>(3, kLongNs, [](std::unique_ptr<Communicator>& me) {
    const std::vector<std::uint64_t> shares(3, kBytes);
    for (int round = 0; round < 200; ++round) {
      auto part = std::make_unique<Bytes>(kBytes, static_cast<std::uint8_t>(round + me->rank()));
      Bytes whole(3 * kBytes);
      EXPECT_TRUE(me->AllGather(part->data(), shares, whole.data()).ok());
      std::memset(part->data(), 0xEF, kBytes);
      part.reset();
      for (std::size_t i = 0; i < whole.size(); i += 512) {
        EXPECT_EQ(whole[i], static_cast<std::uint8_t>(round + static_cast<int>(i / kBytes)));
      }
    }
    return 0;
  });
}

TEST(ThreadGroup, OfNobodyIsRefused) { EXPECT_EQ(MakeThreadGroup(0).status().code(), StatusCode::kInvalidArgument); }

TEST(Group, RefusesWhatItCannotReduce) {
  const auto group = MembersHere(1, kLongNs);
  if (group.empty()) GTEST_SKIP() << "this process is not in a group of one";
  std::uint16_t value = 0;
  const Status status = group[0]->AllReduce(&value, &value, 1, DType::kBF16, Reduction::kSum);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(status.message()).find("bf16"), std::string::npos) << status;
  EXPECT_EQ(group[0]->Broadcast(&value, 2, 1).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(group[0]->AllGather(&value, {1, 1}, &value).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(group[0]->Barrier().ok()) << "a call that could not be made breaks nothing";
}

}  // namespace
}  // namespace tierlib::comm
