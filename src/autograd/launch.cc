#include "autograd/launch.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "autograd/kernels/cast.h"
#include "autograd/kernels/reduce.h"
#include "autograd/shape.h"

namespace tierlib::autograd {
namespace {

Access AccessTo(const Tensor& tensor, bool writes) {
  return Access{tensor.data(), static_cast<std::size_t>(ReachBytes(tensor.layout())), writes};
}

// Numbers ops in traces: contexts of one process may write into the same one.
std::uint64_t NextOp() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

Status Launcher::Launch(const char* name, const Operands& operands, std::function<void(KernelContext&)> run) const {
  Context::State& state = context_.state();
  HostKernel kernel;
  kernel.name = name;
  for (const Tensor* tensor : operands.reads) kernel.accesses.push_back(AccessTo(*tensor, false));
  for (const Tensor* tensor : operands.writes) kernel.accesses.push_back(AccessTo(*tensor, true));
  for (const Tensor* tensor : operands.updates) {
    TIERLIB_RETURN_IF_ERROR(state.runtime->BeginWrite(tensor->storage(), state.stream));
    kernel.accesses.push_back(AccessTo(*tensor, true));
  }
  state.launches.fetch_add(1, std::memory_order_relaxed);
  if (state.recorder == nullptr) {
    kernel.run = std::move(run);
  } else {
    kernel.run = [recorder = state.recorder, number = NextOp(), stream = state.stream.handle,
                  label = state.recorder->Intern(label_), backward = backward_,
                  inner = std::move(run)](KernelContext& context) {
      recorder->Write(trace::Event::kOpBegin, trace::Tag::kNone, backward ? 1 : 0, label, number, stream);
      inner(context);
      recorder->Write(trace::Event::kOpEnd, trace::Tag::kNone, backward ? 1 : 0, label, number, stream);
    };
  }
  return state.backend->Launch(state.stream, std::move(kernel));
}

bool Launcher::runs_host_kernels() const { return context_.state().backend->info().runs_host_kernels; }

Status Launcher::LaunchOnDevice(const char* name, const Operands& operands, const KernelArguments& arguments) const {
  DeviceKernels& kernels = *context_.state().kernels;
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, Workspace(kernels.WorkspaceBytes(arguments)));
  const Status status = LaunchNative(
      operands, [&](Stream stream) { return kernels.Enqueue(stream, arguments, AddressOrNull(workspace)); });
  if (status.ok()) return status;
  return Status(status.code(), std::string(name) + ": " + std::string(status.message()));
}

Status Launcher::LaunchNative(const Operands& operands, absl::FunctionRef<Status(Stream)> enqueue) const {
  Context::State& state = context_.state();
  for (const Tensor* tensor : operands.updates) {
    TIERLIB_RETURN_IF_ERROR(state.runtime->BeginWrite(tensor->storage(), state.stream));
  }
  state.launches.fetch_add(1, std::memory_order_relaxed);
  return state.backend->EnqueueNative([&] { return enqueue(state.stream); });
}

StatusOr<Tensor> Launcher::New(DType dtype, const Dims& sizes) const {
  if (!backward_) return AllocateTensor(context_, dtype, sizes, Holds::kTransient, label_, trace::Tag::kActivation);
  return AllocateTensor(context_, dtype, sizes, Holds::kTransient, label_ + ".backward", trace::Tag::kGradient);
}

StatusOr<Tensor> Launcher::Workspace(std::size_t bytes) const {
  if (bytes == 0) return Tensor();
  return AllocateTensor(context_, DType::kU8, {static_cast<std::int64_t>(bytes)}, Holds::kTransient,
                        label_ + ".workspace", trace::Tag::kWorkspace);
}

StatusOr<Tensor> Launcher::RowMajor(const Tensor& x) const {
  if (x.layout().is_contiguous()) return x;
  TIERLIB_ASSIGN_OR_RETURN(Tensor copy, New(x.dtype(), x.sizes()));
  TIERLIB_RETURN_IF_ERROR(Copy(x, copy));
  return copy;
}

Status Launcher::Copy(const Tensor& from, const Tensor& to) const {
  return Launch("copy", {.reads = {&from}, .writes = {&to}}, host::Cast,
                host::CastArguments{.x = In(from), .y = Out(to)});
}

Status Launcher::SumInto(const Tensor& x, const Tensor& sum, double scale) const {
  TIERLIB_ASSIGN_OR_RETURN(Tensor workspace, Workspace(host::SumToWorkspaceBytes(x.sizes(), sum.sizes())));
  Operands operands{.reads = {&x}, .writes = {&sum}};
  if (workspace.defined()) operands.writes.push_back(&workspace);
  return Launch("sum", operands, host::SumTo,
                host::SumToArguments{.x = In(x), .y = Out(sum), .scale = scale, .workspace = AddressOrNull(workspace)});
}

}  // namespace tierlib::autograd
