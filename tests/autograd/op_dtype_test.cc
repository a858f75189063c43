// bfloat16 and float16 storage: results and gradients are those of float32 on the same inputs, up to the rounding of
// what is stored in between.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <tuple>
#include <vector>

#include "autograd/op_cases.h"
#include "autograd/test_device.h"

namespace tierlib::autograd {
namespace {

constexpr std::uint64_t kSeed = 977;

class OpDType : public testing::TestWithParam<std::tuple<OpCase, DType>> {};

struct Results {
  std::vector<double> output;
  std::vector<std::vector<double>> gradients;
};

std::vector<double> Doubles(TestDevice& device, const Tensor& tensor) {
  Tape tape(device.context());
  tape.set_recording(false);
  return Read<double>(Cast(tape.Constant(tensor), DType::kF64).tensor());
}

// The case on inputs that are exact in `rounded`, computed and stored in `dtype`.
Results RunOn(TestDevice& device, const OpCase& op_case, DType rounded, DType dtype) {
  Random random(kSeed);
  std::vector<Parameter> parameters(op_case.inputs.size());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const InputSpec& spec = op_case.inputs[i];
    const Tensor full =
        device.Make(DType::kF64, spec.sizes, RandomValues<double>(random, spec.sizes, spec.low, spec.high));
    Tape casts(device.context());
    casts.set_recording(false);
    parameters[i] = {"p", Cast(Cast(casts.Constant(full), rounded), dtype).tensor(), Tensor()};
  }
  Tape tape(device.context());
  std::vector<Value> inputs;
  for (Parameter& parameter : parameters) inputs.push_back(tape.Leaf(parameter));
  const Value y = op_case.run(tape, inputs);
  EXPECT_TRUE(y.defined()) << tape.status();
  const std::vector<double> weights = RandomValues<double>(random, y.sizes(), -1, 1);
  const Tensor exact = device.Make(DType::kF64, y.sizes(), weights);
  const Value seeds = Cast(Cast(tape.Constant(exact), rounded), y.dtype());
  const Status status = tape.Backward(Sum(Mul(y, seeds)));
  EXPECT_TRUE(status.ok()) << status;
  Results results{Doubles(device, y.tensor()), {}};
  for (const Parameter& parameter : parameters) results.gradients.push_back(Doubles(device, parameter.gradient));
  return results;
}

void ExpectClose(const std::vector<double>& low, const std::vector<double>& full, double unit,
                 const std::string& what) {
  ASSERT_EQ(low.size(), full.size()) << what;
  double scale = 1e-3;
  for (const double value : full) scale = std::max(scale, std::abs(value));
  // A chain of a few stored roundings, each relative to the largest result.
  for (std::size_t i = 0; i < low.size(); ++i) ASSERT_NEAR(low[i], full[i], 6 * unit * scale) << what << " " << i;
}

TEST_P(OpDType, IsFloat32UpToRounding) {
  const auto& [op_case, dtype] = GetParam();
  TestDevice device;
  const Results low = RunOn(device, op_case, dtype, dtype);
  const Results full = RunOn(device, op_case, dtype, DType::kF32);
  const double unit = dtype == DType::kBF16 ? 0x1p-8 : 0x1p-11;
  ExpectClose(low.output, full.output, unit, "output");
  for (std::size_t i = 0; i < full.gradients.size(); ++i) {
    ExpectClose(low.gradients[i], full.gradients[i], unit, "gradient of input " + std::to_string(i));
  }
}

INSTANTIATE_TEST_SUITE_P(All, OpDType,
                         testing::Combine(testing::ValuesIn(OpCases()), testing::Values(DType::kBF16, DType::kF16)),
                         [](const testing::TestParamInfo<std::tuple<OpCase, DType>>& row) {
                           return std::get<0>(row.param).name + "_" + DTypeName(std::get<1>(row.param));
                         });

// Operands of two float types: the result has the first one's, each gradient its operand's.
TEST(OpMixedDTypes, GiveTheFirstOnesType) {
  TestDevice device;
  Random random(kSeed);
  const std::vector<std::function<Value(const Value&, const Value&)>> ops = {Add, Sub, Mul, Div};
  for (const auto& op : ops) {
    for (const Dims& sizes : {Dims({5, 7}), Dims({7})}) {  // equal and broadcast
      Parameter a{"a", device.Make(DType::kF32, {5, 7}, RandomValues<float>(random, {5, 7}, 1, 2)), {}};
      Parameter full{"full", device.Make(DType::kF32, sizes, RandomValues<float>(random, sizes, 1, 2)), {}};
      Tape casts(device.context());
      casts.set_recording(false);
      Parameter b{"b", Cast(casts.Constant(full.value), DType::kBF16).tensor(), {}};
      full.value = Cast(casts.Constant(b.value), DType::kF32).tensor();
      std::vector<std::vector<double>> gradients[2];
      for (Parameter* second : {&b, &full}) {
        a.gradient = Tensor();
        Tape tape(device.context());
        const Value y = op(tape.Leaf(a), tape.Leaf(*second));
        ASSERT_TRUE(y.defined()) << tape.status();
        EXPECT_EQ(y.dtype(), DType::kF32);
        const Status status = tape.Backward(Sum(Square(y)));
        ASSERT_TRUE(status.ok()) << status;
        EXPECT_EQ(second->gradient.dtype(), second->value.dtype());
        gradients[second == &b] = {Doubles(device, a.gradient), Doubles(device, second->gradient)};
      }
      ExpectClose(gradients[1][0], gradients[0][0], 0x1p-20, "gradient of the f32 operand");
      ExpectClose(gradients[1][1], gradients[0][1], 0x1p-8, "gradient of the bf16 operand");
    }
  }
}

// A cast down and up again gives the rounded value; its gradient passes through both.
TEST(OpCast, RoundsOnceAndPassesGradients) {
  TestDevice device;
  Random random(kSeed);
  Parameter x{"x", device.Make(DType::kF32, {5, 7}, RandomValues<float>(random, {5, 7}, -1, 1)), {}};
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF64}) {
    x.gradient = Tensor();
    Tape tape(device.context());
    const Value there = Cast(tape.Leaf(x), dtype);
    EXPECT_EQ(there.dtype(), dtype);
    const Value back = Cast(there, DType::kF32);
    ASSERT_TRUE(tape.Backward(Sum(MulScalar(back, 2))).ok());
    EXPECT_EQ(Read<float>(x.gradient), std::vector<float>(35, 2.0F));
    const std::vector<float> rounded = Read<float>(back.tensor());
    const std::vector<float> exact = Read<float>(x.value);
    const float unit = dtype == DType::kBF16 ? 0x1p-9F : dtype == DType::kF16 ? 0x1p-12F : 0.0F;
    for (std::size_t i = 0; i < exact.size(); ++i) EXPECT_NEAR(rounded[i], exact[i], unit);
  }
}

}  // namespace
}  // namespace tierlib::autograd
