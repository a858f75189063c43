// Matrix times vector from packed indices, against the plain loop in float64.
#include "dkm/kernels/packed_matvec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "autograd/kernels/host/float16.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "hwy/targets.h"

namespace tierlib::dkm::host {
namespace {

struct Problem {
  Problem(std::int64_t rows, std::int64_t columns, int bits, std::int64_t group_rows, Random& random)
      : shape(*MakePaletteShape({rows, columns}, bits, group_rows)),
        indices(static_cast<std::size_t>(shape.index_bytes())),  // of exactly that size: ASAN sees what is beyond
        tables(static_cast<std::size_t>(shape.table_values())),
        x(static_cast<std::size_t>(columns)) {
    for (std::uint8_t& byte : indices) byte = static_cast<std::uint8_t>(random.NextU32());
    for (float& value : tables) value = static_cast<float>(random.Normal());
    for (float& value : x) value = static_cast<float>(random.Normal());
  }

  std::vector<float> Run(int threads) const {
    ThreadPool pool(threads);
    std::vector<float> y(static_cast<std::size_t>(shape.rows), NAN);
    PackedMatvec(pool, {shape, indices.data(), tables.data(), x.data(), y.data()});
    return y;
  }
  std::vector<float> Reference() const {
    std::vector<float> y(static_cast<std::size_t>(shape.rows), NAN);
    PackedMatvecReference({shape, indices.data(), tables.data(), x.data(), y.data()});
    return y;
  }

  PaletteShape shape;
  std::vector<std::uint8_t> indices;
  std::vector<float> tables;
  std::vector<float> x;
};

void ExpectNear(const Problem& problem, const std::vector<float>& y) {
  const std::vector<float> expected = problem.Reference();
  const double tolerance = 1e-5 * std::sqrt(static_cast<double>(problem.shape.columns) + 1);
  for (std::size_t row = 0; row < y.size(); ++row) {
    ASSERT_NEAR(y[row], expected[row], tolerance)
        << "bits " << problem.shape.bits << " row " << row << " columns " << problem.shape.columns;
  }
}

// Calls body(name) with each instruction set of this machine alone in use; those that the kernel was not compiled for
// fall back to its plain form.
template <class Body>
void ForEachTarget(const Body& body) {
  const std::int64_t all = hwy::SupportedTargets();
  for (std::int64_t rest = all; rest != 0; rest &= rest - 1) {
    const std::int64_t target = rest & -rest;
    hwy::SetSupportedTargetsForTest(target);
    body(std::string(hwy::TargetName(target)));
  }
  hwy::SetSupportedTargetsForTest(0);
}

TEST(PackedMatvec, EqualsThePlainLoopForEveryWidthAndLength) {
  Random random(41);
  for (int bits = 1; bits <= 8; ++bits) {
    for (const std::int64_t columns : {0, 1, 7, 8, 31, 32, 33, 63, 64, 65, 127, 128, 200, 1000}) {
      const Problem problem(5, columns, bits, 0, random);
      ForEachTarget([&](const std::string& target) {
        SCOPED_TRACE(target);
        ExpectNear(problem, problem.Run(1));
      });
    }
  }
}

// Values that the table does not have stay out of the sums: of a row's end too.
TEST(PackedMatvec, AddsNothingBehindARowsEnd) {
  Random random(45);
  for (const int bits : {3, 8}) {
    Problem problem(1, 70, bits, 0, random);
    std::fill(problem.indices.begin(), problem.indices.end(), 0xff);
    problem.tables[0] = INFINITY;  // what bits behind the end would mean, were they looked at as 0
    ForEachTarget([&](const std::string& target) { EXPECT_TRUE(std::isfinite(problem.Run(1)[0])) << target; });
  }
}

TEST(PackedMatvec, TakesEachRowsTable) {
  Random random(42);
  for (const std::int64_t group_rows : {1, 3, 16, 100}) {
    const Problem problem(100, 256, 3, group_rows, random);
    ForEachTarget([&](const std::string& target) {
      SCOPED_TRACE(target);
      ExpectNear(problem, problem.Run(2));
    });
  }
}

TEST(PackedMatvec, GivesTheSameBitsForAnyNumberOfThreads) {
  Random random(43);
  for (const int bits : {3, 8}) {
    const Problem problem(997, 1031, bits, 10, random);
    const std::vector<float> one = problem.Run(1);
    EXPECT_EQ(one, problem.Run(2));
    EXPECT_EQ(one, problem.Run(3));
    EXPECT_EQ(one, problem.Run(1));
  }
}

TEST(PackedMatvec, DenseEqualsThePlainLoop) {
  Random random(44);
  ThreadPool pool(2);
  for (const std::int64_t columns : {0, 5, 64, 1003}) {
    std::vector<std::uint16_t> weights(static_cast<std::size_t>(20 * columns));
    std::vector<float> x(static_cast<std::size_t>(columns)), y(20);
    for (std::uint16_t& weight : weights) weight = autograd::host::BF16FromFloat(static_cast<float>(random.Normal()));
    for (float& value : x) value = static_cast<float>(random.Normal());
    DenseBF16Matvec(pool, 20, columns, weights.data(), x.data(), y.data());
    for (std::size_t row = 0; row < 20; ++row) {
      double expected = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        expected += static_cast<double>(autograd::host::FloatFromBF16(weights[row * x.size() + i])) * x[i];
      }
      EXPECT_NEAR(y[row], expected, 1e-3);
    }
  }
}

}  // namespace
}  // namespace tierlib::dkm::host
