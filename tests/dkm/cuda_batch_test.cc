// Several weights in one launch of each kernel of the exact form: the bits of single launches, in whatever order blocks
// of all of them run.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "dkm/cuda_problem.h"

namespace tierlib::dkm::cuda {
namespace {

constexpr double kDeviation = 0.02;

template <typename T>
bool SameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// A grid that counts its launches.
class CountingGrid {
 public:
  CountingGrid(DeviceLimits limits, std::uint64_t seed) : grid_(limits, seed) {}
  const DeviceLimits& limits() const { return grid_.limits(); }
  template <class Kernel>
  Status Run(const Kernel& kernel, int blocks, std::size_t shared_bytes = sizeof(typename Kernel::Shared)) {
    ++launches;
    return grid_.Run(kernel, blocks, shared_bytes);
  }

  int launches = 0;

 private:
  SequentialGrid grid_;
};

// Shapes that have little in common: sizes, tables, numbers of iterations, types, and what passes are skipped.
std::vector<ExactShape> Shapes() {
  return {
      {{9'001 / TIERLIB_RANDOM_SCALE + 7, 1, 8, 3, Metric::kSquared, Attention::kLast, 1e-4},
       DType::kBF16,
       DType::kBF16},
      {{1, 1, 2, 5, Metric::kSquared, Attention::kRecomputed, 1e-3}, DType::kF16, DType::kF16},
      {{2'500, 1, 32, 2, Metric::kEuclidean, Attention::kLast, 2e-3}, DType::kF32, DType::kBF16},
      {{700, 1, 4, 6, Metric::kSquared, Attention::kLast, 1e-4, 4e-3}, DType::kBF16, DType::kBF16},  // ends early
      {{333, 1, 16, 1, Metric::kSquared, Attention::kRecomputed, 1e-4, 0, 1e-3, 3e-5}, DType::kF32, DType::kF16},
  };
}

std::vector<std::unique_ptr<ExactWeight>> Weights() {
  std::vector<std::unique_ptr<ExactWeight>> weights;
  std::uint64_t seed = 60;
  for (const ExactShape& shape : Shapes()) {
    const std::int64_t count = shape.table.vectors;
    weights.push_back(std::make_unique<ExactWeight>(
        shape, host::NormalValues(seed, count, kDeviation), host::EvenStart(shape.table.clusters, kDeviation),
        host::NormalValues(seed + 1, count, 1), /*nearest=*/false, DType::kF32, /*shift=*/seed % 4));
    seed += 2;
  }
  return weights;
}

TEST(Batch, EachBlockOfEachKernelHasAPlaceAndIsThereOnce) {
  for (const int each : {1, 3, 64}) {
    std::set<std::pair<int, int>> seen;
    for (int block = 0; block < 7 * each; ++block) {
      const BatchPlace place = PlaceInBatch(block, each);
      EXPECT_GE(place.kernel, 0);
      EXPECT_LT(place.kernel, 7);
      EXPECT_GE(place.block, 0);
      EXPECT_LT(place.block, each);
      EXPECT_TRUE(seen.emplace(place.kernel, place.block).second);
    }
  }
}

TEST(Batch, BytesReachADeviceWhateverTheirNumber) {
  for (const std::size_t words : {std::size_t{1}, std::size_t{448}, std::size_t{449}, std::size_t{1500}}) {
    std::vector<std::uint64_t> from(words), to(words + 1, 7);
    for (std::size_t i = 0; i < words; ++i) from[i] = 1000 + i;
    SequentialGrid grid({}, 3);
    ASSERT_TRUE(StoreBytes(grid, from.data(), words * 8, to.data()).ok());
    EXPECT_EQ(std::vector<std::uint64_t>(to.begin(), to.end() - 1), from);
    EXPECT_EQ(to.back(), 7u);
  }
}

TEST(ExactBatch, HasTheBitsOfSingleLaunches) {
  for (const DeviceLimits limits : {DeviceLimits{3, 48 * 1024}, DeviceLimits{132, 227 * 1024}}) {
    if (TIERLIB_RANDOM_SCALE > 1 && limits.processors > 3) continue;  // takes long in a sanitizer build
    const auto alone = Weights(), together = Weights();
    const std::size_t count = alone.size();
    std::vector<ExactForwardArguments> forward;
    std::vector<ExactBackwardArguments> backward;
    for (const auto& weight : together) {
      forward.push_back(weight->forward);
      backward.push_back(weight->backward);
    }
    SequentialGrid grid(limits, 5);
    Rubbish list(ExactForwardBatchBytes(count)), backward_list(ExactBackwardBatchBytes(count));
    ASSERT_TRUE(RunExactForwardBatch<SequentialGrid>(grid, forward, list.data()).ok());
    ASSERT_TRUE(RunExactBackwardBatch<SequentialGrid>(grid, backward, backward_list.data()).ok());
    for (std::size_t i = 0; i < count; ++i) {
      SequentialGrid single(limits);
      ASSERT_TRUE(RunExactForward(single, alone[i]->forward).ok());
      ASSERT_TRUE(RunExactBackward(single, alone[i]->backward).ok());
      const ExactOutcome &a = together[i]->outcome, &b = alone[i]->outcome;
      EXPECT_TRUE(SameBits(a.trajectory, b.trajectory)) << i;
      EXPECT_TRUE(SameBits(a.newest, b.newest)) << i;
      EXPECT_TRUE(SameBits(a.output, b.output)) << i;
      EXPECT_TRUE(SameBits(a.weight_gradient, b.weight_gradient)) << i;
      EXPECT_TRUE(SameBits(a.start_gradient, b.start_gradient)) << i;
      EXPECT_EQ(a.iterations_run, b.iterations_run) << i;
      EXPECT_EQ(a.non_finite, host::kAllFinite) << i;
      // What a replay needs is there, too.
      ASSERT_TRUE(RunExactReplay(single, together[i]->replay).ok());
      EXPECT_TRUE(SameBits(a.replayed, b.output)) << i;
    }
  }
}

// As many launches as the weight with the most iterations takes, and those that bring the list.
TEST(ExactBatch, LaunchesAsOftenAsOneWeight) {
  const auto weights = Weights();
  std::vector<ExactForwardArguments> forward;
  std::vector<ExactBackwardArguments> backward;
  int most = 0, most_backward = 0;
  for (const auto& weight : weights) {
    CountingGrid one({}, 0), one_backward({}, 0);
    ASSERT_TRUE(RunExactForward(one, weight->forward).ok());
    ASSERT_TRUE(RunExactBackward(one_backward, weight->backward).ok());
    most = std::max(most, one.launches);
    most_backward = std::max(most_backward, one_backward.launches);
    forward.push_back(weight->forward);
    backward.push_back(weight->backward);
  }
  const auto stores = [](std::size_t bytes) { return static_cast<int>((bytes / 8 - 1) / StoreWords::kMost + 1); };
  Rubbish list(ExactForwardBatchBytes(forward.size())), backward_list(ExactBackwardBatchBytes(forward.size()));
  CountingGrid batch({}, 0), batch_backward({}, 0);
  ASSERT_TRUE(RunExactForwardBatch<CountingGrid>(batch, forward, list.data()).ok());
  ASSERT_TRUE(RunExactBackwardBatch<CountingGrid>(batch_backward, backward, backward_list.data()).ok());
  EXPECT_EQ(batch.launches, most + stores(ExactForwardBatchBytes(forward.size())));
  // One weight collects in a pass of its own, another has the most iterations.
  EXPECT_GE(batch_backward.launches, most_backward + stores(ExactBackwardBatchBytes(forward.size())));
  EXPECT_LE(batch_backward.launches, most_backward + 1 + stores(ExactBackwardBatchBytes(forward.size())));
}

TEST(ExactBatch, NamesTheWeightThatIsNotFiniteToItsOwnWord) {
  const ExactShape shape = Shapes()[3];
  auto bad = host::NormalValues(1, 700, kDeviation);
  bad[500] = kNaN<double>;
  const auto start = host::EvenStart(4, kDeviation);
  ExactWeight first(shape, host::NormalValues(2, 700, kDeviation), start, bad), second(shape, bad, start, bad);
  const ExactForwardArguments batch[] = {first.forward, second.forward};
  Rubbish list(ExactForwardBatchBytes(2));
  SequentialGrid grid({}, 9);
  ASSERT_TRUE(RunExactForwardBatch<SequentialGrid>(grid, batch, list.data()).ok());
  EXPECT_EQ(first.outcome.non_finite, host::kAllFinite);
  EXPECT_EQ(second.outcome.non_finite, 500);
}

TEST(ExactBatch, RefusesAWeightByItsPlaceAndRunsNothing) {
  const auto weights = Weights();
  std::vector<ExactForwardArguments> forward;
  std::vector<ExactBackwardArguments> backward;
  for (const auto& weight : weights) {
    forward.push_back(weight->forward);
    backward.push_back(weight->backward);
  }
  forward[2].shape.table.clusters = 257;
  backward[4].shape.table.dim = 2;
  Rubbish list(ExactBackwardBatchBytes(forward.size()));
  CountingGrid grid({}, 0);
  const auto refused = [&](const Status& status, const std::string& words) {
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status;
    EXPECT_NE(std::string(status.message()).find(words), std::string::npos) << status;
  };
  refused(RunExactForwardBatch<CountingGrid>(grid, forward, list.data()), "weight 2 of a batch of 5: dkm on a CUDA");
  refused(RunExactBackwardBatch<CountingGrid>(grid, backward, list.data()), "weight 4 of a batch of 5: dkm exact");
  EXPECT_TRUE(RunExactForwardBatch<CountingGrid>(grid, {}, nullptr).ok());
  EXPECT_TRUE(RunExactBackwardBatch<CountingGrid>(grid, {}, nullptr).ok());
  EXPECT_EQ(grid.launches, 0);
}

}  // namespace
}  // namespace tierlib::dkm::cuda
