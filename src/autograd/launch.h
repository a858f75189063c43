// Launch: the one way in which the autograd enqueues work on a device.
//
// It names the bytes that a kernel touches, announces writes to storages that existed before, and records the kernel in
// the trace. A launch keeps nothing alive: the pool takes memory back in stream order, so a Tensor may be dropped as
// soon as the launch returned.
#ifndef TIERLIB_SRC_AUTOGRAD_LAUNCH_H_
#define TIERLIB_SRC_AUTOGRAD_LAUNCH_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "autograd/context.h"
#include "autograd/kernels/device_kernels.h"
#include "autograd/kernels/operand.h"
#include "tierlib/autograd/tensor.h"

namespace tierlib::autograd {

// The tensors of a kernel.
struct Operands {
  using List = absl::InlinedVector<const Tensor*, 6>;
  List reads;
  List writes;   // fresh: nothing else knows the storage yet
  List updates;  // existed before and may be saved: the write is announced
};

inline host::Source In(const Tensor& tensor) { return host::Source{tensor.data(), tensor.layout()}; }
inline host::Target Out(const Tensor& tensor) { return host::Target{tensor.data(), tensor.layout()}; }

// Where kernels of one op go: a context, a label for storages and the trace, and which pass it is. Not thread-safe.
class Launcher {
 public:
  Launcher(Context& context, std::string label, bool backward)
      : context_(context), label_(std::move(label)), backward_(backward) {}

  Context& context() const { return context_; }
  const std::string& label() const { return label_; }

  Status Launch(const char* name, const Operands& operands, std::function<void(KernelContext&)> run) const;

  // False where the device takes kernels of its own kind alone.
  bool runs_host_kernels() const;
  bool has_device_kernels() const { return context_.state().kernels != nullptr; }
  // Enqueues one of the autograd's kernels (kernels/device_kernels.h) there. `name` is told where it fails.
  Status LaunchOnDevice(const char* name, const Operands& operands, const KernelArguments& arguments) const;
  // Enqueues other kernels there: calls `enqueue` with the stream, and the device as the thread's current one. Writes
  // to `updates` are announced. (Not recorded in the trace: what a device takes for its own kernels is not known here.)
  Status LaunchNative(const Operands& operands, absl::FunctionRef<Status(Stream)> enqueue) const;

  // Enqueues the device's own form of the kernel where the device takes no others. `keep` is what arguments point to on
  // the host.
  template <typename Arguments>
  Status Launch(const char* name, const Operands& operands, void (*kernel)(KernelContext&, const Arguments&),
                Arguments arguments, std::shared_ptr<const void> keep = nullptr) const {
    if constexpr (kIsDeviceKernel<Arguments>) {
      if (has_device_kernels()) return LaunchOnDevice(name, operands, arguments);
    }
    return Launch(name, operands,
                  [kernel, arguments, keep = std::move(keep)](KernelContext& context) { kernel(context, arguments); });
  }

  // A row-major tensor for results: an activation in the forward pass, a gradient in the backward pass.
  StatusOr<Tensor> New(DType dtype, const Dims& sizes) const;
  // Undefined where `bytes` is 0.
  StatusOr<Tensor> Workspace(std::size_t bytes) const;
  // `x` itself where it is row-major, otherwise a row-major copy that backward knows nothing of.
  StatusOr<Tensor> RowMajor(const Tensor& x) const;
  // to = from, elementwise and with conversion; `from` broadcasts. `to` is fresh.
  Status Copy(const Tensor& from, const Tensor& to) const;
  // Writes scale * (sum of x over the dimensions that `sum` has as 1 or lacks) to the fresh tensor `sum`.
  Status SumInto(const Tensor& x, const Tensor& sum, double scale = 1) const;

 private:
  Context& context_;
  std::string label_;
  bool backward_;
};

// Address of a tensor that may be undefined.
inline void* AddressOrNull(const Tensor& tensor) { return tensor.defined() ? tensor.data() : nullptr; }

}  // namespace tierlib::autograd

#endif  // TIERLIB_SRC_AUTOGRAD_LAUNCH_H_
