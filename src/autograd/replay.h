// Replays by one kernel: how an op tells the runtime to make its output again from its input.
#ifndef TIERLIB_SRC_AUTOGRAD_REPLAY_H_
#define TIERLIB_SRC_AUTOGRAD_REPLAY_H_

#include <functional>
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
Replay KernelReplay(Context& context, const char* name, ReplayKernel kernel, std::vector<Tensor> also = {});

}  // namespace tierlib::autograd

#endif  // TIERLIB_SRC_AUTOGRAD_REPLAY_H_
