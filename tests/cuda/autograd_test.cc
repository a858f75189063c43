// The autograd on a GPU against the host's kernels: every op and its gradients in float64, training steps in float32
// and bf16, the same bits in every run, and steps that wait for nothing. Skipped, with that reason, where there is no
// GPU.
#include <cmath>
#include <string>

#include "allocator/cuda/cuda_device.h"
#include "autograd/context.h"
#include "autograd/op_runs.h"
#include "gtest/gtest.h"

namespace tierlib::autograd {
namespace {

Options OnGpu() {
  Options options = SmallOptions();
  options.devices[0].kind = DeviceKind::kCuda;
  options.devices[0].capacity = MiB(512);
  options.policy = OffloadPolicy::kAll;
  return options;
}

class CudaAutograd : public ::testing::Test {
 protected:
  void SetUp() override {
    if (CudaDeviceCount() == 0) GTEST_SKIP() << "no CUDA device on this machine or in this build";
  }
};

TEST_F(CudaAutograd, ValuesAndGradientsAreTheHostsInFloat64) {
  TestDevice host;
  TestDevice device(OnGpu());
  for (const OpCase& op_case : OpCases()) {
    for (const Shape shape : Shapes()) ExpectSameResults(host, device, op_case, shape);
  }
}

TEST_F(CudaAutograd, AGptTrainsAsOnTheHostAndTheSameInEveryRun) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    ModelOptions model;
    model.dtype = dtype;
    TestDevice host;
    TestDevice device(OnGpu());
    TestDevice another(OnGpu());
    ExpectSameTraining(TrainThreeSteps(host, model), TrainThreeSteps(device, model), TrainThreeSteps(another, model),
                       dtype == DType::kF32 ? 2e-5f : 5e-2f);
  }
}

TEST_F(CudaAutograd, AStepWaitsForNothing) {
  TestDevice device(OnGpu());
  ExpectStepsWaitForNothing(device);
}

}  // namespace
}  // namespace tierlib::autograd
