// What tests of the autograd's CUDA kernels work on: runs a kernel on a grid whose memory the host can reach, and holds
// its results against the host's kernel in float64.
#ifndef TIERLIB_TESTS_AUTOGRAD_CUDA_PROBLEM_H_
#define TIERLIB_TESTS_AUTOGRAD_CUDA_PROBLEM_H_

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <list>
#include <string>
#include <vector>

#include "autograd/kernels/cuda/launches.h"
#include "autograd/kernels/cuda/workspace.h"
#include "autograd/kernels_tensor.h"
#include "base/cuda/sequential_grid.h"

namespace tierlib::autograd::cuda {

using host::TestTensor;

// Memory full of rubbish, aligned to 256, that stays until the test ends.
class Scratch {
 public:
  void* Take(std::size_t bytes) {
    blocks_.emplace_back(bytes + 256, std::byte{0xcd});
    const auto begin = reinterpret_cast<std::uintptr_t>(blocks_.back().data());
    return reinterpret_cast<void*>((begin + 255) / 256 * 256);
  }

 private:
  std::list<std::vector<std::byte>> blocks_;
};

template <class Arguments>
void RunOn(SequentialGrid grid, const Arguments& a) {
  Scratch scratch;
  const Status status = Run(grid, a, scratch.Take(KernelWorkspaceBytes(a)));
  EXPECT_TRUE(status.ok()) << status;
}

using Tensors = std::vector<TestTensor>;

inline TestTensor InFloat64(const TestTensor& x) {
  if (!IsFloat(x.dtype())) return x;
  TestTensor wide(DType::kF64, x.sizes(), x.layout().strides);
  for (std::int64_t i = 0; i < host::Count(x.sizes()); ++i) wide.Set(i, x[i]);
  return wide;
}
inline Tensors InFloat64(const Tensors& all) {
  Tensors wide;
  for (const TestTensor& x : all) wide.push_back(InFloat64(x));
  return wide;
}

// Every element of `y` within `bound` of `truth`, in units in the last place of the largest element.
inline void ExpectClose(const TestTensor& y, const TestTensor& truth, double bound, const std::string& name) {
  double largest = 0;
  for (std::int64_t i = 0; i < host::Count(y.sizes()); ++i) {
    if (std::isfinite(truth[i])) largest = std::max(largest, std::fabs(truth[i]));
  }
  const double allowed = bound * host::Epsilon(y.dtype()) * largest;
  for (std::int64_t i = 0; i < host::Count(y.sizes()); ++i) {
    const bool same = y[i] == truth[i] || (std::isnan(y[i]) && std::isnan(truth[i]));
    ASSERT_TRUE(same || std::fabs(y[i] - truth[i]) <= allowed)
        << name << ", " << DTypeName(y.dtype()) << ": element " << i << " is " << y[i] << ", not " << truth[i]
        << " within " << allowed;
  }
}

// `make` gives the arguments for inputs and outputs, of float64 or of what `in` and `out` are of. The device's kernel
// is within `bound` (ExpectClose) of the host's kernel in float64, and gives the same bits in whatever order blocks and
// threads run, however many blocks there are.
template <class Make, class Arguments>
void Compare(const std::string& name, Tensors in, const Tensors& out, const Make& make,
             void (*kernel)(KernelContext&, const Arguments&), double bound, const DeviceLimits& limits = {}) {
  Tensors results = out;
  RunOn(SequentialGrid(limits), make(in, results));
  Tensors wide_in = InFloat64(in);
  Tensors truth = InFloat64(out);
  ThreadPool pool(1);
  KernelContext context{pool};
  kernel(context, make(wide_in, truth));
  for (std::size_t i = 0; i < out.size(); ++i) {
    ExpectClose(results[i], truth[i], bound, name + ", output " + std::to_string(i));
  }
  Tensors again = out;
  DeviceLimits few = limits;
  few.processors = 1;
  RunOn(SequentialGrid(few, /*seed=*/7), make(in, again));
  for (std::size_t i = 0; i < out.size(); ++i) {
    EXPECT_TRUE(again[i].bytes() == results[i].bytes()) << name << ", output " << i << ": depends on an order";
  }
}

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_TESTS_AUTOGRAD_CUDA_PROBLEM_H_
