// Tensors in plain memory for the tests of the host kernels, and pools of several sizes to run them on.
#ifndef TIERLIB_TESTS_AUTOGRAD_KERNELS_TENSOR_H_
#define TIERLIB_TESTS_AUTOGRAD_KERNELS_TENSOR_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "allocator/device_backend.h"
#include "autograd/kernels/host/chunk.h"
#include "autograd/kernels/operand.h"
#include "base/random.h"
#include "base/thread_pool.h"

namespace tierlib::autograd::host {

inline std::int64_t Count(const Dims& sizes) {
  std::int64_t count = 1;
  for (const std::int64_t size : sizes) count *= size;
  return count;
}

// A tensor that owns its elements. They start `shift` elements into the buffer, so that no test relies on alignment,
// and the buffer ends right behind the last one, so that AddressSanitizer sees a step too far.
class TestTensor {
 public:
  TestTensor() = default;
  TestTensor(DType dtype, Dims sizes, std::int64_t shift = 1)
      : TestTensor(dtype, sizes, Layout::Contiguous(dtype, sizes).strides, shift) {}
  TestTensor(DType dtype, Dims sizes, Dims strides, std::int64_t shift = 1) : shift_(shift) {
    layout_ = {dtype, sizes, strides, 0};
    std::int64_t last = 0;
    for (int i = 0; i < sizes.rank(); ++i) last += (sizes[i] - 1) * strides[i];
    const std::int64_t elements = Count(sizes) == 0 ? 0 : last + 1;
    bytes_.assign(static_cast<std::size_t>(shift + elements) * ElementBytes(dtype), std::byte{0xcd});
  }

  static TestTensor Uniform(Random& random, DType dtype, Dims sizes, double low = -2, double high = 2) {
    TestTensor x(dtype, sizes);
    x.FillUniform(random, low, high);
    return x;
  }

  TestTensor& FillUniform(Random& random, double low = -2, double high = 2) {
    for (std::int64_t i = 0; i < Count(sizes()); ++i) Set(i, low + (high - low) * random.UniformDouble());
    return *this;
  }

  const Layout& layout() const { return layout_; }
  const Dims& sizes() const { return layout_.sizes; }
  DType dtype() const { return layout_.dtype; }
  void* data() { return bytes_.data() + static_cast<std::size_t>(shift_) * ElementBytes(dtype()); }
  const void* data() const { return const_cast<TestTensor*>(this)->data(); }
  Source source() const { return {data(), layout_}; }
  Target target() { return {data(), layout_}; }
  const std::vector<std::byte>& bytes() const { return bytes_; }

  // Element i in row-major order of the sizes.
  double operator[](std::int64_t i) const { return ReadElement<double>(dtype(), data(), OffsetOf(i)); }
  void Set(std::int64_t i, double value) { WriteElement(dtype(), data(), OffsetOf(i), value); }

  std::int64_t OffsetOf(std::int64_t i) const {
    std::int64_t offset = 0;
    for (int dim = sizes().rank() - 1; dim >= 0; --dim) {
      offset += i % sizes()[dim] * layout_.strides[dim];
      i /= sizes()[dim];
    }
    return offset;
  }

 private:
  Layout layout_;
  std::int64_t shift_ = 0;
  std::vector<std::byte> bytes_;
};

// Element i of `sizes` as seen in x, which broadcasts to them.
inline double BroadcastElement(const TestTensor& x, const Dims& sizes, std::int64_t i) {
  std::int64_t index = 0;
  std::int64_t step = 1;
  const int missing = sizes.rank() - x.sizes().rank();
  for (int dim = sizes.rank() - 1; dim >= missing; --dim) {
    const std::int64_t position = i % sizes[dim];
    i /= sizes[dim];
    const std::int64_t size = x.sizes()[dim - missing];
    if (size != 1) index += position * step;
    step *= size;
  }
  return x[index];
}

// The unit in the last place of a dtype at 1.
inline double Epsilon(DType dtype) {
  switch (dtype) {
    case DType::kF64: return 0x1p-52;
    case DType::kF32: return 0x1p-23;
    case DType::kF16: return 0x1p-10;
    default: return 0x1p-7;
  }
}

inline const DType kFloatTypes[] = {DType::kF32, DType::kF64, DType::kBF16, DType::kF16};

// Runs `kernel` on pools of 1, 2 and 3 threads over fresh copies of `y` and expects the same bits from all; y has the
// result.
template <class Kernel>
void RunOnPools(TestTensor& y, const Kernel& kernel) {
  const TestTensor before = y;
  for (int threads = 1; threads <= 3; ++threads) {
    ThreadPool pool(threads);
    KernelContext context{pool};
    TestTensor result = before;
    kernel(context, result);
    if (threads == 1) {
      y = result;
    } else {
      ASSERT_TRUE(result.bytes() == y.bytes()) << threads << " threads give other bits than one";
    }
  }
}

// Workspace that is no larger than asked, and not zero at the start.
class Workspace {
 public:
  explicit Workspace(std::size_t bytes) : bytes_(bytes, std::byte{0xcd}) {}
  void* data() { return bytes_.empty() ? nullptr : bytes_.data(); }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_TESTS_AUTOGRAD_KERNELS_TENSOR_H_
