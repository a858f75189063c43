// Every op against central differences in float64, over row-major, transposed, strided and repeated inputs.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "autograd/op_cases.h"
#include "autograd/test_device.h"

namespace tierlib::autograd {
namespace {

constexpr std::uint64_t kSeed = 20240611;
constexpr double kStep = 1e-5;
constexpr double kTolerance = 2e-7;  // relative to 1 + |gradient|; the differences themselves are good to about 1e-9

class OpGradient : public testing::TestWithParam<std::tuple<OpCase, Shape>> {};

// sum(f(inputs) * weights), with weights drawn for the output's sizes.
Value Loss(TestDevice& device, Tape& tape, const OpCase& op_case, Shape shape, std::vector<Parameter>& parameters) {
  std::vector<Value> inputs;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    inputs.push_back(Shaped(shape, tape.Leaf(parameters[i]), op_case.inputs[i].sizes));
  }
  const Value y = op_case.run(tape, inputs);
  EXPECT_TRUE(tape.status().ok()) << tape.status();
  if (!y.defined()) return y;
  Random random(kSeed, 99);
  const std::vector<double> weights = RandomValues<double>(random, y.sizes(), -1, 1);
  return Sum(Mul(y, tape.Constant(device.Make(DType::kF64, y.sizes(), weights))));
}

TEST_P(OpGradient, EqualsCentralDifferences) {
  const auto& [op_case, shape] = GetParam();
  TestDevice device;
  Random random(kSeed);
  std::vector<std::vector<double>> values;
  std::vector<Parameter> parameters(op_case.inputs.size());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const InputSpec& spec = op_case.inputs[i];
    const Dims sizes = ParameterSizes(shape, spec.sizes);
    values.push_back(RandomValues<double>(random, sizes, spec.low, spec.high));
    parameters[i] = {"p" + std::to_string(i), device.Make(DType::kF64, sizes, values[i], Holds::kPersistent), Tensor()};
  }
  {
    Tape tape(device.context());
    const Value loss = Loss(device, tape, op_case, shape, parameters);
    ASSERT_TRUE(loss.defined());
    const Status status = tape.Backward(loss);
    ASSERT_TRUE(status.ok()) << status;
  }
  const auto evaluate = [&, &op_case = op_case, &shape = shape] {
    Tape tape(device.context());
    tape.set_recording(false);
    return Read<double>(Loss(device, tape, op_case, shape, parameters).tensor())[0];
  };
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    ASSERT_TRUE(parameters[i].gradient.defined()) << "input " << i << " got no gradient";
    ASSERT_EQ(parameters[i].gradient.sizes(), parameters[i].value.sizes());
    const std::vector<double> gradient = Read<double>(parameters[i].gradient);
    const std::size_t bytes = values[i].size() * sizeof(double);
    for (std::size_t j = 0; j < values[i].size(); ++j) {
      const double at = values[i][j];
      values[i][j] = at + kStep;
      ASSERT_TRUE(parameters[i].value.CopyFromHost(values[i].data(), bytes).ok());
      const double above = evaluate();
      values[i][j] = at - kStep;
      ASSERT_TRUE(parameters[i].value.CopyFromHost(values[i].data(), bytes).ok());
      const double below = evaluate();
      values[i][j] = at;
      const double difference = (above - below) / (2 * kStep);
      ASSERT_NEAR(gradient[j], difference, kTolerance * (1 + std::abs(difference)))
          << "input " << i << ", element " << j << ", seed " << kSeed;
    }
    ASSERT_TRUE(parameters[i].value.CopyFromHost(values[i].data(), bytes).ok());
  }
}

INSTANTIATE_TEST_SUITE_P(All, OpGradient, testing::Combine(testing::ValuesIn(OpCases()), testing::ValuesIn(Shapes())),
                         [](const testing::TestParamInfo<std::tuple<OpCase, Shape>>& row) {
                           return std::get<0>(row.param).name + "_" + ShapeName(std::get<1>(row.param));
                         });

}  // namespace
}  // namespace tierlib::autograd
