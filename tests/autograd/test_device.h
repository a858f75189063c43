// A runtime on an emulated device with a context, and plain vectors in and out of tensors.
#ifndef TIERLIB_TESTS_AUTOGRAD_TEST_DEVICE_H_
#define TIERLIB_TESTS_AUTOGRAD_TEST_DEVICE_H_

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "allocator/test_device_kind.h"
#include "base/random.h"
#include "tierlib/autograd/tape.h"
#include "tierlib/runtime.h"

namespace tierlib::autograd {

inline Options SmallOptions() {
  Options options;
  options.devices[0].capacity = MiB(64);
  options.devices[0].emulated.kernel_threads = 2;
  options.pinned_limit = MiB(64);
  options.pageable_limit = MiB(16);
  if (TestsRunOnCuda()) MoveToCuda(options.devices[0]);
  return options;
}

// What finds missing waits: a seeded order of all work, closed device memory, poisoned blocks.
inline Options StrictOptions(std::uint64_t seed) {
  Options options = SmallOptions();
  options.devices[0].emulated.schedule = EmulatedSchedule::kDeterministic;
  options.devices[0].emulated.seed = seed;
  options.devices[0].emulated.strict = true;
  options.devices[0].emulated.poison = true;
  return options;
}

class TestDevice {
 public:
  explicit TestDevice(const Options& options = SmallOptions())
      : runtime_(Runtime::Create(options).value()), context_(Context::Create(*runtime_).value()) {}

  Runtime& runtime() { return *runtime_; }
  Context& context() { return *context_; }

  template <typename T>
  Tensor Make(DType dtype, const Dims& sizes, const std::vector<T>& values, Holds holds = Holds::kTransient,
              const std::string& label = "input") {
    return Tensor::FromHost(*context_, dtype, sizes, values.data(), holds, label).value();
  }

 private:
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<Context> context_;
};

template <typename T>
std::vector<T> Read(const Tensor& tensor) {
  std::vector<T> values(static_cast<std::size_t>(tensor.elements()));
  const Status status = tensor.CopyToHost(values.data(), values.size() * sizeof(T));
  if (!status.ok()) {
    std::fprintf(stderr, "read: %s\n", status.ToString().c_str());
    std::abort();
  }
  return values;
}

inline std::vector<std::uint8_t> ReadBytes(const Tensor& tensor) {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(tensor.layout().logical_bytes()));
  const Status status = tensor.CopyToHost(bytes.data(), bytes.size());
  if (!status.ok()) {
    std::fprintf(stderr, "read: %s\n", status.ToString().c_str());
    std::abort();
  }
  return bytes;
}

inline std::int64_t ElementsOf(const Dims& sizes) { return Layout::Contiguous(DType::kF32, sizes).elements(); }

template <typename T>
std::vector<T> RandomValues(Random& random, const Dims& sizes, double low, double high) {
  std::vector<T> values(static_cast<std::size_t>(ElementsOf(sizes)));
  for (T& value : values) value = static_cast<T>(low + (high - low) * random.UniformDouble());
  return values;
}

}  // namespace tierlib::autograd

#endif  // TIERLIB_TESTS_AUTOGRAD_TEST_DEVICE_H_
