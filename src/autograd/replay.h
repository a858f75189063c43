// Replays by one kernel: how an op tells the runtime to make its output again from its input.
#ifndef TIERLIB_SRC_AUTOGRAD_REPLAY_H_
#define TIERLIB_SRC_AUTOGRAD_REPLAY_H_

#include <functional>
#include <utility>
#include <vector>

#include "autograd/kernels/operand.h"
#include "autograd/launch.h"
#include "tierlib/runtime.h"

namespace tierlib::autograd {

using ReplayKernel = std::function<void(KernelContext&, const host::Source&, const host::Target&)>;

// `name` is a string literal. The kernel must give the bits that the op gave, whatever the addresses. What it reads
// besides its source is named in `also`: small tensors, which stay on the device for as long as the replay may be asked
// for, and are not written. Nothing but the order of the context's stream protects them, so such a replay answers
// FailedPrecondition, by its name, when it is asked for on another stream.
// A host kernel, so Unimplemented where the device runs none.
Replay KernelReplay(Context& context, const char* name, ReplayKernel kernel, std::vector<Tensor> also = {});
// The same with the way back: `inverse` makes the source from the output, and reads nothing else.
Replay KernelReplayBothWays(Context& context, const char* name, ReplayKernel kernel, ReplayKernel inverse);

// The same by one of the autograd's kernels (kernels/device_kernels.h), without workspace: on a device that takes
// kernels of its own kind alone, by that. `arguments` gives what it gets for a source and a target.
Replay DeviceKernelReplay(Context& context, const char* name,
                          std::function<KernelArguments(const host::Source&, const host::Target&)> arguments,
                          std::vector<Tensor> also = {});

template <typename Arguments>
Replay KernelReplay(Context& context, const char* name, void (*kernel)(KernelContext&, const Arguments&),
                    std::function<Arguments(const host::Source&, const host::Target&)> arguments,
                    std::vector<Tensor> also = {}) {
  static_assert(kIsDeviceKernel<Arguments>);
  if (context.state().kernels != nullptr) {
    return DeviceKernelReplay(context, name, std::move(arguments), std::move(also));
  }
  return KernelReplay(
      context, name,
      [kernel, arguments = std::move(arguments)](KernelContext& kernel_context, const host::Source& from,
                                                 const host::Target& to) {
        kernel(kernel_context, arguments(from, to));
      },
      std::move(also));
}

// OK where a replay that reads other tensors than its source is asked for on the stream that orders those: `home`, its
// context's.
Status CheckHome(const char* name, Stream asked, Stream home);

}  // namespace tierlib::autograd

#endif  // TIERLIB_SRC_AUTOGRAD_REPLAY_H_
