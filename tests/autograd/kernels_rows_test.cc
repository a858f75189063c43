// Sums, LayerNorm, RMSNorm, softmax, cross-entropy and embedding against plain loops over doubles.
#include <cmath>
#include <limits>
#include <vector>

#include "autograd/kernels/cross_entropy.h"
#include "autograd/kernels/embedding.h"
#include "autograd/kernels/layer_norm.h"
#include "autograd/kernels/reduce.h"
#include "autograd/kernels/softmax.h"
#include "kernels_tensor.h"

namespace tierlib::autograd::host {
namespace {

double ComputeEpsilon(DType dtype) { return dtype == DType::kF64 ? 0x1p-52 : 0x1p-23; }

// --- Sums ---

// The plain sum of x into y's sizes, and the sum of magnitudes.
void PlainSum(const TestTensor& x, const Dims& y_sizes, std::vector<double>* sums, std::vector<double>* magnitudes) {
  sums->assign(static_cast<std::size_t>(Count(y_sizes)), 0);
  *magnitudes = *sums;
  const int missing = x.sizes().rank() - y_sizes.rank();
  for (std::int64_t i = 0; i < Count(x.sizes()); ++i) {
    std::int64_t rest = i;
    std::int64_t index = 0;
    std::int64_t step = 1;
    for (int dim = x.sizes().rank() - 1; dim >= 0; --dim) {
      const std::int64_t position = rest % x.sizes()[dim];
      rest /= x.sizes()[dim];
      if (dim < missing) continue;
      const std::int64_t size = y_sizes[dim - missing];
      if (size != 1) index += position * step;
      step *= size;
    }
    (*sums)[static_cast<std::size_t>(index)] += x[i];
    (*magnitudes)[static_cast<std::size_t>(index)] += std::abs(x[i]);
  }
}

void CheckSum(const TestTensor& x, Dims y_sizes, double scale, DType y_type) {
  TestTensor y(y_type, y_sizes);
  RunOnPools(y, [&](KernelContext& context, TestTensor& out) {
    Workspace workspace(SumToWorkspaceBytes(x.sizes(), y_sizes));
    SumTo(context, {x.source(), out.target(), scale, workspace.data()});
  });
  std::vector<double> sums;
  std::vector<double> magnitudes;
  PlainSum(x, y_sizes, &sums, &magnitudes);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const double want = scale * sums[i];
    ASSERT_NEAR(y[static_cast<std::int64_t>(i)], want, Epsilon(y_type) * std::abs(want) + 1e-12 * magnitudes[i])
        << x.layout().ToString() << " to element " << i << " of " << y.layout().ToString();
  }
}

TEST(SumToKernel, IsThePlainSumForEveryChoiceOfDimensions) {
  Random random(301);
  for (const DType dtype : kFloatTypes) {
    for (int kept = 0; kept < 8; ++kept) {
      const Dims sizes = {7, 30, 45};
      Dims y_sizes = sizes;
      for (int dim = 0; dim < 3; ++dim) {
        if ((kept >> dim & 1) == 0) y_sizes[dim] = 1;
      }
      CheckSum(TestTensor::Uniform(random, dtype, sizes), y_sizes, 1, dtype);
      TestTensor permuted(dtype, sizes, {1, 7 * 46, 7});
      permuted.FillUniform(random);
      CheckSum(permuted, y_sizes, 0.25, dtype);
      TestTensor expanded(dtype, sizes, {45, 0, 1});
      expanded.FillUniform(random);
      CheckSum(expanded, y_sizes, 1, dtype);
    }
  }
}

TEST(SumToKernel, DropsLeadingDimensionsAndTakesLargeAndEmptySizes) {
  Random random(302);
  const std::int64_t large = 300000 / TIERLIB_RANDOM_SCALE + 1;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    CheckSum(TestTensor::Uniform(random, dtype, {768, 128}), {128}, 1, dtype);
    CheckSum(TestTensor::Uniform(random, dtype, {3, 5, 2000}), {2000}, 1, dtype);
    CheckSum(TestTensor::Uniform(random, dtype, {large}), {}, 1.0 / static_cast<double>(large), DType::kF32);
    CheckSum(TestTensor::Uniform(random, dtype, {2, large / 2}), {2, 1}, 1, dtype);
    CheckSum(TestTensor::Uniform(random, dtype, {large / 2, 2}), {1, 2}, 1, dtype);
    CheckSum(TestTensor::Uniform(random, dtype, {2, large / 4, 2}), {2, 1, 2}, 1, dtype);
    CheckSum(TestTensor::Uniform(random, dtype, {40, 600}), {40, 600}, 2, dtype);
    CheckSum(TestTensor::Uniform(random, dtype, {}), {}, 1, dtype);
    CheckSum(TestTensor::Uniform(random, dtype, {0, 6}), {6}, 1, dtype);
    CheckSum(TestTensor::Uniform(random, dtype, {6, 0}), {6, 1}, 1, dtype);
    CheckSum(TestTensor::Uniform(random, dtype, {6, 0}), {1, 0}, 1, dtype);
  }
}

TEST(SumToKernel, WritesAStridedTarget) {
  Random random(303);
  const TestTensor x = TestTensor::Uniform(random, DType::kF32, {4, 6, 5});
  TestTensor y(DType::kF32, {4, 1, 5}, {1, 1, 4});
  RunOnPools(y, [&](KernelContext& context, TestTensor& out) {
    Workspace workspace(SumToWorkspaceBytes(x.sizes(), out.sizes()));
    SumTo(context, {x.source(), out.target(), 1, workspace.data()});
  });
  for (std::int64_t i = 0; i < 20; ++i) {
    double want = 0;
    for (std::int64_t j = 0; j < 6; ++j) want += x[i / 5 * 30 + j * 5 + i % 5];
    ASSERT_NEAR(y[i], want, 1e-6);
  }
}

// --- LayerNorm ---

struct LayerNormCase {
  std::int64_t rows, columns;
  bool bias;
};
const LayerNormCase kLayerNormCases[] = {{1, 1, true},    {3, 7, false},   {65, 128, true},
                                         {97, 130, true}, {5, 2600, true}, {700, 3, false}};

TEST(LayerNormKernel, ForwardIsThePlainLoop) {
  Random random(304);
  for (const DType dtype : kFloatTypes) {
    for (const LayerNormCase& c : kLayerNormCases) {
      const TestTensor x = TestTensor::Uniform(random, dtype, {c.rows, c.columns}, 1, 4);
      const TestTensor weight = TestTensor::Uniform(random, dtype, {c.columns});
      const TestTensor bias = TestTensor::Uniform(random, dtype, {c.columns});
      TestTensor y(dtype, {c.rows, c.columns});
      TestTensor mean(ComputeType(dtype), {c.rows});
      TestTensor rstd(ComputeType(dtype), {c.rows});
      RunOnPools(y, [&](KernelContext& context, TestTensor& out) {
        LayerNormForward(context, {dtype, c.rows, c.columns, 1e-5, x.data(), weight.data(),
                                   c.bias ? bias.data() : nullptr, out.data(), mean.data(), rstd.data()});
      });
      const auto n = static_cast<double>(c.columns);
      for (std::int64_t i = 0; i < c.rows; ++i) {
        double mu = 0;
        double variance = 0;
        for (std::int64_t j = 0; j < c.columns; ++j) mu += x[i * c.columns + j] / n;
        for (std::int64_t j = 0; j < c.columns; ++j) variance += std::pow(x[i * c.columns + j] - mu, 2) / n;
        const double r = 1 / std::sqrt(variance + 1e-5);
        const double e = ComputeEpsilon(dtype);
        ASSERT_NEAR(mean[i], mu, 16 * e * std::abs(mu));
        ASSERT_NEAR(rstd[i], r, (4 + 8 * r) * e * r);
        for (std::int64_t j = 0; j < c.columns; ++j) {
          const double want = (x[i * c.columns + j] - mu) * r * weight[j] + (c.bias ? bias[j] : 0);
          ASSERT_NEAR(y[i * c.columns + j], want, 16 * e * (2 + r * 4) + Epsilon(dtype) * std::abs(want));
        }
      }
    }
  }
}

TEST(LayerNormKernel, BackwardIsThePlainLoopAndEachGradientMayBeLeftOut) {
  Random random(305);
  for (const DType dtype : kFloatTypes) {
    for (const LayerNormCase& c : kLayerNormCases) {
      const TestTensor x = TestTensor::Uniform(random, dtype, {c.rows, c.columns}, 1, 4);
      const TestTensor dy = TestTensor::Uniform(random, dtype, {c.rows, c.columns});
      const TestTensor weight = TestTensor::Uniform(random, dtype, {c.columns});
      TestTensor mean(ComputeType(dtype), {c.rows});
      TestTensor rstd(ComputeType(dtype), {c.rows});
      const auto n = static_cast<double>(c.columns);
      for (std::int64_t i = 0; i < c.rows; ++i) {
        double mu = 0;
        double variance = 0;
        for (std::int64_t j = 0; j < c.columns; ++j) mu += x[i * c.columns + j] / n;
        for (std::int64_t j = 0; j < c.columns; ++j) variance += std::pow(x[i * c.columns + j] - mu, 2) / n;
        mean.Set(i, mu);
        rstd.Set(i, 1 / std::sqrt(variance + 1e-5));
      }
      const auto backward = [&](KernelContext& context, void* dx, void* dweight, void* dbias) {
        Workspace workspace(LayerNormBackwardWorkspaceBytes(dtype, c.rows, c.columns));
        LayerNormBackward(context, {dtype, c.rows, c.columns, dy.data(), x.data(), weight.data(), mean.data(),
                                    rstd.data(), dx, dweight, dbias, workspace.data()});
      };
      TestTensor dx(dtype, {c.rows, c.columns});
      TestTensor dweight(dtype, {c.columns});
      TestTensor dbias(dtype, {c.columns});
      RunOnPools(dx, [&](KernelContext& k, TestTensor& out) { backward(k, out.data(), dweight.data(), dbias.data()); });
      TestTensor alone(dtype, {c.columns});
      RunOnPools(alone, [&](KernelContext& k, TestTensor& out) { backward(k, nullptr, out.data(), nullptr); });
      EXPECT_EQ(std::memcmp(alone.data(), dweight.data(), static_cast<std::size_t>(c.columns) * ElementBytes(dtype)),
                0);
      RunOnPools(alone, [&](KernelContext& k, TestTensor& out) { backward(k, nullptr, nullptr, out.data()); });
      EXPECT_EQ(std::memcmp(alone.data(), dbias.data(), static_cast<std::size_t>(c.columns) * ElementBytes(dtype)), 0);

      const double e = ComputeEpsilon(dtype);
      std::vector<double> want_weight(static_cast<std::size_t>(c.columns), 0);
      std::vector<double> want_bias = want_weight;
      for (std::int64_t i = 0; i < c.rows; ++i) {
        double h_mean = 0;
        double hz_mean = 0;
        for (std::int64_t j = 0; j < c.columns; ++j) {
          const double g = dy[i * c.columns + j];
          const double z = (x[i * c.columns + j] - mean[i]) * rstd[i];
          h_mean += g * weight[j] / n;
          hz_mean += g * weight[j] * z / n;
          want_weight[static_cast<std::size_t>(j)] += g * z;
          want_bias[static_cast<std::size_t>(j)] += g;
        }
        for (std::int64_t j = 0; j < c.columns; ++j) {
          const double z = (x[i * c.columns + j] - mean[i]) * rstd[i];
          const double want = rstd[i] * (dy[i * c.columns + j] * weight[j] - h_mean - z * hz_mean);
          ASSERT_NEAR(dx[i * c.columns + j], want, rstd[i] * 64 * e * (1 + rstd[i]) + Epsilon(dtype) * std::abs(want));
        }
      }
      for (std::int64_t j = 0; j < c.columns; ++j) {
        const auto at = static_cast<std::size_t>(j);
        const double rows = static_cast<double>(c.rows);
        ASSERT_NEAR(dweight[j], want_weight[at], 16 * e * rows * 4 + Epsilon(dtype) * std::abs(want_weight[at]));
        ASSERT_NEAR(dbias[j], want_bias[at], 16 * e * rows + Epsilon(dtype) * std::abs(want_bias[at]));
      }
    }
  }
}

// y = x r w with r = 1 / sqrt(mean of x^2 + epsilon); dx = r (h - z mean(h z)) with h = dy w and z = x r.
TEST(RmsNormKernel, IsThePlainLoop) {
  constexpr double kEpsilon = 0.25;
  Random random(309);
  for (const DType dtype : kFloatTypes) {
    for (const LayerNormCase& c : kLayerNormCases) {
      const TestTensor x = TestTensor::Uniform(random, dtype, {c.rows, c.columns}, -1, 4);
      const TestTensor dy = TestTensor::Uniform(random, dtype, {c.rows, c.columns});
      const TestTensor weight = TestTensor::Uniform(random, dtype, {c.columns});
      TestTensor y(dtype, {c.rows, c.columns});
      TestTensor rstd(ComputeType(dtype), {c.rows});
      RunOnPools(y, [&](KernelContext& context, TestTensor& out) {
        LayerNormForward(context, {dtype, c.rows, c.columns, kEpsilon, x.data(), weight.data(), nullptr, out.data(),
                                   nullptr, rstd.data()});
      });
      TestTensor dx(dtype, {c.rows, c.columns});
      TestTensor dweight(dtype, {c.columns});
      RunOnPools(dx, [&](KernelContext& context, TestTensor& out) {
        Workspace workspace(LayerNormBackwardWorkspaceBytes(dtype, c.rows, c.columns));
        LayerNormBackward(context, {dtype, c.rows, c.columns, dy.data(), x.data(), weight.data(), nullptr, rstd.data(),
                                    out.data(), dweight.data(), nullptr, workspace.data()});
      });
      const double e = ComputeEpsilon(dtype);
      const auto n = static_cast<double>(c.columns);
      std::vector<double> want_weight(static_cast<std::size_t>(c.columns), 0);
      for (std::int64_t i = 0; i < c.rows; ++i) {
        const std::int64_t row = i * c.columns;
        double squares = 0;
        for (std::int64_t j = 0; j < c.columns; ++j) squares += x[row + j] * x[row + j] / n;
        const double r = 1 / std::sqrt(squares + kEpsilon);
        ASSERT_NEAR(rstd[i], r, 12 * e * r);
        double hz_mean = 0;
        for (std::int64_t j = 0; j < c.columns; ++j) hz_mean += dy[row + j] * weight[j] * x[row + j] * r / n;
        for (std::int64_t j = 0; j < c.columns; ++j) {
          const double z = x[row + j] * r;
          const double want = z * weight[j];
          ASSERT_NEAR(y[row + j], want, 64 * e + Epsilon(dtype) * std::abs(want));
          const double want_dx = r * (dy[row + j] * weight[j] - z * hz_mean);
          ASSERT_NEAR(dx[row + j], want_dx, r * 256 * e + Epsilon(dtype) * std::abs(want_dx));
          want_weight[static_cast<std::size_t>(j)] += dy[row + j] * z;
        }
      }
      for (std::int64_t j = 0; j < c.columns; ++j) {
        const double want = want_weight[static_cast<std::size_t>(j)];
        ASSERT_NEAR(dweight[j], want, 64 * e * static_cast<double>(c.rows) + Epsilon(dtype) * std::abs(want));
      }
    }
  }
}

// --- Softmax ---

struct SliceCase {
  std::int64_t outer, size, inner;
};
const SliceCase kSliceCases[] = {{1, 1, 1},    {50, 64, 1}, {33, 65, 1}, {9, 3, 1},
                                 {2, 3000, 1}, {3, 17, 11}, {1, 5, 200}};

TEST(SoftmaxKernel, ForwardAndBackwardAreThePlainLoops) {
  Random random(306);
  for (const DType dtype : kFloatTypes) {
    for (const SliceCase& c : kSliceCases) {
      const Dims sizes = {c.outer, c.size, c.inner};
      const TestTensor x = TestTensor::Uniform(random, dtype, sizes, -30, 30);
      const TestTensor dy = TestTensor::Uniform(random, dtype, sizes);
      TestTensor y(dtype, sizes);
      RunOnPools(y, [&](KernelContext& k, TestTensor& out) {
        SoftmaxForward(k, {dtype, c.outer, c.size, c.inner, x.data(), out.data()});
      });
      TestTensor dx = dy;  // in place
      RunOnPools(dx, [&](KernelContext& k, TestTensor& out) {
        SoftmaxBackward(k, {dtype, c.outer, c.size, c.inner, y.data(), out.data(), out.data()});
      });
      const double e = ComputeEpsilon(dtype);
      for (std::int64_t slice = 0; slice < c.outer * c.inner; ++slice) {
        const std::int64_t start = slice / c.inner * c.size * c.inner + slice % c.inner;
        double most = -1e300;
        double sum = 0;
        double dot = 0;
        for (std::int64_t j = 0; j < c.size; ++j) most = std::max(most, x[start + j * c.inner]);
        for (std::int64_t j = 0; j < c.size; ++j) {
          sum += std::exp(x[start + j * c.inner] - most);
          dot += y[start + j * c.inner] * dy[start + j * c.inner];
        }
        for (std::int64_t j = 0; j < c.size; ++j) {
          const std::int64_t at = start + j * c.inner;
          const double want = std::exp(x[at] - most) / sum;
          ASSERT_NEAR(y[at], want, 64 * e * want + Epsilon(dtype) * want + (dtype == DType::kF16 ? 6e-8 : 1e-37));
          const double slope = y[at] * (dy[at] - dot);
          ASSERT_NEAR(dx[at], slope,
                      16 * e * y[at] + Epsilon(dtype) * std::abs(slope) + (dtype == DType::kF16 ? 6e-8 : 1e-37));
        }
      }
    }
  }
}

TEST(SoftmaxKernel, MaskedElementsAreZeroAndNaNSpoilsItsRowOnly) {
  ThreadPool pool(2);
  KernelContext context{pool};
  TestTensor x(DType::kF32, {3, 20});
  for (int i = 0; i < 60; ++i) x.Set(i, i % 20 < 10 ? 1.0 : -std::numeric_limits<double>::infinity());
  x.Set(45, std::nan(""));
  TestTensor y(DType::kF32, {3, 20});
  SoftmaxForward(context, {DType::kF32, 3, 20, 1, x.data(), y.data()});
  for (int i = 0; i < 40; ++i) EXPECT_FLOAT_EQ(static_cast<float>(y[i]), i % 20 < 10 ? 0.1f : 0.0f);
  for (int i = 40; i < 60; ++i) EXPECT_TRUE(std::isnan(y[i]));
}

// --- Cross-entropy ---

TEST(CrossEntropyKernel, ForwardAndBackwardAreThePlainLoops) {
  Random random(307);
  for (const DType dtype : kFloatTypes) {
    for (const auto& [rows, classes] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {768, 65}, {13, 2500}, {100, 2}}) {
      const TestTensor logits = TestTensor::Uniform(random, dtype, {rows, classes}, -10, 10);
      std::vector<std::int32_t> targets;
      for (std::int64_t i = 0; i < rows; ++i) {
        targets.push_back(static_cast<std::int32_t>(random.UniformInt(static_cast<std::uint64_t>(classes))));
      }
      TestTensor lse(ComputeType(dtype), {rows});
      TestTensor loss(DType::kF32, {});
      RunOnPools(loss, [&, r = rows, c = classes](KernelContext& k, TestTensor& out) {
        Workspace workspace(CrossEntropyForwardWorkspaceBytes(r));
        CrossEntropyForward(
            k, {dtype, r, c, logits.data(), targets.data(), lse.data(), DType::kF32, out.data(), workspace.data()});
      });
      TestTensor dloss(DType::kF64, {});
      dloss.Set(0, 1.5);
      TestTensor dlogits = logits;  // in place
      RunOnPools(dlogits, [&, r = rows, c = classes](KernelContext& k, TestTensor& out) {
        CrossEntropyBackward(
            k, {dtype, r, c, out.data(), targets.data(), lse.data(), DType::kF64, dloss.data(), out.data()});
      });
      double want_loss = 0;
      const double e = ComputeEpsilon(dtype);
      for (std::int64_t i = 0; i < rows; ++i) {
        double sum = 0;
        for (std::int64_t j = 0; j < classes; ++j) sum += std::exp(logits[i * classes + j]);
        const std::int64_t target = targets[static_cast<std::size_t>(i)];
        want_loss += (std::log(sum) - logits[i * classes + target]) / static_cast<double>(rows);
        for (std::int64_t j = 0; j < classes; ++j) {
          const double p = std::exp(logits[i * classes + j]) / sum;
          const double scale = 1.5 / static_cast<double>(rows);
          const double want = (p - (j == target ? 1 : 0)) * scale;
          ASSERT_NEAR(dlogits[i * classes + j], want,
                      64 * e * scale + Epsilon(dtype) * std::abs(want) + (dtype == DType::kF16 ? 6e-8 : 0));
        }
      }
      ASSERT_NEAR(loss[0], want_loss, 1e-6 * (1 + want_loss));
    }
  }
}

TEST(CrossEntropyKernel, TargetsOutsideTheClassesGiveNaNAndReadNothing) {
  ThreadPool pool(1);
  KernelContext context{pool};
  TestTensor logits(DType::kF32, {2, 3});
  for (int i = 0; i < 6; ++i) logits.Set(i, i);
  for (const std::int32_t bad : {-1, 3, 2147483647}) {
    const std::int32_t targets[2] = {1, bad};
    TestTensor lse(DType::kF32, {2});
    TestTensor loss(DType::kF32, {});
    Workspace workspace(CrossEntropyForwardWorkspaceBytes(2));
    CrossEntropyForward(
        context, {DType::kF32, 2, 3, logits.data(), targets, lse.data(), DType::kF32, loss.data(), workspace.data()});
    EXPECT_TRUE(std::isnan(loss[0]));
    TestTensor dloss(DType::kF32, {});
    dloss.Set(0, 1);
    TestTensor dlogits(DType::kF32, {2, 3});
    CrossEntropyBackward(
        context, {DType::kF32, 2, 3, logits.data(), targets, lse.data(), DType::kF32, dloss.data(), dlogits.data()});
    for (int i = 0; i < 6; ++i) EXPECT_EQ(std::isnan(dlogits[i]), i >= 3);
  }
}

// --- Embedding ---

TEST(EmbeddingKernel, ForwardCopiesRowsAndBackwardSumsThemInOrder) {
  Random random(308);
  for (const DType dtype : kFloatTypes) {
    for (const auto& [vocabulary, width] :
         {std::pair<std::int64_t, std::int64_t>{65, 128}, {1, 1}, {7, 1500}, {1000, 5}}) {
      const std::int64_t count = 768;
      const TestTensor table = TestTensor::Uniform(random, dtype, {vocabulary, width});
      const TestTensor dy = TestTensor::Uniform(random, dtype, {count, width});
      std::vector<std::int32_t> indices;
      for (std::int64_t i = 0; i < count; ++i) {
        indices.push_back(static_cast<std::int32_t>(random.UniformInt(static_cast<std::uint64_t>(vocabulary))));
      }
      TestTensor y(dtype, {count, width});
      RunOnPools(y, [&, v = vocabulary, w = width](KernelContext& k, TestTensor& out) {
        EmbeddingForward(k, {dtype, v, w, count, table.data(), indices.data(), out.data()});
      });
      TestTensor dtable(dtype, {vocabulary, width});
      RunOnPools(dtable, [&, v = vocabulary, w = width](KernelContext& k, TestTensor& out) {
        Workspace workspace(EmbeddingBackwardWorkspaceBytes(v, count));
        EmbeddingBackward(k, {dtype, v, w, count, indices.data(), dy.data(), out.data(), workspace.data()});
      });
      std::vector<double> want(static_cast<std::size_t>(vocabulary * width), 0);
      std::vector<double> magnitude = want;
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t row = indices[static_cast<std::size_t>(i)];
        for (std::int64_t j = 0; j < width; ++j) {
          ASSERT_EQ(y[i * width + j], table[row * width + j]);
          want[static_cast<std::size_t>(row * width + j)] += dy[i * width + j];
          magnitude[static_cast<std::size_t>(row * width + j)] += std::abs(dy[i * width + j]);
        }
      }
      for (std::size_t i = 0; i < want.size(); ++i) {
        ASSERT_NEAR(dtable[static_cast<std::int64_t>(i)], want[i],
                    32 * ComputeEpsilon(dtype) * magnitude[i] + Epsilon(dtype) * std::abs(want[i]));
      }
    }
  }
}

TEST(EmbeddingKernel, IndicesOutsideTheTableGiveNaNForwardAndNothingBackward) {
  ThreadPool pool(2);
  KernelContext context{pool};
  TestTensor table(DType::kBF16, {2, 2});
  for (int i = 0; i < 4; ++i) table.Set(i, i + 1);
  const std::int32_t indices[4] = {1, -1, 2, 0};
  TestTensor y(DType::kBF16, {4, 2});
  EmbeddingForward(context, {DType::kBF16, 2, 2, 4, table.data(), indices, y.data()});
  EXPECT_EQ(y[0], 3);
  EXPECT_TRUE(std::isnan(y[2]) && std::isnan(y[3]) && std::isnan(y[4]) && std::isnan(y[5]));
  EXPECT_EQ(y[7], 2);
  TestTensor dtable(DType::kBF16, {2, 2});
  TestTensor dy(DType::kBF16, {4, 2});
  for (int i = 0; i < 8; ++i) dy.Set(i, i);
  Workspace workspace(EmbeddingBackwardWorkspaceBytes(2, 4));
  EmbeddingBackward(context, {DType::kBF16, 2, 2, 4, indices, dy.data(), dtable.data(), workspace.data()});
  EXPECT_EQ(dtable[0], 6);
  EXPECT_EQ(dtable[1], 7);
  EXPECT_EQ(dtable[2], 0);
  EXPECT_EQ(dtable[3], 1);
}

}  // namespace
}  // namespace tierlib::autograd::host
