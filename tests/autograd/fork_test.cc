// Tensors in a forked child: refused, and let go without their runtime.
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "autograd/test_device.h"
#include "runtime/child.h"

namespace tierlib::autograd {
namespace {

TEST(AutogradFork, TensorsMayBeDroppedInAChildButNotMade) {
  if (!kMayFork) GTEST_SKIP() << kNoForkHere;
  const Dims sizes = {4};
  const float values[] = {1, 2, 3, 4};
  std::optional<TestDevice> device(std::in_place);
  std::optional<Tensor> tensor = device->Make<float>(DType::kF32, sizes, {1, 2, 3, 4});
  EXPECT_EQ(InChild([&] {
              const Status status =
                  Tensor::FromHost(device->context(), DType::kF32, sizes, values, Holds::kTransient, "x").status();
              tensor.reset();
              device.reset();
              const bool refused =
                  status.code() == StatusCode::kFailedPrecondition &&
                  std::string(status.message()).find("after fork() make a new one") != std::string::npos;
              return refused ? std::string() : "not refused: " + std::string(status.message());
            }),
            "");
}

}  // namespace
}  // namespace tierlib::autograd
