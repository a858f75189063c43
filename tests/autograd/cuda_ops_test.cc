// Ops, tapes and training steps by the CUDA kernels, on an emulated device, the way that they go on a GPU.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "autograd/emulated_kernels.h"
#include "autograd/launch.h"
#include "autograd/op_runs.h"

namespace tierlib::autograd {
namespace {

TEST(CudaOps, ValuesAndGradientsAreTheHostsInFloat64) {
  TestDevice host;
  TestDevice device;
  const auto kernels = UseCudaKernels(device.context(), TIERLIB_FAKE_CUBLAS_LT);
  // Each case with its inputs laid out in one of four ways, and in another one; the host's are tested in all.
  const std::size_t kinds = Shapes().size();
  for (std::size_t i = 0; i < OpCases().size(); ++i) {
    ExpectSameResults(host, device, OpCases()[i], Shapes()[i % kinds]);
    if (TIERLIB_RANDOM_SCALE == 1) ExpectSameResults(host, device, OpCases()[i], Shapes()[(i + 1) % kinds]);
  }
  EXPECT_GT(kernels->launches, 100);
  EXPECT_TRUE(device.runtime().health().ok()) << device.runtime().health();
}

Options Offloading() {
  Options options = SmallOptions();
  options.policy = OffloadPolicy::kAll;
  return options;
}

Trained TrainByCudaKernels(const ModelOptions& model) {
  TestDevice device(Offloading());
  UseCudaKernels(device.context(), TIERLIB_FAKE_CUBLAS_LT);
  return TrainThreeSteps(device, model);
}

TEST(CudaOps, AGptTrainsAsOnTheHostAndTheSameInEveryRun) {
  struct Case {
    DType dtype;
    AttentionForm form;
    float tolerance;
  };
  for (const Case& c :
       {Case{DType::kBF16, AttentionForm::kFused, 5e-2f}, Case{DType::kF32, AttentionForm::kFused, 2e-5f},
        Case{DType::kF32, AttentionForm::kComposed, 2e-5f}}) {
    ModelOptions model;
    model.dtype = c.dtype;
    model.form = c.form;
    model.layers = 1;
    model.batch = 2;
    TestDevice host(Offloading());
    const Trained device = TrainByCudaKernels(model);
    const bool twice = c.dtype == DType::kBF16;
    ExpectSameTraining(TrainThreeSteps(host, model), device, twice ? TrainByCudaKernels(model) : device, c.tolerance);
    if (TIERLIB_RANDOM_SCALE > 10) break;
  }
}

TEST(CudaOps, AStepWaitsForNothing) {
  TestDevice device(Offloading());
  UseCudaKernels(device.context(), TIERLIB_FAKE_CUBLAS_LT);
  ExpectStepsWaitForNothing(device);
}

// What a copy reads is the caller's again on return; buffers are used again once their copies have ended.
TEST(CudaOps, UploadsKeepTheirBytes) {
  TestDevice device;
  UseCudaKernels(device.context(), TIERLIB_FAKE_CUBLAS_LT);
  std::vector<Tensor> tensors;
  std::vector<std::int32_t> values(5000);
  for (int round = 0; round < 80; ++round) {
    for (std::int32_t& value : values) value = round;
    tensors.push_back(device.Make(DType::kI32, {5000}, values));
  }
  for (int round = 0; round < 80; ++round) {
    EXPECT_EQ(Read<std::int32_t>(tensors[static_cast<std::size_t>(round)]), std::vector<std::int32_t>(5000, round));
  }
  EXPECT_LE(device.context().state().uploads->buffers(), UploadBuffers::kMostBuffers);
}

// A kernel that the device has not is named.
TEST(CudaOps, SaysWhatTheDeviceCannotDo) {
  TestDevice device;
  const auto kernels = UseCudaKernels(device.context(), "/nowhere/libcublasLt.so");
  const Launcher launcher(device.context(), "test", /*backward=*/false);
  host::EmbeddingBackwardArguments a;
  a.vocabulary = std::int64_t{1} << 40;
  a.width = 1;
  const Status status = launcher.LaunchNative({}, [&](Stream stream) { return kernels->Enqueue(stream, a, nullptr); });
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(status.message()).find("fewer than 2^31"), std::string::npos) << status;
}

}  // namespace
}  // namespace tierlib::autograd
