// Runs of ops and of training steps that are compared between devices: the host's kernels against a device's own.
#ifndef TIERLIB_TESTS_AUTOGRAD_OP_RUNS_H_
#define TIERLIB_TESTS_AUTOGRAD_OP_RUNS_H_

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "autograd/context.h"
#include "autograd/models.h"
#include "autograd/op_cases.h"
#include "autograd/test_device.h"
#include "tierlib/autograd/ops.h"
#include "tierlib/autograd/optimizer.h"

namespace tierlib::autograd {

inline constexpr std::uint64_t kOpSeed = 20240611;

// The value of an op and the gradients of its inputs, one after the other, in float64.
inline std::vector<double> ValueAndGradients(TestDevice& device, const OpCase& op_case, Shape shape) {
  Random random(kOpSeed);
  std::vector<Parameter> parameters(op_case.inputs.size());
  Tape tape(device.context());
  std::vector<Value> inputs;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const InputSpec& spec = op_case.inputs[i];
    const Dims sizes = ParameterSizes(shape, spec.sizes);
    parameters[i] = {
        "p" + std::to_string(i),
        device.Make(DType::kF64, sizes, RandomValues<double>(random, sizes, spec.low, spec.high), Holds::kPersistent),
        Tensor()};
    inputs.push_back(Shaped(shape, tape.Leaf(parameters[i]), spec.sizes));
  }
  const Value y = op_case.run(tape, inputs);
  EXPECT_TRUE(tape.status().ok()) << op_case.name << ": " << tape.status();
  if (!y.defined()) return {};
  std::vector<double> all = Read<double>(y.tensor());
  const std::vector<double> weights = RandomValues<double>(random, y.sizes(), -1, 1);
  const Value loss = Sum(Mul(y, tape.Constant(device.Make(DType::kF64, y.sizes(), weights))));
  const Status status = tape.Backward(loss);
  EXPECT_TRUE(status.ok()) << op_case.name << ": " << status;
  for (const Parameter& parameter : parameters) {
    if (!parameter.gradient.defined()) continue;
    const std::vector<double> gradient = Read<double>(parameter.gradient);
    all.insert(all.end(), gradient.begin(), gradient.end());
  }
  return all;
}

// The host's gradients are held against central differences (op_gradient_test.cc).
inline void ExpectSameResults(TestDevice& host, TestDevice& device, const OpCase& op_case, Shape shape) {
  const std::vector<double> expected = ValueAndGradients(host, op_case, shape);
  const std::vector<double> all = ValueAndGradients(device, op_case, shape);
  ASSERT_EQ(all.size(), expected.size()) << op_case.name;
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_NEAR(all[i], expected[i], 1e-11 * (1 + std::fabs(expected[i])))
        << op_case.name << ", " << ShapeName(shape) << ", " << i;
  }
}

// Losses of a few steps of a GPT with dropout, and the parameters' bits.
struct Trained {
  std::vector<float> losses;
  std::vector<std::vector<std::uint8_t>> parameters;
};

// A model with its optimizer.
class GptTraining {
 public:
  GptTraining(TestDevice& device, const ModelOptions& model)
      : device_(device),
        gpt_(device, model),
        parameters_(gpt_.parameter_pointers()),
        adamw_(AdamW::Create(device.context(), {{parameters_, 0.1}}).value()) {}

  // The loss, which nothing has waited for; valid until the next step.
  Value Step(std::uint64_t step) {
    device_.runtime().BeginStep(step);
    tape_ = std::make_unique<Tape>(device_.context());
    const Value loss = gpt_.Loss(*tape_, step);
    device_.runtime().BeginBackward();
    const Status status = tape_->Backward(loss);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_TRUE(ClipGradientNorm(device_.context(), parameters_, 0.5).ok());
    EXPECT_TRUE(adamw_->Step(1e-2).ok());
    ClearGradients(parameters_);
    device_.runtime().EndStep();
    return loss;
  }
  const std::vector<Parameter*>& parameters() const { return parameters_; }

 private:
  TestDevice& device_;
  SmallGpt gpt_;
  std::vector<Parameter*> parameters_;
  std::unique_ptr<AdamW> adamw_;
  std::unique_ptr<Tape> tape_;
};

inline Trained TrainThreeSteps(TestDevice& device, const ModelOptions& model) {
  GptTraining training(device, model);
  Trained trained;
  for (std::uint64_t step = 0; step < 3; ++step) {
    const Value loss = Cast(training.Step(step), DType::kF32);
    trained.losses.push_back(Read<float>(loss.tensor())[0]);
  }
  for (const Parameter* parameter : training.parameters()) trained.parameters.push_back(ReadBytes(parameter->value));
  EXPECT_TRUE(device.runtime().health().ok()) << device.runtime().health();
  return trained;
}

// `again` is another run on such a device: the same bits.
inline void ExpectSameTraining(const Trained& host, const Trained& device, const Trained& again, float tolerance) {
  ASSERT_EQ(host.losses.size(), device.losses.size());
  for (std::size_t i = 0; i < host.losses.size(); ++i) {
    EXPECT_NEAR(device.losses[i], host.losses[i], tolerance) << "step " << i;
  }
  EXPECT_EQ(again.losses, device.losses);
  EXPECT_EQ(again.parameters, device.parameters);
}

// From the second step on: the first one meets memory that is not there yet. Batches are uploaded, saved values go to
// the host and come back, gradients are clipped, weights are updated: no call of it may wait for the device.
inline void ExpectStepsWaitForNothing(TestDevice& device) {
  ModelOptions model;
  model.layers = 1;
  model.batch = 2;
  GptTraining training(device, model);
  const DeviceBackend& backend = *device.context().state().backend;
  training.Step(0);
  ASSERT_TRUE(device.runtime().Synchronize(device.context().stream()).ok());
  const std::uint64_t before = backend.host_waits();
  Value loss;
  for (std::uint64_t step = 1; step < 4; ++step) loss = training.Step(step);
  EXPECT_EQ(backend.host_waits(), before);
  EXPECT_GT(device.runtime().statistics().total.moved, 0u) << "nothing was offloaded";
  EXPECT_TRUE(std::isfinite(Read<float>(loss.tensor())[0]));
  EXPECT_GT(backend.host_waits(), before) << "reading the loss waits: the count counts";
}

}  // namespace tierlib::autograd

#endif  // TIERLIB_TESTS_AUTOGRAD_OP_RUNS_H_
