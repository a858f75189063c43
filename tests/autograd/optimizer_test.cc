// AdamW, clipping and the schedule against the formulas written out.
#include "tierlib/autograd/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "autograd/test_device.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

// torch.optim.AdamW in float64, for one element.
struct ReferenceAdamW {
  double value = 0;
  double avg = 0;
  double avg_sq = 0;
  int step = 0;

  void Step(double gradient, double rate, double decay, const AdamWOptions& options) {
    ++step;
    value *= 1 - rate * decay;
    avg = options.beta1 * avg + (1 - options.beta1) * gradient;
    avg_sq = options.beta2 * avg_sq + (1 - options.beta2) * gradient * gradient;
    const double denominator = std::sqrt(avg_sq) / std::sqrt(1 - std::pow(options.beta2, step)) + options.epsilon;
    value -= rate / (1 - std::pow(options.beta1, step)) * avg / denominator;
  }
};

class Optimizer : public testing::Test {
 protected:
  Parameter MakeParameter(const std::string& name, DType dtype, const std::vector<double>& values) {
    const Dims sizes = {static_cast<std::int64_t>(values.size())};
    const Tensor full = device_.Make(DType::kF64, sizes, values, Holds::kPersistent, name);
    return Parameter{name, Cast(dtype, full), Tensor()};
  }
  Tensor Cast(DType dtype, const Tensor& full) {
    Tape tape(device_.context());
    tape.set_recording(false);
    const Value cast = autograd::Cast(tape.Constant(full), dtype);
    Tensor own = Tensor::Empty(device_.context(), dtype, full.sizes(), Holds::kPersistent, "own").value();
    const std::vector<std::uint8_t> bytes = ReadBytes(cast.tensor());
    EXPECT_TRUE(own.CopyFromHost(bytes.data(), bytes.size()).ok());
    return own;
  }
  std::vector<double> Doubles(const Tensor& tensor) {
    Tape tape(device_.context());
    tape.set_recording(false);
    return Read<double>(autograd::Cast(tape.Constant(tensor), DType::kF64).tensor());
  }

  TestDevice device_;
  Random random_{11};
};

TEST_F(Optimizer, AdamWFollowsTheReference) {
  const AdamWOptions options;
  for (const DType dtype : {DType::kF64, DType::kF32, DType::kBF16, DType::kF16}) {
    Parameter decayed = MakeParameter("a", dtype, RandomValues<double>(random_, {37}, -1, 1));
    Parameter plain = MakeParameter("b", dtype, RandomValues<double>(random_, {5}, -1, 1));
    auto adamw = AdamW::Create(device_.context(), {{{&decayed}, 0.1}, {{&plain}, 0.0}}, options).value();
    std::vector<std::vector<ReferenceAdamW>> expected;
    for (const Parameter* parameter : {&decayed, &plain}) {
      expected.emplace_back();
      for (const double value : Doubles(parameter->value)) expected.back().push_back({.value = value});
    }
    for (int step = 1; step <= 4; ++step) {
      const double rate = 1e-2 / step;
      int which = 0;
      for (Parameter* parameter : {&decayed, &plain}) {
        const std::vector<double> random = RandomValues<double>(random_, parameter->value.sizes(), -2, 2);
        parameter->gradient = Cast(dtype, device_.Make(DType::kF64, parameter->value.sizes(), random));
        const std::vector<double> gradient = Doubles(parameter->gradient);  // as rounded
        for (std::size_t i = 0; i < gradient.size(); ++i) {
          expected[which][i].Step(gradient[i], rate, which == 0 ? 0.1 : 0, options);
        }
        ++which;
      }
      ASSERT_TRUE(adamw->Step(rate).ok());
    }
    EXPECT_EQ(adamw->steps(), 4u);
    const double tolerance = dtype == DType::kF64   ? 1e-13
                             : dtype == DType::kF32 ? 1e-6
                             : dtype == DType::kF16 ? 1e-3
                                                    : 8e-3;
    int which = 0;
    for (const Parameter* parameter : {&decayed, &plain}) {
      const std::vector<double> values = Doubles(parameter->value);
      for (std::size_t i = 0; i < values.size(); ++i) {
        EXPECT_NEAR(values[i], expected[which][i].value, tolerance) << DTypeName(dtype) << " " << i;
      }
      ++which;
    }
    // The float32 copy of a 16-bit parameter does not lose small steps.
    for (const AdamW::NamedTensor& state : adamw->state_tensors()) {
      if (state.name != "a.master") continue;
      const std::vector<double> master = Doubles(state.tensor);
      for (std::size_t i = 0; i < master.size(); ++i) EXPECT_NEAR(master[i], expected[0][i].value, 1e-6);
    }
  }
}

TEST_F(Optimizer, StateIsNamedAndPersistentAndRestorable) {
  Parameter f32 = MakeParameter("w", DType::kF32, {1, 2, 3});
  Parameter bf16 = MakeParameter("h", DType::kBF16, {1, 2});
  auto adamw = AdamW::Create(device_.context(), {{{&f32, &bf16}, 0}}).value();
  std::vector<std::string> names;
  for (const AdamW::NamedTensor& state : adamw->state_tensors()) {
    names.push_back(state.name);
    EXPECT_EQ(state.tensor.dtype(), DType::kF32);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"w.exp_avg", "w.exp_avg_sq", "h.exp_avg", "h.exp_avg_sq", "h.master"}));

  // Two steps, or one step, its state into another optimizer, and one more: the same bits.
  const auto step = [&](AdamW& optimizer, Parameter& parameter, float g) {
    parameter.gradient = device_.Make(DType::kF32, {3}, std::vector<float>{g, -g, g * g});
    ASSERT_TRUE(optimizer.Step(0.1).ok());
  };
  Parameter copy = MakeParameter("w", DType::kF32, {1, 2, 3});
  step(*adamw, f32, 0.3F);
  auto resumed = AdamW::Create(device_.context(), {{{&copy}, 0}}).value();
  const std::vector<std::uint8_t> value = ReadBytes(f32.value);
  ASSERT_TRUE(copy.value.CopyFromHost(value.data(), value.size()).ok());
  for (int i = 0; i < 2; ++i) {
    const std::vector<std::uint8_t> bytes = ReadBytes(adamw->state_tensors()[i].tensor);
    ASSERT_TRUE(resumed->state_tensors()[i].tensor.CopyFromHost(bytes.data(), bytes.size()).ok());
  }
  resumed->set_steps(adamw->steps());
  step(*adamw, f32, -0.7F);
  step(*resumed, copy, -0.7F);
  EXPECT_EQ(ReadBytes(copy.value), ReadBytes(f32.value));
}

TEST_F(Optimizer, AParameterWithoutGradientStays) {
  Parameter a = MakeParameter("a", DType::kF32, {1, 2, 3});
  const std::vector<std::uint8_t> before = ReadBytes(a.value);
  auto adamw = AdamW::Create(device_.context(), {{{&a}, 0.1}}).value();
  ASSERT_TRUE(adamw->Step(0.1).ok());
  EXPECT_EQ(ReadBytes(a.value), before);
}

TEST_F(Optimizer, RefusesWhatItCannotUpdate) {
  Parameter nothing;
  nothing.name = "nothing";
  EXPECT_EQ(AdamW::Create(device_.context(), {{{&nothing}, 0}}).status().code(), StatusCode::kInvalidArgument);
  Parameter numbers{"numbers", device_.Make(DType::kI32, {2}, std::vector<std::int32_t>{1, 2}), {}};
  EXPECT_EQ(AdamW::Create(device_.context(), {{{&numbers}, 0}}).status().message(),
            "adamw: numbers is i32[2]{1}+0; it must be row-major and of a float type");
  Parameter a = MakeParameter("a", DType::kF32, {1, 2, 3});
  auto adamw = AdamW::Create(device_.context(), {{{&a}, 0}}).value();
  a.gradient = device_.Make(DType::kF32, {2}, std::vector<float>{1, 2});
  EXPECT_EQ(adamw->Step(0.1).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(adamw->steps(), 0u);
}

// Two threads would update it at once.
TEST_F(Optimizer, RefusesAParameterThatIsListedTwice) {
  Parameter a = MakeParameter("a", DType::kF32, {1, 2, 3});
  Parameter b = MakeParameter("b", DType::kF32, {4});
  const std::vector<std::vector<AdamW::Group>> table = {{{{&a, &b, &a}, 0}}, {{{&b, &a}, 0.1}, {{&a}, 0}}};
  for (const std::vector<AdamW::Group>& groups : table) {
    const Status status = AdamW::Create(device_.context(), groups).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message(), "adamw: a is listed twice");
  }
  a.gradient = device_.Make(DType::kF32, {3}, std::vector<float>{3, 4, 0});
  const Status status = ClipGradientNorm(device_.context(), {&a, &b, &a}, 1);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "clip: a is listed twice");
  EXPECT_EQ(Read<float>(a.gradient), (std::vector<float>{3, 4, 0}));
}

// A value that is being copied may not be written: the update did not happen, and the bias correction does not count
// it.
TEST(OptimizerStep, DoesNotCountWhereNothingWasEnqueued) {
  Options options = SmallOptions();
  options.devices[0].emulated.copy_out_bytes_per_s = 20e6;  // 4 MiB take 200 ms
  TestDevice device(options);
  const Dims sizes = {1024, 1024};
  Parameter a{"a", device.Make(DType::kF32, sizes, std::vector<float>(1 << 20, 1)), {}};
  a.gradient = device.Make(DType::kF32, sizes, std::vector<float>(1 << 20, 1));
  auto adamw = AdamW::Create(device.context(), {{{&a}, 0}}).value();
  const Saved saved = device.runtime().Pack(a.value.view(), nullptr, device.context().stream(), "a").value();
  EXPECT_EQ(adamw->Step(0.1).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(adamw->steps(), 0u);
  ASSERT_TRUE(device.runtime().Drain().ok());
  ASSERT_TRUE(adamw->Step(0.1).ok());
  EXPECT_EQ(adamw->steps(), 1u);
  EXPECT_NEAR(Read<float>(a.value)[0], 0.9, 1e-6);  // the first step moves by the rate
}

TEST_F(Optimizer, ClippingScalesTheJointNorm) {
  for (const DType dtype : {DType::kF64, DType::kF32, DType::kBF16}) {
    for (const double max_norm : {0.25, 1e6}) {
      Parameter a = MakeParameter("a", dtype, std::vector<double>(40, 0));
      Parameter b = MakeParameter("b", dtype, std::vector<double>(7, 0));
      Parameter without = MakeParameter("c", dtype, {0});
      double sum = 0;
      std::vector<std::vector<double>> before;
      for (Parameter* parameter : {&a, &b}) {
        const std::vector<double> random = RandomValues<double>(random_, parameter->value.sizes(), -1, 1);
        parameter->gradient = Cast(dtype, device_.Make(DType::kF64, parameter->value.sizes(), random));
        before.push_back(Doubles(parameter->gradient));
        for (const double g : before.back()) sum += g * g;
      }
      ASSERT_TRUE(ClipGradientNorm(device_.context(), {&a, &b, &without}, max_norm).ok());
      const double factor = std::min(1.0, max_norm / (std::sqrt(sum) + 1e-6));
      const double tolerance = dtype == DType::kF64 ? 1e-14 : dtype == DType::kF32 ? 1e-7 : 1e-3;
      int which = 0;
      for (const Parameter* parameter : {&a, &b}) {
        const std::vector<double> after = Doubles(parameter->gradient);
        for (std::size_t i = 0; i < after.size(); ++i) {
          ASSERT_NEAR(after[i], before[which][i] * factor, tolerance) << DTypeName(dtype) << " " << max_norm;
        }
        ++which;
      }
    }
  }
  EXPECT_EQ(ClipGradientNorm(device_.context(), {}, 0).code(), StatusCode::kInvalidArgument);
}

TEST_F(Optimizer, ClearingDropsGradients) {
  Parameter a = MakeParameter("a", DType::kF32, {1});
  a.gradient = device_.Make(DType::kF32, {1}, std::vector<float>{1});
  ClearGradients({&a});
  EXPECT_FALSE(a.gradient.defined());
}

TEST(CosineLearningRate, WarmsUpThenFallsToTheFloor) {
  // nanoGPT's schedule; figures from its formula.
  EXPECT_DOUBLE_EQ(CosineLearningRate(0, 1e-3, 1e-4, 100, 2000), 1e-3 / 101);
  EXPECT_DOUBLE_EQ(CosineLearningRate(99, 1e-3, 1e-4, 100, 2000), 1e-3 * 100 / 101);
  EXPECT_DOUBLE_EQ(CosineLearningRate(100, 1e-3, 1e-4, 100, 2000), 1e-3);
  EXPECT_NEAR(CosineLearningRate(1050, 1e-3, 1e-4, 100, 2000), 5.5e-4, 1e-15);
  EXPECT_NEAR(CosineLearningRate(575, 1e-3, 1e-4, 100, 2000), 1e-4 + 0.5 * (1 + std::sqrt(0.5)) * 9e-4, 1e-15);
  EXPECT_DOUBLE_EQ(CosineLearningRate(2000, 1e-3, 1e-4, 100, 2000), 1e-4);
  EXPECT_DOUBLE_EQ(CosineLearningRate(5000, 1e-3, 1e-4, 100, 2000), 1e-4);
  EXPECT_DOUBLE_EQ(CosineLearningRate(0, 3e-4, 3e-5, 0, 300), 3e-4);
  EXPECT_DOUBLE_EQ(CosineLearningRate(5, 3e-4, 3e-5, 5, 5), 3e-5);
}

}  // namespace
}  // namespace tierlib::autograd
