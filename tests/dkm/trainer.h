// What tests of Clustering train: a device with one weight.
#ifndef TIERLIB_TESTS_DKM_TRAINER_H_
#define TIERLIB_TESTS_DKM_TRAINER_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "autograd/test_device.h"
#include "base/random.h"
#include "tierlib/autograd/ops.h"
#include "tierlib/dkm/clustering.h"

namespace tierlib::dkm {

using autograd::Context;
using autograd::Parameter;
using autograd::Read;
using autograd::ReadBytes;
using autograd::SmallOptions;
using autograd::StrictOptions;
using autograd::Tape;
using autograd::Tensor;
using autograd::TestDevice;
using autograd::Value;

using Bytes = std::vector<std::uint8_t>;

inline std::vector<float> NormalWeights(std::uint64_t seed, std::size_t count, double scale = 0.02) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(scale * random.Normal());
  return values;
}

// A device with one weight, and what a training loop does with it.
class Trainer {
 public:
  explicit Trainer(dkm::Options options = {}, const tierlib::Options& device = SmallOptions(),
                   DType dtype = DType::kF32, const Dims& sizes = {24, 25})
      : device_(device), clustering("layer.w", options) {
    const auto count = static_cast<std::size_t>(autograd::ElementsOf(sizes));
    const Tensor f32 = device_.Make(DType::kF32, sizes, NormalWeights(1, count), Holds::kPersistent);
    Tape tape(device_.context());
    weight = Parameter{"w", Cast(tape.Constant(f32), dtype).tensor(), {}};
    gradient_ = Cast(tape.Constant(device_.Make(DType::kF32, sizes, NormalWeights(2, count, 1))), dtype).tensor();
  }

  Context& context() { return device_.context(); }
  TestDevice& device() { return device_; }

  struct Pass {
    Bytes output, gradient;
    Status status;
  };
  // Forward and backward of sum(W~ * G).
  Pass Run() {
    weight.gradient = Tensor();
    Tape tape(device_.context());
    const Value output = clustering.Apply(tape, tape.Leaf(weight));
    const Value loss = Sum(Mul(output, tape.Constant(gradient_)));
    const Status status = tape.Backward(loss);
    if (!status.ok()) return {{}, {}, status};
    return {ReadBytes(output.tensor()), ReadBytes(weight.gradient), OkStatus()};
  }
  // w = scale * w, as an optimizer would write it.
  void Scale(float scale) {
    std::vector<float> values = Read<float>(weight.value);
    for (float& value : values) value *= scale;
    ASSERT_TRUE(weight.value.CopyFromHost(values.data(), values.size() * sizeof(float)).ok());
  }

 private:
  TestDevice device_;
  Tensor gradient_;

 public:
  Parameter weight;
  Clustering clustering;
};

inline std::vector<float> AsFloats(const Bytes& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

// f32 weights are rounded to bf16 for the exact form.
inline dkm::Options With(Form form, Attention attention = Attention::kLast, Metric metric = Metric::kSquared,
                         int dim = 1) {
  dkm::Options options;
  options.form = form;
  if (form == Form::kExact) options.round_to = DType::kBF16;
  options.attention = attention;
  options.metric = metric;
  options.cluster_dim = dim;
  if (metric == Metric::kEuclidean) options.tau = 2e-3;
  return options;
}

inline void ExpectFailure(const Status& status, const std::string& text) {
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status;
  EXPECT_NE(std::string(status.message()).find(text), std::string::npos) << status;
}

}  // namespace tierlib::dkm

#endif  // TIERLIB_TESTS_DKM_TRAINER_H_
