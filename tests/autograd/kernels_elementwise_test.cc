// Elementwise kernels, activations, casts and 16-bit conversions against plain loops over doubles.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>

#include "autograd/kernels/activation.h"
#include "autograd/kernels/cast.h"
#include "autograd/kernels/dropout.h"
#include "autograd/kernels/elementwise.h"
#include "autograd/kernels/host/float16.h"
#include "autograd/kernels/host/lanes_convert.h"
#include "kernels_tensor.h"

namespace tierlib::autograd::host {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Expects y[i] = expected(i) within `ulps` of y's dtype (relative, and absolute below 1e-2).
void ExpectElements(const TestTensor& y, double ulps, const std::function<double(std::int64_t)>& expected) {
  for (std::int64_t i = 0; i < Count(y.sizes()); ++i) {
    const double want = expected(i);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(y[i])) << "element " << i << " is " << y[i];
    } else if (std::isinf(want)) {
      ASSERT_EQ(y[i], want) << "element " << i;
    } else {
      ASSERT_NEAR(y[i], want, ulps * Epsilon(y.dtype()) * std::max(1e-2, std::abs(want))) << "element " << i;
    }
  }
}

struct UnaryCase {
  UnaryOp op;
  double c0, c1;
  double low, high;  // of x
  double (*plain)(double x, double c0, double c1);
};

const UnaryCase kUnaryCases[] = {
    {UnaryOp::kAddScalar, 0.75, 0, -2, 2, [](double x, double c, double) { return x + c; }},
    {UnaryOp::kMulScalar, -1.5, 0, -2, 2, [](double x, double c, double) { return x * c; }},
    {UnaryOp::kSquare, 0, 0, -2, 2, [](double x, double, double) { return x * x; }},
    {UnaryOp::kSqrt, 0, 0, 0, 4, [](double x, double, double) { return std::sqrt(x); }},
    {UnaryOp::kExp, 0, 0, -10, 10, [](double x, double, double) { return std::exp(x); }},
    {UnaryOp::kLog, 0, 0, 1e-3, 100, [](double x, double, double) { return std::log(x); }},
    {UnaryOp::kClamp, -0.5, 0.25, -2, 2, [](double x, double a, double b) { return std::min(std::max(x, a), b); }},
};

TEST(ElementwiseKernels, UnaryOpsAreThePlainLoopForEveryTypeSizeAndLayout) {
  Random random(101);
  for (const UnaryCase& c : kUnaryCases) {
    for (const DType dtype : kFloatTypes) {
      for (const std::int64_t n : {0, 1, 7, 64, 1023, 1025, 40000 / TIERLIB_RANDOM_SCALE + 3}) {
        const TestTensor x = TestTensor::Uniform(random, dtype, {n}, c.low, c.high);
        TestTensor y(dtype, {n}, 3);
        RunOnPools(y, [&](KernelContext& k, TestTensor& out) {
          Unary(k, {c.op, c.c0, c.c1, x.source(), out.target()});
        });
        ExpectElements(y, 3, [&](std::int64_t i) { return c.plain(x[i], c.c0, c.c1); });
      }
      TestTensor x(dtype, {5, 3, 17}, {1, 90, 5});  // permuted, with gaps
      x.FillUniform(random, c.low, c.high);
      TestTensor y(dtype, {5, 3, 17}, {60, 20, 1});
      RunOnPools(y, [&](KernelContext& k, TestTensor& out) { Unary(k, {c.op, c.c0, c.c1, x.source(), out.target()}); });
      ExpectElements(y, 3, [&](std::int64_t i) { return c.plain(x[i], c.c0, c.c1); });
    }
  }
}

TEST(ElementwiseKernels, SpecialValuesBehaveAsInTheCLibrary) {
  ThreadPool pool(1);
  KernelContext context{pool};
  const double values[] = {kNaN, kInfinity, -kInfinity, 0.0, -0.0, 89.0, 88.5, -104.0, -200.0, 720.0, -800.0};
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    TestTensor x(dtype, {11});
    for (int i = 0; i < 11; ++i) x.Set(i, values[i]);
    TestTensor y(dtype, {11});
    Unary(context, {UnaryOp::kExp, 0, 0, x.source(), y.target()});
    ExpectElements(y, 3, [&](std::int64_t i) {
      return dtype == DType::kF64 ? std::exp(x[i]) : std::exp(static_cast<float>(x[i]));
    });
    Unary(context, {UnaryOp::kLog, 0, 0, x.source(), y.target()});
    ExpectElements(y, 3, [&](std::int64_t i) { return std::log(x[i]); });
    Unary(context, {UnaryOp::kClamp, -1, 1, x.source(), y.target()});
    EXPECT_TRUE(std::isnan(y[0]));
    EXPECT_EQ(y[1], 1);
    EXPECT_EQ(y[2], -1);
  }
}

double PlainBinary(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::kAdd: return a + b;
    case BinaryOp::kSub: return a - b;
    case BinaryOp::kMul: return a * b;
    case BinaryOp::kDiv: return a / b;
    case BinaryOp::kSquareGradient: return 2 * a * b;
    case BinaryOp::kSqrtGradient: return b == 0 ? 0 : a / (2 * b);
    case BinaryOp::kClampGradient: return b >= -0.5 && b <= 0.5 ? a : 0;
  }
  return kNaN;
}

TEST(ElementwiseKernels, BinaryOpsBroadcastEitherSideAndMixTypes) {
  Random random(102);
  const std::pair<Dims, Dims> shapes[] = {{{1500}, {1500}},      {{1500}, {}},       {{}, {6, 5}},
                                          {{40, 33}, {33}},      {{40, 1}, {1, 33}}, {{3, 1, 5}, {4, 1}},
                                          {{2, 3, 700}, {3, 1}}, {{0, 4}, {4}},      {{7, 1300}, {7, 1300}}};
  for (const BinaryOp op : {BinaryOp::kAdd, BinaryOp::kSub, BinaryOp::kMul, BinaryOp::kDiv, BinaryOp::kSquareGradient,
                            BinaryOp::kSqrtGradient, BinaryOp::kClampGradient}) {
    for (const auto& [a_sizes, b_sizes] : shapes) {
      for (const DType dtype : kFloatTypes) {
        const TestTensor a = TestTensor::Uniform(random, dtype, a_sizes);
        TestTensor b = TestTensor::Uniform(random, dtype == DType::kBF16 ? DType::kF32 : dtype, b_sizes, 0.2, 2);
        if (Count(b_sizes) > 3) b.Set(3, op == BinaryOp::kSqrtGradient ? 0.0 : 0.5);
        Dims sizes = Dims::Filled(std::max(a_sizes.rank(), b_sizes.rank()), 1);
        for (const Dims& of : {a_sizes, b_sizes}) {
          for (int i = 0; i < of.rank(); ++i) {
            if (of[i] != 1) sizes[sizes.rank() - of.rank() + i] = of[i];
          }
        }
        TestTensor y(dtype, sizes);
        RunOnPools(y, [&](KernelContext& k, TestTensor& out) {
          Binary(k, {op, -0.5, 0.5, a.source(), b.source(), out.target()});
        });
        ExpectElements(y, 2, [&](std::int64_t i) {
          return PlainBinary(op, BroadcastElement(a, sizes, i), BroadcastElement(b, sizes, i));
        });
      }
    }
  }
}

TEST(ElementwiseKernels, ResultMayOverwriteAnArgument) {
  Random random(103);
  ThreadPool pool(2);
  KernelContext context{pool};
  for (const DType dtype : kFloatTypes) {
    const TestTensor a = TestTensor::Uniform(random, dtype, {3000});
    const TestTensor b = TestTensor::Uniform(random, dtype, {3000});
    TestTensor apart(dtype, {3000});
    Binary(context, {BinaryOp::kAdd, 0, 0, a.source(), b.source(), apart.target()});
    TestTensor in_place = a;
    Binary(context, {BinaryOp::kAdd, 0, 0, in_place.source(), b.source(), in_place.target()});
    for (std::int64_t i = 0; i < 3000; ++i) ASSERT_EQ(in_place[i], apart[i]);
  }
}

TEST(ElementwiseKernels, DivisorGradientIsThePlainLoop) {
  Random random(104);
  for (const DType dtype : kFloatTypes) {
    const TestTensor g = TestTensor::Uniform(random, dtype, {9, 130});
    const TestTensor a = TestTensor::Uniform(random, dtype, {9, 130});
    const TestTensor b = TestTensor::Uniform(random, dtype, {130}, 0.5, 2);
    TestTensor y(dtype, {9, 130});
    RunOnPools(y, [&](KernelContext& k, TestTensor& out) {
      DivisorGradient(k, {g.source(), a.source(), b.source(), out.target()});
    });
    ExpectElements(y, 3, [&](std::int64_t i) { return -g[i] * a[i] / (b[i % 130] * b[i % 130]); });
  }
}

TEST(ElementwiseKernels, MaskedFillReplacesWhereTheMaskIsSet) {
  Random random(105);
  TestTensor mask(DType::kBool, {1, 40});
  std::memset(mask.data(), 0, 40);
  for (int j = 0; j < 40; j += 3) static_cast<std::uint8_t*>(mask.data())[j] = 1;
  for (const DType dtype : kFloatTypes) {
    const TestTensor x = TestTensor::Uniform(random, dtype, {50, 40});
    TestTensor y(dtype, {50, 40});
    RunOnPools(y, [&](KernelContext& k, TestTensor& out) {
      MaskedFill(k, {x.source(), mask.source(), -kInfinity, out.target()});
    });
    for (std::int64_t i = 0; i < 2000; ++i) ASSERT_EQ(y[i], i % 40 % 3 == 0 ? -kInfinity : x[i]);
  }
}

TEST(ElementwiseKernels, FillWritesOnlyTheTargetsElements) {
  ThreadPool pool(2);
  KernelContext context{pool};
  TestTensor y(DType::kF32, {4, 3}, {5, 1});
  Fill(context, {2.5, y.target()});
  const float* raw = static_cast<const float*>(y.data());
  for (int i = 0; i < 18; ++i) {
    if (i % 5 < 3) {
      EXPECT_EQ(raw[i], 2.5f) << i;
    } else {
      EXPECT_NE(raw[i], 2.5f) << i;
    }
  }
}

double PlainActivation(Activation activation, double x) {
  return activation == Activation::kGelu ? x * 0.5 * std::erfc(-x * std::sqrt(0.5)) : x / (1 + std::exp(-x));
}

double PlainActivationGradient(Activation activation, double x) {
  if (activation == Activation::kGelu) {
    return 0.5 * std::erfc(-x * std::sqrt(0.5)) + x * std::exp(-x * x / 2) / std::sqrt(2 * std::acos(-1.0));
  }
  const double s = 1 / (1 + std::exp(-x));
  return s * (1 + x * (1 - s));
}

TEST(ActivationKernels, AreThePlainFunctionsAndTheirDerivatives) {
  Random random(106);
  for (const Activation activation : {Activation::kGelu, Activation::kSilu}) {
    for (const DType dtype : kFloatTypes) {
      for (const std::int64_t n : {1, 5, 1027, 30000}) {
        const TestTensor x = TestTensor::Uniform(random, dtype, {n}, -8, 8);
        const TestTensor dy = TestTensor::Uniform(random, dtype, {n}, 0.5, 1.5);
        TestTensor y(dtype, {n});
        RunOnPools(y, [&](KernelContext& k, TestTensor& out) {
          ActivationForward(k, {activation, x.source(), out.target()});
        });
        TestTensor dx(dtype, {n});
        RunOnPools(dx, [&](KernelContext& k, TestTensor& out) {
          ActivationBackward(k, {activation, dy.source(), x.source(), out.target()});
        });
        const double tolerance = std::max(3e-16, dtype == DType::kF64 ? 0 : 2e-7);
        for (std::int64_t i = 0; i < n; ++i) {
          const double want = PlainActivation(activation, x[i]);
          ASSERT_NEAR(y[i], want, tolerance * std::abs(x[i]) + Epsilon(dtype) * std::abs(want)) << "x = " << x[i];
          const double slope = dy[i] * PlainActivationGradient(activation, x[i]);
          ASSERT_NEAR(dx[i], slope, 4 * tolerance * (1 + std::abs(x[i])) + Epsilon(dtype) * std::abs(slope))
              << "x = " << x[i];
        }
      }
    }
  }
}

// gelu(x) / x is the normal distribution's integral, (1 + erf) / 2: absolute everywhere, and relative in the left tail.
TEST(ActivationKernels, FloatErfIsWithinTwoTenMillionthsOfTheTruth) {
  ThreadPool pool(1);
  KernelContext context{pool};
  constexpr std::int64_t kPoints = 400001;
  TestTensor x(DType::kF32, {kPoints});
  for (std::int64_t i = 0; i < kPoints; ++i) x.Set(i, -10 + 20.0 * static_cast<double>(i) / (kPoints - 1) + 1e-4);
  TestTensor y(DType::kF32, {kPoints});
  ActivationForward(context, {Activation::kGelu, x.source(), y.target()});
  double worst = 0;
  for (std::int64_t i = 0; i < kPoints; ++i) {
    const double integral = 0.5 * std::erfc(-x[i] * std::sqrt(0.5));
    worst = std::max(worst, std::abs(y[i] / x[i] - integral));
    if (x[i] < 0 && x[i] > -4) {
      ASSERT_NEAR(y[i] / x[i], integral, 2e-6 * integral) << "x = " << x[i];
    }
  }
  EXPECT_LT(worst, 2e-7);
  EXPECT_GT(worst, 1e-9);  // this is the float form
}

TEST(ActivationKernels, NaNAndInfinityPassThrough) {
  ThreadPool pool(1);
  KernelContext context{pool};
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    TestTensor x(dtype, {2});
    x.Set(0, kNaN);
    x.Set(1, kInfinity);
    TestTensor y(dtype, {2});
    for (const Activation activation : {Activation::kGelu, Activation::kSilu}) {
      ActivationForward(context, {activation, x.source(), y.target()});
      EXPECT_TRUE(std::isnan(y[0]));
      EXPECT_EQ(y[1], kInfinity);
    }
  }
}

// --- 16 bits ---

TEST(Float16, EveryBitPatternComesBackAndLanesAgreeWithScalars) {
  std::vector<std::uint16_t> patterns(65536);
  for (std::size_t i = 0; i < patterns.size(); ++i) patterns[i] = static_cast<std::uint16_t>(i);
  std::vector<float> values(65536);
  std::vector<std::uint16_t> back(65536);
  FloatFromF16Lanes(patterns.data(), values.data(), 65536);
  F16FromFloatLanes(values.data(), back.data(), 65536);
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const float scalar = FloatFromF16(bits);
    ASSERT_EQ(std::memcmp(&scalar, &values[i], 4), 0) << i;
    ASSERT_EQ(back[i], F16FromFloat(scalar)) << i;
    if (std::isnan(scalar)) {
      ASSERT_EQ(back[i] & 0x7e00, 0x7e00) << i;
    } else {
      ASSERT_EQ(back[i], bits);
      const int exponent = (bits >> 10) & 31;  // the definition
      const double fraction = bits & 1023;
      const double magnitude = exponent == 31  ? kInfinity
                               : exponent == 0 ? std::ldexp(fraction, -24)
                                               : std::ldexp(1024 + fraction, exponent - 25);
      ASSERT_EQ(scalar, (bits & 0x8000) != 0 ? -magnitude : magnitude);
    }
  }
  FloatFromBF16Lanes(patterns.data(), values.data(), 65536);
  BF16FromFloatLanes(values.data(), back.data(), 65536);
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const float scalar = FloatFromBF16(static_cast<std::uint16_t>(i));
    ASSERT_EQ(std::memcmp(&scalar, &values[i], 4), 0) << i;
    ASSERT_EQ(back[i], std::isnan(scalar) ? (i | 0x40) : i);
  }
}

// Rounding to nearest even from its definition: the neighbour that is closer, or the even one.
std::uint16_t NearestByDefinition(float value, float (*decode)(std::uint16_t), std::uint16_t infinity) {
  const auto sign = static_cast<std::uint16_t>(std::signbit(value) ? 0x8000 : 0);
  const double magnitude = std::abs(static_cast<double>(value));
  std::uint16_t low = 0;  // largest pattern that is not above, by bisection
  std::uint16_t high = infinity;
  while (high - low > 1) {
    const auto middle = static_cast<std::uint16_t>((low + high) / 2);
    (static_cast<double>(decode(middle)) <= magnitude ? low : high) = middle;
  }
  const double below = decode(low);
  const double gap = low == 0 ? decode(1) : below - decode(static_cast<std::uint16_t>(low - 1));
  const double above = high == infinity ? below + gap : decode(high);  // as if the range went on
  const bool up = magnitude - below > above - magnitude || (magnitude - below == above - magnitude && (low & 1) != 0);
  return static_cast<std::uint16_t>(sign | (up ? high : low));
}

TEST(Float16, RoundsToNearestEvenAlsoAtTheEdges) {
  Random random(107);
  std::vector<float> values;
  for (int i = 0; i < 200000 / TIERLIB_RANDOM_SCALE; ++i) {
    values.push_back(
        static_cast<float>(std::ldexp(random.UniformDouble() * 2 - 1, static_cast<int>(random.UniformInt(50)) - 30)));
  }
  for (std::uint32_t i = 0; i < 0x7c00; i += 7) {  // halfway points
    const float a = FloatFromF16(static_cast<std::uint16_t>(i));
    values.push_back((a + FloatFromF16(static_cast<std::uint16_t>(i + 1 == 0x7c00 ? i : i + 1))) / 2);
  }
  for (const float edge :
       {65504.0f, 65519.0f, 65519.996f, 65520.0f, 65536.0f, 1e30f, 0x1p-24f, 0x1p-25f, 0x1.002p-25f, 0.0f}) {
    values.push_back(edge);
    values.push_back(-edge);
  }
  std::vector<std::uint16_t> half(values.size());
  std::vector<std::uint16_t> bfloat(values.size());
  F16FromFloatLanes(values.data(), half.data(), values.size());
  BF16FromFloatLanes(values.data(), bfloat.data(), values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float clipped = std::min(std::max(values[i], -70000.0f), 70000.0f);
    ASSERT_EQ(half[i], NearestByDefinition(clipped, FloatFromF16, 0x7c00)) << values[i];
    ASSERT_EQ(half[i], F16FromFloat(values[i]));
    ASSERT_EQ(bfloat[i], NearestByDefinition(values[i], FloatFromBF16, 0x7f80)) << values[i];
    ASSERT_EQ(bfloat[i], BF16FromFloat(values[i]));
  }
}

TEST(CastKernel, ConvertsBetweenAllFloatTypesAndLayouts) {
  Random random(108);
  for (const DType from : kFloatTypes) {
    for (const DType to : kFloatTypes) {
      TestTensor x(from, {6, 70, 9}, {1, 60, 6});
      x.FillUniform(random);
      TestTensor y(to, {6, 70, 9});
      RunOnPools(y, [&](KernelContext& k, TestTensor& out) { Cast(k, {x.source(), out.target()}); });
      for (std::int64_t i = 0; i < 6 * 70 * 9; ++i) {
        TestTensor one(to, {1});
        one.Set(0, x[i]);
        ASSERT_EQ(y[i], one[0]);
      }
    }
  }
}

TEST(RoundKernel, IsACastThereAndBack) {
  Random random(109);
  for (const DType narrow : {DType::kBF16, DType::kF16}) {
    for (const DType from : kFloatTypes) {
      for (const DType to : kFloatTypes) {
        TestTensor x(from, {6, 70, 9}, {1, 60, 6});
        x.FillUniform(random);
        x.Set(5, kInfinity);
        x.Set(7, kNaN);
        x.Set(8, 65520.0);  // infinite in f16
        x.Set(9, -1e-7);    // has few bits there
        TestTensor between(narrow, {6, 70, 9});
        TestTensor expected(to, {6, 70, 9});
        ThreadPool pool(1);
        KernelContext context{pool};
        Cast(context, {x.source(), between.target()});
        Cast(context, {between.source(), expected.target()});
        TestTensor y(to, {6, 70, 9});
        RunOnPools(y, [&](KernelContext& k, TestTensor& out) { Round(k, {narrow, x.source(), out.target()}); });
        EXPECT_TRUE(y.bytes() == expected.bytes())
            << DTypeName(from) << " by " << DTypeName(narrow) << " to " << DTypeName(to);
      }
    }
  }
}

// All values of 16 bits, NaNs that are not quiet among them.
TEST(CastKernel, IsUndoneToTheBit) {
  constexpr std::int64_t kValues = 65'536;
  for (const DType narrow : {DType::kBF16, DType::kF16}) {
    ASSERT_TRUE(IsUndoable(narrow, DType::kF32));
    TestTensor x(narrow, {256, 256}, {1, 256});
    auto* bits = static_cast<std::uint16_t*>(x.data());
    for (std::int64_t i = 0; i < kValues; ++i) bits[i] = static_cast<std::uint16_t>(i);
    TestTensor wide(DType::kF32, {256, 256});
    RunOnPools(wide, [&](KernelContext& k, TestTensor& out) { Cast(k, {x.source(), out.target()}); });
    TestTensor back(narrow, {256, 256}, {1, 256});
    RunOnPools(back, [&](KernelContext& k, TestTensor& out) { UndoCast(k, {wide.source(), out.target()}); });
    EXPECT_EQ(std::memcmp(back.data(), x.data(), kValues * sizeof(std::uint16_t)), 0) << DTypeName(narrow);
  }
  EXPECT_FALSE(IsUndoable(DType::kF32, DType::kBF16));
  EXPECT_FALSE(IsUndoable(DType::kF32, DType::kF64)) << "a NaN that is not quiet becomes so";
}

TEST(CastKernel, KeepsTheBitsOfEqualTypes) {
  for (const DType dtype :
       {DType::kF32, DType::kF64, DType::kF16, DType::kI32, DType::kI64, DType::kBool, DType::kU16}) {
    const std::size_t size = ElementBytes(dtype);
    TestTensor x(dtype, {31, 45}, {1, 31});
    auto* bytes = static_cast<std::uint8_t*>(x.data());
    for (std::size_t i = 0; i < 31 * 45 * size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 37 + i / 251);
    TestTensor y(dtype, {31, 45});
    RunOnPools(y, [&](KernelContext& k, TestTensor& out) { Cast(k, {x.source(), out.target()}); });
    const auto* copied = static_cast<const std::uint8_t*>(y.data());
    for (std::size_t i = 0; i < 31; ++i) {
      for (std::size_t j = 0; j < 45; ++j) {
        ASSERT_EQ(std::memcmp(copied + (i * 45 + j) * size, bytes + (j * 31 + i) * size, size), 0);
      }
    }
  }
}

// --- Dropout ---

TEST(DropoutKernel, MaskIsAFunctionOfSeedCounterAndElement) {
  Random random(109);
  for (const DType dtype : kFloatTypes) {
    const TestTensor x = TestTensor::Uniform(random, dtype, {9001}, 1, 2);
    TestTensor y(dtype, {9001});
    RunOnPools(y, [&](KernelContext& k, TestTensor& out) {
      Dropout(k, {dtype, 9001, 0.25, 42, 7, x.data(), out.data()});
    });
    int dropped = 0;
    for (std::int64_t i = 0; i < 9001; ++i) {
      const auto block = PhiloxBlock(42, 7, static_cast<std::uint64_t>(i) / 4);
      const bool keep = block[static_cast<std::size_t>(i % 4)] >= 0x40000000u;
      ASSERT_NEAR(y[i], keep ? x[i] / 0.75 : 0.0, 2 * Epsilon(dtype) * 3);
      dropped += keep ? 0 : 1;
    }
    EXPECT_NEAR(dropped, 2250, 200);
  }
}

TEST(DropoutKernel, EndsOfTheRangeKeepAllAndNothing) {
  ThreadPool pool(2);
  KernelContext context{pool};
  TestTensor x(DType::kF32, {100});
  for (int i = 0; i < 100; ++i) x.Set(i, i + 1);
  TestTensor y(DType::kF32, {100});
  Dropout(context, {DType::kF32, 100, 0.0, 1, 2, x.data(), y.data()});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(y[i], i + 1);
  Dropout(context, {DType::kF32, 100, 1.0, 1, 2, x.data(), y.data()});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(y[i], 0);
}

}  // namespace
}  // namespace tierlib::autograd::host
