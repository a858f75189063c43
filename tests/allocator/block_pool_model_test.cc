// The pool against a model: every address that it hands out is predicted, and the capacity that its statistics call
// sufficient is checked to be sufficient and no less to be.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/pool_under_test.h"

namespace tierlib {
namespace {

// The fit in its plainest form: a map of live blocks, searched from the start.
class Model {
 public:
  explicit Model(std::size_t capacity) : capacity_(capacity) {}

  std::optional<std::size_t> Allocate(std::size_t bytes, std::size_t alignment = 256) {
    bytes = bytes == 0 ? 256 : (bytes + 255) / 256 * 256;
    const auto aligned = [alignment](std::size_t offset) { return (offset + alignment - 1) / alignment * alignment; };
    std::optional<std::size_t> lowest;
    std::size_t end = 0;
    for (const auto& [offset, block_bytes] : live_) {
      if (aligned(end) + bytes <= offset && !lowest.has_value()) lowest = aligned(end);
      end = offset + block_bytes;
    }
    if (!lowest.has_value()) {
      if (aligned(end) + bytes > capacity_) return std::nullopt;
      lowest = aligned(end);
    }
    live_[*lowest] = bytes;
    live_bytes_ += bytes;
    return lowest;
  }
  void Free(std::size_t offset) {
    live_bytes_ -= live_.at(offset);
    live_.erase(offset);
  }
  std::size_t live_bytes() const { return live_bytes_; }
  const std::map<std::size_t, std::size_t>& live() const { return live_; }

 private:
  const std::size_t capacity_;
  std::map<std::size_t, std::size_t> live_;
  std::size_t live_bytes_ = 0;
};

std::size_t RandomSize(std::mt19937_64& random) {
  return static_cast<std::size_t>(std::exp2(static_cast<double>(random() % 1200) / 100.0 + 4));
}

TEST(BlockPoolModel, HandsOutTheAddressesOfThePlainFit) {
  const int operations = 1'000'000 / TIERLIB_RANDOM_SCALE;
  for (const std::uint64_t seed : {1, 2, 3}) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    const std::size_t capacity = KiB(800) + 256 * seed;
    PoolUnderTest test = MakePoolUnderTest(capacity, ShapeOnly(), 3);
    Model model(capacity);
    std::vector<std::size_t> live;
    int refused = 0;
    for (int i = 0; i < operations / 3; ++i) {
      const Stream stream = test.streams[random() % test.streams.size()];
      // Drift between nearly empty and full.
      const bool allocate = live.empty() || random() % 100 < ((i / 1000) % 2 == 0 ? 60u : 45u);
      if (allocate) {
        const std::size_t bytes = RandomSize(random);
        const std::size_t alignment = random() % 4 == 0 ? std::size_t{256} << random() % 5 : 256;
        const std::optional<std::size_t> expected = model.Allocate(bytes, alignment);
        const StatusOr<void*> block = test.pool->Allocate(bytes, stream, trace::Tag::kNone, alignment);
        ASSERT_EQ(block.ok(), expected.has_value()) << "operation " << i;
        refused += block.ok() ? 0 : 1;
        if (!block.ok()) continue;
        ASSERT_EQ(test.OffsetOf(*block), *expected) << "operation " << i;
        live.push_back(*expected);
      } else {
        const std::size_t victim = random() % live.size();
        test.pool->Free(test.base + live[victim], {stream});
        model.Free(live[victim]);
        live[victim] = live.back();
        live.pop_back();
      }
      if (i % 64 == 0) test.pool->CheckInvariants();
      const TierStatistics now = test.pool->Snapshot();
      ASSERT_EQ(now.live + now.waste, model.live_bytes());
      ASSERT_EQ(now.live + now.waste + now.cached + now.pending, now.reserved) << "operation " << i;
    }
    EXPECT_GT(refused, 0) << "the walk never filled the tier";
  }
}

// A sequence of calls: a size to allocate, or the index of the allocation to free.
struct Call {
  bool allocate = false;
  std::size_t value = 0;
};

std::vector<Call> RandomCalls(std::uint64_t seed, int count) {
  std::mt19937_64 random(seed);
  std::vector<Call> calls;
  std::vector<std::size_t> live;
  std::size_t allocations = 0;
  for (int i = 0; i < count; ++i) {
    if (live.empty() || random() % 100 < 53) {
      calls.push_back({true, RandomSize(random)});
      live.push_back(allocations++);
    } else {
      const std::size_t victim = random() % live.size();
      calls.push_back({false, live[victim]});
      live[victim] = live.back();
      live.pop_back();
    }
  }
  return calls;
}

// Statistics at the end, or nothing where an allocation failed; with the addresses.
std::optional<TierStatistics> Play(const std::vector<Call>& calls, std::uint64_t capacity,
                                   std::vector<std::size_t>* offsets) {
  PoolUnderTest test = MakePoolUnderTest(capacity, ShapeOnly(), 1);
  offsets->clear();
  for (const Call& call : calls) {
    if (call.allocate) {
      const StatusOr<void*> block = test.pool->Allocate(call.value, test.streams[0]);
      if (!block.ok()) return std::nullopt;
      offsets->push_back(test.OffsetOf(*block));
    } else {
      test.pool->Free(test.base + (*offsets)[call.value], {test.streams[0]});
    }
  }
  test.pool->CheckInvariants();
  return test.pool->statistics();
}

TEST(BlockPoolModel, ExtentPeakIsExactlyTheCapacityThatSuffices) {
  for (std::uint64_t seed = 1; seed <= 200 / TIERLIB_RANDOM_SCALE + 1; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const std::vector<Call> calls = RandomCalls(seed, 1000);
    std::vector<std::size_t> offsets;
    const std::optional<TierStatistics> ample = Play(calls, GiB(1), &offsets);
    ASSERT_TRUE(ample.has_value());
    ASSERT_GT(ample->extent_peak, ample->live_peak - 1);
    std::vector<std::size_t> tight_offsets;
    const std::optional<TierStatistics> tight = Play(calls, ample->extent_peak, &tight_offsets);
    ASSERT_TRUE(tight.has_value()) << "extent_peak did not suffice";
    EXPECT_EQ(tight_offsets, offsets);
    EXPECT_EQ(tight->extent_peak, ample->extent_peak);
    EXPECT_FALSE(Play(calls, ample->extent_peak - 256, &tight_offsets).has_value());
  }
}

TEST(BlockPoolModel, TheSameCallsGiveTheSameAddressesOnEverySchedule) {
  const std::vector<Call> calls = RandomCalls(77, 2000);
  std::vector<std::size_t> expected;
  ASSERT_TRUE(Play(calls, MiB(64), &expected).has_value());
  for (const EmulatedSchedule schedule : {EmulatedSchedule::kThreaded, EmulatedSchedule::kDeterministic}) {
    PoolUnderTest test = MakePoolUnderTest(MiB(64), {.schedule = schedule, .kernel_threads = 1}, 3);
    std::vector<std::size_t> offsets;
    std::mt19937_64 random(1);
    for (const Call& call : calls) {
      const Stream stream = test.streams[random() % 3];
      if (call.allocate) {
        void* block = test.pool->Allocate(call.value, stream).value();
        offsets.push_back(test.OffsetOf(block));
        ASSERT_TRUE(test.device->Fill(block, 1, call.value, stream).ok());
      } else {
        test.pool->Free(test.base + offsets[call.value], {stream, test.streams[random() % 3]});
        if (random() % 4 == 0) test.pool->Tick(stream);
      }
    }
    EXPECT_EQ(offsets, expected);
    test.pool->CheckInvariants();
  }
}

}  // namespace
}  // namespace tierlib
