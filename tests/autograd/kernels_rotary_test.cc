// Rotary position embedding against a plain loop over doubles, and what it is for: products that depend on the distance
// of positions alone.
#include <cmath>
#include <vector>

#include "autograd/kernels/rotary.h"
#include "kernels_tensor.h"

namespace tierlib::autograd::host {
namespace {

struct Case {
  std::int64_t outer, positions, inner, pairs, first;
  double theta;
};
const Case kCases[] = {{2, 5, 3, 4, 0, 10000},  {1, 1, 1, 1, 7, 10}, {3, 2, 1, 1025, 3, 10000},
                       {1, 300, 2, 33, 0, 5e5}, {2, 0, 3, 4, 0, 10}, {2, 3, 0, 4, 0, 10}};

RotaryArguments Arguments(const Case& c, DType dtype, bool halves, bool back) {
  return {.dtype = dtype,
          .outer = c.outer,
          .positions = c.positions,
          .inner = c.inner,
          .pairs = c.pairs,
          .first = c.first,
          .theta = c.theta,
          .halves = halves,
          .back = back};
}

TestTensor Turned(const RotaryArguments& arguments, const TestTensor& x) {
  TestTensor y(arguments.dtype, x.sizes());
  RunOnPools(y, [&](KernelContext& context, TestTensor& out) {
    Workspace workspace(RotaryWorkspaceBytes(arguments.dtype, arguments.positions, arguments.pairs));
    RotaryArguments a = arguments;
    a.x = x.data();
    a.y = out.data();
    a.workspace = workspace.data();
    Rotary(context, a);
  });
  return y;
}

TEST(RotaryKernel, TurnsEachPairByItsAngle) {
  Random random(401);
  for (const DType dtype : kFloatTypes) {
    for (const Case& c : kCases) {
      for (int form = 0; form < 4; ++form) {
        const RotaryArguments a = Arguments(c, dtype, form / 2 == 1, form % 2 == 1);
        const TestTensor x = TestTensor::Uniform(random, dtype, {c.outer, c.positions, c.inner, 2 * c.pairs});
        const TestTensor y = Turned(a, x);
        for (std::int64_t row = 0; row < c.outer * c.positions * c.inner; ++row) {
          const double position = static_cast<double>(c.first + row / c.inner % c.positions);
          for (std::int64_t i = 0; i < c.pairs; ++i) {
            const double angle = (a.back ? -1 : 1) * position *
                                 std::pow(c.theta, -static_cast<double>(i) / static_cast<double>(c.pairs));
            const std::int64_t first = 2 * c.pairs * row + (a.halves ? i : 2 * i);
            const std::int64_t second = first + (a.halves ? c.pairs : 1);
            const double tolerance = 8 * Epsilon(dtype);
            ASSERT_NEAR(y[first], x[first] * std::cos(angle) - x[second] * std::sin(angle), tolerance);
            ASSERT_NEAR(y[second], x[first] * std::sin(angle) + x[second] * std::cos(angle), tolerance);
          }
        }
      }
    }
  }
}

TEST(RotaryKernel, ProductsDependOnTheDistanceOfPositionsAlone) {
  Random random(402);
  const std::int64_t pairs = 8;
  const TestTensor q = TestTensor::Uniform(random, DType::kF64, {1, 1, 1, 2 * pairs});
  const TestTensor k = TestTensor::Uniform(random, DType::kF64, {1, 1, 1, 2 * pairs});
  const auto product = [&](std::int64_t query, std::int64_t key) {
    const TestTensor a = Turned(Arguments({1, 1, 1, pairs, query, 10000}, DType::kF64, false, false), q);
    const TestTensor b = Turned(Arguments({1, 1, 1, pairs, key, 10000}, DType::kF64, false, false), k);
    double sum = 0;
    for (std::int64_t i = 0; i < 2 * pairs; ++i) sum += a[i] * b[i];
    return sum;
  };
  EXPECT_NEAR(product(5, 3), product(105, 103), 1e-12);
  EXPECT_GT(std::abs(product(5, 3) - product(5, 4)), 1e-3);
}

}  // namespace
}  // namespace tierlib::autograd::host
