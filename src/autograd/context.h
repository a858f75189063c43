// What a Context and a Tensor's handle hold.
#ifndef TIERLIB_SRC_AUTOGRAD_CONTEXT_H_
#define TIERLIB_SRC_AUTOGRAD_CONTEXT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "allocator/device_backend.h"
#include "autograd/kernels/device_kernels.h"
#include "autograd/upload_buffers.h"
#include "runtime/core.h"
#include "tierlib/autograd/tensor.h"
#include "tierlib/saved.h"
#include "trace/event.h"
#include "trace/recorder.h"

namespace tierlib::autograd {

struct Context::State {
  Runtime* runtime = nullptr;
  std::shared_ptr<internal::Core> core;
  DeviceBackend* backend = nullptr;     // the core's
  trace::Recorder* recorder = nullptr;  // the core's; null: no trace
  Stream stream;
  std::shared_ptr<DeviceKernels> kernels;  // null where the device runs the host's
  std::unique_ptr<UploadBuffers> uploads;  // null where host kernels copy
  std::atomic<std::uint64_t> launches{0};  // kernels enqueued so far
};

// Either owns a storage, which it retires when dropped, or holds the lease on an unpacked value.
struct Tensor::Handle {
  Handle() = default;
  ~Handle();
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  std::shared_ptr<internal::Core> core;
  Context* context = nullptr;  // for the host's reads and writes only; may be gone when the handle is dropped
  StorageId storage;
  std::byte* base = nullptr;  // device address of byte 0 of the storage, as layouts count
  std::uint64_t bytes = 0;
  Holds holds = Holds::kTransient;
  Stream stream;
  Loaded loaded;  // valid: the handle holds this lease and owns nothing
};

// Tensor::Empty with the part of the program that the trace books the bytes under.
StatusOr<Tensor> AllocateTensor(Context& context, DType dtype, const Dims& sizes, Holds holds, std::string_view label,
                                trace::Tag tag);

// The tensor of an unpacked value, which came from `storage`.
StatusOr<Tensor> TensorOfLoaded(Context& context, StorageId storage, Loaded loaded);

// True where no other Tensor shares the storage and the tensor may be written: its owner may add to it in place.
bool IsExclusive(const Tensor& tensor);

}  // namespace tierlib::autograd

#endif  // TIERLIB_SRC_AUTOGRAD_CONTEXT_H_
