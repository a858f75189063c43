// Losses, gradients and trained parameters are equal to the bit whatever is offloaded, however work is scheduled, and
// for any number of threads; and the ledger closes.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "autograd/models.h"

namespace tierlib::autograd {
namespace {

constexpr int kSteps = 3;

void ExpectSameBits(const RunRecord& run, const RunRecord& reference, const std::string& what) {
  ASSERT_TRUE(run.status.ok()) << what << ": " << run.status;
  ASSERT_EQ(run.bits.size(), reference.bits.size()) << what;
  for (std::size_t i = 0; i < run.bits.size(); ++i) {
    ASSERT_EQ(run.bits[i], reference.bits[i]) << what << ": record " << i << " of " << run.bits.size();
  }
}

void ExpectLedgerCloses(const RunRecord& run, const std::string& what) {
  const Ledger& ledger = run.statistics.total;
  EXPECT_EQ(ledger.naive,
            ledger.moved + ledger.avoided_identity + ledger.avoided_lineage + ledger.frees_nothing + ledger.kept)
      << what;
  EXPECT_EQ(ledger.engine_out, ledger.moved) << what;
  EXPECT_EQ(ledger.engine_in, ledger.moved_in) << what;
}

Options With(OffloadMode mode, OffloadPolicy policy = OffloadPolicy::kAll, Options options = SmallOptions()) {
  options.mode = mode;
  options.policy = policy;
  return options;
}

// Copies go whole, in chunks, or gathered, by `which`: 0, 1, 2 and on.
Options WithCopies(std::uint64_t which, Options options) {
  if (which % 3 == 1) options.devices[0].chunk_bytes = 1000;
  if (which % 3 == 2) options.devices[0].coalesce_bytes = KiB(256);
  return options;
}

// Every mode, threads 1 to 3, and seeded schedules with closed and poisoned memory; copies of every kind in each.
template <typename Run>
void ExpectEqualEverywhere(const Run& train) {
  const RunRecord reference = train(With(OffloadMode::kOff));
  ASSERT_TRUE(reference.status.ok()) << reference.status;
  ExpectSameBits(train(With(OffloadMode::kOff)), reference, "a second run");
  for (int threads = 1; threads <= 3; ++threads) {
    for (const OffloadMode mode : {OffloadMode::kOff, OffloadMode::kNaive, OffloadMode::kMarshal}) {
      Options options = WithCopies(static_cast<std::uint64_t>(threads), With(mode));
      options.devices[0].emulated.kernel_threads = threads;
      const RunRecord run = train(options);
      const std::string what =
          "mode " + std::to_string(static_cast<int>(mode)) + ", threads " + std::to_string(threads);
      ExpectSameBits(run, reference, what);
      ExpectLedgerCloses(run, what);
      if (mode != OffloadMode::kOff) {
        EXPECT_GT(run.statistics.total.moved, 0u) << what;
      }
    }
  }
  const std::uint64_t seeds = std::max(1, 6 / TIERLIB_RANDOM_SCALE);
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    for (const OffloadMode mode : {OffloadMode::kNaive, OffloadMode::kMarshal}) {
      const RunRecord run = train(WithCopies(seed, With(mode, OffloadPolicy::kAll, StrictOptions(seed))));
      ExpectSameBits(run, reference,
                     "strict, mode " + std::to_string(static_cast<int>(mode)) + ", seed " + std::to_string(seed));
    }
  }
}

TEST(OffloadEquality, HoldsForAPerceptron) {
  ExpectEqualEverywhere([](const Options& options) { return TrainMlp(options, kSteps); });
}

TEST(OffloadEquality, HoldsForATransformerWithFusedAttention) {
  ExpectEqualEverywhere([](const Options& options) { return TrainGpt(options, ModelOptions(), kSteps); });
}

TEST(OffloadEquality, HoldsForATransformerWithComposedAttention) {
  ModelOptions model;
  model.form = AttentionForm::kComposed;
  model.batch = 2;
  ExpectEqualEverywhere([&](const Options& options) { return TrainGpt(options, model, kSteps); });
}

TEST(OffloadEquality, HoldsForATransformerInBfloat16) {
  ModelOptions model;
  model.dtype = DType::kBF16;
  const auto train = [&](const Options& options) { return TrainGpt(options, model, kSteps); };
  const RunRecord reference = train(With(OffloadMode::kOff));
  ExpectSameBits(train(With(OffloadMode::kNaive)), reference, "naive");
  ExpectSameBits(train(With(OffloadMode::kMarshal)), reference, "marshal");
}

// Policy fit on a device that is too small without offload: the same bits, and something did move.
TEST(OffloadEquality, HoldsWhenMemoryIsTight) {
  ModelOptions model;
  model.layers = 4;
  model.length = 32;
  const auto train = [&](const Options& options) { return TrainGpt(options, model, kSteps); };
  const RunRecord reference = train(With(OffloadMode::kOff));
  ASSERT_TRUE(reference.status.ok()) << reference.status;
  Options tight = With(OffloadMode::kMarshal, OffloadPolicy::kFit);
  tight.devices[0].capacity = reference.statistics.device.extent_peak * 6 / 10;
  const RunRecord run = train(tight);
  ExpectSameBits(run, reference, "fit at 60 %");
  EXPECT_GT(run.statistics.total.moved, 0u);

  Options off = With(OffloadMode::kOff);
  off.devices[0].capacity = tight.devices[0].capacity;
  EXPECT_EQ(train(off).status.code(), StatusCode::kResourceExhausted);
}

TEST(OffloadEquality, MovesNothingWhenMemoryIsAmple) {
  const RunRecord run = TrainGpt(With(OffloadMode::kMarshal, OffloadPolicy::kFit), ModelOptions(), 1);
  ASSERT_TRUE(run.status.ok()) << run.status;
  EXPECT_EQ(run.statistics.total.moved, 0u);
  EXPECT_GT(run.statistics.total.kept, 0u);
}

}  // namespace
}  // namespace tierlib::autograd
