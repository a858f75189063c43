// Small models for tests, and a training run that records everything a run computes.
#ifndef TIERLIB_TESTS_AUTOGRAD_MODELS_H_
#define TIERLIB_TESTS_AUTOGRAD_MODELS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "autograd/test_device.h"
#include "tierlib/autograd/ops.h"
#include "tierlib/autograd/optimizer.h"

namespace tierlib::autograd {

struct ModelOptions {
  DType dtype = DType::kF32;
  int layers = 2;
  std::int64_t batch = 4;
  std::int64_t length = 16;
  std::int64_t width = 32;
  std::int64_t heads = 2;
  std::int64_t vocabulary = 13;
  AttentionForm form = AttentionForm::kFused;
  double dropout = 0.1;
};

// A GPT of nanoGPT's shape with a tied head.
class SmallGpt {
 public:
  SmallGpt(TestDevice& device, const ModelOptions& options);

  // The mean cross-entropy of one batch; dropout differs from step to step.
  Value Loss(Tape& tape, std::uint64_t step);

  const std::vector<std::unique_ptr<Parameter>>& parameters() const { return parameters_; }
  std::vector<Parameter*> parameter_pointers() const;

 private:
  Parameter& Add(const std::string& name, const Dims& sizes, double low, double high);
  Value Of(Tape& tape, const std::string& name);
  Value Block(Tape& tape, const std::string& name, const Value& x, std::uint64_t step);
  Value Drop(const Value& x, std::uint64_t step);

  TestDevice& device_;
  ModelOptions options_;
  Random random_{7};
  std::vector<std::unique_ptr<Parameter>> parameters_;
  std::uint64_t drops_ = 0;
};

// Everything that a run computed, in bits: losses, gradients of every step, and the parameters at the end.
struct RunRecord {
  std::vector<std::vector<std::uint8_t>> bits;
  Statistics statistics;
  Status status;
};

// `steps` steps of AdamW with clipping. Stops at the first error.
RunRecord TrainGpt(const Options& options, const ModelOptions& model, int steps);
// The same of a three-layer perceptron with elementwise ops of every kind in it.
RunRecord TrainMlp(const Options& options, int steps);

}  // namespace tierlib::autograd

#endif  // TIERLIB_TESTS_AUTOGRAD_MODELS_H_
