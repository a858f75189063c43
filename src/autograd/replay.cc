#include "autograd/replay.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "autograd/shape.h"
#include "base/check.h"

namespace tierlib::autograd {
namespace {

host::Source SourceOf(const ReplayArguments& a) {
  return {static_cast<const std::byte*>(a.source) + a.source_layout.offset_bytes, a.source_layout};
}
host::Target TargetOf(const ReplayArguments& a) {
  return {static_cast<std::byte*>(a.destination) + a.destination_layout.offset_bytes, a.destination_layout};
}

ReplayFunction LaunchOf(Context& context, const char* name, ReplayKernel kernel, std::vector<Tensor> also) {
  // The backend belongs to the core, which holds this function and calls it: a reference on the core would be a cycle.
  // Those of `also` are one, which ends when the runtime goes and forgets its lineage, if not before.
  DeviceBackend* const backend = context.state().backend;
  const Stream home = context.state().stream;
  return [backend, name, home, kernel = std::move(kernel), also = std::move(also)](const ReplayArguments& a) -> Status {
    if (!also.empty()) TIERLIB_RETURN_IF_ERROR(CheckHome(name, a.stream, home));
    const host::Source from = SourceOf(a);
    const host::Target to = TargetOf(a);
    HostKernel launch;
    launch.name = name;
    launch.accesses.push_back(Access{from.data, static_cast<std::size_t>(ReachBytes(from.layout)), false});
    launch.accesses.push_back(Access{to.data, static_cast<std::size_t>(ReachBytes(to.layout)), true});
    for (const Tensor& tensor : also) {
      launch.accesses.push_back(
          Access{tensor.data(), static_cast<std::size_t>(ReachBytes(tensor.layout())), /*writes=*/false});
    }
    launch.run = [kernel, from, to](KernelContext& kernel_context) { kernel(kernel_context, from, to); };
    return backend->Launch(a.stream, std::move(launch));
  };
}

}  // namespace

Replay KernelReplay(Context& context, const char* name, ReplayKernel kernel, std::vector<Tensor> also) {
  return Replay::Call(name, LaunchOf(context, name, std::move(kernel), std::move(also)));
}

Replay KernelReplayBothWays(Context& context, const char* name, ReplayKernel kernel, ReplayKernel inverse) {
  return Replay::CallBothWays(name, LaunchOf(context, name, std::move(kernel), {}),
                              LaunchOf(context, name, std::move(inverse), {}));
}

Replay DeviceKernelReplay(Context& context, const char* name,
                          std::function<KernelArguments(const host::Source&, const host::Target&)> arguments,
                          std::vector<Tensor> also) {
  DeviceBackend* const backend = context.state().backend;  // as above, and so are those of `also`
  const Stream home = context.state().stream;
  return Replay::Call(name,
                      [backend, name, home, kernels = context.state().kernels, arguments = std::move(arguments),
                       also = std::move(also)](const ReplayArguments& a) -> Status {
                        if (!also.empty()) TIERLIB_RETURN_IF_ERROR(CheckHome(name, a.stream, home));
                        const KernelArguments made = arguments(SourceOf(a), TargetOf(a));
                        TIERLIB_CHECK(kernels->WorkspaceBytes(made) == 0, "a kernel with workspace is no replay");
                        return backend->EnqueueNative([&] { return kernels->Enqueue(a.stream, made, nullptr); });
                      });
}

Status CheckHome(const char* name, Stream asked, Stream home) {
  if (asked == home) return OkStatus();
  return FailedPreconditionError(std::string("replay ") + name +
                                 " reads tensors that its context's stream alone keeps in order: ask for it there");
}

}  // namespace tierlib::autograd
