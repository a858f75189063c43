// Matrix products against three nested loops over doubles.
#include <cmath>
#include <vector>

#include "autograd/kernels/host/blas.h"
#include "autograd/kernels/matmul.h"
#include "kernels_tensor.h"

extern "C" int omp_get_max_threads();

namespace tierlib::autograd::host {
namespace {

struct Shape {
  std::int64_t m, n, k;
};

// The product's element (i, j) in double, and the sum of the magnitudes of its terms.
struct Reference {
  double value = 0;
  double magnitude = 0;
};

Reference Element(const MatMulArguments& a, const TestTensor& left, const TestTensor& right, std::int64_t a_start,
                  std::int64_t b_start, std::int64_t i, std::int64_t j) {
  Reference r;
  for (std::int64_t p = 0; p < a.k; ++p) {
    const double x = left[a_start + (a.transpose_a ? p * a.lda + i : i * a.lda + p)];
    const double y = right[b_start + (a.transpose_b ? j * a.ldb + p : p * a.ldb + j)];
    r.value += x * y;
    r.magnitude += std::abs(x * y);
  }
  return r;
}

double Tolerance(DType dtype, const Reference& r, double value) {
  const double compute = dtype == DType::kF64 ? 0x1p-52 : 0x1p-23;
  return 4 * compute * r.magnitude + Epsilon(dtype) * std::abs(value) + 1e-300;
}

// One product with gaps between the rows of all three matrices.
void CheckProduct(Random& random, DType dtype, Shape s, bool ta, bool tb, double alpha, double beta) {
  MatMulArguments a;
  a.dtype = dtype;
  a.m = s.m;
  a.n = s.n;
  a.k = s.k;
  a.transpose_a = ta;
  a.transpose_b = tb;
  a.lda = (ta ? s.m : s.k) + 3;
  a.ldb = (tb ? s.k : s.n) + 1;
  a.ldc = s.n + 2;
  a.alpha = alpha;
  a.beta = beta;
  const TestTensor left = TestTensor::Uniform(random, dtype, {(ta ? s.k : s.m) * a.lda}, -1, 1);
  const TestTensor right = TestTensor::Uniform(random, dtype, {(tb ? s.n : s.k) * a.ldb}, -1, 1);
  TestTensor c = TestTensor::Uniform(random, dtype, {s.m * a.ldc}, -1, 1);
  const TestTensor before = c;
  RunOnPools(c, [&](KernelContext& context, TestTensor& out) {
    MatMulArguments run = a;
    run.a = left.data();
    run.b = right.data();
    run.c = out.data();
    MatMul(context, run);
  });
  const std::int64_t step = std::max<std::int64_t>(1, s.m * s.n * s.k / 2000000);  // of large products, some elements
  for (std::int64_t e = 0; e < s.m * a.ldc; e += step) {
    const std::int64_t i = e / a.ldc;
    const std::int64_t j = e % a.ldc;
    if (j >= s.n) {
      ASSERT_EQ(c[e], before[e]) << "a gap was written";
      continue;
    }
    const Reference r = Element(a, left, right, 0, 0, i, j);
    const double want = alpha * r.value + (beta == 0 ? 0 : beta * before[e]);
    ASSERT_NEAR(c[e], want, Tolerance(dtype, r, want))
        << DTypeName(dtype) << " " << s.m << " x " << s.n << " x " << s.k << " at " << i << ", " << j;
  }
}

TEST(MatMulKernel, IsTheTripleLoopForAllTranspositionsAndTypes) {
  Random random(201);
  const Shape shapes[] = {{1, 1, 1},     {3, 5, 7},      {1, 65, 128},  {130, 1, 300},
                          {37, 41, 259}, {200, 530, 33}, {65, 128, 768}};
  for (const DType dtype : kFloatTypes) {
    for (const Shape& s : shapes) {
      for (int form = 0; form < 4; ++form) {
        if (TIERLIB_RANDOM_SCALE > 10 && (form == 1 || form == 2)) continue;  // the triple loop takes long there
        CheckProduct(random, dtype, s, (form & 1) != 0, (form & 2) != 0, 1, 0);
        CheckProduct(random, dtype, s, (form & 1) != 0, (form & 2) != 0, -0.5, 1);
      }
    }
  }
}

TEST(MatMulKernel, TheProductsOfATrainingStep) {
  Random random(202);
  constexpr std::int64_t kRows = TIERLIB_RANDOM_SCALE > 10 ? 192 : 768;
  for (const auto& [in, out] : {std::pair<std::int64_t, std::int64_t>{128, 384}, {128, 512}, {512, 128}, {128, 65}}) {
    CheckProduct(random, DType::kF32, {kRows, out, in}, false, true, 1, 0);
    CheckProduct(random, DType::kF32, {kRows, in, out}, false, false, 1, 0);
    CheckProduct(random, DType::kF32, {out, in, kRows}, true, false, 1, 1);
  }
}

TEST(MatMulKernel, EmptySizesGiveZeroOrNothing) {
  ThreadPool pool(2);
  KernelContext context{pool};
  for (const DType dtype : kFloatTypes) {
    TestTensor c(dtype, {2, 3});
    for (int i = 0; i < 6; ++i) c.Set(i, 1 + i);
    MatMulArguments a;
    a.dtype = dtype;
    a.m = 2;
    a.n = 3;
    a.c = c.data();
    a.ldc = 3;
    a.a = c.data();
    a.b = c.data();
    a.beta = 1;
    MatMul(context, a);
    for (int i = 0; i < 6; ++i) EXPECT_EQ(c[i], 1 + i);
    a.beta = 0;
    MatMul(context, a);
    for (int i = 0; i < 6; ++i) EXPECT_EQ(c[i], 0);
    a.m = 0;
    MatMul(context, a);
  }
}

TEST(MatMulKernel, WithBetaZeroNaNInTheResultIsOverwritten) {
  ThreadPool pool(1);
  KernelContext context{pool};
  for (const DType dtype : kFloatTypes) {
    TestTensor x(dtype, {4});
    for (int i = 0; i < 4; ++i) x.Set(i, 1);
    TestTensor c(dtype, {4});
    for (int i = 0; i < 4; ++i) c.Set(i, std::nan(""));
    MatMulArguments a;
    a.dtype = dtype;
    a.m = a.n = a.k = 2;
    a.a = a.b = x.data();
    a.c = c.data();
    a.lda = a.ldb = a.ldc = 2;
    MatMul(context, a);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(c[i], 2);
  }
}

// Heads of a [B, T, H, D] buffer times each other: batch strides that interleave, and a repeated right-hand side.
TEST(MatMulKernel, BatchesHaveTheirOwnStridesAndMayRepeat) {
  Random random(203);
  const std::int64_t batch = 3, heads = 5, m = 33, k = 24, n = 17;
  for (const DType dtype : kFloatTypes) {
    for (const bool repeat : {false, true}) {
      const TestTensor left = TestTensor::Uniform(random, dtype, {batch, m, heads, k}, -1, 1);
      const TestTensor right = TestTensor::Uniform(random, dtype, {batch, heads, k, n}, -1, 1);
      TestTensor c(dtype, {batch, heads, m, n});
      MatMulArguments a;
      a.dtype = dtype;
      a.m = m;
      a.n = n;
      a.k = k;
      a.lda = heads * k;
      a.ldb = n;
      a.ldc = n;
      a.batch = {batch, heads};
      a.batch_strides_a = {m * heads * k, k};
      a.batch_strides_b = {repeat ? 0 : heads * k * n, k * n};
      a.batch_strides_c = {heads * m * n, m * n};
      RunOnPools(c, [&](KernelContext& context, TestTensor& out) {
        MatMulArguments run = a;
        run.a = left.data();
        run.b = right.data();
        run.c = out.data();
        MatMul(context, run);
      });
      for (std::int64_t e = 0; e < batch * heads * m * n; e += 3) {
        const std::int64_t b = e / (heads * m * n);
        const std::int64_t h = e / (m * n) % heads;
        const Reference r = Element(a, left, right, b * a.batch_strides_a[0] + h * a.batch_strides_a[1],
                                    b * a.batch_strides_b[0] + h * a.batch_strides_b[1], e / n % m, e % n);
        ASSERT_NEAR(c[e], r.value, Tolerance(dtype, r, r.value));
      }
    }
  }
}

TEST(MatMulKernel, BlasStaysOnOneThreadAndTheCallersSettingComesBack) {
  const int before = omp_get_max_threads();
  {
    const OneBlasThread one;
    EXPECT_EQ(omp_get_max_threads(), 1);
  }
  EXPECT_EQ(omp_get_max_threads(), before);
}

}  // namespace
}  // namespace tierlib::autograd::host
