// The small kernels, each against a plain loop.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/random.h"
#include "base/thread_pool.h"
#include "dkm/golden.h"
#include "dkm/kernels/distance.h"
#include "dkm/kernels/finite.h"
#include "dkm/kernels/palettize.h"

namespace tierlib::dkm::host {
namespace {

class DkmKernels : public testing::Test {
 protected:
  ThreadPool pool_{2};
  KernelContext context_{pool_};
};

TEST_F(DkmKernels, FindTheFirstValueThatIsNotFinite) {
  const auto first = [&](DType dtype, const auto& values) {
    FirstNonFinite found{kAllFinite};
    FindNonFinite(context_, dtype, values.data(), static_cast<std::int64_t>(values.size()), found);
    return found.load();
  };
  for (const std::size_t at : {std::size_t{0}, std::size_t{16383}, std::size_t{16384}, std::size_t{99999}}) {
    std::vector<float> f32(100000, std::numeric_limits<float>::max());
    EXPECT_EQ(first(DType::kF32, f32), kAllFinite);
    f32[99999] = std::numeric_limits<float>::quiet_NaN();
    f32[at] = -std::numeric_limits<float>::infinity();
    EXPECT_EQ(first(DType::kF32, f32), static_cast<std::int64_t>(at));
    std::vector<double> f64(100000, -1e300);
    EXPECT_EQ(first(DType::kF64, f64), kAllFinite);
    f64[at] = std::numeric_limits<double>::quiet_NaN();
    EXPECT_EQ(first(DType::kF64, f64), static_cast<std::int64_t>(at));
    std::vector<std::uint16_t> bits(100000, 0x7bff);  // finite in both
    EXPECT_EQ(first(DType::kBF16, bits), kAllFinite);
    EXPECT_EQ(first(DType::kF16, bits), kAllFinite);
    bits[at] = 0xfc00;  // -infinity in f16, finite in bf16
    EXPECT_EQ(first(DType::kBF16, bits), kAllFinite);
    EXPECT_EQ(first(DType::kF16, bits), static_cast<std::int64_t>(at));
    bits[at] = 0x7fc0;  // NaN in both
    EXPECT_EQ(first(DType::kBF16, bits), static_cast<std::int64_t>(at));
  }
}

TEST_F(DkmKernels, PalettizeTakesTheLowestIndexOfEquals) {
  const std::vector<float> weights = {0.5f, -1, 2, 0.25f, 0.75f};
  const std::vector<float> centroids = {1, 0, 1, 0};
  std::vector<float> output(5);
  std::vector<std::uint8_t> indices(5, 9);
  Palettize(context_, PalettizeArguments<float>{DType::kF32, 5, 1, 4, weights.data(), centroids.data(), output.data(),
                                                indices.data()});
  EXPECT_EQ(indices, (std::vector<std::uint8_t>{0, 1, 0, 1, 0}));
  EXPECT_EQ(output, (std::vector<float>{1, 0, 1, 0, 1}));
}

TEST_F(DkmKernels, PalettizeFindsWhatTheGoldenVectorsFound) {
  for (const std::string& name : GoldenNames()) {
    const Golden golden = ReadGolden(name);
    std::vector<std::uint8_t> indices(static_cast<std::size_t>(golden.vectors));
    Palettize(context_,
              PalettizeArguments<double>{DType::kF64, golden.vectors, golden.dim, golden.clusters,
                                         golden.weights.data(), golden.centroids.data(), nullptr, indices.data()});
    EXPECT_EQ(std::vector<std::int32_t>(indices.begin(), indices.end()), golden.hard) << name;
  }
}

TEST_F(DkmKernels, PalettizeHandlesEveryWidthAndSize) {
  Random random(8);
  for (const int dim : {1, 3, 256}) {
    for (const std::int64_t vectors : {1, 1025, 20000 / TIERLIB_RANDOM_SCALE + 1}) {
      const int clusters = 200;
      std::vector<float> weights(static_cast<std::size_t>(vectors * dim)), centroids(clusters * dim);
      for (float& value : weights) value = random.UniformFloat();
      for (float& value : centroids) value = random.UniformFloat();
      std::vector<float> output(weights.size());
      std::vector<std::uint8_t> indices(static_cast<std::size_t>(vectors));
      Palettize(context_, PalettizeArguments<float>{DType::kF32, vectors, dim, clusters, weights.data(),
                                                    centroids.data(), output.data(), indices.data()});
      for (std::int64_t i = 0; i < vectors; i += 1 + vectors / 50) {
        double least = INFINITY, chosen = 0;
        for (int j = 0; j < clusters; ++j) {
          double distance = 0;
          for (int c = 0; c < dim; ++c) {
            distance += std::pow(static_cast<double>(weights[i * dim + c]) - centroids[j * dim + c], 2);
          }
          least = std::min(least, distance);
          if (j == indices[i]) chosen = distance;
        }
        EXPECT_NEAR(chosen, least, 1e-6 * (1 + least));
        for (int c = 0; c < dim; ++c) EXPECT_EQ(output[i * dim + c], centroids[indices[i] * dim + c]);
      }
    }
  }
}

TEST_F(DkmKernels, DistanceGivesTheSameBitsForAnyNumberOfThreads) {
  Random random(9);
  const DistanceShape shape{DType::kF32, 9001, 2, 5};
  std::vector<float> w(9001 * 2), c(5 * 2), slope(9001 * 5);
  for (float& value : w) value = random.UniformFloat();
  for (float& value : c) value = random.UniformFloat();
  for (float& value : slope) value = random.UniformFloat();
  const auto run = [&](int threads) {
    ThreadPool pool(threads);
    KernelContext context{pool};
    std::vector<double> workspace(DistanceWorkspaceBytes(shape) / 8);
    std::vector<float> distance(slope.size()), dw(w.size()), dc(c.size());
    DistanceForward(context, {shape, w.data(), c.data(), distance.data(), workspace.data()});
    DistanceBackward(
        context, {shape, w.data(), c.data(), distance.data(), slope.data(), dw.data(), dc.data(), workspace.data()});
    distance.insert(distance.end(), dw.begin(), dw.end());
    distance.insert(distance.end(), dc.begin(), dc.end());
    return distance;
  };
  const std::vector<float> one = run(1);
  EXPECT_EQ(one, run(2));
  EXPECT_EQ(one, run(3));
  EXPECT_NEAR(one[0], std::hypot(w[0] - c[0], w[1] - c[1]), 1e-6);
}

}  // namespace
}  // namespace tierlib::dkm::host
