// Where tests that were written for the emulated device run. TIERLIB_TEST_DEVICE moves those that ask here to a CUDA
// device: "cuda" as programs use it, "cuda_managed" with kernels of the host in memory that both reach, for tests that
// bring their own. scripts/gpu-check sets it.
#ifndef TIERLIB_TESTS_ALLOCATOR_TEST_DEVICE_KIND_H_
#define TIERLIB_TESTS_ALLOCATOR_TEST_DEVICE_KIND_H_

#include <cstdlib>
#include <string_view>

#include "base/check.h"
#include "tierlib/options.h"

namespace tierlib {

// Empty: on the emulated device.
inline std::string_view TestDeviceKind() {
  const char* const given = std::getenv("TIERLIB_TEST_DEVICE");
  const std::string_view kind = given == nullptr ? "" : given;
  TIERLIB_CHECK(kind.empty() || kind == "cuda" || kind == "cuda_managed",
                "TIERLIB_TEST_DEVICE: expected cuda, cuda_managed or nothing");
  return kind;
}

inline bool TestsRunOnCuda() { return !TestDeviceKind().empty(); }

inline void MoveToCuda(DeviceOptions& device) {
  device.kind = DeviceKind::kCuda;
  if (TestDeviceKind() == "cuda_managed") device.backing = DeviceBacking::kManaged;
}

}  // namespace tierlib

#endif  // TIERLIB_TESTS_ALLOCATOR_TEST_DEVICE_KIND_H_
