// AdamW, the joint gradient norm and clipping against plain loops over doubles.
#include <cmath>
#include <vector>

#include "autograd/kernels/adamw.h"
#include "autograd/kernels/gradient_norm.h"
#include "kernels_tensor.h"

namespace tierlib::autograd::host {
namespace {

struct Parameters {
  std::vector<TestTensor> values, gradients, avg, avg_sq, masters;
  std::vector<double> decay;

  // Tensors of odd sizes, one larger than a block, of one dtype.
  Parameters(Random& random, DType dtype) {
    for (const std::int64_t n : {1, 130, 16384, 40001, 7}) {
      values.push_back(TestTensor::Uniform(random, dtype, {n}, -1, 1));
      gradients.push_back(TestTensor::Uniform(random, dtype, {n}, -1, 1));
      avg.push_back(TestTensor::Uniform(random, ComputeType(dtype), {n}, -1, 1));
      avg_sq.push_back(TestTensor::Uniform(random, ComputeType(dtype), {n}, 0, 1));
      masters.push_back(TestTensor(DType::kF32, {n}));
      for (std::int64_t i = 0; i < n; ++i) masters.back().Set(i, values.back()[i] + 1e-4 * random.UniformDouble());
      decay.push_back(values.size() % 2 == 0 ? 0.1 : 0);
    }
  }

  std::vector<AdamWTensor> tensors(bool with_master) {
    std::vector<AdamWTensor> list;
    for (std::size_t i = 0; i < values.size(); ++i) {
      list.push_back({values[i].dtype(), Count(values[i].sizes()), decay[i], values[i].data(), gradients[i].data(),
                      avg[i].data(), avg_sq[i].data(), with_master ? masters[i].data() : nullptr});
    }
    return list;
  }

  std::vector<GradientTensor> gradient_list() {
    std::vector<GradientTensor> list;
    for (TestTensor& g : gradients) list.push_back({g.dtype(), Count(g.sizes()), g.data()});
    return list;
  }
};

AdamWArguments Arguments(const std::vector<AdamWTensor>& tensors, std::uint64_t step) {
  AdamWArguments a;
  a.tensors = tensors;
  a.learning_rate = 1e-2;
  a.beta1 = 0.9;
  a.beta2 = 0.99;
  a.epsilon = 1e-8;
  a.step = step;
  return a;
}

TEST(AdamWKernel, IsThePlainUpdateForEveryTypeWithAndWithoutMaster) {
  for (const DType dtype : kFloatTypes) {
    for (const bool with_master : {false, true}) {
      if (with_master && (dtype == DType::kF32 || dtype == DType::kF64)) continue;
      Random random(501);
      const Parameters before(random, dtype);
      Parameters after = before;
      for (int threads = 1; threads <= 3; ++threads) {
        ThreadPool pool(threads);
        KernelContext context{pool};
        Parameters run = before;
        const std::vector<AdamWTensor> tensors = run.tensors(with_master);
        AdamW(context, Arguments(tensors, 3));
        if (threads == 1) after = run;
        for (std::size_t p = 0; p < run.values.size(); ++p) {
          ASSERT_TRUE(run.values[p].bytes() == after.values[p].bytes());
          ASSERT_TRUE(run.avg[p].bytes() == after.avg[p].bytes());
          ASSERT_TRUE(run.avg_sq[p].bytes() == after.avg_sq[p].bytes());
          ASSERT_TRUE(run.masters[p].bytes() == after.masters[p].bytes());
        }
      }
      const double e = dtype == DType::kF64 ? 0x1p-52 : 0x1p-23;
      for (std::size_t p = 0; p < before.values.size(); ++p) {
        for (std::int64_t i = 0; i < Count(before.values[p].sizes()); ++i) {
          const double g = before.gradients[p][i];
          const double m = 0.9 * before.avg[p][i] + 0.1 * g;
          const double v = 0.99 * before.avg_sq[p][i] + 0.01 * g * g;
          double w = (with_master ? before.masters : before.values)[p][i];
          w *= 1 - 1e-2 * before.decay[p];
          w -= 1e-2 / (1 - std::pow(0.9, 3)) * m / (std::sqrt(v) / std::sqrt(1 - std::pow(0.99, 3)) + 1e-8);
          ASSERT_NEAR(after.avg[p][i], m, 4 * e);
          ASSERT_NEAR(after.avg_sq[p][i], v, 4 * e);
          const double spread = 8 * e * (std::abs(w) + std::abs(m / std::sqrt(v)));
          ASSERT_NEAR(after.values[p][i], w, spread + Epsilon(dtype) * std::abs(w))
              << DTypeName(dtype) << " " << p << " " << i;
          if (with_master) {
            ASSERT_NEAR(after.masters[p][i], w, spread);
            TestTensor rounded(dtype, {1});
            rounded.Set(0, after.masters[p][i]);
            ASSERT_EQ(after.values[p][i], rounded[0]);
          }
        }
      }
    }
  }
}

TEST(AdamWKernel, FirstStepMovesByTheLearningRate) {
  ThreadPool pool(1);
  KernelContext context{pool};
  for (const double g : {1e-3, -5.0}) {
    TestTensor value(DType::kF64, {1}), gradient(DType::kF64, {1}), avg(DType::kF64, {1}), avg_sq(DType::kF64, {1});
    value.Set(0, 1);
    gradient.Set(0, g);
    avg.Set(0, 0);
    avg_sq.Set(0, 0);
    const std::vector<AdamWTensor> tensors = {
        {DType::kF64, 1, 0, value.data(), gradient.data(), avg.data(), avg_sq.data(), nullptr}};
    AdamW(context, Arguments(tensors, 1));
    EXPECT_NEAR(value[0], g > 0 ? 0.99 : 1.01, 1e-6);
  }
}

TEST(GradientNormKernel, IsTheJointTwoNormAndClipsOnlyAboveTheLimit) {
  for (const DType dtype : kFloatTypes) {
    Random random(502);
    Parameters parameters(random, dtype);
    double squares = 0;
    for (const TestTensor& g : parameters.gradients) {
      for (std::int64_t i = 0; i < Count(g.sizes()); ++i) squares += g[i] * g[i];
    }
    const double norm = std::sqrt(squares);
    for (const double limit : {norm / 3, norm * 3}) {
      double first[2] = {0, 0};
      for (int threads = 1; threads <= 3; ++threads) {
        ThreadPool pool(threads);
        KernelContext context{pool};
        Parameters run = parameters;
        const std::vector<GradientTensor> list = run.gradient_list();
        Workspace workspace(GradientNormWorkspaceBytes(list));
        double coefficient[2];
        GradientNorm(context, {list, limit, coefficient, workspace.data()});
        ScaleGradients(context, {list, coefficient});
        if (threads == 1) std::memcpy(first, coefficient, sizeof first);
        ASSERT_EQ(std::memcmp(first, coefficient, sizeof first), 0);
        ASSERT_NEAR(coefficient[1], norm, 1e-12 * norm);
        ASSERT_NEAR(coefficient[0], limit < norm ? limit / (norm + 1e-6) : 1, 1e-12);
        for (std::size_t p = 0; p < run.gradients.size(); ++p) {
          for (std::int64_t i = 0; i < Count(run.gradients[p].sizes()); ++i) {
            const double want = parameters.gradients[p][i] * coefficient[0];
            ASSERT_NEAR(run.gradients[p][i], want, Epsilon(dtype) * std::abs(want) + (dtype == DType::kF16 ? 6e-8 : 0));
          }
        }
      }
    }
  }
}

TEST(GradientNormKernel, NaNStaysVisible) {
  ThreadPool pool(2);
  KernelContext context{pool};
  TestTensor gradient(DType::kF32, {3});
  for (int i = 0; i < 3; ++i) gradient.Set(i, i == 1 ? std::nan("") : 1.0);
  const std::vector<GradientTensor> list = {{DType::kF32, 3, gradient.data()}};
  Workspace workspace(GradientNormWorkspaceBytes(list));
  double coefficient[2];
  GradientNorm(context, {list, 1.0, coefficient, workspace.data()});
  EXPECT_TRUE(std::isnan(coefficient[0]) && std::isnan(coefficient[1]));
  ScaleGradients(context, {list, coefficient});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(std::isnan(gradient[i]));
}

TEST(GradientNormKernel, LargeFloatsDoNotOverflow) {
  ThreadPool pool(1);
  KernelContext context{pool};
  TestTensor gradient(DType::kF32, {4});
  for (int i = 0; i < 4; ++i) gradient.Set(i, 1e30);
  const std::vector<GradientTensor> list = {{DType::kF32, 4, gradient.data()}};
  Workspace workspace(GradientNormWorkspaceBytes(list));
  double coefficient[2];
  GradientNorm(context, {list, 1.0, coefficient, workspace.data()});
  EXPECT_NEAR(coefficient[1] / 2e30, 1, 1e-6);
}

}  // namespace
}  // namespace tierlib::autograd::host
