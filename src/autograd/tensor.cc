#include "tierlib/autograd/tensor.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "autograd/context.h"
#include "autograd/kernels/cast.h"
#include "autograd/launch.h"
#include "autograd/shape.h"
#include "base/check.h"
#include "base/fork_mark.h"

namespace tierlib::autograd {
namespace {

// Up to this size FromHost copies the caller's bytes aside instead of waiting for the stream.
constexpr std::size_t kStagedBytes = std::size_t{1} << 20;

// Copies between host and device memory in stream order. Where the device runs host kernels, one of them does it: the
// copy engines then carry the traffic of the offload alone. `staged` keeps host bytes alive until the work ran; it may
// be null, then the caller does.
Status TransferHostBytes(Context::State& state, void* device, void* host, std::size_t bytes, bool to_device,
                         std::shared_ptr<void> staged) {
  if (bytes == 0) return OkStatus();
  if (!state.backend->info().runs_host_kernels) {
    const CopyRun run{to_device ? device : host, to_device ? host : device, bytes};
    const auto direction = to_device ? CopyDirection::kHostToDevice : CopyDirection::kDeviceToHost;
    return state.backend->Copy(absl::MakeConstSpan(&run, 1), direction, state.stream);
  }
  HostKernel kernel;
  kernel.name = to_device ? "from host" : "to host";
  kernel.accesses.push_back(Access{device, bytes, to_device});
  kernel.run = [=, keep = std::move(staged)](KernelContext&) {
    std::memcpy(to_device ? device : host, to_device ? host : device, bytes);
  };
  return state.backend->Launch(state.stream, std::move(kernel));
}

Status WriteFromHost(Context::State& state, void* device, const void* data, std::size_t bytes) {
  if (bytes <= kStagedBytes && state.uploads != nullptr) return state.uploads->Copy(device, data, bytes);
  if (bytes <= kStagedBytes) {
    auto staged = std::make_shared<std::vector<std::byte>>(bytes);
    if (bytes > 0) std::memcpy(staged->data(), data, bytes);
    void* const host = staged->data();
    return TransferHostBytes(state, device, host, bytes, /*to_device=*/true, std::move(staged));
  }
  TIERLIB_RETURN_IF_ERROR(
      TransferHostBytes(state, device, const_cast<void*>(data), bytes, /*to_device=*/true, nullptr));
  return state.backend->SynchronizeStream(state.stream);
}

Status CheckUsable(const Tensor& tensor, std::size_t bytes, const char* what) {
  if (!tensor.defined()) return InvalidArgumentError(std::string(what) + ": the tensor is undefined");
  const auto needed = static_cast<std::uint64_t>(tensor.layout().logical_bytes());
  if (bytes == needed) return OkStatus();
  return InvalidArgumentError(std::string(what) + ": " + std::to_string(bytes) + " bytes given, " +
                              tensor.layout().ToString() + " has " + std::to_string(needed));
}

}  // namespace

Context::Context(std::unique_ptr<State> state) : state_(std::move(state)) {}
Context::~Context() {
  // The device is not there in a child.
  if (state_->core->store()->fork().in_child()) LeaveBehind(std::move(state_->uploads));
}
Runtime& Context::runtime() const { return *state_->runtime; }
int Context::device() const { return state_->stream.device; }
Stream Context::stream() const { return state_->stream; }

StatusOr<std::unique_ptr<Context>> Context::Create(Runtime& runtime, int device) {
  auto state = std::make_unique<State>();
  state->runtime = &runtime;
  state->core = runtime.core();
  TIERLIB_ASSIGN_OR_RETURN(state->stream, runtime.CreateStream(device, "compute"));
  state->backend = &state->core->backend(device);
  state->recorder = state->core->recorder();
  if (!state->backend->info().runs_host_kernels) {
    state->kernels = MakeCudaKernels();
    state->uploads = std::make_unique<UploadBuffers>(*state->backend, state->stream);
  }
  return std::unique_ptr<Context>(new Context(std::move(state)));
}

Tensor::Handle::~Handle() {
  if (loaded.valid() || !storage.valid()) return;
  const Status status = core->store()->Retire(storage, stream);
  TIERLIB_CHECK(status.ok() || core->store()->fork().in_child(), "a tensor's storage was retired by somebody else");
}

StatusOr<Tensor> AllocateTensor(Context& context, DType dtype, const Dims& sizes, Holds holds, std::string_view label,
                                trace::Tag tag) {
  const Layout layout = Layout::Contiguous(dtype, sizes);
  for (const std::int64_t size : sizes) {
    if (size < 0) return InvalidArgumentError("sizes " + SizesText(sizes) + ": a size is negative");
  }
  const std::int64_t bytes = std::max<std::int64_t>(layout.logical_bytes(), 1);  // an empty tensor has an identity too
  TIERLIB_RETURN_IF_ERROR(layout.Validate(static_cast<std::uint64_t>(bytes)));
  Context::State& state = context.state();
  auto handle = std::make_shared<Tensor::Handle>();
  TIERLIB_ASSIGN_OR_RETURN(const Allocation allocation, state.core->store()->Allocate(static_cast<std::uint64_t>(bytes),
                                                                                      holds, state.stream, label, tag));
  handle->core = state.core;
  handle->context = &context;
  handle->storage = allocation.storage;
  handle->base = static_cast<std::byte*>(allocation.data);
  handle->bytes = static_cast<std::uint64_t>(bytes);
  handle->holds = holds;
  handle->stream = state.stream;
  return Tensor(std::move(handle), layout);
}

StatusOr<Tensor> TensorOfLoaded(Context& context, StorageId storage, Loaded loaded) {
  auto handle = std::make_shared<Tensor::Handle>();
  handle->core = context.state().core;
  handle->context = &context;
  handle->storage = storage;
  handle->base = static_cast<std::byte*>(const_cast<void*>(loaded.origin()));
  handle->stream = context.stream();
  const Layout layout = loaded.layout();
  handle->loaded = std::move(loaded);
  return Tensor(std::move(handle), layout);
}

bool IsExclusive(const Tensor& tensor) {
  return tensor.handle().use_count() == 1 && !tensor.handle()->loaded.valid() && tensor.layout().is_contiguous();
}

StatusOr<Tensor> Tensor::Empty(Context& context, DType dtype, Dims sizes, Holds holds, std::string_view label) {
  return AllocateTensor(context, dtype, sizes, holds, label,
                        holds == Holds::kPersistent ? trace::Tag::kParameter : trace::Tag::kActivation);
}

StatusOr<Tensor> Tensor::Zeros(Context& context, DType dtype, Dims sizes, Holds holds, std::string_view label) {
  TIERLIB_ASSIGN_OR_RETURN(Tensor tensor, Empty(context, dtype, sizes, holds, label));
  Context::State& state = context.state();
  TIERLIB_RETURN_IF_ERROR(state.backend->Fill(tensor.data(), 0, tensor.handle()->bytes, state.stream));
  return tensor;
}

StatusOr<Tensor> Tensor::FromHost(Context& context, DType dtype, Dims sizes, const void* data, Holds holds,
                                  std::string_view label) {
  TIERLIB_ASSIGN_OR_RETURN(Tensor tensor, Empty(context, dtype, sizes, holds, label));
  TIERLIB_RETURN_IF_ERROR(
      WriteFromHost(context.state(), tensor.data(), data, static_cast<std::size_t>(tensor.layout().logical_bytes())));
  return tensor;
}

Status Tensor::CopyToHost(void* data, std::size_t bytes) const {
  TIERLIB_RETURN_IF_ERROR(CheckUsable(*this, bytes, "copy to host"));
  Context& context = *handle_->context;
  Context::State& state = context.state();
  const Launcher launcher(context, "copy to host", /*backward=*/false);
  TIERLIB_ASSIGN_OR_RETURN(const Tensor source, launcher.RowMajor(*this));
  if (state.backend->info().shape_only) std::memset(data, 0, bytes);  // there are no bytes to read
  TIERLIB_RETURN_IF_ERROR(TransferHostBytes(state, source.data(), data, bytes, /*to_device=*/false, nullptr));
  return state.backend->SynchronizeStream(state.stream);
}

Status Tensor::CopyFromHost(const void* data, std::size_t bytes) {
  TIERLIB_RETURN_IF_ERROR(CheckUsable(*this, bytes, "copy from host"));
  if (!layout_.is_contiguous()) {
    return InvalidArgumentError("copy from host: " + layout_.ToString() + " is not row-major");
  }
  Context::State& state = handle_->context->state();
  TIERLIB_RETURN_IF_ERROR(state.runtime->BeginWrite(handle_->storage, state.stream));
  return WriteFromHost(state, this->data(), data, bytes);
}

StorageId Tensor::storage() const { return handle_ == nullptr ? StorageId() : handle_->storage; }

void* Tensor::data() const { return handle_ == nullptr ? nullptr : handle_->base + layout_.offset_bytes; }

Tensor Tensor::WithLayout(const Layout& layout) const {
  TIERLIB_DCHECK(handle_->loaded.valid() || layout.Validate(handle_->bytes).ok(),
                 "the layout leaves the tensor's storage");
  return Tensor(handle_, layout);
}

}  // namespace tierlib::autograd
