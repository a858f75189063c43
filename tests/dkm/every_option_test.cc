// Every option of Clustering in every form, against a dense form written the long way in float64 and its finite
// differences: groups, per-channel scale, the clamp of attention, the bias of centroid 0, both distances, both kinds of
// attention, vectors.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "autograd/kernels/host/chunk.h"
#include "dkm/dense_reference.h"
#include "dkm/golden.h"
#include "dkm/trainer.h"
#include "tierlib/autograd/ops.h"
#include "tierlib/dkm/clustering.h"

namespace tierlib::dkm {
namespace {

constexpr std::int64_t kRows = 7;

struct Problem {
  dkm::Options options;
  std::int64_t columns = 12;
  DType dtype = DType::kF64;
  std::vector<double> weights, gradient;
  std::vector<float> start;   // of each group
  std::vector<float> scales;  // of each row
};

std::string Describe(const dkm::Options& o) {
  return "form " + std::to_string(static_cast<int>(o.form)) + ", bits " + std::to_string(o.bits) + ", T " +
         std::to_string(o.iterations) + ", d " + std::to_string(o.cluster_dim) + ", metric " +
         std::to_string(static_cast<int>(o.metric)) + ", attention " + std::to_string(static_cast<int>(o.attention)) +
         ", group_rows " + std::to_string(o.group_rows) + ", scale " +
         std::to_string(static_cast<int>(o.per_channel_scale)) + ", floor " + std::to_string(o.attention_floor) +
         ", prune " + std::to_string(o.prune_threshold);
}

double RoundedTo(DType dtype, double value) {
  float stored = 0;  // room for any type of 32 bits
  autograd::host::WriteElement<double>(dtype, &stored, 0, value);
  return autograd::host::ReadElement<double>(dtype, &stored, 0);
}

std::int64_t CentroidValues(const dkm::Options& o) { return (std::int64_t{1} << o.bits) * o.cluster_dim; }

std::int64_t GroupCount(const dkm::Options& o) {
  return o.group_rows == 0 ? 1 : (kRows + o.group_rows - 1) / o.group_rows;
}

// What a row is divided by, straight from its definition.
float ScaleOf(ChannelScale kind, const double* row, std::int64_t columns) {
  double largest = 0;
  for (std::int64_t i = 0; i < columns; ++i) largest = std::max(largest, std::fabs(row[i]));
  const double low = *std::min_element(row, row + columns), high = *std::max_element(row, row + columns);
  return static_cast<float>(kind == ChannelScale::kAbs ? largest : (high - low) / 2);
}

Problem MakeProblem(const dkm::Options& options, std::int64_t columns = 12) {
  Problem problem{options, columns, DType::kF64, {}, {}, {}, {}};
  Random random(41);
  const bool exact = options.form == Form::kExact;
  if (exact) {
    problem.dtype = DType::kF32;
    problem.options.round_to = DType::kBF16;
  }
  for (std::int64_t i = 0; i < kRows * columns; ++i) {
    problem.weights.push_back(static_cast<double>(static_cast<float>(random.Normal())));
    problem.gradient.push_back(static_cast<double>(static_cast<float>(random.Normal())));
  }
  const std::int64_t centroids = GroupCount(options) * CentroidValues(options);
  for (std::int64_t i = 0; i < centroids; ++i) problem.start.push_back(static_cast<float>(0.8 * random.Normal()));
  for (std::int64_t row = 0; row < kRows && options.per_channel_scale != ChannelScale::kNone; ++row) {
    problem.scales.push_back(ScaleOf(options.per_channel_scale, problem.weights.data() + row * columns, columns));
  }
  return problem;
}

double ScaleAt(const Problem& p, std::size_t i) {
  return p.scales.empty() ? 1.0 : static_cast<double>(p.scales[i / static_cast<std::size_t>(p.columns)]);
}

// The values that are clustered.
std::vector<double> Clustered(const Problem& p) {
  std::vector<double> values = p.weights;
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] /= ScaleAt(p, i);
    if (p.dtype == DType::kF32) values[i] = RoundedTo(DType::kF32, values[i]);
    if (p.options.round_to) values[i] = RoundedTo(*p.options.round_to, values[i]);
  }
  return values;
}

// W~ of those.
std::vector<double> Output(const Problem& p, const std::vector<double>& values) {
  const dkm::Options& o = p.options;
  const std::int64_t rows = o.group_rows == 0 ? kRows : o.group_rows;
  std::vector<double> output;
  for (std::int64_t group = 0; group < GroupCount(o); ++group) {
    const auto begin = values.begin() + group * rows * p.columns;
    const auto end = values.begin() + std::min((group + 1) * rows, kRows) * p.columns;
    const std::vector<double> own(begin, end);
    const auto first = p.start.begin() + group * CentroidValues(o);
    host::TiledShape shape{
        (end - begin) / o.cluster_dim, o.cluster_dim, 1 << o.bits, o.iterations, o.metric, o.attention, o.tau};
    shape.attention_floor = o.form == Form::kPaper && o.attention_floor == 0 ? 1e-7 : o.attention_floor;
    shape.prune_threshold = o.prune_threshold;
    const std::vector<double> part = host::Dense(shape, own, std::vector<double>(first, first + CentroidValues(o)));
    output.insert(output.end(), part.begin(), part.end());
  }
  for (std::size_t i = 0; i < output.size(); ++i) output[i] *= ScaleAt(p, i);
  return output;
}

double Loss(const Problem& p, const std::vector<double>& values) {
  const std::vector<double> output = Output(p, values);
  double sum = 0;
  for (std::size_t i = 0; i < output.size(); ++i) sum += output[i] * p.gradient[i];
  return sum;
}

struct Solved {
  std::vector<double> output, gradient;
};

Solved Solve(const Problem& p) {
  TestDevice device;
  const Dims sizes = {kRows, p.columns};
  const auto make = [&](const std::vector<double>& values) {
    if (p.dtype == DType::kF64) return device.Make(DType::kF64, sizes, values, Holds::kPersistent);
    return device.Make(DType::kF32, sizes, std::vector<float>(values.begin(), values.end()), Holds::kPersistent);
  };
  Parameter weight{"w", make(p.weights), {}};
  Clustering clustering("w", p.options);
  Status status = clustering.Restore(device.context(), p.start, p.options.tau, p.scales);
  EXPECT_TRUE(status.ok()) << status;
  Tape tape(device.context());
  const Value output = clustering.Apply(tape, tape.Leaf(weight));
  status = tape.Backward(Sum(Mul(output, tape.Constant(make(p.gradient)))));
  EXPECT_TRUE(status.ok()) << status;
  if (!status.ok()) return {};
  EXPECT_EQ(clustering.form(), p.options.form);
  const auto read = [&](const Tensor& tensor) {
    if (p.dtype == DType::kF64) return Read<double>(tensor);
    const std::vector<float> values = Read<float>(tensor);
    return std::vector<double>(values.begin(), values.end());
  };
  return {read(output.tensor()), read(weight.gradient)};
}

std::vector<dkm::Options> AllOptions(Form form) {
  std::vector<dkm::Options> all;
  for (const std::int64_t group_rows : {std::int64_t{0}, std::int64_t{3}}) {
    for (const ChannelScale scale : {ChannelScale::kNone, ChannelScale::kAbs, ChannelScale::kMinMax}) {
      for (const double floor : {0.0, 0.02}) {
        for (const double prune : {0.0, 0.1}) {
          for (const Metric metric : {Metric::kSquared, Metric::kEuclidean}) {
            for (const Attention attention : {Attention::kLast, Attention::kRecomputed}) {
              for (const int dim : {1, 2}) {
                if (form == Form::kExact && dim != 1) continue;
                dkm::Options o;
                o.bits = 2;
                o.cluster_dim = dim;
                o.tau = scale == ChannelScale::kNone ? 0.3 : 0.1;
                o.iterations = 2;
                o.metric = metric;
                o.attention = attention;
                o.form = form;
                o.group_rows = group_rows;
                o.per_channel_scale = scale;
                o.attention_floor = floor;
                o.prune_threshold = prune;
                all.push_back(o);
              }
            }
          }
        }
      }
    }
  }
  return all;
}

class EveryOption : public testing::TestWithParam<Form> {};

// The gradient is looked at for the weights `first`, `first + every`, ...
void ExpectFollowsFloat64(const Problem& problem, std::size_t first, std::size_t every) {
  SCOPED_TRACE(Describe(problem.options));
  const Solved solved = Solve(problem);
  const std::vector<double> values = Clustered(problem);
  const std::vector<double> expected = Output(problem, values);
  ASSERT_EQ(solved.output.size(), expected.size());
  const double tight = problem.dtype == DType::kF64 ? 1e-12 : 1e-7;
  EXPECT_LT(LargestDifference(solved.output, expected), tight * Largest(expected));
  constexpr double kStep = 1e-5;
  for (std::size_t i = first; i < values.size(); i += every) {
    std::vector<double> up = values, down = values;
    up[i] += kStep;
    down[i] -= kStep;
    const double slope = (Loss(problem, up) - Loss(problem, down)) / (2 * kStep) / ScaleAt(problem, i);
    EXPECT_NEAR(solved.gradient[i], slope, 1e-6 * (1 + Largest(solved.gradient))) << "weight " << i;
  }
}

TEST_P(EveryOption, FollowsFloat64AndItsFiniteDifferences) {
  const std::vector<dkm::Options> all = AllOptions(GetParam());
  // Sanitizers see a part of them, in which every option still has each of its values.
  const std::size_t step = TIERLIB_RANDOM_SCALE == 1 ? 1 : TIERLIB_RANDOM_SCALE == 10 ? 5 : 13;
  for (std::size_t one = 0; one < all.size(); one += step) {
    ExpectFollowsFloat64(MakeProblem(all[one]), one % 5, 11);
  }
}

TEST_P(EveryOption, FollowsFloat64WithAnyNumberOfBitsAndIterations) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (const int iterations : {1, 3, 5}) {
      dkm::Options o;
      o.bits = bits;
      o.iterations = iterations;
      o.tau = 0.3;
      o.form = GetParam();
      ExpectFollowsFloat64(MakeProblem(o, /*columns=*/40), static_cast<std::size_t>(bits), 97);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, EveryOption,
                         testing::Values(Form::kTiled, Form::kExact, Form::kReference, Form::kPaper),
                         [](const auto& one) -> std::string {
                           return one.param == Form::kTiled       ? "Tiled"
                                  : one.param == Form::kExact     ? "Exact"
                                  : one.param == Form::kReference ? "Reference"
                                                                  : "Paper";
                         });

// --- Golden vectors -------------------------------------------------------------------------------------------------

// Each as three rows, which are groups of their own and are all scaled by a half. DKM's result goes with its unit: over
// a half, with start and tau in that unit, and times it again is what it was.
class GroupedGolden : public testing::TestWithParam<std::string> {};

template <typename T>
Solved SolveGolden(const Golden& golden, Form form, DType dtype) {
  constexpr std::size_t kCopies = 3;
  constexpr double kScale = 0.5;
  const auto copies = [](const std::vector<double>& values, double factor) {
    std::vector<T> all;
    for (std::size_t copy = 0; copy < kCopies; ++copy) {
      for (const double value : values) all.push_back(static_cast<T>(value * factor));
    }
    return all;
  };
  dkm::Options o;
  o.bits = golden.clusters == 4 ? 2 : 3;
  o.cluster_dim = golden.dim;
  o.iterations = golden.iterations;
  o.metric = golden.metric;
  o.attention = golden.attention;
  o.form = form;
  o.group_rows = 1;
  o.per_channel_scale = ChannelScale::kAbs;
  if (form == Form::kExact) o.round_to = DType::kBF16;
  TestDevice device;
  const Dims sizes = {static_cast<std::int64_t>(kCopies), golden.vectors * golden.dim};
  Parameter weight{"w", device.Make(dtype, sizes, copies(golden.weights, 1), Holds::kPersistent), {}};
  Clustering clustering("w", o);
  const std::vector<T> start = copies(golden.start, 1 / kScale);
  const double tau = golden.tau / (golden.metric == Metric::kSquared ? kScale * kScale : kScale);
  Status status = clustering.Restore(device.context(), std::vector<float>(start.begin(), start.end()), tau,
                                     std::vector<float>(kCopies, static_cast<float>(kScale)));
  EXPECT_TRUE(status.ok()) << status;
  Tape tape(device.context());
  const Value output = clustering.Apply(tape, tape.Leaf(weight));
  status = tape.Backward(Sum(Mul(output, tape.Constant(device.Make(dtype, sizes, copies(golden.gradient, 1))))));
  EXPECT_TRUE(status.ok()) << status;
  const std::vector<T> w = Read<T>(output.tensor()), dw = Read<T>(weight.gradient);
  return {{w.begin(), w.end()}, {dw.begin(), dw.end()}};
}

void ExpectCopies(const std::vector<double>& solved, const std::vector<double>& golden, double tolerance) {
  ASSERT_EQ(solved.size(), 3 * golden.size());
  for (auto row = solved.begin(); row != solved.end(); row += static_cast<std::ptrdiff_t>(golden.size())) {
    const std::vector<double> own(row, row + static_cast<std::ptrdiff_t>(golden.size()));
    EXPECT_LT(LargestDifference(own, golden), tolerance * Largest(golden));
  }
}

// The start has float32; the vectors have it in float64.
TEST_P(GroupedGolden, HoldsForEachGroup) {
  const Golden golden = ReadGolden(GetParam());
  for (const Form form : {Form::kTiled, Form::kReference}) {
    const Solved solved = SolveGolden<double>(golden, form, DType::kF64);
    ExpectCopies(solved.output, golden.output, 1e-6);
    ExpectCopies(solved.gradient, golden.weight_gradient, 2e-5);
  }
  if (golden.name != "c03_bf16_d1_k8") return;
  const Solved exact = SolveGolden<float>(golden, Form::kExact, DType::kF32);
  ExpectCopies(exact.output, golden.output, 1e-6);
  ExpectCopies(exact.gradient, golden.weight_gradient, 2e-5);
}

INSTANTIATE_TEST_SUITE_P(Cases, GroupedGolden, testing::ValuesIn(GoldenNames()),
                         [](const auto& one) { return one.param; });

}  // namespace
}  // namespace tierlib::dkm
