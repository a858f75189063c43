// A replay by one kernel: on which streams it may run.
#include "autograd/replay.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "autograd/test_device.h"

namespace tierlib::autograd {
namespace {

// Asks for a replay that copies two floats, on `stream`; `also`: it reads another tensor too.
Status AskOn(TestDevice& device, Stream stream, bool also) {
  const Tensor from = device.Make<float>(DType::kF32, {2}, {3, 4});
  const Tensor to = device.Make<float>(DType::kF32, {2}, {0, 0});
  const Tensor other = device.Make<float>(DType::kF32, {1}, {1});
  const Replay replay = KernelReplay(
      device.context(), "test copy",
      [](KernelContext&, const host::Source& source, const host::Target& target) {
        std::memcpy(target.data, source.data, 2 * sizeof(float));
      },
      also ? std::vector<Tensor>{other} : std::vector<Tensor>());
  EXPECT_TRUE(device.runtime().Synchronize(device.context().stream()).ok());
  const Status status = replay.function({to.data(), to.layout(), from.data(), from.layout(), stream});
  EXPECT_TRUE(device.runtime().Synchronize(stream).ok());
  EXPECT_EQ(Read<float>(to), status.ok() ? std::vector<float>({3, 4}) : std::vector<float>({0, 0}));
  return status;
}

TEST(KernelReplay, ReadsOtherTensorsOnTheirStreamOnly) {
  TestDevice device;
  const Stream home = device.context().stream();
  const Stream elsewhere = device.runtime().CreateStream(0, "elsewhere").value();
  EXPECT_TRUE(AskOn(device, home, /*also=*/true).ok());
  EXPECT_TRUE(AskOn(device, home, /*also=*/false).ok());
  EXPECT_TRUE(AskOn(device, elsewhere, /*also=*/false).ok());
  const Status status = AskOn(device, elsewhere, /*also=*/true);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(std::string(status.message()).find("replay test copy reads tensors"), std::string::npos) << status;
}

}  // namespace
}  // namespace tierlib::autograd
