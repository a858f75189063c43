// DKM's kernels on a GPU against the same kernels on the host (tests/dkm/cuda_kernels_test.cc compares those with the
// reference): the same bits. Skipped, with that reason, where there is no GPU.
#include <cstring>

#include "cuda/gpu_memory.h"
#include "dkm/cuda_problem.h"
#include "dkm/kernels/cuda/host_words.h"
#include "dkm/kernels/cuda/palette.h"
#include "dkm/kernels/cuda/palette_launches.h"
#include "gtest/gtest.h"
#include "tierlib/dkm/device_palette.h"

namespace tierlib::dkm::cuda {
namespace {

constexpr double kDeviation = 0.02;

template <typename T>
bool SameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

class CudaDkm : public ::testing::Test {
 protected:
  void SetUp() override {
    if (CudaDeviceCount() == 0) GTEST_SKIP() << "no CUDA device on this machine or in this build";
    gpu_ = std::make_unique<GpuMemory>(MiB(256));
    gpu_->Launch([&]() -> Status {
      TIERLIB_ASSIGN_OR_RETURN(words_, MakeHostWords());
      return OkStatus();
    });
  }
  std::unique_ptr<GpuMemory> gpu_;
  std::shared_ptr<HostWords> words_;
};

void CompareExact(GpuMemory& gpu, HostWords& words, const ExactShape& shape, std::size_t shift) {
  const std::int64_t weights = shape.table.vectors;
  const std::size_t element = ElementBytes(shape.stored), count = static_cast<std::size_t>(weights);
  const auto w = host::NormalValues(41, weights, kDeviation), g = host::NormalValues(42, weights, 1);
  const auto start = host::EvenStart(shape.table.clusters, kDeviation);
  const ExactOutcome truth = SolveExactOn(SequentialGrid(), shape, w, start, g);
  words.first_non_finite = host::kAllFinite;
  ExactForwardArguments forward;
  forward.shape = shape;
  forward.weights = gpu.Put(host::Store(shape.stored, w), shift * element);
  forward.start = gpu.Put(AsFloats(start));
  forward.trajectory = static_cast<double*>(gpu.Take(truth.trajectory.size() * sizeof(double)));
  forward.newest = static_cast<float*>(gpu.Take(start.size() * sizeof(float)));
  forward.table = gpu.Take(ExactTableBytes(shape));
  forward.output = gpu.Take(count * element);
  forward.first_non_finite = DeviceWord(words.first_non_finite);
  forward.iterations_run = DeviceWord(words.iterations_run);
  forward.workspace = gpu.Take(ExactForwardWorkspaceBytes(shape));
  ExactReplayArguments replay{shape, forward.weights, forward.table, gpu.Take(count * element)};
  ExactBackwardArguments backward;
  backward.shape = shape;
  backward.weights = forward.weights;
  backward.trajectory = forward.trajectory;
  backward.gradient = gpu.Put(host::Store(shape.stored, g));
  backward.weight_gradient = gpu.Take(count * element);
  backward.start_gradient = static_cast<double*>(gpu.Take(start.size() * sizeof(double)));
  backward.workspace = gpu.Take(ExactBackwardWorkspaceBytes(shape));
  for (int run = 0; run < 2; ++run) {  // equal from run to run
    gpu.Launch([&] { return ExactForward(forward, gpu.stream()); });
    gpu.Launch([&] { return ExactReplay(replay, gpu.stream()); });
    gpu.Launch([&] { return ExactBackward(backward, gpu.stream()); });
    EXPECT_TRUE(SameBits(gpu.Get<double>(forward.trajectory, truth.trajectory.size()), truth.trajectory));
    EXPECT_TRUE(SameBits(gpu.Get<std::byte>(forward.output, count * element), truth.output));
    EXPECT_TRUE(SameBits(gpu.Get<std::byte>(replay.output, count * element), truth.output));
    EXPECT_TRUE(SameBits(gpu.Get<std::byte>(backward.weight_gradient, count * element), truth.weight_gradient));
    EXPECT_TRUE(SameBits(gpu.Get<double>(backward.start_gradient, start.size()), truth.start_gradient));
    EXPECT_EQ(words.first_non_finite, host::kAllFinite);
    EXPECT_EQ(words.iterations_run, truth.iterations_run);
  }
}

TEST_F(CudaDkm, TheExactFormIsTheHostsToTheBit) {
  constexpr std::int64_t kWeights = 150'001;
  for (const Attention attention : {Attention::kLast, Attention::kRecomputed}) {
    for (const Metric metric : {Metric::kSquared, Metric::kEuclidean}) {
      for (const int clusters : {8, 64}) {
        host::TiledShape table{kWeights, 1, clusters, 3, metric, attention, 1e-3};
        CompareExact(*gpu_, *words_, {table, DType::kBF16, DType::kBF16}, 0);
      }
    }
  }
  const host::TiledShape table{kWeights, 1, 8, 3, Metric::kSquared, Attention::kLast, 1e-4};
  CompareExact(*gpu_, *words_, {table, DType::kF16, DType::kF16}, 1);
  CompareExact(*gpu_, *words_, {table, DType::kF32, DType::kBF16}, 1);
  CompareExact(*gpu_, *words_, {table, DType::kF32, DType::kF16}, 0);
}

// Weights of different shapes in one launch of each kernel.
TEST_F(CudaDkm, ABatchOfTheExactFormHasTheBitsOfSingleLaunches) {
  const ExactShape shapes[] = {
      {{150'001, 1, 8, 3, Metric::kSquared, Attention::kLast, 1e-3}, DType::kBF16, DType::kBF16},
      {{3'000, 1, 64, 5, Metric::kEuclidean, Attention::kRecomputed, 1e-3}, DType::kF32, DType::kF16},
      {{70'000, 1, 16, 1, Metric::kSquared, Attention::kLast, 1e-4}, DType::kF16, DType::kF16},
  };
  constexpr std::size_t kCount = std::size(shapes);
  std::vector<std::shared_ptr<HostWords>> words(kCount);
  std::vector<ExactOutcome> truths;
  std::vector<ExactForwardArguments> forward(kCount);
  std::vector<ExactBackwardArguments> backward(kCount);
  for (std::size_t i = 0; i < kCount; ++i) {
    const ExactShape& shape = shapes[i];
    const std::int64_t weights = shape.table.vectors;
    const std::size_t bytes = static_cast<std::size_t>(weights) * ElementBytes(shape.stored);
    const auto w = host::NormalValues(61 + 2 * i, weights, kDeviation), g = host::NormalValues(62 + 2 * i, weights, 1);
    const auto start = host::EvenStart(shape.table.clusters, kDeviation);
    truths.push_back(SolveExactOn(SequentialGrid(), shape, w, start, g));
    gpu_->Launch([&]() -> Status {
      TIERLIB_ASSIGN_OR_RETURN(words[i], MakeHostWords());
      return OkStatus();
    });
    words[i]->first_non_finite = host::kAllFinite;
    ExactForwardArguments& f = forward[i];
    f.shape = shape;
    f.weights = gpu_->Put(host::Store(shape.stored, w));
    f.start = gpu_->Put(AsFloats(start));
    f.trajectory = static_cast<double*>(gpu_->Take(truths[i].trajectory.size() * sizeof(double)));
    f.newest = static_cast<float*>(gpu_->Take(start.size() * sizeof(float)));
    f.table = gpu_->Take(ExactTableBytes(shape));
    f.output = gpu_->Take(bytes);
    f.first_non_finite = DeviceWord(words[i]->first_non_finite);
    f.iterations_run = DeviceWord(words[i]->iterations_run);
    f.workspace = gpu_->Take(ExactForwardWorkspaceBytes(shape));
    ExactBackwardArguments& b = backward[i];
    b.shape = shape;
    b.weights = f.weights;
    b.trajectory = f.trajectory;
    b.gradient = gpu_->Put(host::Store(shape.stored, g));
    b.weight_gradient = gpu_->Take(bytes);
    b.start_gradient = static_cast<double*>(gpu_->Take(start.size() * sizeof(double)));
    b.workspace = gpu_->Take(ExactBackwardWorkspaceBytes(shape));
  }
  void* const list = gpu_->Take(ExactForwardBatchBytes(kCount));
  void* const backward_list = gpu_->Take(ExactBackwardBatchBytes(kCount));
  for (int run = 0; run < 2; ++run) {  // equal from run to run
    gpu_->Launch([&] { return ExactForwardBatch(forward, list, gpu_->stream()); });
    gpu_->Launch([&] { return ExactBackwardBatch(backward, backward_list, gpu_->stream()); });
    for (std::size_t i = 0; i < kCount; ++i) {
      const ExactOutcome& truth = truths[i];
      EXPECT_TRUE(SameBits(gpu_->Get<double>(forward[i].trajectory, truth.trajectory.size()), truth.trajectory)) << i;
      EXPECT_TRUE(SameBits(gpu_->Get<std::byte>(forward[i].output, truth.output.size()), truth.output)) << i;
      EXPECT_TRUE(
          SameBits(gpu_->Get<std::byte>(backward[i].weight_gradient, truth.output.size()), truth.weight_gradient))
          << i;
      EXPECT_TRUE(
          SameBits(gpu_->Get<double>(backward[i].start_gradient, truth.start_gradient.size()), truth.start_gradient))
          << i;
      EXPECT_EQ(words[i]->first_non_finite, host::kAllFinite) << i;
      EXPECT_EQ(words[i]->iterations_run, truth.iterations_run) << i;
    }
  }
}

TEST_F(CudaDkm, AWeightThatIsNotFiniteIsNamed) {
  const ExactShape shape{{70'000, 1, 4, 2, Metric::kSquared, Attention::kLast, 1e-3}, DType::kBF16, DType::kBF16};
  auto w = host::NormalValues(43, 70'000, kDeviation);
  w[69'999] = w[65'432] = kNaN<double>;
  ExactForwardArguments a;
  a.shape = shape;
  a.weights = gpu_->Put(host::Store(DType::kBF16, w));
  a.start = gpu_->Put(AsFloats(host::EvenStart(4, kDeviation)));
  a.trajectory = static_cast<double*>(gpu_->Take(host::ExactTrajectoryElements(shape) * sizeof(double)));
  a.newest = static_cast<float*>(gpu_->Take(4 * sizeof(float)));
  a.table = gpu_->Take(ExactTableBytes(shape));
  a.output = gpu_->Take(w.size() * 2);
  a.first_non_finite = DeviceWord(words_->first_non_finite);
  a.workspace = gpu_->Take(ExactForwardWorkspaceBytes(shape));
  gpu_->Launch([&] { return ExactForward(a, gpu_->stream()); });
  gpu_->Synchronize();
  EXPECT_EQ(words_->first_non_finite, 65'432);
}

template <typename T>
void CompareTiled(GpuMemory& gpu, const TiledShape& shape) {
  const std::int64_t values = shape.vectors * shape.dim;
  const auto as_t = [](const std::vector<double>& v) { return std::vector<T>(v.begin(), v.end()); };
  const std::vector<T> w = as_t(host::NormalValues(44, values, 1)), g = as_t(host::NormalValues(45, values, 1));
  const auto start = AsFloats(host::NormalValues(46, shape.clusters * shape.dim, 1));
  const auto truth = SolveTiledOn<T>(SequentialGrid(), shape, w, start, g);
  TiledForwardArguments<T> forward;
  forward.shape = shape;
  forward.weights = gpu.Put(w);
  forward.start = gpu.Put(start);
  forward.trajectory = static_cast<T*>(gpu.Take(truth.trajectory.size() * sizeof(T)));
  forward.newest = static_cast<float*>(gpu.Take(start.size() * sizeof(float)));
  forward.output = static_cast<T*>(gpu.Take(w.size() * sizeof(T)));
  forward.workspace = gpu.Take(TiledWorkspaceBytes<T>(shape));
  TiledBackwardArguments<T> backward;
  backward.shape = shape;
  backward.weights = forward.weights;
  backward.trajectory = forward.trajectory;
  backward.gradient = gpu.Put(g);
  backward.weight_gradient = static_cast<T*>(gpu.Take(w.size() * sizeof(T)));
  backward.workspace = forward.workspace;
  gpu.Launch([&] { return TiledForward(forward, gpu.stream()); });
  gpu.Launch([&] { return TiledBackward(backward, gpu.stream()); });
  EXPECT_TRUE(SameBits(gpu.Get<T>(forward.trajectory, truth.trajectory.size()), truth.trajectory));
  EXPECT_TRUE(SameBits(gpu.Get<T>(forward.output, w.size()), truth.output));
  EXPECT_TRUE(SameBits(gpu.Get<T>(backward.weight_gradient, w.size()), truth.weight_gradient));
}

TEST_F(CudaDkm, TheTiledFormIsTheHostsToTheBit) {
  for (const Attention attention : {Attention::kLast, Attention::kRecomputed}) {
    for (const Metric metric : {Metric::kSquared, Metric::kEuclidean}) {
      CompareTiled<float>(*gpu_, {20'003, 1, 8, 3, metric, attention, 0.2});
      CompareTiled<float>(*gpu_, {3'001, 3, 20, 2, metric, attention, 0.2, 0, 1e-3, 0.05});
      CompareTiled<double>(*gpu_, {2'001, 2, 256, 2, metric, attention, 0.2});
    }
  }
}

TEST_F(CudaDkm, PacksUnpacksAndMultipliesAsTheHost) {
  for (const auto& [rows, columns, group_rows] :
       {std::tuple<std::int64_t, std::int64_t, std::int64_t>{33, 4096, 33}, {17, 1001, 4}, {3, 70'000, 3}}) {
    for (const int bits : {1, 3, 4, 5, 8}) {
      const PaletteShape shape{rows, columns, bits, group_rows};
      Random random(static_cast<std::uint64_t>(bits));
      std::vector<std::uint8_t> indices(static_cast<std::size_t>(rows * columns));
      for (std::uint8_t& index : indices) index = static_cast<std::uint8_t>(random.UniformInt(1u << bits));
      const auto tables = AsFloats(host::NormalValues(47, shape.table_values(), 1));
      const auto x = AsFloats(host::NormalValues(48, columns, 1));
      SequentialGrid grid({132, 227 * 1024});
      std::vector<std::uint8_t> packed(static_cast<std::size_t>(shape.index_bytes()));
      std::vector<float> y(static_cast<std::size_t>(rows));
      ASSERT_TRUE(RunPack(grid, {shape, indices.data(), packed.data()}).ok());
      ASSERT_TRUE(RunMatvec(grid, {shape, packed.data(), tables.data(), x.data(), y.data()}).ok());
      GpuMemory& gpu = *gpu_;
      auto* const packed_there = static_cast<std::uint8_t*>(gpu.Take(packed.size()));
      auto* const unpacked = static_cast<std::uint8_t*>(gpu.Take(indices.size()));
      auto* const product = static_cast<float*>(gpu.Take(y.size() * sizeof(float)));
      const MatvecArguments matvec{shape, packed_there, gpu.Put(tables), gpu.Put(x), product};
      const std::uint8_t* const indices_there = gpu.Put(indices);
      gpu.Launch([&] { return PackIndices({shape, indices_there, packed_there}, gpu.stream()); });
      gpu.Launch([&] { return UnpackIndices({shape, packed_there, unpacked}, gpu.stream()); });
      gpu.Launch([&] {
        return MultiplyOnDevice({shape, packed_there, matvec.tables}, matvec.x, matvec.y, gpu.stream());
      });
      EXPECT_EQ(gpu.Get<std::uint8_t>(packed_there, packed.size()), packed);
      EXPECT_EQ(gpu.Get<std::uint8_t>(unpacked, indices.size()), indices);
      std::vector<float> weights(indices.size());
      for (std::size_t i = 0; i < weights.size(); ++i) {
        const auto group = static_cast<std::int64_t>(i) / columns / group_rows;
        weights[i] = tables[static_cast<std::size_t>(group * shape.clusters() + indices[i])];
      }
      auto* const dense = static_cast<float*>(gpu.Take(weights.size() * sizeof(float)));
      gpu.Launch([&] {
        return UnpackOnDevice({shape, packed_there, matvec.tables}, DType::kF32, dense, gpu.stream());
      });
      EXPECT_EQ(gpu.Get<float>(dense, weights.size()), weights);
      // Sums go by stretches of x, as much as shared memory holds: in one the order is the same everywhere.
      const auto there = gpu.Get<float>(product, y.size());
      for (std::size_t i = 0; i < y.size(); ++i) {
        EXPECT_NEAR(there[i], y[i], columns < 10'000 ? 0.0 : 1e-3) << bits << " bits, row " << i;
      }
    }
  }
}

TEST(CudaDkmWithoutGpu, SaysSoWhereItCannotRun) {
  if (CudaDeviceCount() > 0) return;  // the others say it
  ExactReplayArguments a;
  a.shape = {{16, 1, 2, 1}, DType::kBF16, DType::kBF16};
  EXPECT_FALSE(ExactReplay(a, Stream{}).ok());
}

}  // namespace
}  // namespace tierlib::dkm::cuda
