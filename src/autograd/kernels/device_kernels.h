// DeviceKernels: the autograd's kernels on a device that takes kernels of its own kind alone. Launcher hands it the
// same arguments that the host's kernels take; their headers say what has to come out, up to rounding.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_DEVICE_KERNELS_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_DEVICE_KERNELS_H_

#include <cstddef>
#include <memory>
#include <type_traits>
#include <variant>

#include "autograd/kernels/activation.h"
#include "autograd/kernels/adamw.h"
#include "autograd/kernels/attention.h"
#include "autograd/kernels/cast.h"
#include "autograd/kernels/causal_mask.h"
#include "autograd/kernels/cross_entropy.h"
#include "autograd/kernels/dropout.h"
#include "autograd/kernels/elementwise.h"
#include "autograd/kernels/embedding.h"
#include "autograd/kernels/gradient_norm.h"
#include "autograd/kernels/layer_norm.h"
#include "autograd/kernels/matmul.h"
#include "autograd/kernels/reduce.h"
#include "autograd/kernels/rotary.h"
#include "autograd/kernels/softmax.h"
#include "tierlib/status.h"
#include "tierlib/stream.h"

namespace tierlib::autograd {

// Every kernel of the autograd. A new one is a line here, and then where the compiler misses it.
using KernelArguments =
    std::variant<host::FillArguments, host::CastArguments, host::RoundArguments, host::UnaryArguments,
                 host::BinaryArguments, host::DivisorGradientArguments, host::MaskedFillArguments,
                 host::ActivationForwardArguments, host::ActivationBackwardArguments, host::SumToArguments,
                 host::SoftmaxForwardArguments, host::SoftmaxBackwardArguments, host::LayerNormForwardArguments,
                 host::LayerNormBackwardArguments, host::CrossEntropyForwardArguments,
                 host::CrossEntropyBackwardArguments, host::DropoutArguments, host::EmbeddingForwardArguments,
                 host::EmbeddingBackwardArguments, host::RotaryArguments, host::CausalMaskArguments,
                 host::AttentionForwardArguments, host::AttentionBackwardArguments, host::AdamWArguments,
                 host::GradientNormArguments, host::ScaleGradientsArguments, host::MatMulArguments>;

template <typename Arguments, typename Variant>
inline constexpr bool kIsOneOf = false;
template <typename Arguments, typename... All>
inline constexpr bool kIsOneOf<Arguments, std::variant<All...>> = (std::is_same_v<Arguments, All> || ...);
template <typename Arguments>
inline constexpr bool kIsDeviceKernel = kIsOneOf<Arguments, KernelArguments>;

// Thread-safety: every function may be called from several threads.
class DeviceKernels {
 public:
  virtual ~DeviceKernels() = default;

  // Device memory that Enqueue wants besides the workspace of the arguments, aligned to 256.
  virtual std::size_t WorkspaceBytes(const KernelArguments& arguments) const = 0;
  // Enqueues and returns: nothing waits, and memory that arguments name on the host (lists of tensors) may go at once.
  // `workspace` may be null where WorkspaceBytes is 0. Unimplemented, InvalidArgument, or Unavailable and Internal with
  // the device's words. REQUIRES: the device is the thread's current one.
  virtual Status Enqueue(Stream stream, const KernelArguments& arguments, void* workspace) = 0;
};

// For CUDA devices. Null in a build without CUDA, which makes no such device either.
std::shared_ptr<DeviceKernels> MakeCudaKernels();

}  // namespace tierlib::autograd

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_DEVICE_KERNELS_H_
