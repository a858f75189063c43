// The autograd's CUDA kernels, run on the host with the blocks and threads that a device would have, against the host's
// kernels in float64.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "autograd/cuda_problem.h"

namespace tierlib::autograd::cuda {
namespace {

using host::kFloatTypes;

// Of one elementary operation: its own rounding, and that of what it is made of.
constexpr double kElementwise = 4;
// Of sums and exponentials over a row: sums are in float64, what is summed in the compute type.
constexpr double kRow = 8;
// Of a plain sum in float64, which is rounded once; where the result is float64 too, the order of the sum shows.
double OfSum(DType dtype) { return dtype == DType::kF64 ? 16 : 1; }

TestTensor Uniform(std::uint64_t seed, DType dtype, const Dims& sizes, double low = -2, double high = 2) {
  Random random(seed);
  return TestTensor::Uniform(random, dtype, sizes, low, high);
}

// Sizes that packs fit into (with memory aligned to them or not), and that they do not fit into; with broadcasting.
struct Shapes {
  Dims y, a, b;
  std::int64_t shift;  // of all, in elements
};
const Shapes kShapes[] = {
    {{5, 64}, {5, 64}, {5, 64}, 0},
    {{5, 64}, {5, 64}, {5, 64}, 1},
    {{5, 64}, {64}, {5, 1}, 0},
    {{3, 7, 5}, {7, 1}, {3, 1, 5}, 1},
    {{1}, {1}, {1}, 0},
    {{0, 4}, {4}, {0, 4}, 0},
};

TestTensor Shifted(const TestTensor& x, std::int64_t shift) {
  TestTensor moved(x.dtype(), x.sizes(), shift);
  for (std::int64_t i = 0; i < host::Count(x.sizes()); ++i) moved.Set(i, x[i]);
  return moved;
}

TEST(CudaAutograd, ElementwiseOperations) {
  using host::BinaryOp;
  using host::UnaryOp;
  const UnaryOp unary[] = {UnaryOp::kAddScalar, UnaryOp::kMulScalar, UnaryOp::kSquare, UnaryOp::kSqrt,
                           UnaryOp::kExp,       UnaryOp::kLog,       UnaryOp::kClamp};
  const BinaryOp binary[] = {
      BinaryOp::kAdd,          BinaryOp::kSub,          BinaryOp::kMul, BinaryOp::kDiv, BinaryOp::kSquareGradient,
      BinaryOp::kSqrtGradient, BinaryOp::kClampGradient};
  for (const DType dtype : kFloatTypes) {
    for (const Shapes& s : kShapes) {
      const TestTensor a = Shifted(Uniform(1, dtype, s.a, 0.5, 2), s.shift);
      const TestTensor b = Shifted(Uniform(2, dtype, s.b, 0.5, 2), s.shift);
      const Tensors y = {TestTensor(dtype, s.y, s.shift)};
      for (const UnaryOp op : unary) {
        Compare(
            "unary " + std::to_string(static_cast<int>(op)), {a}, y,
            [&](Tensors& in, Tensors& out) {
              return host::UnaryArguments{op, 0.75, 1.25, in[0].source(), out[0].target()};
            },
            host::Unary, kElementwise);
      }
      for (const BinaryOp op : binary) {
        Compare(
            "binary " + std::to_string(static_cast<int>(op)), {a, b}, y,
            [&](Tensors& in, Tensors& out) {
              return host::BinaryArguments{op, 0.75, 1.25, in[0].source(), in[1].source(), out[0].target()};
            },
            host::Binary, kElementwise);
      }
      Compare(
          "divisor gradient", {a, b, b}, y,
          [](Tensors& in, Tensors& out) {
            return host::DivisorGradientArguments{in[0].source(), in[1].source(), in[2].source(), out[0].target()};
          },
          host::DivisorGradient, kElementwise);
      Compare(
          "fill", {}, y,
          [](Tensors&, Tensors& out) {
            return host::FillArguments{1.5, out[0].target()};
          },
          host::Fill, 0);
    }
  }
}

TEST(CudaAutograd, Activations) {
  for (const DType dtype : kFloatTypes) {
    for (const host::Activation activation : {host::Activation::kGelu, host::Activation::kSilu}) {
      const Dims sizes = {3, 40};
      const TestTensor x = Uniform(3, dtype, sizes, -6, 6);
      Compare(
          "activation", {x}, {TestTensor(dtype, sizes)},
          [&](Tensors& in, Tensors& out) {
            return host::ActivationForwardArguments{activation, in[0].source(), out[0].target()};
          },
          host::ActivationForward, kElementwise);
      Compare(
          "activation gradient", {Uniform(4, dtype, sizes), x}, {TestTensor(dtype, sizes)},
          [&](Tensors& in, Tensors& out) {
            return host::ActivationBackwardArguments{activation, in[0].source(), in[1].source(), out[0].target()};
          },
          host::ActivationBackward, kElementwise);
    }
  }
}

TEST(CudaAutograd, MaskedFillAndCausalMask) {
  for (const DType dtype : kFloatTypes) {
    TestTensor mask(DType::kBool, {9, 9}, 0);
    RunOn(SequentialGrid(), host::CausalMaskArguments{9, static_cast<bool*>(mask.data())});
    for (int i = 0; i < 81; ++i) EXPECT_EQ(static_cast<bool*>(mask.data())[i], i % 9 > i / 9);
    Compare(
        "masked fill", {Uniform(5, dtype, {2, 9, 9}), mask}, {TestTensor(dtype, {2, 9, 9})},
        [](Tensors& in, Tensors& out) {
          return host::MaskedFillArguments{in[0].source(), in[1].source(), -std::numeric_limits<double>::infinity(),
                                           out[0].target()};
        },
        host::MaskedFill, 0);
  }
}

// Between all float types; and bits of any size through another layout, packs and single elements.
TEST(CudaAutograd, Casts) {
  for (const DType from : kFloatTypes) {
    for (const DType to : kFloatTypes) {
      const TestTensor x = Uniform(6, from, {6, 32});
      TestTensor y(to, {6, 32});
      TestTensor expected(to, {6, 32});
      RunOn(SequentialGrid(), host::CastArguments{x.source(), y.target()});
      ThreadPool pool(1);
      KernelContext context{pool};
      host::Cast(context, host::CastArguments{x.source(), expected.target()});
      EXPECT_TRUE(y.bytes() == expected.bytes()) << DTypeName(from) << " to " << DTypeName(to);
    }
  }
  for (const DType dtype : {DType::kU8, DType::kBF16, DType::kI32, DType::kF64}) {
    for (const Dims& order : {Dims{2, 1, 0}, Dims{1, 0, 2}}) {
      TestTensor x(dtype, {4, 3, 32}, 0);
      for (std::size_t i = 0; i < x.bytes().size(); ++i)
        static_cast<std::uint8_t*>(x.data())[i] = static_cast<std::uint8_t>(i * 7);
      Layout turned = x.layout();
      for (int d = 0; d < 3; ++d) {
        turned.sizes[d] = x.sizes()[static_cast<int>(order[d])];
        turned.strides[d] = x.layout().strides[static_cast<int>(order[d])];
      }
      TestTensor y(dtype, turned.sizes, 0);
      TestTensor expected(dtype, turned.sizes, 0);
      RunOn(SequentialGrid(), host::CastArguments{{x.data(), turned}, y.target()});
      ThreadPool pool(1);
      KernelContext context{pool};
      host::Cast(context, host::CastArguments{{x.data(), turned}, expected.target()});
      EXPECT_TRUE(y.bytes() == expected.bytes()) << DTypeName(dtype);
    }
  }
}

TEST(CudaAutograd, Rounds) {
  for (const DType narrow : {DType::kBF16, DType::kF16}) {
    for (const DType from : kFloatTypes) {
      for (const DType to : kFloatTypes) {
        for (const std::int64_t columns : {32, 33}) {  // packs, and single elements
          TestTensor x = Uniform(6, from, {6, columns});
          x.Set(5, std::numeric_limits<double>::infinity());
          x.Set(7, 65520.0);
          TestTensor y(to, {6, columns});
          TestTensor expected(to, {6, columns});
          RunOn(SequentialGrid(), host::RoundArguments{narrow, x.source(), y.target()});
          ThreadPool pool(1);
          KernelContext context{pool};
          host::Round(context, host::RoundArguments{narrow, x.source(), expected.target()});
          EXPECT_TRUE(y.bytes() == expected.bytes())
              << DTypeName(from) << " by " << DTypeName(narrow) << " to " << DTypeName(to);
        }
      }
    }
  }
}

TEST(CudaAutograd, Sums) {
  struct Case {
    Dims x, y;
  };
  const Case cases[] = {{{7, 50}, {7, 1}}, {{7, 50}, {50}},  {{3, 4, 5}, {4, 1}},
                        {{6000}, {}},      {{9000, 3}, {3}}, {{2, 9000}, {2, 1}},
                        {{1, 1}, {1, 1}},  {{0, 4}, {4}},    {{5, 3, 40}, {1, 3, 1}}};
  for (const DType dtype : kFloatTypes) {
    for (const Case& c : cases) {
      if (TIERLIB_RANDOM_SCALE > 10 && host::Count(c.x) > 1000) continue;
      Compare(
          "sum", {Uniform(7, dtype, c.x, 0.5, 2)}, {TestTensor(dtype, c.y)},
          [](Tensors& in, Tensors& out) {
            return host::SumToArguments{in[0].source(), out[0].target(), 0.5, nullptr};
          },
          +[](KernelContext& context, const host::SumToArguments& a) {
            host::SumToArguments with = a;
            host::Workspace workspace(host::SumToWorkspaceBytes(a.x.layout.sizes, a.y.layout.sizes));
            with.workspace = workspace.data();
            host::SumTo(context, with);
          },
          OfSum(dtype));
    }
  }
}

// Rows of a warp, rows of a block, and slices along another dimension.
TEST(CudaAutograd, Softmax) {
  struct Case {
    std::int64_t outer, size, inner;
  };
  for (const DType dtype : kFloatTypes) {
    for (const Case& c : {Case{11, 65, 1}, Case{2, 1500, 1}, Case{3, 20, 5}}) {
      const Dims sizes = {c.outer, c.size, c.inner};
      TestTensor x = Uniform(8, dtype, sizes, -4, 4);
      x.Set(1, -std::numeric_limits<double>::infinity());
      Compare(
          "softmax", {x}, {TestTensor(dtype, sizes)},
          [&](Tensors& in, Tensors& out) {
            return host::SoftmaxForwardArguments{in[0].dtype(), c.outer, c.size, c.inner, in[0].data(), out[0].data()};
          },
          host::SoftmaxForward, kRow);
      Compare(
          "softmax gradient", {Uniform(9, dtype, sizes, 0, 0.1), Uniform(10, dtype, sizes)}, {TestTensor(dtype, sizes)},
          [&](Tensors& in, Tensors& out) {
            return host::SoftmaxBackwardArguments{in[0].dtype(), c.outer,      c.size,       c.inner,
                                                  in[0].data(),  in[1].data(), out[0].data()};
          },
          host::SoftmaxBackward, kRow);
    }
  }
  TestTensor x(DType::kF32, {1, 3});
  TestTensor y(DType::kF32, {1, 3});
  for (int i = 0; i < 3; ++i) x.Set(i, -std::numeric_limits<double>::infinity());
  RunOn(SequentialGrid(), host::SoftmaxForwardArguments{DType::kF32, 1, 3, 1, x.data(), y.data()});
  EXPECT_TRUE(std::isnan(y[0]));
}

TEST(CudaAutograd, Norms) {
  for (const DType dtype : kFloatTypes) {
    for (const bool centred : {true, false}) {
      for (const std::int64_t columns : {48, 1100}) {
        const std::int64_t rows = columns == 48 ? 200 : 3;
        const DType statistic = host::ComputeType(dtype);
        const Dims sizes = {rows, columns};
        const TestTensor x = Uniform(11, dtype, sizes, -1, 3);  // means are not about 0
        const TestTensor weight = Uniform(12, dtype, {columns}, 0.5, 1.5);
        const TestTensor bias = Uniform(13, dtype, {columns});
        Compare(
            centred ? "layer norm" : "rms norm", {x, weight, bias},
            {TestTensor(dtype, sizes), TestTensor(statistic, {rows}), TestTensor(statistic, {rows})},
            [&](Tensors& in, Tensors& out) {
              return host::LayerNormForwardArguments{.dtype = in[0].dtype(),
                                                     .rows = rows,
                                                     .columns = columns,
                                                     .x = in[0].data(),
                                                     .weight = in[1].data(),
                                                     .bias = centred ? in[2].data() : nullptr,
                                                     .y = out[0].data(),
                                                     .mean = centred ? out[1].data() : nullptr,
                                                     .rstd = out[2].data()};
            },
            host::LayerNormForward, kRow);
        const TestTensor mean = Uniform(14, statistic, {rows}, -0.1, 0.1);
        const TestTensor rstd = Uniform(15, statistic, {rows}, 0.8, 1);
        Scratch scratch;
        Compare(
            centred ? "layer norm gradient" : "rms norm gradient", {Uniform(16, dtype, sizes), x, weight, mean, rstd},
            {TestTensor(dtype, sizes), TestTensor(dtype, {columns}), TestTensor(dtype, {columns})},
            [&](Tensors& in, Tensors& out) {
              return host::LayerNormBackwardArguments{
                  .dtype = in[0].dtype(),
                  .rows = rows,
                  .columns = columns,
                  .dy = in[0].data(),
                  .x = in[1].data(),
                  .weight = in[2].data(),
                  .mean = centred ? in[3].data() : nullptr,
                  .rstd = in[4].data(),
                  .dx = out[0].data(),
                  .dweight = out[1].data(),
                  .dbias = out[2].data(),
                  .workspace = scratch.Take(host::LayerNormBackwardWorkspaceBytes(dtype, rows, columns))};
            },
            host::LayerNormBackward, kRow);
      }
    }
  }
}

TEST(CudaAutograd, CrossEntropy) {
  for (const DType dtype : kFloatTypes) {
    for (const std::int64_t classes : {65, 1300}) {
      for (const bool valid : {true, false}) {
        const std::int64_t rows = classes == 65 ? 70 : 2;
        TestTensor targets(DType::kI32, {rows}, 0);
        for (std::int64_t i = 0; i < rows; ++i) {
          static_cast<std::int32_t*>(targets.data())[i] = static_cast<std::int32_t>(i * 31 % classes);
        }
        if (!valid) static_cast<std::int32_t*>(targets.data())[1] = -1;
        const TestTensor logits = Uniform(17, dtype, {rows, classes}, -4, 4);
        const DType statistic = host::ComputeType(dtype);
        Scratch scratch;
        Compare(
            "cross entropy", {logits, targets}, {TestTensor(statistic, {rows}), TestTensor(statistic, {})},
            [&](Tensors& in, Tensors& out) {
              return host::CrossEntropyForwardArguments{
                  .dtype = in[0].dtype(),
                  .rows = rows,
                  .classes = classes,
                  .logits = in[0].data(),
                  .targets = static_cast<const std::int32_t*>(in[1].data()),
                  .log_sum_exp = out[0].data(),
                  .loss_dtype = out[1].dtype(),
                  .loss = out[1].data(),
                  .workspace = scratch.Take(host::CrossEntropyForwardWorkspaceBytes(rows))};
            },
            host::CrossEntropyForward, kRow);
        const TestTensor log_sum_exp = Uniform(18, statistic, {rows}, 5, 6);
        TestTensor dloss(statistic, {});
        dloss.Set(0, 1.5);
        Compare(
            "cross entropy gradient", {logits, targets, log_sum_exp, dloss}, {TestTensor(dtype, {rows, classes})},
            [&](Tensors& in, Tensors& out) {
              return host::CrossEntropyBackwardArguments{.dtype = in[0].dtype(),
                                                         .rows = rows,
                                                         .classes = classes,
                                                         .logits = in[0].data(),
                                                         .targets = static_cast<const std::int32_t*>(in[1].data()),
                                                         .log_sum_exp = in[2].data(),
                                                         .loss_dtype = in[3].dtype(),
                                                         .dloss = in[3].data(),
                                                         .dlogits = out[0].data()};
            },
            host::CrossEntropyBackward, kRow);
      }
    }
  }
}

// To the bit: the same masks, and one product.
TEST(CudaAutograd, DropoutDrawsTheHostsMasks) {
  for (const DType dtype : kFloatTypes) {
    for (const double p : {0.2, 1.0}) {
      const TestTensor x = Uniform(19, dtype, {1001});
      TestTensor y(dtype, {1001});
      TestTensor expected(dtype, {1001});
      RunOn(SequentialGrid({}, 5), host::DropoutArguments{dtype, 1001, p, 77, 3, x.data(), y.data()});
      ThreadPool pool(1);
      KernelContext context{pool};
      host::Dropout(context, host::DropoutArguments{dtype, 1001, p, 77, 3, x.data(), expected.data()});
      EXPECT_TRUE(y.bytes() == expected.bytes()) << DTypeName(dtype) << ", " << p;
    }
  }
}

TEST(CudaAutograd, Embedding) {
  for (const DType dtype : kFloatTypes) {
    for (const std::int64_t vocabulary : {65, 300}) {  // of two and of three digits
      const std::int64_t count = vocabulary == 65 ? 1200 : 700;
      constexpr std::int64_t kWidth = 40;
      Random random(20);
      TestTensor indices(DType::kI32, {count}, 0);
      auto* const at = static_cast<std::int32_t*>(indices.data());
      for (std::int64_t i = 0; i < count; ++i) {
        at[i] = static_cast<std::int32_t>(random.UniformInt(static_cast<std::uint64_t>(vocabulary)));
      }
      at[3] = -1;
      at[5] = static_cast<std::int32_t>(vocabulary);
      at[7] = std::numeric_limits<std::int32_t>::max();
      Compare(
          "embedding", {Uniform(21, dtype, {vocabulary, kWidth}), indices}, {TestTensor(dtype, {count, kWidth})},
          [&](Tensors& in, Tensors& out) {
            return host::EmbeddingForwardArguments{
                in[0].dtype(), vocabulary, kWidth, count, in[0].data(), static_cast<const std::int32_t*>(in[1].data()),
                out[0].data()};
          },
          host::EmbeddingForward, 0);
      Scratch scratch;
      Compare(
          "embedding gradient", {Uniform(22, dtype, {count, kWidth}), indices},
          {TestTensor(dtype, {vocabulary, kWidth})},
          [&](Tensors& in, Tensors& out) {
            return host::EmbeddingBackwardArguments{
                in[0].dtype(),
                vocabulary,
                kWidth,
                count,
                static_cast<const std::int32_t*>(in[1].data()),
                in[0].data(),
                out[0].data(),
                scratch.Take(host::EmbeddingBackwardWorkspaceBytes(vocabulary, count))};
          },
          host::EmbeddingBackward, OfSum(dtype));
    }
  }
}

TEST(CudaAutograd, PositionsAreSortedStably) {
  for (const std::int32_t limit : {1, 16, 255, 70'000}) {
    Random random(23);
    std::vector<std::int32_t> keys(1300), a(1300), b(1300);
    for (std::int32_t& key : keys)
      key = static_cast<std::int32_t>(random.UniformInt(static_cast<std::uint64_t>(limit)));
    keys[100] = -7;
    SortPositions sort;
    sort.keys = keys.data();
    sort.count = 1300;
    sort.key_limit = limit;
    sort.orders[0] = a.data();
    sort.orders[1] = b.data();
    ASSERT_TRUE(SequentialGrid({}, 9).Run(sort, 1).ok());
    std::vector<std::int32_t> expected(1300);
    std::iota(expected.begin(), expected.end(), 0);
    std::stable_sort(expected.begin(), expected.end(),
                     [&](std::int32_t x, std::int32_t y) { return sort.KeyOf(x) < sort.KeyOf(y); });
    EXPECT_EQ(sort.result() == 0 ? a : b, expected) << limit;
  }
}

TEST(CudaAutograd, Rotary) {
  for (const DType dtype : kFloatTypes) {
    for (const bool halves : {true, false}) {
      const Dims sizes = {2, 5, 3, 16};
      Scratch scratch;
      Compare(
          "rotary", {Uniform(24, dtype, sizes)}, {TestTensor(dtype, sizes)},
          [&](Tensors& in, Tensors& out) {
            return host::RotaryArguments{.dtype = in[0].dtype(),
                                         .outer = 2,
                                         .positions = 5,
                                         .inner = 3,
                                         .pairs = 8,
                                         .first = 4,
                                         .theta = 10000,
                                         .halves = halves,
                                         .back = !halves,
                                         .x = in[0].data(),
                                         .y = out[0].data(),
                                         .workspace = scratch.Take(host::RotaryWorkspaceBytes(DType::kF64, 5, 8))};
          },
          host::Rotary, kElementwise);
    }
  }
}

// More tensors than one launch brings, some longer than a block, some empty; 16-bit values with and without masters.
// The reference has no masters: in float64 the value is one.
TEST(CudaAutograd, AdamWOfAllParametersInOneLaunch) {
  std::vector<std::int64_t> counts = {5000, 0, 1};
  for (std::int64_t i = 0; i < 60; ++i) counts.push_back(3 + i);
  for (const DType dtype : kFloatTypes) {
    const DType wide = host::ComputeType(dtype);
    Tensors gradients;
    Tensors state;  // of each tensor: value, averages, master
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const Dims sizes = {counts[i]};
      gradients.push_back(Uniform(30 + i, dtype, sizes));
      state.push_back(Uniform(130 + i, dtype, sizes));
      state.push_back(Uniform(230 + i, wide, sizes, -0.1, 0.1));
      state.push_back(Uniform(330 + i, wide, sizes, 0.1, 0.2));
      TestTensor master(wide, sizes);
      for (std::int64_t e = 0; e < counts[i]; ++e) master.Set(e, state[4 * i][e]);
      state.push_back(master);
    }
    std::vector<host::AdamWTensor> list;
    const auto make = [&](Tensors& g, Tensors& s, bool masters) {
      list.clear();
      for (std::size_t i = 0; i < g.size(); ++i) {
        list.push_back({g[i].dtype(), counts[i], i % 2 == 0 ? 0.1 : 0.0, s[4 * i].data(), g[i].data(),
                        s[4 * i + 1].data(), s[4 * i + 2].data(), masters ? s[4 * i + 3].data() : nullptr});
      }
      host::AdamWArguments a;
      a.tensors = list;
      a.learning_rate = 1e-2;
      a.step = 3;
      return a;
    };
    Tensors wide_gradients = InFloat64(gradients);
    Tensors truth = InFloat64(state);
    ThreadPool pool(1);
    KernelContext context{pool};
    host::AdamW(context, make(wide_gradients, truth, false));
    for (const bool masters : {false, true}) {
      if (masters && wide == dtype) continue;
      Tensors results = state;
      RunOn(SequentialGrid({}, 3), make(gradients, results, masters));
      for (std::size_t i = 0; i < counts.size(); ++i) {
        for (std::size_t k = 0; k < 3; ++k) ExpectClose(results[4 * i + k], truth[4 * i + k], 4, "adamw");
        if (masters) ExpectClose(results[4 * i + 3], truth[4 * i], 4, "adamw's master");
      }
    }
  }
}

TEST(CudaAutograd, GradientNormAndScale) {
  for (const DType dtype : kFloatTypes) {
    for (const double most : {1.0, 1e6}) {
      Tensors gradients = {Uniform(40, dtype, {5000}), Uniform(41, dtype, {0}), Uniform(42, dtype, {77})};
      std::vector<host::GradientTensor> list;
      Compare(
          "gradient norm", gradients, {TestTensor(DType::kF64, {2}, 0)},
          [&](Tensors& in, Tensors& out) {
            list.clear();
            for (TestTensor& g : in) list.push_back({g.dtype(), host::Count(g.sizes()), g.data()});
            return host::GradientNormArguments{list, most, static_cast<double*>(out[0].data()), nullptr};
          },
          +[](KernelContext& context, const host::GradientNormArguments& a) {
            host::Workspace workspace(host::GradientNormWorkspaceBytes(a.tensors));
            host::GradientNormArguments with = a;
            with.workspace = workspace.data();
            host::GradientNorm(context, with);
          },
          64);
      const double coefficient = most == 1.0 ? 0.25 : 1.0;
      Compare(
          "scale gradients", {}, gradients,
          [&](Tensors&, Tensors& out) {
            list.clear();
            for (TestTensor& g : out) list.push_back({g.dtype(), host::Count(g.sizes()), g.data()});
            return host::ScaleGradientsArguments{list, &coefficient};
          },
          host::ScaleGradients, 1);
    }
  }
}

}  // namespace
}  // namespace tierlib::autograd::cuda
