// Marshaling, uniquification and sharding of a dense chain's saved values: one result, and the bytes of the formulas.
#include "dkm/map_codec.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "comm/learners.h"
#include "dkm/dense_chain_learner.h"
#include "tierlib/comm/thread_group.h"

namespace tierlib::dkm {
namespace {

using autograd::SmallOptions;
using autograd::StrictOptions;
using autograd::Tape;
using autograd::Tensor;
using autograd::TestDevice;
using autograd::Value;

constexpr std::uint64_t kDeadlineNs = 100'000'000'000;

// Everybody's run, with M by the options' mode, U by the case, and S where there is more than one learner.
std::vector<LearnerRun> RunAll(const LearnerCase& one, const tierlib::Options& options, int learners) {
  return comm::RunLearners<LearnerRun>(learners, kDeadlineNs, [&](std::unique_ptr<comm::Communicator>& me) {
    LearnerCase mine = one;
    if (learners > 1) mine.chain_options.sharding = {.learners = me.get(), .minimum_bytes = 1};
    LearnerRun run = RunLearner(mine, options);
    if (!run.status.ok()) me.reset();
    return run;
  });
}

tierlib::Options InMode(OffloadMode mode) {
  tierlib::Options options = SmallOptions();
  options.mode = mode;
  options.devices[0].emulated.find_races = true;
  return options;
}

std::string Describe(const LearnerCase& one) {
  return std::string(one.chain == PaperChain ? "paper" : "reference") + " " + DTypeName(one.dtype) +
         " T=" + std::to_string(one.chain_options.iterations) +
         (one.chain_options.contiguous_transpose ? " contiguous" : "");
}

std::vector<LearnerCase> ChainCases() {
  std::vector<LearnerCase> cases;
  for (const ChainFunction chain : {ReferenceChain, PaperChain}) {
    for (const DType dtype : {DType::kBF16, DType::kF32}) {
      for (const bool contiguous : {false, true}) {
        LearnerCase one{.chain = chain, .chain_options = {1e-4, contiguous ? 2 : 1}, .dtype = dtype, .vectors = 6001};
        one.chain_options.contiguous_transpose = contiguous;
        cases.push_back(one);
      }
    }
  }
  return cases;
}

TEST(MapCodec, AllEightCombinationsGiveTheSameBits) {
  for (LearnerCase one : ChainCases()) {
    const LearnerRun kept = RunLearner(one, InMode(OffloadMode::kOff));
    ASSERT_TRUE(kept.status.ok()) << kept.status;
    for (const OffloadMode mode : {OffloadMode::kNaive, OffloadMode::kMarshal}) {
      std::uint64_t whole = 0;  // moved without U and S
      for (const bool uniquify : {false, true}) {
        one.chain_options.uniquify = uniquify;
        for (const int learners : {1, 2, 3}) {
          for (const LearnerRun& run : RunAll(one, InMode(mode), learners)) {
            const std::string name = Describe(one) + (mode == OffloadMode::kMarshal ? " M" : "") +
                                     (uniquify ? " U" : "") + (learners > 1 ? " S" : "");
            ASSERT_TRUE(run.status.ok()) << name << ": " << run.status;
            EXPECT_EQ(run.output, kept.output) << name;
            EXPECT_EQ(run.centroids, kept.centroids) << name;
            EXPECT_EQ(run.weight_gradient, kept.weight_gradient) << name;
            if (whole == 0) whole = run.moved;
            if (uniquify || learners > 1) {
              EXPECT_LT(run.moved, whole * 4 / 5) << name << " saves nothing";
            }
          }
        }
      }
    }
  }
}

// A seeded order of all work, closed device memory and poisoned blocks: finds a missing wait, and a kernel that touches
// what it did not name.
TEST(MapCodec, HoldsInStrictMode) {
  for (LearnerCase one : ChainCases()) {
    if (one.dtype == DType::kF32) continue;
    one.vectors = 3001;
    one.chain_options.uniquify = true;
    const LearnerRun kept = RunLearner(one, InMode(OffloadMode::kOff));
    for (const int learners : {1, 2}) {
      for (const LearnerRun& run : RunAll(one, StrictOptions(7), learners)) {
        ASSERT_TRUE(run.status.ok()) << run.status;
        EXPECT_EQ(run.weight_gradient, kept.weight_gradient) << Describe(one);
      }
    }
  }
}

// --- Bytes -----------------------------------------------------------------------------------------------------------

constexpr std::int64_t kVectors = 60'001, kClusters = 4, kElement = 2;
constexpr std::uint64_t kMap = kVectors * kClusters * kElement, kW = kVectors * kElement;

LearnerCase LargePaperCase(int iterations, bool uniquify) {
  LearnerCase one{.chain = PaperChain, .chain_options = {1e-4, iterations}, .vectors = kVectors};
  one.chain_options.uniquify = uniquify;
  return one;
}

std::uint64_t DistinctWeights() {
  const std::vector<std::uint16_t> w = HalfNormals(4, kVectors, 0.02);
  return std::set<std::uint16_t>(w.begin(), w.end()).size();
}

// Beside the maps the chain saves, per iteration: a few sets of k numbers.
constexpr std::uint64_t SmallBytes(int iterations) { return static_cast<std::uint64_t>(iterations) * 16 * kClusters; }

// T iterations: 5T + 1 maps and 2T copies of W naively, 2T maps and one W with M, and a share of that with S.
TEST(MapCodec, KeepsByTheFormulas) {
  for (const int iterations : {1, 3}) {
    const auto t = static_cast<std::uint64_t>(iterations);
    const LearnerRun naive = RunLearner(LargePaperCase(iterations, false), InMode(OffloadMode::kNaive));
    EXPECT_GE(naive.moved, (5 * t + 1) * kMap + 2 * t * kW);
    EXPECT_LE(naive.moved, (5 * t + 1) * kMap + 2 * t * kW + 2 * SmallBytes(iterations));
    const LearnerRun marshaled = RunLearner(LargePaperCase(iterations, false), InMode(OffloadMode::kMarshal));
    EXPECT_GE(marshaled.moved, 2 * t * kMap + kW);
    EXPECT_LE(marshaled.moved, 2 * t * kMap + kW + SmallBytes(iterations));
    for (const int learners : {2, 3, 8}) {
      const auto l = static_cast<std::uint64_t>(learners);
      std::uint64_t all = 0;
      for (const LearnerRun& run : RunAll(LargePaperCase(iterations, false), InMode(OffloadMode::kMarshal), learners)) {
        ASSERT_TRUE(run.status.ok()) << run.status;
        EXPECT_NEAR(static_cast<double>(run.moved), static_cast<double>(2 * t * kMap + kW) / static_cast<double>(l),
                    static_cast<double>((2 * t + 1) * kElement + SmallBytes(iterations)));
        all += run.moved;
      }
      EXPECT_EQ(all, marshaled.moved) << "the shares of " << learners << " learners are not the whole";
    }
  }
}

// 2T tables, the distinct values, and W, which is the index list.
TEST(MapCodec, KeepsTablesInPlaceOfMaps) {
  const std::uint64_t distinct = DistinctWeights();
  for (const int iterations : {1, 3}) {
    const std::uint64_t tables = 2 * static_cast<std::uint64_t>(iterations) * distinct * kClusters * kElement;
    const std::uint64_t whole = tables + distinct * 2 + kW;
    const LearnerRun run = RunLearner(LargePaperCase(iterations, true), InMode(OffloadMode::kMarshal));
    EXPECT_GE(run.moved, whole);
    EXPECT_LE(run.moved, whole + SmallBytes(iterations));
    EXPECT_GE(run.host_bytes, run.moved);
    std::uint64_t all = 0;
    for (const LearnerRun& share : RunAll(LargePaperCase(iterations, true), InMode(OffloadMode::kMarshal), 8)) {
      EXPECT_NEAR(static_cast<double>(share.moved), static_cast<double>(run.moved) / 8, 2000);
      all += share.moved;
    }
    EXPECT_EQ(all, run.moved);
  }
}

// A parameter stays on the device: nothing of size N is kept, and nothing of it is gathered.
TEST(MapCodec, KeepsNothingOfAParameter) {
  LearnerCase one = LargePaperCase(2, true);
  one.holds = Holds::kPersistent;
  const std::uint64_t tables = 4 * DistinctWeights() * kClusters * kElement + DistinctWeights() * 2;
  const LearnerRun run = RunLearner(one, InMode(OffloadMode::kMarshal));
  EXPECT_GE(run.moved, tables);
  EXPECT_LE(run.moved, tables + SmallBytes(2));
  std::uint64_t all = 0;
  for (const LearnerRun& share : RunAll(one, InMode(OffloadMode::kMarshal), 3)) {
    ASSERT_TRUE(share.status.ok()) << share.status;
    EXPECT_EQ(share.weight_gradient, run.weight_gradient);
    all += share.moved;
  }
  EXPECT_EQ(all, run.moved);
}

// Nobody else is there: a collective would fail.
TEST(MapCodec, GathersNothingOfAParameter) {
  std::vector<std::unique_ptr<comm::Communicator>> group = comm::MakeThreadGroup(2).value();
  group.pop_back();
  LearnerCase one = LargePaperCase(1, true);
  one.chain_options.sharding = {.learners = group[0].get(), .minimum_bytes = kW};  // tables are smaller
  EXPECT_EQ(RunLearner(one, InMode(OffloadMode::kMarshal)).status.code(), StatusCode::kUnavailable);
  one.holds = Holds::kPersistent;
  const LearnerRun run = RunLearner(one, InMode(OffloadMode::kMarshal));
  EXPECT_TRUE(run.status.ok()) << run.status;
}

// --- Where a map is not what it seems -------------------------------------------------------------------------------

// Vectors of two numbers and weights of 32 bits have no table.
TEST(MapCodec, FallsBackWhereThereAreNoSixteenBits) {
  LearnerCase pairs{.chain_options = {1e-4, 1}, .vectors = 300, .dim = 2};
  const LearnerRun kept = RunLearner(pairs, InMode(OffloadMode::kMarshal));
  pairs.chain_options.uniquify = true;
  const LearnerRun run = RunLearner(pairs, InMode(OffloadMode::kMarshal));
  EXPECT_EQ(run.moved, kept.moved);
  EXPECT_EQ(run.weight_gradient, kept.weight_gradient);
}

class MapCodecOps : public testing::Test {
 protected:
  // d(sum(w * x)) / dw for x saved over w's codec, which is x to the bit.
  std::vector<std::uint8_t> GradientOfProduct(const std::vector<float>& w, const std::vector<float>& x, std::int64_t k,
                                              std::uint64_t* moved) {
    const auto n = static_cast<std::int64_t>(w.size());
    TestDevice device(InMode(OffloadMode::kMarshal));
    autograd::Parameter maps{"maps", device.Make<float>(DType::kF32, {n, k}, x), {}};
    Tape tape(device.context());
    const Value weights = tape.Constant(device.Make<float>(DType::kF32, {n, 1}, w));
    MapCodec codec(device.context(), weights.tensor(), /*uniquify=*/true, {});
    Value loss;
    {
      const autograd::SavedCodecScope keep_by(tape, &codec);
      loss = Sum(Square(tape.Leaf(maps)));
    }
    *moved = device.runtime().statistics().total.moved;
    EXPECT_TRUE(tape.Backward(loss).ok());
    return autograd::ReadBytes(maps.gradient);
  }

  static std::vector<std::uint8_t> Twice(const std::vector<float>& x) {
    std::vector<std::uint8_t> bytes(x.size() * sizeof(float));
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float twice = 2 * x[i];
      std::memcpy(bytes.data() + i * sizeof(float), &twice, sizeof(float));
    }
    return bytes;
  }
};

// One row differs from the others of its weight in one number: seen, and kept as it is.
TEST_F(MapCodecOps, FindsAMapThatIsNoFunctionOfTheWeights) {
  const std::vector<float> w = {1, 2, 1, 2, 1, 2, 1, 2};
  std::vector<float> x;
  for (const float value : w) x.insert(x.end(), {value, 10 * value, -value, 0, 7});
  std::uint64_t moved = 0;
  EXPECT_EQ(GradientOfProduct(w, x, 5, &moved), Twice(x));
  EXPECT_LT(moved, 5 * 8 * sizeof(float)) << "a map was kept whole";
  x[33] += 0.5f;
  EXPECT_EQ(GradientOfProduct(w, x, 5, &moved), Twice(x));
  EXPECT_EQ(moved, 5 * 8 * sizeof(float));
  x[33] -= 0.5f;
  x[33] = -0.0f;  // equal as a number, and other bits
  x[8] = x[18] = x[28] = x[38] = 0.0f;
  EXPECT_EQ(GradientOfProduct(w, x, 5, &moved), Twice(x));
}

TEST_F(MapCodecOps, LooksAtAllBitsOfAWeight) {
  const std::vector<float> w = {1, 1 + 0x1p-20f, 1, 1 + 0x1p-20f, 1, 1, 1, 1};  // equal in their upper halves
  std::vector<float> x;
  for (const float value : w) x.insert(x.end(), {value, value, value, value, value});
  std::uint64_t moved = 0;
  EXPECT_EQ(GradientOfProduct(w, x, 5, &moved), Twice(x));
  EXPECT_EQ(moved, 5 * 8 * sizeof(float));
}

// --- Learners that do not keep up -----------------------------------------------------------------------------------

// The collectives of all learners are the same ones, so whoever is missing is missed by name, and nobody hangs.
TEST(MapCodec, ALearnerThatDiesBeforeBackwardIsAStatusOfTheOthers) {
  const LearnerCase one = ChainCases().front();
  const auto runs = comm::RunLearners<LearnerRun>(3, kDeadlineNs, [&](std::unique_ptr<comm::Communicator>& me) {
    if (me->rank() == 1) {
      me.reset();
      return LearnerRun();
    }
    LearnerCase mine = one;
    mine.chain_options.sharding = {.learners = me.get(), .minimum_bytes = 1};
    return RunLearner(mine, InMode(OffloadMode::kMarshal));
  });
  for (const std::size_t rank : {0, 2}) {
    EXPECT_EQ(runs[rank].status.code(), StatusCode::kUnavailable);
    EXPECT_NE(std::string(runs[rank].status.message()).find("learner 1 left the group"), std::string::npos)
        << runs[rank].status;
  }
}

TEST(MapCodec, ALearnerThatIsLateIsAStatusOfTheOthers) {
  const LearnerCase one = ChainCases().front();
  constexpr std::uint64_t kSoonNs = 300'000'000;
  const auto runs = comm::RunLearners<LearnerRun>(2, kSoonNs, [&](std::unique_ptr<comm::Communicator>& me) {
    if (me->rank() == 1) std::this_thread::sleep_for(std::chrono::nanoseconds(8 * kSoonNs));
    LearnerCase mine = one;
    mine.chain_options.sharding = {.learners = me.get(), .minimum_bytes = 1};
    return RunLearner(mine, InMode(OffloadMode::kMarshal));
  });
  for (const LearnerRun& run : runs) EXPECT_EQ(run.status.code(), StatusCode::kDeadlineExceeded) << run.status;
}

}  // namespace
}  // namespace tierlib::dkm
