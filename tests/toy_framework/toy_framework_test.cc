// A framework that is not tierlib's trains a small network, with its own tensors, memory, reference counts and kernels,
// and gets the same bits of every loss and gradient however tierlib treats what its backward needs.
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "tierlib/tierlib.h"
#include "toy_framework/session.h"

namespace toy {
namespace {

using tierlib::KiB;
using tierlib::MiB;
using tierlib::OffloadMode;
using tierlib::OffloadPolicy;
using tierlib::Options;
using tierlib::Status;
using tierlib::StatusOr;

constexpr std::int64_t kBatch = 48;
constexpr std::int64_t kWidth = 32;
constexpr int kLayers = 6;
constexpr int kSteps = 3;
constexpr std::size_t kAmple = MiB(4);

std::vector<float> Random(std::uint64_t seed, std::int64_t count, float scale) {
  tierlib::Random random(seed);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = (random.UniformFloat() - 0.5f) * scale;
  return values;
}

struct Result {
  Status status;
  std::vector<std::vector<float>> values;  // every loss and gradient, step by step
  tierlib::Ledger ledger;
  tierlib::Ledger last_step;
  std::size_t peak = 0;        // of the framework's memory
  std::size_t live_after = 0;  // and what is left of it once all tensors are gone
  int keepalives_made = 0;
  int keepalives_left = 0;
  int reclaims = 0;
  int reloads = 0;
};

// How a step saves: as the session does, or in a scope of its own around the forward pass, with an inner one around two
// of its layers that leaves values alone. Backward runs outside both.
enum class Scopes { kNone, kNested };

// The layers of one step, without the data.
StatusOr<Tensor> Forward(Session& session, Tensor x, Scopes scopes) {
  std::optional<Session::SavingScope> outer;
  if (scopes == Scopes::kNested) outer.emplace(session, /*through_tierlib=*/true);
  for (int layer = 0; layer < kLayers; ++layer) {
    std::optional<Session::SavingScope> inner;
    if (scopes == Scopes::kNested && (layer == 2 || layer == 3)) inner.emplace(session, /*through_tierlib=*/false);
    TIERLIB_ASSIGN_OR_RETURN(x, session.Linear(x, "layer" + std::to_string(layer)));
    if (layer + 1 == kLayers) break;
    if (layer % 2 == 0) {
      TIERLIB_ASSIGN_OR_RETURN(x, session.Tanh(x));
      TIERLIB_ASSIGN_OR_RETURN(x, session.Square(x));
    } else {
      TIERLIB_ASSIGN_OR_RETURN(x, session.Relu(x));
    }
  }
  return x;
}

Status Train(Session& session, std::vector<Values>* values, Scopes scopes) {
  for (int layer = 0; layer < kLayers; ++layer) {
    const std::string name = "layer" + std::to_string(layer);
    TIERLIB_ASSIGN_OR_RETURN(session.parameters()[name],
                             session.FromHost(Random(static_cast<std::uint64_t>(layer) + 1, kWidth * kWidth, 0.6f),
                                              kWidth, kWidth, name, tierlib::Holds::kPersistent));
  }
  for (int step = 0; step < kSteps; ++step) {
    const auto seed = static_cast<std::uint64_t>(100 + step);
    session.runtime().BeginStep(static_cast<std::uint64_t>(step));
    {
      // The batch lies column by column, as a data loader may give it.
      TIERLIB_ASSIGN_OR_RETURN(const Tensor data,
                               session.FromHost(Random(seed, kWidth * kBatch, 2), kWidth, kBatch, "data"));
      TIERLIB_ASSIGN_OR_RETURN(const Tensor target,
                               session.FromHost(Random(seed + 50, kBatch * kWidth, 2), kBatch, kWidth, "target"));
      TIERLIB_ASSIGN_OR_RETURN(Tensor x, session.Contiguous(Transpose(data)));
      TIERLIB_ASSIGN_OR_RETURN(x, Forward(session, std::move(x), scopes));
      TIERLIB_ASSIGN_OR_RETURN(const Tensor loss, session.SquaredLoss(x, target));
      values->push_back(session.ToHost(loss));
    }
    session.runtime().BeginBackward();
    TIERLIB_RETURN_IF_ERROR(session.Backward());
    for (const auto& [name, gradient] : session.gradients()) values->push_back(session.ToHost(gradient));
    TIERLIB_RETURN_IF_ERROR(session.Descend(0.05f));
    session.gradients().clear();
    session.runtime().EndStep();
  }
  for (const auto& [name, parameter] : session.parameters()) values->push_back(session.ToHost(parameter));
  return session.runtime().Synchronize(session.compute());
}

Result TrainOnce(const Options& options, std::size_t memory = kAmple, bool through_tierlib = true,
                 Scopes scopes = Scopes::kNone) {
  Result result;
  Session session(options, memory, through_tierlib);
  std::vector<Values> values;
  result.status = Train(session, &values, scopes);
  session.gradients().clear();
  session.parameters().clear();
  if (!result.status.ok()) return result;
  EXPECT_TRUE(session.runtime().Drain().ok());
  for (const Values& one : values) result.values.push_back(*one);
  const tierlib::Statistics statistics = session.runtime().statistics();
  result.ledger = statistics.total;
  result.last_step = statistics.last_step;
  result.peak = session.memory().peak();
  result.live_after = session.memory().live();
  result.keepalives_made = session.keepalives_made();
  result.keepalives_left = session.keepalives();
  result.reclaims = session.reclaims();
  result.reloads = session.reloads();
  EXPECT_EQ(statistics.pinned.live + statistics.pageable.live + statistics.device.live, 0u);
  EXPECT_TRUE(session.runtime().health().ok()) << session.runtime().health();
  return result;
}

Options Marked(OffloadMode mode, OffloadPolicy policy = OffloadPolicy::kAll) {
  Options options;
  options.devices[0].capacity = MiB(8);
  options.devices[0].emulated.kernel_threads = 1;
  options.pinned_limit = MiB(8);
  options.pageable_limit = MiB(1);
  options.mode = mode;
  options.policy = policy;
  options.write_waits = true;
  return options;
}

Options Deterministic(Options options, std::uint64_t seed, bool strict) {
  options.devices[0].emulated.schedule = tierlib::EmulatedSchedule::kDeterministic;
  options.devices[0].emulated.seed = seed;
  options.devices[0].emulated.poison = true;
  options.devices[0].emulated.strict = strict;
  return options;
}

// Copies go whole, in chunks, or gathered, by `which`: 0, 1, 2 and on.
Options WithCopies(Options options, int which) {
  if (which % 3 == 1) options.devices[0].chunk_bytes = 1000;
  if (which % 3 == 2) options.devices[0].coalesce_bytes = KiB(64);
  return options;
}

// What the framework computes by itself.
const Result& Reference() {
  static const Result& reference = *new Result(TrainOnce(Marked(OffloadMode::kOff), kAmple, /*through_tierlib=*/false));
  return reference;
}

void ExpectSameBits(const Result& result, const std::string& what) {
  ASSERT_TRUE(result.status.ok()) << what << ": " << result.status;
  const Result& reference = Reference();
  ASSERT_EQ(result.values.size(), reference.values.size()) << what;
  for (std::size_t i = 0; i < result.values.size(); ++i) {
    ASSERT_EQ(result.values[i].size(), reference.values[i].size());
    ASSERT_EQ(std::memcmp(result.values[i].data(), reference.values[i].data(), result.values[i].size() * sizeof(float)),
              0)
        << what << ": value " << i;
  }
  EXPECT_EQ(result.keepalives_left, 0) << what;
  EXPECT_EQ(result.live_after, 0u) << what;
}

// Packed values per step: x^T and w^T of each linear layer, tanh twice (itself and the square), relu twice, the loss.
constexpr int kPacksPerStep = 2 * kLayers + 2 * (kLayers - 1) + 1;

TEST(ToyFramework, ComputesSomething) {
  const Result& reference = Reference();
  ASSERT_TRUE(reference.status.ok()) << reference.status;
  ASSERT_EQ(reference.values.size(), static_cast<std::size_t>(kSteps * (1 + kLayers) + kLayers));
  EXPECT_GT(reference.values[0][0], 0.1f);
  EXPECT_NE(reference.values[0][0], reference.values[1 + kLayers][0]);
  EXPECT_EQ(reference.ledger.packs, 0u);
}

struct Treatment {
  const char* name;
  OffloadMode mode;
  OffloadPolicy policy;
};
constexpr Treatment kTreatments[] = {
    {"off", OffloadMode::kOff, OffloadPolicy::kAll},
    {"naive", OffloadMode::kNaive, OffloadPolicy::kAll},
    {"marshal all", OffloadMode::kMarshal, OffloadPolicy::kAll},
    {"marshal fit", OffloadMode::kMarshal, OffloadPolicy::kFit},
};

TEST(ToyFramework, GetsTheSameBitsOnThreads) {
  for (const Treatment& t : kTreatments) {
    for (int run = 0; run < 3; ++run) ExpectSameBits(TrainOnce(WithCopies(Marked(t.mode, t.policy), run)), t.name);
  }
}

TEST(ToyFramework, GetsTheSameBitsUnderEverySchedule) {
  const int seeds = std::max(1, 8 / TIERLIB_RANDOM_SCALE);
  for (const Treatment& t : kTreatments) {
    for (int seed = 1; seed <= seeds; ++seed) {
      const bool strict = seed % 4 == 1;
      const Options marked = WithCopies(Marked(t.mode, t.policy), seed);
      const Options options = Deterministic(marked, static_cast<std::uint64_t>(seed), strict);
      ExpectSameBits(TrainOnce(options), std::string(t.name) + ", seed " + std::to_string(seed));
    }
  }
}

TEST(ToyFramework, EveryPackedByteIsBooked) {
  for (const Treatment& t : kTreatments) {
    const Result result = TrainOnce(Marked(t.mode, t.policy));
    const tierlib::Ledger& l = result.last_step;
    EXPECT_EQ(l.packs, static_cast<std::uint64_t>(kPacksPerStep));
    EXPECT_EQ(result.keepalives_made, kSteps * kPacksPerStep);
    EXPECT_EQ(l.unpacks, l.packs);
    EXPECT_EQ(l.naive + l.reconsidered, l.moved + l.avoided_identity + l.avoided_lineage + l.frees_nothing + l.kept)
        << t.name;
    EXPECT_EQ(l.engine_out, l.moved) << t.name;
    const std::uint64_t matrix = kBatch * kWidth * 4, mask = kBatch * kWidth, weight = kWidth * kWidth * 4;
    const std::uint64_t squares = 3, relus = 2;  // of the five hidden layers
    EXPECT_EQ(l.naive, kLayers * (matrix + weight) + squares * 2 * matrix + relus * (matrix + mask) + matrix);
    if (t.mode == OffloadMode::kNaive) {
      EXPECT_EQ(l.moved, l.naive);
    }
    if (t.mode != OffloadMode::kMarshal || t.policy != OffloadPolicy::kAll) continue;
    EXPECT_EQ(l.frees_nothing, kLayers * weight);
    EXPECT_EQ(l.avoided_identity, squares * matrix) << "tanh and square save one storage";
    // The masks, and x^T after a relu, whose output is saved. x^T after a square comes from nothing that is saved.
    EXPECT_EQ(l.avoided_lineage, relus * (mask + matrix));
    EXPECT_EQ(l.kept, 0u);
    EXPECT_GT(result.reloads, 0) << "reloads come from the framework's own memory";
  }
}

// Conformance 34: a program switches offload on and off around parts of its forward pass.
TEST(ToyFramework, ValuesComeBackOutsideTheScopesThatSavedThemAndTheInnermostCounts) {
  const int saved_outside = 2 * 2 + 2 * 2;              // layers 2 and 3: x^T and w^T each, tanh twice, relu twice
  const int packs = kPacksPerStep - saved_outside - 1;  // and the loss, behind both scopes
  for (const Treatment& t : kTreatments) {
    const Result result = TrainOnce(Marked(t.mode, t.policy), kAmple, /*through_tierlib=*/false, Scopes::kNested);
    ExpectSameBits(result, std::string(t.name) + ", nested");
    EXPECT_EQ(result.last_step.packs, static_cast<std::uint64_t>(packs)) << t.name;
    EXPECT_EQ(result.last_step.unpacks, result.last_step.packs) << t.name;
  }
  const Options tight = Deterministic(Marked(OffloadMode::kMarshal), 5, /*strict=*/false);
  ExpectSameBits(TrainOnce(tight, kAmple, /*through_tierlib=*/false, Scopes::kNested), "nested, another schedule");
}

// Less memory than backward needs: the framework's allocator calls Reclaim when it is full, and training goes on.
TEST(ToyFramework, TrainsInLessMemoryByReclaiming) {
  const std::size_t tight = Reference().peak * 7 / 10 / 256 * 256;
  const Result off = TrainOnce(Marked(OffloadMode::kOff), tight);
  EXPECT_EQ(off.status.code(), tierlib::StatusCode::kResourceExhausted) << "the test is meant to be tight";
  const Result ample = TrainOnce(Marked(OffloadMode::kMarshal, OffloadPolicy::kFit), kAmple);
  EXPECT_EQ(ample.ledger.moved, 0u) << "nothing moves where memory is ample";
  EXPECT_EQ(ample.reclaims, 0);
  const int seeds = std::max(1, 6 / TIERLIB_RANDOM_SCALE);
  for (int seed = 0; seed <= seeds; ++seed) {
    Options options = Marked(OffloadMode::kMarshal, OffloadPolicy::kFit);
    if (seed > 0) options = Deterministic(options, static_cast<std::uint64_t>(seed), seed % 3 == 1);
    const Result fit = TrainOnce(options, tight);
    ExpectSameBits(fit, "fit in 70 %, seed " + std::to_string(seed));
    EXPECT_GT(fit.reclaims, 0);
    EXPECT_GT(fit.ledger.moved, 0u);
    EXPECT_LE(fit.peak, tight);
  }
}

}  // namespace
}  // namespace toy
