// What a device with kernels of its own runs for a weight, and with which arguments: no device is needed to choose.
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "dkm/cuda_arguments.h"
#include "dkm/cuda_problem.h"
#include "dkm/form_choice.h"
#include "dkm/kernels/cuda/palette_launches.h"
#include "tierlib/comm/thread_group.h"

namespace tierlib::dkm {
namespace {

constexpr double kDeviation = 0.02;

Layout Weight(DType dtype, Dims sizes) { return Layout::Contiguous(dtype, sizes); }

struct Choice {
  const char* name;
  dkm::Options options;
  DType dtype;
  Form form;
  DType element;
  DType pattern;  // of kExact
};

TEST(NativeKernels, AreChosenByTypeAndOptions) {
  constexpr DType kNone = DType::kF64;
  const dkm::Options scaled{.per_channel_scale = ChannelScale::kAbs};
  const dkm::Options scaled_and_rounded{.round_to = DType::kBF16, .per_channel_scale = ChannelScale::kMinMax};
  const Choice choices[] = {
      {"bf16", {}, DType::kBF16, Form::kExact, DType::kBF16, DType::kBF16},
      {"f16", {}, DType::kF16, Form::kExact, DType::kF16, DType::kF16},
      {"f32", {}, DType::kF32, Form::kTiled, DType::kF32, kNone},
      {"f64", {}, DType::kF64, Form::kTiled, DType::kF64, kNone},
      {"f32 as bf16", {.round_to = DType::kBF16}, DType::kF32, Form::kExact, DType::kF32, DType::kBF16},
      {"f32 as f16", {.round_to = DType::kF16}, DType::kF32, Form::kExact, DType::kF32, DType::kF16},
      {"bf16 as it is", {.round_to = DType::kBF16}, DType::kBF16, Form::kExact, DType::kBF16, DType::kBF16},
      {"f32 scaled", scaled, DType::kF32, Form::kTiled, DType::kF32, kNone},
      {"bf16 scaled", scaled, DType::kBF16, Form::kTiled, DType::kF32, kNone},
      {"f64 scaled", scaled, DType::kF64, Form::kTiled, DType::kF64, kNone},
      {"bf16 scaled and rounded", scaled_and_rounded, DType::kBF16, Form::kExact, DType::kF32, DType::kBF16},
      {"f32 in vectors", {.bits = 8, .cluster_dim = 4}, DType::kF32, Form::kTiled, DType::kF32, kNone},
      {"f64 in vectors", {.cluster_dim = 2}, DType::kF64, Form::kTiled, DType::kF64, kNone},
      {"bf16 in vectors", {.cluster_dim = 2}, DType::kBF16, Form::kTiled, DType::kF32, kNone},
      {"f32 as bf16 in vectors",
       {.cluster_dim = 2, .round_to = DType::kBF16},
       DType::kF32,
       Form::kTiled,
       DType::kF32,
       kNone},
      {"exact by name", {.form = Form::kExact}, DType::kF16, Form::kExact, DType::kF16, DType::kF16},
      {"tiled by name", {.form = Form::kTiled}, DType::kF16, Form::kTiled, DType::kF32, kNone},
      {"reference by name", {.form = Form::kReference}, DType::kBF16, Form::kReference, DType::kBF16, kNone},
      {"groups", {.group_rows = 128}, DType::kBF16, Form::kExact, DType::kBF16, DType::kBF16},
      {"small groups", {.group_rows = 4}, DType::kBF16, Form::kTiled, DType::kF32, kNone},
  };
  for (const Choice& c : choices) {
    const StatusOr<NativeKernels> kernels = NativeKernelsFor("w", c.options, Weight(c.dtype, {256, 128}));
    ASSERT_TRUE(kernels.ok()) << c.name << ": " << kernels.status();
    EXPECT_EQ(kernels->form, c.form) << c.name;
    EXPECT_EQ(kernels->element, c.element) << c.name;
    EXPECT_EQ(kernels->in_float64(), c.element == DType::kF64) << c.name;
    if (c.form == Form::kExact) {
      EXPECT_EQ(kernels->pattern, c.pattern) << c.name;
    }
  }
}

// Whatever is chosen, the launches take it: they check shapes of their own.
TEST(NativeKernels, TakeEveryShapeThatIsChosen) {
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32, DType::kF64}) {
    for (const int bits : {1, 4, 8}) {
      for (const int dim : {1, 2, 256}) {
        const dkm::Options options{.bits = bits, .cluster_dim = dim};
        const StatusOr<NativeKernels> kernels = NativeKernelsFor("w", options, Weight(dtype, {256, 512}));
        ASSERT_TRUE(kernels.ok()) << kernels.status();
        const host::TiledShape shape{256 * 512 / dim, dim, 1 << bits, 3, options.metric, options.attention, 0.1};
        EXPECT_TRUE(cuda::CheckTiledShape(shape).ok());
        if (kernels->form == Form::kExact) {
          EXPECT_TRUE(cuda::CheckExactShape({shape, kernels->element, kernels->pattern}).ok());
        }
      }
    }
  }
}

TEST(NativeKernels, AreMissingBySayingWhatCanBeInstead) {
  const auto expect_missing = [](const dkm::Options& options, const Layout& weight, const std::string& what) {
    const Status status = NativeKernelsFor("layer.w", options, weight).status();
    EXPECT_EQ(status.code(), StatusCode::kUnimplemented) << what << ": " << status;
    const std::string text = "weight layer.w " + weight.ToString() + ": this device has no kernels for " + what;
    EXPECT_NE(std::string(status.message()).find(text), std::string::npos) << status;
  };
  const Dims sizes = {24, 26};
  expect_missing({.form = Form::kPaper}, Weight(DType::kF32, sizes), "form paper: use form reference, tiled or exact");
  expect_missing({.form = Form::kReference, .uniquify = true}, Weight(DType::kF64, sizes), "uniquify");
  const auto learners = comm::MakeThreadGroup(1, {}).value();
  expect_missing({.form = Form::kReference, .learners = learners[0].get()}, Weight(DType::kF32, sizes),
                 "sharing what form reference saves: use form tiled or exact");
}

// The exact form there counts in 32 bits: what shares centroids has to be less, and groups make it so.
TEST(NativeKernels, TakeWeightsBelowTheirLimitInEachGroup) {
  const std::int64_t limit = cuda::kExactWeightLimit;
  const Layout at_limit = Weight(DType::kBF16, {4, limit / 4});
  for (const Form form : {Form::kAuto, Form::kExact}) {
    const Status status = NativeKernelsFor("w", {.form = form}, at_limit).status();
    EXPECT_EQ(status.code(), StatusCode::kUnimplemented) << status;
    EXPECT_NE(std::string(status.message())
                  .find("form exact of 4294967296 weights that share centroids: it takes "
                        "fewer than 4294967296, so set group_rows"),
              std::string::npos)
        << status;
    EXPECT_TRUE(NativeKernelsFor("w", {.form = form, .group_rows = 3}, at_limit).ok());
    EXPECT_TRUE(NativeKernelsFor("w", {.form = form}, Weight(DType::kBF16, {1, limit - 1})).ok());
  }
}

template <typename T>
bool SameBits(const T* a, const std::vector<T>& b) {
  return std::memcmp(a, b.data(), b.size() * sizeof(T)) == 0;
}

// Groups of one weight, the last of them smaller: each has what it has alone, and what all of them share is told once.
TEST(CudaArguments, GroupsOfTheExactFormAreProblemsOfTheirOwn) {
  const Dims sizes = {10, 301};
  const Groups groups = GroupsOf({.group_rows = 4}, sizes);
  ASSERT_EQ(groups.count, 3);
  const cuda::ExactShape shape{
      {groups.vectors, 1, 4, 5, Metric::kSquared, Attention::kLast, 1e-4, 3e-3}, DType::kF32, DType::kBF16};
  const auto weights = host::NormalValues(51, 10 * 301, kDeviation), gradient = host::NormalValues(52, 10 * 301, 1);
  std::vector<float> start;
  std::vector<double> starts[3];
  for (int group = 0; group < 3; ++group) {
    starts[group] = host::EvenStart(4, kDeviation * (1 + group));
    for (const double c : starts[group]) start.push_back(static_cast<float>(c));
  }
  const auto w = host::Store(shape.stored, weights), g = host::Store(shape.stored, gradient);
  std::vector<std::byte> output(w.size()), replayed(w.size()), weight_gradient(w.size());
  std::vector<std::byte> tables(3 * cuda::ExactTableBytes(shape));
  std::vector<double> trajectories(3 * host::ExactTrajectoryElements(shape)), start_gradient(start.size());
  std::vector<float> newest(start.size());
  std::int64_t non_finite = host::kAllFinite;
  std::int32_t run = -1;
  cuda::Rubbish workspace(std::max(cuda::ExactForwardMemory(shape, nullptr).carver.bytes(),
                                   cuda::ExactBackwardMemory(shape, nullptr).carver.bytes()));
  cuda::ExactForwardArguments forward;
  forward.shape = shape;
  forward.weights = w.data();
  forward.start = start.data();
  forward.trajectory = trajectories.data();
  forward.newest = newest.data();
  forward.table = tables.data();
  forward.output = output.data();
  forward.first_non_finite = &non_finite;
  forward.iterations_run = &run;
  forward.workspace = workspace.data();
  cuda::ExactBackwardArguments backward{
      shape, w.data(), trajectories.data(), g.data(), weight_gradient.data(), start_gradient.data(), workspace.data()};
  SequentialGrid grid;
  int most = 0;
  for (std::int64_t group = 0; group < 3; ++group) {
    EXPECT_EQ(OfGroup(forward, groups, group).weights_before, groups.FirstVector(group));
    ASSERT_TRUE(cuda::RunExactForward(grid, OfGroup(forward, groups, group)).ok());
    const cuda::ExactReplayArguments replay{shape, w.data(), tables.data(), replayed.data()};
    ASSERT_TRUE(cuda::RunExactReplay(grid, OfGroup(replay, groups, group)).ok());
    ASSERT_TRUE(cuda::RunExactBackward(grid, OfGroup(backward, groups, group)).ok());
  }
  for (std::int64_t group = 0; group < 3; ++group) {
    cuda::ExactShape own = shape;
    own.table.vectors = groups.Vectors(group);
    const auto first = weights.begin() + groups.FirstVector(group);
    const auto first_gradient = gradient.begin() + groups.FirstVector(group);
    const cuda::ExactOutcome alone =
        cuda::SolveExactOn(SequentialGrid(), own, {first, first + own.table.vectors}, starts[group],
                           {first_gradient, first_gradient + own.table.vectors});
    const std::int64_t byte = groups.FirstVector(group) * 4;
    EXPECT_TRUE(SameBits(output.data() + byte, alone.output)) << group;
    EXPECT_TRUE(SameBits(replayed.data() + byte, alone.output)) << group;
    EXPECT_TRUE(SameBits(weight_gradient.data() + byte, alone.weight_gradient)) << group;
    EXPECT_TRUE(SameBits(newest.data() + group * 4, alone.newest)) << group;
    EXPECT_TRUE(SameBits(start_gradient.data() + group * 4, alone.start_gradient)) << group;
    most = std::max(most, alone.iterations_run);
  }
  EXPECT_EQ(run, most);
  EXPECT_EQ(non_finite, host::kAllFinite);
}

// Positions count the weights of the groups before.
TEST(CudaArguments, AWeightThatIsNotFiniteIsNamedByItsPlaceInAllGroups) {
  const Groups groups = GroupsOf({.group_rows = 1}, {3, 200});
  const cuda::ExactShape shape{{200, 1, 2, 1, Metric::kSquared, Attention::kLast, 1e-3}, DType::kBF16, DType::kBF16};
  auto weights = host::NormalValues(53, 600, kDeviation);
  weights[417] = weights[599] = cuda::kNaN<double>;
  const auto w = host::Store(shape.stored, weights);
  const auto start = cuda::AsFloats(host::EvenStart(6, kDeviation));
  std::vector<std::byte> output(w.size()), tables(3 * cuda::ExactTableBytes(shape));
  std::vector<double> trajectories(3 * host::ExactTrajectoryElements(shape));
  std::vector<float> newest(6);
  std::int64_t non_finite = host::kAllFinite;
  cuda::Rubbish workspace(cuda::ExactForwardMemory(shape, nullptr).carver.bytes());
  cuda::ExactForwardArguments all;
  all.shape = shape;
  all.weights = w.data();
  all.start = start.data();
  all.trajectory = trajectories.data();
  all.newest = newest.data();
  all.table = tables.data();
  all.output = output.data();
  all.first_non_finite = &non_finite;
  all.workspace = workspace.data();
  SequentialGrid grid;
  for (std::int64_t group = 0; group < 3; ++group) {
    const cuda::ExactForwardArguments a = OfGroup(all, groups, group);
    EXPECT_EQ(a.iterations_run, nullptr);  // not wanted stays not wanted
    ASSERT_TRUE(cuda::RunExactForward(grid, a).ok());
  }
  EXPECT_EQ(non_finite, 417);
}

template <typename T>
void CompareTiledGroups() {
  const Groups groups = GroupsOf({.cluster_dim = 2, .group_rows = 4}, {10, 34});
  const cuda::TiledShape shape{groups.vectors, 2, 4, 3, Metric::kEuclidean, Attention::kLast, 0.2, 0, 0, 0.05};
  const auto as_t = [](const std::vector<double>& v) { return std::vector<T>(v.begin(), v.end()); };
  const std::vector<T> w = as_t(host::NormalValues(54, 340, 1)), g = as_t(host::NormalValues(55, 340, 1));
  const auto start = cuda::AsFloats(host::NormalValues(56, 3 * 8, 1));
  std::vector<T> output(w.size()), weight_gradient(w.size()), nearest(w.size());
  std::vector<T> trajectories(3 * host::TiledTrajectoryElements(shape));
  std::vector<double> start_gradient(start.size());
  std::vector<float> newest(start.size());
  std::int32_t run = -1;
  cuda::Rubbish workspace(cuda::TiledMemory<T>(shape, nullptr).carver.bytes());
  cuda::TiledForwardArguments<T> forward;
  forward.shape = shape;
  forward.weights = w.data();
  forward.start = start.data();
  forward.trajectory = trajectories.data();
  forward.newest = newest.data();
  forward.output = output.data();
  forward.iterations_run = &run;
  forward.workspace = workspace.data();
  const cuda::TiledBackwardArguments<T> backward{
      shape, w.data(), trajectories.data(), g.data(), weight_gradient.data(), start_gradient.data(), workspace.data()};
  cuda::PalettizeArguments<T> palettize;
  palettize.dtype = std::is_same_v<T, double> ? DType::kF64 : DType::kF32;
  palettize.weights = w.data();
  palettize.output = nearest.data();
  SequentialGrid grid;
  for (std::int64_t group = 0; group < 3; ++group) {
    EXPECT_EQ(OfGroup(forward, groups, group).tells_most, group > 0);
    ASSERT_TRUE(cuda::RunTiledForward(grid, OfGroup(forward, groups, group)).ok());
    ASSERT_TRUE(cuda::RunTiledBackward(grid, OfGroup(backward, groups, group)).ok());
    const auto of_group = OfGroup(palettize, shape, trajectories.data(), groups, group);
    EXPECT_EQ(of_group.prune_threshold, 0.05);
    EXPECT_EQ(of_group.metric, Metric::kEuclidean);
    ASSERT_TRUE(cuda::RunPalettize(grid, of_group).ok());
  }
  for (std::int64_t group = 0; group < 3; ++group) {
    cuda::TiledShape own = shape;
    own.vectors = groups.Vectors(group);
    const std::int64_t first = groups.FirstVector(group) * 2, last = first + own.vectors * 2;
    const auto alone = cuda::SolveTiledOn<T>(SequentialGrid(), own, {w.begin() + first, w.begin() + last},
                                             {start.begin() + group * 8, start.begin() + group * 8 + 8},
                                             {g.begin() + first, g.begin() + last});
    EXPECT_TRUE(SameBits(output.data() + first, alone.output)) << group;
    EXPECT_TRUE(SameBits(weight_gradient.data() + first, alone.weight_gradient)) << group;
    EXPECT_TRUE(SameBits(newest.data() + group * 8, alone.newest)) << group;
    EXPECT_TRUE(SameBits(start_gradient.data() + group * 8, alone.start_gradient)) << group;
    for (std::int64_t i = first; i < last; i += 2) {  // one of the group's own centroids
      bool found = false;
      for (int j = 0; j < 4; ++j) {
        const float* const c = newest.data() + group * 8 + j * 2;
        found |= static_cast<float>(nearest[static_cast<std::size_t>(i)]) == c[0] &&
                 static_cast<float>(nearest[static_cast<std::size_t>(i) + 1]) == c[1];
      }
      EXPECT_TRUE(found) << group << ", " << i;
    }
  }
  EXPECT_EQ(run, 3);
}

TEST(CudaArguments, GroupsOfTheTiledFormAreProblemsOfTheirOwn) {
  CompareTiledGroups<float>();
  CompareTiledGroups<double>();
}

}  // namespace
}  // namespace tierlib::dkm
